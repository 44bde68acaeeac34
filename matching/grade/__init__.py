"""Two typings -> grades, confidences and antigen matches by position, and categories (R9 to R13).

A grade says how much of the sequence two positions share; a confidence says how certain a match
is that the typings leave open. Definitions: WMDA matching framework (Bochtler 2011, Bone Marrow
Transplant 46:338) and the rules named at each function.
"""

from matching.grade.facts import PositionFacts, read_position
from matching.grade.loci import GradedLocus, Grader, grade_locus, locus_category, overall_category
from matching.grade.positions import antigen_match, confidence_positions, grade_positions
from matching.grade.values import (
    Confidence,
    Grade,
    GradeOptions,
    LocusCategory,
    Orientation,
    OrientationKey,
    OverallCategory,
)

__all__ = [
    "Confidence",
    "Grade",
    "GradeOptions",
    "GradedLocus",
    "Grader",
    "LocusCategory",
    "Orientation",
    "OrientationKey",
    "OverallCategory",
    "PositionFacts",
    "antigen_match",
    "confidence_positions",
    "grade_locus",
    "grade_positions",
    "locus_category",
    "overall_category",
    "read_position",
]
