"""The call that is being answered: who made it, and whether its work may stop."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import grpc
from grpc_status import rpc_status

from service.security.tokens import Caller
from service.status import CallEndedError, code_of, is_told, status_of

_LOG = logging.getLogger("graftmatch.service")
T = TypeVar("T")


@dataclass
class Call:
    """`code`: how it ended, None before. `ended`: nobody waits for its work any more."""

    rpc: str
    request_id: str
    caller: Caller
    code: grpc.StatusCode | None = None
    ended: bool = False


# The call of the present task, also in the threads that compute for it; None outside of calls.
CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)


def checkpoint() -> None:
    """Called between parts of a long computation. Raises `CallEndedError` if it may stop."""
    call = CURRENT.get()
    if call is not None and call.ended:
        raise CallEndedError("the caller does not wait any more")


def watched(items: Iterable[T]) -> Iterator[T]:
    """Items as long as anybody waits for what is made of them. Raises `CallEndedError`."""
    for item in items:
        checkpoint()
        yield item


async def abort(context: Any, error: Exception) -> NoReturn:
    """End the present call with the status of an error; one that is not told is logged."""
    code = code_of(error)
    call = CURRENT.get()
    if call is not None:
        call.code = code
    if not is_told(error):
        # Where it happened and no more: the text of an error may quote a typing.
        where = "; ".join(f"{f.name}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__))
        _LOG.error("%s, %s at %s", code.name, type(error).__name__, where)
    status = rpc_status.to_status(status_of(error))
    told = status.trailing_metadata + context.trailing_metadata()
    await context.abort(status.code, status.details, told)
    raise AssertionError("abort raises")
