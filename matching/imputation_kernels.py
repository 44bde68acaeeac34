"""Hot loops of imputation over arrays of integer codes; nothing else.

Shared terms. A *table* says what a written locus, or loci in phase, admit. Each name of a locus
(each haplotype where several loci are in phase) has a pattern, 0 where it fits nowhere, and two
patterns are compatible where the haplotypes explain both positions together. Rows of `tables`
(n_tables, 7) int64: column of the locus or -1 for several, number of patterns, where its patterns
start in `patterns` (uint16), where its square of compatibilities starts in `compatible` (int16: -1
no, else twice the entry of the genotype list, plus 1 where the first haplotype explains the second
position), first and last + 1 of its columns in `columns`, and where its nulls start in `nulls`
(uint8, one a list entry and column: bit 0 the first position is null, bit 1 the second).

A *class* is the haplotypes of one pattern at every table: pairs are compatible class by class.
A genotype of tokens a <= b has code a + b (b + 1) / 2.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import (
    F64,
    I16,
    I32,
    I32_2D,
    I64,
    I64_2D,
    OUT_F64,
    OUT_I32_2D,
    OUT_I64,
    OUT_I64_2D,
    U8,
    U16,
)
from matching.kernels import Int32s, Int64s, kernel

Floats = npt.NDArray[np.float64]
Int64Table = npt.NDArray[np.int64]
Int32Table = npt.NDArray[np.int32]

# Tokens that are no allele: what expresses nothing, and a copy of DRB3/4/5 that is not there.
NOTHING = 0
ABSENT = 1
# How nulls stand in a pair: nowhere, left, right or on both sides.
_LEFT, _RIGHT, _BOTH = 1, 2, 3


@kernel(numba.int64(numba.int64))
def _hash(key: Any) -> Any:
    mixed = key * np.int64(-7046029254386353131)
    return mixed ^ (mixed >> 29)


@kernel(
    numba.types.Tuple((OUT_I64, OUT_I64, OUT_I64_2D))(
        I32_2D, F64, I32_2D, I64, I64, I64_2D, U16, I64
    )
)
def explaining_classes(
    haplotypes: Int32Table,
    frequencies: Floats,
    rows_by_name: Int32Table,
    name_offsets: Int64s,
    name_starts: Int64s,
    tables: Int64Table,
    patterns: npt.NDArray[np.uint16],
    chosen: Int64s,
) -> tuple[Int64s, Int64s, Int64Table]:
    """The haplotypes that fit every one of some tables, class by class.

    haplotypes: (n, n_loci) names; frequencies: (n,), rows of 0 are left out. rows_by_name:
    (n_loci, n), the rows of name k of column l are rows_by_name[l, name_offsets[s + k] :
    name_offsets[s + k + 1]] with s = name_starts[l]. chosen: positions in tables. Returns the rows,
    the bounds of the classes in them, and (n_classes, n_chosen) patterns.
    """
    n_chosen = len(chosen)
    driver, fewest = -1, np.int64(len(haplotypes) + 1)
    for c in range(n_chosen):
        column, start = tables[chosen[c], 0], tables[chosen[c], 2]
        if column < 0:
            continue
        first = name_starts[column]
        total = np.int64(0)
        for name in range(name_starts[column + 1] - first - 1):
            if patterns[start + name]:
                total += name_offsets[first + name + 1] - name_offsets[first + name]
        if total < fewest:
            driver, fewest = c, total
    room = len(haplotypes) if driver < 0 else fewest
    found = np.empty(room, dtype=np.int64)
    class_of = np.empty(room, dtype=np.int64)
    size = 64
    slots = np.full(size, -1, dtype=np.int64)
    keys = np.empty(32, dtype=np.int64)
    counts = np.zeros(32, dtype=np.int64)
    n_found, n_classes = 0, 0
    n_blocks = np.int64(1)
    first = np.int64(0)
    start = np.int64(0)
    column = np.int64(0)
    if driver >= 0:
        column, start = tables[chosen[driver], 0], tables[chosen[driver], 2]
        first = name_starts[column]
        n_blocks = name_starts[column + 1] - first - 1
    for block in range(n_blocks):
        low, high = np.int64(0), np.int64(len(haplotypes))
        if driver >= 0:
            if patterns[start + block] == 0:
                continue
            low, high = name_offsets[first + block], name_offsets[first + block + 1]
        for k in range(low, high):
            row = np.int64(rows_by_name[column, k]) if driver >= 0 else np.int64(k)
            if frequencies[row] <= 0:
                continue
            key = np.int64(0)
            fits = True
            for c in range(n_chosen):
                table = chosen[c]
                at = tables[table, 0]
                where = row if at < 0 else np.int64(haplotypes[row, at])
                pattern = patterns[tables[table, 2] + where]
                if pattern == 0:
                    fits = False
                    break
                key = key * tables[table, 1] + pattern
            if not fits:
                continue
            slot = _hash(key) & (size - 1)
            while slots[slot] >= 0 and keys[slots[slot]] != key:
                slot = (slot + 1) & (size - 1)
            if slots[slot] < 0:
                if n_classes == len(keys):
                    longer = np.empty(2 * n_classes, dtype=np.int64)
                    longer[:n_classes] = keys
                    keys = longer
                    more = np.zeros(2 * n_classes, dtype=np.int64)
                    more[:n_classes] = counts
                    counts = more
                    size *= 2
                    slots = np.full(size, -1, dtype=np.int64)
                    for c in range(n_classes):
                        other = _hash(keys[c]) & (size - 1)
                        while slots[other] >= 0:
                            other = (other + 1) & (size - 1)
                        slots[other] = c
                    slot = _hash(key) & (size - 1)
                    while slots[slot] >= 0:
                        slot = (slot + 1) & (size - 1)
                slots[slot] = n_classes
                keys[n_classes] = key
                n_classes += 1
            found[n_found] = row
            class_of[n_found] = slots[slot]
            counts[slots[slot]] += 1
            n_found += 1
    bounds = np.zeros(n_classes + 1, dtype=np.int64)
    for c in range(n_classes):
        bounds[c + 1] = bounds[c] + counts[c]
    rows = np.empty(n_found, dtype=np.int64)
    at_class = bounds.copy()
    for k in range(n_found):
        rows[at_class[class_of[k]]] = found[k]
        at_class[class_of[k]] += 1
    held = np.empty((n_classes, n_chosen), dtype=np.int64)
    for c in range(n_classes):
        key = keys[c]
        for k in range(n_chosen - 1, -1, -1):
            held[c, k] = key % tables[chosen[k], 1]
            key //= tables[chosen[k], 1]
    return rows, bounds, held


@kernel(
    numba.types.Tuple((OUT_I64_2D, numba.float64, numba.int64))(
        I64, I64, I64_2D, F64, I64_2D, I16, I64
    )
)
def compatible_classes(
    rows: Int64s,
    bounds: Int64s,
    held: Int64Table,
    frequencies: Floats,
    tables: Int64Table,
    compatible: npt.NDArray[np.int16],
    chosen: Int64s,
) -> tuple[Int64Table, float, Any]:
    """Pairs c <= d of classes whose haplotypes explain the typing together.

    Arguments as `explaining_classes` takes and returns them. Also the total weight of their
    haplotype pairs (f1 f2, twice that for two different ones) and how many these are. No pair of
    haplotypes is looked at.
    """
    n = len(held)
    sums = np.zeros(n)
    for c in range(n):
        for k in range(bounds[c], bounds[c + 1]):
            sums[c] += frequencies[rows[k]]
    room = 64
    pairs = np.empty((room, 2), dtype=np.int64)
    count = 0
    mass = 0.0
    n_pairs = np.int64(0)
    for c in range(n):
        for d in range(c, n):
            fits = True
            for k in range(len(chosen)):
                table = chosen[k]
                at = tables[table, 3] + held[c, k] * tables[table, 1] + held[d, k]
                if compatible[at] < 0:
                    fits = False
                    break
            if not fits:
                continue
            if count == room:
                longer = np.empty((2 * room, 2), dtype=np.int64)
                longer[:room] = pairs
                pairs = longer
                room *= 2
            pairs[count, 0] = c
            pairs[count, 1] = d
            count += 1
            size_c, size_d = bounds[c + 1] - bounds[c], bounds[d + 1] - bounds[d]
            if c == d:
                mass += sums[c] * sums[c]
                n_pairs += size_c * (size_c + 1) // 2
            else:
                mass += 2 * sums[c] * sums[d]
                n_pairs += size_c * size_d
    return pairs[:count].copy(), mass, n_pairs


@kernel(numba.types.Tuple((numba.int64, numba.float64))(I64, I64, I64_2D, F64, numba.float64))
def pairs_above(
    rows: Int64s, bounds: Int64s, pairs: Int64Table, frequencies: Floats, least: float
) -> tuple[Any, float]:
    """How many haplotype pairs of compatible classes have f1 f2 >= least, and their weight.

    rows: those of each class by falling frequency.
    """
    sums = np.zeros(len(rows) + 1)
    for k in range(len(rows)):
        sums[k + 1] = sums[k] + frequencies[rows[k]]
    count = np.int64(0)
    mass = 0.0
    for p in range(len(pairs)):
        c, d = pairs[p, 0], pairs[p, 1]
        end = bounds[d + 1]
        for k in range(bounds[c], bounds[c + 1]):
            f = frequencies[rows[k]]
            while end > bounds[d] and f * frequencies[rows[end - 1]] < least:
                end -= 1
            start = k if c == d else bounds[d]
            if end <= start:
                break
            count += end - start
            if c == d:
                mass += f * f + 2 * f * (sums[end] - sums[k + 1])
            else:
                mass += 2 * f * (sums[end] - sums[start])
    return count, mass


@kernel(
    numba.int64(I64, I64, I64_2D, F64, numba.float64, OUT_I64, OUT_I64, OUT_F64),
)
def list_pairs(
    rows: Int64s,
    bounds: Int64s,
    pairs: Int64Table,
    frequencies: Floats,
    least: float,
    left: Int64s,
    right: Int64s,
    weights: Floats,
) -> int:
    """The haplotype pairs of compatible classes and their weights, f1 f2 >= least.

    rows: those of each class by falling frequency, unless least is 0. Writes to left, right and
    weights, which have room for all, and returns how many there are.
    """
    count = 0
    for p in range(len(pairs)):
        c, d = pairs[p, 0], pairs[p, 1]
        for k in range(bounds[c], bounds[c + 1]):
            for m in range(k if c == d else bounds[d], bounds[d + 1]):
                weight = frequencies[rows[k]] * frequencies[rows[m]]
                if weight < least:
                    break
                left[count] = rows[k]
                right[count] = rows[m]
                weights[count] = weight if rows[k] == rows[m] else 2 * weight
                count += 1
    return count


@kernel(
    numba.types.Tuple((OUT_I32_2D, OUT_F64))(
        I32_2D, F64, I64, I64, I64_2D, I64_2D, numba.float64, I64_2D, I16, I64, U8, I64,
        I64, I32, U8, numba.boolean,
    )
)  # fmt: skip
def genotypes_of_classes(
    haplotypes: Int32Table,
    frequencies: Floats,
    rows: Int64s,
    bounds: Int64s,
    held: Int64Table,
    pairs: Int64Table,
    least: float,
    tables: Int64Table,
    compatible: npt.NDArray[np.int16],
    columns: Int64s,
    nulls: npt.NDArray[np.uint8],
    chosen: Int64s,
    name_starts: Int64s,
    tokens: Int32s,
    null_names: npt.NDArray[np.uint8],
    partner: bool,
) -> tuple[Int32Table, Floats]:
    """The unphased genotypes of the pairs of compatible classes, codes (n, n_loci) and weights.

    least, rows: as in `list_pairs`. tokens, null_names: of each name, column l from
    name_starts[l] on. partner: nulls by name take their partner's token, whatever was typed.
    """
    n_loci = haplotypes.shape[1]
    room = 64
    codes = np.empty((room, n_loci), dtype=np.int32)
    weights = np.zeros(room)
    size = 4 * room
    slots = np.full(size, -1, dtype=np.int64)
    hashes = np.empty(room, dtype=np.int64)
    code = np.empty(n_loci, dtype=np.int32)
    mode = np.zeros(n_loci, dtype=np.int64)
    n = 0
    for p in range(len(pairs)):
        c, d = pairs[p, 0], pairs[p, 1]
        mode[:] = 0
        if not partner:
            for k in range(len(chosen)):
                table = chosen[k]
                at = tables[table, 3] + held[c, k] * tables[table, 1] + held[d, k]
                entry, crossed = compatible[at] // 2, compatible[at] % 2
                low, high = tables[table, 4], tables[table, 5]
                for m in range(low, high):
                    null = nulls[tables[table, 6] + entry * (high - low) + m - low]
                    if null == _BOTH or null == 0:
                        mode[columns[m]] = null
                    else:
                        mode[columns[m]] = null if not crossed else _BOTH - null
        for i in range(bounds[c], bounds[c + 1]):
            for j in range(i if c == d else bounds[d], bounds[d + 1]):
                weight = frequencies[rows[i]] * frequencies[rows[j]]
                if weight < least:
                    break
                if rows[i] != rows[j]:
                    weight *= 2
                key = np.int64(0)
                for column in range(n_loci):
                    x = name_starts[column] + haplotypes[rows[i], column]
                    y = name_starts[column] + haplotypes[rows[j], column]
                    a, b = np.int64(tokens[x]), np.int64(tokens[y])
                    if partner:
                        if null_names[x] and null_names[y]:
                            pass
                        elif null_names[x]:
                            a = b
                        elif null_names[y]:
                            b = a
                    elif mode[column] == _LEFT:
                        a = b
                    elif mode[column] == _RIGHT:
                        b = a
                    elif mode[column] == _BOTH:
                        a = b = np.int64(NOTHING)
                    if a == ABSENT:
                        a = b
                    elif b == ABSENT:
                        b = a
                    if a > b:
                        a, b = b, a
                    code[column] = a + b * (b + 1) // 2
                    key = _hash(key + code[column])
                slot = key & (size - 1)
                while True:
                    at = slots[slot]
                    if at < 0:
                        break
                    if hashes[at] == key:
                        same = True
                        for column in range(n_loci):
                            if codes[at, column] != code[column]:
                                same = False
                                break
                        if same:
                            break
                    slot = (slot + 1) & (size - 1)
                if at < 0:
                    if n == room:
                        room *= 2
                        longer = np.empty((room, n_loci), dtype=np.int32)
                        longer[:n] = codes
                        codes = longer
                        more = np.zeros(room)
                        more[:n] = weights
                        weights = more
                        wider = np.empty(room, dtype=np.int64)
                        wider[:n] = hashes
                        hashes = wider
                        size = 4 * room
                        slots = np.full(size, -1, dtype=np.int64)
                        for k in range(n):
                            other = hashes[k] & (size - 1)
                            while slots[other] >= 0:
                                other = (other + 1) & (size - 1)
                            slots[other] = k
                        slot = key & (size - 1)
                        while slots[slot] >= 0:
                            slot = (slot + 1) & (size - 1)
                    at = np.int64(n)
                    slots[slot] = n
                    hashes[n] = key
                    codes[n] = code
                    n += 1
                weights[at] += weight
    return codes[:n].copy(), weights[:n].copy()


@kernel(
    numba.types.Tuple((OUT_I32_2D, OUT_F64, OUT_I64, OUT_F64, OUT_I64))(
        I32_2D, F64, I32_2D, I64, I64, I64_2D, U16, I16, I64, U8, I32, U8,
        numba.boolean, I64, I64, numba.int64,
    )
)  # fmt: skip
def impute_people(
    haplotypes: Int32Table,
    frequencies: Floats,
    rows_by_name: Int32Table,
    name_offsets: Int64s,
    name_starts: Int64s,
    tables: Int64Table,
    patterns: npt.NDArray[np.uint16],
    compatible: npt.NDArray[np.int16],
    columns: Int64s,
    nulls: npt.NDArray[np.uint8],
    tokens: Int32s,
    null_names: npt.NDArray[np.uint8],
    partner: bool,
    offsets: Int64s,
    people: Int64s,
    most_pairs: int,
) -> tuple[Int32Table, Floats, Int64s, Floats, Int64s]:
    """Genotypes of people, person p with the tables people[offsets[p] : offsets[p + 1]].

    Other arguments as above. Returns codes and weights of all, before they are divided by the mass;
    (n_people,) how many are each one's, their mass and their number of haplotype pairs. Someone
    with more than most_pairs gets no genotypes here.
    """
    n_people = len(offsets) - 1
    n_loci = haplotypes.shape[1]
    room = 1024
    codes = np.empty((room, n_loci), dtype=np.int32)
    weights = np.empty(room)
    counts = np.zeros(n_people, dtype=np.int64)
    masses = np.zeros(n_people)
    n_pairs = np.zeros(n_people, dtype=np.int64)
    n = 0
    for person in range(n_people):
        chosen = people[offsets[person] : offsets[person + 1]]
        rows, bounds, held = explaining_classes(
            haplotypes, frequencies, rows_by_name, name_offsets, name_starts, tables, patterns,
            chosen,
        )  # fmt: skip
        pairs, masses[person], n_pairs[person] = compatible_classes(
            rows, bounds, held, frequencies, tables, compatible, chosen
        )
        if n_pairs[person] == 0 or n_pairs[person] > most_pairs:
            continue
        own, weight = genotypes_of_classes(
            haplotypes, frequencies, rows, bounds, held, pairs, 0.0, tables, compatible, columns,
            nulls, chosen, name_starts, tokens, null_names, partner,
        )  # fmt: skip
        if n + len(weight) > room:
            room = max(2 * room, n + len(weight))
            longer = np.empty((room, n_loci), dtype=np.int32)
            longer[:n] = codes[:n]
            codes = longer
            more = np.empty(room)
            more[:n] = weights[:n]
            weights = more
        codes[n : n + len(weight)] = own
        weights[n : n + len(weight)] = weight
        counts[person] = len(weight)
        n += len(weight)
    return codes[:n].copy(), weights[:n].copy(), counts, masses, n_pairs
