"""Hot loops over pairs of cord blood units; nothing else."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import I32, I32_2D, I64, I64_2D, OUT_I64, OUT_U8_2D, U8
from matching.kernels import kernel

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

# Of a key: CD34+ cells count up to so many steps, and mismatches are below `MISMATCHES`.
MOST_STEPS = 2**16 - 1
MISMATCHES = 2**4


@kernel(numba.void(I64, I64, I64, I64, I32, I64, I32, OUT_U8_2D))
def mismatch_table(
    rows: Int64s,
    columns: Int64s,
    starts: Int64s,
    offsets: Int64s,
    groups: Int32s,
    related_starts: Int64s,
    related: Int32s,
    table: Bytes,
) -> None:
    """Mismatches of genotypes with genotypes by rule R2 if every ambiguity turns out well.

    rows, columns: entries of one book; entry e is the alternatives `starts[e]:starts[e + 1]`, and
    alternative a has the groups `groups[offsets[2a]:offsets[2a + 1]]` and
    `groups[offsets[2a + 1]:offsets[2a + 2]]`, numbers from 0. Group g matches
    `related[related_starts[g]:related_starts[g + 1]]`. An entry without alternatives is untyped and
    has no mismatch. table: (n_rows, n_columns) uint8.
    """
    marks = np.zeros(len(related_starts) - 1, dtype=np.uint8)
    for r in range(len(rows)):
        x = rows[r]
        for c in range(len(columns)):
            y = columns[c]
            untyped = starts[x] == starts[x + 1] or starts[y] == starts[y + 1]
            table[r, c] = 0 if untyped else 2
        for a in range(starts[x], starts[x + 1]):
            # Bits 0 and 1: the first and the second position match the group.
            for side in range(2):
                for k in range(offsets[2 * a + side], offsets[2 * a + side + 1]):
                    g = groups[k]
                    for m in range(related_starts[g], related_starts[g + 1]):
                        marks[related[m]] |= side + 1
            for c in range(len(columns)):
                y = columns[c]
                for b in range(starts[y], starts[y + 1]):
                    first, second = 0, 0
                    for k in range(offsets[2 * b], offsets[2 * b + 1]):
                        first |= marks[groups[k]]
                    for k in range(offsets[2 * b + 1], offsets[2 * b + 2]):
                        second |= marks[groups[k]]
                    found = 2
                    if (first & 1 and second & 2) or (first & 2 and second & 1):
                        found = 0
                    elif first | second:
                        found = 1
                    table[r, c] = min(table[r, c], found)
            for side in range(2):
                for k in range(offsets[2 * a + side], offsets[2 * a + side + 1]):
                    g = groups[k]
                    for m in range(related_starts[g], related_starts[g + 1]):
                        marks[related[m]] = 0


@kernel(
    numba.int64(
        *(I64_2D, I32_2D, I64_2D, I32_2D, U8, I64, I64),
        *(numba.boolean, numba.int64, numba.int64, I64, numba.int64, OUT_I64, OUT_I64),
    )
)
def pairs_within(
    a: Int64s,
    a_entries: Int32s,
    b: Int64s,
    b_entries: Int32s,
    tables: Bytes,
    table_starts: Int64s,
    widths: Int64s,
    same: bool,
    n_units: int,
    bound: int,
    limits: Int64s,
    cd34_step: int,
    at: Int64s,
    keys: Int64s,
) -> int:
    """Pairs of a unit of `a` and another one of `b` with the doses and the match that are asked.

    a, b: (3, n) nucleated cells, CD34+ cells (-1 unknown) and number of each unit, by falling
    nucleated cells. a_entries, b_entries: (n_loci, n). Mismatches at locus l are
    `tables[table_starts[l] + widths[l] * a_entry + b_entry]`. same: `a` and `b` are the same units.
    limits: least and most nucleated cells together, least CD34+ cells together (-1 none asked),
    most mismatches over the loci.

    Writes the key of each pair that is below `bound`: the lower, the better, by CD34+ cells in
    steps of `cd34_step`, then mismatches, then numbers, which are below `n_units` (see `double`).
    Begins at unit `at[0]` of `a`, and writes there where to go on once `keys`, at least as long as
    `b`, is too full. Returns how many there are.
    """
    low, high, least_cd34, most = limits[0], limits[1], limits[2], limits[3]
    n_a, n_b = a.shape[1], b.shape[1]
    count = 0
    i = at[0]
    while i < n_a and n_b > 0:
        if a[0, i] + b[0, 0] < low:
            i = n_a
            break
        # b falls: the first that is not too much, and the first that is too little.
        first, last = 0, n_b
        while first < last:
            middle = (first + last) // 2
            if a[0, i] + b[0, middle] > high:
                first = middle + 1
            else:
                last = middle
        begin = max(first, i + 1) if same else first
        last = n_b
        while first < last:
            middle = (first + last) // 2
            if a[0, i] + b[0, middle] >= low:
                first = middle + 1
            else:
                last = middle
        if count + max(first - begin, 0) > len(keys):
            break
        for j in range(begin, first):
            between = 0
            for locus in range(len(widths)):
                row = table_starts[locus] + widths[locus] * a_entries[locus, i]
                between += tables[row + b_entries[locus, j]]
            if between > most:
                continue
            cd34 = -1 if a[1, i] < 0 or b[1, j] < 0 else a[1, i] + b[1, j]
            if cd34 < least_cd34:
                continue
            steps = 0 if cd34 < 0 else min(cd34 // cd34_step + 1, MOST_STEPS)
            x, y = min(a[2, i], b[2, j]), max(a[2, i], b[2, j])
            key = ((MOST_STEPS - steps) * MISMATCHES + between) * n_units * n_units
            key += x * n_units + y
            if key < bound:
                keys[count] = key
                count += 1
        i += 1
    at[0] = i
    return count
