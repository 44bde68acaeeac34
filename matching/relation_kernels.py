"""Genotypes of a book against a patient where groups match by a relation, such as antigens."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import I32, I64, OUT_I64, OUT_U8, OUT_U64, U8, U64, U64_2D
from matching.kernels import (
    COUNT_WORST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
    Bytes,
    Int32s,
    Int64s,
    kernel,
)

Longs = npt.NDArray[np.uint64]
_WORD = 64
# What a donor's group can be to two groups of a patient: matched by neither, one, the other, both.
# Which of these there are at one position of a donor is a number below `_N_KINDS`.
_N_MARKS, _N_KINDS = 4, 16
# Whether each of two groups of a patient can be lacked, and whether they are one group.
_N_DRAWS = 8


@kernel(numba.int64(numba.int64, numba.int64, numba.boolean, numba.int64, numba.int64))
def _of_draw(a: int, b: int, same: bool, x: int, y: int) -> int:
    """Match count of one draw, plus 4 times the patient's groups that the donor lacks.

    a, b: whether the patient's groups can be lacked (0 or 1); same: they are one group. x, y: what
    of the patient's groups the donor's match, bit 0 for the first and bit 1 for the second.
    """
    lacking = (a & ~(x | y) & 1) + (0 if same else b & ~((x | y) >> 1) & 1)
    if (x & 1 and y & 2) or (x & 2 and y & 1):
        return 2 + 4 * lacking
    return (1 if x | y else 0) + 4 * lacking


@kernel(OUT_U8(numba.int64))
def draw_values(column: int) -> Bytes:
    """The highest or lowest value, whichever `column` (COUNT_WORST to GVH_WORST) tells, of a draw
    of a patient against all of a donor: (2, `_N_DRAWS`, `_N_KINDS`, `_N_KINDS`) uint8, flat, by
    whether both positions of the donor are one group, the draw, and the kinds at both positions."""
    highest = column == GVH_WORST
    out = np.zeros(2 * _N_DRAWS * _N_KINDS * _N_KINDS, dtype=np.uint8)
    for at in range(len(out)):
        second, left = at % _N_KINDS, at // _N_KINDS
        first, left = left % _N_KINDS, left // _N_KINDS
        draw, is_linked = left % _N_DRAWS, left // _N_DRAWS
        found = -1
        for x in range(_N_MARKS):
            for y in range(_N_MARKS):
                if first >> x & 1 and second >> y & 1 and (x == y or not is_linked):
                    value = _of_draw(draw & 1, draw >> 1 & 1, draw >> 2 == 1, x, y)
                    value = value & 3 if column == COUNT_WORST else value >> 2
                    if found < 0 or (value > found if highest else value < found):
                        found = value
        out[at] = max(found, 0)
    return out


@kernel(numba.int64(U64, U64, OUT_U64, OUT_I64))
def _kinds(matched_a: Longs, matched_b: Longs, groups: Longs, words: Int64s) -> int:
    """Which marks the groups at a position of a donor have. words: where `groups` is not 0."""
    neither = one = other = both = np.uint64(0)
    for w in words:
        a, b, x = matched_a[w], matched_b[w], groups[w]
        neither |= x & ~(a | b)
        one |= x & a & ~b
        other |= x & b & ~a
        both |= x & a & b
    kinds = 0
    if neither:
        kinds |= 1
    if one:
        kinds |= 2
    if other:
        kinds |= 4
    if both:
        kinds |= 8
    return kinds


@kernel(
    numba.int64(
        *(U64, U64, U64, OUT_U64, OUT_U64, OUT_I64, OUT_I64),
        *(numba.boolean, numba.boolean),
    )
)
def _of_donor(
    matched_a: Longs,
    matched_b: Longs,
    absent: Longs,
    first: Longs,
    second: Longs,
    words_1: Int64s,
    words_2: Int64s,
    is_linked: bool,
    highest: bool,
) -> int:
    """The most or fewest distinct groups of a donor that one draw of a patient lacks."""
    any_1 = any_2 = some_1 = some_2 = both = apart = several = False
    for w in words_1:
        lacked = first[w] & ~(matched_a[w] | matched_b[w] | absent[w])
        some_1 |= lacked != first[w]
        if lacked:
            several |= any_1 or lacked & (lacked - np.uint64(1)) != 0
            any_1 = True
            both |= lacked & second[w] != 0
            apart |= lacked & ~second[w] != 0
    if is_linked:
        return 1 if (any_1 if highest else not some_1) else 0
    for w in words_2:
        lacked = second[w] & ~(matched_a[w] | matched_b[w] | absent[w])
        some_2 |= lacked != second[w]
        any_2 |= lacked != 0
        apart |= lacked & ~first[w] != 0
    if highest:
        if any_1 and any_2:
            # The one group of both positions is lacked once.
            return 2 if apart or several else 1
        return 1 if any_1 or any_2 else 0
    if some_1 and some_2:
        return 0
    return 1 if some_1 or some_2 or both else 2


@kernel(numba.int64(U8, U8, U64_2D, U64, U64, OUT_U64, OUT_U64, OUT_I64, OUT_I64))
def _of_each_kind(
    held: Bytes,
    p_absent: Bytes,
    relation: Longs,
    lone: Longs,
    d_absent: Longs,
    first: Longs,
    second: Longs,
    kept: Int64s,
    kinds: Int64s,
) -> int:
    """Write two rows of every kind, or the one that there is, into `kept`, and return how many
    there are. Rows of a kind can take each other's place in a draw, and all that they match. They
    match the same groups of the donor; or each matches one group alone, which nothing else matches,
    at the same positions of the donor. kinds: where they are written, (n_rows,)."""
    words = np.flatnonzero(first | second)
    count = 0
    for row in range(len(held)):
        matched = 0
        of_first = of_second = of_absent = False
        for w in words:
            found = relation[row, w] & (first[w] | second[w])
            if found:
                matched += 1 if found & (found - np.uint64(1)) == 0 else 2
                of_first |= found & lone[w] & first[w] != 0
                of_second |= found & lone[w] & second[w] != 0
                of_absent |= found & d_absent[w] != 0
        kind: Any = np.int64(held[row] | p_absent[row] << 2)
        if matched == 1 and (of_first or of_second):
            kind |= 16 * of_first | 32 * of_second | 64 * of_absent
        elif matched:
            kind |= 8
        same = 0
        for k in range(count):
            if kinds[k] == kind:
                is_same = True
                if kind & 8:
                    for w in words:
                        of_donor = first[w] | second[w]
                        is_same &= relation[row, w] & of_donor == relation[kept[k], w] & of_donor
                same += is_same
        if same < 2:
            kept[count], kinds[count] = row, kind
            count += 1
    return count


@kernel(
    numba.void(
        *(U8, numba.boolean, U8, U64_2D, U64, U64),
        *(I64, I32, U8, numba.int64, U8, OUT_U8),
    )
)
def compare_by_relation(
    held: Bytes,
    p_linked: bool,
    p_absent: Bytes,
    relation: Longs,
    lone: Longs,
    d_absent: Longs,
    offsets: Int64s,
    groups: Int32s,
    linked: Bytes,
    column: int,
    values: Bytes,
    out: Bytes,
) -> None:
    """One of the columns COUNT_WORST to HVG_WORST of `compare_genotypes` for every genotype
    of a book, where groups match by a relation; groups are distinct where they are not the same.

    relation: (n_rows, n_words) uint64, a row for each group of the patient, in which bit i of word
    w says whether it matches the donor's group 64 w + i; groups: numbers of these. lone: (n_words,)
    which of them one row alone matches. held: (n_rows,) 1 for the patient's first position, 2 for
    the second, 3 for both. p_absent: 1 where a row stands for no gene; d_absent: the groups that
    do, (n_words,). Bit 0 of the last word stands for a donor's null without partner. values: of
    `draw_values`. out: (n_genotypes,) uint8.
    """
    n_words = relation.shape[1]
    highest = column in (GVH_WORST, HVG_WORST)
    of_donor = column in (HVG_BEST, HVG_WORST)
    end = 2 if highest else 0
    first, second = np.empty(n_words, dtype=np.uint64), np.empty(n_words, dtype=np.uint64)
    rows, kinds = np.empty(len(held), dtype=np.int64), np.empty(len(held), dtype=np.int64)
    for g in range(len(out)):
        start, middle, stop = offsets[2 * g], offsets[2 * g + 1], offsets[2 * g + 2]
        is_linked = linked[g] == 1 or start == stop
        first[:] = 0
        second[:] = 0
        if start == stop:
            first[n_words - 1] = 1
        for i in range(start, middle):
            first[groups[i] // _WORD] |= np.uint64(1) << np.uint64(groups[i] % _WORD)
        for i in range(middle, stop):
            second[groups[i] // _WORD] |= np.uint64(1) << np.uint64(groups[i] % _WORD)
        if is_linked:
            second[:] = first
        words_1, words_2 = np.flatnonzero(first), np.flatnonzero(second)
        kept = rows[
            : _of_each_kind(held, p_absent, relation, lone, d_absent, first, second, rows, kinds)
        ]
        found = 0 if highest else 2
        for a in kept:
            if found == end:
                break
            if held[a] & 1 == 0:
                continue
            for b in kept:
                if found == end:
                    break
                if held[b] & 2 == 0 or (p_linked and a != b):
                    continue
                if of_donor:
                    value = _of_donor(
                        relation[a], relation[b], d_absent, first, second, words_1, words_2,
                        is_linked, highest,
                    )  # fmt: skip
                else:
                    draw = (1 - p_absent[a]) | (1 - p_absent[b]) << 1 | (a == b) << 2
                    at = (is_linked * _N_DRAWS + draw) * _N_KINDS
                    at = (at + _kinds(relation[a], relation[b], first, words_1)) * _N_KINDS
                    value = values[at + _kinds(relation[a], relation[b], second, words_2)]
                found = max(found, value) if highest else min(found, value)
        out[g] = found
