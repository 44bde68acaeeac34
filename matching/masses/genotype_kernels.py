"""One genotype of a patient at one locus: names that match it, and what an entry admits of these.

A genotype has two tokens a, b. Names of the set with one of them are *matched*; a pair of names is
*equal* to the genotype with 0 mismatches (R2), *near* with 1.
"""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import OUT_I32_2D, array
from matching.kernels import kernel
from matching.masses.arrays import ENTRY_ARRAYS, NAME_ARRAYS, EntryArrays, Int32s, NameArrays

# Pairs of names of a locus that equal one genotype, and names that are matched: where a patient's
# genotype has more, a search gives up.
MAX_EQUAL = 62
MAX_MATCHED = 32
NULL_NAME, ABSENT_NAME = 1, 2
NEAR = 1 << MAX_EQUAL
MASK = NEAR - 1


@kernel(numba.int64(ENTRY_ARRAYS, numba.int64, numba.int64))
def class_of(entries: EntryArrays, entry: int, name: int) -> int:
    """Class of a name in an entry, -1 where it is not admitted."""
    low, end = entries.starts[entry], entries.starts[entry + 1]
    high = end
    while low < high:
        middle = (low + high) // 2
        if entries.names[middle] < name:
            low = middle + 1
        else:
            high = middle
    return entries.classes[low] if low < end and entries.names[low] == name else -1


@kernel(numba.int64(NAME_ARRAYS, numba.int64, numba.int64, numba.int64, numba.int64, numba.int64))
def _mismatches(names: NameArrays, locus: int, a: int, b: int, x: int, y: int) -> int:
    """Mismatches of the tokens a, b with two names of a locus.

    One null takes the other name's token, and so does an absent gene.
    """
    x, y = names.base[locus] + x, names.base[locus] + y
    c, d = names.tokens[x], names.tokens[y]
    of_x, of_y = names.nulls[x], names.nulls[y]
    if of_x == NULL_NAME and of_y != NULL_NAME:
        c, of_x = d, of_y
    elif of_y == NULL_NAME and of_x != NULL_NAME:
        d, of_y = c, of_x
    if of_x == ABSENT_NAME:
        c = d
    elif of_y == ABSENT_NAME:
        d = c
    if (a == c and b == d) or (a == d and b == c):
        return 0
    return 1 if a in (c, d) or b in (c, d) else 2


@kernel(
    numba.boolean(
        NAME_ARRAYS,
        numba.int64,
        numba.int64,
        numba.int64,
        array(numba.int32, readonly=False),
        OUT_I32_2D,
    )
)
def prepare(names: NameArrays, locus: int, a: int, b: int, matched: Int32s, equal: Int32s) -> bool:
    """Matched names and equal pairs of a genotype at a locus.

    matched, equal: their numbers stand last, `matched[-1]` and `equal[-1, 0]`; pairs are
    (matched name, other name), each unordered pair once. False where there is no room.
    """
    matched[-1] = 0
    equal[-1, 0] = 0
    for k in range(2):
        token = b if k else a
        if token <= 0 or (k and a == b):
            continue
        at = names.token_base[locus] + token
        for m in range(names.member_starts[at], names.member_starts[at + 1]):
            if matched[-1] == MAX_MATCHED:
                return False
            matched[matched[-1]] = names.members[m]
            matched[-1] += 1
    base = names.base[locus]
    for k in range(matched[-1]):
        i = matched[k]
        others = matched[-1] + names.null_starts[locus + 1] - names.null_starts[locus]
        for n in range(others):
            if n < matched[-1]:
                x = matched[n]
                if x < i:
                    continue
            else:
                x = names.null_names[names.null_starts[locus] + n - matched[-1]]
                token = names.tokens[base + x]
                if token in (a, b):
                    continue
            if _mismatches(names, locus, a, b, i, x) == 0:
                if equal[-1, 0] == MAX_EQUAL:
                    return False
                equal[equal[-1, 0], 0] = i
                equal[equal[-1, 0], 1] = x
                equal[-1, 0] += 1
    return True


@kernel(
    numba.boolean(
        NAME_ARRAYS, numba.int64, numba.int64, numba.int64, numba.int64, numba.int64, numba.int64
    )
)
def is_pair(names: NameArrays, locus: int, a: int, b: int, i: int, x: int, wanted: int) -> bool:
    """Whether matched name i and x have so many mismatches, and i comes first if both match."""
    token = names.tokens[names.base[locus] + x]
    if (token in (a, b)) and x < i:
        return False
    return bool(_mismatches(names, locus, a, b, i, x) == wanted)


@kernel(
    numba.int64(
        ENTRY_ARRAYS,
        NAME_ARRAYS,
        numba.int64,
        numba.int64,
        numba.int64,
        numba.int64,
        array(numba.int32),
        array(numba.int32, 2),
    )
)
def admits(
    entries: EntryArrays,
    names: NameArrays,
    entry: int,
    locus: int,
    a: int,
    b: int,
    matched: Int32s,
    equal: Int32s,
) -> int:
    """A bit for each equal pair that an entry admits, and `NEAR` if it admits a near one."""
    found = 0
    for k in range(equal[-1, 0]):
        c = class_of(entries, entry, equal[k, 0])
        d = class_of(entries, entry, equal[k, 1])
        if c >= 0 and d >= 0:
            bits = entries.compatible[entries.class_starts[entry] + c]
            if (bits >> np.uint64(d)) & np.uint64(1):
                found |= 1 << k
    for k in range(matched[-1]):
        c = class_of(entries, entry, matched[k])
        if c < 0:
            continue
        bits = entries.compatible[entries.class_starts[entry] + c]
        for n in range(entries.starts[entry], entries.starts[entry + 1]):
            if (bits >> np.uint64(entries.classes[n])) & np.uint64(1) and (
                _mismatches(names, locus, a, b, matched[k], entries.names[n]) == 1
            ):
                return found | NEAR
    return found
