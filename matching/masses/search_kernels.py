"""Probabilities of matches of one patient's genotypes against many typings.

Terms. A patient's genotype has two tokens a, b at each locus. Names of the set with one of them
are *matched*; a pair of names is *equal* to the genotype with 0 mismatches (R2), *near* with 1.
With at most two mismatches all loci but two are equal: they are *fixed*, the others *free*. Both
haplotypes of a pair are then found by their names at the fixed loci, in every phase, and each is
a short list of names at the free loci. What an entry admits of these lists is computed once for
each entry, or pair of entries, and looked up for each donor.
"""

from __future__ import annotations

import numba
import numpy as np

from matching.kernels import kernel
from matching.masses.arrays import (
    ENTRY_ARRAYS,
    MARGINAL_ARRAYS,
    NAME_ARRAYS,
    EntryArrays,
    Floats,
    Int32s,
    Int64s,
    MarginalArrays,
    NameArrays,
    array,
)
from matching.masses.total_kernels import MAX_LOCUS_CLASSES

# Pairs of names of a locus that equal one genotype, and names that are matched: where a patient's
# genotype has more, `search` gives up (`TOO_MANY`).
MAX_EQUAL = 62
MAX_MATCHED = 32
MAX_PHASES = 65_536
DONE, TOO_MANY = 0, 1
NULL_NAME, ABSENT_NAME = 1, 2
_NEAR = 1 << MAX_EQUAL
_MASK = _NEAR - 1

_OUT32 = array(numba.int32, readonly=False)
_OUT64 = array(numba.int64, readonly=False)
_OUT32_2D = array(numba.int32, 2, readonly=False)
_OUTF64 = array(numba.float64, readonly=False)
_OUTF64_2D = array(numba.float64, 2, readonly=False)


@kernel(numba.int64(numba.int64))
def _mixed(key: int) -> np.int64:
    """A key spread over 40 bits, for the hash tables."""
    return np.int64((np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(24))


@kernel(numba.void(array(numba.int64), numba.int64, _OUT32))
def fill_slots(keys: Int64s, first: int, slots: Int32s) -> None:
    """Enter distinct keys, numbered from `first`, into a table of -1 (a power of two long)."""
    mask = len(slots) - 1
    for k in range(len(keys)):
        at = _mixed(keys[k]) & mask
        while slots[at] >= 0:
            at = (at + 1) & mask
        slots[at] = first + k


@kernel(numba.int64(MARGINAL_ARRAYS, numba.int64, numba.int64))
def _find(marginals: MarginalArrays, index: int, key: int) -> int:
    """Position of a key of an index, -1 if no haplotype has it."""
    start = marginals.slot_starts[index]
    mask = marginals.slot_starts[index + 1] - start - 1
    at = _mixed(key) & mask
    while True:
        found = marginals.slots[start + at]
        if found < 0:
            return -1
        if marginals.keys[found] == key:
            return int(found)
        at = (at + 1) & mask


@kernel(numba.int64(ENTRY_ARRAYS, numba.int64, numba.int64))
def _class_of(entries: EntryArrays, entry: int, name: int) -> int:
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
        _OUT32_2D,
    )
)
def _prepare(names: NameArrays, locus: int, a: int, b: int, matched: Int32s, equal: Int32s) -> bool:
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
def _is_pair(names: NameArrays, locus: int, a: int, b: int, i: int, x: int, wanted: int) -> bool:
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
def _admits(
    entries: EntryArrays,
    names: NameArrays,
    entry: int,
    locus: int,
    a: int,
    b: int,
    matched: Int32s,
    equal: Int32s,
) -> int:
    """A bit for each equal pair that an entry admits, and `_NEAR` if it admits a near one."""
    found = 0
    for k in range(equal[-1, 0]):
        c = _class_of(entries, entry, equal[k, 0])
        d = _class_of(entries, entry, equal[k, 1])
        if c >= 0 and d >= 0:
            bits = entries.compatible[entries.class_starts[entry] + c]
            if (bits >> np.uint64(d)) & np.uint64(1):
                found |= 1 << k
    for k in range(matched[-1]):
        c = _class_of(entries, entry, matched[k])
        if c < 0:
            continue
        bits = entries.compatible[entries.class_starts[entry] + c]
        for n in range(entries.starts[entry], entries.starts[entry + 1]):
            if (bits >> np.uint64(entries.classes[n])) & np.uint64(1) and (
                _mismatches(names, locus, a, b, matched[k], entries.names[n]) == 1
            ):
                return found | _NEAR
    return found


@kernel(
    numba.int64(
        MARGINAL_ARRAYS,
        numba.int64,
        numba.int64,
        array(numba.int64),
        array(numba.int32, 3),
        _OUT64,
        _OUT64,
    )
)
def _phases(
    marginals: MarginalArrays,
    index: int,
    n_loci: int,
    allowed: Int64s,
    equal: Int32s,
    left: Int64s,
    right: Int64s,
) -> int:
    """Pairs of keys of an index that explain the fixed loci together, each unordered pair once.

    allowed: bits of the equal pairs of each fixed locus. Returns their number, -1 if they do not
    fit into left and right.
    """
    first, second = marginals.free[index, 0], marginals.free[index, 1]
    n_fixed = 0
    sizes = np.zeros(n_loci, dtype=np.int64)
    one = np.empty((n_loci, 2 * MAX_EQUAL), dtype=np.int64)
    other = np.empty((n_loci, 2 * MAX_EQUAL), dtype=np.int64)
    for locus in range(n_loci):
        if locus in (first, second):
            continue
        size = 0
        for k in range(equal[locus, -1, 0]):
            if (allowed[locus] >> k) & 1:
                i = equal[locus, k, 0] * marginals.strides[locus]
                j = equal[locus, k, 1] * marginals.strides[locus]
                one[n_fixed, size], other[n_fixed, size] = i, j
                size += 1
                if i != j:
                    one[n_fixed, size], other[n_fixed, size] = j, i
                    size += 1
        sizes[n_fixed] = size
        n_fixed += 1
    choice = np.zeros(n_loci + 1, dtype=np.int64)
    count = 0
    while True:
        low, high = 0, 0
        for f in range(n_fixed):
            low += one[f, choice[f]]
            high += other[f, choice[f]]
        if low <= high:
            found = _find(marginals, index, low)
            if found >= 0:
                partner = _find(marginals, index, high)
                if partner >= 0:
                    if count == len(left):
                        return -1
                    left[count], right[count] = found, partner
                    count += 1
        f = 0
        while f < n_fixed:
            choice[f] += 1
            if choice[f] < sizes[f]:
                break
            choice[f] = 0
            f += 1
        if f == n_fixed:
            return count


@kernel(numba.int64(MARGINAL_ARRAYS, numba.int64, numba.int64))
def _row_of(marginals: MarginalArrays, key: int, name: int) -> int:
    """The first haplotype of a key whose first free name is `name` or a later one."""
    low, high = marginals.row_starts[key], marginals.row_starts[key + 1]
    while low < high:
        middle = (low + high) // 2
        if marginals.first[middle] < name:
            low = middle + 1
        else:
            high = middle
    return int(low)


_GROUP = (
    array(numba.int32, 2),  # codes
    array(numba.float64),  # total
    ENTRY_ARRAYS,
    NAME_ARRAYS,
    MARGINAL_ARRAYS,
    array(numba.int32, 2),  # tokens
    array(numba.int32, 2),  # matched
    numba.int64,  # index
    array(numba.int64),  # left
    array(numba.int64),  # right
    numba.float64,  # weight
    array(numba.int32),  # donors
)


@kernel(
    numba.int64(
        *_GROUP,
        numba.boolean,
        numba.int64,
        _OUT64,
        _OUTF64_2D,
        _OUTF64_2D,
    )
)
def _add_one_free(
    codes: Int32s,
    total: Floats,
    entries: EntryArrays,
    names: NameArrays,
    marginals: MarginalArrays,
    tokens: Int32s,
    matched: Int32s,
    index: int,
    left: Int64s,
    right: Int64s,
    weight: float,
    donors: Int32s,
    with_two: bool,
    stamp: int,
    stamps: Int64s,
    values: Floats,
    out: Floats,
) -> int:
    """Add the share of donors that equal the genotype at all loci but one, free to be near it.

    values: (n_entries, 2) room for the mass with 1 and 2 mismatches of every entry that was met
    at `stamp`; out: (n_donors, 3). Returns the next stamp.
    """
    locus = marginals.free[index, 0]
    a, b = tokens[locus, 0], tokens[locus, 1]
    n_names = names.base[locus + 1] - names.base[locus]
    n_matched = matched[locus, -1]
    n_pairs = len(left)
    near = np.zeros((n_matched, n_names))
    # Pairs of a matched name with two mismatches, which only nulls make.
    apart = np.zeros((n_matched, n_names))
    has_nulls = names.null_starts[locus] < names.null_starts[locus + 1]
    for pair in range(n_pairs):
        for turn in range(1 if left[pair] == right[pair] else 2):
            one, other = (right[pair], left[pair]) if turn else (left[pair], right[pair])
            for k in range(n_matched):
                i = matched[locus, k]
                row = _row_of(marginals, one, i)
                if row == marginals.row_starts[one + 1] or marginals.first[row] != i:
                    continue
                for r in range(marginals.row_starts[other], marginals.row_starts[other + 1]):
                    x = marginals.first[r]
                    mass = marginals.frequencies[row] * marginals.frequencies[r]
                    if x != i:
                        mass *= 2
                    if _is_pair(names, locus, a, b, i, x, 1):
                        near[k, x] += mass
                    elif has_nulls and _is_pair(names, locus, a, b, i, x, 2):
                        apart[k, x] += mass
    width = 2 * n_pairs if with_two else 0
    lists = np.zeros((n_names, width))
    listed = np.zeros(n_names, dtype=np.uint8)
    for at in range(width):
        key = right[at // 2] if at % 2 else left[at // 2]
        for r in range(marginals.row_starts[key], marginals.row_starts[key + 1]):
            x = marginals.first[r]
            token = names.tokens[names.base[locus] + x]
            if token != a and token != b:
                lists[x, at] = marginals.frequencies[r]
                listed[x] = 1
    sums = np.empty((MAX_LOCUS_CLASSES, width))
    for d in donors:
        entry = entries.base[locus] + codes[d, locus]
        if stamps[entry] != stamp:
            stamps[entry] = stamp
            start, end = entries.starts[entry], entries.starts[entry + 1]
            first_class = entries.class_starts[entry]
            one_mismatch, two_mismatches = 0.0, 0.0
            for k in range(n_matched):
                c = _class_of(entries, entry, matched[locus, k])
                if c < 0:
                    continue
                bits = entries.compatible[first_class + c]
                for n in range(start, end):
                    if (bits >> np.uint64(entries.classes[n])) & np.uint64(1):
                        one_mismatch += near[k, entries.names[n]]
                        two_mismatches += apart[k, entries.names[n]]
            if with_two:
                n_classes = entries.class_starts[entry + 1] - first_class
                sums[:n_classes] = 0
                for n in range(start, end):
                    if listed[entries.names[n]]:
                        for at in range(width):
                            sums[entries.classes[n], at] += lists[entries.names[n], at]
                for c in range(n_classes):
                    bits = entries.compatible[first_class + c]
                    for e in range(n_classes):
                        if (bits >> np.uint64(e)) & np.uint64(1):
                            for pair in range(n_pairs):
                                mass = sums[c, 2 * pair] * sums[e, 2 * pair + 1]
                                two_mismatches += mass * (1 + (left[pair] != right[pair]))
            values[entry, 0], values[entry, 1] = one_mismatch, two_mismatches
        out[d, 1] += weight * values[entry, 0] / total[d]
        out[d, 2] += weight * values[entry, 1] / total[d]
    return stamp + 1


@kernel(
    numba.int64(
        ENTRY_ARRAYS,
        NAME_ARRAYS,
        numba.int64,
        numba.int64,
        array(numba.int32, 2),
        array(numba.int32, 2),
        array(numba.int32),
        array(numba.int32),
        array(numba.float64, 2),
        _OUT32_2D,
        _OUTF64,
    )
)
def _near_names(
    entries: EntryArrays,
    names: NameArrays,
    entry: int,
    locus: int,
    tokens: Int32s,
    matched: Int32s,
    compact: Int32s,
    term_of: Int32s,
    vectors: Floats,
    found: Int32s,
    sums: Floats,
) -> int:
    """What an entry admits beside each matched name k of a free locus with one mismatch.

    found: (n_matched, room) `compact` numbers of those names that have one, their count last.
    sums: (n_terms,) of `vectors` (n_names, n_terms) over them, where k is term_of[term], with
    each pair of two different names doubled. Returns the most names found.
    """
    a, b = tokens[locus, 0], tokens[locus, 1]
    sums[:] = 0
    most = 0
    for k in range(matched[locus, -1]):
        count = 0
        i = matched[locus, k]
        c = _class_of(entries, entry, i)
        if c >= 0:
            bits = entries.compatible[entries.class_starts[entry] + c]
            for n in range(entries.starts[entry], entries.starts[entry + 1]):
                x = entries.names[n]
                if compact[x] == -2:
                    continue
                if (bits >> np.uint64(entries.classes[n])) & np.uint64(1) and _is_pair(
                    names, locus, a, b, i, x, 1
                ):
                    if compact[x] >= 0:
                        found[k, count] = compact[x]
                        count += 1
                    factor = 1 if x == i else 2
                    for t in range(len(sums)):
                        if term_of[t] == k:
                            sums[t] += factor * vectors[x, t]
        found[k, -1] = count
        most = max(most, count)
    return most


@kernel(numba.int64(*_GROUP, numba.int64, _OUT64, _OUT64, _OUTF64_2D))
def _add_two_free(
    codes: Int32s,
    total: Floats,
    entries: EntryArrays,
    names: NameArrays,
    marginals: MarginalArrays,
    tokens: Int32s,
    matched: Int32s,
    index: int,
    left: Int64s,
    right: Int64s,
    weight: float,
    donors: Int32s,
    stamp: int,
    stamps: Int64s,
    numbers: Int64s,
    out: Floats,
) -> int:
    """Add the share of donors that equal the genotype at all loci but two, near it at both.

    With matched names i, k at the free loci and x, y beside them, the mass is the sum over phases
    of f(i, k) g(x, y) + f(i, y) g(x, k) with f and g the lists of both haplotypes. The first part
    is a table over x and y, the second a product of two vectors for each phase. stamps, numbers:
    room for each entry. Returns the next stamp.
    """
    locus, second_locus = marginals.free[index, 0], marginals.free[index, 1]
    n_first, n_second = matched[locus, -1], matched[second_locus, -1]
    names_first = names.base[locus + 1] - names.base[locus]
    names_second = names.base[second_locus + 1] - names.base[second_locus]
    # -2: nothing there; -1: in a vector only; otherwise the row or column of the table.
    compact_first = np.full(names_first, -2, dtype=np.int32)
    compact_second = np.full(names_second, -2, dtype=np.int32)
    room = 2 * len(left) * n_first * n_second
    joint = np.empty((room, 2), dtype=np.int64)
    joint_mass = np.empty(room)
    n_joint, n_terms, width, height = 0, 0, 0, 0
    term_first = np.empty(room, dtype=np.int32)
    term_second = np.empty(room, dtype=np.int32)
    term_keys = np.empty((room, 2), dtype=np.int64)
    for pair in range(len(left)):
        for turn in range(1 if left[pair] == right[pair] else 2):
            one, other = (right[pair], left[pair]) if turn else (left[pair], right[pair])
            for m in range(n_first):
                i = matched[locus, m]
                start = _row_of(marginals, one, i)
                stop = start
                while stop < marginals.row_starts[one + 1] and marginals.first[stop] == i:
                    stop += 1
                if start == stop:
                    continue
                for n in range(n_second):
                    k = matched[second_locus, n]
                    for r in range(start, stop):
                        if marginals.second[r] == k:
                            joint[n_joint, 0] = m * n_second + n
                            joint[n_joint, 1] = other
                            joint_mass[n_joint] = marginals.frequencies[r]
                            n_joint += 1
                    is_there = False
                    for r in range(marginals.row_starts[other], marginals.row_starts[other + 1]):
                        if marginals.second[r] == k:
                            is_there = True
                            if compact_first[marginals.first[r]] == -2:
                                compact_first[marginals.first[r]] = -1
                    if is_there:
                        for r in range(start, stop):
                            if compact_second[marginals.second[r]] == -2:
                                compact_second[marginals.second[r]] = -1
                        term_first[n_terms], term_second[n_terms] = m, n
                        term_keys[n_terms, 0], term_keys[n_terms, 1] = one, other
                        n_terms += 1
    for j in range(n_joint):
        key = joint[j, 1]
        for r in range(marginals.row_starts[key], marginals.row_starts[key + 1]):
            x, y = marginals.first[r], marginals.second[r]
            if compact_first[x] < 0:
                compact_first[x] = height
                height += 1
            if compact_second[y] < 0:
                compact_second[y] = width
                width += 1
    table = np.zeros((n_first * n_second, height, width))
    for j in range(n_joint):
        key, at = joint[j, 1], joint[j, 0]
        i, k = matched[locus, at // n_second], matched[second_locus, at % n_second]
        for r in range(marginals.row_starts[key], marginals.row_starts[key + 1]):
            x, y = marginals.first[r], marginals.second[r]
            factor = (1 + (x != i)) * (1 + (y != k))
            table[at, compact_first[x], compact_second[y]] += (
                factor * joint_mass[j] * marginals.frequencies[r]
            )
    vectors_first = np.zeros((names_first, n_terms))
    vectors_second = np.zeros((names_second, n_terms))
    for t in range(n_terms):
        one, other = term_keys[t, 0], term_keys[t, 1]
        i, k = matched[locus, term_first[t]], matched[second_locus, term_second[t]]
        for r in range(_row_of(marginals, one, i), marginals.row_starts[one + 1]):
            if marginals.first[r] != i:
                break
            vectors_second[marginals.second[r], t] = marginals.frequencies[r]
        for r in range(marginals.row_starts[other], marginals.row_starts[other + 1]):
            if marginals.second[r] == k:
                vectors_first[marginals.first[r], t] = marginals.frequencies[r]
    by_first = np.empty(len(donors), dtype=np.int64)
    for n in range(len(donors)):
        by_first[n] = codes[donors[n], locus]
    order = np.argsort(by_first)
    found_first = np.empty((n_first, height + 1), dtype=np.int32)
    sums_first = np.empty(n_terms)
    # Lists of the entries of the second locus, kept from donor to donor.
    kept = 64
    lists = np.empty((kept, n_second, width + 1), dtype=np.int32)
    sums = np.empty((kept, n_terms))
    n_kept = 0
    collected = np.empty((n_second, width))
    last, is_collected = -1, False
    for at in range(len(order)):
        d = donors[order[at]]
        entry = entries.base[locus] + codes[d, locus]
        if entry != last:
            _near_names(
                entries, names, entry, locus, tokens, matched,
                compact_first, term_first[:n_terms], vectors_first, found_first, sums_first,
            )  # fmt: skip
            last, is_collected = entry, False
        entry = entries.base[second_locus] + codes[d, second_locus]
        if stamps[entry] != stamp:
            stamps[entry] = stamp
            if n_kept == kept:
                kept *= 2
                more_lists = np.empty((kept, n_second, width + 1), dtype=np.int32)
                more_sums = np.empty((kept, n_terms))
                more_lists[:n_kept], more_sums[:n_kept] = lists, sums
                lists, sums = more_lists, more_sums
            numbers[entry] = n_kept
            _near_names(
                entries, names, entry, second_locus, tokens, matched,
                compact_second, term_second[:n_terms], vectors_second,
                lists[n_kept], sums[n_kept],
            )  # fmt: skip
            n_kept += 1
        number = numbers[entry]
        mass = 0.0
        for t in range(n_terms):
            mass += sums_first[t] * sums[number, t]
        work = 0
        for m in range(n_first):
            for n in range(n_second):
                work += found_first[m, -1] * lists[number, n, -1]
        if work > 64 and not is_collected:
            collected[:] = 0
            for m in range(n_first):
                for u in range(found_first[m, -1]):
                    for n in range(n_second):
                        for y in range(width):
                            collected[n, y] += table[m * n_second + n, found_first[m, u], y]
            is_collected = True
        for n in range(n_second):
            for v in range(lists[number, n, -1]):
                y = lists[number, n, v]
                if work > 64:
                    mass += collected[n, y]
                else:
                    for m in range(n_first):
                        for u in range(found_first[m, -1]):
                            mass += table[m * n_second + n, found_first[m, u], y]
        out[d, 2] += weight * 0.5 * mass / total[d]
    return stamp + 1


@kernel(
    numba.int64(
        array(numba.int32, 3),
        array(numba.int64),
        array(numba.float64),
        array(numba.int64),
        array(numba.int32, 2),
        array(numba.float64),
        ENTRY_ARRAYS,
        NAME_ARRAYS,
        MARGINAL_ARRAYS,
        numba.int64,
        _OUTF64_2D,
    )
)
def search(
    genotypes: Int32s,
    changed: Int64s,
    weights: Floats,
    order: Int64s,
    codes: Int32s,
    total: Floats,
    entries: EntryArrays,
    names: NameArrays,
    marginals: MarginalArrays,
    up_to: int,
    out: Floats,
) -> int:
    """Add every genotype's share of P(0, 1, 2 mismatches) of every donor.

    genotypes: (n_genotypes, n_loci, 2) tokens, 0 for one that matches nothing; each differs from
    the one before at locus order[changed[g]] and not before it in `order`. codes: (n_donors,
    n_loci) entries; total: (n_donors,), donors without a mass above 0 are left out. out:
    (n_donors, 3), up to `up_to` mismatches (1 or 2). Returns `DONE`, or `TOO_MANY` where names of
    one token are more than the arrays here hold.
    """
    n_donors, n_loci = codes.shape
    n_entries = len(entries.starts) - 1
    left_at = np.empty((n_loci + 1, n_donors), dtype=np.int32)
    missing = np.empty((n_loci + 1, n_donors), dtype=np.int32)
    cost = np.empty((n_loci + 1, n_donors), dtype=np.uint8)
    sizes = np.zeros(n_loci + 1, dtype=np.int64)
    tokens = np.zeros((n_loci, 2), dtype=np.int32)
    matched = np.zeros((n_loci, MAX_MATCHED + 1), dtype=np.int32)
    equal = np.zeros((n_loci, MAX_EQUAL + 1, 2), dtype=np.int32)
    of_locus = np.zeros(n_loci, dtype=np.int64)
    admitted_at = np.zeros(n_entries, dtype=np.int64)
    admitted = np.empty(n_entries, dtype=np.int64)
    stamps = np.zeros(n_entries, dtype=np.int64)
    values = np.empty((n_entries, 2))
    numbers = np.empty(n_entries, dtype=np.int64)
    left = np.empty(MAX_PHASES, dtype=np.int64)
    right = np.empty(MAX_PHASES, dtype=np.int64)
    selected = np.empty(n_donors, dtype=np.int32)
    allowed = np.zeros(n_loci, dtype=np.int64)
    stamp, level_stamp = 1, 0
    for d in range(n_donors):
        if total[d] > 0:
            left_at[0, sizes[0]] = d
            missing[0, sizes[0]] = 0
            cost[0, sizes[0]] = 0
            sizes[0] += 1
    for g in range(len(genotypes)):
        for level in range(changed[g], n_loci):
            sizes[level + 1] = 0
            if sizes[level] == 0:
                continue
            locus = order[level]
            a, b = genotypes[g, locus, 0], genotypes[g, locus, 1]
            tokens[locus, 0], tokens[locus, 1] = a, b
            if not _prepare(names, locus, a, b, matched[locus], equal[locus]):
                return TOO_MANY
            level_stamp += 1
            of_locus[locus] = level_stamp
            count = 0
            for n in range(sizes[level]):
                d = left_at[level, n]
                entry = entries.base[locus] + codes[d, locus]
                if admitted_at[entry] != level_stamp:
                    admitted_at[entry] = level_stamp
                    admitted[entry] = _admits(
                        entries, names, entry, locus, a, b, matched[locus], equal[locus]
                    )
                found = admitted[entry]
                further = 0 if found & _MASK else (1 if found & _NEAR else 2)
                if cost[level, n] + further <= up_to:
                    left_at[level + 1, count] = d
                    cost[level + 1, count] = cost[level, n] + further
                    missing[level + 1, count] = missing[level, n] | ((1 << locus) if further else 0)
                    count += 1
            sizes[level + 1] = count
        n_left = sizes[n_loci]
        if n_left == 0:
            continue
        for index in range(len(marginals.free)):
            first, second = marginals.free[index, 0], marginals.free[index, 1]
            n_free = (first >= 0) + (second >= 0)
            if n_free > up_to:
                continue
            free = ((1 << first) if first >= 0 else 0) | ((1 << second) if second >= 0 else 0)
            count = 0
            for n in range(n_left):
                if missing[n_loci, n] & ~free:
                    continue
                d = left_at[n_loci, n]
                if n_free == 2 or (n_free == 1 and up_to == 1):
                    if not admitted[entries.base[first] + codes[d, first]] & _NEAR:
                        continue
                    if n_free == 2 and not (
                        admitted[entries.base[second] + codes[d, second]] & _NEAR
                    ):
                        continue
                selected[count] = d
                count += 1
            done = 0
            while done < count:
                # Donors that admit the same of the equal pairs go together.
                for locus in range(n_loci):
                    entry = entries.base[locus] + codes[selected[done], locus]
                    allowed[locus] = admitted[entry] & _MASK
                end = done + 1
                for n in range(done + 1, count):
                    d = selected[n]
                    same = True
                    for locus in range(n_loci):
                        if locus != first and locus != second:
                            entry = entries.base[locus] + codes[d, locus]
                            if admitted[entry] & _MASK != allowed[locus]:
                                same = False
                                break
                    if same:
                        selected[n], selected[end] = selected[end], d
                        end += 1
                n_pairs = _phases(marginals, index, n_loci, allowed, equal, left, right)
                if n_pairs < 0:
                    return TOO_MANY
                group = selected[done:end]
                done = end
                if n_pairs == 0:
                    continue
                if n_free == 0:
                    mass = 0.0
                    for pair in range(n_pairs):
                        mass += (
                            marginals.frequencies[marginals.row_starts[left[pair]]]
                            * marginals.frequencies[marginals.row_starts[right[pair]]]
                            * (1 + (left[pair] != right[pair]))
                        )
                    for d in group:
                        out[d, 0] += weights[g] * mass / total[d]
                elif n_free == 1:
                    stamp = _add_one_free(
                        codes, total, entries, names, marginals, tokens, matched, index,
                        left[:n_pairs], right[:n_pairs], weights[g], group,
                        up_to == 2, stamp, stamps, values, out,
                    )  # fmt: skip
                else:
                    stamp = _add_two_free(
                        codes, total, entries, names, marginals, tokens, matched, index,
                        left[:n_pairs], right[:n_pairs], weights[g], group,
                        stamp, stamps, numbers, out,
                    )  # fmt: skip
    return DONE
