"""Slow, obvious definitions of rules R2, R3 and R20 for one locus of two people."""

from __future__ import annotations

from collections.abc import Iterator, Set
from itertools import product

from matching.genotypes import LocusGenotype

Draw = tuple[int, int] | tuple[()]


def match_count(p1: Set[object], p2: Set[object], d1: Set[object], d2: Set[object]) -> int:
    """R2, word for word."""
    if (p1 & d1 and p2 & d2) or (p1 & d2 and p2 & d1):
        return 2
    return 1 if p1 & d1 or p1 & d2 or p2 & d1 or p2 & d2 else 0


def draws(person: LocusGenotype) -> Iterator[Draw]:
    """Every pair of groups the person may carry; a null repeats its partner's group (R3)."""
    if not person.first:
        yield ()
    elif person.linked:
        yield from ((group, group) for group in person.first)
    else:
        yield from product(person.first, person.second)


def count_of(patient: Draw, donor: Draw) -> int:
    """R2 for two people whose groups are known; two nulls meet nothing."""
    if not patient or not donor:
        return 0
    return match_count({patient[0]}, {patient[1]}, {donor[0]}, {donor[1]})


def compared(patient: LocusGenotype, donor: LocusGenotype) -> tuple[int, ...]:
    """Best and worst match count, GvH best and worst, HvG best and worst."""
    best = match_count(set(patient.first), set(patient.second), set(donor.first), set(donor.second))
    pairs = list(product(draws(patient), draws(donor)))
    counts = [count_of(p, d) for p, d in pairs]
    gvh = [len(set(p) - set(d)) for p, d in pairs]
    hvg = [len(set(d) - set(p)) for p, d in pairs]
    return best, min(counts), min(gvh), max(gvh), min(hvg), max(hvg)
