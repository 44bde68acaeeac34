"""The keys of `matching.rank` for donors of one patient, worked out for those that need them."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data.index import StoredIndex
from matching.antibodies import DonorAnswers, Profile
from matching.cord import nima_preference
from matching.immunogenetics import Leaders
from matching.kernels import COUNT_BEST, COUNT_WORST, DONOR_1
from matching.loci import Locus
from matching.parts import in_parts
from matching.pipeline import Matches, tce_categories
from matching.rank import (
    Floats,
    Int64s,
    Ranking,
    RankKey,
    RankRule,
    abo_values,
    age_values,
    antibody_values,
    certain_probabilities,
    cmv_values,
    dose_values,
    leader_values,
    probability_bands,
    rank,
    risk_values,
    sex_values,
)
from matching.risk import RiskModel
from matching.search import (
    MAX_MISMATCHES,
    UNKNOWN_POSITION,
    Candidates,
    Criteria,
    MismatchCounts,
)
from matching.typed_pairs import FIVE
from matching.typings import Typing
from service.calls import checkpoint, watched
from service.cord import Mothers, doses_per_kg, is_cord
from service.pairs import RISK_OUTCOME, Facts, abo_match, pair_factors


@dataclass(frozen=True)
class Ranker:
    """What ranking needs besides a patient.

    `as_of`: the day of donors' ages. `criteria`: of the search. `antibodies`: the patient's report,
    None where there is none.
    """

    rule: RankRule
    index: StoredIndex
    as_of: datetime.date
    model: RiskModel
    leaders: Leaders
    criteria: Criteria
    mothers: Mothers
    antibodies: Profile | None = None

    def rank(
        self,
        patient: Typing,
        facts: Facts,
        found: Matches,
        p: npt.NDArray[np.float64],
        end: int | None = None,
    ) -> Ranking:
        """The first `end` donors of a patient, all by default, best first.

        `p`: (n, 2) P(10/10) and P(9/10), NaN where unknown; without any, mismatch counts stand in.
        """
        keys = _Keys(self, patient, facts, found.candidates, p)
        parts = in_parts(len(p), checkpoint)
        names = self.rule.applied(any(np.isfinite(p[part]).any() for part in parts))
        return rank(
            len(found),
            [keys.of(name) for name in watched(names)],
            len(found) if end is None else end,
            # Rows of one segment are in the order of their identifiers.
            keys.identifiers if len(self.index.segments) > 1 else None,
            checkpoint,
        )


@dataclass
class _Keys:
    """The keys of one patient's donors."""

    ranker: Ranker
    patient: Typing
    facts: Facts
    found: Candidates
    p: npt.NDArray[np.float64]

    def of(self, name: str) -> RankKey:
        values: Callable[[Int64s, Int64s], Floats] = getattr(self, f"_{name}")
        if name == "risk":
            return RankKey(name, values)

        def part_by_part(members: Int64s, ties: Int64s) -> Floats:
            found = np.empty(len(members))
            for part in in_parts(len(members), checkpoint):
                found[part] = values(members[part], ties[part])
            return found

        return RankKey(name, part_by_part)

    def identifiers(self, members: Int64s) -> list[str]:
        return self.ranker.index.ids(self.found.rows[members])

    def _p10(self, members: Int64s, _: Int64s) -> Floats:
        return self._bands(0, members)

    def _p9(self, members: Int64s, _: Int64s) -> Floats:
        return self._bands(1, members)

    def _bands(self, n_mismatches: int, members: Int64s) -> Floats:
        p = self.p[members, n_mismatches]
        unknown = np.flatnonzero(np.isnan(p))
        certain = np.full(len(p), np.nan)
        if len(unknown):
            matches = self.found.take(members[unknown]).totals(FIVE).astype(np.int64)
            best, worst = (2 * len(FIVE) - matches[:, at] for at in (COUNT_BEST, COUNT_WORST))
            certain[unknown] = certain_probabilities(best, worst, n_mismatches)
        return probability_bands(p, certain, self.ranker.rule.bands)

    def _mismatches_best(self, members: Int64s, _: Int64s) -> Floats:
        # Not by comparing everyone's genotypes in full, which only those on the page need.
        return self._best_counts.of(self.found.rows[members]).astype(np.float64)

    def _mismatches_worst(self, members: Int64s, _: Int64s) -> Floats:
        return self.found.take(members).mismatches_worst.astype(np.float64)

    def _mismatches_counted(self, members: Int64s, _: Int64s) -> Floats:
        return self._counts.of(self.found.rows[members]).astype(np.float64)

    @cached_property
    def _best_counts(self) -> MismatchCounts:
        return self._counts_by(Criteria(self.found.loci, MAX_MISMATCHES))

    @cached_property
    def _counts(self) -> MismatchCounts:
        return self._counts_by(self.ranker.criteria)

    def _counts_by(self, criteria: Criteria) -> MismatchCounts:
        return MismatchCounts(self.found.index, self.found.patient, criteria, checkpoint)

    def _tnc(self, members: Int64s, _: Int64s) -> Floats:
        return self._dose("tnc", members)

    def _cd34(self, members: Int64s, _: Int64s) -> Floats:
        return self._dose("cd34", members)

    def _dose(self, key: str, members: Int64s) -> Floats:
        index, rows = self.ranker.index, self.found.rows[members]
        weight = self.facts["weight_kg"]
        dose = doses_per_kg(index, rows, None if weight is None else float(weight))[key]
        return dose_values(key, dose, is_cord(index, rows))

    def _nima(self, members: Int64s, _: Int64s) -> Floats:
        index, rows = self.ranker.index, self.found.rows[members]
        values = np.zeros(len(rows))
        cord = np.flatnonzero(is_cord(index, rows))
        matches = self.ranker.mothers.matches(
            index, self.found.patient, rows[cord], self.ranker.criteria
        )
        values[cord] = [nima_preference(found) for found in matches]
        return values

    def _antibody(self, members: Int64s, _: Int64s) -> Floats:
        if self._answers is None:
            return np.zeros(len(members))
        found = self._answers.of(self.found.rows[members])
        return antibody_values(found.low, found.high)

    @cached_property
    def _answers(self) -> DonorAnswers | None:
        profile = self.ranker.antibodies
        return None if profile is None else DonorAnswers(self.found.index, profile, checkpoint)

    def _tce(self, members: Int64s, _: Int64s) -> Floats:
        categories, number = tce_categories(self.found.take(members))
        preferences = [category.preference for category in categories]
        return np.array(preferences, dtype=np.float64)[number]

    def _leader(self, members: Int64s, _: Int64s) -> Floats:
        compared = self.found.take(members).compared_at(Locus.B)
        untyped = compared[:, DONOR_1] == UNKNOWN_POSITION
        mismatched = np.flatnonzero((compared[:, COUNT_BEST] < 2) & ~untyped)
        best, undetermined = leader_values([None, (None, None)], self.ranker.rule)
        values: Floats = np.where(untyped, undetermined, best)
        patient = self.patient.loci[Locus.B]
        checkpoint()
        if patient is not None and len(mismatched):
            pairs, number = self.ranker.index.written_b(self.found.rows[members[mismatched]])
            checkpoint()
            outcomes, of_typing = self.ranker.leaders.outcomes(patient, pairs, checkpoint)
            values[mismatched] = leader_values(outcomes, self.ranker.rule)[of_typing[number]]
        return values

    def _risk(self, members: Int64s, ties: Int64s) -> Floats:
        outcomes = {outcome.name: outcome for outcome in self.ranker.model.outcomes}
        if RISK_OUTCOME not in outcomes:
            # A model of a centre may hold other outcomes only.
            return np.zeros(len(members))
        ranker = self.ranker
        columns = pair_factors(self.facts, ranker.index, ranker.as_of, self.found.take(members))
        checkpoint()
        step = ranker.rule.risk_step
        return risk_values(outcomes[RISK_OUTCOME], columns, ties, step, checkpoint)

    def _age(self, members: Int64s, _: Int64s) -> Floats:
        return age_values(self.ranker.index.ages(self.ranker.as_of, self.found.rows[members]))

    def _cmv(self, members: Int64s, _: Int64s) -> Floats:
        donors, number = self.ranker.index.distinct("cmv", self.found.rows[members])
        return cmv_values(_text(self.facts["cmv"]), donors)[number]

    def _sex(self, members: Int64s, _: Int64s) -> Floats:
        donors, number = self.ranker.index.distinct("sex", self.found.rows[members])
        return sex_values(_text(self.facts["sex"]), donors)[number]

    def _abo(self, members: Int64s, _: Int64s) -> Floats:
        donors, number = self.ranker.index.distinct("abo", self.found.rows[members])
        return abo_values([abo_match(donor, self.facts["abo"]) for donor in donors])[number]


def _text(fact: str | float | None) -> str | None:
    return None if fact is None else str(fact)
