"""Genotypes compared with a patient's; terms as in `matching.kernels`."""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import I32, I64, OUT_U8, OUT_U8_2D, U8
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

# Of all group codes; see `matching.genotypes` and `matching.search.tables`.
_LOWEST = -4
_IN_FIRST, _IN_SECOND, _IN_BOTH = 1, 2, 4


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


@kernel(
    numba.int64(
        *(numba.boolean, numba.boolean, numba.boolean, numba.boolean),
        *(numba.boolean, numba.boolean, numba.boolean, numba.int64),
    )
)
def _fewest_lacking(
    empty: bool,
    linked: bool,
    met_1: bool,
    met_2: bool,
    absent_1: bool,
    absent_2: bool,
    both: bool,
    shared: int,
) -> int:
    """Smallest number of distinct groups of one person that the other lacks (R20, best case).

    empty, linked: as of a genotype. met_1, met_2: the other has a group of the set; both: of one
    set at one position and of the other set at the other. absent_1, absent_2: the set holds
    `ABSENT_GENE`. shared: both sets hold a group (1) that the other has too (2).
    """
    if empty:
        return 0
    covered_1, covered_2 = absent_1 or met_1, absent_2 or met_2
    if linked:
        return 0 if covered_1 else 1
    if (absent_1 and covered_2) or (absent_2 and covered_1):
        return 0
    if both or shared == 2:
        return 0
    return 1 if covered_1 or covered_2 or shared == 1 else 2


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


@kernel(numba.int64(I32, I32, numba.boolean, I32, I32, numba.boolean, numba.int64))
def _worst_count(
    p1: Int32s, p2: Int32s, p_linked: bool, d1: Int32s, d2: Int32s, d_linked: bool, best: int
) -> int:
    """Smallest R2 count over all draws of both people, of which `best` is the largest."""
    if len(p1) == 0 or len(d1) == 0:
        return 0
    if len(p1) == 1 and len(p2) == 1 and len(d1) == 1 and len(d2) == 1:
        return best
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


@kernel(OUT_U8(I32, I32))
def _marks_of(p1: Int32s, p2: Int32s) -> Bytes:
    """For every group, from `_LOWEST` on, bits that say which of two sorted sets hold it."""
    highest = _LOWEST
    if len(p1):
        highest = max(p1[-1], p2[-1])
    marks = np.zeros(highest + 1 - _LOWEST, dtype=np.uint8)
    for value in p1:
        marks[value - _LOWEST] |= _IN_FIRST
    for value in p2:
        marks[value - _LOWEST] |= _IN_SECOND
    for i in range(len(marks)):
        if marks[i] == _IN_FIRST | _IN_SECOND:
            marks[i] |= _IN_BOTH
    return marks


@kernel(numba.uint8(OUT_U8, numba.int32))
def _mark(marks: Bytes, value: int) -> int:
    """The bits of a group."""
    at = value - _LOWEST
    return int(marks[at]) if at < len(marks) else 0


@kernel(numba.uint8(OUT_U8, I32))
def _met(marks: Bytes, groups: Int32s) -> int:
    """The bits of all groups of a set."""
    met = 0
    for value in groups:
        met |= _mark(marks, value)
    return met


@kernel(numba.int64(I32, I32, OUT_U8))
def _homozygous(d1: Int32s, d2: Int32s, marks: Bytes) -> int:
    """Whether two sorted sets have a group in common (1), and one that is marked (2)."""
    found, i, j = 0, 0, 0
    if len(d1) == 0 or d1[-1] < d2[0] or d2[-1] < d1[0]:
        return 0
    while i < len(d1) and j < len(d2):
        if d1[i] < d2[j]:
            i += 1
        elif d1[i] > d2[j]:
            j += 1
        else:
            found = 1
            if _mark(marks, d1[i]):
                return 2
            i += 1
            j += 1
    return found


@kernel(numba.uint8(numba.boolean, I32, I32))
def _certainty(meet: bool, x: Int32s, y: Int32s) -> int:
    """MATCH if both sets are one and the same group, POTENTIAL if they meet, else MISMATCH."""
    if not meet:
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
    marks = _marks_of(p1, p2)
    p_absent_1, p_absent_2 = _holds(p1, ABSENT_GENE), _holds(p2, ABSENT_GENE)
    p_homozygous = False
    for mark in marks:
        p_homozygous |= mark & _IN_BOTH != 0
    for row in range(len(genotypes)):
        g = genotypes[row]
        start, middle, end = offsets[2 * g], offsets[2 * g + 1], offsets[2 * g + 2]
        d1, d2 = groups[start:middle], groups[middle:end]
        d_linked = linked[g] == 1
        met_1, met_2 = _met(marks, d1), _met(marks, d2)
        meet_11, meet_21 = met_1 & _IN_FIRST != 0, met_1 & _IN_SECOND != 0
        meet_12, meet_22 = met_2 & _IN_FIRST != 0, met_2 & _IN_SECOND != 0
        both = (meet_11 and meet_22) or (meet_12 and meet_21)
        best = 2 if both else (1 if met_1 or met_2 else 0)
        out[row, COUNT_BEST] = best
        out[row, COUNT_WORST] = _worst_count(p1, p2, p_linked, d1, d2, d_linked, best)

        shared = 1 if p_homozygous else 0
        if (met_1 | met_2) & _IN_BOTH:
            shared = 2
        out[row, GVH_BEST] = _fewest_lacking(
            len(p1) == 0, p_linked, meet_11 or meet_12, meet_21 or meet_22,
            p_absent_1, p_absent_2, both and not d_linked, shared,
        )  # fmt: skip
        d_absent_1, d_absent_2 = _holds(d1, ABSENT_GENE), _holds(d2, ABSENT_GENE)
        shared = 0
        # Of those who have been met it only matters whether one set of the patient meets both.
        if met_1 & met_2 or not (met_1 or met_2):
            shared = _homozygous(d1, d2, marks)
        out[row, HVG_BEST] = _fewest_lacking(
            len(d1) == 0, d_linked, met_1 != 0, met_2 != 0,
            d_absent_1, d_absent_2, both and not p_linked, shared,
        )  # fmt: skip
        out[row, GVH_WORST] = _most_lacking(p1, p2, p_linked, d1, d2, d_linked)
        out[row, HVG_WORST] = _most_lacking(d1, d2, d_linked, p1, p2, p_linked)

        direct_1, direct_2 = _certainty(meet_11, p1, d1), _certainty(meet_22, p2, d2)
        cross_1, cross_2 = _certainty(meet_21, p2, d1), _certainty(meet_12, p1, d2)
        direct = 4 * ((direct_1 > 0) + (direct_2 > 0)) + direct_1 + direct_2
        cross = 4 * ((cross_1 > 0) + (cross_2 > 0)) + cross_1 + cross_2
        out[row, DONOR_1] = cross_1 if cross > direct else direct_1
        out[row, DONOR_2] = cross_2 if cross > direct else direct_2


@kernel(numba.int64(I32))
def _present(groups: Int32s) -> int:
    """Number of the groups of a set that are there."""
    return len(groups) - (1 if _holds(groups, ABSENT_GENE) else 0)


@kernel(numba.int32(I32))
def _group(groups: Int32s) -> int:
    """The one group that is there."""
    return int(groups[0]) if groups[0] != ABSENT_GENE else int(groups[1])


@kernel(numba.void(I64, I64, I64, I32, U8, OUT_U8))
def most_distinct(
    entries: Int64s, starts: Int64s, offsets: Int64s, groups: Int32s, linked: Bytes, out: Bytes
) -> None:
    """Most distinct groups, 0 to 2, that people can present who have some typed entries of a book.

    starts: (n_entries + 1,) first genotype of each entry. out: (n,) uint8.
    """
    for i in range(len(entries)):
        most = 0
        for g in range(starts[entries[i]], starts[entries[i] + 1]):
            d1 = groups[offsets[2 * g] : offsets[2 * g + 1]]
            d2 = groups[offsets[2 * g + 1] : offsets[2 * g + 2]]
            n1, n2 = _present(d1), _present(d2)
            if linked[g] == 1 or n1 == 0 or n2 == 0:
                found = 1 if n1 + n2 > 0 else 0
            elif n1 == 1 and n2 == 1:
                found = 1 if _group(d1) == _group(d2) else 2
            else:
                found = 2
            most = max(most, found)
        out[i] = most
