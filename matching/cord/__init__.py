"""Cord blood units: matching rules, grafts of two units, non-inherited maternal antigens."""

from matching.cord.double import DoubleRule, DoubleUnits, Units, double_units
from matching.cord.nima import (
    NimaMatch,
    nima_matches,
    nima_preference,
    nima_text,
)
from matching.cord.rules import CordRule, cord_criteria

__all__ = [
    "CordRule",
    "DoubleRule",
    "DoubleUnits",
    "NimaMatch",
    "Units",
    "cord_criteria",
    "double_units",
    "nima_matches",
    "nima_preference",
    "nima_text",
]
