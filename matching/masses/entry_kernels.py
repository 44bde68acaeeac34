"""The entries that some typings have, apart from all others."""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import OUT_I32, array
from matching.kernels import kernel
from matching.masses.arrays import ENTRY_ARRAYS, Bytes, EntryArrays, Int32s, Int64s


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
