"""Probabilities of matches of one patient's genotypes against many typings.

With at most two mismatches all loci but two are equal to the patient's genotype: they are *fixed*,
the others *free* (terms: `genotype_kernels`, `phase_kernels`).
"""

from __future__ import annotations

import numba
import numpy as np

from matching.array_types import OUT_F64_2D, array
from matching.kernels import kernel
from matching.masses.arrays import (
    ENTRY_ARRAYS,
    MARGINAL_ARRAYS,
    NAME_ARRAYS,
    Bytes,
    EntryArrays,
    Floats,
    Int32s,
    Int64s,
    MarginalArrays,
    NameArrays,
)
from matching.masses.free_kernels import add_one_free, add_two_free
from matching.masses.genotype_kernels import MASK, MAX_EQUAL, MAX_MATCHED, NEAR, admits, prepare
from matching.masses.phase_kernels import phases

MAX_PHASES = 65_536
DONE, TOO_MANY = 0, 1


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
        array(numba.uint8),
        OUT_F64_2D,
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
    stop: Bytes,
    out: Floats,
) -> int:
    """Add every genotype's share of P(0, 1, 2 mismatches) of every donor.

    genotypes: (n_genotypes, n_loci, 2) tokens, 0 for one that matches nothing; each differs from
    the one before at locus order[changed[g]] and not before it in `order`. codes: (n_donors,
    n_loci) entries; total: (n_donors,), donors without a mass above 0 are left out. out:
    (n_donors, 3), up to `up_to` mismatches (1 or 2). stop: (1,), looked at before each genotype:
    once another thread has set it, nothing more is done. Returns `DONE`, or `TOO_MANY` where names
    of one token are more than the arrays here hold.
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
        if stop[0]:
            return DONE
        for level in range(changed[g], n_loci):
            sizes[level + 1] = 0
            if sizes[level] == 0:
                continue
            locus = order[level]
            a, b = genotypes[g, locus, 0], genotypes[g, locus, 1]
            tokens[locus, 0], tokens[locus, 1] = a, b
            if not prepare(names, locus, a, b, matched[locus], equal[locus]):
                return TOO_MANY
            level_stamp += 1
            of_locus[locus] = level_stamp
            count = 0
            for n in range(sizes[level]):
                d = left_at[level, n]
                entry = entries.base[locus] + codes[d, locus]
                if admitted_at[entry] != level_stamp:
                    admitted_at[entry] = level_stamp
                    admitted[entry] = admits(
                        entries, names, entry, locus, a, b, matched[locus], equal[locus]
                    )
                found = admitted[entry]
                further = 0 if found & MASK else (1 if found & NEAR else 2)
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
                    if not admitted[entries.base[first] + codes[d, first]] & NEAR:
                        continue
                    if n_free == 2 and not (
                        admitted[entries.base[second] + codes[d, second]] & NEAR
                    ):
                        continue
                selected[count] = d
                count += 1
            done = 0
            while done < count:
                # Donors that admit the same of the equal pairs go together.
                for locus in range(n_loci):
                    entry = entries.base[locus] + codes[selected[done], locus]
                    allowed[locus] = admitted[entry] & MASK
                end = done + 1
                for n in range(done + 1, count):
                    d = selected[n]
                    same = True
                    for locus in range(n_loci):
                        if locus != first and locus != second:
                            entry = entries.base[locus] + codes[d, locus]
                            if admitted[entry] & MASK != allowed[locus]:
                                same = False
                                break
                    if same:
                        selected[n], selected[end] = selected[end], d
                        end += 1
                n_pairs = phases(marginals, index, n_loci, allowed, equal, left, right)
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
                    stamp = add_one_free(
                        codes, total, entries, names, marginals, tokens, matched, index,
                        left[:n_pairs], right[:n_pairs], weights[g], group,
                        up_to == 2, stamp, stamps, values, out,
                    )  # fmt: skip
                else:
                    stamp = add_two_free(
                        codes, total, entries, names, marginals, tokens, matched, index,
                        left[:n_pairs], right[:n_pairs], weights[g], group,
                        stamp, stamps, numbers, out,
                    )  # fmt: skip
    return DONE
