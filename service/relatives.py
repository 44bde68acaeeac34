"""Relatives of patients as donors: classed by the family, then compared, crossmatched and ordered
as donors of a registry are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data.donor_files import FACTS, Person
from matching.antibodies import Answer
from matching.errors import GraftmatchError, InputFileError
from matching.family import (
    HaploidenticalRule,
    Pedigree,
    Relative,
    RelativeClass,
    analyse,
    refined_typing,
)
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, Locus, PerLocus
from matching.nomenclature import Nomenclature
from matching.pipeline import Matches, match_typed
from matching.rank import certain_probabilities
from matching.typed_pairs import FIVE
from matching.typings import Typing, Written, split_gl, typing_of
from service.antibodies import Crossmatched, crossmatched
from service.calls import CallEndedError, checkpoint
from service.family import CERTAIN, FamilyResult, family_result, percent
from service.frequency_sets import SearchSets
from service.pairs import Facts
from service.search import AntibodyUse

_IDENTICAL = (RelativeClass.IDENTICAL, RelativeClass.IDENTICAL_BY_TYPE)
# The classes of each stratum of relatives, by the likeliest one.
RELATED: Mapping[str, tuple[RelativeClass, ...]] = {
    "related": tuple(RelativeClass),
    "related-identical": _IDENTICAL,
    "related-mismatched": tuple(kind for kind in RelativeClass if kind not in _IDENTICAL),
}
_NOT_THERE = "not in the file of families"
_UNTYPED = Typing(PerLocus.of({}, None))


@dataclass(frozen=True)
class Families:
    """The families of some patients: `results` of those who have one, `reasons` why others have
    none. `unrelated`: members of the file who are related to no patient."""

    results: Mapping[str, FamilyResult]
    reasons: Mapping[str, str]
    unrelated: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        people: Sequence[Person],
        pedigree: Pedigree,
        nomenclature: Nomenclature,
        proteins: Mapping[str, str],
        loci: Sequence[Locus],
        as_of: datetime.date,
    ) -> Families:
        """`pedigree`: of one family or of several, in which patients have their identifiers.

        What a search knows of a patient stands for the family's row, which fills in the rest. Open
        phase has equal weights. Raises `InputFileError` where no patient is in the pedigree.
        """
        results, reasons = {}, {}
        related: set[str] = set()
        for person in people:
            if person.id not in pedigree.members:
                reasons[person.id] = _NOT_THERE
                continue
            own = pedigree.relatives(person.id)
            related |= own.members.keys()
            try:
                family = _with_patient(own, person, nomenclature)
                found = analyse(family, person.id, nomenclature, loci, between=checkpoint)
                rule = HaploidenticalRule()
                results[person.id] = family_result(
                    found, rule, nomenclature, proteins, as_of, frequency_set=""
                )
            except CallEndedError:
                raise
            except GraftmatchError as error:
                reasons[person.id] = str(error)
        if len(people) == 1 and reasons:
            raise InputFileError(f"patient {people[0].id}: {reasons[people[0].id]}")
        if people and not results and set(reasons.values()) == {_NOT_THERE}:
            known = ", ".join(list(pedigree.members)[:20])
            raise InputFileError(f"no patient is in the file of families; its members: {known}")
        unrelated = tuple(name for name in pedigree.members if name not in related)
        return cls(results, reasons, unrelated)


def _with_patient(family: Pedigree, person: Person, nomenclature: Nomenclature) -> Pedigree:
    """The family with what the search knows of the patient. Raises `InputFileError` where the two
    contradict each other."""
    member, own = family.members[person.id], typing_of(person.written)
    theirs = member.typing or _UNTYPED
    compared = match_typed(own, [theirs], nomenclature, LOCI).candidates.compared[0]
    both = [locus for locus in LOCI if own.loci[locus] and theirs.loci[locus]]
    if wrong := [locus.value for locus in both if compared[locus.position, COUNT_BEST] < 2]:
        raise InputFileError(
            f"the typing of patient {person.id} in the family contradicts that of the search at "
            f"{', '.join(wrong)}; correct one of them"
        )
    sex = person.facts["sex"]
    if sex and member.sex and sex != member.sex:
        raise InputFileError(
            f"patient {person.id} is {member.sex} in the family and {sex} in the search; correct "
            "one of them"
        )
    typing = Typing(
        PerLocus.of({locus: own.loci[locus] or theirs.loci[locus] for locus in LOCI}, None)
    )
    known = replace(member, typing=typing, sex=member.sex or (str(sex) if sex else None))
    return Pedigree({**family.members, person.id: known})


@dataclass(frozen=True)
class RelatedDonors:
    """The relatives of one stratum, (n,), best first.

    `matches`: of their refined `typings` with the `patient`'s. `crossmatches`: None without a
    report of antibodies. `found`: how many there are in all; `excluded`: those who were left out
    for antibodies.
    """

    result: FamilyResult
    patient: Typing
    matches: Matches
    typings: tuple[Typing, ...]
    crossmatches: tuple[Crossmatched, ...] | None
    found: int
    excluded: tuple[str, ...]

    @property
    def certain_matches(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """P(10/10) and P(9/10), (n,) each: 0 and 1 where descent or the typings leave no doubt."""
        found = self.matches.candidates
        if not set(FIVE) <= set(self.result.analysis.compared):
            return np.full(len(found), np.nan), np.full(len(found), np.nan)
        best, worst = (found.mismatches(count, FIVE) for count in (COUNT_BEST, COUNT_WORST))
        is_ten = np.array([one.mismatches.get(0, 0.0) >= CERTAIN for one in self.relatives], bool)
        p10, p9 = (certain_probabilities(best, worst, n) for n in (0, 1))
        return np.where(is_ten, 1.0, p10), np.where(is_ten, 0.0, p9)

    @property
    def relatives(self) -> list[Relative]:
        return [facts.relative for facts, _ in self.result.ranked]

    @property
    def facts(self) -> list[Facts]:
        """Those of a donor of a registry, as far as a family tells them."""
        members = self.result.analysis.pedigree.members
        return [
            {
                **dict.fromkeys(FACTS),
                "type": "related",
                "sex": members[one.relative.id].sex,
                "birth_date": members[one.relative.id].birth_date,
                "age_years": one.age_years,
            }
            for one, _ in self.result.ranked
        ]


def related_donors(
    family: FamilyResult,
    stratum: str,
    rule: HaploidenticalRule,
    nomenclature: Nomenclature,
    antibodies: AntibodyUse | None,
    sets: SearchSets | None,
    size: int | None = None,
) -> RelatedDonors:
    """The first `size` relatives of a stratum of `RELATED` in the order of `rule`, all by default.

    `sets`: for the probability of an antigen that a typing leaves open. Raises `TypingError`.
    """
    facts = [one for one in family.facts if one.relative.likeliest in RELATED[stratum]]
    analysis = family.analysis
    typings = {one.relative.id: refined_typing(analysis, one.relative.id) for one in facts}
    crossmatches: dict[str, Crossmatched] = {}
    excluded: tuple[str, ...] = ()
    if antibodies is not None:
        people = [
            Person(
                name,
                dict.fromkeys(FACTS),
                Written({}) if typing is None else split_gl(typing.text),
            )
            for name, typing in typings.items()
        ]
        found = crossmatched(people, antibodies.profile, sets)
        crossmatches = {one.id: one for one in found}
        excluded = tuple(
            one.id
            for one in found
            if antibodies.exclude
            and one.answer is Answer.POSITIVE
            and one.id not in antibodies.overrides
        )
        facts = [
            replace(one, antibody=_answers(crossmatches[one.relative.id]))
            for one in facts
            if one.relative.id not in excluded
        ]
    result = family.of(facts, rule)
    if size is not None:
        result = family.of([one for one, _ in result.ranked[:size]], rule)
    order = [one.relative.id for one, _ in result.ranked]
    ours = refined_typing(analysis, analysis.patient) or _UNTYPED
    donors = tuple(typings[name] or _UNTYPED for name in order)
    return RelatedDonors(
        result,
        ours,
        match_typed(ours, donors, nomenclature, analysis.compared),
        donors,
        None if antibodies is None else tuple(crossmatches[name] for name in order),
        len(facts),
        excluded,
    )


def _answers(one: Crossmatched) -> tuple[Answer, Answer]:
    if one.result is None:
        return Answer.NEGATIVE, Answer.POSITIVE
    return one.result.low, one.result.high


def donor_type(relative: Relative) -> tuple[str, str]:
    """The level of a risk model's `donor_type`, and why there is none: it must be certain."""
    shares: dict[str, float] = {}
    for kind, p in relative.classes.items():
        level = _level(kind, relative.relationship)
        shares[level] = shares.get(level, 0.0) + p
    likeliest = max(shares, key=shares.__getitem__)
    if shares[likeliest] >= CERTAIN:
        return likeliest, ""
    told = ", ".join(
        f"{kind.value} {percent(p)}"
        for kind, p in sorted(relative.classes.items(), key=lambda one: -one[1])
        if p >= 1 - CERTAIN
    )
    return "", f"the class is not certain ({told}); a further typing may tell"


def _level(kind: RelativeClass, relationship: str) -> str:
    """A sibling of a model is an HLA-identical one."""
    if kind is RelativeClass.HAPLOIDENTICAL:
        return "haploidentical"
    is_sibling = kind in _IDENTICAL and relationship == "sibling"
    return "sibling" if is_sibling else "other related"
