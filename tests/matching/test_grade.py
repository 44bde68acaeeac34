"""Grades, confidences, antigen matches and categories: rules R3 and R9 to R13 with examples."""

from __future__ import annotations

import random
from itertools import product

import pytest

from matching.errors import UnknownNameError
from matching.grade import (
    Confidence,
    Grade,
    GradedLocus,
    GradeOptions,
    Grader,
    LocusCategory,
    Orientation,
    OrientationKey,
    OverallCategory,
    PositionFacts,
    antigen_match,
    confidence_positions,
    grade_locus,
    grade_positions,
    locus_category,
    overall_category,
    read_position,
)
from matching.loci import Locus
from matching.nomenclature import Allele, Nomenclature, split_name
from matching.serology import Subtype
from matching.typings import Form, LocusTyping, Position, parse_locus, parse_position

MOLECULAR = {Grade.GDNA, Grade.CDNA, Grade.PROTEIN, Grade.G_GROUP, Grade.P_GROUP}
MISMATCH, POTENTIAL, EXACT, DEFINITE = Confidence
DEFAULT = GradeOptions()


def facts(release: Nomenclature, gene: str, text: str) -> PositionFacts:
    return read_position(parse_position(gene, text), release)


def compared(
    release: Nomenclature,
    locus: Locus,
    patient: str,
    donor: str,
    options: GradeOptions = DEFAULT,
) -> GradedLocus:
    return grade_locus(
        locus, parse_locus(locus, patient), parse_locus(locus, donor), release, options
    )


def graded(
    locus: Locus, grades: tuple[Grade, Grade], confidences: tuple[Confidence, Confidence]
) -> GradedLocus:
    return GradedLocus(locus, grades, confidences, (None, None))


@pytest.mark.parametrize(
    ("gene", "patient", "donor", "grade", "confidence"),
    [
        ("B", "35:01:01:01", "35:01:01:01", Grade.GDNA, DEFINITE),
        ("B", "35:01:01:01", "35:01:01:02", Grade.CDNA, DEFINITE),
        ("B", "35:01:01:01", "35:01:02", Grade.PROTEIN, DEFINITE),
        ("B", "35:01:01:01", "35:336", Grade.G_GROUP, DEFINITE),
        ("B", "35:01:01:01", "35:330", Grade.P_GROUP, DEFINITE),
        ("DRB1", "13:01:01:01", "13:01:22", Grade.P_GROUP, DEFINITE),
        ("B", "35:01", "35:01:01:02", Grade.GDNA, EXACT),
        ("B", "35:01/35:02", "35:01:01:01", Grade.G_GROUP, POTENTIAL),
        ("B", "35:01:01G", "35:01:01:01", Grade.G_GROUP, EXACT),
        ("B", "35:01P", "35:01:01:01", Grade.G_GROUP, EXACT),
        # One allele is left once the null is dropped, yet the string was ambiguous.
        ("A", "01:01:01:01/01:01:01:02N", "01:01:01:01", Grade.G_GROUP, EXACT),
        ("B", "35:XX", "35:01:01:01", Grade.G_GROUP, POTENTIAL),
        ("B", "35:XX", "35:XX", Grade.G_GROUP, POTENTIAL),
        ("B", "35:01", "08:01", Grade.MISMATCH, MISMATCH),
        ("A", "74:01", "02:XX", Grade.MISMATCH, MISMATCH),
        # Two new alleles need not be the same one.
        ("A", "NEW", "NEW", Grade.MISMATCH, MISMATCH),
        ("A", "NEW", "A1", Grade.MISMATCH, MISMATCH),
        ("A", "NEW", "01:01N", Grade.MISMATCH, MISMATCH),
    ],
)
def test_molecular_positions(
    nomenclature: Nomenclature,
    gene: str,
    patient: str,
    donor: str,
    grade: Grade,
    confidence: Confidence,
) -> None:
    a, b = facts(nomenclature, gene, patient), facts(nomenclature, gene, donor)
    assert grade_positions(a, b) is grade and confidence_positions(a, b) is confidence
    assert grade_positions(b, a) is grade and confidence_positions(b, a) is confidence


@pytest.mark.parametrize(
    ("gene", "patient", "donor", "grade", "matched"),
    [
        ("B", "B3901", "B3901", Grade.ASSOCIATED, True),
        ("B", "B39", "B39", Grade.SPLIT, True),
        ("B", "B8", "B8", Grade.SPLIT, True),
        ("B", "B39", "B3901", Grade.SPLIT, True),
        ("B", "B16", "B16", Grade.BROAD, True),
        ("B", "B16", "B38", Grade.BROAD, True),
        ("B", "B3901", "B16", Grade.BROAD, True),
        ("B", "B21", "B4005", Grade.BROAD, True),
        ("B", "B38", "B39", Grade.MISMATCH, False),
        ("B", "B3901", "B3902", Grade.MISMATCH, False),
        # Cw11 is deleted and identical to Cw1.
        ("C", "Cw11", "Cw1", Grade.SPLIT, True),
        ("B", "38:09", "B39", Grade.BROAD, True),
        ("B", "15:271", "B70", Grade.BROAD, True),
        ("B", "38:01", "B39", Grade.MISMATCH, False),
        ("B", "40:05", "B61", Grade.SPLIT, True),
        ("C", "12:02", "Cw3", Grade.MISMATCH, False),
    ],
)
def test_serological_positions(
    nomenclature: Nomenclature, gene: str, patient: str, donor: str, grade: Grade, matched: bool
) -> None:
    a, b = facts(nomenclature, gene, patient), facts(nomenclature, gene, donor)
    confidence = POTENTIAL if matched else MISMATCH
    for ours, theirs in ((a, b), (b, a)):
        assert grade_positions(ours, theirs) is grade
        assert confidence_positions(ours, theirs) is confidence
        assert antigen_match(ours, theirs) is matched


@pytest.mark.parametrize(
    ("gene", "patient", "donor", "matched"),
    [
        ("A", "02:01", "02:02", True),
        ("A", "02:01", "03:01", False),
        ("A", "74:01", "02:XX", True),
        # Without serology only the P group counts.
        ("C", "16:58", "16:01", True),
        ("C", "16:58", "16:06", False),
        ("B", "83:01", "83:01", True),
        ("DPB1", "04:01", "04:02", False),
        ("A", "01:01N", "01:01", None),
        ("A", "NEW", "01:01", None),
    ],
)
def test_antigens_of_alleles(
    nomenclature: Nomenclature, gene: str, patient: str, donor: str, matched: bool | None
) -> None:
    a, b = facts(nomenclature, gene, patient), facts(nomenclature, gene, donor)
    assert antigen_match(a, b) is matched


def test_indirect_antigens_of_the_donor_are_an_option() -> None:
    patient = PositionFacts(serology=True, direct={"A1": Subtype.NOT_SPLIT})
    donor = PositionFacts(
        serology=True,
        direct={"A36": Subtype.NOT_SPLIT},
        indirect={"A1": Subtype.NOT_SPLIT},
    )
    assert antigen_match(patient, donor) is False
    assert antigen_match(donor, patient) is True
    assert antigen_match(patient, donor, GradeOptions(donor_indirect_antigens=True)) is True
    assert confidence_positions(patient, donor) is confidence_positions(donor, patient) is POTENTIAL


def status_level(patient: Allele, donor: Allele) -> Grade:
    """Grade of two single alleles, word by word from R10."""
    full = patient.sequence == donor.sequence == "Full"
    ours, theirs = split_name(patient.name)[1], split_name(donor.name)[1]
    nulls = [allele.p_group is None for allele in (patient, donor)]
    if all(nulls):
        if patient.name != donor.name:
            return Grade.NULL_MISMATCH
        if not full:
            return Grade.NULL_PARTIAL
        return Grade.NULL_GDNA if patient.dna == "gDNA" else Grade.NULL_CDNA
    if any(nulls):
        return Grade.EXPRESSING_VS_NULL
    if full and patient.name == donor.name:
        return Grade.GDNA if patient.dna == "gDNA" else Grade.CDNA
    if full and len(ours) > 2 and len(theirs) > 2 and ours[:3] == theirs[:3]:
        return Grade.CDNA
    if full and ours[:2] == theirs[:2]:
        return Grade.PROTEIN
    if patient.g_group == donor.g_group:
        return Grade.G_GROUP
    return Grade.P_GROUP if patient.p_group == donor.p_group else Grade.MISMATCH


def some_names(nomenclature: Nomenclature, gene: str, n: int) -> list[str]:
    """Names of one to three of the alleles' fields beyond the first, nulls among them."""
    chooser = random.Random(gene)
    alleles = [a.name for a in nomenclature.alleles if a.name.startswith(f"{gene}*")]
    family = chooser.choice(alleles).partition(":")[0]
    alleles = [name for name in alleles if name.startswith(f"{family}:")]
    names = []
    for name in chooser.choices(alleles, k=n):
        owner, fields, suffix = split_name(name)
        kept = chooser.randint(2, 4)
        written = f"{owner}*{':'.join(fields[:kept])}"
        names.append(name if len(fields) <= kept else written + chooser.choice(["", suffix]))
    return names


@pytest.mark.parametrize("gene", ["A", "B", "C", "DRB1", "DQB1", "DPB1"])
def test_a_name_stands_for_its_best_pair_of_alleles(nomenclature: Nomenclature, gene: str) -> None:
    positions = [
        Position(Form.ALLELE, (name,)) for name in dict.fromkeys(some_names(nomenclature, gene, 40))
    ]
    for patient, donor in product(positions, repeat=2):
        pairs = product(
            *(
                [
                    nomenclature.alleles[i]
                    for i in nomenclature.expressing(nomenclature.read(side.names[0]).alleles)
                ]
                for side in (patient, donor)
            )
        )
        best = max((status_level(*pair) for pair in pairs), key=lambda grade: grade.rank)
        a, b = (read_position(side, nomenclature) for side in (patient, donor))
        assert grade_positions(a, b) is best, (patient.text, donor.text)


@pytest.mark.parametrize("gene", ["A", "B", "C", "DRB1", "DQB1", "DPB1"])
def test_random_pairs_obey_the_rules(nomenclature: Nomenclature, gene: str) -> None:
    grader, chooser = Grader(nomenclature), random.Random(gene)
    locus = Locus(gene)
    names = some_names(nomenclature, gene, 300)
    positions = [Position(Form.ALLELE, (name,)) for name in names]
    pairs = zip(names[::2], names[1::2], strict=True)
    positions += [Position(Form.STRING, pair) for pair in pairs if pair[0] != pair[1]]
    for _ in range(500):
        p1, p2, d1, d2 = chooser.choices(positions, k=4)
        forward = grader.locus(locus, LocusTyping(p1, p2), LocusTyping(d1, d2))
        back = grader.locus(locus, LocusTyping(d1, d2), LocusTyping(p1, p2))
        assert sorted(g.rank for g in forward.grades) == sorted(g.rank for g in back.grades)
        own = grader.locus(locus, LocusTyping(p1, p2), LocusTyping(p2, p1))
        assert not {Grade.MISMATCH, Grade.NULL_MISMATCH} & set(own.grades)
        assert MISMATCH not in own.confidences and False not in own.antigen_match
        assert own.orientation is Orientation.CROSS or own.decided_by is OrientationKey.EQUAL
        a, b = grader.facts(p1), grader.facts(d1)
        meets = bool(a.p_groups & b.p_groups)
        if a.p_groups and b.p_groups:
            assert (grade_positions(a, b) in MOLECULAR) == meets
            assert (confidence_positions(a, b) is not MISMATCH) == meets


@pytest.mark.parametrize(
    ("locus", "patient", "donor", "grades", "confidences"),
    [
        # The partner of a null is compared with both positions of a homozygous person.
        ("C", "01:02+02:52N", "01:02+01:02", (Grade.GDNA, Grade.EXPRESSING_VS_NULL), None),
        (
            "C",
            "01:10+02:52N",
            "01:02+01:02",
            (Grade.MISMATCH, Grade.EXPRESSING_VS_NULL),
            (MISMATCH, MISMATCH),
        ),
        (
            "A",
            "01:01:01:01+02:01:01:02L",
            "01:01:01:02N+02:01:01:02L",
            (Grade.EXPRESSING_VS_NULL, Grade.GDNA),
            (MISMATCH, DEFINITE),
        ),
        (
            "A",
            "01:01:01:02N+02:01:01:02L",
            "03:01:01:02N+02:01:01:02L",
            (Grade.NULL_MISMATCH, Grade.GDNA),
            (DEFINITE, DEFINITE),
        ),
        (
            "A",
            "01:01:01:02N+02:01:01:02L",
            "02:01:01:02L+01:01:01:02N",
            (Grade.GDNA, Grade.NULL_GDNA),
            (DEFINITE, DEFINITE),
        ),
        # A null inside a string or behind a shorter name is dropped, not scored.
        (
            "A",
            "01:01:01+02:01:01:02L",
            "01:01:01:02N/01:09:01:01+02:01:01:02L",
            (Grade.MISMATCH, Grade.GDNA),
            (MISMATCH, DEFINITE),
        ),
        (
            "A",
            "01:XX+02:01:01:02L",
            "01:01N+02:01:01:02L",
            (Grade.EXPRESSING_VS_NULL, Grade.GDNA),
            (MISMATCH, DEFINITE),
        ),
        (
            "A",
            "02:01+01:01N",
            "A2+A2",
            (Grade.SPLIT, Grade.EXPRESSING_VS_NULL),
            (POTENTIAL, POTENTIAL),
        ),
        # 01:04 has null alleles only, yet no N was written: its partner does not replace it.
        (
            "A",
            "01:04+02:01:01:01",
            "02:01:01:01+02:01:01:01",
            (Grade.EXPRESSING_VS_NULL, Grade.GDNA),
            (MISMATCH, DEFINITE),
        ),
        # The deleted 01:34N is identical to the expressing 01:01:38L, and 03:260 to 03:284N.
        (
            "A",
            "01:34N+02:01:01:01",
            "01:01:38L+02:01:01:01",
            (Grade.GDNA, Grade.GDNA),
            (DEFINITE, DEFINITE),
        ),
        (
            "A",
            "03:260+02:01:01:01",
            "03:01+02:01:01:01",
            (Grade.EXPRESSING_VS_NULL, Grade.GDNA),
            (MISMATCH, DEFINITE),
        ),
    ],
)
def test_nulls(
    nomenclature: Nomenclature,
    locus: str,
    patient: str,
    donor: str,
    grades: tuple[Grade, Grade],
    confidences: tuple[Confidence, Confidence] | None,
) -> None:
    found = compared(nomenclature, Locus(locus), patient, donor)
    assert found.grades == grades
    if confidences is not None:
        assert found.confidences == confidences
    else:
        assert MISMATCH not in found.confidences


def test_a_code_that_ends_in_n_is_no_null() -> None:
    release = Nomenclature(
        "3.0.0",
        True,
        (Allele("A*01:01N", None, "A*01:01N", "Full", "gDNA", "0;;;", "", ""),),
        {},
        codes={"AN": ("01:01N",)},
    )
    assert facts(release, "A", "01:01N").null and not facts(release, "A", "01:AN").null
    assert facts(release, "A", "01:AN").silent


def test_null_antigens(nomenclature: Nomenclature) -> None:
    both = compared(nomenclature, Locus.A, "01:01N+03:01N", "02:01+02:01")
    assert both.antigen_match == (None, None) and both.confidences == (MISMATCH, MISMATCH)
    one = compared(nomenclature, Locus.A, "02:02+01:01N", "02:01+02:01")
    assert one.antigen_match == (True, True)
    assert compared(nomenclature, Locus.A, "03:01+01:01N", "02:01+02:01").antigen_match == (
        False,
        False,
    )


def test_orientation_is_that_of_the_better_grades(nomenclature: Nomenclature) -> None:
    """Patient 51,38 against donor 38,52: results stand at donor positions (R12)."""
    found = compared(nomenclature, Locus.B, "B51+B38", "B38+B52")
    assert found.grades == (Grade.SPLIT, Grade.MISMATCH)
    assert found.confidences == (POTENTIAL, MISMATCH) and found.antigen_match == (True, False)
    assert found.orientation is Orientation.CROSS and found.decided_by is OrientationKey.GRADE
    by_patient = compared(
        nomenclature, Locus.B, "B51+B38", "B38+B52", GradeOptions(by_patient=True)
    )
    assert by_patient.grades == (Grade.MISMATCH, Grade.SPLIT)
    assert by_patient.confidences == (MISMATCH, POTENTIAL)
    assert by_patient.antigen_match == (False, True)
    assert by_patient.orientation is Orientation.CROSS


def test_orientation_is_refined(nomenclature: Nomenclature) -> None:
    by_confidence = compared(nomenclature, Locus.A, "01:01:01G+01:XX", "01:XX+01:01:01G")
    assert by_confidence.grades == (Grade.G_GROUP, Grade.G_GROUP)
    assert by_confidence.confidences == (POTENTIAL, EXACT)
    assert by_confidence.decided_by is OrientationKey.CONFIDENCE
    by_antigen = compared(nomenclature, Locus.A, "02:01+24:02", "24:03+02:05")
    assert by_antigen.grades == (Grade.MISMATCH, Grade.MISMATCH)
    assert by_antigen.antigen_match == (True, True)
    assert by_antigen.decided_by is OrientationKey.ANTIGEN
    equal = compared(nomenclature, Locus.A, "01:01+02:01", "01:01+01:01")
    assert equal.grades == (Grade.GDNA, Grade.MISMATCH)
    assert equal.orientation is Orientation.DIRECT and equal.decided_by is OrientationKey.EQUAL


@pytest.mark.parametrize(
    ("locus", "grade", "category"),
    [
        (Locus.C, Grade.P_GROUP, LocusCategory.MATCH),
        (Locus.DPB1, Grade.UNKNOWN, LocusCategory.UNKNOWN),
    ],
)
def test_untyped(
    nomenclature: Nomenclature, locus: Locus, grade: Grade, category: LocusCategory
) -> None:
    typed = parse_locus(locus, "04:01+04:02")
    for patient, donor in ((None, typed), (typed, None), (None, None)):
        found = grade_locus(locus, patient, donor, nomenclature)
        assert found.grades == (grade, grade) and found.confidences == (POTENTIAL, POTENTIAL)
        assert found.antigen_match == (None, None) and locus_category(found) is category
    half = compared(nomenclature, locus, "UUUU+04:01", "UUUU+04:01")
    assert grade in half.grades and POTENTIAL in half.confidences
    assert None in half.antigen_match


def test_absent_copies_of_drb345(nomenclature: Nomenclature) -> None:
    found = compared(
        nomenclature, Locus.DRB345, "DRBX*NNNN+DRB3*01:01:02:01", "DRB3*01:01:02:01+DRBX*NNNN"
    )
    assert found.grades == (Grade.GDNA, Grade.NULL_GDNA)
    assert found.confidences == (DEFINITE, DEFINITE)
    other = compared(nomenclature, Locus.DRB345, "DRBX*NNNN+DRB3*01:01", "DRB3*02:02+DRB3*01:01")
    assert other.grades[0] is Grade.EXPRESSING_VS_NULL and other.confidences[0] is MISMATCH


def test_locus_categories(nomenclature: Nomenclature) -> None:
    def category(locus: Locus, patient: str, donor: str, tce: bool | None) -> LocusCategory:
        return locus_category(compared(nomenclature, locus, patient, donor), tce)

    assert category(Locus.C, "01:02+02:52N", "01:02+01:02", None) is LocusCategory.MATCH
    assert category(Locus.C, "01:10+02:52N", "01:02+01:02", None) is LocusCategory.MISMATCH
    assert category(Locus.C, "01:02+07:02", "01:02+03:03", True) is LocusCategory.MISMATCH
    nulls = (Locus.A, "01:01N+02:01", "03:01:01:02N+02:01")
    assert category(*nulls, None) is LocusCategory.MISMATCH
    mismatch = (Locus.DPB1, "04:01+04:02", "04:01+02:01")
    assert category(*mismatch, True) is LocusCategory.PERMISSIVE_MISMATCH
    assert category(*mismatch, False) is LocusCategory.MISMATCH
    assert category(*mismatch, None) is LocusCategory.UNKNOWN
    assert category(Locus.DPB1, "04:01+04:02", "04:02+04:01", False) is LocusCategory.MATCH


def test_overall_category() -> None:
    exact = graded(Locus.A, (Grade.GDNA, Grade.P_GROUP), (DEFINITE, EXACT))
    untyped = graded(Locus.C, (Grade.P_GROUP, Grade.P_GROUP), (POTENTIAL, POTENTIAL))
    mismatched = graded(Locus.B, (Grade.GDNA, Grade.MISMATCH), (DEFINITE, MISMATCH))
    against_null = graded(Locus.B, (Grade.EXPRESSING_VS_NULL, Grade.GDNA), (MISMATCH, DEFINITE))
    dpb1 = graded(Locus.DPB1, (Grade.GDNA, Grade.MISMATCH), (DEFINITE, MISMATCH))
    without = GradeOptions(dpb1_in_overall=False)

    assert overall_category([exact]) is OverallCategory.EXACT
    assert overall_category([exact, untyped]) is OverallCategory.POTENTIAL
    assert overall_category([exact, mismatched]) is OverallCategory.MISMATCH
    assert overall_category([exact, untyped, dpb1], True) is OverallCategory.PERMISSIVE_MISMATCH
    for tce in (False, None):
        assert overall_category([exact, dpb1], tce) is OverallCategory.MISMATCH
    # DPB1 has to be the sole mismatch, also beside one that hides behind a null.
    for other in (mismatched, against_null):
        assert overall_category([other, dpb1], True) is OverallCategory.MISMATCH
    assert overall_category([exact, dpb1], True, without) is OverallCategory.EXACT
    with pytest.raises(ValueError, match="at least one locus"):
        overall_category([dpb1], True, without)


def test_the_order_of_grades() -> None:
    """The order of R10 by which orientations are compared, low to high."""
    order = """Mismatch ExpressingVsNull Broad Split Associated NullMismatch NullPartial NullCDna
        NullGDna PGroup GGroup Protein CDna GDna Unknown"""
    assert [grade.value for grade in sorted(Grade, key=lambda g: g.rank)] == order.split()
    assert MISMATCH.rank < POTENTIAL.rank < EXACT.rank < DEFINITE.rank


def test_a_grader_reads_a_position_once(nomenclature: Nomenclature) -> None:
    grader = Grader(nomenclature)
    written = parse_position("A", "01:01")
    assert grader.facts(written) is grader.facts(parse_position("A", "A*01:01"))
    with pytest.raises(UnknownNameError, match="unknown in release"):
        grader.facts(parse_position("A", "01:9999"))
