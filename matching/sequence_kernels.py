"""Where a protein lies on the domain of its gene, and how domains differ."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import I32, U8, U16_2D
from matching.kernels import Bytes, Int32s, kernel

# Agreeing residues that an insertion or deletion must gain, a common deletion less; those that are
# longer are not believed.
GAP_COST, COMMON_GAP_COST = 6, 2
LONGEST_GAP = 9
_N_SHIFTS = 2 * LONGEST_GAP + 1


@kernel(numba.types.UniTuple(numba.int64, 3)(U8, U8, numba.int64))
def best_placement(padded: Bytes, reference: Bytes, absent: int) -> tuple[int, int, int]:
    """The best placement with at most one insertion or deletion: shift, cut and gap.

    `padded`: letters between `len(reference) + LONGEST_GAP` zeros on either side. Up to the residue
    `cut` of the reference stand the letters from `shift` on, then those from `shift + gap` on; a
    gap above 0 is an insertion, below 0 a deletion. A residue that agrees counts 1, one that
    differs -1. `absent`: a residue that is commonly deleted, -1 for none. Of equals the first: no
    gap, then shorter ones, insertions before deletions, earlier shifts, earlier cuts.
    """
    n = len(reference)
    whole, most = LONGEST_GAP, -1
    for shift in range(LONGEST_GAP, len(padded) - n + 1 - LONGEST_GAP):
        agreeing = 0
        for i in range(n):
            agreeing += padded[shift + i] == reference[i]
        if agreeing > most:
            whole, most = shift, agreeing
    lowest = whole - LONGEST_GAP
    head = np.zeros((_N_SHIFTS, n + 1), dtype=np.int32)
    for row in range(_N_SHIFTS):
        for i in range(n):
            letter = padded[lowest + row + i]
            value = 1 if letter == reference[i] else (-1 if letter else 0)
            head[row, i + 1] = head[row, i] + value
    best, found_shift, found_cut, found_gap = head[0, n], lowest, n, 0
    for row in range(1, _N_SHIFTS):
        if head[row, n] > best:
            best, found_shift = head[row, n], lowest + row
    for size in range(1, LONGEST_GAP + 1):
        # An insertion moves what follows to a later row, a deletion to an earlier one.
        for row in range(_N_SHIFTS - size):
            later = row + size
            for cut in range(n + 1):
                total = head[row, cut] + head[later, n] - head[later, cut] - GAP_COST
                if total > best:
                    best, found_shift, found_cut, found_gap = total, lowest + row, cut, size
        for row in range(_N_SHIFTS - size):
            later = row + size
            for cut in range(n + 1 - size):
                total = head[later, cut] + head[row, n] - head[row, cut + size] - GAP_COST
                if size == 1 and cut == absent:
                    total += GAP_COST - COMMON_GAP_COST
                if total > best:
                    best, found_shift, found_cut, found_gap = total, lowest + later, cut, -size
    return found_shift, found_cut, found_gap


@kernel(numba.types.UniTuple(numba.int64, 2)(U16_2D, U16_2D, I32, I32))
def count_differences(
    left: npt.NDArray[np.uint16], right: npt.NDArray[np.uint16], ours: Int32s, theirs: Int32s
) -> tuple[int, int]:
    """Fewest and most residues at which a row of `left` differs from one of `right`.

    Both are (n, length) codes of residues, 0 unknown, which agrees at best and differs at worst,
    but between rows of the same group, `ours` (n_left,) and `theirs` (n_right,).
    """
    length = left.shape[1]
    best, worst = length, 0
    for i in range(len(left)):
        for j in range(len(right)):
            differing, unknown = 0, 0
            for k in range(length):
                a, b = left[i, k], right[j, k]
                is_unknown = (a == 0) | (b == 0)
                unknown += is_unknown
                differing += (a != b) & ~is_unknown
            best = min(best, differing)
            if ours[i] != theirs[j]:
                worst = max(worst, differing + unknown)
    return best, worst
