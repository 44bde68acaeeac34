"""The calls of the service: check the request, compute in a thread, answer."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from data.index import StoredIndex
from matching.rank import value_texts
from matching.risk import compare_donors
from matching.risk import predict as predict_risk
from service import convert, convert_typing
from service.answering import Answering, provenance
from service.apart import apart
from service.calls import checkpoint
from service.convert import LIMITS
from service.convert.columns import PageColumns
from service.convert_search import SearchRequest, inside, search_request
from service.criteria import criteria_json
from service.nomenclature_answers import list_releases_answer, reduce_typing_answer
from service.pages import page_start, page_token, search_state
from service.pair_answers import predict_match_answer, score_pairs_answer
from service.pairs import one_pair_factors
from service.pb.graftmatch.v1 import (
    graftmatch_pb2,
    graftmatch_pb2_grpc,
    nomenclature_pb2,
    prediction_pb2,
    risk_models_pb2,
)
from service.planning import plan
from service.risk_model_answers import get_risk_model_answer, list_risk_models_answer
from service.search import Page
from service.snapshot import Snapshot
from service.status import EmptyRegistryError

# With more edges a flow or a linear program may take longer than a call that has ended should.
ALLOCATED_HERE = 2_000
_ONE_PAIR = np.array([0, 1])
DEFAULT_BATCH = 500


def parse_typing_answer(
    snapshot: Snapshot, request: graftmatch_pb2.ParseTypingRequest
) -> graftmatch_pb2.ParseTypingResponse:
    """Raises `RequestError`."""
    read = convert.typing_request(request, snapshot.nomenclature)
    return convert.typing_response(
        read.typing, read.genotype, snapshot.nomenclature, provenance(snapshot)
    )


def explain_typing_answer(
    snapshot: Snapshot, message: graftmatch_pb2.ExplainTypingRequest
) -> graftmatch_pb2.ExplainTypingResponse:
    """Raises `RequestError`."""
    request = convert_typing.explain_request(message, snapshot.releases)
    answered = provenance(snapshot)
    answered.release = request.nomenclature.release
    return convert_typing.explain_response(request, answered)


@dataclass(frozen=True)
class Search:
    """A search that was run: `page` holds the donors to return, ranked, the first at `start`.

    Its batches are answered one by one, by one thread at a time.
    """

    snapshot: Snapshot
    index: StoredIndex
    request: SearchRequest
    start: int
    page: Page
    as_of: datetime.date
    next_page_token: str

    @classmethod
    def run(cls, snapshot: Snapshot, message: graftmatch_pb2.SearchDonorsRequest) -> Search:
        """Raises `RequestError`, `EmptyRegistryError` and `StoreError`."""
        request = search_request(message, snapshot.nomenclature)
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
        )
        end = start + len(page.matches)
        more = request.page_size is not None and end < page.found
        token = page_token(end, state) if more else ""
        return cls(snapshot, search.index, request, start, page, asked.as_of, token)

    @property
    def _of_page(self) -> dict[str, Any]:
        """What every message of an answer carries."""
        return {
            "provenance": provenance(self.snapshot),
            "found": self.page.found,
            "notes": self.page.matches.notes,
            "as_of": self.as_of.isoformat(),
            "next_page_token": self.next_page_token,
            "missing_masses": self.page.missing_masses,
            "dropped": self.page.probabilities.dropped,
        }

    def begins(self, usual: int) -> range:
        """Where the batches begin; one is empty where no donor was found. `usual`: size of a batch
        if the request does not say one."""
        return range(0, max(len(self.page.matches), 1), self.request.batch_size or usual)

    @cached_property
    def columns(self) -> PageColumns:
        """The page by columns."""
        rule = self.request.asked.rule
        return PageColumns.of(self.page, self.start, self.index, self.as_of, rule)

    def columns_batch(self, begin: int) -> graftmatch_pb2.StreamCandidatesResponse:
        """As `batch`, by columns."""
        end = min(begin + (self.request.batch_size or LIMITS.batch_size), len(self.page.matches))
        return graftmatch_pb2.StreamCandidatesResponse(
            **self._of_page, candidates=self.columns.part(begin, end)
        )

    def batch(self, begin: int) -> graftmatch_pb2.SearchDonorsResponse:
        """The donors from position `begin` of those to return; none where none was found."""
        end = min(begin + (self.request.batch_size or DEFAULT_BATCH), len(self.page.matches))
        part = np.arange(begin, end)
        matches, ranking = self.page.matches.take(part), self.page.ranking.part(begin, end)
        rows = matches.candidates.rows
        ids = self.index.ids(rows)
        shared = None
        search, request = self.snapshot.search, self.request
        if request.with_haplotypes and search is not None:
            shared = search.shared_haplotypes(request.patient, request.facts, rows)
        compared = convert.comparisons(matches, self.page.probabilities.take(part), shared)
        facts = pa.Table.from_pandas(self.index.facts(rows)).to_pylist()
        ages = self.index.ages(self.as_of, rows).tolist()
        reasons = ranking.reasons
        texts = [value_texts(ranking, key, self.request.asked.rule) for key in ranking.keys]
        return graftmatch_pb2.SearchDonorsResponse(
            **self._of_page,
            candidates=[
                graftmatch_pb2.Candidate(
                    rank=self.start + begin + i + 1,
                    donor=ids[i],
                    comparison=compared[i],
                    facts=convert.donor_facts(facts[i], ages[i]),
                    ranked_below_previous_for=reasons[i],
                    rank_values=[
                        graftmatch_pb2.RankValue(key=key, value=values[i])
                        for key, values in zip(ranking.keys, texts, strict=True)
                    ],
                )
                for i in range(len(rows))
            ],
        )


def _run_inside(snapshot: Snapshot, message: graftmatch_pb2.StreamCandidatesRequest) -> Search:
    with inside("search"):
        return Search.run(snapshot, message.search)


def score_pair_answer(
    snapshot: Snapshot, message: graftmatch_pb2.ScorePairRequest
) -> graftmatch_pb2.ScorePairResponse:
    """Raises `RequestError`."""
    pairs = snapshot.pairs
    request = convert.pair_request(message, pairs.read)
    patient, donor, loci = request.patient, request.donor, request.loci
    counts = pairs.counter.of(patient.genotype, donor.genotype)
    detail = pairs.details.of(patient.typing, donor.typing, counts.tce, loci)
    found = pairs.probabilities(patient, donor, request.facts, LIMITS.genotypes)
    shared = None
    if request.with_haplotypes:
        shared = pairs.shared(patient, donor, request.facts)
    risks = []
    if request.facts is not None:
        factors = one_pair_factors(*request.facts, counts)
        risks = [
            convert.compared_risk(outcome, compare_donors(outcome, factors, _ONE_PAIR))
            for outcome in snapshot.model.outcomes
        ]
    return graftmatch_pb2.ScorePairResponse(
        provenance=provenance(snapshot),
        comparison=convert.pair_comparison(counts, loci, found, shared),
        notes=request.notes,
        detail=convert_typing.pair_detail(detail),
        risks=risks,
    )


def _is_known_pair(snapshot: Snapshot, message: graftmatch_pb2.ScorePairRequest) -> bool:
    if message.with_haplotypes:
        return False
    # What a frequency set is chosen by.
    facts = [
        {"ancestry": person.ancestry.strip(), "registry": person.registry.strip()}
        for person in (message.patient_facts, message.donor_facts)
    ]
    return snapshot.pairs.knows(message.patient, message.donor, facts)


def predict_risk_answer(
    snapshot: Snapshot, request: graftmatch_pb2.PredictRiskRequest
) -> graftmatch_pb2.PredictRiskResponse:
    """Raises `RequestError`."""
    columns = convert.factor_columns(request)
    return graftmatch_pb2.PredictRiskResponse(
        provenance=provenance(snapshot),
        outcomes=[
            convert.outcome_risk(predict_risk(outcome, columns, 1))
            for outcome in snapshot.model.outcomes
        ],
    )


def allocate_answer(
    snapshot: Snapshot, request: graftmatch_pb2.AllocateDonorsRequest
) -> graftmatch_pb2.AllocateDonorsResponse:
    """Raises `RequestError` and `AllocationError`."""
    problem = convert.allocation_problem(request)
    checkpoint()
    firsts = convert.first_edges(request, problem)
    objectives = convert.allocation_objectives(request)
    if len(problem.weight) > ALLOCATED_HERE:
        planned = apart(plan, problem, objectives, firsts)
    else:
        planned = plan(problem, objectives, firsts, checkpoint)
    return convert.allocation_response(problem, *planned, provenance(snapshot))


class GraftMatchServicer(graftmatch_pb2_grpc.GraftMatchServiceServicer):
    """See the proto."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def ParseTyping(  # noqa: N802
        self, request: graftmatch_pb2.ParseTypingRequest, context: Any
    ) -> graftmatch_pb2.ParseTypingResponse:
        """See the proto."""
        return await self._answering.answer(context, parse_typing_answer, request)

    async def ExplainTyping(  # noqa: N802
        self, request: graftmatch_pb2.ExplainTypingRequest, context: Any
    ) -> graftmatch_pb2.ExplainTypingResponse:
        """See the proto."""
        return await self._answering.answer(context, explain_typing_answer, request)

    async def ReduceTyping(  # noqa: N802
        self, request: nomenclature_pb2.ReduceTypingRequest, context: Any
    ) -> nomenclature_pb2.ReduceTypingResponse:
        """See the proto."""
        return await self._answering.answer(context, reduce_typing_answer, request)

    async def ListReleases(  # noqa: N802
        self, request: nomenclature_pb2.ListReleasesRequest, context: Any
    ) -> nomenclature_pb2.ListReleasesResponse:
        """See the proto."""
        return await self._answering.answer(context, list_releases_answer, request)

    async def SearchDonors(  # noqa: N802
        self, request: graftmatch_pb2.SearchDonorsRequest, context: Any
    ) -> AsyncIterator[graftmatch_pb2.SearchDonorsResponse]:
        """See the proto. A cancelled stream stops after the batch that is being computed."""
        search = await self._answering.answer(context, Search.run, request)
        for begin in search.begins(DEFAULT_BATCH):
            yield await self._answering.run(context, search.batch, begin)

    async def StreamCandidates(  # noqa: N802
        self, request: graftmatch_pb2.StreamCandidatesRequest, context: Any
    ) -> AsyncIterator[graftmatch_pb2.StreamCandidatesResponse]:
        """See the proto."""
        search = await self._answering.answer(context, _run_inside, request)
        for begin in search.begins(LIMITS.batch_size):
            yield await self._answering.run(context, search.columns_batch, begin)

    async def ScorePair(  # noqa: N802
        self, request: graftmatch_pb2.ScorePairRequest, context: Any
    ) -> graftmatch_pb2.ScorePairResponse:
        """See the proto."""
        return await self._answering.answer(
            context, score_pair_answer, request, at_once=_is_known_pair
        )

    async def ScorePairs(  # noqa: N802
        self, request: graftmatch_pb2.ScorePairsRequest, context: Any
    ) -> graftmatch_pb2.ScorePairsResponse:
        """See the proto."""
        return await self._answering.answer(context, score_pairs_answer, request)

    async def PredictMatch(  # noqa: N802
        self, request: prediction_pb2.PredictMatchRequest, context: Any
    ) -> prediction_pb2.PredictMatchResponse:
        """See the proto."""
        return await self._answering.answer(context, predict_match_answer, request)

    async def PredictRisk(  # noqa: N802
        self, request: graftmatch_pb2.PredictRiskRequest, context: Any
    ) -> graftmatch_pb2.PredictRiskResponse:
        """See the proto."""
        return await self._answering.answer(context, predict_risk_answer, request)

    async def ListRiskModels(  # noqa: N802
        self, request: risk_models_pb2.ListRiskModelsRequest, context: Any
    ) -> risk_models_pb2.ListRiskModelsResponse:
        """See the proto."""
        return await self._answering.answer(context, list_risk_models_answer, request)

    async def GetRiskModel(  # noqa: N802
        self, request: risk_models_pb2.GetRiskModelRequest, context: Any
    ) -> risk_models_pb2.GetRiskModelResponse:
        """See the proto."""
        return await self._answering.answer(context, get_risk_model_answer, request)

    async def AllocateDonors(  # noqa: N802
        self, request: graftmatch_pb2.AllocateDonorsRequest, context: Any
    ) -> graftmatch_pb2.AllocateDonorsResponse:
        """See the proto."""
        return await self._answering.answer(context, allocate_answer, request)
