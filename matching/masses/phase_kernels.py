"""Haplotypes by their names at some loci, and the pairs of them that explain a genotype.

The loci by whose names haplotypes are found are *fixed*, one or two others are *free*.
"""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import OUT_I32, OUT_I64, array
from matching.kernels import kernel
from matching.masses.arrays import MARGINAL_ARRAYS, Int32s, Int64s, MarginalArrays
from matching.masses.genotype_kernels import MAX_EQUAL


@kernel(numba.int64(numba.int64))
def mixed(key: int) -> np.int64:
    """A key spread over 40 bits, for the hash tables."""
    return np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(24))


@kernel(numba.void(array(numba.int64), numba.int64, OUT_I32))
def fill_slots(keys: Int64s, first: int, slots: Int32s) -> None:
    """Enter distinct keys, numbered from `first`, into a table of -1 (a power of two long)."""
    mask = len(slots) - 1
    for k in range(len(keys)):
        at = mixed(keys[k]) & mask
        while slots[at] >= 0:
            at = (at + 1) & mask
        slots[at] = first + k


@kernel(numba.void(array(numba.int32, 2), array(numba.int64), array(numba.int64), OUT_I32))
def order_by_names(columns: Int32s, n_names: Int64s, loci: Int64s, order: Int32s) -> None:
    """Put haplotypes, (n_loci, n) names below `n_names`, in order by those at some loci.

    The last of `loci` counts most. `order`: (n,), written; haplotypes that do not differ at these
    loci stay in the order of their rows.
    """
    n = columns.shape[1]
    for i in range(n):
        order[i] = i
    before = np.empty(n, dtype=np.int32)
    for at in range(len(loci)):
        names = columns[loci[at]]
        before[:] = order
        starts = np.zeros(n_names[loci[at]] + 1, dtype=np.int64)
        for i in range(n):
            starts[names[i] + 1] += 1
        for name in range(1, len(starts)):
            starts[name] += starts[name - 1]
        for i in range(n):
            name = names[before[i]]
            order[starts[name]] = before[i]
            starts[name] += 1


@kernel(numba.int64(MARGINAL_ARRAYS, numba.int64, numba.int64))
def _find(marginals: MarginalArrays, index: int, key: int) -> int:
    """Position of a key of an index, -1 if no haplotype has it."""
    start = marginals.slot_starts[index]
    mask = marginals.slot_starts[index + 1] - start - 1
    at = mixed(key) & mask
    while True:
        found = marginals.slots[start + at]
        if found < 0:
            return -1
        if marginals.keys[found] == key:
            return int(found)
        at = (at + 1) & mask


@kernel(
    numba.int64(
        MARGINAL_ARRAYS,
        numba.int64,
        numba.int64,
        array(numba.int64),
        array(numba.int32, 3),
        OUT_I64,
        OUT_I64,
    )
)
def phases(
    marginals: MarginalArrays,
    index: int,
    n_loci: int,
    allowed: Int64s,
    equal: Int32s,
    left: Int64s,
    right: Int64s,
) -> int:
    """Pairs of keys of an index that explain the fixed loci together, each unordered pair once.

    allowed: bits of the equal pairs of each fixed locus. Returns their number, -1 if they do not
    fit into left and right.
    """
    first, second = marginals.free[index, 0], marginals.free[index, 1]
    n_fixed = 0
    sizes = np.zeros(n_loci, dtype=np.int64)
    one = np.empty((n_loci, 2 * MAX_EQUAL), dtype=np.int64)
    other = np.empty((n_loci, 2 * MAX_EQUAL), dtype=np.int64)
    for locus in range(n_loci):
        if locus in (first, second):
            continue
        size = 0
        for k in range(equal[locus, -1, 0]):
            if (allowed[locus] >> k) & 1:
                i = equal[locus, k, 0] * marginals.strides[locus]
                j = equal[locus, k, 1] * marginals.strides[locus]
                one[n_fixed, size], other[n_fixed, size] = i, j
                size += 1
                if i != j:
                    one[n_fixed, size], other[n_fixed, size] = j, i
                    size += 1
        sizes[n_fixed] = size
        n_fixed += 1
    choice = np.zeros(n_loci + 1, dtype=np.int64)
    count = 0
    while True:
        low, high = 0, 0
        for f in range(n_fixed):
            low += one[f, choice[f]]
            high += other[f, choice[f]]
        if low <= high:
            found = _find(marginals, index, low)
            if found >= 0:
                partner = _find(marginals, index, high)
                if partner >= 0:
                    if count == len(left):
                        return -1
                    left[count], right[count] = found, partner
                    count += 1
        f = 0
        while f < n_fixed:
            choice[f] += 1
            if choice[f] < sizes[f]:
                break
            choice[f] = 0
            f += 1
        if f == n_fixed:
            return count


@kernel(numba.int64(MARGINAL_ARRAYS, numba.int64, numba.int64))
def row_of(marginals: MarginalArrays, key: int, name: int) -> int:
    """The first haplotype of a key whose first free name is `name` or a later one."""
    low, high = marginals.row_starts[key], marginals.row_starts[key + 1]
    while low < high:
        middle = (low + high) // 2
        if marginals.first[middle] < name:
            low = middle + 1
        else:
            high = middle
    return int(low)
