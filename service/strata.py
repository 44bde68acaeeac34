"""Donors of several types in one list: a stratum each, in an order of its own, and one risk that
compares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data.donor_files import Person
from data.models import model_label
from matching.cord import CordRule, cord_criteria
from matching.family import REASONS as FAMILY_REASONS
from matching.family import HaploidenticalRule
from matching.rank import CORD_KEYS, DEFAULT_KEYS, REASONS, RankRule
from matching.risk import CodedColumns, OutcomeModel, RiskModel, taken_rows
from service.masses import UNLIMITED, GenotypeLimits
from service.pairs import (
    RISK_OUTCOME,
    Facts,
    joined_factors,
    outcome_risks,
    pair_factors,
    related_factors,
    risk_columns,
)
from service.relatives import RELATED, Families, RelatedDonors, donor_type, related_donors
from service.results import SearchResults
from service.search import AntibodyUse, DonorSearch, SearchSettings, search_people

STRATA: Mapping[str, str] = {
    "related": "relatives",
    "related-identical": "relatives with the patient's HLA",
    "related-mismatched": "relatives with other HLA: haploidentical, one mismatch, and others",
    "adult": "adult unrelated donors",
    "cord": "cord blood units",
}
ORDER = (
    "the strata stand in the order that was asked for: no study weighs all types of donors against "
    "each other, so whoever asks decides. Ranks of two strata do not compare; risks of one outcome "
    "do"
)
# A stratum is asked of the registry, or of the patient's family.
Asked = SearchSettings | HaploidenticalRule
Scores = Mapping[str, npt.NDArray[np.float64]]


def strata_settings(
    names: Sequence[str],
    settings: SearchSettings,
    rule: CordRule,
    orders: Mapping[str, RankRule | HaploidenticalRule],
    antibodies: bool = False,
) -> dict[str, Asked]:
    """What each stratum asks, in the order of `names`: that of adults as `settings` say, that of
    cord units by a rule.

    `orders`: of strata that have one of their own; with `antibodies` the others are ordered by
    these first. Raises `ValueError`.
    """
    if not names or not set(names) <= set(STRATA) or len(set(names)) != len(names):
        raise ValueError(f"a list of strata names some of {', '.join(STRATA)}, each once")
    if "related" in names and len(RELATED.keys() & set(names)) > 1:
        raise ValueError("related holds all relatives; leave out one of its parts")
    if others := sorted(orders.keys() - set(names)):
        raise ValueError(f"an order of {others[0]} is given, which is none of the strata")
    found: dict[str, Asked] = {}
    for name in names:
        order = orders.get(name)
        if name in RELATED:
            usual = HaploidenticalRule()
            if antibodies:
                usual = HaploidenticalRule(("antibody", *usual.keys))
            assert order is None or isinstance(order, HaploidenticalRule)
            found[name] = order or usual
            continue
        assert order is None or isinstance(order, RankRule)
        keys = ("antibody",) * antibodies + (CORD_KEYS if name == "cord" else DEFAULT_KEYS)
        own = replace(
            settings,
            donors={**settings.donors, "types": [name]},
            rule=order or replace(settings.rule, keys=keys),
        )
        if name == "cord":
            criteria = cord_criteria(rule, keep_potential=settings.criteria.keep_potential)
            own = replace(own, criteria=criteria, maternal=True)
        found[name] = own
    return found


def order_of(asked: Asked) -> list[str]:
    """The reasons to stand below another donor of a stratum, the weightiest first."""
    if isinstance(asked, HaploidenticalRule):
        return [FAMILY_REASONS[key] for key in asked.keys]
    return [REASONS[key] for key in asked.rule.keys]


@dataclass(frozen=True)
class DonorList:
    """The donors of some patients, in strata that stand in the order of `asked`.

    `registry`: strata of donors of the registry. `related`: strata of relatives, by patients who
    have a family, and `scores`, the risks of these; `reasons`: why other patients have none.
    `untold`: by stratum and patient a text a donor, which risks the model does not tell of it and
    why; where it is none, the risk is NaN. `outcome`: the risk that is told in most strata.
    `reports`: of antibodies, by patient.
    """

    asked: Mapping[str, Asked]
    patients: tuple[str, ...]
    registry: Mapping[str, SearchResults]
    related: Mapping[str, Mapping[str, RelatedDonors]]
    scores: Mapping[str, Mapping[str, Scores]]
    reasons: Mapping[str, str]
    untold: Mapping[str, Mapping[str, Sequence[str]]]
    outcome: str
    model: str
    reports: Mapping[str, AntibodyUse]

    @property
    def n_told(self) -> int:
        """Of how many strata the risk of `outcome` is told."""
        column = risk_columns(self.outcome)[0]
        scores = {**{name: one.scores for name, one in self.registry.items()}, **self.scores}
        return sum(
            any(np.isfinite(of_patient[column]).any() for of_patient in one.values())
            for one in scores.values()
        )

    def excluded(self, stratum: str, patient: str) -> tuple[str, ...]:
        """The donors who were left out for antibodies."""
        if stratum in self.registry:
            return self.registry[stratum].excluded.get(patient, ())
        family = self.related[stratum].get(patient)
        return () if family is None else family.excluded

    @property
    def notes(self) -> dict[str, list[str]]:
        """By patient, how names were followed and why there are no relatives."""
        found: dict[str, dict[str, None]] = {patient: {} for patient in self.patients}
        for results in self.registry.values():
            for patient, matches in results.matches.items():
                found[patient] |= dict.fromkeys(matches.notes)
        if self.related:
            for patient, reason in self.reasons.items():
                found[patient][f"no relatives: {reason}"] = None
        return {patient: list(notes) for patient, notes in found.items()}


def search_strata(
    people: Sequence[Person],
    search: DonorSearch,
    model: RiskModel,
    strata: Mapping[str, Asked],
    progress: Callable[[int], object] = lambda _: None,
    *,
    antibodies: Mapping[str, AntibodyUse] | None = None,
    families: Families | None = None,
    limits: GenotypeLimits = UNLIMITED,
) -> DonorList:
    """The donors of each stratum; see `donor_list`. `strata`: as of `strata_settings`.

    Raises `TypingError` and `StoreError`.
    """
    reports = antibodies or {}
    registry = {
        name: search_people(people, search, model, asked, progress, limits, reports)
        for name, asked in strata.items()
        if isinstance(asked, SearchSettings)
    }
    return donor_list(people, search, model, strata, registry, reports, families)


def donor_list(
    people: Sequence[Person],
    search: DonorSearch,
    model: RiskModel,
    strata: Mapping[str, Asked],
    registry: Mapping[str, SearchResults],
    reports: Mapping[str, AntibodyUse],
    families: Families | None,
    size: int | None = None,
) -> DonorList:
    """One list of what was found in the registry, by stratum, and of relatives, of each stratum of
    these the first `size`, all by default.

    Risks are of one model, with donor type and graft source among its factors, and only where it
    tells the type of donor; differences are to the patient's best donor of all strata.
    """
    known = {} if families is None else families.results
    related: dict[str, dict[str, RelatedDonors]] = {
        name: {
            person.id: related_donors(
                *(known[person.id], name, asked, search.nomenclature),
                *(reports.get(person.id), search.sets, size),
            )
            for person in people
            if person.id in known
        }
        for name, asked in strata.items()
        if isinstance(asked, HaploidenticalRule)
    }
    scores: dict[str, dict[str, Scores]] = {name: {} for name in strata}
    untold: dict[str, dict[str, Sequence[str]]] = {name: {} for name in strata}
    label = model_label(model)
    told = {outcome.name: dict.fromkeys(strata, False) for outcome in model.outcomes}
    for person in people:
        parts = {}
        for name in strata:
            if name in registry:
                parts[name] = _registry_part(person, registry[name])
            elif person.id in related[name]:
                parts[name] = _related_part(person.facts, related[name][person.id])
        for name, (risks, reasons) in _compared(parts, model, label).items():
            scores[name][person.id], untold[name][person.id] = risks, reasons
            for outcome, strata_told in told.items():
                known_risk = np.isfinite(risks[risk_columns(outcome)[0]]).any()
                strata_told[name] |= bool(known_risk)
    preferred = sorted(told, key=lambda name: (-sum(told[name].values()), name != RISK_OUTCOME))
    return DonorList(
        strata,
        tuple(person.id for person in people),
        {name: _with_scores(results, scores[name]) for name, results in registry.items()},
        related,
        {name: scores[name] for name in related},
        {
            person.id: families.reasons[person.id]
            for person in people
            if families is not None and person.id in families.reasons
        },
        untold,
        preferred[0],
        label,
        reports,
    )


def _with_scores(results: SearchResults, risks: Mapping[str, Scores]) -> SearchResults:
    scores = {patient: {**own, **risks[patient]} for patient, own in results.scores.items()}
    return replace(results, scores=scores)


@dataclass(frozen=True)
class _Part:
    """Donors of one stratum: factors of the model, (n,), and why their type is not known, ""."""

    factors: CodedColumns
    doubts: Sequence[str]


def _registry_part(person: Person, results: SearchResults) -> _Part:
    candidates = results.matches[person.id].candidates
    factors = pair_factors(person.facts, results.index, results.as_of, candidates)
    return _Part(factors, [""] * len(candidates))


def _related_part(facts: Facts, found: RelatedDonors) -> _Part:
    types = [donor_type(one) for one in found.relatives]
    levels, doubts = [one for one, _ in types], [why for _, why in types]
    factors = related_factors(facts, found.facts, levels, found.matches.candidates)
    return _Part(factors, doubts)


def _compared(
    parts: Mapping[str, _Part], model: RiskModel, label: str
) -> dict[str, tuple[Scores, list[str]]]:
    """By stratum the columns of risks, and of each donor what is not told and why."""
    factors = joined_factors([part.factors for part in parts.values()]) if parts else {}
    doubts = [doubt for part in parts.values() for doubt in part.doubts]
    kinds = factors["donor_type"].texts if parts else []  # type: ignore[union-attr]
    columns: dict[str, npt.NDArray[np.float64]] = {}
    missing: list[dict[str, list[str]]] = [{} for _ in kinds]
    for outcome in model.outcomes:
        tells = {kind: bool(kind) and tells_type(outcome, kind) for kind in set(kinds)}
        rows = np.flatnonzero(np.array([tells[kind] for kind in kinds], dtype=bool))
        found = outcome_risks(outcome, taken_rows(factors, rows), len(rows))
        for name, values in found.items():
            columns[name] = np.full(len(kinds), np.nan)
            columns[name][rows] = values
        for i, kind in enumerate(kinds):
            if not tells[kind]:
                why = doubts[i] or f"{label} has no effect of donor type {kind}"
                missing[i].setdefault(why, []).append(outcome.name)
    texts = ["; ".join(f"{', '.join(of)}: {why}" for why, of in one.items()) for one in missing]
    split: dict[str, tuple[Scores, list[str]]] = {}
    first = 0
    for name, part in parts.items():
        cut = slice(first, first + len(part.doubts))
        split[name] = {key: values[cut] for key, values in columns.items()}, texts[cut]
        first = cut.stop
    return split


def tells_type(outcome: OutcomeModel, kind: str) -> bool:
    """Whether a model of an outcome tells what a type of donor does: a level of `donor_type`, or of
    `graft_source` where that says the same."""
    levels = {factor.name: factor.position_of for factor in outcome.factors}
    is_cord = kind == "cord" and "CB" in levels.get("graft_source", {})
    return is_cord or kind in levels.get("donor_type", {})
