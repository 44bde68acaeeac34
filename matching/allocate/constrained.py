"""Where side constraints bind: linear relaxation, proof by prices, and CP-SAT on what is left.

The linear program (HiGHS) gives prices for donors, limits and floors. Rounded to integers they
prove a bound without any rounding error, as every set of prices from 0 does. An edge that is worth
less than its prices by more than what is missing to the bound is in no better plan; CP-SAT searches
among the others.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import csr_array, vstack

from matching.allocate.problem import Bools, Effort, Float64s, Int64s
from matching.errors import AllocationError

if TYPE_CHECKING:
    from ortools.sat.python import cp_model

# Below this CP-SAT alone is faster; above the other the linear program takes minutes.
LEAST_RELAXED_EDGES = 2_000
MOST_RELAXED_EDGES = 400_000
# Edges among which CP-SAT searches after a relaxation.
CORE_EDGES = 20_000
# The scaled objective and its prices stay exact.
SCALED_LIMIT = 2**60
MOST_SCALE = 2**40
# Between two looks whether a search is to stop.
LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Rows:
    """Constraints on edges: at most `most[row]` of the entries (row, edge), edges 0 or 1.

    `row`, `edge`: (n_entries,) int64. `most`: (n_rows,) int64, 0 or more.
    """

    row: Int64s
    edge: Int64s
    most: Int64s

    def matrix(self, n_edges: int) -> csr_array:
        """(n_rows, n_edges) how often an edge counts."""
        ones = np.ones(len(self.row), dtype=np.int64)
        return csr_array((ones, (self.row, self.edge)), shape=(len(self.most), n_edges))


@dataclass(frozen=True)
class Floor:
    """At least `least` of the sum of `weight`, (n_edges,) int64, 0 or more, over chosen edges."""

    weight: Int64s
    least: int


@dataclass(frozen=True)
class Choice:
    """Chosen edges (bool), or None where nothing was found; no choice has a value above `bound`."""

    chosen: Bools | None
    bound: int


@dataclass(frozen=True)
class Program:
    """Choose edges so that the sum of `weight` is maximal under rows and floors.

    `patient`: (n_edges,) int64, ascending; at most one edge of each is chosen. `weight`: (n_edges,)
    int64, 0 or more. `bound`: an upper bound that is known already.
    """

    patient: Int64s
    weight: Int64s
    rows: Rows
    floors: tuple[Floor, ...]
    bound: int

    def maximise(self, hint: Bools | None, effort: Effort) -> Choice | None:
        """The best choice that the work of `effort` finds; None if there is none.

        `hint`: a choice that holds to all rows and floors, which the answer never falls behind.
        """
        n = len(self.weight)
        if n < LEAST_RELAXED_EDGES:
            return self._search(np.arange(n), hint, effort)
        slack, scale, proved, bound = np.zeros(n, np.int64), 1, self.bound, self.bound
        order = np.argsort(-self.weight, kind="stable")
        if n <= MOST_RELAXED_EDGES:
            relaxed = self._relax()
            if relaxed is None:
                return None
            taken, slack, scale, proved = relaxed
            bound = min(bound, proved)
            order = np.lexsort((-self.weight, slack, -taken))
            hint = self._better(hint, self.greedy(order))
            if hint is not None and self.value(hint) == bound:
                return Choice(hint, bound)
        core = order[:CORE_EDGES]
        if hint is not None:
            core = np.union1d(core, np.flatnonzero(hint))
        found = self._search(np.sort(core), hint, effort)
        if found is None and len(core) == n:
            return None
        inside = 0 if found is None else found.bound
        left_out = np.ones(n, dtype=bool)
        left_out[core] = False
        if left_out.any():
            # A choice with an edge outside the core is worth at most what is proved less its slack.
            inside = max(inside, proved - int(slack[left_out].min()) // scale)
        return Choice(hint if found is None else found.chosen, min(bound, inside))

    def value(self, chosen: Bools) -> int:
        return int(self.weight[chosen].sum())

    def allows(self, chosen: Bools) -> bool:
        """True if rows, floors and one edge a patient hold."""
        used = np.bincount(self.rows.row[chosen[self.rows.edge]], minlength=len(self.rows.most))
        return bool(
            (np.diff(self.patient[chosen]) > 0).all()
            and (used <= self.rows.most).all()
            and all(int(f.weight[chosen].sum()) >= f.least for f in self.floors)
        )

    def _better(self, one: Bools | None, other: Bools) -> Bools | None:
        if not self.allows(other):
            return one
        return other if one is None or self.value(other) > self.value(one) else one

    def greedy(self, order: Int64s | None = None) -> Bools:
        """Edges in this order, by default of falling weight, each if patient and rows have room."""
        n = len(self.weight)
        order = np.argsort(-self.weight, kind="stable") if order is None else order
        by_edge = np.argsort(self.rows.edge, kind="stable")
        starts = np.searchsorted(self.rows.edge[by_edge], np.arange(n + 1)).tolist()
        rows_of, room = self.rows.row[by_edge].tolist(), self.rows.most.tolist()
        patient, chosen, served = self.patient.tolist(), np.zeros(n, dtype=bool), set()
        for edge in order.tolist():
            rows = rows_of[starts[edge] : starts[edge + 1]]
            if patient[edge] not in served and all(room[row] >= rows.count(row) for row in rows):
                served.add(patient[edge])
                chosen[edge] = True
                for row in rows:
                    room[row] -= 1
        return chosen

    def _relax(self) -> tuple[Float64s, Int64s, int, int] | None:
        """Shares of edges in the linear optimum, rounded slacks and their scale, and the bound."""
        # Slow to import, and few allocations need it.
        from scipy.optimize import linprog

        n = len(self.weight)
        _, patient = np.unique(self.patient, return_inverse=True)
        n_patients = int(patient.max()) + 1
        once = csr_array((np.ones(n), (patient, np.arange(n))), shape=(n_patients, n))
        rows = self.rows.matrix(n)
        # Floors and objective near 1, so that the solver's tolerances mean the same for each.
        sizes = [max(1, int(f.weight.max())) for f in self.floors]
        floors = [f.weight / unit for f, unit in zip(self.floors, sizes, strict=True)]
        size = max(1, int(self.weight.max()))
        least = [f.least / unit for f, unit in zip(self.floors, sizes, strict=True)]
        solved = linprog(
            -self.weight / size,
            A_ub=vstack((once, rows, *(csr_array(-f[None]) for f in floors)), format="csr"),
            b_ub=np.concatenate((np.ones(n_patients), self.rows.most, -np.array(least))),
            bounds=(0, None),
            method="highs-ipm",
        )
        if solved.status == 2:
            return None
        if solved.status != 0:
            return np.zeros(n), np.zeros(n, np.int64), 1, self.bound
        scale = int(min(MOST_SCALE, max(1, SCALED_LIMIT // (size * (n_patients + 1)))))
        multiplier = np.maximum(0, -solved.ineqlin.marginals[n_patients:]) * size * scale
        highest = SCALED_LIMIT // (n_patients + 1)
        price = np.rint(np.minimum(multiplier[: len(self.rows.most)], highest)).astype(np.int64)
        paid = rows.T @ price - self.weight * scale
        rest = sum(int(p) * int(m) for p, m in zip(price, self.rows.most, strict=True))
        for floor, unit, value in zip(
            self.floors, sizes, multiplier[len(self.rows.most) :], strict=True
        ):
            gain = int(min(value, highest) / unit)
            paid = paid - gain * floor.weight
            rest -= gain * floor.least
        profit = np.zeros(n_patients, dtype=np.int64)
        np.maximum.at(profit, patient, -paid)
        bound = (sum(map(int, profit)) + rest) // scale
        return solved.x, paid + profit[patient], scale, bound

    def _search(self, core: Int64s, hint: Bools | None, effort: Effort) -> Choice | None:
        """CP-SAT on the edges `core`, ascending; its bound holds for choices among them only."""
        # As in `_relax`.
        from ortools.sat.python import cp_model

        model = cp_model.CpModel()
        taken = [model.new_bool_var("") for _ in core]
        place = np.full(len(self.weight), -1)
        place[core] = np.arange(len(core))
        starts = np.flatnonzero(np.diff(self.patient[core], prepend=-1, append=-1))
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            model.add_at_most_one(taken[start:end])
        inside = place[self.rows.edge] >= 0
        row, edge = self.rows.row[inside], place[self.rows.edge[inside]]
        order = np.argsort(row, kind="stable")
        bounds = np.searchsorted(row[order], np.arange(len(self.rows.most) + 1)).tolist()
        edges = edge[order].tolist()
        for most, start, end in zip(self.rows.most.tolist(), bounds[:-1], bounds[1:], strict=True):
            members = [taken[e] for e in edges[start:end]]
            if most == 1:
                model.add_at_most_one(members)
            elif len(members) > most:
                model.add(cp_model.LinearExpr.sum(members) <= most)
        for floor in self.floors:
            total = cp_model.LinearExpr.weighted_sum(taken, floor.weight[core].tolist())
            model.add(total >= floor.least)
        model.maximize(cp_model.LinearExpr.weighted_sum(taken, self.weight[core].tolist()))
        if hint is not None:
            for variable, value in zip(taken, hint[core].tolist(), strict=True):
                model.add_hint(variable, value)
        solver = cp_model.CpSolver()
        # One worker and counted work, not seconds: the same answer on every machine.
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = effort.seed
        solver.parameters.max_deterministic_time = effort.work
        status = _solved(solver, model, effort.between)
        if status == cp_model.INFEASIBLE:
            return None
        if status == cp_model.MODEL_INVALID:
            raise AllocationError("weights of the allocation are too large to add up")
        if status == cp_model.UNKNOWN:
            return Choice(hint, self.bound)
        chosen = np.zeros(len(self.weight), dtype=bool)
        chosen[core[[solver.boolean_value(v) for v in taken]]] = True
        best = self._better(hint, chosen)
        value = self.value(chosen)
        # The bound is a float: beyond 2**53 its neighbour is still one.
        told = float(np.nextafter(solver.best_objective_bound, np.inf))
        bound = value if status == cp_model.OPTIMAL else int(told)
        return Choice(best, min(self.bound, bound))


def _solved(
    solver: cp_model.CpSolver, model: cp_model.CpModel, between: Callable[[], object]
) -> cp_model.CpSolverStatus:
    """How the solver ends; it is stopped soon after `between` raises."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(solver.solve, model)
        while True:
            try:
                return running.result(LOOK_SECONDS)
            except TimeoutError:
                try:
                    between()
                except BaseException:
                    # Again and again, as it may not have begun yet.
                    while not running.done():
                        solver.stop_search()
                        wait([running], LOOK_SECONDS)
                    raise
