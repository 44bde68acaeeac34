"""Why a patient does not get its best candidate, what that would cost, and who stands by."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from scipy.sparse import coo_array, csgraph

from matching.allocate.flow import Proof
from matching.allocate.kernels import shortest_detours
from matching.allocate.problem import (
    DEFAULT_EFFORT,
    DEFAULT_OBJECTIVES,
    UNALLOCATED,
    AllocationProblem,
    Effort,
    Int64s,
    Objective,
    Objectives,
    first_highest,
)
from matching.allocate.solve import AllocationSolution, allocate, heaviest_with
from matching.allocate.space import in_parallel
from matching.errors import AllocationError

DETOURS_AT_ONCE = 256
# Swaps whose cost needs a search of its own: so many are searched, in the order of patients.
MOST_SEARCHES = 50


class Reason(Enum):
    """Why a patient does not get a candidate."""

    NO_CANDIDATE = "no candidate"
    DEADLINE_PASSED = "the deadline is past"
    NOT_AVAILABLE = "not available"
    GIVEN_TO_ANOTHER = "given to another patient"
    LIMIT_REACHED = "a limit is reached"
    WORTH_NO_MORE = "the allocated donor is worth as much or more"
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


@dataclass(frozen=True)
class Obstacle:
    """Why a plan does not have an edge; `recipient` and `limit` as in `Explanation`."""

    reason: Reason
    recipient: int
    limit: str


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
    best = first_highest(problem.patient, problem.utility)
    served = problem.patient[best]
    best = best[problem.utility[best] > utility[served]]
    usable = problem.usable
    costs: dict[int, int | None] = {}
    swaps = best[usable[best]]
    if solution.proof is not None:
        found = _swap_costs(problem, solution.proof, swaps, effort)
        costs = dict(zip(swaps.tolist(), found, strict=True))
    else:
        top = solution.level(Objective.UTILITY).best
        for edge in swaps[:MOST_SEARCHES].tolist():
            effort.between()
            value = heaviest_with(problem, solution, edge, effort)
            costs[edge] = None if value is None else max(0, top - value)
    none = UNALLOCATED
    rows = [
        Explanation(patient, Reason.NO_CANDIDATE, none, none, none, None)
        for patient in sorted(set(range(len(problem.patients))) - set(served.tolist()))
    ]
    for edge, obstacle in zip(best.tolist(), obstacles(problem, solution, best), strict=True):
        patient, donor = int(problem.patient[edge]), int(problem.donor[edge])
        got = int(solution.donor_of[patient])
        told = obstacle.reason, got, donor, obstacle.recipient, costs.get(edge), obstacle.limit
        rows.append(Explanation(patient, *told))
    return tuple(sorted(rows, key=lambda row: row.patient))


def obstacles(
    problem: AllocationProblem, solution: AllocationSolution, edges: Int64s
) -> list[Obstacle]:
    """Why a plan does not have some edges, (n,) positions; of each what comes first in `Reason`."""
    holder = np.full(len(problem.donors) + 1, UNALLOCATED)
    for units in (solution.donor_of, solution.second_of):
        given = np.flatnonzero(units != UNALLOCATED)
        holder[units[given]] = given
    usable, kept = problem.usable, problem.kept
    use = _Use.of(problem)
    room = use.left(solution)
    found = []
    for edge in edges.tolist():
        patient, instead = int(problem.patient[edge]), int(solution.edge_of[problem.patient[edge]])
        others = {int(holder[u]) for u in (problem.donor[edge], problem.second[edge])}
        others -= {patient, UNALLOCATED}
        recipient, limit = UNALLOCATED, ""
        if problem.deadline_week[patient] < 1:
            reason = Reason.DEADLINE_PASSED
        elif not usable[edge]:
            reason = Reason.NOT_AVAILABLE
        elif instead != UNALLOCATED and problem.utility[instead] >= problem.utility[edge]:
            reason = Reason.WORTH_NO_MORE
        elif others:
            reason, recipient = Reason.GIVEN_TO_ANOTHER, min(others)
        elif limit := use.reached(room, edge, instead):
            reason = Reason.LIMIT_REACHED
        elif instead != UNALLOCATED and kept[instead]:
            reason = Reason.KEPT_YESTERDAY
        else:
            reason = Reason.OTHER_PLAN
        found.append(Obstacle(reason, recipient, limit))
    return found


@dataclass(frozen=True)
class _Use:
    """Which limits each patient and each donor counts in."""

    problem: AllocationProblem
    of_patient: Mapping[int, Sequence[int]]
    of_donor: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, problem: AllocationProblem) -> _Use:
        of_patient: defaultdict[int, list[int]] = defaultdict(list)
        of_donor: defaultdict[int, list[int]] = defaultdict(list)
        for number, limit in enumerate(problem.limits):
            for patient in limit.patients:
                of_patient[patient].append(number)
            for donor in limit.donors:
                of_donor[donor].append(number)
        return cls(problem, of_patient, of_donor)

    def limits(self, edge: int) -> Counter[int]:
        """How often an edge counts in each limit; `UNALLOCATED` is no edge."""
        if edge == UNALLOCATED:
            return Counter()
        units = (int(self.problem.donor[edge]), int(self.problem.second[edge]))
        found = Counter(self.of_patient.get(int(self.problem.patient[edge]), ()))
        for unit in units:
            found.update(self.of_donor.get(unit, ()))
        return found

    def left(self, solution: AllocationSolution) -> Counter[int]:
        """What the plan leaves of each limit."""
        room = Counter({i: limit.most for i, limit in enumerate(self.problem.limits)})
        for edge in solution.edge_of[solution.edge_of != UNALLOCATED].tolist():
            room.subtract(self.limits(edge))
        return room

    def reached(self, room: Counter[int], edge: int, instead_of: int) -> str:
        """The first limit without room for an edge in place of another, or an empty text."""
        given = self.limits(instead_of)
        for number, more in sorted(self.limits(edge).items()):
            if more > room[number] + given[number]:
                return self.problem.limits[number].name
        return ""


def _swap_costs(
    problem: AllocationProblem, proof: Proof, wanted: Int64s, effort: Effort
) -> list[int]:
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
        effort,
    )
    return [int(c) for c in cost]


def _detours(
    tail: Int64s,
    head: Int64s,
    slack: Int64s,
    way_out: Int64s,
    source: Int64s,
    target: Int64s,
    effort: Effort,
) -> Int64s:
    """(n,) what it costs to free the donor of `target` for the good of `source`, both (n,).

    `tail`, `head`, `slack`: (n_arcs,) patient `tail` takes the donor of patient `head` at a loss.
    `way_out`: (n_patients,) the loss of taking a donor without patient, or none. Under the smallest
    prices the way from there back to any patient is free, so it ends a detour too.
    """
    n = len(way_out)
    # From the end of all ways out, along arcs the other way round.
    ends = np.concatenate((np.full(n, n), head)), np.concatenate((np.arange(n), tail))
    graph = coo_array((np.concatenate((way_out, slack)).astype(np.float64), ends), (n + 1, n + 1))
    shortest = csgraph.dijkstra(graph.tocsr(), indices=n)[:n].astype(np.int64)
    cost = np.empty(len(source), dtype=np.int64)
    arcs = (*_arcs(n, tail, head, slack), *_arcs(n, head, tail, slack))

    def search(part: slice) -> None:
        effort.between()
        shortest_detours(*arcs, shortest, source[part], target[part], cost[part])

    starts = range(0, len(source), DETOURS_AT_ONCE)
    in_parallel(search, [slice(i, i + DETOURS_AT_ONCE) for i in starts], effort.threads)
    return cost


def _arcs(n: int, tail: Int64s, head: Int64s, slack: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Where the arcs of each of n nodes begin, their heads and slacks, the smallest first."""
    order = np.lexsort((slack, tail))
    return np.searchsorted(tail[order], np.arange(n + 1)), head[order], slack[order]


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
