"""Rule R16 word for word, on two-field names: slow and obvious."""

from __future__ import annotations

from collections import defaultdict
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
