"""A search run: people in, ranked donors with probabilities and risks out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from data.donor_files import Person
from data.index import StoredIndex, open_masses
from data.models import model_label
from data.registry import Registry
from matching.haplotypes import NullImputation
from matching.immunogenetics import Leaders
from matching.nomenclature import Nomenclature
from matching.pipeline import Matches, match
from matching.rank import RankRule
from matching.risk import RiskModel
from matching.search import Criteria
from matching.typings import Typing, parse_typing, typing_of
from service.criteria import donor_filter
from service.frequency_sets import SearchSets
from service.masses import candidate_probabilities
from service.pairs import pair_factors, predicted_risks
from service.ranking import Ranker
from service.results import Predicted, SearchResults


@dataclass(frozen=True)
class SearchSettings:
    """What a run is asked for besides people: of each the donors from `start` on, `size` at most,
    all by default. `donors`: what is asked of facts, see `service.criteria`."""

    criteria: Criteria
    as_of: datetime.date
    nulls: NullImputation = NullImputation.TYPED
    rule: RankRule = RankRule()  # noqa: RUF009
    donors: Mapping[str, Any] = field(default_factory=dict)
    start: int = 0
    size: int | None = None


def search_people(
    people: Sequence[Person],
    nomenclature: Nomenclature,
    proteins: Mapping[str, str],
    store: Registry,
    index: StoredIndex,
    sets: SearchSets | None,
    model: RiskModel,
    settings: SearchSettings,
    progress: Callable[[int], object] = lambda _: None,
) -> SearchResults:
    """Search, impute, rank and predict for each patient, in order.

    P(10/10) and P(9/10) are NaN where unknown: no frequency sets (None), or a side that its set
    does not represent. They come from the masses of the index where these were computed under the
    sets, and from pairs otherwise, which is the same and slower. `proteins`: sequences by allele
    name, for leaders.
    """
    gl_strings: dict[str, str] = {}

    def typings_of(ids: Iterable[str]) -> Mapping[str, str]:
        gl_strings.update(store.typings([name for name in ids if name not in gl_strings]))
        return gl_strings

    leaders = Leaders(nomenclature, proteins)
    ranker = Ranker(settings.rule, index, settings.as_of, model, leaders, typings_of)
    typings = {person.id: typing_of(person.written) for person in people}
    found = {}
    for person in people:
        wanted = donor_filter(settings.donors, person.id, person.facts["weight_kg"])
        found[person.id] = match(
            typings[person.id],
            nomenclature,
            index.donors,
            settings.criteria,
            partial(index.kept, wanted, settings.as_of) if settings.donors else None,
        )
    rows_found = np.unique(
        np.concatenate([np.empty(0, np.int64), *(m.candidates.rows for m in found.values())])
    )
    masses = None if sets is None else open_masses(index, sets.masses)
    if (masses is not None and not masses.is_complete) or len(people) > 1:
        typings_of(index.ids(rows_found))

    def typings_in(rows: npt.NDArray[np.int64]) -> list[Typing | None]:
        names = index.ids(rows)
        texts = typings_of(names)
        # A donor that was deleted since the index was made has no typing.
        return [parse_typing(texts[name]) if name in texts else None for name in names]

    end = None if settings.size is None else settings.start + settings.size
    matches, scores, rankings, predicted = {}, {}, {}, {}
    for done, person in enumerate(people, 1):
        of_patient = found[person.id]
        p = np.full((len(of_patient), 2), np.nan)
        if sets is not None and masses is not None:
            probable = candidate_probabilities(
                *(sets, masses, typings[person.id], sets.prior_of(person.facts)),
                *(of_patient.candidates.rows, typings_in),
            )
            p = probable.p
            predicted[person.id] = Predicted(int(probable.missing.sum()), probable.dropped)
        ranking = ranker.rank(typings[person.id], person.facts, of_patient, p, end)
        ranking = ranking.part(settings.start, len(ranking))
        shown = of_patient.take(ranking.order)
        rows = shown.candidates.rows
        factors = pair_factors(person.facts, index, settings.as_of, shown.candidates)
        p10, p9 = p[ranking.order].T
        scores[person.id] = {"p10": p10, "p9": p9, **predicted_risks(model, factors, len(rows))}
        matches[person.id], rankings[person.id] = shown, ranking
        progress(done)
    return SearchResults(
        matches,
        scores,
        rankings,
        {name: len(of_patient) for name, of_patient in found.items()},
        index,
        nomenclature.release,
        "" if sets is None else sets.label,
        model_label(model),
        settings.criteria,
        settings.donors,
        settings.as_of,
        settings.rule,
        settings.start,
        predicted=predicted,
    )


def notes_of(matches: Mapping[str, Matches]) -> list[str]:
    """How names of patients were followed, one line each."""
    return [f"patient {name}: {note}" for name, found in matches.items() for note in found.notes]
