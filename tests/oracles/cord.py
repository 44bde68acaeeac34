"""Slow, obvious definitions of grafts of two cord blood units, every pair one by one, and of what a
unit did not inherit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from matching.cord import DoubleRule
from matching.genotypes import Genotype, LocusGenotype
from matching.search import Criteria
from tests.oracles.criteria import Matches, by_group, mismatches
from tests.oracles.pairs import draws


class Unit(NamedTuple):
    """Doses a kg in whole parts of 1/10,000, None where unknown."""

    genotype: Genotype
    with_patient: int
    tnc: int | None
    cd34: int | None


def between(x: Genotype, y: Genotype, criteria: Criteria, antigens: Matches) -> int:
    """Mismatches of two units; at the level of antigens a match in either direction is one."""

    def either(a: int, b: int) -> bool:
        return antigens(a, b) or antigens(b, a)

    return sum(
        mismatches(
            x.loci[locus],
            y.loci[locus],
            criteria,
            either if locus in criteria.antigen_loci else by_group,
        )
        for locus in criteria.loci
    )


def _parts(dose: float | None) -> int:
    return -1 if dose is None else round(Fraction(dose) * 10_000)


def pairs(
    units: Sequence[Unit], criteria: Criteria, rule: DoubleRule, antigens: Matches
) -> list[tuple[int, int, int]]:
    """Every pair that meets the rule, best first, and the mismatches of its units."""
    found = []
    for i, x in enumerate(units):
        for j, y in enumerate(units):
            if j <= i or x.tnc is None or y.tnc is None:
                continue
            tnc = x.tnc + y.tnc
            cd34 = None if x.cd34 is None or y.cd34 is None else x.cd34 + y.cd34
            least = min(-1 if unit.cd34 is None else unit.cd34 for unit in (x, y))
            apart = between(x.genotype, y.genotype, criteria, antigens)
            if (
                tnc >= _parts(rule.min_tnc)
                and min(x.tnc, y.tnc) >= _parts(rule.min_unit_tnc)
                and (rule.min_cd34 is None or (cd34 is not None and cd34 >= _parts(rule.min_cd34)))
                and least >= _parts(rule.min_unit_cd34)
                and apart <= rule.max_mismatches
            ):
                order = (
                    max(x.with_patient, y.with_patient),
                    min(x.with_patient, y.with_patient),
                    -(tnc // 5_000),
                    math.inf if cd34 is None else -(cd34 // 500),
                    apart,
                    i,
                    j,
                )
                first, second = sorted(
                    (i, j), key=lambda u: (units[u].with_patient, -(units[u].tnc or 0), u)
                )
                found.append((order, (first, second, apart)))
    return [pair for _, pair in sorted(found)]


def nima(
    patient: LocusGenotype, unit: LocusGenotype, mother: LocusGenotype, matches: Matches
) -> set[str]:
    """What may be true of one locus, by every transmission of one of the mother's two groups to the
    unit: the other one is the NIMA. Empty where no transmission is possible. All are typed without
    nulls, absent genes and new alleles."""
    found = set()
    for p in draws(patient):
        for d in draws(unit):
            lacked = [group for group in p if not any(matches(group, other) for other in d)]
            for m in draws(mother):
                for transmitted, kept_back in zip(m, reversed(m), strict=True):
                    if transmitted in d:
                        is_matched = any(matches(group, kept_back) for group in lacked)
                        found.add("matched" if is_matched else "lacked" if lacked else "none")
    return found
