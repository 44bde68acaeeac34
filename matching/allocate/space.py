"""The usable edges of a problem, and the best choice among them at each level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
from scipy.sparse import coo_array, csgraph

from matching.allocate.constrained import CORE_EDGES, Choice, Floor, Program, Rows
from matching.allocate.flow import Network, Proof, Quota
from matching.allocate.problem import (
    UNALLOCATED,
    AllocationProblem,
    Bools,
    Effort,
    Int64s,
    Objective,
    first_highest,
)
from matching.errors import AllocationError

# Above this many edges a graph of Python objects takes longer than the solver.
NETWORKX_MAX_EDGES = 100_000
MILLION = 1_000_000
T = TypeVar("T")
S = TypeVar("S")
# Of plans between most utility and most stability: flows, and the gap at which large problems end.
MOST_TRADES = 20
CLOSE = 0.02


@dataclass(frozen=True)
class Floors:
    """What the levels above leave: `of_group` is (n_groups,) int64, None without fairness."""

    served: int = 0
    of_group: Int64s | None = None
    weight: int = 0
    kept: int = 0


@dataclass(frozen=True)
class Found:
    """Chosen edges (n_usable,) bool; no plan has more than `bound`; `proof` as of the solution."""

    chosen: Bools
    bound: int
    proof: Proof | None = None


class Space:
    """The usable edges of a problem, with their rows, and one method for each level."""

    def __init__(self, problem: AllocationProblem, effort: Effort) -> None:
        self.problem, self.effort = problem, effort
        self.edges = np.flatnonzero(problem.usable)
        self.patient, self.donor = problem.patient[self.edges], problem.donor[self.edges]
        self.second = problem.second[self.edges]
        self.weight = problem.weight[self.edges]
        self.kept = problem.kept[self.edges].astype(np.int64)
        self.double = self.second != UNALLOCATED
        self.rows = self._rows()

    @cached_property
    def group_sizes(self) -> Int64s:
        """(n_groups,) patients with a usable edge of each ancestry group."""
        ancestry = self.problem.ancestry
        n_groups = int(ancestry.max(initial=-1)) + 1
        return np.bincount(ancestry[np.unique(self.patient)], minlength=n_groups)

    def value(self, objective: Objective, chosen: Bools) -> int:
        if objective is Objective.RECIPIENTS:
            return int(chosen.sum())
        if objective is Objective.FAIRNESS:
            served = np.bincount(
                self.problem.ancestry[self.patient[chosen]], minlength=len(self.group_sizes)
            )
            there = self.group_sizes > 0
            return int((MILLION * served[there] // self.group_sizes[there]).min(initial=MILLION))
        values = self.weight if objective is Objective.UTILITY else self.kept
        return int(values[chosen].sum())

    def group_floors(self, per_million: int) -> Int64s:
        """(n_groups,) how many to serve so that every group reaches a share; rounded up."""
        return -(-per_million * self.group_sizes // MILLION)

    def most_served(self) -> Found:
        network, back = self._network(np.ones_like(self.weight))
        chosen = self._chosen(network.most_served(), back)
        return self._by_component(np.ones_like(self.weight), chosen)

    def fairest(self, floors: Floors, hint: Found) -> Found:
        """The highest share of the worst-off group, by bisection over the shares there can be."""
        sizes = self.group_sizes[self.group_sizes > 0]
        shares = np.unique(
            np.concatenate([MILLION * np.arange(n + 1) // n for n in sizes] or [[0]])
        )
        found, low = hint, int(np.searchsorted(shares, self.value(Objective.FAIRNESS, hint.chosen)))
        bound, high = int(shares[-1]), len(shares)
        while high - low > 1:
            middle = (low + high) // 2
            wanted = replace(floors, of_group=self.group_floors(int(shares[middle])))
            choice = self.best_under(np.zeros_like(self.weight), wanted, None)
            if choice is not None and choice.chosen is not None:
                found, low = Found(choice.chosen, 0), middle
            else:
                high = middle
                if choice is None:
                    bound = min(bound, int(shares[middle - 1]))
        return Found(found.chosen, bound)

    def heaviest(self, floors: Floors, hint: Found) -> Found:
        """Most weight; with a proof where nothing but donors and the number served is limited."""
        network, back = self._network(self.weight)
        groups = floors.of_group
        plain = not len(self.rows.most[self._n_units :]) and not self.double.any()
        if plain and groups is None and network.fits:
            donor_of = network.heaviest(Quota(floors.served))
            if donor_of is None:
                raise AllocationError(f"the solver finds nobody to serve {floors.served} patients")
            proof = network.first_of(network.prove(donor_of, floors.served), floors.served)
            chosen = self._chosen(proof.donor_of, back)
            return Found(chosen, int(self.weight[chosen].sum()), proof)
        donor_of = network.heaviest(Quota(0)) if network.fits else None
        if donor_of is not None:
            apart = self._by_component(self.weight, self._chosen(donor_of, back))
            if self._holds(apart.chosen, floors):
                return apart
        return self._found(self.best_under(self.weight, floors, hint.chosen), hint)

    def steadiest(self, floors: Floors, hint: Found) -> Found:
        """Most of yesterday's pairs, and of those plans the heaviest."""
        n = len(self.problem.patients)
        highest = np.zeros(n, dtype=np.int64)
        np.maximum.at(highest, self.patient, self.weight)
        first = int(highest.sum()) + 1
        bound = int(np.unique(self.patient[self.kept > 0]).size)
        if first * n < 2**62:
            combined = self.best_under(
                self.kept * first + self.weight, replace(floors, weight=0), None, flow_only=True
            )
            if combined is not None:
                bound = min(bound, combined.bound // first)
            if combined is not None and combined.chosen is not None:
                if self._holds(combined.chosen, floors):
                    return Found(combined.chosen, int(self.kept[combined.chosen].sum()))
                hint = self._traded(hint.chosen, combined.chosen, floors)
                bound = min(bound, hint.bound)
        gap = bound - int(self.kept[hint.chosen].sum())
        if len(self.edges) > CORE_EDGES and gap <= CLOSE * bound:
            return Found(hint.chosen, bound)
        found = self._found(self.best_under(self.kept, floors, hint.chosen, bound=bound), hint)
        steady = replace(floors, kept=int(self.kept[found.chosen].sum()))
        last = self._found(self.best_under(self.weight, steady, found.chosen), found)
        return Found(last.chosen, min(bound, found.bound))

    def _traded(self, heavy: Bools, steady: Bools, floors: Floors) -> Found:
        """A plan between one of most weight and one that keeps most but is too light, and a bound.

        Plans of most `a * weight + b * kept` lie on the way from one to the other. Each proves that
        no plan above the floor keeps more than is left of that maximum. In the end two neighbours
        differ by alternating paths, which are taken while the floors hold.
        """
        bound = int(self.kept[steady].sum())
        for _ in range(MOST_TRADES):
            self.effort.between()
            a = int(self.kept[steady].sum() - self.kept[heavy].sum())
            b = int(self.weight[heavy].sum() - self.weight[steady].sum())
            worth = a * int(self.weight[heavy].sum()) + b * int(self.kept[heavy].sum())
            if a <= 0 or b <= 0 or max(worth, a * int(self.weight.max())) >= 2**62:
                break
            network, back = self._network(a * self.weight + b * self.kept)
            donor_of = network.heaviest(self._quota(floors)) if network.fits else None
            if donor_of is None:
                break
            chosen = self._chosen(donor_of, back)
            weight, kept = int(self.weight[chosen].sum()), int(self.kept[chosen].sum())
            bound = min(bound, (a * weight + b * kept - a * floors.weight) // b)
            if a * weight + b * kept == worth or self._broken(chosen).size:
                break
            if weight >= floors.weight:
                heavy = chosen
            else:
                steady = chosen
        return Found(self._on_the_way(heavy, steady, floors), bound)

    def _on_the_way(self, heavy: Bools, steady: Bools, floors: Floors) -> Bools:
        """`heavy` with as many of the differences to `steady` as keep more and hold the floors."""
        differs = np.flatnonzero(heavy != steady)
        n_patients = len(self.problem.patients)
        nodes = self.patient[differs], n_patients + self.donor[differs]
        size = n_patients + len(self.problem.donors)
        links = coo_array((np.ones(len(differs), dtype=np.int8), nodes), shape=(size, size))
        label = csgraph.connected_components(links, directed=False)[1][nodes[0]]
        sign = np.where(steady[differs], 1, -1)
        changes = []
        for part in np.unique(label):
            here = label == part
            kept, weight = (
                int((values[differs[here]] * sign[here]).sum())
                for values in (self.kept, self.weight)
            )
            if kept > 0:
                changes.append((-weight / kept, int(part)))
        best = heavy
        for _, part in sorted(changes):
            tried = best.copy()
            edges = differs[label == part]
            tried[edges] = steady[edges]
            if self._holds(tried, floors):
                best = tried
        return best

    def _quota(self, floors: Floors) -> Quota:
        if floors.of_group is None:
            return Quota(floors.served)
        return Quota(floors.served, self.problem.ancestry, floors.of_group)

    @staticmethod
    def _found(choice: Choice | None, hint: Found) -> Found:
        # The hint holds to the floors, so there is always a choice.
        assert choice is not None
        return Found(hint.chosen if choice.chosen is None else choice.chosen, choice.bound)

    def _holds(self, chosen: Bools, floors: Floors) -> bool:
        """True if floors and rows hold."""
        groups = self.problem.ancestry[self.patient[chosen]]
        of_group = floors.of_group
        return bool(
            chosen.sum() >= floors.served
            and self.weight[chosen].sum() >= floors.weight
            and self.kept[chosen].sum() >= floors.kept
            and (
                of_group is None or (np.bincount(groups, minlength=len(of_group)) >= of_group).all()
            )
            and self._broken(chosen).size == 0
        )

    def _broken(self, chosen: Bools) -> Int64s:
        """Rows that a choice breaks."""
        used = np.bincount(self.rows.row[chosen[self.rows.edge]], minlength=len(self.rows.most))
        return np.flatnonzero(used > self.rows.most)

    def best_under(
        self,
        weight: Int64s,
        floors: Floors,
        hint: Bools | None,
        flow_only: bool = False,
        bound: int | None = None,
    ) -> Choice | None:
        """The heaviest choice of all edges together under floors; None if there is none.

        A flow where its answer happens to keep to all rows. With `flow_only` no choice is made
        otherwise, but a bound.
        """
        highest = np.zeros(len(self.problem.patients), dtype=np.int64)
        np.maximum.at(highest, self.patient, weight)
        bound = int(highest.sum()) if bound is None else bound
        network, back = self._network(weight)
        if not floors.weight and not floors.kept and network.fits:
            donor_of = network.heaviest(self._quota(floors))
            if donor_of is None:
                return None
            chosen = self._chosen(donor_of, back)
            bound = min(bound, int(weight[chosen].sum()))
            if self._broken(chosen).size == 0:
                return Choice(chosen, bound)
        if flow_only:
            return Choice(None, bound)
        wanted = [
            Floor(values, most)
            for values, most in (
                (np.ones_like(weight), floors.served),
                (self.weight, floors.weight),
                (self.kept, floors.kept),
            )
            if most
        ]
        group = self.problem.ancestry[self.patient]
        for number, most in enumerate([] if floors.of_group is None else floors.of_group.tolist()):
            if most:
                wanted.append(Floor((group == number).astype(np.int64), most))
        program = Program(self.patient, weight, self.rows, tuple(wanted), bound)
        return program.maximise(hint, self.effort)

    def _by_component(self, weight: Int64s, chosen: Bools) -> Found:
        """`chosen`, with the components in which it breaks a row searched anew."""
        broken = np.unique(
            self._component[self.rows.edge[np.isin(self.rows.row, self._broken(chosen))]]
        )
        parts = [np.flatnonzero(self._component == number) for number in broken]

        def search(part: Int64s) -> Choice:
            self.effort.between()
            inside = np.full(len(weight), -1)
            inside[part] = np.arange(len(part))
            entries = inside[self.rows.edge] >= 0
            named, row = np.unique(self.rows.row[entries], return_inverse=True)
            rows = Rows(row, inside[self.rows.edge[entries]], self.rows.most[named])
            bound = int(weight[part][chosen[part]].sum())
            program = Program(self.patient[part], weight[part], rows, (), bound)
            choice = program.maximise(program.greedy(), self.effort)
            assert choice is not None  # nobody served is a choice
            return choice

        chosen, bound = chosen.copy(), int(weight[chosen].sum())
        for part, choice in zip(
            parts, in_parallel(search, parts, self.effort.threads), strict=True
        ):
            bound += choice.bound - int(weight[part][chosen[part]].sum())
            chosen[part] = choice.chosen
        return Found(chosen, bound)

    def _network(self, weight: Int64s) -> tuple[Network, Int64s]:
        """Every pair once, at its heaviest, without second units; and the edges that those are."""
        sizes = len(self.problem.patients), len(self.problem.donors)
        back = first_highest(self.patient * sizes[1] + self.donor, weight)
        edges = self.patient[back], self.donor[back], weight[back]
        return Network(*sizes, *edges, self.effort.between), back

    def _chosen(self, donor_of: Int64s, back: Int64s) -> Bools:
        chosen = np.zeros(len(self.edges), dtype=bool)
        chosen[back[donor_of[self.patient[back]] == self.donor[back]]] = True
        return chosen

    def _rows(self) -> Rows:
        """Each unit once, then the limits that can bind at all."""
        positions = np.arange(len(self.edges))
        units = np.concatenate((self.donor, self.second[self.double]))
        edge = np.concatenate((positions, positions[self.double]))
        named, row = np.unique(units, return_inverse=True)
        self._n_units = len(named)
        rows, edges, most = [row], [edge], [np.ones(len(named), dtype=np.int64)]
        for limit in self.problem.limits:
            of_patient = np.flatnonzero(np.isin(self.patient, limit.patients))
            of_donor = np.flatnonzero(np.isin(units, limit.donors))
            reach = len(np.unique(self.patient[of_patient])) + len(np.unique(units[of_donor]))
            if reach > limit.most:
                entries = np.concatenate((of_patient, edge[of_donor]))
                rows.append(np.full(len(entries), sum(map(len, most))))
                edges.append(entries)
                most.append(np.array([limit.most]))
        return Rows(*(np.concatenate(a).astype(np.int64) for a in (rows, edges, most)))

    @cached_property
    def _component(self) -> Int64s:
        """(n_usable,) number of the component of each edge: by patients, units and limits."""
        n_patients = len(self.problem.patients)
        tails, heads = self.patient[self.rows.edge], n_patients + self.rows.row
        n_nodes = n_patients + len(self.rows.most)
        label = np.empty(n_nodes, dtype=np.int64)
        if len(heads) <= NETWORKX_MAX_EDGES:
            # Slow to import, and only allocations under limits need it.
            import networkx as nx

            graph = nx.Graph()
            graph.add_edges_from(zip(tails.tolist(), heads.tolist(), strict=True))
            for number, nodes in enumerate(nx.connected_components(graph)):
                label[list(nodes)] = number
        else:
            links = (np.ones(len(heads), dtype=np.int8), (tails, heads))
            label[:] = csgraph.connected_components(
                coo_array(links, shape=(n_nodes, n_nodes)), directed=False
            )[1]
        return np.unique(label[self.patient], return_inverse=True)[1].astype(np.int64)

    @property
    def n_components(self) -> int:
        return int(self._component.max(initial=-1)) + 1


def in_parallel(function: Callable[[T], S], parts: Sequence[T], threads: int) -> list[S]:
    """A function of each part, in their order."""
    if threads <= 1:
        return list(map(function, parts))
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))
