"""Rule R16 word for word, on two-field names: slow and obvious, exact with rational numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from fractions import Fraction
from itertools import combinations_with_replacement, product

Pair = tuple[str, str]
Genotypes = dict[tuple[Pair, ...], float]


def impute(
    haplotypes: dict[tuple[str, ...], float],
    typing: tuple[tuple[set[str], set[str]] | None, ...],
    partner: bool,
) -> tuple[Genotypes, float]:
    """Unphased genotypes of a typing (two sets of names a locus, None untyped) and their mass."""
    found: Genotypes = defaultdict(float)
    for (h1, f1), (h2, f2) in combinations_with_replacement(haplotypes.items(), 2):
        genotype = []
        for a, b, written in zip(h1, h2, typing, strict=True):
            if written is None:
                genotype.append(expressed(a, b, (False, False), partner))
                continue
            first, second = (names if partner else without_nulls(names) for names in written)
            nulls = tuple(all(n.endswith("N") for n in names) for names in (first, second))
            if a in first and b in second:
                genotype.append(expressed(a, b, nulls, partner))
            elif b in first and a in second:
                genotype.append(expressed(b, a, nulls, partner))
            else:
                break
        else:
            found[tuple(genotype)] += f1 * f2 * (1 if h1 == h2 else 2)
    mass = sum(found.values())
    return {g: w / mass for g, w in found.items()}, mass


def without_nulls(names: set[str]) -> set[str]:
    return {name for name in names if not name.endswith("N")} or names


def expressed(a: str, b: str, typed_null: tuple[bool, ...], partner: bool) -> Pair:
    """What the match count sees of the alleles at positions 1 and 2."""
    if partner:
        first = b if a.endswith("N") else a
        second = a if b.endswith("N") else b
    elif all(typed_null):
        first = second = ""
    else:
        first = b if typed_null[0] else a
        second = a if typed_null[1] else b
    return (min(first, second), max(first, second))


def mismatches(one: Pair, other: Pair) -> int:
    """2 minus the R2 count; the empty name meets nothing."""

    def meet(x: str, y: str) -> bool:
        return x == y != ""

    (a, b), (c, d) = one, other
    if (meet(a, c) and meet(b, d)) or (meet(a, d) and meet(b, c)):
        return 0
    return 1 if meet(a, c) or meet(a, d) or meet(b, c) or meet(b, d) else 2


def predict(patient: Genotypes, donor: Genotypes) -> tuple[list[float], list[float]]:
    """P(0, 1, 2 mismatches in all) and P(two matches) at each locus."""
    total = [0.0, 0.0, 0.0]
    two: list[float] = [0.0] * len(next(iter(patient)))
    for (g, v), (h, w) in product(patient.items(), donor.items()):
        counts = [mismatches(x, y) for x, y in zip(g, h, strict=True)]
        if sum(counts) <= 2:
            total[sum(counts)] += v * w
        for i, count in enumerate(counts):
            two[i] += v * w * (count == 0)
    return total, two


# A block of loci in phase: one entry for each genotype of a list, two sets of names a locus.
Block = list[dict[int, tuple[set[str], set[str]]]]


def impute_blocks(
    haplotypes: Mapping[tuple[str, ...], Fraction], blocks: list[Block], partner: bool
) -> tuple[dict[tuple[Pair, ...], Fraction], Fraction]:
    """As `impute`, for genotype lists and loci in phase; loci in no block are untyped."""
    found: dict[tuple[Pair, ...], Fraction] = defaultdict(Fraction)
    for (h1, f1), (h2, f2) in combinations_with_replacement(haplotypes.items(), 2):
        genotype = [expressed(a, b, (False, False), partner) for a, b in zip(h1, h2, strict=True)]
        for block in blocks:
            seen = explained(h1, h2, block, partner)
            if seen is None:
                break
            for locus, pair in seen.items():
                genotype[locus] = pair
        else:
            found[tuple(genotype)] += f1 * f2 * (1 if h1 == h2 else 2)
    mass = sum(found.values(), Fraction())
    return {g: w / mass for g, w in found.items()}, mass


def explained(
    h1: tuple[str, ...], h2: tuple[str, ...], block: Block, partner: bool
) -> dict[int, Pair] | None:
    """What the match count sees at the loci of a block, by the first entry that fits."""
    for entry in block:
        for left, right in ((h1, h2), (h2, h1)):
            seen = {}
            for locus, written in entry.items():
                first, second = (n if partner else without_nulls(n) for n in written)
                if left[locus] not in first or right[locus] not in second:
                    break
                nulls = tuple(all(n.endswith("N") for n in names) for names in (first, second))
                seen[locus] = expressed(left[locus], right[locus], nulls, partner)
            else:
                return seen
    return None


def distributions(
    patient: Mapping[tuple[Pair, ...], Fraction], donor: Mapping[tuple[Pair, ...], Fraction]
) -> dict[str, list[Fraction] | list[list[Fraction]]]:
    """Probability of each number of mismatches, of GvH and HvG, and of each count by locus."""
    n_loci = len(next(iter(patient)))
    total, gvh, hvg = ([Fraction()] * (2 * n_loci + 1) for _ in range(3))
    by_locus = [[Fraction()] * 3 for _ in range(n_loci)]
    for (g, v), (h, w) in product(patient.items(), donor.items()):
        pairs = list(zip(g, h, strict=True))
        total[sum(mismatches(x, y) for x, y in pairs)] += v * w
        gvh[sum(len(set(x) - set(y) - {""}) for x, y in pairs)] += v * w
        hvg[sum(len(set(y) - set(x) - {""}) for x, y in pairs)] += v * w
        for i, (x, y) in enumerate(pairs):
            by_locus[i][2 - mismatches(x, y)] += v * w
    return {"p_total": total, "p_gvh": gvh, "p_hvg": hvg, "p_locus": by_locus}


def shared_haplotypes(
    patient: Mapping[tuple[object, object], Fraction],
    donor: Mapping[tuple[object, object], Fraction],
) -> list[Fraction]:
    """P(0, 1, 2 haplotypes in common) of two people given as pairs of haplotypes."""
    found = [Fraction()] * 3
    for ((a, b), v), ((c, d), w) in product(patient.items(), donor.items()):
        two = sorted(map(repr, (a, b))) == sorted(map(repr, (c, d)))
        found[2 if two else 1 if {a, b} & {c, d} else 0] += v * w
    return found
