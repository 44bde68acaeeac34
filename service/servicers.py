"""The calls of the service: check the request, compute in a thread, answer."""

from __future__ import annotations

import asyncio
import datetime
import logging
import traceback
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn, TypeVar

import numpy as np
import pyarrow as pa
from grpc_status import rpc_status

from data.index import StoredIndex
from matching.allocate import allocate, explanations
from matching.donor_index import DonorIndex
from matching.errors import TooAmbiguousError, TypingError
from matching.genotypes import encode
from matching.haplotypes import Imputer
from matching.pair import PairDetails
from matching.pipeline import Matches, match, match_one
from matching.probability import predict
from matching.rank import KEYS
from matching.risk import predict as predict_risk
from matching.typings import Typing, parse_typing
from service import convert, convert_typing
from service.convert import LIMITS, Probabilities
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2, graftmatch_pb2_grpc
from service.snapshot import Snapshot
from service.status import EmptyRegistryError, code_of, is_told, status_of

_LOG = logging.getLogger("graftmatch.service")
T = TypeVar("T")


def provenance(snapshot: Snapshot) -> common_pb2.Provenance:
    """What every answer carries."""
    return common_pb2.Provenance(
        release=snapshot.nomenclature.release,
        frequency_set=snapshot.frequency_set,
        model=snapshot.model_label,
        index=snapshot.index_version,
    )


def parse_typing_answer(
    snapshot: Snapshot, request: graftmatch_pb2.ParseTypingRequest
) -> graftmatch_pb2.ParseTypingResponse:
    """Raises `RequestError`."""
    typing, genotype = convert.typing_request(request, snapshot.nomenclature)
    return convert.typing_response(typing, genotype, snapshot.nomenclature, provenance(snapshot))


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
    """A search that was run; its batches are answered one by one, by one thread at a time.

    `imputer`: None where there are no probabilities, for the reason `without`.
    """

    snapshot: Snapshot
    index: StoredIndex
    request: convert.SearchRequest
    matches: Matches
    as_of: datetime.date
    imputer: Imputer | None
    without: common_pb2.ProbabilityStatus

    @classmethod
    def run(cls, snapshot: Snapshot, message: graftmatch_pb2.SearchDonorsRequest) -> Search:
        """Raises `RequestError` and `EmptyRegistryError`."""
        request = convert.search_request(message, snapshot.nomenclature)
        index = snapshot.index
        if index is None:
            raise EmptyRegistryError(
                "the registry holds no donors; import some and start the server again"
            )
        as_of = request.as_of or datetime.date.today()
        matches = match(
            request.patient,
            snapshot.nomenclature,
            index.donors,
            partial(index.ages, as_of),
            request.loci,
            request.max_mismatches,
        )
        imputer = snapshot.imputer() if request.with_probabilities else None
        without = (
            common_pb2.PROBABILITY_STATUS_NO_FREQUENCY_SET
            if request.with_probabilities
            else common_pb2.PROBABILITY_STATUS_NOT_REQUESTED
        )
        return cls(snapshot, index, request, matches, as_of, imputer, without)

    @property
    def n_returned(self) -> int:
        """How many donors the batches hold together."""
        return min(self.request.limit or len(self.matches.tce), len(self.matches.tce))

    def batch(self, start: int) -> graftmatch_pb2.SearchDonorsResponse:
        """The donors from position `start`; none where none was found. Raises `StoreError`."""
        end = min(start + self.request.batch_size, self.n_returned)
        part = Matches(
            self.matches.candidates.take(np.arange(start, end)),
            self.matches.tce[start:end],
            self.matches.decided_by[start:end],
            (),
        )
        rows = part.candidates.rows
        ids = self.index.ids(rows)
        compared = convert.comparisons(part, self._probabilities(part, ids))
        facts = pa.Table.from_pandas(self.index.facts(rows)).to_pylist()
        ages = self.index.ages(self.as_of, rows).tolist()
        reasons = [*KEYS, ""]
        return graftmatch_pb2.SearchDonorsResponse(
            provenance=provenance(self.snapshot),
            found=len(self.matches.tce),
            candidates=[
                graftmatch_pb2.Candidate(
                    rank=start + i + 1,
                    donor=ids[i],
                    comparison=compared[i],
                    facts=convert.donor_facts(facts[i], ages[i]),
                    ranked_below_previous_for=reasons[int(part.decided_by[i])],
                )
                for i in range(len(rows))
            ],
            notes=self.matches.notes,
            as_of=self.as_of.isoformat(),
        )

    def _probabilities(self, part: Matches, ids: list[str]) -> Probabilities:
        if self.imputer is None:
            return Probabilities.missing(len(ids), self.without)
        reported = self.snapshot.registry.typings(ids)
        donors = [
            _unchanged(reported.get(name, ""), self.index.donors, int(row), self.snapshot)
            for name, row in zip(ids, part.candidates.rows, strict=True)
        ]
        return probabilities(self.imputer, self.request.patient, donors)


def _unchanged(text: str, donors: DonorIndex, row: int, snapshot: Snapshot) -> Typing | None:
    """The typing of a donor's record, None if it is no longer what the index holds."""
    try:
        typing = parse_typing(text)
        presented = encode(typing, snapshot.nomenclature).loci
    except TypingError:
        return None
    for locus, genotype in presented.items():
        if genotype != donors.genotype(row, locus):
            return None
    return typing


def probabilities(imputer: Imputer, patient: Typing, donors: list[Typing | None]) -> Probabilities:
    """Of a patient and each donor; None is a donor whose record was changed."""
    try:
        codes, weights, mass = imputer.impute_one(patient)
    except TooAmbiguousError:
        return Probabilities.missing(len(donors), common_pb2.PROBABILITY_STATUS_TOO_AMBIGUOUS)
    if not mass:
        why = common_pb2.PROBABILITY_STATUS_PATIENT_UNREPRESENTED
        return Probabilities.missing(len(donors), why)
    if len(weights) > LIMITS.patient_genotypes:
        return Probabilities.missing(len(donors), common_pb2.PROBABILITY_STATUS_TOO_AMBIGUOUS)
    status = [_donor_status(imputer, donor, len(weights)) for donor in donors]
    known = [i for i, s in enumerate(status) if s == common_pb2.PROBABILITY_STATUS_COMPUTED]
    found = np.full((len(donors), 3), np.nan)
    imputed = imputer.impute(donor for i in known if (donor := donors[i]) is not None)
    found[known] = predict(imputer, (codes, weights), imputed).p_mismatches
    return Probabilities(found, status)


def _donor_status(
    imputer: Imputer, donor: Typing | None, n_patient: int
) -> common_pb2.ProbabilityStatus:
    if donor is None:
        return common_pb2.PROBABILITY_STATUS_DONOR_CHANGED
    try:
        _, weights, mass = imputer.impute_one(donor)
    except TooAmbiguousError:
        return common_pb2.PROBABILITY_STATUS_TOO_AMBIGUOUS
    if not mass:
        return common_pb2.PROBABILITY_STATUS_DONOR_UNREPRESENTED
    if n_patient * len(weights) > LIMITS.genotype_pairs:
        return common_pb2.PROBABILITY_STATUS_TOO_AMBIGUOUS
    return common_pb2.PROBABILITY_STATUS_COMPUTED


def score_pair_answer(
    snapshot: Snapshot, message: graftmatch_pb2.ScorePairRequest
) -> graftmatch_pb2.ScorePairResponse:
    """Raises `RequestError`."""
    request = convert.pair_request(message, snapshot.nomenclature)
    matches = match_one(request.patient, request.donor, snapshot.nomenclature, request.loci)
    detail = PairDetails(snapshot.nomenclature, snapshot.proteins).of(
        request.patient, request.donor, matches.tce[0], request.loci
    )
    imputer = snapshot.imputer()
    if imputer is None:
        found = Probabilities.missing(1, common_pb2.PROBABILITY_STATUS_NO_FREQUENCY_SET)
    else:
        found = probabilities(imputer, request.patient, [request.donor])
    return graftmatch_pb2.ScorePairResponse(
        provenance=provenance(snapshot),
        comparison=convert.comparisons(matches, found)[0],
        notes=request.notes,
        detail=convert_typing.pair_detail(detail),
    )


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
    solution = allocate(problem)
    return convert.allocation_response(
        problem, solution, explanations(problem, solution), provenance(snapshot)
    )


class GraftMatchServicer(graftmatch_pb2_grpc.GraftMatchServiceServicer):
    """Answers from one snapshot; computes on the threads of `pool`."""

    def __init__(self, snapshot: Snapshot, pool: Executor) -> None:
        self._snapshot, self._pool = snapshot, pool

    async def ParseTyping(  # noqa: N802
        self, request: graftmatch_pb2.ParseTypingRequest, context: Any
    ) -> graftmatch_pb2.ParseTypingResponse:
        """See the proto."""
        return await self._run(context, parse_typing_answer, self._snapshot, request)

    async def ExplainTyping(  # noqa: N802
        self, request: graftmatch_pb2.ExplainTypingRequest, context: Any
    ) -> graftmatch_pb2.ExplainTypingResponse:
        """See the proto."""
        return await self._run(context, explain_typing_answer, self._snapshot, request)

    async def SearchDonors(  # noqa: N802
        self, request: graftmatch_pb2.SearchDonorsRequest, context: Any
    ) -> AsyncIterator[graftmatch_pb2.SearchDonorsResponse]:
        """See the proto. A cancelled stream stops after the batch that is being computed."""
        search = await self._run(context, Search.run, self._snapshot, request)
        for start in range(0, max(search.n_returned, 1), search.request.batch_size):
            yield await self._run(context, search.batch, start)

    async def ScorePair(  # noqa: N802
        self, request: graftmatch_pb2.ScorePairRequest, context: Any
    ) -> graftmatch_pb2.ScorePairResponse:
        """See the proto."""
        return await self._run(context, score_pair_answer, self._snapshot, request)

    async def PredictRisk(  # noqa: N802
        self, request: graftmatch_pb2.PredictRiskRequest, context: Any
    ) -> graftmatch_pb2.PredictRiskResponse:
        """See the proto."""
        return await self._run(context, predict_risk_answer, self._snapshot, request)

    async def AllocateDonors(  # noqa: N802
        self, request: graftmatch_pb2.AllocateDonorsRequest, context: Any
    ) -> graftmatch_pb2.AllocateDonorsResponse:
        """See the proto."""
        return await self._run(context, allocate_answer, self._snapshot, request)

    async def _run(self, context: Any, function: Callable[..., T], *arguments: Any) -> T:
        """`function` in a thread; an error ends the call with its status."""
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._pool, function, *arguments)
        except Exception as error:
            await _abort(context, error)


async def _abort(context: Any, error: Exception) -> NoReturn:
    if not is_told(error):
        # Where it happened and no more: the text of an error may quote a typing.
        where = "; ".join(f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__))
        _LOG.error("%s, %s at %s", code_of(error).name, type(error).__name__, where)
    status = rpc_status.to_status(status_of(error))
    await context.abort(status.code, status.details, status.trailing_metadata)
    raise AssertionError("abort raises")
