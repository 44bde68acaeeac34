"""Hot loops that list the pairs and genotypes of explaining haplotypes; nothing else.

Terms as in `matching.explanation_kernels`. A genotype of tokens a <= b has code a + b (b + 1) / 2.
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
    U8,
    U16,
)
from matching.explanation_kernels import compatible_classes, explaining_classes, mixed_bits
from matching.kernels import Int32s, Int64s, kernel

Floats = npt.NDArray[np.float64]
Int64Table = npt.NDArray[np.int64]
Int32Table = npt.NDArray[np.int32]

# Tokens that are no allele: what expresses nothing, and a copy of DRB3/4/5 that is not there.
NOTHING = 0
ABSENT = 1
# How nulls stand in a pair: nowhere, left, right or on both sides.
_LEFT, _RIGHT, _BOTH = 1, 2, 3


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
                    key = mixed_bits(key + code[column])
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

    Other arguments as in `explaining_classes` and above. Returns codes and weights of all, before
    they are divided by the mass; (n_people,) how many are each one's, their mass and their number
    of haplotype pairs. Someone with more than most_pairs gets no genotypes here.
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
