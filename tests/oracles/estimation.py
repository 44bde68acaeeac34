"""Expectation-maximisation of haplotype frequencies, one person and pair at a time."""

from __future__ import annotations

import math
from collections import defaultdict
from itertools import combinations_with_replacement, product

Haplotype = tuple[str, ...]
# Two sets of names a locus.
Person = tuple[tuple[set[str], set[str]], ...]


def explains(one: Haplotype, other: Haplotype, person: Person) -> bool:
    """Whether two haplotypes together explain every locus, in either orientation each."""
    return all(
        (a in first and b in second) or (b in first and a in second)
        for a, b, (first, second) in zip(one, other, person, strict=True)
    )


def estimate(people: list[Person], iterations: int) -> tuple[dict[Haplotype, float], list[float]]:
    """Frequencies and the log likelihood after each iteration."""
    every = sorted({h for person in people for h in product(*(a | b for a, b in person))})
    pairs = [
        [(g, h) for g, h in combinations_with_replacement(every, 2) if explains(g, h, person)]
        for person in people
    ]
    shares = [[1 / len(own)] * len(own) for own in pairs]
    likelihoods = []
    for _ in range(iterations):
        sums: defaultdict[Haplotype, float] = defaultdict(float)
        for own, share in zip(pairs, shares, strict=True):
            for (g, h), s in zip(own, share, strict=True):
                sums[g] += s / (2 * len(people))
                sums[h] += s / (2 * len(people))
        weights = [[sums[g] * sums[h] * (1 if g == h else 2) for g, h in own] for own in pairs]
        likelihoods.append(sum(math.log(sum(own)) for own in weights))
        shares = [[w / sum(own) for w in own] for own in weights]
    return dict(sums), likelihoods
