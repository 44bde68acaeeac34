"""Every call of the service in one table: who may make it, and whose records it is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from service.security.caller import Caller, Role
from service.status import ForbiddenError

Ids = Callable[[Any], Iterable[str]]


def _nobody(_: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True)
class Access:
    """`roles`: any of them is enough; `Role.ADMIN` always is.

    `asked`, `told`: identifiers of records in a request and in a message of the answer, for the
    audit log.
    """

    roles: frozenset[Role]
    asked: Ids = _nobody
    told: Ids = _nobody


_SEARCH = frozenset({Role.SEARCH})
_ANALYSE = frozenset({Role.SEARCH, Role.ANALYST})
ACCESS: Mapping[str, Access] = {
    "ParseTyping": Access(_ANALYSE),
    "ExplainTyping": Access(_ANALYSE),
    "SearchDonors": Access(_SEARCH, told=lambda answer: (c.donor for c in answer.candidates)),
    "ScorePair": Access(_SEARCH),
    "PredictRisk": Access(_ANALYSE),
    "AllocateDonors": Access(_SEARCH, asked=lambda request: (*request.patients, *request.donors)),
}


def check_role(caller: Caller, rpc: str) -> None:
    """Raises `ForbiddenError` unless a caller may make a call; nobody may make one not listed."""
    allowed = ACCESS[rpc].roles | {Role.ADMIN} if rpc in ACCESS else frozenset()
    if not allowed & caller.roles:
        raise ForbiddenError(f"the token of this call is not for {rpc}")
