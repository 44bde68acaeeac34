"""Patients and scarce donors in, one donor a patient out, with the proof that no other is better.

Maximum-weight bipartite matching in which nobody has to be matched: a patient gets at most one
donor, a donor goes to at most one patient, and the sum of the utilities is maximal. The linear
program of that problem has integer corners, so its dual proves optimality: with a price for every
donor, no allocation is worth more than the prices plus what each patient's best candidate is worth
above its price (Kuhn 1955, Nav Res Logist Q 2:83). `docs/allocation.md` tells it in words.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum

import networkx as nx
import numpy as np
import numpy.typing as npt
from ortools.graph.python import min_cost_flow
from scipy.sparse import coo_array, csgraph

from matching.errors import AllocationError

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]

UNALLOCATED = -1
# Times the number of nodes, which the solver scales costs by, this stays below 2**63.
UTILITY_LIMIT = 2**40
# Above this many edges a graph of Python objects takes longer than the solver.
NETWORKX_MAX_EDGES = 100_000
# Of shortest paths: arcs of the first attempt, and rows of distances held in memory.
ARCS_PER_PATIENT = 8
SOURCES_AT_ONCE = 256

# The weights of `utility`. One unit is a thousandth of the worth of a certain 10/10 match.
POINTS_P10 = 1000
POINTS_P9 = 500
POINTS_RISK = 1000
POINTS_PER_MISMATCH, MOST_MISMATCHES = 100, 10
POINTS_PER_DPB1_STEP, WORST_DPB1 = 50, 4
POINTS_PER_YEAR, YOUNGEST_YEARS, OLDEST_YEARS = 5, 18, 60


class Status(Enum):
    """What is known of a solution."""

    OPTIMAL = "optimal"


class Reason(Enum):
    """Why a patient does not get its best candidate."""

    NO_CANDIDATE = "no candidate"
    GIVEN_TO_ANOTHER = "best candidate given to another patient"


@dataclass(frozen=True)
class AllocationProblem:
    """Who may receive from whom, and what that is worth.

    `patients` and `donors`: distinct identifiers; their order breaks ties.
    `patient`, `donor`: (n_edges,) int64 positions in these, one edge a candidate.
    `utility`: (n_edges,) int64, 1 to `UTILITY_LIMIT` - 1.

    The edges may come in any order and are kept sorted by patient, then donor. There may be none.
    Raises `AllocationError` for arrays of different lengths or not of integers, positions or
    utilities out of range, a repeated identifier and a repeated edge.
    """

    patients: tuple[str, ...]
    donors: tuple[str, ...]
    patient: Int64s
    donor: Int64s
    utility: Int64s

    def __post_init__(self) -> None:
        _check_distinct("patient", self.patients)
        _check_distinct("donor", self.donors)
        edges = {"patient": self.patient, "donor": self.donor, "utility": self.utility}
        if any(a.ndim != 1 or len(a) != len(self.patient) for a in edges.values()):
            shapes = ", ".join(f"{name} {a.shape}" for name, a in edges.items())
            raise AllocationError(f"edges need three one-dimensional arrays of a length: {shapes}")
        _check_range("patient", self.patient, 0, len(self.patients) - 1)
        _check_range("donor", self.donor, 0, len(self.donors) - 1)
        _check_range("utility", self.utility, 1, UTILITY_LIMIT - 1)
        order = np.lexsort((self.donor, self.patient))
        for name, values in edges.items():
            object.__setattr__(self, name, values[order].astype(np.int64))
        repeated = (np.diff(self.patient) == 0) & (np.diff(self.donor) == 0)
        if repeated.any():
            first = int(repeated.argmax())
            raise AllocationError(
                f"patient {self.patients[self.patient[first]]!r} and donor "
                f"{self.donors[self.donor[first]]!r} form more than one edge; give each pair once"
            )


def _check_distinct(role: str, identifiers: tuple[str, ...]) -> None:
    if len(set(identifiers)) < len(identifiers):
        repeated = Counter(identifiers).most_common(1)[0][0]
        raise AllocationError(f"{role} {repeated!r} is listed more than once")


def _check_range(name: str, values: Int64s, low: int, high: int) -> None:
    if values.dtype.kind not in "iu":
        raise AllocationError(f"{name} of edges: integers are needed, not {values.dtype}")
    wrong = (values < low) | (values > high)
    if wrong.any():
        edge = int(wrong.argmax())
        raise AllocationError(f"{name} of edge {edge}: {values[edge]} is not in {low} to {high}")


@dataclass(frozen=True)
class AllocationSolution:
    """An allocation and the proof of its worth.

    `donor_of`: (n_patients,) int64 position of the allocated donor, `UNALLOCATED` where none.
    `objective`: the sum of the utilities of the allocated edges.
    `bound`: no allocation is worth more; equal to `objective` when `status` is optimal.
    `price`: (n_donors,) int64, the smallest prices, 0 or more, that prove `bound`: with them every
    patient is best off, in utility less price, with what it was allocated.
    `n_components`: number of connected components that have an edge.
    """

    donor_of: Int64s
    price: Int64s
    status: Status
    objective: int
    bound: int
    n_components: int


@dataclass(frozen=True)
class Explanation:
    """Why a patient does not get its best candidate; donors and patients by position.

    `allocated`, `best`, `recipient`: the donor it gets, the donor of highest utility (the first in
    donor order of several) and the patient who got that one; `UNALLOCATED` where there is none.
    `swap_cost`: what the objective loses, 0 or more, if this patient must get `best` and everything
    else is allocated anew as well as possible.
    """

    patient: int
    reason: Reason
    allocated: int
    best: int
    recipient: int
    swap_cost: int


def utility(
    p10: Float64s,
    p9: Float64s,
    mismatches_best: Int64s,
    risk_difference: Float64s,
    age_years: Float64s,
    dpb1_preference: Int64s,
) -> Int64s:
    """What an allocated edge is worth, (n_edges,) int64 from 1 to 3411; all inputs (n_edges,).

    `p10`, `p9`: probability of exactly 10 and exactly 9 matches of 10, in [0, 1] and together at
    most 1, NaN where not imputed.
    `mismatches_best`: mismatches if every ambiguity turns out well, 0 or more.
    `risk_difference`: predicted risk of acute GVHD III-IV above that of the patient's candidate
    with the lowest, in [0, 1], 0 where unknown.
    `age_years`: of the donor, 0 or more, NaN where unknown.
    `dpb1_preference`: 0 (best) to 4, as `TceCategory.preference`.

    One plus the points below, rounded to the nearest integer (a half to the even one). A better
    value of one factor never lowers it, and an unknown one earns nothing::

        1000 * P(10/10) + 500 * P(9/10)
        + 1000 * (1 - risk difference)
        + 100 for each mismatch below 10
        + 50 for each step of DPB1 preference better than 4
        + 5 for each year of age below 60, at most for 42 years

    The directions follow Lee 2007 (Blood 110:4576, mismatches), Fleischhauer 2012 (Lancet Oncol
    13:366, DPB1) and Kollman 2016 (Blood 127:260, age); the weights are a convention of ours.
    Raises `AllocationError` for a value out of range or arrays of different lengths.

    >>> utility(np.array([0.9]), np.array([0.08]), np.array([0]), np.array([0.05]),
    ...         np.array([30.0]), np.array([2])).tolist()
    [3141]
    """
    columns = (p10, p9, mismatches_best, risk_difference, age_years, dpb1_preference)
    if any(a.shape != (len(p10),) for a in columns):
        raise AllocationError("the factors of utility need one-dimensional arrays of a length")
    _check_factor("P(10/10)", p10, 1, nan_allowed=True)
    _check_factor("P(9/10)", p9, 1, nan_allowed=True)
    _check_factor("P(10/10) + P(9/10)", np.nan_to_num(p10) + np.nan_to_num(p9), 1 + 1e-9)
    _check_factor("mismatches", mismatches_best, np.inf)
    _check_factor("risk difference", risk_difference, 1)
    _check_factor("age in years", age_years, np.inf, nan_allowed=True)
    _check_factor("DPB1 preference", dpb1_preference, WORST_DPB1)
    age = np.clip(np.nan_to_num(age_years, nan=OLDEST_YEARS), YOUNGEST_YEARS, OLDEST_YEARS)
    points = (
        POINTS_P10 * np.nan_to_num(p10)
        + POINTS_P9 * np.nan_to_num(p9)
        + POINTS_RISK * (1 - risk_difference)
        + POINTS_PER_MISMATCH * (MOST_MISMATCHES - np.minimum(mismatches_best, MOST_MISMATCHES))
        + POINTS_PER_DPB1_STEP * (WORST_DPB1 - dpb1_preference)
        + POINTS_PER_YEAR * (OLDEST_YEARS - age)
    )
    return np.asarray(1 + np.rint(points), dtype=np.int64)


def _check_factor(
    name: str, values: Float64s | Int64s, high: float, nan_allowed: bool = False
) -> None:
    wrong = ~((values >= 0) & (values <= high)) & ~(nan_allowed & np.isnan(values))
    if wrong.any():
        edge = int(wrong.argmax())
        raise AllocationError(f"{name} of edge {edge}: {values[edge]} is not in 0 to {high}")


def allocate(problem: AllocationProblem) -> AllocationSolution:
    """The allocation of highest total utility, and its proof.

    Of several, the one that gives the first patient the earliest possible donor in donor order
    (any donor before none), then the second patient, and so on: the answer depends on the order of
    patients and donors, never on that of the edges or on the solver. Raises `AllocationError` if
    the solver ends without an optimum or its answer cannot be proved optimal.
    """
    component = _components(problem)
    donor_of = np.full(len(problem.patients), UNALLOCATED, dtype=np.int64)
    price = np.zeros(len(problem.donors), dtype=np.int64)
    order = np.argsort(component, kind="stable")
    objective, bound, n_components = 0, 0, int(component.max(initial=-1)) + 1
    starts = np.searchsorted(component[order], np.arange(1, n_components))
    for edges in np.split(order, starts) if n_components else ():
        patients, patient = np.unique(problem.patient[edges], return_inverse=True)
        donors, donor = np.unique(problem.donor[edges], return_inverse=True)
        part = _Component(len(patients), len(donors), patient, donor, problem.utility[edges])
        solved = part.solve()
        part_price, part_objective, part_bound = part.prove(solved)
        if part_objective != part_bound:
            raise AllocationError(
                f"the solver's {part_objective} is not proved optimal: bound {part_bound}"
            )
        solved = part.earliest(solved, part_price)
        allocated = solved != UNALLOCATED
        donor_of[patients[allocated]] = donors[solved[allocated]]
        price[donors] = part_price
        objective += part_objective
        bound += part_bound
    return AllocationSolution(donor_of, price, Status.OPTIMAL, objective, bound, n_components)


def _components(problem: AllocationProblem) -> Int64s:
    """(n_edges,) number of the connected component of each edge, by the order of patients."""
    n_patients, n_donors = len(problem.patients), len(problem.donors)
    heads = n_patients + problem.donor
    label = np.empty(n_patients + n_donors, dtype=np.int64)
    if len(heads) <= NETWORKX_MAX_EDGES:
        graph = nx.Graph()
        graph.add_edges_from(zip(problem.patient.tolist(), heads.tolist(), strict=True))
        for number, nodes in enumerate(nx.connected_components(graph)):
            label[list(nodes)] = number
    else:
        links = (np.ones(len(heads), dtype=np.int8), (problem.patient, heads))
        label[:] = csgraph.connected_components(
            coo_array(links, shape=(len(label), len(label))), directed=False
        )[1]
    # Patients without an edge have numbers of their own in the second case.
    return np.unique(label[problem.patient], return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class _Component:
    """One connected component, patients and donors numbered anew; edges by patient, then donor."""

    n_patients: int
    n_donors: int
    patient: Int64s
    donor: Int64s
    utility: Int64s

    def solve(self) -> Int64s:
        """(n_patients,) a donor of each patient or `UNALLOCATED`, of highest total utility.

        A unit flows from every patient to the sink, through a donor (capacity 1) or directly.
        """
        sink = self.n_patients + self.n_donors
        patients = np.arange(self.n_patients)
        donors = np.arange(self.n_patients, sink)
        tails = np.concatenate((self.patient, patients, donors)).astype(np.int32)
        heads = np.full(len(tails), sink, dtype=np.int32)
        heads[: len(self.donor)] = self.n_patients + self.donor
        costs = np.zeros(len(tails), dtype=np.int64)
        costs[: len(self.utility)] = -self.utility
        flow = min_cost_flow.SimpleMinCostFlow()
        arcs = flow.add_arcs_with_capacity_and_unit_cost(tails, heads, np.ones_like(costs), costs)
        supplies = np.zeros(sink + 1, dtype=np.int64)
        supplies[: self.n_patients] = 1
        supplies[sink] = -self.n_patients
        flow.set_nodes_supplies(np.arange(sink + 1, dtype=np.int32), supplies)
        status = flow.solve()
        if status != flow.OPTIMAL:
            raise AllocationError(
                f"the solver ended with {status.name} on {self.n_patients} patients, "
                f"{self.n_donors} donors and {len(self.utility)} edges"
            )
        used = np.asarray(flow.flows(arcs[: len(self.utility)])) == 1
        donor_of = np.full(self.n_patients, UNALLOCATED, dtype=np.int64)
        donor_of[self.patient[used]] = self.donor[used]
        return donor_of

    def prove(self, donor_of: Int64s) -> tuple[Int64s, int, int]:
        """Prices (n_donors,), the objective, and the bound that the prices prove.

        The smallest prices: from 0, each patient bids for every donor what it is worth more than
        what the patient has, and loses what the price of its own donor rises by (Bellman-Ford in
        the residual network). Without an improving cycle this ends within n_patients rounds.
        """
        worth = _worth(self, donor_of)
        price = np.zeros(self.n_donors, dtype=np.int64)
        profit = worth
        changed = np.ones(self.n_patients, dtype=bool)
        for _ in range(self.n_patients + 1):
            bids = np.flatnonzero(changed[self.patient])
            np.maximum.at(price, self.donor[bids], self.utility[bids] - profit[self.patient[bids]])
            lowered = _profit(worth, donor_of, price)
            changed = lowered < profit
            profit = lowered
            if not changed.any():
                break
        surplus = np.zeros(self.n_patients, dtype=np.int64)
        np.maximum.at(surplus, self.patient, self.utility - price[self.donor])
        return price, int(worth.sum()), int(surplus.sum() + price.sum())

    def earliest(self, donor_of: Int64s, price: Int64s) -> Int64s:
        """The first of all optimal allocations, by the donor of the first patient, the second, ...

        Optimal allocations differ by cycles of edges without slack under the prices. Donors
        without a patient, and being unallocated (the donor number n_donors), are held by the
        node `pool`; a patient whose donor has no price may hand it back there.
        """
        pool, nothing = self.n_patients, self.n_donors
        profit = _profit(_worth(self, donor_of), donor_of, price)
        tight = profit[self.patient] + price[self.donor] == self.utility
        current = np.where(donor_of == UNALLOCATED, nothing, donor_of)
        holder = np.full(self.n_donors + 1, pool)
        holder[current] = np.arange(self.n_patients)
        holder[nothing] = pool
        leaves = np.flatnonzero(profit == 0)
        tails = np.concatenate((self.patient[tight], leaves))
        takes = np.concatenate((self.donor[tight], np.full(len(leaves), nothing)))
        prices = np.append(price, 0)
        gives = np.flatnonzero(prices[current] == 0)
        links = (
            np.concatenate((tails, np.full(len(gives), pool))),
            np.concatenate((holder[takes], gives)),
        )
        cycles = csgraph.connected_components(
            coo_array((np.ones(len(links[0]), dtype=np.int8), links), shape=(pool + 1, pool + 1)),
            connection="strong",
        )[1]
        # Only edges inside a strong component are on a cycle, whichever optimum one starts from.
        usable = (cycles[tails] == cycles[holder[takes]]) | (takes == current[tails])
        tails, takes = tails[usable], takes[usable]
        if not (takes < current[tails]).any():
            return donor_of
        order = np.lexsort((takes, tails))
        bounds = np.searchsorted(tails[order], np.arange(1, self.n_patients))
        choices = [part.tolist() for part in np.split(takes[order], bounds)]
        return _rotate(choices, current.tolist(), holder.tolist(), prices.tolist())


def _worth(edges: AllocationProblem | _Component, donor_of: Int64s) -> Int64s:
    """(n_patients,) utility of the donor that each patient is allocated, 0 without one."""
    worth = np.zeros(len(donor_of), dtype=np.int64)
    chosen = donor_of[edges.patient] == edges.donor
    worth[edges.patient[chosen]] = edges.utility[chosen]
    return worth


def _profit(worth: Int64s, donor_of: Int64s, price: Int64s) -> Int64s:
    """(n_patients,) what each patient's allocation is worth above its price."""
    return np.where(donor_of == UNALLOCATED, worth, worth - np.append(price, 0)[donor_of])


def _rotate(
    choices: list[list[int]], current: list[int], holder: list[int], prices: list[int]
) -> Int64s:
    """Patient after patient, the earliest choice from which a cycle leads back to the patient.

    `choices`: of each patient, ascending. `current`: choice of each patient. `holder`: patient of
    each choice, or the pool, n_patients. The last choice is to be unallocated.
    """
    pool, nothing = len(current), len(holder) - 1
    for patient in range(len(current)):
        before: dict[int, tuple[int, int]] = {}  # node -> node before it, choice that one takes
        for first in choices[patient]:
            if first >= current[patient]:
                break
            start = holder[first]
            if start < patient or start in before:
                continue  # settled, or known to lead nowhere
            before[start] = (patient, first)
            queue = [start]
            for node in queue:
                if node != pool:
                    steps = [(holder[c], c) for c in choices[node] if c != current[node]]
                elif prices[current[patient]] == 0:
                    steps = [(patient, nothing)]
                else:
                    steps = [
                        (q, nothing) for q in range(patient + 1, pool) if not prices[current[q]]
                    ]
                for head, choice in steps:
                    if head >= patient and head not in before:
                        before[head] = (node, choice)
                        queue.append(head)
                if patient in before:
                    break
            if patient in before:
                taken = {}
                node = patient
                while patient not in taken:
                    node, choice = before[node]
                    taken[node] = choice
                taken.pop(pool, None)
                for q in taken:
                    holder[current[q]] = pool
                for q, choice in taken.items():
                    current[q] = choice
                    holder[choice] = q
                holder[nothing] = pool
                break
    found = np.array(current, dtype=np.int64)
    return np.where(found == nothing, UNALLOCATED, found)


def explanations(
    problem: AllocationProblem, solution: AllocationSolution
) -> tuple[Explanation, ...]:
    """A row for every patient, in order, whose donor is worth less than its best candidate.

    The swap cost is exact: the slack of the wanted edge under the prices plus the cheapest way to
    make up for the donor that its recipient loses (`_detours`).
    """
    n_patients = len(problem.patients)
    worth = _worth(problem, solution.donor_of)
    profit = _profit(worth, solution.donor_of, solution.price)
    slack = profit[problem.patient] + solution.price[problem.donor] - problem.utility
    holder = np.full(len(problem.donors), UNALLOCATED)
    allocated = np.flatnonzero(solution.donor_of != UNALLOCATED)
    holder[solution.donor_of[allocated]] = allocated
    recipient = holder[problem.donor]
    ranked = np.lexsort((problem.donor, -problem.utility, problem.patient))
    served, firsts = np.unique(problem.patient, return_index=True)
    best = ranked[firsts]
    best = best[problem.utility[best] > worth[served]]
    wanting = problem.patient[best]
    way_out = profit.copy()
    free = recipient == UNALLOCATED
    np.minimum.at(way_out, problem.patient[free], slack[free])
    cost = slack[best] + _detours(
        problem.patient[~free], recipient[~free], slack[~free], way_out, recipient[best], wanting
    )
    none = UNALLOCATED
    rows = [
        Explanation(patient, Reason.NO_CANDIDATE, none, none, none, 0)
        for patient in sorted(set(range(n_patients)) - set(served.tolist()))
    ]
    given = (wanting, solution.donor_of[wanting], problem.donor[best], recipient[best], cost)
    for patient, got, donor, other, lost in zip(*(a.tolist() for a in given), strict=True):
        rows.append(Explanation(patient, Reason.GIVEN_TO_ANOTHER, got, donor, other, lost))
    return tuple(sorted(rows, key=lambda row: row.patient))


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
    """The next best `n` candidates of each patient, without its allocated donor.

    Returns (n_patients, n) int64 donor positions by falling utility, then donor order, filled up
    with `UNALLOCATED`. A donor may back up several patients and be allocated to another. Raises
    `AllocationError` for a negative `n`.
    """
    if n < 0:
        raise AllocationError(f"the number of backups must be 0 or more, not {n}")
    order = np.lexsort((problem.donor, -problem.utility, problem.patient))
    order = order[solution.donor_of[problem.patient[order]] != problem.donor[order]]
    patient = problem.patient[order]
    place = np.arange(len(order)) - np.searchsorted(patient, patient)
    listed = place < n
    table = np.full((len(problem.patients), n), UNALLOCATED, dtype=np.int64)
    table[patient[listed], place[listed]] = problem.donor[order[listed]]
    return table
