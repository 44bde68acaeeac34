"""A search run: people in, ranked donors with probabilities and risks out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.donor_files import INDEXED_FACTS, Person
from data.index import StoredIndex
from data.models import model_label
from data.registry import Registry
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.pipeline import Matches, match
from matching.probability import predict
from matching.risk import RiskModel
from matching.typings import Typing, parse_typing, typing_of
from service.imputation import impute_people, imputer_of
from service.pairs import pair_factors, predicted_risks
from service.results import SearchResults


@dataclass(frozen=True)
class SearchSettings:
    """What a run is asked for besides people."""

    loci: tuple[Locus, ...]
    max_mismatches: int
    as_of: datetime.date
    nulls: NullImputation = NullImputation.TYPED


def search_people(
    people: Sequence[Person],
    nomenclature: Nomenclature,
    store: Registry,
    index: StoredIndex,
    frequencies: tuple[str, FrequencySet] | None,
    model: RiskModel,
    settings: SearchSettings,
    progress: Callable[[int], object] = lambda _: None,
) -> SearchResults:
    """Search, rank, impute and predict for each patient, in order.

    P(10/10) and P(9/10) are NaN where unknown: no frequency set (None), or a side that the set
    does not represent.
    """
    ages = index.ages(settings.as_of)
    typings = {person.id: typing_of(person.written) for person in people}
    matches = {
        name: match(
            typing, nomenclature, index.donors, ages, settings.loci, settings.max_mismatches
        )
        for name, typing in typings.items()
    }
    found = np.unique(
        np.concatenate([np.empty(0, np.int64), *(m.candidates.rows for m in matches.values())])
    )
    imputer, gl_strings = None, {}
    if frequencies is not None:
        imputer = imputer_of(frequencies[1], nomenclature, settings.nulls, Resolution.P_GROUP)
        gl_strings = store.typings(index.ids[found])
    scores = {}
    for done, person in enumerate(people, 1):
        rows = matches[person.id].candidates.rows
        p10 = p9 = np.full(len(rows), np.nan)
        if imputer is not None:
            donors = {i: parse_typing(gl_strings[i]) for i in index.ids[rows]}
            p10, p9 = match_probabilities(imputer, typings[person.id], donors)
        factors = pair_factors(
            person.facts, donor_facts(index, rows), ages[rows], matches[person.id]
        )
        scores[person.id] = {"p10": p10, "p9": p9, **predicted_risks(model, factors, len(rows))}
        progress(done)
    return SearchResults(
        matches,
        scores,
        index,
        nomenclature.release,
        "" if frequencies is None else frequencies[0],
        model_label(model),
        settings.loci,
        settings.max_mismatches,
        settings.as_of,
    )


def donor_facts(index: StoredIndex, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Facts of donors by row of the index."""
    facts: pd.DataFrame = index.table.select(INDEXED_FACTS).take(pa.array(rows)).to_pandas()
    return facts


def match_probabilities(
    imputer: Imputer, patient: Typing, donors: Mapping[str, Typing]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """P(10/10) and P(9/10) of each donor, in order, NaN where a side is not represented."""
    # A prefix keeps the patient apart from a donor of the same identifier.
    people = {"": patient, **{f"donor {name}": typing for name, typing in donors.items()}}
    known, imputed, _ = impute_people(imputer, people)
    if "" not in known:
        unknown = np.full(len(donors), np.nan)
        return unknown, unknown
    predicted = predict(imputer, imputer.impute_one(patient)[:2], imputed)
    position = {name: row for row, name in enumerate(known)}
    values = np.vstack([predicted.p_mismatches[:, :2], [[np.nan, np.nan]]])
    chosen = values[[position.get(f"donor {name}", -1) for name in donors]]
    return chosen[:, 0], chosen[:, 1]


def notes_of(matches: Mapping[str, Matches]) -> list[str]:
    """How names of patients were followed, one line each."""
    return [f"patient {name}: {note}" for name, found in matches.items() for note in found.notes]
