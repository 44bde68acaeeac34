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
# The founder haplotype at each locus.
Chromosome = tuple[int, ...]
# Founder haplotype and allele of the paternal and the maternal chromosome at each locus.
Carried = list[tuple[tuple[int, str], tuple[int, str]]]


@dataclass(frozen=True)
class Person:
    """`father`, `mother`: positions of earlier people, None where unknown.

    `is_phased`: the first sets of all loci lie on one chromosome, genotype by genotype.
    """

    father: int | None
    mother: int | None
    loci: tuple[Typed, ...]
    is_phased: bool = False


@dataclass(frozen=True)
class World:
    """One transmission with one set of founder alleles."""

    weight: float
    chromosomes: tuple[tuple[Chromosome, Chromosome], ...]
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


def transmissions(
    people: Sequence[Person], n_crossings: int = 0
) -> Iterator[tuple[tuple[Chromosome, Chromosome], ...]]:
    """The founder haplotypes of everyone; those of the founders are numbered as they come.

    `n_crossings`: in all of the family, at most one in what a parent passes on.
    """
    n_loci = len(people[0].loci)
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
    # From which chromosome of the parent each locus is; cut 0 is no crossing.
    gametes = [
        (cut > 0, tuple(start ^ (0 < cut <= i) for i in range(n_loci)))
        for start in (0, 1)
        for cut in range(n_loci if n_crossings else 1)
    ]
    for choices in product(gametes, repeat=len(meioses)):
        if sum(is_crossed for is_crossed, _ in choices) != n_crossings:
            continue
        chosen = dict(zip(meioses, choices, strict=True))
        carried: list[tuple[Chromosome, Chromosome]] = []
        for i, pair in enumerate(sources):
            own = []
            for side, source in enumerate(pair):
                if isinstance(source, int):
                    of = chosen[i, side][1]
                    own.append(tuple(carried[source][of[k]][k] for k in range(n_loci)))
                else:
                    own.append((int(source),) * n_loci)
            carried.append((own[0], own[1]))
        yield tuple(carried)


def explains(typed: Typed, first: str, second: str) -> bool:
    """Whether two alleles are one of the genotypes."""
    return typed is None or any(
        (first in a and second in b) or (second in a and first in b) for a, b in typed
    )


def is_in_phase(person: Person, alleles: Sequence[tuple[str, str]]) -> bool:
    """Whether one genotype of the list, and one order of the chromosomes, fits at all loci."""
    genotypes = zip(*(typed for typed in person.loci if typed is not None), strict=True)
    typed_at = [pair for pair, typed in zip(alleles, person.loci, strict=True) if typed is not None]
    return any(
        all(x in a and y in b for (x, y), (a, b) in zip(pairs, genotype, strict=True))
        for genotype in genotypes
        for pairs in (typed_at, [(y, x) for x, y in typed_at])
    )


def worlds(
    people: Sequence[Person],
    haplotypes: Mapping[tuple[str, ...], float] | None,
    n_crossings: int = 0,
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
    at_locus: dict[tuple[int, tuple[tuple[int, int], ...]], list[tuple[str, ...]]] = {}
    for chromosomes in transmissions(people, n_crossings):
        n = 1 + max(max(one) for pair in chromosomes for one in pair)
        # At each locus the alleles of all founder haplotypes that explain the typings there.
        explaining = []
        for locus in range(n_loci):
            at = tuple((p[locus], q[locus]) for p, q in chromosomes)
            if (locus, at) not in at_locus:
                at_locus[locus, at] = [
                    chosen
                    for chosen in product(alleles[locus], repeat=n)
                    if all(
                        explains(person.loci[locus], chosen[p], chosen[q])
                        for person, (p, q) in zip(people, at, strict=True)
                    )
                ]
            explaining.append(at_locus[locus, at])
        for chosen in product(*explaining):
            weight = prod(haplotypes.get(names, 0.0) for names in zip(*chosen, strict=True))
            carried: list[Carried] = [
                [((p, at[p]), (q, at[q])) for at, p, q in zip(chosen, *pair, strict=True)]
                for pair in chromosomes
            ]
            alleles_at = ([(x[1], y[1]) for x, y in own] for own in carried)
            in_phase = all(
                is_in_phase(person, own)
                for person, own in zip(people, alleles_at, strict=True)
                if person.is_phased
            )
            if weight and in_phase:
                yield World(weight, chromosomes, carried)


def mismatches(
    people: Sequence[Person], world: World, patient: int, relative: int
) -> tuple[int, list[int]]:
    """Mismatches over all loci, and how many haplotypes are shared by descent at each.

    Alleles of two haplotypes match where someone typed at the locus carries each, and no typing
    of the family has the allele along with another.
    """
    total, shared = 0, []
    for locus in range(len(people[0].loci)):
        known = {
            haplotype
            for person, pair in zip(people, world.chromosomes, strict=True)
            if person.loci[locus] is not None
            for haplotype in (one[locus] for one in pair)
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
        left = [haplotype for haplotype, _ in (r, s)]
        n_shared = 0
        for haplotype, _ in (p, q):
            if haplotype in left:
                left.remove(haplotype)
                n_shared += 1
        shared.append(n_shared)
    return total, shared


def class_of(total: int, shared: Sequence[int]) -> str:
    """The class of a relative by its definition; `shared`: haplotypes by descent at each locus."""
    if min(shared) == 2:
        return "HLA-identical"
    if total == 0:
        return "identical by type"
    if total == 1:
        return "one mismatch"
    return "haploidentical" if min(shared) else "less than haploidentical"
