"""Immunogenetic flags beyond the match count: one function a rule, each with its source."""

from matching.immunogenetics.expression import (
    Dpb1Expression,
    ExpressionMatch,
    ExpressionOutcome,
    Expressions,
    dpb1_expression,
)
from matching.immunogenetics.leader import (
    LEADER_ORDER,
    LeaderMatch,
    LeaderOutcome,
    LeaderResidue,
    Leaders,
    WrittenPairs,
    b_leader,
    leader_preference,
)
from matching.immunogenetics.single_mismatch import Direction
from matching.immunogenetics.tce import TceCategory, dpb1_tce

__all__ = [
    "LEADER_ORDER",
    "Direction",
    "Dpb1Expression",
    "ExpressionMatch",
    "ExpressionOutcome",
    "Expressions",
    "LeaderMatch",
    "LeaderOutcome",
    "LeaderResidue",
    "Leaders",
    "TceCategory",
    "WrittenPairs",
    "b_leader",
    "dpb1_expression",
    "dpb1_tce",
    "leader_preference",
]
