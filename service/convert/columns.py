"""Ranked donors as messages of columns, made of arrays without an object a donor."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from data.index import StoredIndex
from matching.kernels import (
    COUNT_BEST,
    COUNT_WORST,
    DONOR_1,
    DONOR_2,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
)
from matching.loci import LOCI
from matching.pipeline import tce_categories
from matching.rank import BY_IDENTIFIER, REASONS, Ranking, RankRule, value_text
from matching.search import POSITION_LETTERS, Candidates
from service.calls import checkpoint, watched
from service.convert.wire import delimited, packed
from service.masses import Outcome
from service.pb.graftmatch.v1 import columns_pb2, common_pb2
from service.search import Page

Codes = npt.NDArray[np.int64]
_LOCUS = {
    "matches_best": COUNT_BEST,
    "matches_worst": COUNT_WORST,
    "gvh_best": GVH_BEST,
    "gvh_worst": GVH_WORST,
    "hvg_best": HVG_BEST,
    "hvg_worst": HVG_WORST,
}
_POSITIONS = {"position_1": DONOR_1, "position_2": DONOR_2}
_TEXT_FACTS = ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry")
_LETTERS = np.array([ord(letter) for letter in POSITION_LETTERS], dtype=np.uint8)
_STATUS = np.array(
    [common_pb2.ProbabilityStatus.Value(f"PROBABILITY_STATUS_{one.name}") for one in Outcome]
)


# Identifiers that are read before it is asked whether anybody still waits.
IDS_AT_ONCE = 50_000


@dataclass(frozen=True)
class PageColumns:
    """The donors of a page, ranks from `start` on, from 0.

    `numbers`: (n,) by name. `texts`: distinct values and the code of each donor, (n,), by field and
    name.
    """

    start: int
    candidates: Candidates
    donors: Sequence[str]
    numbers: Mapping[str, npt.NDArray[Any]]
    texts: Mapping[tuple[str, str], tuple[Sequence[str], Codes]]

    @classmethod
    def of(
        cls, page: Page, start: int, index: StoredIndex, as_of: datetime.date, rule: RankRule
    ) -> PageColumns:
        """All columns of a page."""
        candidates, p = page.matches.candidates, page.probabilities
        rows = candidates.rows
        categories, number = tce_categories(candidates)
        tce = [common_pb2.Dpb1Tce.Value(f"DPB1_TCE_{category.name}") for category in categories]
        weights, of_row = index.distinct("weight_kg", rows)
        checkpoint()
        age = index.ages(as_of, rows)
        texts = {
            ("facts", name): _used(*index.distinct(name, rows)) for name in watched(_TEXT_FACTS)
        }
        texts |= _rank_texts(page.ranking, rule)
        ids: list[str] = []
        for begin in watched(range(0, len(rows), IDS_AT_ONCE)):
            ids += index.ids(rows[begin : begin + IDS_AT_ONCE])
        checkpoint()
        return cls(
            start,
            candidates,
            ids,
            {
                "dpb1_tce": np.array(tce, dtype=np.int64)[number],
                "p10": p.p[:, 0],
                "p9": p.p[:, 1],
                "p8": p.p[:, 2],
                "probability_status": _STATUS[p.outcomes],
                # A day before the birth date has no age.
                "age_years": np.where(age >= 0, age, np.nan),
                "weight_kg": np.array(weights, dtype=np.float64)[of_row],
            },
            texts,
        )

    def part(self, begin: int, end: int) -> columns_pb2.CandidateColumns:
        """Some of the donors."""
        candidates = self.candidates.take(np.arange(begin, end))
        counts, most = candidates.totals(), 2 * len(candidates.loci)
        message = columns_pb2.CandidateColumns(
            first_rank=self.start + begin + 1,
            donors=self.donors[begin:end],
            mismatches_best=(most - counts[:, COUNT_BEST]).tobytes(),
            mismatches_worst=(most - counts[:, COUNT_WORST]).tobytes(),
            gvh_best=counts[:, GVH_BEST].tobytes(),
            gvh_worst=counts[:, GVH_WORST].tobytes(),
            hvg_best=counts[:, HVG_BEST].tobytes(),
            hvg_worst=counts[:, HVG_WORST].tobytes(),
            loci=[
                columns_pb2.LocusColumns(
                    locus=locus.value, **_of_locus(candidates.compared_at(locus))
                )
                for locus in LOCI
            ],
        )
        fields = [
            packed(columns_pb2.CandidateColumns, name, column[begin:end])
            for name, column in self.numbers.items()
        ]
        for (field, name), (values, codes) in self.texts.items():
            column = columns_pb2.TextColumn(name=name, values=values).SerializeToString()
            column += packed(columns_pb2.TextColumn, "codes", codes[begin:end])
            fields.append(delimited(columns_pb2.CandidateColumns, field, column))
        message.MergeFromString(b"".join(fields))
        return message


def _of_locus(compared: npt.NDArray[np.uint8]) -> dict[str, bytes]:
    """Fields of `LocusColumns` of the columns of a locus, (n, `N_COMPARED`)."""
    columns = {name: compared[:, at].tobytes() for name, at in _LOCUS.items()}
    return columns | {name: _LETTERS[compared[:, at]].tobytes() for name, at in _POSITIONS.items()}


def _rank_texts(
    ranking: Ranking, rule: RankRule
) -> dict[tuple[str, str], tuple[Sequence[str], Codes]]:
    texts: dict[tuple[str, str], tuple[Sequence[str], Codes]] = {}
    for i, key in enumerate(watched(ranking.keys)):
        codes, values = pd.factorize(ranking.values[:, i])
        texts["rank_values", key] = (
            [value_text(key, value, rule) for value in values.tolist()],
            codes,
        )
    reasons = [*(REASONS[key] for key in ranking.keys), BY_IDENTIFIER, ""]
    # -1, of the first donor, is the last one.
    texts["ranked_below_previous_for", ""] = reasons, ranking.decided_by % len(reasons)
    return texts


def _used(values: Sequence[Any], number: Codes) -> tuple[Sequence[str], Codes]:
    """Only the values that some donor has, as texts."""
    codes, used = pd.factorize(number)
    return [values[i] or "" for i in used.tolist()], codes
