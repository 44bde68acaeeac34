"""B leader and DPB1 expression from sequences, with their fallbacks named."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.nomenclature import ReferenceFolder
from matching.immunogenetics import (
    LEADER_ORDER,
    Direction,
    Dpb1Expression,
    Expressions,
    LeaderMatch,
    LeaderResidue,
    Leaders,
    WrittenPairs,
    b_leader,
    dpb1_expression,
    leader_preference,
)
from matching.loci import Locus
from matching.nomenclature import Allele, Nomenclature
from matching.typings import LocusTyping, parse_locus


def typed(locus: Locus, text: str) -> LocusTyping:
    typing = parse_locus(locus, text)
    assert typing is not None
    return typing


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


def test_a_protein_that_is_not_sequenced_has_the_leader_of_its_own_family() -> None:
    release = release_of("B*07:02:01", "B*07:02:02", "B*07:05", "B*44:02")
    proteins = {"B*07:02:01": M_LEADER}
    assert b_leader(release, proteins, "B*07:02") == LeaderResidue("M", False)
    assert b_leader(release, proteins, "B*07:XX") == LeaderResidue("M", True)
    typing = typed(Locus.B, "07:02/44:02+07:02")
    assert Leaders(release, proteins).match(typing, None).patient_genotype is None


# Leaders of the toy release: 07 and 08 are M, 35, 44 and 45 are T, 50 is undetermined.
LEADERS = {
    "B*07:02": M_LEADER,
    "B*08:01": M_LEADER,
    "B*35:01": T_LEADER,
    "B*44:02": T_LEADER,
    "B*50:01": "MLVV" + M_LEADER[4:],
}
B_RELEASE = Nomenclature(
    "1.0.0",
    True,
    tuple(
        Allele(name, None if name.endswith("N") else name, None, "", "", "", "", "")
        for name in (*LEADERS, "B*45:01", "B*44:19N", "B*44:20N")
    ),
    {},
)


@pytest.mark.parametrize(
    ("patient", "donor", "genotype", "written", "direction"),
    [
        ("07:02+44:02", "07:02+35:01", "MT", "TTM", Direction.BOTH),
        ("44:02+35:01", "08:01+44:02", "TT", "TMT", Direction.BOTH),
        ("07:02+08:01", "35:01+07:02", "MM", "MTM", Direction.BOTH),
        # A homozygous person: the copy without a partner is the mismatched one.
        ("07:02+07:02", "07:02+44:02", "MM", "MTM", Direction.HVG),
        ("07:02+44:02", "07:02+07:02", "MT", "TMM", Direction.GVH),
        # A null takes its partner's place (R3).
        ("07:02+44:19N", "07:02+35:01", "MM", "MTM", Direction.HVG),
        ("44:19N+07:02", "44:02+07:02", "MM", "MTM", Direction.HVG),
        # Ambiguity: which of the donor's two is mismatched is open; homozygous or not is open.
        ("44:02/07:02+35:01", "44:02+07:02", None, "T--", Direction.BOTH),
        ("07:02/08:01+07:02/08:01", "07:02+44:02", "MM", "MTM", None),
        ("07:02/08:01+35:01", "07:02+44:02", "MT", "TTM", Direction.BOTH),
        # Undetermined residues.
        ("07:02+50:01", "07:02+44:02", None, "-TM", Direction.BOTH),
        ("50:01+07:02", "50:01+44:02", None, "MT-", Direction.BOTH),
        # Not exactly one mismatch.
        ("07:02+44:02", "44:02+07:02", "MT", "---", None),
        ("07:02+44:02", "08:01+35:01", "MT", "---", None),
        ("44:19N+44:20N", "07:02+44:02", None, "---", None),
        ("07:02/08:01+44:02", "08:01+44:02", "MT", "---", None),
    ],
)
def test_leader_match(
    patient: str, donor: str, genotype: str | None, written: str, direction: Direction | None
) -> None:
    found = Leaders(B_RELEASE, LEADERS).match(typed(Locus.B, patient), typed(Locus.B, donor))
    residues = [found.patient_mismatched, found.donor_mismatched, found.shared]
    assert (found.patient_genotype, found.direction) == (genotype, direction)
    assert "".join(residue or "-" for residue in residues) == written
    matched = None if "-" in written[:2] else written[0] == written[1]
    assert found.leader_matched is matched and not found.from_family


def test_a_leader_of_the_family_is_named() -> None:
    leaders = Leaders(B_RELEASE, LEADERS)
    found = leaders.match(typed(Locus.B, "07:02+44:02"), typed(Locus.B, "07:02+45:01"))
    assert found == LeaderMatch("MT", "T", "T", "M", True, Direction.BOTH, from_family=True)
    untyped = leaders.match(typed(Locus.B, "07:02+44:02"), None)
    assert untyped == LeaderMatch("MT") and not untyped.from_family


def test_leader_order_can_be_replaced() -> None:
    assert [leader_preference(entry) for entry in LEADER_ORDER] == [0, 1, 2, 3]
    assert LEADER_ORDER[0] == (True, "T") and leader_preference((None, "T")) is None
    assert leader_preference((True, "M"), ((True, "M"), (True, "T"))) == 0


_POSITIONS = st.lists(
    st.sampled_from(["07:02", "08:01", "44:02", "44:19N", "35:01", "50:01", "45:01"]),
    min_size=1,
    max_size=2,
    unique=True,
).map("/".join)
_TYPINGS = st.lists(
    st.tuples(_POSITIONS, _POSITIONS).map("+".join), min_size=1, max_size=2, unique=True
).map("|".join)


@given(_TYPINGS, st.lists(_TYPINGS | st.just(""), max_size=8))
def test_leaders_of_many_donors_are_those_of_each(patient: str, donors: list[str]) -> None:
    leaders = Leaders(B_RELEASE, LEADERS)
    ours = typed(Locus.B, patient)
    genotypes = [[g.split("+") for g in text.split("|") if g] for text in donors]
    positions = sorted({position for one in genotypes for pair in one for position in pair})
    outcomes, number = leaders.outcomes(
        ours,
        WrittenPairs(
            positions,
            np.cumsum([0, *map(len, genotypes)]),
            np.array(
                [[positions.index(p) for p in pair] for one in genotypes for pair in one],
                dtype=np.int64,
            ).reshape(-1, 2),
        ),
    )
    matches = [leaders.match(ours, parse_locus(Locus.B, text)) for text in donors]
    assert [outcomes[i] for i in number] == [(m.leader_matched, m.shared) for m in matches]


@pytest.mark.parametrize(
    ("patient", "donor", "level", "direction"),
    [
        ("01:01+02:01", "01:01+17:01", "low", Direction.BOTH),
        ("01:01+02:01", "04:01+02:01", "high", Direction.BOTH),
        ("01:01+02:01", "02:01+02:01", "high", Direction.GVH),
        # A homozygous patient's allele is mismatched without being a target.
        ("40:01+40:01", "09:01+40:01", "low", Direction.HVG),
        ("99:01+02:01", "01:01+02:01", "unknown", Direction.BOTH),
        ("01:01/04:01+02:01", "09:01+02:01", "unknown", Direction.BOTH),
        ("01:01+02:01", "02:01+01:01", None, None),
        ("01:01+02:01", "09:01+17:01", None, None),
    ],
)
def test_expression_match(
    patient: str, donor: str, level: str | None, direction: Direction | None
) -> None:
    names = ("01:01", "02:01", "04:01", "09:01", "17:01", "40:01", "99:01")
    release = release_of(*(f"DPB1*{name}" for name in names))
    pair = typed(Locus.DPB1, patient), typed(Locus.DPB1, donor)
    found = Expressions(release, {}).match(*pair)
    if level is None:
        assert found is None
        return
    assert found is not None
    assert (found.patient_mismatched.value, found.direction) == (level, direction)
    outcomes = {"low": "favourable", "high": "unfavourable", "unknown": "unknown"}
    assert found.outcome.value == outcomes[level]
