"""A plan of an allocation with its reasons, here or in another process."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from matching.allocate import (
    AllocationProblem,
    AllocationSolution,
    Effort,
    Explanation,
    Objectives,
    Obstacle,
    allocate,
    explanations,
    obstacles,
)

Plan = tuple[AllocationSolution, tuple[Explanation, ...], dict[int, Obstacle]]


def plan(
    problem: AllocationProblem,
    objectives: Objectives,
    firsts: npt.NDArray[np.int64],
    between: Callable[[], object] | None = None,
) -> Plan:
    """A plan, why patients get no better, and, by patient, why it lacks some of the edges `firsts`.

    `between`: as in `Effort`. Raises `AllocationError`.
    """
    effort = Effort() if between is None else Effort(between=between)
    solution = allocate(problem, objectives, effort)
    firsts = firsts[solution.donor_of[problem.patient[firsts]] != problem.donor[firsts]]
    patients = problem.patient[firsts].tolist()
    not_first = dict(zip(patients, obstacles(problem, solution, firsts), strict=True))
    return solution, explanations(problem, solution, effort), not_first
