"""Slow, obvious definitions of an optimal allocation: every one is listed, or a full matching."""

from __future__ import annotations

from collections.abc import Iterator

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
