"""The order of relatives as donors, haploidentical ones by rules for grafts with post-transplant
cyclophosphamide; every rule has its source in `SOURCES`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from matching.antibodies import Answer
from matching.family.values import FamilyAnalysis, Relative, RelativeClass
from matching.immunogenetics import Leaders, TceCategory
from matching.kernels import COUNT_WORST, GVH_BEST, GVH_WORST
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.pipeline import match_typed
from matching.rank import BY_IDENTIFIER, Ranking, antibody_values, by_values, rank, sex_values
from matching.rank import REASONS as REASONS_OF_DONORS
from matching.typings import Typing, parse_typing

# Of every key the reason to stand below another relative.
REASONS: Mapping[str, str] = MappingProxyType(
    {
        "class": "less favourable class",
        "age": "older by a step of age, or age unknown",
        "drb1": "no GvH mismatch at DRB1 with a match at DQB1",
        "leader": "HLA-B leader mismatched, or unknown",
        "dpb1": "less favourable DPB1",
        "sex": "female for a male patient, or sex unknown",
        "nima": "the haplotype not shared is not the mother's",
        "antibody": REASONS_OF_DONORS["antibody"],
    }
)
SOURCES: Mapping[str, str] = MappingProxyType(
    {
        "class": "HLA-identical before haploidentical; ours",
        "age": "DeZern 2021, Blood Adv 5:1360: older donors, poorer survival",
        "drb1": "Fuchs 2022, Blood 139:1452, abstract: DRB1 mismatch in GvH direction with DQB1 "
        "match, better disease-free survival",
        "leader": "Fuchs 2022, Blood 139:1452, abstract: leader match, better survival",
        "dpb1": "Fuchs 2022, Blood 139:1452, abstract: T-cell epitope non-permissive mismatch (GvH "
        "direction), better survival",
        "sex": "Flowers 2011, Blood 117:3214: chronic GVHD",
        "nima": "van Rood 2002, Blood 99:1572: haploidentical siblings, without cyclophosphamide",
        "antibody": "Ciurea 2018, Bone Marrow Transplant 53:521 (EBMT consensus): antibodies "
        "against the donor, graft failure",
    }
)
DEFAULT_KEYS = ("class", "age", "drb1", "leader", "dpb1", "sex")
_UNKNOWN = (TceCategory.UNKNOWN, TceCategory.UNTYPED, TceCategory.POTENTIAL_MATCH)


@dataclass(frozen=True)
class HaploidenticalRule:
    """What relatives are ordered by.

    `keys`: names of `REASONS`, the weightiest first. `age_step_years`: ages within one step are
    equal. `dpb1_order`: categories of DPB1, best first; those that are not named and are known
    come last, and what is not known stands before them. Raises `ValueError`.
    """

    keys: tuple[str, ...] = DEFAULT_KEYS
    age_step_years: float = 10.0
    dpb1_order: tuple[TceCategory, ...] = (TceCategory.GVH_NON_PERMISSIVE,)

    def __post_init__(self) -> None:
        for key in self.keys:
            if key not in REASONS:
                raise ValueError(f"no key is called {key!r}; known: {', '.join(REASONS)}")
        if not self.keys or len(set(self.keys)) != len(self.keys):
            raise ValueError("keys are at least one, and none is named twice")
        if not 0 < self.age_step_years <= 120:
            raise ValueError("age_step_years is above 0 and at most 120")
        if len(set(self.dpb1_order)) != len(self.dpb1_order) or set(self.dpb1_order) & {*_UNKNOWN}:
            raise ValueError("dpb1_order names known categories, each once")


def parse_haploidentical_rule(text: str) -> HaploidenticalRule:
    """A rule from TOML: `keys`, `age_step_years` and `dpb1_order`, each of them optional.

    >>> parse_haploidentical_rule('keys = ["class", "leader"]').keys
    ('class', 'leader')

    Raises `ValueError`.
    """
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"not TOML: {error}") from None
    known = [field.name for field in fields(HaploidenticalRule)]
    if unknown := sorted(table.keys() - set(known)):
        raise ValueError(f"no setting is called {unknown[0]!r}; known: {', '.join(known)}")
    default = HaploidenticalRule()
    try:
        return HaploidenticalRule(
            tuple(map(str, table.get("keys", default.keys))),
            float(table.get("age_step_years", default.age_step_years)),
            tuple(map(TceCategory, table.get("dpb1_order", default.dpb1_order))),
        )
    except TypeError as error:
        raise ValueError(f"a setting is of another kind than it should be: {error}") from None


@dataclass(frozen=True, slots=True)
class DonorFacts:
    """What the rules look at of a relative; None where unknown.

    `drb1_favourable`: a GvH mismatch at DRB1 and none at DQB1. `leader_matched`: True also where
    HLA-B has no mismatch. `dpb1`: T-cell epitope category. `antibody`: the best and the worst
    answer of the virtual crossmatch, None where there is no report.
    """

    relative: Relative
    age_years: float | None
    sex: str | None
    drb1_favourable: bool | None
    leader_matched: bool | None
    dpb1: TceCategory
    antibody: tuple[Answer, Answer] | None = None


def refined_typing(analysis: FamilyAnalysis, name: str) -> Typing | None:
    """A member's typing as the family leaves it; None where nothing is typed.

    A locus that was set aside stays as written, since nothing refined it.
    """
    member = analysis.pedigree.members[name]
    if member.typing is None:
        return None
    refined = {one.locus: one.text for one in analysis.refined.get(name, ())}
    texts = [
        refined.get(locus, written.text)
        for locus, written in member.typing.loci.items()
        if written is not None
    ]
    return parse_typing("^".join(texts))


def donor_facts(
    analysis: FamilyAnalysis,
    ages: Mapping[str, float | None],
    nomenclature: Nomenclature,
    proteins: Mapping[str, str],
) -> tuple[DonorFacts, ...]:
    """Facts of the relatives of an analysis, from the refined typings.

    `ages`: years, by member. `proteins`: precursor sequences by allele name, for the leaders.
    """
    ours = refined_typing(analysis, analysis.patient)
    typings = {one.id: refined_typing(analysis, one.id) for one in analysis.relatives}
    typed = [name for name, typing in typings.items() if typing is not None]
    wrong = {fault.locus for fault in analysis.set_aside}
    found: dict[str, tuple[bool | None, bool | None, TceCategory]] = {}
    if ours is not None and typed:
        matches = match_typed(ours, [t for t in typings.values() if t], nomenclature, LOCI)
        compared = matches.candidates.compared
        leaders = Leaders(nomenclature, proteins)
        our_b = ours.loci[Locus.B]
        for row, name in enumerate(typed):
            theirs = typings[name]
            assert theirs is not None
            their_b = theirs.loci[Locus.B]
            gvh = [
                _certainly(
                    int(compared[row, locus.position, GVH_BEST]),
                    int(compared[row, locus.position, GVH_WORST]),
                    ours.loci[locus] is None or theirs.loci[locus] is None or locus in wrong,
                )
                for locus in (Locus.DRB1, Locus.DQB1)
            ]
            matched = None
            if our_b is not None and their_b is not None and Locus.B not in wrong:
                matched = leaders.match(our_b, their_b).leader_matched
                if compared[row, Locus.B.position, COUNT_WORST] == 2:
                    matched = True
            dpb1 = TceCategory.UNKNOWN if Locus.DPB1 in wrong else matches.tce[row]
            found[name] = _favourable(*gvh), matched, dpb1
    members = analysis.pedigree.members
    return tuple(
        DonorFacts(
            one,
            ages.get(one.id),
            members[one.id].sex,
            *found.get(one.id, (None, None, TceCategory.UNTYPED)),
        )
        for one in analysis.relatives
    )


def _certainly(best: int, worst: int, unknown: bool) -> bool | None:
    """Whether there is a mismatch; None where the typings leave it open."""
    if unknown or (best == 0 and worst > 0):
        return None
    return best > 0


def _favourable(drb1: bool | None, dqb1: bool | None) -> bool | None:
    if drb1 is False or dqb1 is True:
        return False
    return None if drb1 is None or dqb1 is None else True


def rank_relatives(
    facts: Sequence[DonorFacts], patient_sex: str | None, rule: HaploidenticalRule
) -> Ranking:
    """Relatives best first, by the keys of `rule` and then by identifier.

    The class is the likeliest one. Unknown stands after what is favourable and before what is not.
    """
    classes = list(RelativeClass)
    known = len(rule.dpb1_order)

    def favourable(values: Sequence[bool | None]) -> list[float]:
        return [{True: 0.0, None: 1.0, False: 2.0}[value] for value in values]

    def dpb1(category: TceCategory) -> float:
        if category in rule.dpb1_order:
            return float(rule.dpb1_order.index(category))
        return float(known if category in _UNKNOWN else known + 1)

    answers = [(0, 0) if one.antibody is None else one.antibody for one in facts]
    low, high = np.array(answers, dtype=np.uint8).reshape(-1, 2).T
    values: Mapping[str, npt.ArrayLike] = {
        "antibody": antibody_values(low, high),
        "class": [float(classes.index(one.relative.likeliest)) for one in facts],
        "age": [
            np.inf if one.age_years is None else float(one.age_years // rule.age_step_years)
            for one in facts
        ],
        "drb1": favourable([one.drb1_favourable for one in facts]),
        "leader": favourable([one.leader_matched for one in facts]),
        "dpb1": [dpb1(one.dpb1) for one in facts],
        "sex": sex_values(patient_sex, [one.sex for one in facts]),
        "nima": favourable(
            [None if one.relative.nima is None else one.relative.nima > 0.5 for one in facts]
        ),
    }
    names = [one.relative.id for one in facts]
    keys = [by_values(key, values[key]) for key in rule.keys]
    return rank(len(facts), keys, len(facts), lambda rows: [names[i] for i in rows.tolist()])


def reasons(ranking: Ranking) -> list[str]:
    """Why each relative stands below the one before it, "" for the first."""
    texts = [*(REASONS[key] for key in ranking.keys), BY_IDENTIFIER, ""]
    return [texts[i] for i in ranking.decided_by]
