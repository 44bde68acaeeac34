"""Searches over the service: pages of ranked donors, by rows and by columns."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.index import StoredIndex
from matching.antibodies import registry_answers
from matching.cord import nima_text
from matching.rank import value_texts
from service import convert
from service.answering import provenance
from service.antibodies import Crossmatched, own_warnings
from service.antibody_columns import crossmatched_rows
from service.calls import checkpoint, watched
from service.convert import LIMITS
from service.convert.antibodies import antibody_summary, crossmatch_columns, crossmatch_messages
from service.convert.columns import PageColumns
from service.convert.cord import cord_columns, cord_unit
from service.convert_search import SearchRequest, inside, search_request
from service.cord import cells_of, is_cord
from service.criteria import criteria_json
from service.pages import page_start, page_token, search_state
from service.pb.graftmatch.v1 import antibodies_pb2, graftmatch_pb2
from service.search import DonorSearch, Page
from service.snapshot import Snapshot
from service.status import EmptyRegistryError

DEFAULT_BATCH = 500


@dataclass(frozen=True)
class PageDonors:
    """The donors of a page as messages, the first at rank `start`, from 0."""

    search: DonorSearch
    request: SearchRequest
    page: Page
    start: int
    as_of: datetime.date

    def candidates(self, begin: int, end: int) -> list[graftmatch_pb2.Candidate]:
        """Some of them, by their positions in the page."""
        part = np.arange(begin, end)
        matches, ranking = self.page.matches.take(part), self.page.ranking.part(begin, end)
        rows = matches.candidates.rows
        ids = self.index.ids(rows)
        shared = None
        if self.request.with_haplotypes:
            of_patient = (self.request.patient, self.request.facts)
            shared = self.search.shared_haplotypes(*of_patient, rows)
        compared = convert.comparisons(matches, self.page.probabilities.take(part), shared)
        facts = pa.Table.from_pandas(self.index.facts(rows)).to_pylist()
        ages = self.index.ages(self.as_of, rows).tolist()
        reasons = ranking.reasons
        texts = [value_texts(ranking, key, self.request.asked.rule) for key in ranking.keys]
        found = crossmatch_messages(self.crossmatched(rows))
        kept_for, cells = self.kept_for(ids), self.cells(rows)
        nima = self.nima(rows) or [""] * len(rows)
        return [
            graftmatch_pb2.Candidate(
                rank=self.start + begin + i + 1,
                donor=ids[i],
                comparison=compared[i],
                facts=convert.donor_facts(facts[i], ages[i]),
                ranked_below_previous_for=reasons[i],
                rank_values=[
                    _rank_value(key, values[i])
                    for key, values in zip(ranking.keys, texts, strict=True)
                ],
                crossmatch=found[i] if found else None,
                kept_for=kept_for[i],
                cord_unit=cord_unit(cells, i, nima[i]) if facts[i]["type"] == "cord" else None,
            )
            for i in watched(range(len(rows)))
        ]

    @property
    def index(self) -> StoredIndex:
        """What was searched."""
        return self.search.index

    def crossmatched(self, rows: npt.NDArray[np.int64]) -> list[Crossmatched]:
        """Donors in some rows, in their order; none in a search without antibodies."""
        use = self.request.antibodies
        if use is None:
            return []
        return crossmatched_rows(self.search, rows, use.profile)

    def kept_for(self, donors: Sequence[str]) -> list[str]:
        """Why each donor was to be kept if positive, "" where that was not asked for."""
        use = self.request.antibodies
        return ["" if use is None else use.overrides.get(name, "") for name in donors]

    def cells(self, rows: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        """As of `cells_of`."""
        weight = self.request.facts["weight_kg"]
        return cells_of(self.index, rows, None if weight is None else float(weight))

    def nima(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Of units, in their order; none in a search without a rule."""
        asked = self.request.asked
        if not asked.by_rule:
            return []
        patient = self.page.matches.candidates.patient
        return [
            nima_text(one)
            for one in self.search.mothers.matches(self.index, patient, rows, asked.criteria)
        ]


# There are few that differ.
@lru_cache(maxsize=10_000)
def _rank_value(key: str, value: str) -> graftmatch_pb2.RankValue:
    return graftmatch_pb2.RankValue(key=key, value=value)


@dataclass(frozen=True)
class Search:
    """A search that was run.

    Its batches are answered one by one, by one thread at a time.
    """

    snapshot: Snapshot
    donors: PageDonors
    next_page_token: str
    antibodies: antibodies_pb2.AntibodySummary | None

    @classmethod
    def run(cls, snapshot: Snapshot, message: graftmatch_pb2.SearchDonorsRequest) -> Search:
        """Raises `RequestError`, `EmptyRegistryError` and `StoreError`."""
        request = search_request(message, snapshot.nomenclature, snapshot.reports)
        search = snapshot.search
        if search is None:
            raise EmptyRegistryError("the registry holds no donors; import some")
        asked = request.asked.settings(request.page_size or request.asked.limit)
        state = search_state(
            request.patient,
            request.facts,
            {
                **criteria_json(asked.criteria, asked.donors),
                "probabilities": request.with_probabilities,
                "antibodies": message.antibodies.SerializeToString(deterministic=True).hex(),
            },
            asked.as_of,
            asked.rule,
            {
                "release": snapshot.nomenclature.release,
                "index": search.index.version,
                "frequency set": snapshot.frequency_set,
                "risk model": snapshot.model_label,
            },
        )
        start = page_start(request.page_token, state) if request.page_token else 0
        settings = replace(
            asked, start=start, up_to=2, with_probabilities=request.with_probabilities
        )
        page = search.page(
            *(request.patient, request.facts, snapshot.model, settings),
            request.filter if asked.donors else None,
            LIMITS.genotypes,
            request.antibodies,
        )
        end = start + len(page.matches)
        more = request.page_size is not None and end < page.found
        token = page_token(end, state) if more else ""
        told = None
        if (use := request.antibodies) is not None:
            everyone = (
                None if start else registry_answers(search.index.donors, use.profile, checkpoint)
            )
            own = own_warnings(request.patient, use.profile)
            told = antibody_summary(use.profile, own, everyone, len(page.excluded))
        donors = PageDonors(search, request, page, start, asked.as_of)
        return cls(snapshot, donors, token, told)

    @property
    def request(self) -> SearchRequest:
        """What was asked for."""
        return self.donors.request

    @property
    def page(self) -> Page:
        """The donors to return."""
        return self.donors.page

    @property
    def _of_page(self) -> dict[str, Any]:
        """What every message of an answer carries."""
        return {
            "provenance": provenance(self.snapshot),
            "found": self.page.found,
            "notes": self.page.matches.notes,
            "as_of": self.donors.as_of.isoformat(),
            "next_page_token": self.next_page_token,
            "missing_masses": self.page.missing_masses,
            "dropped": self.page.probabilities.dropped,
            "antibodies": self.antibodies,
        }

    def begins(self, usual: int) -> range:
        """Where the batches begin; one is empty where no donor was found. `usual`: size of a batch
        if the request does not say one."""
        return range(0, max(len(self.page.matches), 1), self.request.batch_size or usual)

    @cached_property
    def columns(self) -> PageColumns:
        """The page by columns."""
        found, rule = self.donors, self.request.asked.rule
        return PageColumns.of(found.page, found.start, found.index, found.as_of, rule)

    @cached_property
    def _is_cord(self) -> npt.NDArray[np.bool_]:
        return is_cord(self.donors.index, self.page.matches.candidates.rows)

    def columns_batch(self, begin: int) -> graftmatch_pb2.StreamCandidatesResponse:
        """As `batch`, by columns."""
        end = min(begin + (self.request.batch_size or LIMITS.batch_size), len(self.page.matches))
        rows = self.page.matches.candidates.rows[begin:end]
        donors = self.donors
        found = donors.crossmatched(rows)
        return graftmatch_pb2.StreamCandidatesResponse(
            **self._of_page,
            candidates=self.columns.part(begin, end),
            crossmatches=crossmatch_columns(found, donors.kept_for([one.id for one in found]))
            if found
            else None,
            cord_units=cord_columns(donors.cells(rows), donors.nima(rows))
            if self._is_cord[begin:end].any()
            else None,
        )

    def columns_batches(
        self, begins: Iterable[int]
    ) -> list[graftmatch_pb2.StreamCandidatesResponse]:
        """Several of these."""
        return [self.columns_batch(begin) for begin in watched(begins)]

    def batch(self, begin: int) -> graftmatch_pb2.SearchDonorsResponse:
        """The donors from position `begin` of those to return; none where none was found."""
        end = min(begin + (self.request.batch_size or DEFAULT_BATCH), len(self.page.matches))
        return graftmatch_pb2.SearchDonorsResponse(
            **self._of_page, candidates=self.donors.candidates(begin, end)
        )


def run_inside(snapshot: Snapshot, message: graftmatch_pb2.StreamCandidatesRequest) -> Search:
    with inside("search"):
        return Search.run(snapshot, message.search)
