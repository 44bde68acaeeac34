"""The keys of `matching.rank` for donors of one patient, worked out for those that need them."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.index import StoredIndex
from matching.errors import TypingError
from matching.immunogenetics import LeaderMatch, Leaders
from matching.kernels import COUNT_BEST, DONOR_1
from matching.loci import Locus
from matching.pipeline import Matches
from matching.rank import (
    Floats,
    Int64s,
    Ranking,
    RankKey,
    RankRule,
    abo_values,
    age_values,
    by_values,
    certain_probabilities,
    cmv_values,
    leader_values,
    probability_bands,
    rank,
    risk_values,
    sex_values,
)
from matching.risk import RiskModel
from matching.search import UNKNOWN_POSITION
from matching.typed_pairs import FIVE
from matching.typings import LocusTyping, Typing, parse_locus, split_gl
from service.calls import watched
from service.pairs import Facts, abo_match, pair_factors

RISK_OUTCOME = "agvhd_3_4"
_UNDETERMINED = LeaderMatch(None)


@dataclass(frozen=True)
class Ranker:
    """What ranking needs besides a patient.

    `as_of`: the day of donors' ages. `typings`: reported GL strings by identifier, of those that
    are asked for.
    """

    rule: RankRule
    index: StoredIndex
    as_of: datetime.date
    model: RiskModel
    leaders: Leaders
    typings: Callable[[Iterable[str]], Mapping[str, str]]

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
        keys = _Keys(self, patient, facts, found, p)
        names = self.rule.applied(bool(np.isfinite(p).any()))
        return rank(
            len(found),
            [keys.of(name) for name in names],
            len(found) if end is None else end,
            keys.identifiers,
        )


@dataclass
class _Keys:
    """The keys of one patient's donors."""

    ranker: Ranker
    patient: Typing
    facts: Facts
    found: Matches
    p: npt.NDArray[np.float64]
    _leaders: dict[str, LeaderMatch] = field(default_factory=dict)
    _facts: pd.DataFrame | None = None

    def of(self, name: str) -> RankKey:
        candidates = self.found.candidates
        if name in ("p10", "p9"):
            return by_values(name, self._bands(0 if name == "p10" else 1))
        if name == "mismatches_best":
            return by_values(name, candidates.mismatches_best)
        if name == "mismatches_worst":
            return by_values(name, candidates.mismatches_worst)
        if name == "tce":
            return by_values(name, [category.preference for category in self.found.tce])
        if name == "age":
            return RankKey(name, lambda members, _: age_values(self._ages(members)))
        return RankKey(name, getattr(self, f"_{name}"))

    def _bands(self, n_mismatches: int) -> Floats:
        over_five = replace(self.found.candidates, loci=FIVE)
        certain = certain_probabilities(
            over_five.mismatches_best, over_five.mismatches_worst, n_mismatches
        )
        return probability_bands(self.p[:, n_mismatches], certain, self.ranker.rule.bands)

    def _donors(self, members: Int64s) -> pd.DataFrame:
        # Later keys are asked of fewer donors, never of others.
        if self._facts is None:
            rows = self.found.candidates.rows[members]
            self._facts = self.ranker.index.facts(rows).set_index(members)
        return self._facts.loc[members]

    def _ages(self, members: Int64s) -> Floats:
        rows = self.found.candidates.rows[members]
        return self.ranker.index.ages(self.ranker.as_of, rows)

    def identifiers(self, members: Int64s) -> list[str]:
        return self.ranker.index.ids(self.found.candidates.rows[members])

    def _leader(self, members: Int64s, _: Int64s) -> Floats:
        at_b = self.found.candidates.take(members).at(Locus.B)
        compared = at_b.compared[at_b.number]
        untyped = compared[:, DONOR_1] == UNKNOWN_POSITION
        mismatched = (compared[:, COUNT_BEST] < 2) & ~untyped
        ids = self.identifiers(members)
        asked = [name for name, differs in zip(ids, mismatched, strict=True) if differs]
        typings = self.ranker.typings(watched(asked)) if asked else {}
        matches: list[LeaderMatch | None] = [
            self._leader_match(typings.get(name, ""))
            if differs
            else _UNDETERMINED
            if unknown
            else None
            for name, differs, unknown in zip(watched(ids), mismatched, untyped, strict=True)
        ]
        return leader_values(matches, self.ranker.rule)

    def _leader_match(self, donor: str) -> LeaderMatch:
        patient = self.patient.loci[Locus.B]
        if patient is None:
            return _UNDETERMINED
        try:
            text = split_gl(donor).loci.get(Locus.B, "")
            if text not in self._leaders:
                self._leaders[text] = self._of_text(patient, text)
        except TypingError:
            # The donor's record was changed and cannot be read any more.
            return _UNDETERMINED
        return self._leaders[text]

    def _of_text(self, patient: LocusTyping, text: str) -> LeaderMatch:
        donor = parse_locus(Locus.B, text)
        return self.ranker.leaders.match(patient, donor)

    def _risk(self, members: Int64s, ties: Int64s) -> Floats:
        outcomes = {outcome.name: outcome for outcome in self.ranker.model.outcomes}
        if RISK_OUTCOME not in outcomes:
            # A model of a centre may hold other outcomes only.
            return np.zeros(len(members))
        columns: dict[str, Any] = pair_factors(
            self.facts, self._donors(members), self._ages(members), self.found.take(members)
        )
        return risk_values(outcomes[RISK_OUTCOME], columns, ties, self.ranker.rule.risk_step)

    def _cmv(self, members: Int64s, _: Int64s) -> Floats:
        return cmv_values(_text(self.facts["cmv"]), self._donors(members)["cmv"].tolist())

    def _sex(self, members: Int64s, _: Int64s) -> Floats:
        return sex_values(_text(self.facts["sex"]), self._donors(members)["sex"].tolist())

    def _abo(self, members: Int64s, _: Int64s) -> Floats:
        donors = self._donors(members)["abo"]
        return abo_values([abo_match(donor, self.facts["abo"]) for donor in donors])


def _text(fact: str | float | None) -> str | None:
    return None if fact is None else str(fact)
