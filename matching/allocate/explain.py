"""Why a patient does not get its best candidate, what that would cost, and who stands by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from scipy.sparse import coo_array, csgraph

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
)
from matching.allocate.solve import AllocationSolution, allocate, heaviest_with
from matching.errors import AllocationError

# Of shortest paths: arcs of the first attempt, and rows of distances held in memory.
ARCS_PER_PATIENT = 8
SOURCES_AT_ONCE = 256
# Swaps whose cost needs a search of its own: so many are searched, in the order of patients.
MOST_SEARCHES = 50


class Reason(Enum):
    """Why a patient does not get its best candidate."""

    NO_CANDIDATE = "no candidate"
    DEADLINE_PASSED = "the deadline is past"
    NOT_AVAILABLE = "best candidate is not available"
    GIVEN_TO_ANOTHER = "best candidate given to another patient"
    LIMIT_REACHED = "a limit is reached"
    KEPT_YESTERDAY = "keeps yesterday's donor"
    OTHER_PLAN = "the plan as a whole is better without"


@dataclass(frozen=True)
class Explanation:
    """Why a patient does not get its best candidate; donors and patients by position.

    `allocated`, `best`, `recipient`: the donor it gets, the donor of highest utility (the first in
    donor order of several) and the patient who got that one; `UNALLOCATED` where there is none.
    `swap_cost`: what the optimum of urgency-weighted utility loses, 0 or more, if this patient must
    get `best` and everything else is allocated anew as well as possible; None where that is not
    possible or was not searched. `limit`: the name of the limit that is reached.
    """

    patient: int
    reason: Reason
    allocated: int
    best: int
    recipient: int
    swap_cost: int | None
    limit: str = ""


def explanations(
    problem: AllocationProblem,
    solution: AllocationSolution,
    effort: Effort = DEFAULT_EFFORT,
) -> tuple[Explanation, ...]:
    """A row for every patient, in order, whose edge is worth less than its best one.

    Where the solution has a proof, the cost of a swap follows from its prices: the slack of the
    wanted edge plus the cheapest way to make up for the donor that its recipient loses. A patient
    fewer served counts the recipient price there; where the plan serves exactly as many as it must,
    the true cost may be higher. Without a proof the first `MOST_SEARCHES` swaps are searched anew.
    """
    utility = np.append(problem.utility, 0)[solution.edge_of] * (solution.edge_of >= 0)
    ranked = np.lexsort((problem.second, problem.donor, -problem.utility, problem.patient))
    served, firsts = np.unique(problem.patient, return_index=True)
    best = ranked[firsts]
    best = best[problem.utility[best] > utility[served]]
    holder = np.full(len(problem.donors) + 1, UNALLOCATED)
    for units in (solution.donor_of, solution.second_of):
        given = np.flatnonzero(units != UNALLOCATED)
        holder[units[given]] = given
    usable = problem.usable
    costs: dict[int, int | None] = {}
    swaps = best[usable[best]]
    if solution.proof is not None:
        costs = dict(zip(swaps.tolist(), _swap_costs(problem, solution.proof, swaps), strict=True))
    else:
        top = solution.level(Objective.UTILITY).best
        for edge in swaps[:MOST_SEARCHES].tolist():
            value = heaviest_with(problem, solution, edge, effort)
            costs[edge] = None if value is None else max(0, top - value)
    none = UNALLOCATED
    rows = [
        Explanation(patient, Reason.NO_CANDIDATE, none, none, none, None)
        for patient in sorted(set(range(len(problem.patients))) - set(served.tolist()))
    ]
    room = _room(problem, solution)
    for edge in best.tolist():
        patient, donor = int(problem.patient[edge]), int(problem.donor[edge])
        others = {int(holder[donor]), int(holder[problem.second[edge]])} - {patient, UNALLOCATED}
        recipient, limit = min(others, default=UNALLOCATED), ""
        if problem.deadline_week[patient] < 1:
            reason = Reason.DEADLINE_PASSED
        elif not usable[edge]:
            reason = Reason.NOT_AVAILABLE
        elif others:
            reason = Reason.GIVEN_TO_ANOTHER
        elif limit := _reached(problem, room, edge, int(solution.edge_of[patient])):
            reason = Reason.LIMIT_REACHED
        elif 0 <= solution.donor_of[patient] == problem.previous[patient]:
            reason = Reason.KEPT_YESTERDAY
        else:
            reason = Reason.OTHER_PLAN
        got = int(solution.donor_of[patient])
        rows.append(Explanation(patient, reason, got, donor, recipient, costs.get(edge), limit))
    return tuple(sorted(rows, key=lambda row: row.patient))


def _used(problem: AllocationProblem, edge: int) -> list[int]:
    """How often an edge counts in each limit; `UNALLOCATED` is no edge."""
    if edge == UNALLOCATED:
        return [0] * len(problem.limits)
    patient, units = problem.patient[edge], (problem.donor[edge], problem.second[edge])
    return [
        (patient in limit.patients) + sum(unit in limit.donors for unit in units)
        for limit in problem.limits
    ]


def _room(problem: AllocationProblem, solution: AllocationSolution) -> list[int]:
    """What the plan leaves of each limit."""
    room = [limit.most for limit in problem.limits]
    if room:
        for edge in solution.edge_of[solution.edge_of != UNALLOCATED].tolist():
            room = [left - used for left, used in zip(room, _used(problem, edge), strict=True)]
    return room


def _reached(problem: AllocationProblem, room: list[int], edge: int, instead_of: int) -> str:
    """The first limit without room for an edge in place of another, or an empty text."""
    wanted, given = _used(problem, edge), _used(problem, instead_of)
    for limit, left, more, less in zip(problem.limits, room, wanted, given, strict=True):
        if more > left + less:
            return limit.name
    return ""


def _swap_costs(problem: AllocationProblem, proof: Proof, wanted: Int64s) -> list[int]:
    """What each wanted edge, (n,) positions, costs the heaviest allocation that `proof` proves."""
    usable = np.flatnonzero(problem.usable)
    patient, donor = problem.patient[usable], problem.donor[usable]
    weight = problem.weight[usable] + proof.recipient_price
    worth = np.zeros(len(problem.patients), dtype=np.int64)
    chosen = proof.donor_of[patient] == donor
    worth[patient[chosen]] = weight[chosen]
    profit = worth - np.append(proof.price, 0)[proof.donor_of]
    slack = profit[patient] + proof.price[donor] - weight
    holder = np.full(len(problem.donors), UNALLOCATED)
    allocated = np.flatnonzero(proof.donor_of != UNALLOCATED)
    holder[proof.donor_of[allocated]] = allocated
    recipient = holder[donor]
    way_out = profit.copy()
    free = recipient == UNALLOCATED
    np.minimum.at(way_out, patient[free], slack[free])
    edges = np.searchsorted(usable, wanted)
    # With another donor of the same worth, or before stability, some have their best one already.
    cost = slack[edges]
    open_ = np.flatnonzero((recipient[edges] != patient[edges]) & ~free[edges])
    cost[open_] += _detours(
        patient[~free],
        recipient[~free],
        slack[~free],
        way_out,
        recipient[edges[open_]],
        patient[edges[open_]],
    )
    return [int(c) for c in cost]


def _detours(
    tail: Int64s,
    head: Int64s,
    slack: Int64s,
    way_out: Int64s,
    source: Int64s,
    target: Int64s,
) -> Int64s:
    """(n,) what it costs to free the donor of `target` for the good of `source`, both (n,).

    `tail`, `head`, `slack`: (n_arcs,) patient `tail` takes the donor of patient `head` at a loss.
    `way_out`: (n_patients,) the loss of taking a donor without patient, or none. Under the smallest
    prices the way from there back to any patient is free, so it ends a detour too.

    Shortest paths (Dijkstra) mostly run over small slacks. So the arcs are cut off at a limit: a
    path within the limit is exact, since an arc above it would cost more, and the rest is searched
    again with four times the arcs.
    """
    n_patients = len(way_out)
    tail = np.concatenate((tail, np.arange(n_patients)))
    head = np.concatenate((head, np.full(n_patients, n_patients)))
    slack = np.concatenate((slack, way_out))
    order = np.argsort(slack, kind="stable")
    tail, head, slack = tail[order], head[order], slack[order].astype(np.float64)
    cost = np.full(len(source), np.inf)
    n_arcs = ARCS_PER_PATIENT * n_patients
    while (open_ := np.flatnonzero(np.isinf(cost))).size:
        limit = slack[n_arcs] if n_arcs < len(slack) else np.inf
        graph = coo_array(
            (slack[:n_arcs], (tail[:n_arcs], head[:n_arcs])), shape=(n_patients + 1, n_patients + 1)
        ).tocsr()
        sources, row = np.unique(source[open_], return_inverse=True)
        for start in range(0, len(sources), SOURCES_AT_ONCE):
            there = csgraph.dijkstra(
                graph, indices=sources[start : start + SOURCES_AT_ONCE], limit=limit
            )
            here = np.flatnonzero(row // SOURCES_AT_ONCE == start // SOURCES_AT_ONCE)
            rows = row[here] - start
            cost[open_[here]] = np.minimum(there[rows, target[open_[here]]], there[rows, -1])
        n_arcs *= 4
    return cost.astype(np.int64)


def backups(problem: AllocationProblem, solution: AllocationSolution, n: int) -> Int64s:
    """The next best `n` usable candidates of each patient, without its allocated one.

    Returns (n_patients, n) int64 donor positions by falling utility, then donor order, filled up
    with `UNALLOCATED`. A donor may back up several patients and be allocated to another. Raises
    `AllocationError` for a negative `n`.
    """
    if n < 0:
        raise AllocationError(f"the number of backups must be 0 or more, not {n}")
    order = np.lexsort((problem.donor, -problem.utility, problem.patient))
    order = order[problem.usable[order] & (solution.edge_of[problem.patient[order]] != order)]
    patient = problem.patient[order]
    place = np.arange(len(order)) - np.searchsorted(patient, patient)
    listed = place < n
    table = np.full((len(problem.patients), n), UNALLOCATED, dtype=np.int64)
    table[patient[listed], place[listed]] = problem.donor[order[listed]]
    return table


def one_more_like(
    problem: AllocationProblem,
    donor: int,
    objectives: Objectives = DEFAULT_OBJECTIVES,
    effort: Effort = DEFAULT_EFFORT,
) -> AllocationSolution:
    """The solution with a second, available donor like `donor`, a position, added at the end.

    What one more such donor is worth is the difference of the levels.
    """
    edges = np.flatnonzero((problem.donor == donor) | (problem.second == donor))
    n = len(problem.donors)
    name = f"one more like {problem.donors[donor]}"
    limits = tuple(
        replace(limit, donors=(*limit.donors, n)) if donor in limit.donors else limit
        for limit in problem.limits
    )
    donors, second = problem.donor[edges], problem.second[edges]
    larger = replace(
        problem,
        donors=(*problem.donors, name),
        available=np.append(problem.available, True),
        limits=limits,
        patient=np.append(problem.patient, problem.patient[edges]),
        utility=np.append(problem.utility, problem.utility[edges]),
        donor=np.append(problem.donor, np.where(donors == donor, n, donors)),
        second=np.append(problem.second, np.where(second == donor, n, second)),
    )
    return allocate(larger, objectives, effort)
