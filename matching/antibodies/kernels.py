"""Hot loops of the virtual crossmatch of a registry; nothing else.

Answers are bits as `matching.antibodies.bits` packs them. `codes` is (n_rows, `N_LOCI`) uint16;
what a code that is `LARGE` stands for is left out.
"""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.antibodies.bits import HIGH, JOINED, LOW, UNKNOWN
from matching.array_types import I32, I32_2D, I64, I64_2D, OUT_U8, U8, U8_2D, U16_2D
from matching.kernels import kernel
from matching.search_kernels import LARGE

Bytes = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

# Added to codes of P groups, so that those of no group are not negative.
SHIFT = 3


@kernel(numba.void(I64, I64, I32, U8_2D, U8, OUT_U8))
def answers_of_book(
    starts: Int64s,
    offsets: Int64s,
    groups: Int32s,
    altered: Bytes,
    by_group: Bytes,
    out: Bytes,
) -> None:
    """The answer of every entry of a book (arguments as `Book` has them) from those of P groups.

    by_group: bits of code k at k + `SHIFT`. The best and the worst case are over the groups of a
    position and the genotypes of a list; of both copies the worse counts.
    """
    for entry in range(len(starts) - 1):
        best, worst = LOW, 0
        for genotype in range(starts[entry], starts[entry + 1]):
            low, high = 0, 0
            for copy in range(2):
                first, last = offsets[2 * genotype + copy], offsets[2 * genotype + copy + 1]
                if altered[genotype, copy]:
                    low, high = low | UNKNOWN & LOW, high | UNKNOWN & HIGH
                elif first < last:
                    shared, any_of = LOW, 0
                    for k in range(first, last):
                        bits = int(by_group[groups[k] + SHIFT])
                        shared, any_of = shared & bits, any_of | bits & HIGH
                    low, high = low | shared, high | any_of
            best, worst = best & low, worst | high
        out[entry] = best | worst


@kernel(numba.void(U16_2D, numba.uint8, I64, U8_2D, I64_2D, I32_2D, U8, OUT_U8))
def answers_of_rows(
    codes: Shorts,
    base: int,
    columns: Int64s,
    tables: Bytes,
    pairs: Int64s,
    copies: Int32s,
    molecules: Bytes,
    out: Bytes,
) -> None:
    """The worst answer of each row over columns and pairs of columns, best and worst case apart.

    base: bits of every row. tables: (n_columns, `LARGE` + 1) the bits of the entries of `columns`,
    none at `LARGE`. pairs: (n, 6), each the columns of alpha and beta, where in `copies` the
    numbers of both copies of their entries start, the width of its table of `molecules` and where
    it starts; bits there lack `JOINED` where the chains do not join. A row without any molecule
    cannot be assessed.
    """
    for row in range(len(codes)):
        bits = np.uint8(base)
        for i in range(len(columns)):
            bits |= tables[i, codes[row, columns[i]]]
        for i in range(len(pairs)):
            a, b = codes[row, pairs[i, 0]], codes[row, pairs[i, 1]]
            if a == LARGE or b == LARGE:
                continue
            found = np.uint8(0)
            for first in range(2):
                alpha = copies[pairs[i, 2] + a, first]
                for second in range(2):
                    beta = copies[pairs[i, 3] + b, second]
                    found |= molecules[pairs[i, 5] + alpha * pairs[i, 4] + beta]
            bits |= found if found & JOINED else np.uint8(UNKNOWN)
        out[row] = bits & (LOW | HIGH)
