"""Hot loops that find the haplotypes which explain typings; nothing else.

Shared terms. A *table* says what a written locus, or loci in phase, admit. Each name of a locus
(each haplotype where several loci are in phase) has a pattern, 0 where it fits nowhere, and two
patterns are compatible where the haplotypes explain both positions together. Rows of `tables`
(n_tables, 7) int64: column of the locus or -1 for several, number of patterns, where its patterns
start in `patterns` (uint16), where its square of compatibilities starts in `compatible` (int16: -1
no, else twice the entry of the genotype list, plus 1 where the first haplotype explains the second
position), first and last + 1 of its columns in `columns`, and where its nulls start in `nulls`
(uint8, one a list entry and column: bit 0 the first position is null, bit 1 the second).

A *class* is the haplotypes of one pattern at every table: pairs are compatible class by class.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import (
    F64,
    I16,
    I32_2D,
    I64,
    I64_2D,
    OUT_I64,
    OUT_I64_2D,
    U16,
)
from matching.kernels import Int64s, kernel

Floats = npt.NDArray[np.float64]
Int64Table = npt.NDArray[np.int64]
Int32Table = npt.NDArray[np.int32]


@kernel(numba.int64(numba.int64))
def mixed_bits(key: Any) -> Any:
    """The hash of an int64, whose lowest bits depend on all of it."""
    mixed = key * np.int64(-7046029254386353131)
    return mixed ^ (mixed >> 29)


@kernel(
    numba.types.Tuple((OUT_I64, OUT_I64, OUT_I64_2D))(
        I32_2D, F64, I32_2D, I64, I64, I64_2D, U16, I64
    )
)
def explaining_classes(
    haplotypes: Int32Table,
    frequencies: Floats,
    rows_by_name: Int32Table,
    name_offsets: Int64s,
    name_starts: Int64s,
    tables: Int64Table,
    patterns: npt.NDArray[np.uint16],
    chosen: Int64s,
) -> tuple[Int64s, Int64s, Int64Table]:
    """The haplotypes that fit every one of some tables, class by class.

    haplotypes: (n, n_loci) names; frequencies: (n,), rows of 0 are left out. rows_by_name:
    (n_loci, n), the rows of name k of column l are rows_by_name[l, name_offsets[s + k] :
    name_offsets[s + k + 1]] with s = name_starts[l]. chosen: positions in tables. Returns the rows,
    the bounds of the classes in them, and (n_classes, n_chosen) patterns.
    """
    n_chosen = len(chosen)
    driver, fewest = -1, np.int64(len(haplotypes) + 1)
    for c in range(n_chosen):
        column, start = tables[chosen[c], 0], tables[chosen[c], 2]
        if column < 0:
            continue
        first = name_starts[column]
        total = np.int64(0)
        for name in range(name_starts[column + 1] - first - 1):
            if patterns[start + name]:
                total += name_offsets[first + name + 1] - name_offsets[first + name]
        if total < fewest:
            driver, fewest = c, total
    room = len(haplotypes) if driver < 0 else fewest
    found = np.empty(room, dtype=np.int64)
    class_of = np.empty(room, dtype=np.int64)
    size = 64
    slots = np.full(size, -1, dtype=np.int64)
    keys = np.empty(32, dtype=np.int64)
    counts = np.zeros(32, dtype=np.int64)
    n_found, n_classes = 0, 0
    n_blocks = np.int64(1)
    first = np.int64(0)
    start = np.int64(0)
    column = np.int64(0)
    if driver >= 0:
        column, start = tables[chosen[driver], 0], tables[chosen[driver], 2]
        first = name_starts[column]
        n_blocks = name_starts[column + 1] - first - 1
    for block in range(n_blocks):
        low, high = np.int64(0), np.int64(len(haplotypes))
        if driver >= 0:
            if patterns[start + block] == 0:
                continue
            low, high = name_offsets[first + block], name_offsets[first + block + 1]
        for k in range(low, high):
            row = np.int64(rows_by_name[column, k]) if driver >= 0 else np.int64(k)
            if frequencies[row] <= 0:
                continue
            key = np.int64(0)
            fits = True
            for c in range(n_chosen):
                table = chosen[c]
                at = tables[table, 0]
                where = row if at < 0 else np.int64(haplotypes[row, at])
                pattern = patterns[tables[table, 2] + where]
                if pattern == 0:
                    fits = False
                    break
                key = key * tables[table, 1] + pattern
            if not fits:
                continue
            slot = mixed_bits(key) & (size - 1)
            while slots[slot] >= 0 and keys[slots[slot]] != key:
                slot = (slot + 1) & (size - 1)
            if slots[slot] < 0:
                if n_classes == len(keys):
                    longer = np.empty(2 * n_classes, dtype=np.int64)
                    longer[:n_classes] = keys
                    keys = longer
                    more = np.zeros(2 * n_classes, dtype=np.int64)
                    more[:n_classes] = counts
                    counts = more
                    size *= 2
                    slots = np.full(size, -1, dtype=np.int64)
                    for c in range(n_classes):
                        other = mixed_bits(keys[c]) & (size - 1)
                        while slots[other] >= 0:
                            other = (other + 1) & (size - 1)
                        slots[other] = c
                    slot = mixed_bits(key) & (size - 1)
                    while slots[slot] >= 0:
                        slot = (slot + 1) & (size - 1)
                slots[slot] = n_classes
                keys[n_classes] = key
                n_classes += 1
            found[n_found] = row
            class_of[n_found] = slots[slot]
            counts[slots[slot]] += 1
            n_found += 1
    bounds = np.zeros(n_classes + 1, dtype=np.int64)
    for c in range(n_classes):
        bounds[c + 1] = bounds[c] + counts[c]
    rows = np.empty(n_found, dtype=np.int64)
    at_class = bounds.copy()
    for k in range(n_found):
        rows[at_class[class_of[k]]] = found[k]
        at_class[class_of[k]] += 1
    held = np.empty((n_classes, n_chosen), dtype=np.int64)
    for c in range(n_classes):
        key = keys[c]
        for k in range(n_chosen - 1, -1, -1):
            held[c, k] = key % tables[chosen[k], 1]
            key //= tables[chosen[k], 1]
    return rows, bounds, held


@kernel(
    numba.types.Tuple((OUT_I64_2D, numba.float64, numba.int64))(
        I64, I64, I64_2D, F64, I64_2D, I16, I64
    )
)
def compatible_classes(
    rows: Int64s,
    bounds: Int64s,
    held: Int64Table,
    frequencies: Floats,
    tables: Int64Table,
    compatible: npt.NDArray[np.int16],
    chosen: Int64s,
) -> tuple[Int64Table, float, Any]:
    """Pairs c <= d of classes whose haplotypes explain the typing together.

    Arguments as `explaining_classes` takes and returns them. Also the total weight of their
    haplotype pairs (f1 f2, twice that for two different ones) and how many these are. No pair of
    haplotypes is looked at.
    """
    n = len(held)
    sums = np.zeros(n)
    for c in range(n):
        for k in range(bounds[c], bounds[c + 1]):
            sums[c] += frequencies[rows[k]]
    room = 64
    pairs = np.empty((room, 2), dtype=np.int64)
    count = 0
    mass = 0.0
    n_pairs = np.int64(0)
    for c in range(n):
        for d in range(c, n):
            fits = True
            for k in range(len(chosen)):
                table = chosen[k]
                at = tables[table, 3] + held[c, k] * tables[table, 1] + held[d, k]
                if compatible[at] < 0:
                    fits = False
                    break
            if not fits:
                continue
            if count == room:
                longer = np.empty((2 * room, 2), dtype=np.int64)
                longer[:room] = pairs
                pairs = longer
                room *= 2
            pairs[count, 0] = c
            pairs[count, 1] = d
            count += 1
            size_c, size_d = bounds[c + 1] - bounds[c], bounds[d + 1] - bounds[d]
            if c == d:
                mass += sums[c] * sums[c]
                n_pairs += size_c * (size_c + 1) // 2
            else:
                mass += 2 * sums[c] * sums[d]
                n_pairs += size_c * size_d
    return pairs[:count].copy(), mass, n_pairs
