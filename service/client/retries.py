"""How long a call may take, and when it is made again."""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

Q = TypeVar("Q", bound=Message)
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 5.0


def with_request_id(request: Q, repeatable: bool) -> tuple[Q, bool]:
    """The request with an identifier of its own where it may have one, and whether the call may
    be made again: the server does nothing twice for one identifier."""
    if "request_id" not in request.DESCRIPTOR.fields_by_name:
        return request, repeatable
    asked: Any = type(request)()
    asked.CopyFrom(request)
    asked.request_id = asked.request_id or str(uuid.uuid4())
    return asked, True


@dataclass(frozen=True)
class Patience:
    """`seconds`: deadline of a call with all its retries; `tries`: how often it is made at most."""

    seconds: float = 60.0
    tries: int = 5

    def call(self, make: Callable[[float], Any], repeatable: bool) -> Any:
        """What `make` returns, given the seconds that are left. Raises `grpc.RpcError`."""
        (found,) = self._attempts(lambda left: iter((make(left),)), repeatable)
        return found

    def stream(self, make: Callable[[float], Iterator[Any]], repeatable: bool) -> Iterator[Any]:
        """The messages of a stream. Raises `grpc.RpcError`."""
        return self._attempts(make, repeatable)

    def _attempts(self, make: Callable[[float], Iterator[Any]], repeatable: bool) -> Iterator[Any]:
        until = time.monotonic() + self.seconds
        for attempt in range(1, self.tries + 1):
            begun = False
            try:
                for message in make(max(until - time.monotonic(), 0.0)):
                    begun = True
                    yield message
                return
            except grpc.RpcError as error:
                wait = _wait_seconds(error, attempt, repeatable)
                is_last = begun or attempt == self.tries
                if wait is None or is_last or time.monotonic() + wait >= until:
                    raise
            time.sleep(wait)


def _wait_seconds(error: grpc.RpcError, attempt: int, repeatable: bool) -> float | None:
    """How long to wait before a call is made again, None where it must not be.

    A server that has too much to do refuses before it begins, and says how long to wait. One that
    is not there may have done what was asked.
    """
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE and repeatable:
        longest = min(_FIRST_SECONDS * 2 ** (attempt - 1), _LONGEST_SECONDS)
        # By chance, so that many clients do not come back together.
        return random.uniform(longest / 2, longest)
    if code is not grpc.StatusCode.RESOURCE_EXHAUSTED:
        return None
    status = rpc_status.from_call(error)
    retry = error_details_pb2.RetryInfo()
    for detail in () if status is None else status.details:
        if detail.Unpack(retry):
            seconds: float = retry.retry_delay.ToTimedelta().total_seconds()
            return random.uniform(seconds, 1.5 * seconds)
    return None
