"""Two positions -> grade, confidence and antigen match."""

from __future__ import annotations

from matching.grade.facts import PositionFacts
from matching.grade.values import DEFAULT_OPTIONS, Confidence, Grade, GradeOptions
from matching.serology import Subtype

_LEVELS = (Grade.GDNA, Grade.CDNA, Grade.PROTEIN)
_NULL_LEVELS = (Grade.NULL_GDNA, Grade.NULL_CDNA, Grade.NULL_PARTIAL)


def grade_positions(patient: PositionFacts, donor: PositionFacts) -> Grade:
    """Grade of a patient position against a donor position; swapping them changes nothing (R10).

    A single name stands for the best pair of its alleles; every other form reaches GGroup at
    best. A new allele matches nothing, another new one included.
    """
    unnamed = [side.unnamed for side in (patient, donor) if side.unnamed is not None]
    if unnamed:
        return min(unnamed, key=lambda grade: grade.rank)
    if patient.silent != donor.silent:
        return Grade.EXPRESSING_VS_NULL
    if patient.serology or donor.serology:
        return _serological(patient, donor)
    if patient.silent or (patient.single and donor.single):
        grades = _NULL_LEVELS if patient.silent else _LEVELS
        for grade, ours, theirs in zip(grades, patient.levels, donor.levels, strict=True):
            if ours & theirs:
                return grade
    if patient.silent:
        return Grade.NULL_MISMATCH
    if patient.g_groups & donor.g_groups:
        return Grade.G_GROUP
    return Grade.P_GROUP if patient.p_groups & donor.p_groups else Grade.MISMATCH


_SPLIT_PAIRS = {frozenset({s, Subtype.ASSOCIATED}) for s in (Subtype.SPLIT, Subtype.NOT_SPLIT)}
_BROAD_PAIRS = {frozenset({Subtype.BROAD, s}) for s in (Subtype.SPLIT, Subtype.ASSOCIATED)}


def _serological(patient: PositionFacts, donor: PositionFacts) -> Grade:
    """Grade of two sides of which at least one is serology.

    As in the public reference engine, subtypes are looked up in the whole set of a side: B*40:05
    (4005 and 40) against B61 is Split, since one of its antigens is associated and B61 a split.
    """
    same = {patient.direct[name] for name in patient.direct.keys() & donor.direct.keys()}
    related = _related(patient, donor) | _related(donor, patient)
    if Subtype.ASSOCIATED in same:
        return Grade.ASSOCIATED
    if same & {Subtype.SPLIT, Subtype.NOT_SPLIT} or related & _SPLIT_PAIRS:
        return Grade.SPLIT
    return Grade.BROAD if Subtype.BROAD in same or related & _BROAD_PAIRS else Grade.MISMATCH


def _related(first: PositionFacts, second: PositionFacts) -> set[frozenset[Subtype]]:
    """Subtypes of `first` with those of the antigens of `second` that it matches indirectly."""
    reached = {second.direct[name] for name in first.indirect.keys() & second.direct.keys()}
    return {frozenset({own, other}) for own in first.direct.values() for other in reached}


def confidence_positions(patient: PositionFacts, donor: PositionFacts) -> Confidence:
    """Confidence of a patient position against a donor position (R11), symmetric.

    Give a null its expressing partner first, see `homozygous`.
    """
    unnamed = {patient.unnamed, donor.unnamed} - {None}
    if unnamed:
        return Confidence.MISMATCH if Grade.MISMATCH in unnamed else Confidence.POTENTIAL
    if patient.serology or donor.serology:
        matched = _reaches(patient, donor) or _reaches(donor, patient)
        return Confidence.POTENTIAL if matched else Confidence.MISMATCH
    if not (patient.p_groups & donor.p_groups or (patient.silent and donor.silent)):
        return Confidence.MISMATCH
    if patient.definite and donor.definite:
        return Confidence.DEFINITE
    exact = len(patient.p_groups) == 1 == len(donor.p_groups)
    return Confidence.EXACT if exact else Confidence.POTENTIAL


def _reaches(first: PositionFacts, second: PositionFacts) -> bool:
    """Whether an antigen of `first`, or one that matches it, is an antigen of `second`."""
    return any(name in first.direct or name in first.indirect for name in second.direct)


def antigen_match(
    patient: PositionFacts, donor: PositionFacts, options: GradeOptions = DEFAULT_OPTIONS
) -> bool | None:
    """Whether a patient position matches the antigen of a donor position (R9).

    None where a side expresses nothing, is new or is untyped.
    """
    if patient.silent or donor.silent or patient.unnamed or donor.unnamed:
        return None
    if patient.p_groups & donor.p_groups or _reaches(patient, donor):
        return True
    return options.donor_indirect_antigens and _reaches(donor, patient)


def homozygous(first: PositionFacts, second: PositionFacts) -> tuple[PositionFacts, PositionFacts]:
    """Both positions with a written null replaced by its expressing partner (R3c)."""
    if first.null == second.null:
        return first, second
    return (second, second) if first.null else (first, first)
