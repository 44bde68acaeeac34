"""The entries that some typings have, apart from all others."""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import OUT_I32, array
from matching.kernels import kernel
from matching.masses.arrays import ENTRY_ARRAYS, Bytes, EntryArrays, Int32s, Int64s
from matching.masses.phase_kernels import mixed


@kernel(numba.int64(numba.types.Array(numba.int32, 1, "A", readonly=True), OUT_I32, OUT_I32))
def number_codes(codes: Int32s, numbers: Int32s, distinct: Int32s) -> int:
    """Number distinct codes in the order of their first appearance.

    codes: (n,). Writes the number of each, (n,), and the code of each number, and returns how many
    there are.
    """
    size = 1
    while size < 2 * len(codes):
        size *= 2
    slots = np.full(size, -1, dtype=np.int32)
    count = 0
    for i in range(len(codes)):
        at = mixed(codes[i]) & (size - 1)
        while slots[at] >= 0 and distinct[slots[at]] != codes[i]:
            at = (at + 1) & (size - 1)
        if slots[at] < 0:
            slots[at] = count
            distinct[count] = codes[i]
            count += 1
        numbers[i] = slots[at]
    return count


@kernel(
    numba.void(
        ENTRY_ARRAYS,
        array(numba.int64),
        array(numba.int64),
        array(numba.int64),
        OUT_I32,
        array(numba.uint8, readonly=False),
        array(numba.uint64, readonly=False),
    )
)
def copy_entries(
    entries: EntryArrays,
    wanted: Int64s,
    starts: Int64s,
    class_starts: Int64s,
    names: Int32s,
    classes: Bytes,
    compatible: np.ndarray,
) -> None:
    """Copy what the entries `wanted` (n,) admit to where `starts` and `class_starts` say."""
    for n in range(len(wanted)):
        first = entries.starts[wanted[n]]
        for i in range(starts[n + 1] - starts[n]):
            names[starts[n] + i] = entries.names[first + i]
            classes[starts[n] + i] = entries.classes[first + i]
        first = entries.class_starts[wanted[n]]
        for i in range(class_starts[n + 1] - class_starts[n]):
            compatible[class_starts[n] + i] = entries.compatible[first + i]
