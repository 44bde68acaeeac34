"""The calls of the service: check the request, compute in a thread, answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from matching.risk import predict as predict_risk
from service import convert, convert_typing
from service.answering import Answering, provenance
from service.apart import apart
from service.calls import checkpoint
from service.convert import LIMITS
from service.crossmatch_answers import Crossmatches
from service.family_answers import analyse_family_answer
from service.nomenclature_answers import list_releases_answer, reduce_typing_answer
from service.pair_answers import predict_match_answer, score_pairs_answer
from service.pb.graftmatch.v1 import (
    antibodies_pb2,
    family_pb2,
    graftmatch_pb2,
    graftmatch_pb2_grpc,
    nomenclature_pb2,
    prediction_pb2,
    risk_models_pb2,
)
from service.planning import allocated, allocation_answer
from service.risk_model_answers import get_risk_model_answer, list_risk_models_answer
from service.search_answers import DEFAULT_BATCH, Search, run_inside
from service.snapshot import Snapshot
from service.strata_answers import ListedStrata
from service.unit_pairs import unit_pairs_answer

# With more edges a flow or a linear program may take longer than a call that has ended should, and
# with more bytes the request.
ALLOCATED_HERE = 2_000
ALLOCATED_BYTES_HERE = 500_000
_BATCHES_AT_ONCE = 8


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


def score_pair_answer(
    snapshot: Snapshot, message: graftmatch_pb2.ScorePairRequest
) -> graftmatch_pb2.ScorePairResponse:
    """Raises `RequestError`."""
    pairs = snapshot.pairs
    request = convert.pair_request(message, pairs.read)
    patient, donor, facts = request.patient, request.donor, request.facts
    found = pairs.scored(patient, donor, request.loci, facts)
    answer = graftmatch_pb2.ScorePairResponse(
        provenance=provenance(snapshot),
        comparison=found.comparison,
        notes=request.notes,
        detail=found.detail,
        risks=() if facts is None else snapshot.pair_risks.of(*facts, found.counts),
    )
    if request.with_haplotypes:
        shared = pairs.shared(patient, donor, facts)
        told = None if shared is None else convert.haplotype_sharing(shared[0].tolist())
        if told is not None:
            answer.comparison.haplotypes.CopyFrom(told)
    return answer


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
    told = provenance(snapshot)
    if len(request.edges) <= ALLOCATED_HERE and request.ByteSize() <= ALLOCATED_BYTES_HERE:
        return allocation_answer(request, told, checkpoint)
    answer = graftmatch_pb2.AllocateDonorsResponse()
    answer.ParseFromString(apart(allocated, request.SerializeToString(), told.SerializeToString()))
    return answer


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
        search = await self._answering.answer(context, run_inside, request)
        begins = search.begins(LIMITS.batch_size)
        # Several at once, since changing threads costs about as much as a batch.
        for first in range(0, len(begins), _BATCHES_AT_ONCE):
            some = begins[first : first + _BATCHES_AT_ONCE]
            for batch in await self._answering.run(context, search.columns_batches, some):
                yield batch

    async def SearchStrata(  # noqa: N802
        self, request: graftmatch_pb2.SearchStrataRequest, context: Any
    ) -> AsyncIterator[graftmatch_pb2.SearchStrataResponse]:
        """See the proto."""
        found = await self._answering.answer(context, ListedStrata.run, request)
        for part in found.parts():
            yield await self._answering.run(context, found.batch, *part)

    async def SearchUnitPairs(  # noqa: N802
        self, request: graftmatch_pb2.SearchUnitPairsRequest, context: Any
    ) -> graftmatch_pb2.SearchUnitPairsResponse:
        """See the proto."""
        return await self._answering.answer(context, unit_pairs_answer, request)

    async def CrossmatchDonors(  # noqa: N802
        self, request: antibodies_pb2.CrossmatchDonorsRequest, context: Any
    ) -> AsyncIterator[antibodies_pb2.CrossmatchDonorsResponse]:
        """See the proto."""
        found = await self._answering.answer(context, Crossmatches.of, request)
        for begin in found.begins():
            yield await self._answering.run(context, found.batch, begin)

    async def AnalyseFamily(  # noqa: N802
        self, request: family_pb2.AnalyseFamilyRequest, context: Any
    ) -> family_pb2.AnalyseFamilyResponse:
        """See the proto."""
        return await self._answering.answer(context, analyse_family_answer, request)

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
