"""What a typing is explained as."""

from __future__ import annotations

import pytest

from matching.explain import explain
from matching.nomenclature import Nomenclature


@pytest.mark.parametrize(
    ("text", "n_genotypes"),
    [
        ("A*01:01+A*02:01", 1),
        ("A*01:01/A*02:01+A*01:01/A*02:01", 3),
        ("A*01:01+A*02:01|A*02:01+A*01:01|A*01:01+A*03:01", 2),
        ("A*01:04N+A*02:01/A*03:01", 2),
        ("A*01:04N+A*01:04N", 0),
    ],
)
def test_pairs_are_counted_in_no_order_and_once(
    nomenclature: Nomenclature, text: str, n_genotypes: int
) -> None:
    assert explain(text, nomenclature).loci[0].n_genotypes == n_genotypes
