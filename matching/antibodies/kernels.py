"""Hot loops of the virtual crossmatch of a registry; nothing else.

An answer is packed: its best case in the lower two bits, its worst in the next two (see `Answer`).
`codes` is (n_rows, `N_LOCI`) uint16; rows of which a code in question is `LARGE` are left out.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import I32_2D, I64, I64_2D, OUT_U8, U8, U16_2D
from matching.kernels import kernel
from matching.search_kernels import LARGE

Bytes = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


# In place of an answer: the chains of a pair do not join.
NO_MOLECULE = 15


@kernel(numba.void(U16_2D, I64, I64, U8, I64_2D, I32_2D, U8, OUT_U8))
def answers_of_rows(
    codes: Shorts,
    columns: Int64s,
    starts: Int64s,
    tables: Bytes,
    pairs: Int64s,
    copies: Int32s,
    molecules: Bytes,
    out: Bytes,
) -> None:
    """The worst answer of each row over columns and pairs of columns, best and worst case apart.

    columns: (n,), with their tables of entries from `starts` on. pairs: (n, 6), each the columns of
    alpha and beta, where in `copies` the numbers of both copies of their entries start, the width
    of its table of `molecules` and where it starts. A row without any molecule cannot be assessed.
    """
    for row in range(len(codes)):
        low, high = 0, 0
        for i in range(len(columns)):
            code = codes[row, columns[i]]
            if code != LARGE:
                value = np.int64(tables[starts[i] + code])
                low, high = max(low, int(value & 3)), max(high, int(value >> 2))
        for i in range(len(pairs)):
            a, b = codes[row, pairs[i, 0]], codes[row, pairs[i, 1]]
            if a == LARGE or b == LARGE:
                continue
            is_joined = False
            for first in range(2):
                alpha = copies[pairs[i, 2] + a, first]
                for second in range(2):
                    beta = copies[pairs[i, 3] + b, second]
                    value = np.int64(molecules[pairs[i, 5] + alpha * pairs[i, 4] + beta])
                    if value != NO_MOLECULE:
                        is_joined = True
                        low, high = max(low, int(value & 3)), max(high, int(value >> 2))
            if not is_joined:
                low, high = max(low, 1), max(high, 1)
        out[row] = low | (high << 2)
