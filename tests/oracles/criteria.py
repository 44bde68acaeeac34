"""Slow, obvious definition of a search: every donor, every draw of both people (R2, R3, R8, R20).

Positions match by P group, or at some loci also where antigens do. `keep_potential`: the best of
all draws counts, otherwise the worst.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

from matching.genotypes import Genotype, LocusGenotype
from matching.kernels import ABSENT_GENE
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.search import Criteria, Direction
from tests.oracles.pairs import draws

NEW_ALLELE = -3
Matches = Callable[[int, int], bool]


def by_group(patient: int, donor: int) -> bool:
    """The same P group; a new allele is like no other."""
    return patient == donor != NEW_ALLELE


def by_antigen(release: Nomenclature, prefixes: Mapping[str, str]) -> Matches:
    """Antigens of a group: columns 1 to 4 of every allele's serology. `prefixes` by gene."""

    @cache
    def antigens(group: int) -> frozenset[str]:
        name = release.p_group_names[group] if group >= 0 else None
        return frozenset(
            prefixes[allele.name.split("*")[0]] + number
            for allele in release.alleles
            if allele.p_group == name and allele.name.split("*")[0] in prefixes
            for column in allele.serology.split(";")[:4]
            for number in column.split("/")
            if number not in ("", "0", "?")
        )

    @cache
    def matches(patient: int, donor: int) -> bool:
        reached = {other for a in antigens(patient) for other in release.serology.matching(a)}
        return by_group(patient, donor) or bool(reached & antigens(donor))

    return matches


def _count(p: tuple[int, ...], d: tuple[int, ...], matches: Matches) -> int:
    """R2 for two draws."""
    if not p or not d:
        return 0
    direct = matches(p[0], d[0]), matches(p[1], d[1])
    cross = matches(p[0], d[1]), matches(p[1], d[0])
    return 2 if all(direct) or all(cross) else int(any(direct + cross))


def mismatches(
    patient: LocusGenotype | None,
    donor: LocusGenotype | None,
    criteria: Criteria,
    matches: Matches,
) -> int:
    """Mismatches of one locus that count."""
    worst = not criteria.keep_potential
    if patient is None or donor is None:
        if not worst:
            return 0
        typed = {Direction.BOTH: None, Direction.GVH: patient, Direction.HVG: donor}
        person = typed[criteria.direction]
        return 2 if person is None else max(len(set(d) - {ABSENT_GENE}) for d in draws(person))
    if criteria.direction is Direction.BOTH and not worst:
        return 2 - max(
            _of_sets(p, d, matches) for p in patient.alternatives for d in donor.alternatives
        )
    values = []
    for p in draws(patient):
        for d in draws(donor):
            if criteria.direction is Direction.BOTH:
                values.append(2 - _count(p, d, matches))
            elif criteria.direction is Direction.GVH:
                own = set(p) - {ABSENT_GENE}
                values.append(sum(not any(matches(a, b) for b in d) for a in own))
            else:
                own = set(d) - {ABSENT_GENE}
                values.append(sum(not any(matches(a, b) for a in p) for b in own))
    return max(values) if worst else min(values)


def _of_sets(p: LocusGenotype, d: LocusGenotype, matches: Matches) -> int:
    """R2, word for word."""

    def meet(x: tuple[int, ...], y: tuple[int, ...]) -> bool:
        return any(matches(a, b) for a in x for b in y)

    direct = meet(p.first, d.first), meet(p.second, d.second)
    cross = meet(p.first, d.second), meet(p.second, d.first)
    return 2 if all(direct) or all(cross) else int(any(direct + cross))


def is_found(patient: Genotype, donor: Genotype, criteria: Criteria, antigens: Matches) -> bool:
    """True if a donor meets the criteria."""
    found: dict[Locus, int] = {
        locus: mismatches(
            patient.loci[locus],
            donor.loci[locus],
            criteria,
            antigens if locus in criteria.antigen_loci else by_group,
        )
        for locus in criteria.loci
    }
    within = all(found[locus] <= limit for locus, limit in criteria.limits.items())
    return within and sum(found.values()) <= criteria.max_mismatches
