"""The call that is being answered: who made it, and whether its work may stop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TypeVar

from matching.errors import GraftmatchError
from service.security.caller import Caller

T = TypeVar("T")


class CallEndedError(GraftmatchError):
    """The work of a call whose caller does not wait any more; nobody is told."""


@dataclass
class Call:
    """`code`: name of the status it ended with, None before. `ended`: nobody waits any more.

    `records`: identifiers of those whom the next message tells of, where it does not name them.
    """

    rpc: str
    request_id: str
    caller: Caller
    code: str | None = None
    ended: bool = False
    records: Sequence[str] = ()

    def may_stop(self) -> bool:
        """Whether nobody waits for what is computed for it."""
        return self.ended


# The call of the present task, also in the threads that compute for it; None outside of calls.
CURRENT: ContextVar[Call | None] = ContextVar("call", default=None)


def current() -> Call:
    """The call that this thread or task works for."""
    call = CURRENT.get()
    assert call is not None, "outside of a call"
    return call


def checkpoint() -> None:
    """Called between parts of a long computation. Raises `CallEndedError` if it may stop."""
    call = CURRENT.get()
    if call is not None and call.may_stop():
        raise CallEndedError("the caller does not wait any more")


def watched(items: Iterable[T]) -> Iterator[T]:
    """Items as long as anybody waits for what is made of them. Raises `CallEndedError`."""
    for item in items:
        checkpoint()
        yield item
