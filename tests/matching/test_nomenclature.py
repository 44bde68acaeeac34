"""Reading names under a release: rules R5 to R7, and every group against py-ard's."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from matching.errors import IncompleteReferenceError, UnknownNameError
from matching.nomenclature import Allele, Nomenclature
from matching.serology import Antigen


def allele(name: str, p_group: str | None = None, g_group: str | None = None) -> Allele:
    serology = "25;;;" if name == "A*25:01" else ""
    return Allele(name, p_group, g_group, "", "", serology, "", "")


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
            allele("A*24:08", "A*24:07P", "A*24:08"),
            allele("A*25:01", "A*25:01", "A*25:01"),
        ),
        {
            "A*01:50": "A*01:01:02",
            "A*01:51": "A*01:50",
            "A*01:60N": "A*02:43N",
            "A*01:70": "A*01:71",
            "A*01:71": "A*01:70",
            "A*01:80": "",
            "A*0105N": "A*02:43N",
            "A*2401": "",
            "A9": "A25",
        },
        (
            Antigen("A", "2", (), ()),
            Antigen("A", "10", ("24", "25"), ()),
            Antigen("A", "24", (), ()),
            Antigen("A", "25", (), ()),
        ),
        codes={
            "BC": ("01", "99"),
            "BD": ("01", "98"),
            "BE": ("01", "50"),
            "BFF": ("02:43N", "02:430", "01:01"),
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
        "",
        "A*0199",
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


@pytest.mark.parametrize("name", ["A*01:70", "A*01:80", "A*2401"])
def test_what_is_deleted_for_good_is_said_to_be(small: Nomenclature, name: str) -> None:
    """A*01:70 and A*01:71 name each other."""
    with pytest.raises(UnknownNameError, match="deleted without a replacement"):
        small.read(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("A*0101", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*01010102N", ["A*01:01:01:02N"]),
        ("A*0105N", ["A*02:43N"]),
        ("A*0150", ["A*01:01:02"]),
        ("A*01XX", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*01BC", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*01:01g", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*02:43Ng", ["A*02:43N"]),
        ("A*01:50g", ["A*01:01:01:01", "A*01:01:01:02N", "A*01:01:02"]),
        ("A*01:50P", ["A*01:01:01:01", "A*01:01:02"]),
        ("A*01:01:02G", ["A*01:01:02"]),
        # A P group may outlive the allele that it is named after.
        ("A*24:07", ["A*24:08"]),
    ],
)
def test_names_that_are_not_current_are_read_leniently_only(
    small: Nomenclature, name: str, expected: list[str]
) -> None:
    assert [small.alleles[i].name for i in small.read(name).alleles] == expected
    with pytest.raises(
        UnknownNameError, match=r"no current name of release 1\.0\.0, but .* lenient"
    ):
        replace(small, strict=True).read(name)


@pytest.mark.parametrize("name", ["A*24:329", "A*01:50", "A*01:60N", "A*02:43Q", "A9"])
def test_strict_reading_follows_nothing(small: Nomenclature, name: str) -> None:
    strict = replace(small, strict=True)
    with pytest.raises(UnknownNameError, match="lenient reading takes it"):
        strict.read(name)


@pytest.mark.parametrize(
    "name",
    ["A*02:43N", "A*01:01", "A*01:01N", "A*01:XX", "A*01:01P", "A*01:01:01G", "A*01:BC", "A*10:XX"],
)
def test_strict_reading_takes_what_is_current(small: Nomenclature, name: str) -> None:
    assert replace(small, strict=True).read(name) == small.read(name)


def test_a_broad_xx_is_that_of_its_splits(small: Nomenclature) -> None:
    """Rule R6; A*02:XX is a family of its own, whatever antigen A2 may be."""
    found = small.read("A*10:XX")
    assert {small.alleles[i].name.partition(":")[0] for i in found.alleles} == {"A*24", "A*25"}
    assert "A*24:329Q" not in {small.alleles[i].name for i in small.read("A*02:XX").alleles}
    with pytest.raises(UnknownNameError, match="unknown in release"):
        small.read("A*19:XX")


def test_codes_say_why_they_cannot_be_read(small: Nomenclature) -> None:
    assert small.decode("A*01:BD")[1] == ("A*01:98",)
    assert "has no A*01:98" in small.read("A*01:BD").note
    assert list(small.decode("A*01:BE")[0]) == ["A*01:01", "A*01:50"]
    with pytest.raises(UnknownNameError, match="1 of its members"):
        replace(small, strict=True).read("A*01:BE")
    for name, reason in (
        ("A*01:BFF", "first field does not fit the code, which belongs to 02"),
        ("A*24:BC", "has none of its members"),
        ("A*24BC", "has none of its members"),
        ("A*01:ZZ", "not in the installed table"),
    ):
        with pytest.raises(UnknownNameError, match=reason):
            small.read(name)
    with pytest.raises(UnknownNameError, match="not installed"):
        replace(small, codes={}).read("A*01:BC")


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
        ("A*0105N", {None}),
        ("C*0422", {"C*04:15P"}),
        ("B*9530", {"B*15:27P"}),
        ("DRB1*0103", {"DRB1*01:03P"}),
        ("DQB1*06:02:02G", {"DQB1*06:02P"}),
        ("A*74:02g", {"A*74:01P", None}),
        ("MICA*021", {None}),
    ],
)
def test_worked_examples_of_358(nomenclature: Nomenclature, name: str, groups: set[str]) -> None:
    assert {nomenclature.alleles[i].p_group for i in nomenclature.read(name).alleles} == groups


def test_every_allele_reads_as_itself(nomenclature: Nomenclature) -> None:
    for i, row in enumerate(nomenclature.alleles):
        assert nomenclature.read(row.name) == ((i,), "")


def test_names_of_before_2010(nomenclature: Nomenclature) -> None:
    """Numbers of A*02 and B*15 from 100 stood under A*92 and B*95 (Marsh 2010)."""
    for old, modern in (("A*9201", "A*02:101"), ("B*9501", "B*15:101"), ("C*0303", "C*03:03")):
        assert nomenclature.read(old).alleles == nomenclature.read(modern).alleles
    for old, new in nomenclature.deleted.items():
        if new and "*" in old:
            assert nomenclature.read(old).alleles == nomenclature.read(new).alleles


def test_a_broad_xx_of_358(nomenclature: Nomenclature) -> None:
    families = {
        name: {nomenclature.alleles[i].name.partition(":")[0] for i in reading.alleles}
        for name in ("A*10:XX", "DRB1*02:XX", "DQB1*01:XX", "B*05:XX")
        for reading in [nomenclature.read(name)]
    }
    assert families == {
        "A*10:XX": {"A*25", "A*26", "A*34", "A*66"},
        "DRB1*02:XX": {"DRB1*15", "DRB1*16"},
        "DQB1*01:XX": {"DQB1*05", "DQB1*06"},
        "B*05:XX": {"B*51", "B*52"},
    }


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
