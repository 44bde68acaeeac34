"""The share of donors that equal a patient's genotype at all loci but one or two, near it at these.

Both haplotypes of a pair were found by their names at the other loci, in every phase, and each is a
short list of names at the free loci. What an entry admits of these lists is computed once for each
entry, or pair of entries, and looked up for each donor.
"""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import OUT_F64, OUT_F64_2D, OUT_I32_2D, OUT_I64, array
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
)
from matching.masses.genotype_kernels import class_of, is_pair
from matching.masses.phase_kernels import row_of
from matching.masses.total_kernels import MAX_LOCUS_CLASSES

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
        OUT_I64,
        OUT_F64_2D,
        OUT_F64_2D,
    )
)
def add_one_free(
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
                row = row_of(marginals, one, i)
                if row == marginals.row_starts[one + 1] or marginals.first[row] != i:
                    continue
                for r in range(marginals.row_starts[other], marginals.row_starts[other + 1]):
                    x = marginals.first[r]
                    mass = marginals.frequencies[row] * marginals.frequencies[r]
                    if x != i:
                        mass *= 2
                    if is_pair(names, locus, a, b, i, x, 1):
                        near[k, x] += mass
                    elif has_nulls and is_pair(names, locus, a, b, i, x, 2):
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
                c = class_of(entries, entry, matched[locus, k])
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
        OUT_I32_2D,
        OUT_F64,
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
        c = class_of(entries, entry, i)
        if c >= 0:
            bits = entries.compatible[entries.class_starts[entry] + c]
            for n in range(entries.starts[entry], entries.starts[entry + 1]):
                x = entries.names[n]
                if compact[x] == -2:
                    continue
                if (bits >> np.uint64(entries.classes[n])) & np.uint64(1) and is_pair(
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


@kernel(numba.int64(*_GROUP, numba.int64, OUT_I64, OUT_I64, OUT_F64_2D))
def add_two_free(
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
                start = row_of(marginals, one, i)
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
        for r in range(row_of(marginals, one, i), marginals.row_starts[one + 1]):
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
