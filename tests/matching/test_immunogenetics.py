"""B leader and DPB1 expression from sequences, with their fallbacks named."""

from __future__ import annotations

import pytest

from data.nomenclature import ReferenceFolder
from matching.immunogenetics import Dpb1Expression, LeaderResidue, b_leader, dpb1_expression
from matching.nomenclature import Allele, Nomenclature


def release_of(*names: str) -> Nomenclature:
    rows = (Allele(name, name, name, "", "", "", "", "") for name in names)
    return Nomenclature("1.0.0", True, tuple(rows), {})


M_LEADER = "MLVMAPRTVLLLLSAALALTETWAGSHSMRYF"
T_LEADER = "MRVTAPRTVLLLLSAALALTETWAGSHSMRYF"


@pytest.mark.parametrize(
    ("proteins", "name", "expected"),
    [
        ({"B*07:02:01": M_LEADER}, "B*07:02", LeaderResidue("M", False)),
        ({"B*07:02:01": T_LEADER}, "B*07:02", LeaderResidue("T", False)),
        # Alleles that disagree, another residue, a start shifted by three: undetermined.
        ({"B*07:02:01": T_LEADER, "B*07:02:02": M_LEADER}, "B*07:02", LeaderResidue(None, False)),
        ({"B*07:02:01": "MLVV" + M_LEADER[4:]}, "B*07:02", LeaderResidue(None, False)),
        ({"B*07:02:01": M_LEADER[3:]}, "B*07:02", LeaderResidue(None, False)),
        # Not sequenced: the family tells, and the result says so.
        ({"B*07:02:01": "SHSMRYFYTS"}, "B*07:02", LeaderResidue("M", True)),
        ({}, "B*44:02", LeaderResidue("T", True)),
    ],
)
def test_b_leader(proteins: dict[str, str], name: str, expected: LeaderResidue) -> None:
    release = release_of("B*07:02:01", "B*07:02:02", "B*44:02")
    assert b_leader(release, proteins, name) == expected


def test_families_of_358(reference: ReferenceFolder, nomenclature: Nomenclature) -> None:
    """M families are M but for single alleles, and the others T: rule R18, on 3.58.0."""
    proteins = reference.proteins("3.58.0")
    exceptions = set()
    for row in nomenclature.alleles:
        if row.name.startswith("B*") and proteins.get(row.name, "").startswith("M"):
            found = b_leader(nomenclature, proteins, row.name)
            family = b_leader(nomenclature, {}, row.name)
            assert family.from_family
            if not found.from_family and found.residue not in (None, family.residue):
                exceptions.add(row.name.partition(":")[0].removeprefix("B*"))
    allowed = ["07", "08", "13", "15", "18", "35", "40", "44", "49", "50", "51", "52", "56", "58"]
    assert exceptions and exceptions <= set(allowed)


def dpb1(residue_96: str, residue_170: str) -> str:
    mature = ["A"] * 200
    mature[95], mature[169] = residue_96, residue_170
    return "MMV" + "A" * 26 + "".join(mature)


def test_dpb1_expression() -> None:
    release = release_of("DPB1*04:01:01", "DPB1*04:01:02", "DPB1*99:01")
    low, high = dpb1("R", "T"), dpb1("K", "I")
    for proteins, expected in (
        ({"DPB1*04:01:01": low}, Dpb1Expression.LOW),
        ({"DPB1*04:01:01": high}, Dpb1Expression.HIGH),
        ({"DPB1*04:01:01": high, "DPB1*04:01:02": low}, Dpb1Expression.UNKNOWN),
        ({"DPB1*04:01:01": "NYLFQG"}, Dpb1Expression.LOW),
        ({}, Dpb1Expression.LOW),
    ):
        assert dpb1_expression(release, proteins, "DPB1*04:01") is expected
    assert dpb1_expression(release, {}, "DPB1*99:01") is Dpb1Expression.UNKNOWN


def test_the_listed_alleles_agree_with_their_sequences(
    reference: ReferenceFolder, nomenclature: Nomenclature
) -> None:
    proteins = reference.proteins("3.58.0")
    sequenced = {name for name, sequence in proteins.items() if len(sequence) > 200}
    for name in ("02:01", "04:01", "17:01", "01:01", "03:01", "85:01"):
        full = f"DPB1*{name}"
        assert any(i.startswith(full) for i in sequenced)
        by_list = dpb1_expression(nomenclature, {}, full)
        assert (
            dpb1_expression(nomenclature, proteins, full) is by_list is not Dpb1Expression.UNKNOWN
        )
