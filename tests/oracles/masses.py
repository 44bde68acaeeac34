"""Total masses and match probabilities in exact rational arithmetic: slow and obvious (R16)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement, product

Names = frozenset[str]
# Genotype list of a locus: what each position admits, and whether it was typed null.
Alternative = tuple[tuple[Names, bool], tuple[Names, bool]]
Pair = tuple[str, str]
ABSENT = "DRBX*NNNN"
Genotypes = dict[tuple[Pair, ...], Fraction]


def genotypes(
    haplotypes: Mapping[tuple[str, ...], Fraction],
    typing: Sequence[Sequence[Alternative] | None],
    token: Mapping[str, str],
    partner: bool,
) -> Genotypes:
    """Unphased genotypes of a typing (None: untyped) with the mass of each, not normalised."""
    found: Genotypes = defaultdict(Fraction)
    for (h, f), (g, e) in combinations_with_replacement(haplotypes.items(), 2):
        pairs = [
            expressed(a, b, written, token, partner)
            for a, b, written in zip(h, g, typing, strict=True)
        ]
        explained = [pair for pair in pairs if pair is not None]
        if len(explained) == len(pairs):
            found[tuple(explained)] += f * e * (1 if h == g else 2)
    return found


def expressed(
    a: str, b: str, written: Sequence[Alternative] | None, token: Mapping[str, str], partner: bool
) -> Pair | None:
    """What the match count sees of two names at a locus; None if they do not explain it."""
    if written is None:
        return presented(a, b, (False, False), token, partner)
    for (first, first_null), (second, second_null) in written:
        if a in first and b in second:
            return presented(a, b, (first_null, second_null), token, partner)
        if b in first and a in second:
            return presented(b, a, (first_null, second_null), token, partner)
    return None


def presented(
    a: str, b: str, nulls: tuple[bool, bool], token: Mapping[str, str], partner: bool
) -> Pair:
    if partner:
        null_a, null_b = (name.endswith("N") and name != ABSENT for name in (a, b))
        first = b if null_a else a
        second = a if null_b else b
    elif all(nulls):
        return "", ""
    else:
        first = b if nulls[0] else a
        second = a if nulls[1] else b
    if first == ABSENT:
        first = second
    elif second == ABSENT:
        second = first
    low, high = sorted((token[first], token[second]))
    return low, high


def mismatches(one: Pair, other: Pair) -> int:
    """2 minus the R2 count; the empty name meets nothing."""

    def meet(x: str, y: str) -> bool:
        return x == y != ""

    (a, b), (c, d) = one, other
    if (meet(a, c) and meet(b, d)) or (meet(a, d) and meet(b, c)):
        return 0
    return 1 if meet(a, c) or meet(a, d) or meet(b, c) or meet(b, d) else 2


def probabilities(patient: Genotypes, donor: Genotypes) -> tuple[Fraction, ...]:
    """P(0, 1, 2 mismatches); both sides must have a mass above 0."""
    out = [Fraction(0)] * 3
    for (p, v), (d, w) in product(patient.items(), donor.items()):
        count = sum(mismatches(x, y) for x, y in zip(p, d, strict=True))
        if count <= 2:
            out[count] += v * w
    total = sum(patient.values()) * sum(donor.values())
    return tuple(mass / total for mass in out)
