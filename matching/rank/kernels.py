"""The hot loop of the ranking; nothing else."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import F64, I64, OUT_I64
from matching.kernels import Int64s, kernel

Floats = npt.NDArray[np.float64]


@kernel(numba.int64(I64, F64, I64, I64, numba.int64, numba.int64, OUT_I64))
def merge_orders(
    ties: Int64s, found: Floats, one: Int64s, other: Int64s, i: int, j: int, out: Int64s
) -> int:
    """The next members of two orders by `ties`, then by `found`, of equals those of `one` first.

    i, j: how many of each went before. out: (m,) as many as are wanted. Returns how many of `one`
    have then been taken.
    """
    for k in range(len(out)):
        if j == len(other):
            first = True
        elif i == len(one):
            first = False
        else:
            a, b = one[i], other[j]
            first = ties[a] < ties[b] or (ties[a] == ties[b] and found[a] <= found[b])
        if first:
            out[k] = one[i]
            i += 1
        else:
            out[k] = other[j]
            j += 1
    return i
