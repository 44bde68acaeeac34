"""Families by definition: every transmission with every set of founder alleles, one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

OTHER = "other"
# Of a locus: pairs of sets of alleles, of which one is the true one; None is untyped.
Typed = Sequence[tuple[frozenset[str], frozenset[str]]] | None
# Founder haplotype and allele of the paternal and the maternal chromosome at each locus.
Carried = list[tuple[tuple[int, str], tuple[int, str]]]


@dataclass(frozen=True)
class Person:
    """`father`, `mother`: positions of earlier people, None where unknown."""

    father: int | None
    mother: int | None
    loci: tuple[Typed, ...]


@dataclass(frozen=True)
class World:
    """One transmission with one set of founder alleles."""

    weight: float
    chromosomes: tuple[tuple[int, int], ...]
    carried: list[Carried]


def alleles_of(people: Sequence[Person], locus: int) -> list[str]:
    """What the typings admit, and any other."""
    found = {
        allele
        for person in people
        for pair in person.loci[locus] or ()
        for side in pair
        for allele in side
    }
    return [*sorted(found), OTHER]


def transmissions(people: Sequence[Person]) -> Iterator[tuple[tuple[int, int], ...]]:
    """The founder haplotypes of everyone; those of the founders are numbered as they come."""
    sources: list[tuple[int | str, int | str]] = []
    n = 0
    for person in people:
        drawn: list[int | str] = []
        for parent in (person.father, person.mother):
            if parent is None:
                drawn.append(f"{n}")
                n += 1
            else:
                drawn.append(parent)
        sources.append((drawn[0], drawn[1]))
    meioses = [(i, side) for i, pair in enumerate(sources) for side in (0, 1)
               if isinstance(pair[side], int)]  # fmt: skip
    for choices in product((0, 1), repeat=len(meioses)):
        chosen = dict(zip(meioses, choices, strict=True))
        carried: list[tuple[int, int]] = []
        for i, pair in enumerate(sources):
            own = []
            for side, source in enumerate(pair):
                if isinstance(source, int):
                    own.append(carried[source][chosen[i, side]])
                else:
                    own.append(int(source))
            carried.append((own[0], own[1]))
        yield tuple(carried)


def explains(typed: Typed, first: str, second: str) -> bool:
    """Whether two alleles are one of the genotypes."""
    return typed is None or any(
        (first in a and second in b) or (second in a and first in b) for a, b in typed
    )


def worlds(
    people: Sequence[Person], haplotypes: Mapping[tuple[str, ...], float] | None
) -> Iterator[World]:
    """All worlds that the typings admit; `haplotypes`: frequencies, None for equal weights."""
    n_loci = len(people[0].loci)
    alleles = [alleles_of(people, locus) for locus in range(n_loci)]
    if haplotypes is None:
        haplotypes = dict.fromkeys(product(*alleles), 1.0)
    else:
        folded: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for names, frequency in haplotypes.items():
            known = (n if n in alleles[i] else OTHER for i, n in enumerate(names))
            folded[tuple(known)] += frequency
        haplotypes = folded
    for chromosomes in transmissions(people):
        n = 1 + max(max(pair) for pair in chromosomes)
        # At each locus the alleles of all founder haplotypes that explain the typings there.
        explaining = [
            [
                chosen
                for chosen in product(alleles[locus], repeat=n)
                if all(
                    explains(person.loci[locus], chosen[pair[0]], chosen[pair[1]])
                    for person, pair in zip(people, chromosomes, strict=True)
                )
            ]
            for locus in range(n_loci)
        ]
        for chosen in product(*explaining):
            weight = prod(haplotypes.get(names, 0.0) for names in zip(*chosen, strict=True))
            if weight:
                carried = [[((p, at[p]), (q, at[q])) for at in chosen] for p, q in chromosomes]
                yield World(weight, chromosomes, carried)


def mismatches(
    people: Sequence[Person], world: World, patient: int, relative: int
) -> tuple[int, list[int]]:
    """Mismatches over all loci, and how many haplotypes are shared by descent.

    Alleles of two haplotypes match where someone typed at the locus carries each, and no typing
    of the family has the allele along with another.
    """
    total, shared = 0, []
    for locus in range(len(people[0].loci)):
        known = {
            haplotype
            for person, pair in zip(people, world.chromosomes, strict=True)
            if person.loci[locus] is not None
            for haplotype in pair
        }
        sides = [
            (side, allele)
            for person in people
            for pair in person.loci[locus] or ()
            for side in pair
            for allele in side
        ]
        holders: defaultdict[str, set[frozenset[str]]] = defaultdict(set)
        for side, allele in sides:
            holders[allele].add(side)
        single = {a for a in holders if [holders[b] for b in holders].count(holders[a]) == 1}

        def same(
            x: tuple[int, str],
            y: tuple[int, str],
            known: set[int] = known,
            single: set[str] = single,
        ) -> bool:
            tell = {x[0], y[0]} <= known and x[1] == y[1] and x[1] in single
            return x[0] == y[0] or tell

        (p, q), (r, s) = world.carried[patient][locus], world.carried[relative][locus]
        if (same(p, r) and same(q, s)) or (same(p, s) and same(q, r)):
            count = 2
        else:
            count = int(any(same(x, y) for x, y in product((p, q), (r, s))))
        total += 2 - count
    ours, theirs = world.chromosomes[patient], world.chromosomes[relative]
    left = list(theirs)
    for haplotype in ours:
        if haplotype in left:
            left.remove(haplotype)
            shared.append(haplotype)
    return total, shared


def class_of(total: int, n_shared: int) -> str:
    """The class of a relative by its definition."""
    if n_shared == 2:
        return "HLA-identical"
    if total == 0:
        return "identical by type"
    if total == 1:
        return "one mismatch"
    return "haploidentical" if n_shared else "less than haploidentical"
