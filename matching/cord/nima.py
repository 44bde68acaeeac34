"""Non-inherited maternal antigens (NIMA) of a cord blood unit.

Of a mismatch of the patient's the unit may have met the very antigen in the mother's body: it is
the one of the mother's two that the unit did not inherit. Mismatched units with such a match had
better outcomes (van Rood 2009, PNAS 106:19952; Rocha 2012, Biol Blood Marrow Transplant 18:1783).
"""

from __future__ import annotations

from collections.abc import Callable
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
Relation = Callable[[int, int], bool]


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
    def matched(group: int) -> frozenset[int]:
        return frozenset(antigens.matching([group]))

    def by_antigens(one: int, other: int) -> bool:
        return NEW_ALLELE not in (one, other) and other in matched(one)

    return {
        locus: nima_match(
            patient.loci[locus],
            unit.loci[locus],
            None if mother is None else mother.loci[locus],
            by_antigens if locus in criteria.antigen_loci else by_group,
        )
        for locus in criteria.loci
    }


def by_group(one: int, other: int) -> bool:
    """The same P group; a new allele is like no other."""
    return one == other != NEW_ALLELE


def nima_match(
    patient: LocusGenotype | None,
    unit: LocusGenotype | None,
    mother: LocusGenotype | None,
    matches: Relation,
) -> NimaMatch:
    """Of one locus. `matches(group of the patient, group of another)`.

    `POTENTIAL` where it depends on what ambiguous typings stand for, of which only what a mother
    and her child may have counts. `UNKNOWN` where a typing is missing, or is no basis to tell what
    was inherited (a null, an absent gene or a new allele), or stands for too much.
    """
    if patient is None or unit is None:
        return NimaMatch.UNKNOWN
    lacked = [
        (p, d, [g for g in set(p) if g != ABSENT_GENE and not any(matches(g, h) for h in d)])
        for p, d in _limited(_draws(patient), _draws(unit))
    ]
    if not lacked:
        return NimaMatch.UNKNOWN
    if not any(groups for *_, groups in lacked):
        return NimaMatch.NO_MISMATCH
    if mother is None or not _tells(unit) or not _tells(mother):
        return NimaMatch.UNKNOWN
    of_mother = _draws(mother)
    if not of_mother or len(lacked) * len(of_mother) > MOST_DRAWS:
        return NimaMatch.UNKNOWN
    found = set()
    for (_, d, groups), m in product(lacked, of_mother):
        if set(d) & set(m):
            others = set(m) - set(d)
            found.add(any(matches(g, other) for g in groups for other in others))
    if not found:
        return NimaMatch.EXCLUDED
    if len(found) == 2:
        return NimaMatch.POTENTIAL
    return NimaMatch.MATCHED if found.pop() else NimaMatch.NOT_MATCHED


def _draws(genotype: LocusGenotype) -> set[tuple[int, ...]]:
    """Everything that a genotype may stand for, each as its groups in ascending order."""
    found: set[tuple[int, ...]] = set()
    for one in genotype.alternatives:
        if one.linked:
            found |= {(group,) for group in one.first} or {()}
        elif len(one.first) * len(one.second) > MOST_DRAWS:
            return set()
        else:
            found |= {tuple(sorted(pair)) for pair in product(one.first, one.second)}
    return found


def _limited(
    patient: set[tuple[int, ...]], unit: set[tuple[int, ...]]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Every pair of draws, none where there are too many."""
    return [] if len(patient) * len(unit) > MOST_DRAWS else list(product(patient, unit))


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
