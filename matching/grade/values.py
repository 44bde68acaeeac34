"""Grades, confidences, orientations and categories as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class _Ranked(Enum):
    """`rank`: place in the order of definition, 0 lowest."""

    rank: int

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)

    # Members are compared by identity; that of Enum hashes the name in Python, each time.
    __hash__ = object.__hash__


class Grade(_Ranked):
    """What two positions share (R10), in the order by which orientations are compared.

    Unknown is no evidence of a match: it stands highest for that comparison only.
    """

    MISMATCH = "Mismatch"
    EXPRESSING_VS_NULL = "ExpressingVsNull"
    BROAD = "Broad"
    SPLIT = "Split"
    ASSOCIATED = "Associated"
    NULL_MISMATCH = "NullMismatch"
    NULL_PARTIAL = "NullPartial"
    NULL_CDNA = "NullCDna"
    NULL_GDNA = "NullGDna"
    P_GROUP = "PGroup"
    G_GROUP = "GGroup"
    PROTEIN = "Protein"
    CDNA = "CDna"
    GDNA = "GDna"
    UNKNOWN = "Unknown"


class Confidence(_Ranked):
    """How certain a match of two positions is (R11), least certain first."""

    MISMATCH = "Mismatch"
    POTENTIAL = "Potential"
    EXACT = "Exact"
    DEFINITE = "Definite"


class Orientation(Enum):
    """Which patient position is compared with which donor position."""

    DIRECT = "direct"  # first with first
    CROSS = "cross"  # first with second


class OrientationKey(Enum):
    """What decided between the two orientations (R12); EQUAL leaves the direct one."""

    GRADE = "grade"
    CONFIDENCE = "confidence"
    ANTIGEN = "antigen match"
    EQUAL = "equal"


class LocusCategory(Enum):
    """Category of a locus (R13)."""

    MATCH = "Match"
    PERMISSIVE_MISMATCH = "PermissiveMismatch"
    MISMATCH = "Mismatch"
    UNKNOWN = "Unknown"


class OverallCategory(Enum):
    """Category of a pair of people (R13)."""

    DEFINITE = "Definite"
    EXACT = "Exact"
    POTENTIAL = "Potential"
    PERMISSIVE_MISMATCH = "PermissiveMismatch"
    MISMATCH = "Mismatch"


@dataclass(frozen=True, slots=True)
class GradeOptions:
    """Where engines differ.

    `by_patient`: results are listed by patient positions, not by donor positions (R12).
    `dpb1_in_overall`: DPB1 counts in the overall confidence and category (R13).
    `donor_indirect_antigens`: an antigen match may also use what matches the donor's antigens
    indirectly (R9 uses indirect antigens of the patient alone).
    """

    by_patient: bool = False
    dpb1_in_overall: bool = True
    donor_indirect_antigens: bool = False


DEFAULT_OPTIONS = GradeOptions()
