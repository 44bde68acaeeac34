"""Donors of several types in one list: a stratum each, in an order of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from data.donor_files import Person
from matching.cord import CordRule, cord_criteria
from matching.rank import CORD_KEYS, REASONS
from matching.risk import RiskModel
from matching.search import Candidates
from service.pairs import pair_factors, predicted_risks
from service.results import SearchResults, result_table
from service.results_files import results_document
from service.search import DonorSearch, SearchSettings, search_people

STRATA: Mapping[str, str] = {"adult": "adult unrelated donors", "cord": "cord blood units"}


def strata_settings(
    names: Sequence[str], settings: SearchSettings, rule: CordRule
) -> dict[str, SearchSettings]:
    """What each stratum asks: that of adults as `settings` say, that of cord units by a rule, in
    the order of these."""
    found = {}
    for name in names:
        found[name] = replace(settings, donors={**settings.donors, "types": [name]})
        if name == "cord":
            found[name] = replace(
                found[name],
                criteria=cord_criteria(rule, keep_potential=settings.criteria.keep_potential),
                rule=replace(settings.rule, keys=CORD_KEYS),
                maternal=True,
            )
    return found


def search_strata(
    people: Sequence[Person],
    search: DonorSearch,
    model: RiskModel,
    strata: Mapping[str, SearchSettings],
    progress: Callable[[int], object] = lambda _: None,
) -> dict[str, SearchResults]:
    """The donors of each stratum. Risks are of one model, with donor type and graft source among
    its factors; their differences are to the patient's best donor of all strata."""
    found = {
        name: search_people(people, search, model, settings, progress)
        for name, settings in strata.items()
    }
    for person in people:
        parts = [results.matches[person.id].candidates for results in found.values()]
        rows = np.concatenate([part.rows for part in parts])
        everyone = Candidates(search.index.donors, parts[0].patient, parts[0].loci, rows)
        as_of = next(iter(strata.values())).as_of
        factors = pair_factors(person.facts, search.index, as_of, everyone)
        risks = predicted_risks(model, factors, len(rows))
        first = 0
        for name, part in zip(found, parts, strict=True):
            own = {key: values[first : first + len(part)] for key, values in risks.items()}
            first += len(part)
            scores = found[name].scores
            scores = {**scores, person.id: {**scores[person.id], **own}}
            found[name] = replace(found[name], scores=scores)
    return found


def strata_table(found: Mapping[str, SearchResults], typings: Mapping[str, str]) -> pd.DataFrame:
    """One row a patient and donor, stratum by stratum; `rank` is within the stratum."""
    tables = []
    for name, results in found.items():
        table = result_table(results, typings)
        table.insert(0, "stratum", name)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def strata_document(found: Mapping[str, SearchResults], table: pd.DataFrame) -> dict[str, Any]:
    """The strata as values of JSON. `table`: that of `strata_table`."""
    return {
        "strata": [
            {
                "stratum": name,
                "donors_are": STRATA[name],
                "below_another_for": [REASONS[key] for key in results.rule.keys],
                **results_document(results, table[table["stratum"] == name]),
            }
            for name, results in found.items()
        ]
    }


def order_of(results: SearchResults) -> str:
    """How a stratum is ordered, in words."""
    return "; then ".join(REASONS[key] for key in results.rule.keys)
