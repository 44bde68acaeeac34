"""Genotypes by a relation of groups, against every draw of both people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from matching.kernels import COUNT_WORST, GVH_BEST, GVH_WORST, HVG_BEST, HVG_WORST
from matching.relation_kernels import compare_by_relation, draw_values
from matching.search.tables import _as_words

Sets = tuple[list[int], list[int], bool]


def draws(sets: Sets) -> Iterator[tuple[int, int]]:
    first, second, linked = sets
    return ((a, b) for a, b in product(first, second) if a == b or not linked)


def value(
    patient: tuple[int, int],
    donor: tuple[int, int],
    relation: np.ndarray,
    absent: tuple[int, int],
    column: int,
) -> int:
    """Of one draw of both. `absent`: the group of each side that is no gene."""
    (a, b), (x, y) = patient, donor
    if column == COUNT_WORST:
        matched = relation.astype(int)
        return int(max(matched[a, x] + matched[b, y], matched[a, y] + matched[b, x]))
    if column in (GVH_BEST, GVH_WORST):
        return sum(one != absent[0] and not relation[one, [x, y]].any() for one in {a, b})
    return sum(one != absent[1] and not relation[[a, b], one].any() for one in {x, y})


@pytest.mark.parametrize("n_groups", [3, 6, 64, 130])
def test_every_draw(n_groups: int) -> None:
    """Relations are sparse or dense, and some groups match themselves alone, as those without an
    antigen do; the last group of either side stands for no gene."""
    rng = np.random.default_rng(n_groups)

    def sets(groups: list[int]) -> Sets:
        some = [
            sorted(rng.choice(groups, rng.integers(1, min(6, len(groups)) + 1), replace=False))
            for _ in range(2)
        ]
        kind = rng.integers(4)
        return (some[0], some[0 if kind < 2 else 1], kind == 0)

    for _ in range(100):
        n_rows = int(rng.integers(2, 9))
        # The donor's people hold few groups, so that they share some.
        pool = sorted(rng.choice(n_groups, min(8, n_groups), replace=False).tolist())
        relation = rng.random((n_rows, n_groups)) < rng.choice([0.0, 0.1, 0.4, 0.8])
        if rng.random() < 0.7:
            for row, group in zip(range(n_rows), pool, strict=False):
                relation[row] &= rng.random() < 0.5
                relation[row, group] = True
        patient = sets(list(range(n_rows)))
        donors = [sets(pool) for _ in range(12)]
        absent = (n_rows - 1, pool[-1])
        words = -(-n_groups // 64) + 1
        held = np.zeros(n_rows, dtype=np.uint8)
        for position, groups in ((1, patient[0]), (2, patient[1])):
            held[groups] |= position
        for column in (COUNT_WORST, GVH_BEST, GVH_WORST, HVG_BEST, HVG_WORST):
            out = np.empty(len(donors), dtype=np.uint8)
            compare_by_relation(
                held,
                patient[2],
                (np.arange(n_rows) == absent[0]).astype(np.uint8),
                np.stack([_as_words(row, words) for row in relation]),
                _as_words(relation.sum(axis=0) == 1, words),
                _as_words(np.arange(n_groups) == absent[1], words),
                np.cumsum([0, *(len(part) for donor in donors for part in donor[:2])]),
                np.array([g for donor in donors for part in donor[:2] for g in part], np.int32),
                np.array([donor[2] for donor in donors], dtype=np.uint8),
                column,
                draw_values(column),
                out,
            )
            most = max if column in (GVH_WORST, HVG_WORST) else min
            expected = [
                most(
                    value(p, d, relation, absent, column)
                    for p in draws(patient)
                    for d in draws(donor)
                )
                for donor in donors
            ]
            assert out.tolist() == expected
