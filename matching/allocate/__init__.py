"""Patients and scarce donors in, one plan out, with its bound, its proof and its reasons."""

from matching.allocate.explain import (
    Explanation,
    Obstacle,
    Reason,
    backups,
    explanations,
    obstacles,
    one_more_like,
)
from matching.allocate.problem import (
    DEFAULT_EFFORT,
    DEFAULT_OBJECTIVES,
    MOST_URGENT,
    NO_DEADLINE,
    UNALLOCATED,
    UTILITY_LIMIT,
    AllocationProblem,
    Effort,
    Limit,
    Objective,
    Objectives,
    weekly_limits,
)
from matching.allocate.solve import AllocationSolution, Level, Status, allocate
from matching.allocate.utility import DEFAULT_POINTS, Points, utility

__all__ = [
    "DEFAULT_EFFORT",
    "DEFAULT_OBJECTIVES",
    "DEFAULT_POINTS",
    "MOST_URGENT",
    "NO_DEADLINE",
    "UNALLOCATED",
    "UTILITY_LIMIT",
    "AllocationProblem",
    "AllocationSolution",
    "Effort",
    "Explanation",
    "Level",
    "Limit",
    "Objective",
    "Objectives",
    "Obstacle",
    "Points",
    "Reason",
    "Status",
    "allocate",
    "backups",
    "explanations",
    "obstacles",
    "one_more_like",
    "utility",
    "weekly_limits",
]
