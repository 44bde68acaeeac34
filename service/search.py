"""A search run: people in, ranked donors with probabilities and risks out."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from data.donor_files import Person
from data.index import DonorFilter, IndexMasses, StoredIndex, open_masses
from data.models import model_label
from data.registry import Registry
from matching.antibodies import Answer, DonorAnswers, Profile, crossmatch
from matching.donor_index import DonorIndex
from matching.errors import TypingError
from matching.genotypes import encode
from matching.haplotypes import NullImputation
from matching.immunogenetics import Leaders
from matching.nomenclature import Nomenclature
from matching.parts import joined
from matching.pipeline import Matches, match
from matching.rank import Ranking, RankRule
from matching.risk import RiskModel
from matching.search import Criteria
from matching.typings import Typing, parse_typing, split_gl, typing_of
from service.calls import checkpoint, watched
from service.cord import Mothers
from service.criteria import donor_filter
from service.frequency_sets import SearchSets
from service.masses import (
    UNLIMITED,
    CandidateProbabilities,
    GenotypeLimits,
    Outcome,
    candidate_probabilities,
)
from service.pairs import Facts, pair_factors, predicted_risks
from service.ranking import Ranker
from service.results import SHARED, Predicted, SearchResults
from service.sharing import shared_haplotypes


@dataclass(frozen=True)
class SearchSettings:
    """What a run is asked for besides people: of each the donors from `start` on, `size` at most,
    all by default. `donors`: what is asked of facts, see `service.criteria`. `up_to`: probabilities
    of so many mismatches (1 or 2), by default 2 where two are allowed; `with_probabilities`: False
    leaves all of them out. `maternal`: with non-inherited maternal antigens of cord units.
    `shared_of`: of how many of the donors shared haplotypes are predicted, None for all."""

    criteria: Criteria
    as_of: datetime.date
    nulls: NullImputation = NullImputation.TYPED
    rule: RankRule = RankRule()  # noqa: RUF009
    donors: Mapping[str, Any] = field(default_factory=dict)
    start: int = 0
    size: int | None = None
    up_to: int | None = None
    with_probabilities: bool = True
    maternal: bool = False
    shared_of: int | None = 0


@dataclass(frozen=True)
class AntibodyUse:
    """A patient's report in a search.

    `exclude`: leave positive donors out, but those of `overrides`, reasons by identifier.
    """

    profile: Profile
    exclude: bool = False
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """The donors of one patient from a rank on, best first.

    `risks`: gives the columns of `predicted_risks`, worked out when it is called. `found`: how many
    donors there are in all; `missing_masses`: of how many of these the masses are not computed yet.
    `excluded`: donors who were left out for antibodies of the patient.
    """

    matches: Matches
    ranking: Ranking
    probabilities: CandidateProbabilities
    risks: Callable[[], Mapping[str, npt.NDArray[np.float64]]]
    found: int
    missing_masses: int
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class DonorSearch:
    """All that searches need and that does not depend on the patient, made ready once.

    One object serves any number of searches and threads. `registry`: the store behind the index,
    which only reported typings are read from; it may be newer. `sets` and `masses`, those of the
    index under these: None where no frequency set is in use.
    """

    nomenclature: Nomenclature
    registry: Registry
    index: StoredIndex
    sets: SearchSets | None
    masses: IndexMasses | None
    leaders: Leaders

    @classmethod
    def of(
        cls,
        nomenclature: Nomenclature,
        proteins: Mapping[str, str],
        registry: Registry,
        index: StoredIndex,
        sets: SearchSets | None,
    ) -> DonorSearch:
        """`proteins`: sequences by allele name, for leaders. Raises `StoreError`."""
        masses = None if sets is None else open_masses(index, sets.masses)
        return cls(nomenclature, registry, index, sets, masses, Leaders(nomenclature, proteins))

    @property
    def mothers(self) -> Mothers:
        """Of cord units."""
        return Mothers(self.registry, self.nomenclature)

    def prepare(self) -> None:
        """Make ready at once what searches would make ready when they first need it."""
        if self.sets is not None:
            self.sets.prepare()

    def page(
        self,
        patient: Typing,
        facts: Facts,
        model: RiskModel,
        settings: SearchSettings,
        wanted: DonorFilter | None = None,
        limits: GenotypeLimits = UNLIMITED,
        antibodies: AntibodyUse | None = None,
    ) -> Page:
        """Search, impute, rank and predict for one patient.

        Probabilities are NaN where unknown: no frequency set, or a side that its set does not
        represent. They come from the masses of the index where these were computed under the sets,
        and from pairs otherwise, which is the same and slower. `wanted`: what is asked of donors
        besides. Raises `TypingError` and `StoreError`.
        """
        found, probable = self.candidates(patient, facts, settings, wanted, limits)
        excluded: tuple[str, ...] = ()
        if antibodies is not None and antibodies.exclude:
            kept, excluded = self.without_positive(found, antibodies)
            found, probable = found.take(kept), probable.take(kept)
        profile = None if antibodies is None else antibodies.profile
        page = self.ranked(patient, facts, model, settings, found, probable, profile)
        return replace(page, excluded=excluded)

    def without_positive(
        self, found: Matches, use: AntibodyUse
    ) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
        """Which candidates are kept, and the identifiers of the others.

        What the index leaves open is judged by the reported typings.
        """
        answers = DonorAnswers(self.index.donors, use.profile, checkpoint)
        cumulative = use.profile.cut_offs.cumulative is not None
        kept, excluded = [np.empty(0, dtype=np.int64)], []
        for part, some in found.candidates.parts():
            of_part = answers.of(some.rows)
            is_positive = of_part.low == Answer.POSITIVE
            is_open = ~is_positive & (cumulative | (of_part.high == Answer.POSITIVE))
            at = np.flatnonzero(is_open)
            typings = self._typings(some.rows[at])
            for i, typing in zip(watched(at.tolist()), typings, strict=True):
                if typing is not None:
                    is_positive[i] = crossmatch(typing, use.profile).low is Answer.POSITIVE
            positive = np.flatnonzero(is_positive)
            for i, name in zip(positive.tolist(), self.index.ids(some.rows[positive]), strict=True):
                if name in use.overrides:
                    is_positive[i] = False
                else:
                    excluded.append(name)
            kept.append(part.start + np.flatnonzero(~is_positive))
        return joined(kept, checkpoint), tuple(excluded)

    def candidates(
        self,
        patient: Typing,
        facts: Facts,
        settings: SearchSettings,
        wanted: DonorFilter | None = None,
        limits: GenotypeLimits = UNLIMITED,
        donors: DonorIndex | None = None,
    ) -> tuple[Matches, CandidateProbabilities]:
        """The first half of `page`: all that is found in `donors`, the index or a shard of it."""
        kept = None if wanted is None else partial(self.index.kept, wanted, settings.as_of)
        searched = self.index.donors if donors is None else donors
        found = match(patient, self.nomenclature, searched, settings.criteria, kept, checkpoint)
        rows = found.candidates.rows
        probable = self._probabilities(patient, facts, rows, settings, limits)
        checkpoint()
        return found, probable

    def ranked(
        self,
        patient: Typing,
        facts: Facts,
        model: RiskModel,
        settings: SearchSettings,
        found: Matches,
        probable: CandidateProbabilities,
        antibodies: Profile | None = None,
    ) -> Page:
        """The second half of `page`."""
        end = len(found) if settings.size is None else settings.start + settings.size
        ranker = Ranker(
            settings.rule,
            self.index,
            settings.as_of,
            model,
            self.leaders,
            settings.criteria,
            self.mothers,
            antibodies,
        )
        ranking = ranker.rank(patient, facts, found, probable.p[:, :2], end)
        ranking = ranking.part(settings.start, len(ranking))
        checkpoint()
        shown = found.take(ranking.order)
        checkpoint()
        probabilities = probable.take(ranking.order)
        checkpoint()

        def risks() -> dict[str, npt.NDArray[np.float64]]:
            factors = pair_factors(facts, self.index, settings.as_of, shown.candidates)
            return predicted_risks(model, factors, len(shown))

        return Page(
            shown,
            ranking,
            probabilities,
            risks,
            len(found),
            int(probable.missing.sum()),
        )

    def _probabilities(
        self,
        patient: Typing,
        facts: Facts,
        rows: npt.NDArray[np.int64],
        settings: SearchSettings,
        limits: GenotypeLimits,
    ) -> CandidateProbabilities:
        up_to = settings.up_to or (2 if settings.criteria.max_mismatches >= 2 else 1)
        if not settings.with_probabilities:
            return CandidateProbabilities.without(len(rows), Outcome.NOT_REQUESTED, up_to)
        if self.sets is None or self.masses is None:
            return CandidateProbabilities.without(len(rows), Outcome.NO_FREQUENCY_SET, up_to)
        return candidate_probabilities(
            *(self.sets, self.masses, patient, self.sets.prior_of(facts), rows, self._typings),
            up_to=up_to,
            limits=limits,
        )

    def shared_haplotypes(
        self, patient: Typing, facts: Facts, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """P(0, 1, 2 whole haplotypes in common) with the donors in some rows, (n, 3); NaN where
        unknown."""
        if self.sets is None or self.masses is None:
            return np.full((len(rows), 3), np.nan)
        donors = list(zip(self._typings(rows), self.masses.priors(rows), strict=True))
        return shared_haplotypes(self.sets, (patient, self.sets.prior_of(facts)), donors)

    def reported(self, rows: npt.NDArray[np.int64]) -> list[Person | None]:
        """Donors in some rows as reported, None where the record is no longer what the index
        holds."""
        names, facts = self.index.ids(rows), self.index.facts(rows).to_dict(orient="records")
        typings = self.registry.typings(watched(names))
        return [
            None
            if self._unchanged(typings.get(name, ""), row) is None
            else Person(name, {str(k): v for k, v in fact.items()}, split_gl(typings[name]))
            for name, row, fact in zip(watched(names), rows.tolist(), facts, strict=True)
        ]

    def _typings(self, rows: npt.NDArray[np.int64]) -> list[Typing | None]:
        """Typings of some rows as reported, None where the record is no longer what the index
        holds."""
        if not len(rows):
            return []
        names = self.index.ids(rows)
        reported = self.registry.typings(watched(names))
        return [
            self._unchanged(reported.get(name, ""), row)
            for name, row in zip(watched(names), rows.tolist(), strict=True)
        ]

    def _unchanged(self, text: str, row: int) -> Typing | None:
        try:
            typing = parse_typing(text)
            presented = encode(typing, self.nomenclature).loci
        except TypingError:
            return None
        for locus, genotype in presented.items():
            if genotype != self.index.donors.genotype(row, locus):
                return None
        return typing


def search_people(
    people: Sequence[Person],
    search: DonorSearch,
    model: RiskModel,
    settings: SearchSettings,
    progress: Callable[[int], object] = lambda _: None,
    limits: GenotypeLimits = UNLIMITED,
    antibodies: Mapping[str, AntibodyUse] | None = None,
) -> SearchResults:
    """The donors of each patient, in order. `antibodies`: of patients, those who have a report."""
    pages, shared = {}, {}
    for done, person in enumerate(people, 1):
        wanted = wanted_of(person, settings)
        patient = typing_of(person.written)
        page = search.page(
            *(patient, person.facts, model, settings, wanted, limits),
            (antibodies or {}).get(person.id),
        )
        pages[person.id] = page
        if settings.shared_of != 0:
            rows = page.matches.candidates.rows
            found = np.full((len(rows), 3), np.nan)
            some = slice(settings.shared_of)
            found[some] = search.shared_haplotypes(patient, person.facts, rows[some])
            shared[person.id] = dict(zip(SHARED, found.T, strict=True))
        progress(done)
    results = results_of(pages, search, model, settings)
    scores = {p: {**scores, **shared.get(p, {})} for p, scores in results.scores.items()}
    return replace(results, scores=scores)


def wanted_of(person: Person, settings: SearchSettings) -> DonorFilter | None:
    """What is asked of the donors of a patient besides their typings. Raises `InputFileError`."""
    if not settings.donors:
        return None
    return donor_filter(settings.donors, person.id, person.facts["weight_kg"])


def results_of(
    pages: Mapping[str, Page], search: DonorSearch, model: RiskModel, settings: SearchSettings
) -> SearchResults:
    """The pages of patients, by identifier, as the results of one run."""
    names = ("p10", "p9", "p8")
    return SearchResults(
        {patient: page.matches for patient, page in pages.items()},
        {
            patient: dict(zip(names, page.probabilities.p.T, strict=False)) | dict(page.risks())
            for patient, page in pages.items()
        },
        {patient: page.ranking for patient, page in pages.items()},
        {patient: page.found for patient, page in pages.items()},
        search.index,
        search.nomenclature.release,
        "" if search.sets is None else search.sets.label,
        model_label(model),
        settings.criteria,
        settings.donors,
        settings.as_of,
        settings.rule,
        settings.start,
        mothers=search.mothers if settings.maternal else None,
        predicted={
            patient: Predicted(page.missing_masses, page.probabilities.dropped)
            for patient, page in pages.items()
            if search.sets is not None
        },
        excluded={patient: page.excluded for patient, page in pages.items()},
    )


def notes_of(matches: Mapping[str, Matches]) -> list[str]:
    """How names of patients were followed, one line each."""
    return [f"patient {name}: {note}" for name, found in matches.items() for note in found.notes]
