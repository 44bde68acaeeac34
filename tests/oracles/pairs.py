"""Slow, obvious definitions of rules R2, R3 and R20 for one locus of two people."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import product

from matching.genotypes import LocusGenotype
from matching.kernels import ABSENT_GENE

Draw = tuple[int, int] | tuple[()]


def match_count(p1: Set[object], p2: Set[object], d1: Set[object], d2: Set[object]) -> int:
    """R2, word for word."""
    if (p1 & d1 and p2 & d2) or (p1 & d2 and p2 & d1):
        return 2
    return 1 if p1 & d1 or p1 & d2 or p2 & d1 or p2 & d2 else 0


def draws(person: LocusGenotype) -> Iterator[Draw]:
    """Every pair of groups the person may carry; a null repeats its partner's group (R3)."""
    for one in person.alternatives:
        if not one.first:
            yield ()
        elif one.linked:
            yield from ((group, group) for group in one.first)
        else:
            yield from product(one.first, one.second)


def count_of(patient: Draw, donor: Draw) -> int:
    """R2 for two people whose groups are known; two nulls meet nothing."""
    if not patient or not donor:
        return 0
    return match_count({patient[0]}, {patient[1]}, {donor[0]}, {donor[1]})


def compared(patient: LocusGenotype, donor: LocusGenotype) -> tuple[int, ...]:
    """Best and worst match count, GvH best and worst, HvG best and worst."""
    best = max(
        match_count(set(p.first), set(p.second), set(d.first), set(d.second))
        for p, d in product(patient.alternatives, donor.alternatives)
    )
    pairs = list(product(draws(patient), draws(donor)))
    counts = [count_of(p, d) for p, d in pairs]
    gvh = [len(set(p) - set(d) - {ABSENT_GENE}) for p, d in pairs]
    hvg = [len(set(d) - set(p) - {ABSENT_GENE}) for p, d in pairs]
    return best, min(counts), min(gvh), max(gvh), min(hvg), max(hvg)
