"""Details of a pair: grades, residues, leaders and expression together."""

from __future__ import annotations

from matching.grade import Confidence, Grade, LocusCategory, OverallCategory
from matching.immunogenetics import ExpressionOutcome, TceCategory
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.pair import PairDetail, PairDetails
from matching.pipeline import match_typed
from matching.typings import parse_typing

FIVE = parse_loci("A,B,C,DRB1,DQB1")
DPB1_TOO = parse_loci("A,B,DPB1")


def detail_of(
    details: PairDetails, release: Nomenclature, patient: str, donor: str, loci: tuple[Locus, ...]
) -> PairDetail:
    ours, theirs = parse_typing(patient), parse_typing(donor)
    return details.of(ours, theirs, match_typed(ours, [theirs], release, loci).tce[0], loci)


def test_residues_follow_the_orientation(
    nomenclature: Nomenclature, proteins: dict[str, str]
) -> None:
    details = PairDetails(nomenclature, proteins)
    patient, donor = "A*01:01+A*02:01^B*44:02+B*08:01", "A*02:06+A*01:01^B*08:01+B*44:03"
    found = detail_of(details, nomenclature, patient, donor, FIVE[:2])
    a, b = found.loci[Locus.A], found.loci[Locus.B]
    assert [[d.text for d in at.differences] for at in a.domains if at] == [["9 F/Y"], []]
    assert [[d.text for d in at.differences] for at in b.domains if at] == [[], ["156 D/L"]]
    assert a.graded.grades[0] is Grade.MISMATCH and a.category is LocusCategory.MISMATCH
    assert found.overall is OverallCategory.MISMATCH
    assert found.leaders is not None and found.leaders.leader_matched is True
    # The other way round the residues change sides.
    back = detail_of(details, nomenclature, donor, patient, FIVE[:2]).loci[Locus.A]
    assert [[d.text for d in at.differences] for at in back.domains if at] == [[], ["9 Y/F"]]


def test_dpb1_alone_may_be_permissive(nomenclature: Nomenclature, proteins: dict[str, str]) -> None:
    details = PairDetails(nomenclature, proteins)
    patient = "A*01:01+A*02:01^B*08:01+B*07:02^DPB1*04:01+DPB1*02:01"
    donor = "A*01:01+A*02:01^B*08:01+B*07:02^DPB1*04:02+DPB1*02:01"
    found = detail_of(details, nomenclature, patient, donor, DPB1_TOO)
    assert found.overall is OverallCategory.PERMISSIVE_MISMATCH
    assert found.loci[Locus.DPB1].category is LocusCategory.PERMISSIVE_MISMATCH
    assert found.expression is not None
    assert found.expression.outcome is ExpressionOutcome.FAVOURABLE
    # DPB1 left out of the aggregate; the rest is certain but for the two-field names.
    assert detail_of(details, nomenclature, patient, donor, FIVE[:1]).overall in (
        OverallCategory.EXACT,
        OverallCategory.DEFINITE,
    )
    other = detail_of(
        details, nomenclature, patient, donor.replace("DPB1*04:02", "DPB1*09:01"), DPB1_TOO
    )
    assert other.overall is OverallCategory.MISMATCH


def test_genotype_lists_are_never_surer_than_potential(nomenclature: Nomenclature) -> None:
    details = PairDetails(nomenclature, {})
    patient = "A*01:01:01:01+A*02:01:01:01"
    found = detail_of(
        details, nomenclature, patient, f"{patient}|A*01:02+A*02:05", parse_loci("A")
    ).loci[Locus.A]
    assert found.graded.confidences == (Confidence.POTENTIAL, Confidence.POTENTIAL)
    assert found.domains == (None, None)
    sure = detail_of(details, nomenclature, patient, f"{patient}|{patient}", parse_loci("A"))
    assert sure.loci[Locus.A].graded.confidences == (Confidence.DEFINITE, Confidence.DEFINITE)


def test_untyped_loci_and_no_proteins(nomenclature: Nomenclature) -> None:
    details = PairDetails(nomenclature, {})
    found = detail_of(details, nomenclature, "A*01:01+A*02:01", "A*01:01+A*02:01", FIVE)
    assert found.leaders is None and found.expression is None
    assert found.overall is OverallCategory.POTENTIAL
    assert found.loci[Locus.DPB1].category is LocusCategory.UNKNOWN
    known = details.of(
        parse_typing("B*07:02+B*44:02"), parse_typing("B*07:02+B*35:01"), TceCategory.UNTYPED, FIVE
    )
    assert known.leaders is not None and known.leaders.from_family
    assert known.leaders.leader_matched is True
