"""Every call of the services, typed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.message import Message

from service.client.retries import Patience, with_request_id
from service.pb.graftmatch.v1 import (
    antibodies_pb2,
    audit_pb2,
    family_pb2,
    graftmatch_pb2,
    jobs_pb2,
    nomenclature_pb2,
    prediction_pb2,
    registry_pb2,
    risk_models_pb2,
    saved_searches_pb2,
)

Q = TypeVar("Q", bound=Message)
A = TypeVar("A", bound=Message)

_METHODS: Mapping[str, str] = {
    method.name: f"/{service.full_name}/{method.name}"
    for proto in (graftmatch_pb2, registry_pb2, jobs_pb2, saved_searches_pb2, audit_pb2)
    for service in proto.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}


# All servers of an address, but those whose health says that they begin or end.
_SERVERS = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
}


@dataclass(frozen=True)
class _Method(Generic[Q, A]):
    """A call of one request. `repeatable`: making it again does no more than making it once."""

    name: str
    answer: type[A]
    repeatable: bool = True

    def made(self, channel: grpc.Channel, kind: str) -> Any:
        return getattr(channel, kind)(
            _METHODS[self.name],
            request_serializer=lambda request: request.SerializeToString(),
            response_deserializer=self.answer.FromString,
        )


@dataclass(frozen=True)
class Unary(_Method[Q, A]):
    """One answer."""

    def __get__(self, client: Client, _: type[Client]) -> Callable[[Q], A]:
        def call(request: Q) -> A:
            request, repeatable = with_request_id(request, self.repeatable)
            make = self.made(client.channel, "unary_unary")
            found: A = client.patience.call(
                lambda seconds: make(request, timeout=seconds, metadata=client.metadata),
                repeatable,
            )
            return found

        return call


@dataclass(frozen=True)
class Streamed(_Method[Q, A]):
    """A stream of answers. It is begun again only where nothing of it has come yet."""

    def __get__(self, client: Client, _: type[Client]) -> Callable[[Q], Iterator[A]]:
        def call(request: Q) -> Iterator[A]:
            request, repeatable = with_request_id(request, self.repeatable)
            make = self.made(client.channel, "unary_stream")
            return client.patience.stream(
                lambda seconds: make(request, timeout=seconds, metadata=client.metadata),
                repeatable,
            )

        return call


@dataclass(frozen=True)
class Client:
    """The calls of a server, each with its request; raises `grpc.RpcError`.

    `metadata` goes with every call, `patience` says how long and how often each is tried.
    """

    channel: grpc.Channel
    patience: Patience
    metadata: tuple[tuple[str, str], ...] = ()

    parse_typing = Unary[graftmatch_pb2.ParseTypingRequest, graftmatch_pb2.ParseTypingResponse](
        "ParseTyping", graftmatch_pb2.ParseTypingResponse
    )
    explain_typing = Unary[
        graftmatch_pb2.ExplainTypingRequest, graftmatch_pb2.ExplainTypingResponse
    ]("ExplainTyping", graftmatch_pb2.ExplainTypingResponse)
    reduce_typing = Unary[
        nomenclature_pb2.ReduceTypingRequest, nomenclature_pb2.ReduceTypingResponse
    ]("ReduceTyping", nomenclature_pb2.ReduceTypingResponse)
    list_releases = Unary[
        nomenclature_pb2.ListReleasesRequest, nomenclature_pb2.ListReleasesResponse
    ]("ListReleases", nomenclature_pb2.ListReleasesResponse)
    search_donors = Streamed[
        graftmatch_pb2.SearchDonorsRequest, graftmatch_pb2.SearchDonorsResponse
    ]("SearchDonors", graftmatch_pb2.SearchDonorsResponse)
    stream_candidates = Streamed[
        graftmatch_pb2.StreamCandidatesRequest, graftmatch_pb2.StreamCandidatesResponse
    ]("StreamCandidates", graftmatch_pb2.StreamCandidatesResponse)
    search_strata = Streamed[
        graftmatch_pb2.SearchStrataRequest, graftmatch_pb2.SearchStrataResponse
    ]("SearchStrata", graftmatch_pb2.SearchStrataResponse)
    search_unit_pairs = Unary[
        graftmatch_pb2.SearchUnitPairsRequest, graftmatch_pb2.SearchUnitPairsResponse
    ]("SearchUnitPairs", graftmatch_pb2.SearchUnitPairsResponse)
    crossmatch_donors = Streamed[
        antibodies_pb2.CrossmatchDonorsRequest, antibodies_pb2.CrossmatchDonorsResponse
    ]("CrossmatchDonors", antibodies_pb2.CrossmatchDonorsResponse)
    analyse_family = Unary[family_pb2.AnalyseFamilyRequest, family_pb2.AnalyseFamilyResponse](
        "AnalyseFamily", family_pb2.AnalyseFamilyResponse
    )
    score_pair = Unary[graftmatch_pb2.ScorePairRequest, graftmatch_pb2.ScorePairResponse](
        "ScorePair", graftmatch_pb2.ScorePairResponse
    )
    score_pairs = Unary[graftmatch_pb2.ScorePairsRequest, graftmatch_pb2.ScorePairsResponse](
        "ScorePairs", graftmatch_pb2.ScorePairsResponse
    )
    predict_match = Unary[prediction_pb2.PredictMatchRequest, prediction_pb2.PredictMatchResponse](
        "PredictMatch", prediction_pb2.PredictMatchResponse
    )
    predict_risk = Unary[graftmatch_pb2.PredictRiskRequest, graftmatch_pb2.PredictRiskResponse](
        "PredictRisk", graftmatch_pb2.PredictRiskResponse
    )
    list_risk_models = Unary[
        risk_models_pb2.ListRiskModelsRequest, risk_models_pb2.ListRiskModelsResponse
    ]("ListRiskModels", risk_models_pb2.ListRiskModelsResponse)
    get_risk_model = Unary[
        risk_models_pb2.GetRiskModelRequest, risk_models_pb2.GetRiskModelResponse
    ]("GetRiskModel", risk_models_pb2.GetRiskModelResponse)
    allocate_donors = Unary[
        graftmatch_pb2.AllocateDonorsRequest, graftmatch_pb2.AllocateDonorsResponse
    ]("AllocateDonors", graftmatch_pb2.AllocateDonorsResponse)
    get_donor = Unary[registry_pb2.GetDonorRequest, registry_pb2.GetDonorResponse](
        "GetDonor", registry_pb2.GetDonorResponse
    )
    list_donors = Unary[registry_pb2.ListDonorsRequest, registry_pb2.ListDonorsResponse](
        "ListDonors", registry_pb2.ListDonorsResponse
    )
    delete_donor = Unary[registry_pb2.DeleteDonorRequest, registry_pb2.DeleteDonorResponse](
        "DeleteDonor", registry_pb2.DeleteDonorResponse, repeatable=False
    )
    get_statistics = Unary[registry_pb2.GetStatisticsRequest, registry_pb2.GetStatisticsResponse](
        "GetStatistics", registry_pb2.GetStatisticsResponse
    )
    submit_job = Unary[jobs_pb2.SubmitJobRequest, jobs_pb2.SubmitJobResponse](
        "SubmitJob", jobs_pb2.SubmitJobResponse, repeatable=False
    )
    get_job = Unary[jobs_pb2.GetJobRequest, jobs_pb2.GetJobResponse](
        "GetJob", jobs_pb2.GetJobResponse
    )
    list_jobs = Unary[jobs_pb2.ListJobsRequest, jobs_pb2.ListJobsResponse](
        "ListJobs", jobs_pb2.ListJobsResponse
    )
    wait_job = Unary[jobs_pb2.WaitJobRequest, jobs_pb2.WaitJobResponse](
        "WaitJob", jobs_pb2.WaitJobResponse
    )
    cancel_job = Unary[jobs_pb2.CancelJobRequest, jobs_pb2.CancelJobResponse](
        "CancelJob", jobs_pb2.CancelJobResponse
    )
    delete_job = Unary[jobs_pb2.DeleteJobRequest, jobs_pb2.DeleteJobResponse](
        "DeleteJob", jobs_pb2.DeleteJobResponse, repeatable=False
    )
    read_job_results = Streamed[jobs_pb2.ReadJobResultsRequest, jobs_pb2.ReadJobResultsResponse](
        "ReadJobResults", jobs_pb2.ReadJobResultsResponse
    )
    create_saved_search = Unary[
        saved_searches_pb2.CreateSavedSearchRequest, saved_searches_pb2.CreateSavedSearchResponse
    ]("CreateSavedSearch", saved_searches_pb2.CreateSavedSearchResponse, repeatable=False)
    run_saved_search = Streamed[
        saved_searches_pb2.RunSavedSearchRequest, saved_searches_pb2.RunSavedSearchResponse
    ]("RunSavedSearch", saved_searches_pb2.RunSavedSearchResponse, repeatable=False)
    get_saved_search = Unary[
        saved_searches_pb2.GetSavedSearchRequest, saved_searches_pb2.GetSavedSearchResponse
    ]("GetSavedSearch", saved_searches_pb2.GetSavedSearchResponse)
    list_saved_searches = Unary[
        saved_searches_pb2.ListSavedSearchesRequest, saved_searches_pb2.ListSavedSearchesResponse
    ]("ListSavedSearches", saved_searches_pb2.ListSavedSearchesResponse)
    delete_saved_search = Unary[
        saved_searches_pb2.DeleteSavedSearchRequest, saved_searches_pb2.DeleteSavedSearchResponse
    ]("DeleteSavedSearch", saved_searches_pb2.DeleteSavedSearchResponse, repeatable=False)

    read_audit_log = Streamed[audit_pb2.ReadAuditLogRequest, audit_pb2.ReadAuditLogResponse](
        "ReadAuditLog", audit_pb2.ReadAuditLogResponse
    )

    def import_donors(
        self, options: registry_pb2.ImportOptions, parts: Iterable[bytes]
    ) -> registry_pb2.ImportDonorsResponse:
        """Import a file, part by part. It is tried once: the parts cannot be read again. To repeat
        it, give the same `request_id` in the options."""

        def messages() -> Iterator[registry_pb2.ImportDonorsRequest]:
            yield registry_pb2.ImportDonorsRequest(options=with_request_id(options, False)[0])
            for part in parts:
                yield registry_pb2.ImportDonorsRequest(data=part)

        answer = registry_pb2.ImportDonorsResponse
        method = _Method[Message, registry_pb2.ImportDonorsResponse]("ImportDonors", answer)
        found: registry_pb2.ImportDonorsResponse = method.made(self.channel, "stream_unary")(
            messages(), timeout=self.patience.seconds, metadata=self.metadata
        )
        return found


def pages(call: Callable[[Q], A] | Callable[[Q], Iterator[A]], request: Q) -> Iterator[A]:
    """The answers of a call with pages, one after the other, from that of `request` on."""
    asked: Any = type(request)()
    asked.CopyFrom(request)
    while True:
        answer: Any = call(asked)
        token = ""
        for message in [answer] if isinstance(answer, Message) else answer:
            token = message.next_page_token
            yield message
        if not token:
            return
        asked.page_token = token


@contextmanager
def connect(
    address: str,
    token: str | None = None,
    ca: Path | None = None,
    certificate: tuple[Path, Path] | None = None,
    insecure: bool = False,
    seconds: float = 60.0,
    tries: int = 5,
) -> Iterator[Client]:
    """A client of `HOST:PORT` for as long as it is needed.

    Where the name stands for several addresses, or they are given as `ipv4:ADDRESS:PORT,...`, calls
    go to those servers in turn that say that they answer.

    Over TLS: `ca` holds the certificates of who signed the server's, by default those that gRPC
    trusts; `certificate`: the client's own and its key. `insecure`: without TLS, where nobody else
    listens. `seconds`: deadline of a call, retries included; `tries`: how often it is made at most.
    """
    options = (
        # A stream of many donors comes in large messages.
        ("grpc.max_receive_message_length", -1),
        ("grpc.service_config", json.dumps(_SERVERS)),
    )
    if insecure:
        channel = grpc.insecure_channel(address, options)
    else:
        own = (None, None) if certificate is None else tuple(p.read_bytes() for p in certificate)
        root = None if ca is None else ca.read_bytes()
        credentials = grpc.ssl_channel_credentials(root, own[1], own[0])
        channel = grpc.secure_channel(address, credentials, options)
    metadata = () if token is None else (("authorization", f"Bearer {token}"),)
    with channel:
        yield Client(channel, Patience(seconds, tries), metadata)
