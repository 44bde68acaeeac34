"""Hot loops of the virtual crossmatch of a registry; nothing else.

An answer is packed: its best case in the lower two bits, its worst in the next two (see `Answer`).
`codes` is (n_rows, `N_LOCI`) uint16; rows of which a code in question is `LARGE` are left out.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import I32, I64, I64_2D, OUT_U8, U8, U16_2D
from matching.kernels import kernel
from matching.search_kernels import LARGE

Bytes = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


@kernel(numba.void(U16_2D, numba.int64, numba.int64, I32, I32, numba.int64, OUT_U8))
def mark_pairs(
    codes: Shorts,
    first: int,
    second: int,
    first_numbers: Int32s,
    second_numbers: Int32s,
    width: int,
    seen: Bytes,
) -> None:
    """Mark in `seen`, (n, width) flat, which numbers of entries of two columns occur together."""
    for row in range(len(codes)):
        a, b = codes[row, first], codes[row, second]
        if a != LARGE and b != LARGE:
            seen[first_numbers[a] * width + second_numbers[b]] = 1


@kernel(numba.void(U16_2D, I64, I64, U8, I64_2D, I32, U8, OUT_U8))
def answers_of_rows(
    codes: Shorts,
    columns: Int64s,
    starts: Int64s,
    tables: Bytes,
    pairs: Int64s,
    numbers: Int32s,
    pair_tables: Bytes,
    out: Bytes,
) -> None:
    """The worst answer of each row over columns and pairs of columns, best and worst case apart.

    columns: (n,), with their tables of entries from `starts` on. pairs: (n, 6), each two columns,
    where the numbers of their entries start, the width of the table of pairs and where it starts.
    """
    for row in range(len(codes)):
        low, high = 0, 0
        for i in range(len(columns)):
            code = codes[row, columns[i]]
            if code != LARGE:
                value = tables[starts[i] + code]
                low, high = max(low, value & 3), max(high, value >> 2)
        for i in range(len(pairs)):
            a, b = codes[row, pairs[i, 0]], codes[row, pairs[i, 1]]
            if a != LARGE and b != LARGE:
                first, second = numbers[pairs[i, 2] + a], numbers[pairs[i, 3] + b]
                value = pair_tables[pairs[i, 5] + first * pairs[i, 4] + second]
                low, high = max(low, value & 3), max(high, value >> 2)
        out[row] = low | (high << 2)
