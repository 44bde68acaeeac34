"""Antigens that match, and the alleles they stand for: rule R8 with its worked examples."""

from __future__ import annotations

import pytest

from matching.errors import UnknownNameError
from matching.nomenclature import Nomenclature
from matching.serology import Antigen, Serology, Subtype, assigned_antigens, reported_antigens
from matching.typings import parse_typing

SEROLOGY = Serology(
    (
        Antigen("B", "16", ("38", "39"), ()),
        Antigen("B", "38", (), ()),
        Antigen("B", "39", (), ("3901", "3902")),
        Antigen("B", "3901", (), ()),
        Antigen("B", "3902", (), ()),
        Antigen("B", "8", (), ()),
        Antigen("A", "39", (), ()),
    )
)


@pytest.mark.parametrize(
    ("name", "subtype", "matching"),
    [
        ("B16", Subtype.BROAD, {"B16", "B38", "B39", "B3901", "B3902"}),
        ("B39", Subtype.SPLIT, {"B39", "B16", "B3901", "B3902"}),
        ("B38", Subtype.SPLIT, {"B38", "B16"}),
        ("B3901", Subtype.ASSOCIATED, {"B3901", "B39", "B16"}),
        ("B8", Subtype.NOT_SPLIT, {"B8"}),
        ("A39", Subtype.NOT_SPLIT, {"A39"}),
    ],
)
def test_what_matches(name: str, subtype: Subtype, matching: set[str]) -> None:
    assert SEROLOGY.subtype(name) is subtype
    found = SEROLOGY.matching(name)
    assert set(found) == matching and next(iter(found)) == name


def test_an_antigen_stands_for_its_alleles(nomenclature: Nomenclature) -> None:
    """B*38:09 is reported as 16 and so reads as B39; A*02:65 as A19 (Atlas #1076, #1077)."""
    names = {nomenclature.alleles[i].name for i in nomenclature.read("B39").alleles}
    assert "B*38:09" in names and "B*39:01:01:01" in names and "B*38:01:01:01" not in names
    a19 = {nomenclature.alleles[i].name for i in nomenclature.read("A19").alleles}
    assert "A*02:65" in a19
    assert nomenclature.read("Cw11").note.startswith("Cw11 is deleted")
    for name in ("A101", "DR99"):
        with pytest.raises(UnknownNameError, match="unknown in release"):
            nomenclature.read(name)


def test_relations() -> None:
    assert SEROLOGY.splits("B16") == ("B38", "B39") and SEROLOGY.splits("B38") == ()
    assert SEROLOGY.broad("B38") == "B16" and SEROLOGY.broad("B3901") is None
    assert SEROLOGY.siblings("B38") == ("B39",) and SEROLOGY.siblings("B8") == ()
    assert SEROLOGY.parent("B3901") == "B39" and SEROLOGY.parent("B39") is None
    assert SEROLOGY.splits("B99") == () and SEROLOGY.broad("A38") is None


def test_antigens_of_the_second_drb_gene(nomenclature: Nomenclature) -> None:
    for antigen, gene in (("DR51", "DRB5"), ("DR52", "DRB3"), ("DR53", "DRB4")):
        alleles = nomenclature.read(antigen).alleles
        assert {nomenclature.alleles[i].name.partition("*")[0] for i in alleles} == {gene}


def test_experts_exceptions_are_no_assigned_antigens() -> None:
    """B*13:03 of 3.58.0."""
    assert sorted(reported_antigens(";;13;15/49")) == ["13", "15", "49"]
    assert sorted(assigned_antigens(";0/13;?;15/49")) == ["13"]


def test_antigens_in_a_gl_string() -> None:
    typing = parse_typing("A1+A*02:01^Cw3+Cw7^DR15+DRB1*01:01")
    assert typing.text == "A1+A*02:01^Cw3+Cw7^DR15+DRB1*01:01"
    assert parse_typing(typing.text) == typing
