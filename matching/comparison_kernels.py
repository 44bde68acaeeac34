"""Genotypes compared with a patient's; terms as in `matching.kernels`."""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import I32, I64, OUT_U8_2D, U8
from matching.kernels import (
    ABSENT_GENE,
    COUNT_BEST,
    COUNT_WORST,
    DONOR_1,
    DONOR_2,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
    MATCH,
    MISMATCH,
    POTENTIAL,
    Bytes,
    Int32s,
    Int64s,
    kernel,
)


@kernel(numba.boolean(I32, I32))
def _meet(x: Int32s, y: Int32s) -> bool:
    """True if two sorted sets share a member."""
    i, j = 0, 0
    while i < len(x) and j < len(y):
        if x[i] == y[j]:
            return True
        if x[i] < y[j]:
            i += 1
        else:
            j += 1
    return False


@kernel(numba.boolean(I32, numba.int32))
def _holds(x: Int32s, value: int) -> bool:
    """True if a sorted set holds a value."""
    i = np.searchsorted(x, value)
    return bool(i < len(x) and x[i] == value)


@kernel(numba.boolean(I32, numba.int32, numba.int32))
def _can_avoid(x: Int32s, a: int, b: int) -> bool:
    """True if a set holds a value other than a and b."""
    for value in x:  # noqa: SIM110 (numba compiles no generators)
        if value != a and value != b:
            return True
    return False


@kernel(numba.boolean(I32, I32, numba.boolean, numba.int32, numba.int32))
def _draw_avoids(d1: Int32s, d2: Int32s, linked: bool, a: int, b: int) -> bool:
    """True if some draw of a person holds neither a nor b."""
    if linked:
        return len(d1) == 0 or _can_avoid(d1, a, b)
    return _can_avoid(d1, a, b) and _can_avoid(d2, a, b)


@kernel(numba.int64(I32, I32, numba.boolean, I32, I32, numba.boolean))
def _fewest_lacking(
    p1: Int32s, p2: Int32s, p_linked: bool, d1: Int32s, d2: Int32s, d_linked: bool
) -> int:
    """Smallest number of distinct groups of one person that the other lacks (R20, best case)."""
    if len(p1) == 0:
        return 0
    absent_1, absent_2 = _holds(p1, ABSENT_GENE), _holds(p2, ABSENT_GENE)
    covered_1 = absent_1 or _meet(p1, d1) or _meet(p1, d2)
    covered_2 = absent_2 or _meet(p2, d1) or _meet(p2, d2)
    if p_linked:
        return 0 if covered_1 else 1
    if (absent_1 and covered_2) or (absent_2 and covered_1):
        return 0
    homozygous = False
    for value in p1:
        if _holds(p2, value):
            homozygous = True
            if _holds(d1, value) or _holds(d2, value):
                return 0
    if not d_linked and ((_meet(p1, d1) and _meet(p2, d2)) or (_meet(p1, d2) and _meet(p2, d1))):
        return 0
    return 1 if covered_1 or covered_2 or homozygous else 2


@kernel(numba.int64(I32, I32, numba.boolean, I32, I32, numba.boolean))
def _most_lacking(
    p1: Int32s, p2: Int32s, p_linked: bool, d1: Int32s, d2: Int32s, d_linked: bool
) -> int:
    """Largest number of distinct groups of one person that the other lacks (R20, worst case)."""
    most = 0
    for a in p1:
        if a != ABSENT_GENE and _draw_avoids(d1, d2, d_linked, a, a):
            most = 1
            break
    if p_linked:
        return most
    for a in p1:
        if a == ABSENT_GENE:
            continue
        for b in p2:
            if b != ABSENT_GENE and a != b and _draw_avoids(d1, d2, d_linked, a, b):
                return 2
    for b in p2:
        if b != ABSENT_GENE and most == 0 and _draw_avoids(d1, d2, d_linked, b, b):
            most = 1
    return most


@kernel(numba.int64(I32, I32, I32, I32))
def _best_count(p1: Int32s, p2: Int32s, d1: Int32s, d2: Int32s) -> int:
    """Rule R2 on the sets of both people."""
    direct_1, direct_2 = _meet(p1, d1), _meet(p2, d2)
    cross_1, cross_2 = _meet(p1, d2), _meet(p2, d1)
    if (direct_1 and direct_2) or (cross_1 and cross_2):
        return 2
    return 1 if direct_1 or direct_2 or cross_1 or cross_2 else 0


@kernel(numba.int64(I32, I32, numba.boolean, I32, I32, numba.boolean))
def _worst_count(
    p1: Int32s, p2: Int32s, p_linked: bool, d1: Int32s, d2: Int32s, d_linked: bool
) -> int:
    """Smallest R2 count over all draws of both people."""
    if len(p1) == 0 or len(d1) == 0:
        return 0
    if len(p1) == 1 and len(p2) == 1 and len(d1) == 1 and len(d2) == 1:
        return _best_count(p1, p2, d1, d2)
    # Two draws that share nothing: a linked person's draw is one value twice.
    for a in p1:
        if p_linked:
            if _draw_avoids(d1, d2, d_linked, a, a):
                return 0
        else:
            for b in p2:
                if _draw_avoids(d1, d2, d_linked, a, b):
                    return 0
    return 1


@kernel(numba.uint8(I32, I32))
def _certainty(x: Int32s, y: Int32s) -> int:
    """MATCH if both sets are one and the same group, POTENTIAL if they meet, else MISMATCH."""
    if not _meet(x, y):
        return MISMATCH
    return MATCH if len(x) == 1 and len(y) == 1 else POTENTIAL


@kernel(numba.void(I32, I32, numba.boolean, I64, I64, I32, U8, OUT_U8_2D))
def compare_genotypes(
    p1: Int32s,
    p2: Int32s,
    p_linked: bool,
    genotypes: Int64s,
    offsets: Int64s,
    groups: Int32s,
    linked: Bytes,
    out: Bytes,
) -> None:
    """Everything that is reported of one typed patient against typed genotypes of a book.

    out: (n_genotypes, N_COMPARED) uint8. Counts are R2; GVH and HVG are R20; DONOR_1 and DONOR_2
    are MISMATCH, POTENTIAL or MATCH at the donor's positions, in the better orientation: more
    positions that can match, then more that surely do, then direct (R12 without grades).
    """
    for row in range(len(genotypes)):
        g = genotypes[row]
        start, middle, end = offsets[2 * g], offsets[2 * g + 1], offsets[2 * g + 2]
        d1, d2 = groups[start:middle], groups[middle:end]
        d_linked = linked[g] == 1
        out[row, COUNT_BEST] = _best_count(p1, p2, d1, d2)
        out[row, COUNT_WORST] = _worst_count(p1, p2, p_linked, d1, d2, d_linked)
        out[row, GVH_BEST] = _fewest_lacking(p1, p2, p_linked, d1, d2, d_linked)
        out[row, GVH_WORST] = _most_lacking(p1, p2, p_linked, d1, d2, d_linked)
        out[row, HVG_BEST] = _fewest_lacking(d1, d2, d_linked, p1, p2, p_linked)
        out[row, HVG_WORST] = _most_lacking(d1, d2, d_linked, p1, p2, p_linked)
        direct_1, direct_2 = _certainty(p1, d1), _certainty(p2, d2)
        cross_1, cross_2 = _certainty(p2, d1), _certainty(p1, d2)
        direct = 4 * ((direct_1 > 0) + (direct_2 > 0)) + direct_1 + direct_2
        cross = 4 * ((cross_1 > 0) + (cross_2 > 0)) + cross_1 + cross_2
        out[row, DONOR_1] = cross_1 if cross > direct else direct_1
        out[row, DONOR_2] = cross_2 if cross > direct else direct_2
