"""Every call of the services in one table: who may make it, and whose records it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.convert.names import DONORS, identifier_of
from service.pb.graftmatch.v1 import (
    audit_pb2,
    graftmatch_pb2,
    jobs_pb2,
    registry_pb2,
    saved_searches_pb2,
)
from service.security.caller import Caller, Role
from service.status import ForbiddenError

Ids = Callable[[Any], Iterable[str]]
PROTOS = (graftmatch_pb2, registry_pb2, jobs_pb2, saved_searches_pb2, audit_pb2)
# Which service a call is of.
SERVICE_OF: Mapping[str, str] = {
    method.name: service.full_name
    for proto in PROTOS
    for service in proto.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
SERVICES = tuple(dict.fromkeys(SERVICE_OF.values()))


def _nobody(_: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True)
class Access:
    """`roles`: any of them is enough; `Role.ADMIN` always is.

    `asked`, `told`: identifiers of records in a request and in a message of the answer, for the
    audit log; `kept`: in a request, donors who are to be kept whatever their crossmatch. A stream
    of requests is not looked into.
    """

    roles: frozenset[Role]
    asked: Ids = _nobody
    told: Ids = _nobody
    kept: Ids = _nobody


def _named_donor(request: Any) -> Iterable[str]:
    return (identifier_of(request.name, DONORS),)


def _kept(request: Any) -> Iterable[str]:
    return (one.donor for one in request.antibodies.kept)


_SEARCH = frozenset({Role.SEARCH})
_ANALYSE = frozenset({Role.SEARCH, Role.ANALYST})
_IMPORT = frozenset({Role.IMPORT})
_READ = frozenset({Role.SEARCH, Role.IMPORT})
_ANYONE = frozenset({Role.SEARCH, Role.ANALYST, Role.IMPORT})
ACCESS: Mapping[str, Access] = {
    "ParseTyping": Access(_ANALYSE),
    "ExplainTyping": Access(_ANALYSE),
    "ReduceTyping": Access(_ANALYSE),
    "ListReleases": Access(_ANYONE),
    "StreamCandidates": Access(
        _SEARCH,
        told=lambda answer: answer.candidates.donors,
        kept=lambda request: _kept(request.search),
    ),
    "SearchDonors": Access(
        _SEARCH, told=lambda answer: (c.donor for c in answer.candidates), kept=_kept
    ),
    "SearchStrata": Access(
        _SEARCH,
        asked=lambda request: (member.id for member in request.family),
        told=lambda answer: (
            one.candidate.donor or one.relative.relative.id for one in answer.donors
        ),
        kept=lambda request: _kept(request.search),
    ),
    "SearchUnitPairs": Access(
        _SEARCH,
        told=lambda answer: (unit.donor for pair in answer.pairs for unit in pair.units),
        kept=lambda request: _kept(request.search),
    ),
    "CrossmatchDonors": Access(
        _SEARCH,
        asked=lambda request: (one.identifier for one in request.donors if one.identifier),
        told=lambda answer: (one.donor for one in answer.donors if one.donor),
    ),
    "AnalyseFamily": Access(
        _SEARCH, asked=lambda request: (member.id for member in request.members)
    ),
    "ScorePair": Access(_SEARCH),
    "ScorePairs": Access(_SEARCH),
    "PredictMatch": Access(_SEARCH),
    "PredictRisk": Access(_ANALYSE),
    "ListRiskModels": Access(_ANALYSE),
    "GetRiskModel": Access(_ANALYSE),
    "AllocateDonors": Access(_SEARCH, asked=lambda request: (*request.patients, *request.donors)),
    "ImportDonors": Access(
        _IMPORT,
        told=lambda answer: (
            one.donor for one in (*answer.rejects, *answer.differences) if one.donor
        ),
    ),
    "GetDonor": Access(_READ, asked=_named_donor),
    "ListDonors": Access(_READ, told=lambda answer: (d.identifier for d in answer.donors)),
    "DeleteDonor": Access(_IMPORT, asked=_named_donor),
    "GetStatistics": Access(_ANYONE),
    "SubmitJob": Access(
        _SEARCH,
        asked=lambda request: (patient.id for patient in request.list.patients),
        kept=_kept,
    ),
    "GetJob": Access(_SEARCH),
    "ListJobs": Access(_SEARCH),
    "WaitJob": Access(_SEARCH),
    "CancelJob": Access(_SEARCH),
    "DeleteJob": Access(_SEARCH),
    "ReadJobResults": Access(_SEARCH),
    "CreateSavedSearch": Access(_SEARCH),
    "RunSavedSearch": Access(
        _SEARCH, told=lambda answer: (one.donor for one in answer.differences)
    ),
    "GetSavedSearch": Access(_SEARCH),
    "ListSavedSearches": Access(_SEARCH),
    "DeleteSavedSearch": Access(_SEARCH),
    "ReadAuditLog": Access(
        frozenset({Role.ADMIN}),
        asked=lambda request: (request.record,) if request.record else (),
    ),
}


def check_role(caller: Caller, rpc: str) -> None:
    """Raises `ForbiddenError` unless a caller may make a call; nobody may make one not listed."""
    allowed = ACCESS[rpc].roles | {Role.ADMIN} if rpc in ACCESS else frozenset()
    if not allowed & caller.roles:
        raise ForbiddenError(f"the token of this call is not for {rpc}")
