"""Reading names under a release: rules R5 to R7, and every group against py-ard's."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from matching.errors import IncompleteReferenceError, UnknownNameError
from matching.nomenclature import Allele, Nomenclature


def allele(name: str, p_group: str | None = None, g_group: str | None = None) -> Allele:
    return Allele(name, p_group, g_group, "", "", "", "", "")


@pytest.fixture
def small() -> Nomenclature:
    """A release of a handful of alleles with every kind of history."""
    return Nomenclature(
        "1.0.0",
        True,
        (
            allele("A*02:43N", None, "A*02:01:01G"),
            allele("A*02:430", "A*02:430", "A*02:430"),
            allele("A*01:01:01:01", "A*01:01P", "A*01:01:01G"),
            allele("A*01:01:01:02N", None, "A*01:01:01G"),
            allele("A*01:01:02", "A*01:01P", "A*01:01:02"),
            allele("A*24:329Q", "A*24:329Q", "A*24:329Q"),
        ),
        {
            "A*01:50": "A*01:01:02",
            "A*01:51": "A*01:50",
            "A*01:60N": "A*02:43N",
            "A*01:70": "A*01:71",
            "A*01:71": "A*01:70",
            "A*01:80": "",
        },
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A*01:01:01:01", ["A*01:01:01:01"]),
        ("A*01:01", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*01:01:01", ["A*01:01:01:01", "A*01:01:01:02N"]),
        ("A*01:01N", ["A*01:01:01:02N"]),
        ("A*01:XX", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*01:01P", ["A*01:01:01:01", "A*01:01:02"]),
        ("A*01:01:01G", ["A*01:01:01:01", "A*01:01:01:02N"]),
        # Fields are compared, not characters: 02:43 does not begin 02:430 (R5).
        ("A*02:43", ["A*02:43N"]),
        ("A*24:329", ["A*24:329Q"]),
        ("A*24:329L", ["A*24:329Q"]),
        ("A*02:43Q", ["A*02:43N"]),
        ("A*02:430Q", ["A*02:430"]),
        ("A*01:50", ["A*01:01:02"]),
        ("A*01:51", ["A*01:01:02"]),
        ("A*01:60", ["A*02:43N"]),
    ],
)
def test_a_name_stands_for_its_alleles(small: Nomenclature, name: str, expected: list[str]) -> None:
    reading = small.read(name)
    assert [small.alleles[i].name for i in reading.alleles] == expected


def test_a_followed_name_says_so(small: Nomenclature) -> None:
    assert small.read("A*01:01").note == ""
    assert small.read("A*24:329").note == "A*24:329 read as A*24:329Q"
    note = small.read("A*01:51").note
    assert "identical to A*01:50" in note and "identical to A*01:01:02" in note


@pytest.mark.parametrize(
    "name",
    [
        "A*99:99",
        "A*01:70",
        "A*01:80",
        "A*01:01:01:01N",
        "A*24:329N",
        "A*01:01:99G",
        "B*01:01",
        "A*09:XX",
    ],
)
def test_what_leads_nowhere_is_unknown(small: Nomenclature, name: str) -> None:
    with pytest.raises(UnknownNameError, match="unknown in release"):
        small.read(name)


def test_near_names_share_the_first_field(small: Nomenclature) -> None:
    assert set(small.near("A*02:431")) == {"A*02:430", "A*02:43N"}


def test_the_demo_answers_exact_names_only(demo: Nomenclature) -> None:
    assert [demo.alleles[i].p_group for i in demo.read("A*01:01").alleles] == ["A*01:01P"]
    for name in ("A*01:XX", "A*01:01:01", "DRB1*15:01:01", "A*99:99"):
        with pytest.raises(IncompleteReferenceError, match="not complete in the demo reference"):
            demo.read(name)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("A*11:53", {"A*11:02P"}),
        ("A*01:34N", {"A*01:01P"}),
        ("A*03:260", {None}),
        ("C*16:199", {None}),
        ("B*55:134", {"B*56:01P"}),
        ("A*01:04", {None}),
        ("A*43:XX", {"A*43:01", None, "A*43:03"}),
    ],
)
def test_worked_examples_of_358(nomenclature: Nomenclature, name: str, groups: set[str]) -> None:
    assert {nomenclature.alleles[i].p_group for i in nomenclature.read(name).alleles} == groups


def test_every_allele_reads_as_itself(nomenclature: Nomenclature) -> None:
    for i, row in enumerate(nomenclature.alleles):
        assert nomenclature.read(row.name) == ((i,), "")


def test_groups_of_every_allele_equal_pyard(
    nomenclature: Nomenclature, shared: Path, release_3580: Path
) -> None:
    """py-ard 2.4.2 differs in three known ways only; each difference is checked for its reason.

    Its G names come from the first member (padded to three fields) instead of field 3 of
    hla_nom_g (rule R7), it gives a null its own name as P group, and gives genes without group
    files the allele's name.
    """
    default = shared / "cases/pyard_redux_3580.parquet"
    path = Path(os.environ.get("GRAFTMATCH_PYARD_REDUX", default))
    theirs = pd.read_parquet(path).set_index("allele")
    assert set(theirs.index) == set(nomenclature.by_name)
    first_members = {}
    for line in (release_3580 / "wmda/hla_nom_g.txt").read_text().splitlines():
        if not line.startswith("#") and not line.endswith(";"):
            gene, members, name = line.split(";")
            fields = members.split("/")[0].split(":")
            first_members[gene + name] = f"{gene}{':'.join([*fields, '01'][:3])}G"
    genes_with_groups = {a.name.partition("*")[0] for a in nomenclature.alleles if a.g_group}
    differences: Counter[str] = Counter()
    for row in nomenclature.alleles:
        expected = theirs.loc[row.name]
        if row.name.partition("*")[0] not in genes_with_groups:
            assert (row.g_group, row.p_group) == (None, None)
            assert expected.G == expected.P == row.name
            differences["gene without group files"] += 1
            continue
        if row.g_group != expected.G:
            assert row.g_group is not None and first_members[row.g_group] == expected.G
            differences["G name from the first member"] += 1
        if row.p_group != expected.P:
            assert row.p_group is None and row.name.endswith("N") and row.name == expected.P
            differences["null"] += 1
    assert differences == {
        "gene without group files": 1289,
        "G name from the first member": 39,
        "null": 1743,
    }
