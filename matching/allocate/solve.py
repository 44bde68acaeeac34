"""Level after level: the best plan, its bound, and what the next level may give up of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from matching.allocate.flow import Proof
from matching.allocate.problem import (
    DEFAULT_EFFORT,
    DEFAULT_OBJECTIVES,
    UNALLOCATED,
    AllocationProblem,
    Effort,
    Int64s,
    Objective,
    Objectives,
    least,
)
from matching.allocate.space import Floors, Found, Space


class Status(Enum):
    """What is known of a solution."""

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"


@dataclass(frozen=True)
class Level:
    """One objective.

    `best`: the highest value found while the floors of the levels above hold. `bound`: no such plan
    has more. `least`: the floor that this level sets to those below. `reached`: by the final plan.
    """

    objective: Objective
    best: int
    bound: int
    least: int
    reached: int

    @property
    def status(self) -> Status:
        return Status.OPTIMAL if self.best == self.bound else Status.FEASIBLE

    @property
    def gap(self) -> float:
        """What may be missing to the optimum, as a share of the bound, in [0, 1]."""
        return (self.bound - self.best) / self.bound if self.bound else 0.0


@dataclass(frozen=True)
class AllocationSolution:
    """A plan, and how good it is.

    `edge_of`: (n_patients,) int64 position of the allocated edge, `UNALLOCATED` where none.
    `donor_of`, `second_of`: (n_patients,) int64 positions of the allocated units, likewise.
    `levels`: in the order of `Objective`. `n_components`: connected components with a usable edge.
    `proof`: prices that prove the level of utility, where only donors and the number of recipients
    are limited; its allocation is the best of that level, before stability.
    """

    edge_of: Int64s
    donor_of: Int64s
    second_of: Int64s
    levels: tuple[Level, ...]
    n_components: int
    proof: Proof | None

    def level(self, objective: Objective) -> Level:
        return next(level for level in self.levels if level.objective is objective)

    @property
    def status(self) -> Status:
        optimal = all(level.status is Status.OPTIMAL for level in self.levels)
        return Status.OPTIMAL if optimal else Status.FEASIBLE

    @property
    def objective(self) -> int:
        """Urgency-weighted utility of the plan."""
        return self.level(Objective.UTILITY).reached

    @property
    def bound(self) -> int:
        """No plan that serves as many as it must has more urgency-weighted utility."""
        return self.level(Objective.UTILITY).bound


def allocate(
    problem: AllocationProblem,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    effort: Effort = DEFAULT_EFFORT,
) -> AllocationSolution:
    """The best plan: recipients served, then fairness if asked for, then utility, then stability.

    Each level is at its best under the floors of those above it; stability counts only where there
    is a plan of yesterday, and of plans equal in it the one of highest utility is taken. Of several
    best plans without side constraints and before stability, the one that gives the first patient
    the earliest possible donor (any before none), then the second patient, and so on, unless the
    number of recipients binds. The answer depends on the order of patients and donors, not on that
    of the edges or the number of threads. Raises `AllocationError` if a solver fails.
    """
    space = Space(problem, effort)
    floors = Floors()
    levels: list[tuple[Objective, int, int, int]] = []

    def settle(objective: Objective, found: Found, share: float) -> int:
        best = space.value(objective, found.chosen)
        levels.append((objective, best, max(best, found.bound), least(best, share)))
        return levels[-1][-1]

    found = space.most_served()
    floors = replace(floors, served=settle(Objective.RECIPIENTS, found, objectives.recipients))
    if objectives.fairness is not None:
        found = space.fairest(floors, found)
        share = settle(Objective.FAIRNESS, found, objectives.fairness)
        floors = replace(floors, of_group=space.group_floors(share))
    found = space.heaviest(floors, found)
    proof = found.proof
    floors = replace(floors, weight=settle(Objective.UTILITY, found, objectives.utility))
    if space.kept.any():
        found = space.steadiest(floors, found)
        settle(Objective.STABILITY, found, 0)
    edge_of = np.full(len(problem.patients), UNALLOCATED)
    edge_of[space.patient[found.chosen]] = space.edges[found.chosen]
    return AllocationSolution(
        edge_of,
        np.where(edge_of < 0, UNALLOCATED, np.append(problem.donor, UNALLOCATED)[edge_of]),
        np.where(edge_of < 0, UNALLOCATED, np.append(problem.second, UNALLOCATED)[edge_of]),
        tuple(
            Level(objective, best, bound, floor, space.value(objective, found.chosen))
            for objective, best, bound, floor in levels
        ),
        space.n_components,
        proof,
    )


def heaviest_with(
    problem: AllocationProblem, solution: AllocationSolution, edge: int, effort: Effort
) -> int | None:
    """Most urgency-weighted utility of plans with this usable edge, under the floors of `solution`.

    None where there is no such plan, or none was found.
    """
    floors = Floors()
    units = [unit for unit in (problem.donor[edge], problem.second[edge]) if unit != UNALLOCATED]
    patient = problem.patient[edge]
    limits = tuple(
        replace(
            limit,
            most=limit.most - (patient in limit.patients) - sum(u in limit.donors for u in units),
        )
        for limit in problem.limits
    )
    if any(limit.most < 0 for limit in limits):
        return None
    keep = problem.patient != patient
    for unit in units:
        keep &= (problem.donor != unit) & (problem.second != unit)
    rest = Space(problem.with_edges(keep, limits), effort)
    for level in solution.levels:
        if level.objective is Objective.RECIPIENTS:
            floors = replace(floors, served=max(0, level.least - 1))
        elif level.objective is Objective.FAIRNESS:
            of_group = Space(problem, effort).group_floors(level.least)
            of_group[problem.ancestry[patient]] -= 1
            floors = replace(floors, of_group=np.maximum(0, of_group))
    choice = rest.best_under(rest.weight, floors, None)
    if choice is None or choice.chosen is None:
        return None
    return int(rest.weight[choice.chosen].sum() + problem.weight[edge])
