"""Slow, obvious definitions of an optimal allocation: every one is listed, or a full matching."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import networkx as nx
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

# (patient, donor) -> utility
Edges = dict[tuple[int, int], int]
# The donor of each patient; the number of donors where a patient gets none.
Allocation = tuple[int, ...]


def allocations(edges: Edges, n_patients: int, n_donors: int) -> Iterator[Allocation]:
    """Every allocation, in lexicographic order."""

    def extend(chosen: Allocation) -> Iterator[Allocation]:
        if len(chosen) == n_patients:
            yield chosen
            return
        for donor in range(n_donors):
            if (len(chosen), donor) in edges and donor not in chosen:
                yield from extend((*chosen, donor))
        yield from extend((*chosen, n_donors))

    return extend(())


def worth(edges: Edges, allocation: Allocation) -> int:
    return sum(edges.get(pair, 0) for pair in enumerate(allocation))


def best(edges: Edges, n_patients: int, n_donors: int) -> tuple[int, Allocation]:
    """The highest worth, and the lexicographically first allocation that has it."""
    found = max(allocations(edges, n_patients, n_donors), key=lambda a: worth(edges, a))
    return worth(edges, found), found


def best_with(edges: Edges, n_patients: int, n_donors: int, patient: int, donor: int) -> int:
    """The highest worth of the allocations in which the patient gets this donor."""
    every = allocations(edges, n_patients, n_donors)
    return max(worth(edges, a) for a in every if a[patient] == donor)


def dense(edges: Edges, n_patients: int, n_donors: int) -> int:
    """The highest worth, by scipy's dense assignment: a pair that is no edge is worth nothing."""
    table = np.zeros((n_patients, n_donors), dtype=np.int64)
    for pair, value in edges.items():
        table[pair] = value
    return int(table[linear_sum_assignment(table, maximize=True)].sum())


def sparse(edges: Edges, n_patients: int, n_donors: int) -> int:
    """The highest worth, by scipy's full sparse matching: a dummy donor for every patient."""
    top = max(edges.values()) + 1
    pairs = [*edges, *((patient, n_donors + patient) for patient in range(n_patients))]
    costs = [top - edges.get(pair, 0) for pair in pairs]
    rows, columns = np.array(pairs).T
    shape = (n_patients, n_donors + n_patients)
    matrix = csr_array((np.array(costs, dtype=np.float64), (rows, columns)), shape=shape)
    patients, chosen = min_weight_full_bipartite_matching(matrix)
    return sum(edges.get(pair, 0) for pair in zip(patients.tolist(), chosen.tolist(), strict=True))


def blossom(edges: Edges, most_first: bool) -> list[int]:
    """Number served and worth by networkx; `most_first`: among those that serve the most."""
    graph = nx.Graph()
    for (patient, donor), value in edges.items():
        graph.add_edge(("patient", patient), ("donor", donor), weight=value)
    pairs = nx.max_weight_matching(graph, maxcardinality=most_first)
    return [len(pairs), sum(graph[one][other]["weight"] for one, other in pairs)]


@dataclass(frozen=True)
class Candidate:
    """A patient and the one or two units that it may receive, as an edge with its values."""

    patient: int
    units: tuple[int, ...]
    weight: int
    kept: bool


@dataclass(frozen=True)
class Cap:
    """At most `most`: one for each served patient of `patients`, one for each unit of `donors`."""

    most: int
    patients: frozenset[int]
    donors: frozenset[int]


Plan = tuple[Candidate, ...]


def plans(candidates: list[Candidate], caps: list[Cap]) -> list[Plan]:
    """Every plan: an edge or none for each patient, each unit once, within all caps."""
    by_patient: dict[int, list[Candidate]] = {}
    for candidate in candidates:
        by_patient.setdefault(candidate.patient, []).append(candidate)
    found = []
    for picked in product(*([None, *own] for own in by_patient.values())):
        plan = tuple(candidate for candidate in picked if candidate is not None)
        units = [unit for candidate in plan for unit in candidate.units]
        if len(set(units)) == len(units) and all(_within(plan, units, cap) for cap in caps):
            found.append(plan)
    return found


def _within(plan: Plan, units: list[int], cap: Cap) -> bool:
    patients = sum(candidate.patient in cap.patients for candidate in plan)
    return patients + sum(unit in cap.donors for unit in units) <= cap.most


def served_per_million(group_of: dict[int, int], plan: Plan) -> int:
    """Share served of the worst-off group, of patients `group_of`, who have a candidate."""
    sizes = Counter(group_of.values())
    served = Counter(group_of[candidate.patient] for candidate in plan)
    return min((10**6 * served[group] // size for group, size in sizes.items()), default=10**6)


def ordered(
    every: list[Plan], levels: list[tuple[Callable[[Plan], int], Fraction]]
) -> tuple[list[int], list[Plan]]:
    """The best value of each level in turn, and the plans that are best at the last one.

    A level is a value and the share of its best that the levels below may give up.
    """
    bests = []
    for place, (value, share) in enumerate(levels):
        bests.append(max(map(value, every)))
        least = bests[-1] if place == len(levels) - 1 else (1 - share) * bests[-1]
        every = [plan for plan in every if value(plan) >= least]
    return bests, every
