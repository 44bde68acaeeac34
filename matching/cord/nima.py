"""Non-inherited maternal antigens (NIMA) of a cord blood unit.

Of a mismatch of the patient's the unit may have met the very antigen in the mother's body: it is
the one of the mother's two that the unit did not inherit. Mismatched units with such a match had
better outcomes (van Rood 2009, PNAS 106:19952; Rocha 2012, Biol Blood Marrow Transplant 18:1783).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from functools import cache
from itertools import product

from matching.antigens import AntigenRelation
from matching.genotypes import NEW_ALLELE, Genotype, LocusGenotype
from matching.kernels import ABSENT_GENE
from matching.loci import Locus
from matching.search import Criteria

# Combinations of what three typings may stand for that are looked at: beyond, nothing is said.
MOST_DRAWS = 10_000
# Of a group of the patient's, all that match it.
Reach = Callable[[int], frozenset[int]]


class NimaMatch(Enum):
    """Of one locus, by what the patient has and the unit lacks (GvH)."""

    NO_MISMATCH = "no mismatch"
    MATCHED = "matched"
    POTENTIAL = "potential"
    NOT_MATCHED = "not matched"
    UNKNOWN = "unknown"
    # The mother and the unit share nothing.
    EXCLUDED = "not the mother"


def nima_matches(
    patient: Genotype,
    unit: Genotype,
    mother: Genotype | None,
    criteria: Criteria,
    antigens: AntigenRelation,
) -> dict[Locus, NimaMatch]:
    """Of every locus of the criteria, at their levels; None is a mother who is not known."""

    @cache
    def by_antigens(group: int) -> frozenset[int]:
        return frozenset(() if group == NEW_ALLELE else antigens.matching([group]))

    return {
        locus: nima_match(
            patient.loci[locus],
            unit.loci[locus],
            None if mother is None else mother.loci[locus],
            by_antigens if locus in criteria.antigen_loci else by_group,
        )
        for locus in criteria.loci
    }


def by_group(group: int) -> frozenset[int]:
    """The same P group; a new allele is like no other."""
    return frozenset(() if group == NEW_ALLELE else (group,))


def nima_match(
    patient: LocusGenotype | None,
    unit: LocusGenotype | None,
    mother: LocusGenotype | None,
    reach: Reach,
) -> NimaMatch:
    """Of one locus.

    `POTENTIAL` where it depends on what ambiguous typings stand for, of which only what a mother
    and her child may have counts. `UNKNOWN` where a typing is missing, or is no basis to tell what
    was inherited (a null, an absent gene or a new allele), or stands for too much.
    """
    if patient is None or unit is None:
        return NimaMatch.UNKNOWN
    reached = {group: reach(group) for group in _groups(patient) if group != ABSENT_GENE}
    of_patient = _draws(patient, lambda groups: set(groups))
    of_unit = _draws(unit, _merging(reached, frozenset() if mother is None else _groups(mother)))
    if not 0 < len(of_patient) * len(of_unit) <= MOST_DRAWS:
        return NimaMatch.UNKNOWN
    pairs = [
        (d, [reached[group] for group in p if group in reached and not reached[group] & d])
        for p, d in product(of_patient, of_unit)
    ]
    if not any(lacked for _, lacked in pairs):
        return NimaMatch.NO_MISMATCH
    if mother is None or not _tells(unit) or not _tells(mother):
        return NimaMatch.UNKNOWN
    of_mother = _draws(mother, _merging(reached, _groups(unit)))
    if not 0 < len(pairs) * len(of_mother) <= MOST_DRAWS:
        return NimaMatch.UNKNOWN
    found = set()
    for (d, lacked), m in product(pairs, of_mother):
        if d & m:
            if any(group & (m - d) for group in lacked):
                found.add(NimaMatch.MATCHED)
            else:
                found.add(NimaMatch.NOT_MATCHED if lacked else NimaMatch.NO_MISMATCH)
    if not found:
        return NimaMatch.EXCLUDED
    if NimaMatch.MATCHED in found:
        return NimaMatch.MATCHED if len(found) == 1 else NimaMatch.POTENTIAL
    return NimaMatch.NOT_MATCHED if NimaMatch.NOT_MATCHED in found else NimaMatch.NO_MISMATCH


def _groups(genotype: LocusGenotype) -> frozenset[int]:
    """All that may be there."""
    return frozenset().union(*((*one.first, *one.second) for one in genotype.alternatives))


def _merging(
    reached: Mapping[int, frozenset[int]], other: frozenset[int]
) -> Callable[[Iterable[int]], set[int]]:
    """Makes one of the groups of a position that differ neither in what reaches them nor from what
    the `other` person may have, so that few are left of an ambiguous one."""

    def merged(groups: Iterable[int]) -> set[int]:
        classes = [set(groups) - other]
        for reach in reached.values():
            classes = [part for one in classes for part in (one & reach, one - reach)]
        return (set(groups) & other) | {min(one) for one in classes if one}

    return merged


def _draws(
    genotype: LocusGenotype, merged: Callable[[Iterable[int]], set[int]]
) -> set[frozenset[int]]:
    """Everything that a genotype may stand for, each as its groups; none where that is too much."""
    found: set[frozenset[int]] = set()
    for one in genotype.alternatives:
        first, second = merged(one.first), merged(one.second)
        if one.linked:
            found |= {frozenset([group]) for group in first} or {frozenset()}
        elif len(first) * len(second) > MOST_DRAWS:
            return set()
        else:
            found |= {frozenset(pair) for pair in product(first, second)}
    return found


def _tells(genotype: LocusGenotype) -> bool:
    """Whether a typing may tell what a child inherited."""
    return not any(
        one.linked or {NEW_ALLELE, ABSENT_GENE} & {*one.first, *one.second}
        for one in genotype.alternatives
    )


def nima_preference(found: dict[Locus, NimaMatch]) -> int:
    """Of a unit as a whole: 0 without a mismatch or with a match at one, 2 with none, and 1 where
    that is not known, or the stated mother cannot be the mother."""
    kinds = set(found.values()) - {NimaMatch.NO_MISMATCH}
    if NimaMatch.EXCLUDED in kinds:
        return 1
    if not kinds or NimaMatch.MATCHED in kinds:
        return 0
    return 1 if kinds & {NimaMatch.UNKNOWN, NimaMatch.POTENTIAL} else 2


def nima_text(found: dict[Locus, NimaMatch]) -> str:
    """Locus by locus, such as "A matched, B not matched"; empty without a mismatch."""
    return ", ".join(
        f"{locus.value} {match.value}"
        for locus, match in found.items()
        if match is not NimaMatch.NO_MISMATCH
    )
