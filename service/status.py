"""Errors as gRPC status: one table, and `google.rpc.BadRequest` for what a caller can correct."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from matching.errors import (
    AllocationError,
    CohortError,
    FamilyError,
    GraftmatchError,
    InputFileError,
    ModelError,
    NomenclatureError,
    OutputError,
    RecordError,
    StoreError,
    TooAmbiguousError,
    TypingError,
    TypingPlanError,
)
from service.calls import CURRENT, CallEndedError

_LOG = logging.getLogger("graftmatch.service")
# Status details travel in HTTP/2 headers, which clients limit to 8 KB.
MAX_VIOLATIONS = 20
MAX_REASON_CHARACTERS = 200
NOT_TOLD = "the server could not answer; its log says why"


class ServerError(GraftmatchError):
    """The server cannot listen where it was told to."""


class UnauthenticatedError(GraftmatchError):
    """A call without a token that is valid now."""


class ForbiddenError(GraftmatchError):
    """A call that the token is not for."""


class NotReadyError(GraftmatchError):
    """A call before the server has read its data."""


class AuditError(GraftmatchError):
    """A call that is not answered, since the audit log cannot be written, or not read."""


class OverloadedError(GraftmatchError):
    """A call beyond what the server takes now; `retry_seconds`: when to try again."""

    def __init__(self, retry_seconds: float, why: str = "too many calls at once") -> None:
        self.retry_seconds = retry_seconds
        super().__init__(f"{why}; try again in {retry_seconds:.1f} s")


class NotFoundError(GraftmatchError):
    """There is nothing of the name that was asked for."""


class TakenError(GraftmatchError):
    """Something of the name that was given is there already."""


class StateError(GraftmatchError):
    """What a call is about is not in a state for it."""


class QuotaError(GraftmatchError):
    """More than a site may keep."""


class UnderWayError(GraftmatchError):
    """A call with the request id of one that is being answered."""


class EmptyRegistryError(StoreError):
    """A search without donors: none was imported when the server started."""


class Violation(NamedTuple):
    """A field of a request, such as `edges[3].utility`, and what is wrong with it."""

    field: str
    reason: str


class RequestError(GraftmatchError):
    """A malformed request. `violations`: every problem that was found."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(
            Violation(_cut(field), _cut(reason)) for field, reason in violations[:MAX_VIOLATIONS]
        )
        more = len(violations) - 1
        field, reason = self.violations[0]
        named = f"{field}: {reason}" if field else reason
        super().__init__(named + (f" (and {more} more)" if more else ""))

    def __reduce__(self) -> tuple[type[RequestError], tuple[tuple[Violation, ...]]]:
        """So that it comes whole from another process."""
        return type(self), (self.violations,)


def _cut(text: str) -> str:
    if len(text) <= MAX_REASON_CHARACTERS:
        return text
    return text[: MAX_REASON_CHARACTERS - 3] + "..."


# An error has the status of its nearest class. The text of those in `_TOLD` goes to the caller;
# that of the others may name the server's files.
STATUS: Mapping[type[GraftmatchError], grpc.StatusCode] = {
    RequestError: grpc.StatusCode.INVALID_ARGUMENT,
    TypingError: grpc.StatusCode.INVALID_ARGUMENT,
    TooAmbiguousError: grpc.StatusCode.INVALID_ARGUMENT,
    RecordError: grpc.StatusCode.INVALID_ARGUMENT,
    CohortError: grpc.StatusCode.INVALID_ARGUMENT,
    FamilyError: grpc.StatusCode.INVALID_ARGUMENT,
    EmptyRegistryError: grpc.StatusCode.FAILED_PRECONDITION,
    NotFoundError: grpc.StatusCode.NOT_FOUND,
    TakenError: grpc.StatusCode.ALREADY_EXISTS,
    StateError: grpc.StatusCode.FAILED_PRECONDITION,
    QuotaError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnderWayError: grpc.StatusCode.ABORTED,
    UnauthenticatedError: grpc.StatusCode.UNAUTHENTICATED,
    ForbiddenError: grpc.StatusCode.PERMISSION_DENIED,
    OverloadedError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    NotReadyError: grpc.StatusCode.UNAVAILABLE,
    AuditError: grpc.StatusCode.UNAVAILABLE,
    CallEndedError: grpc.StatusCode.CANCELLED,
    StoreError: grpc.StatusCode.UNAVAILABLE,
    ServerError: grpc.StatusCode.UNAVAILABLE,
    NomenclatureError: grpc.StatusCode.UNAVAILABLE,
    ModelError: grpc.StatusCode.UNAVAILABLE,
    OutputError: grpc.StatusCode.UNAVAILABLE,
    # A malformed problem is a RequestError; what is left is a solver without an optimum.
    AllocationError: grpc.StatusCode.INTERNAL,
    TypingPlanError: grpc.StatusCode.INTERNAL,
    InputFileError: grpc.StatusCode.INTERNAL,
}
_TOLD = (
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.CANCELLED,
)


def code_of(error: BaseException) -> grpc.StatusCode:
    """The status of an error; INTERNAL for one that is not in the table."""
    for kind in type(error).__mro__:
        if kind in STATUS:
            return STATUS[kind]
    return grpc.StatusCode.INTERNAL


def is_told(error: BaseException) -> bool:
    """True if the caller is told what is wrong."""
    return code_of(error) in _TOLD or isinstance(error, NotReadyError)


def status_of(error: BaseException) -> Any:
    """An error as `google.rpc.Status`, violations in its details."""
    message = _cut(str(error)) if is_told(error) else NOT_TOLD
    status = status_pb2.Status(code=code_pb2.Code.Value(code_of(error).name), message=message)
    if isinstance(error, RequestError):
        status.details.add().Pack(
            error_details_pb2.BadRequest(
                field_violations=[
                    error_details_pb2.BadRequest.FieldViolation(field=field, description=reason)
                    for field, reason in error.violations
                ]
            )
        )
    if isinstance(error, OverloadedError):
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(round(1000 * error.retry_seconds))
        status.details.add().Pack(retry)
    return status


def places(error: BaseException) -> str:
    """Where an error happened, for logs: its text may quote a typing."""
    return "; ".join(f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__))


def refusal(error: BaseException) -> str:
    """What the operating system said, such as " (No space left on device)", for logs."""
    cause = error.__cause__
    return f" ({cause.strerror})" if isinstance(cause, OSError) and cause.strerror else ""


async def abort(context: Any, error: Exception) -> NoReturn:
    """End the present call with the status of an error; one that is not told is logged."""
    code = code_of(error)
    call = CURRENT.get()
    if call is not None:
        call.code = code.name
    if not is_told(error):
        kind = type(error).__name__ + refusal(error)
        _LOG.error("%s, %s at %s", code.name, kind, places(error))
    status = rpc_status.to_status(status_of(error))
    told = status.trailing_metadata + context.trailing_metadata()
    await context.abort(status.code, status.details, told)
    raise AssertionError("abort raises")
