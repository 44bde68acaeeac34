"""What every call of the service passes: token, admission, audit, metrics, log and span."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import re
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from concurrent.futures import Executor
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.trace import NoOpTracer, Span, SpanKind, StatusCode, Tracer

from service.calls import CURRENT, Call, CallEndedError
from service.observability import metrics
from service.observability.logs import call_log
from service.security.access import ACCESS, SERVICE_OF, SERVICES, Access, check_role
from service.security.audit import AuditLog
from service.security.caller import ANYONE, Caller
from service.security.tokens import Tokens
from service.status import (
    AuditError,
    ForbiddenError,
    NotReadyError,
    OverloadedError,
    RequestError,
    UnauthenticatedError,
    Violation,
    abort,
)

_LOG = logging.getLogger("graftmatch.service")
# Hexadecimal, such as a UUID, so that nothing that tells of a person gets into logs by it.
_REQUEST_ID = re.compile(r"[0-9a-fA-F-]{8,36}")
_RETRY_SECONDS = (0.1, 30.0)
# A client gives up when its own clock says so, which may be a little before ours does.
_CLOCK_SECONDS = 0.1
# Weight of the last call in the mean time of calls.
_NEWEST = 0.1
_OURS = ("INTERNAL", "UNAVAILABLE")


class CallInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Of one process.

    `pool` hashes identifiers for `audit`. At most `max_calls` are taken at once; a message that
    nobody reads, or that does not come, for `stall_seconds` ends its call. `ready` turns true once
    there is something to answer from. `tokens`, `audit`: None where none are asked for, none is
    written.
    """

    def __init__(
        self,
        pool: Executor,
        max_calls: int,
        stall_seconds: float,
        tokens: Tokens | None = None,
        audit: AuditLog | None = None,
        tracer: Tracer | None = None,
    ) -> None:
        self._pool, self._max_calls, self._stall_seconds = pool, max_calls, stall_seconds
        self._tokens, self._audit, self._tracer = tokens, audit, tracer or NoOpTracer()
        self._log = call_log()
        self._random = random.Random(os.urandom(16))
        self._in_flight = 0
        self._unread: set[asyncio.Task[None]] = set()
        self._mean_seconds = 0.0
        self.ready = False

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], details: Any
    ) -> Any:
        """Wraps the calls of our services; health and reflection are anyone's."""
        handler = await continuation(details)
        service, _, rpc = details.method.strip("/").partition("/")
        if handler is None or service not in SERVICES:
            return handler
        sent = {key: value for key, value in details.invocation_metadata if isinstance(value, str)}
        asked = sent.get("x-request-id", "")
        call = Call(rpc, asked if _REQUEST_ID.fullmatch(asked) else self._new_id(), ANYONE)
        parent = extract(sent)
        try:
            call.caller = self._caller(sent.get("authorization", ""))
            check_role(call.caller, rpc)
            self._check_room()
        except (UnauthenticatedError, ForbiddenError, OverloadedError, NotReadyError) as error:
            return self._refusal(call, parent, error)
        return self._wrapped(handler, call, parent)

    def _new_id(self) -> str:
        # Those of `uuid` ask the system each time, and no secret hangs on one.
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _caller(self, authorization: str) -> Caller:
        return ANYONE if self._tokens is None else self._tokens.caller(authorization)

    def _check_room(self) -> None:
        if not self.ready:
            raise NotReadyError("the server is still reading its data")
        if self._in_flight >= self._max_calls:
            # The calls that are there now have mostly ended after the mean time of calls.
            low, high = _RETRY_SECONDS
            raise OverloadedError(min(max(self._mean_seconds, low), high))

    def _refusal(self, call: Call, parent: Context, error: Exception) -> Any:
        """A handler that reads nothing of the request."""

        async def refuse() -> None:
            raise error

        async def behaviour(_: Any, context: Any) -> None:
            await self._conduct(call, context, parent, refuse)

        return grpc.stream_stream_rpc_method_handler(behaviour)

    def _wrapped(self, handler: Any, call: Call, parent: Context) -> Any:
        access = ACCESS[call.rpc]
        make: Callable[..., Any]
        work: Callable[..., Awaitable[Any]]
        if handler.request_streaming:
            make, work = grpc.stream_unary_rpc_method_handler, self._received
        elif handler.response_streaming:
            make, work = grpc.unary_stream_rpc_method_handler, self._stream
        else:
            make, work = grpc.unary_unary_rpc_method_handler, self._single

        async def behaviour(request: Any, context: Any) -> Any:
            async def admitted() -> Any:
                # Others may have come since the call was let in.
                self._check_room()
                self._in_flight += 1
                metrics.IN_FLIGHT.inc()
                try:
                    if not handler.request_streaming:
                        await self._note(call, access.asked(_decoded(request)))
                        await self._note(call, access.kept(request), override=True)
                    return await work(handler, access, call, request, context)
                finally:
                    self._in_flight -= 1
                    metrics.IN_FLIGHT.dec()

            return await self._conduct(call, context, parent, admitted)

        read = partial(_decode, handler.request_deserializer)
        return make(behaviour, read, handler.response_serializer)

    async def _single(
        self, handler: Any, access: Access, call: Call, request: Any, context: Any
    ) -> Any:
        answer = await handler.unary_unary(request, context)
        await self._note(call, access.told(answer))
        return answer

    async def _received(
        self, handler: Any, access: Access, call: Call, requests: Any, context: Any
    ) -> Any:
        answer = await handler.stream_unary(self._sent(aiter(requests)), context)
        await self._note(call, access.told(answer))
        return answer

    async def _sent(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The messages of a client, as long as they come."""
        while True:
            try:
                async with asyncio.timeout(self._stall_seconds):
                    message = await anext(requests)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise CallEndedError("the rest of the request does not come") from None
            yield _decoded(message)

    async def _stream(
        self, handler: Any, access: Access, call: Call, request: Any, context: Any
    ) -> None:
        async with aclosing(handler.unary_stream(request, context)) as answers:
            async for answer in answers:
                await self._note(call, (*access.told(answer), *call.records))
                call.records = ()
                try:
                    async with asyncio.timeout(self._stall_seconds):
                        await context.write(answer)
                except TimeoutError:
                    ending = asyncio.create_task(_end_unread(context))
                    self._unread.add(ending)
                    ending.add_done_callback(self._unread.discard)
                    raise asyncio.CancelledError from None

    async def _note(self, call: Call, identifiers: Iterable[str], override: bool = False) -> None:
        """Write records into the audit log, if there are any."""
        if self._audit is None or not (named := list(identifiers)):
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._pool, self._audit.records, call, named, override)

    async def _conduct(
        self, call: Call, context: Any, parent: Context, work: Callable[[], Awaitable[Any]]
    ) -> Any:
        """What `work` returns; whatever it raises ends the call with a status, and is told of."""
        # Each call has a task of its own.
        CURRENT.set(call)
        began = time.perf_counter()
        context.set_trailing_metadata((("x-request-id", call.request_id),))
        with self._tracer.start_as_current_span(
            f"{SERVICE_OF[call.rpc]}/{call.rpc}",
            parent,
            SpanKind.SERVER,
            {"rpc.system": "grpc", "graftmatch.request_id": call.request_id},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                answer = await work()
                if self._audit is not None:
                    self._audit.outcome(call, "OK", time.perf_counter() - began)
                call.code = "OK"
                return answer
            except grpc.aio.AbortError:
                raise
            except asyncio.CancelledError:
                left = context.time_remaining()
                late = left is not None and left <= _CLOCK_SECONDS
                call.code = "DEADLINE_EXCEEDED" if late else "CANCELLED"
                raise
            except Exception as error:
                await abort(context, error)
            finally:
                call.ended = True
                self._tell(call, span, time.perf_counter() - began)

    def _tell(self, call: Call, span: Span, seconds: float) -> None:
        code = call.code or "INTERNAL"
        if code == "OK":
            self._mean_seconds += _NEWEST * (seconds - self._mean_seconds)
        elif self._audit is not None and code != "UNAUTHENTICATED":
            # Strangers are told of in the log alone: they must not be able to fill this disk.
            try:
                self._audit.outcome(call, code, seconds)
            except AuditError:
                _LOG.error("the audit log cannot be written")
        metrics.CALLS.labels(call.rpc, code).inc()
        metrics.SECONDS.labels(call.rpc).observe(seconds)
        span.set_attribute("rpc.grpc.status_code", grpc.StatusCode[code].value[0])
        if code in _OURS:
            span.set_status(StatusCode.ERROR)
        self._log.info(
            "call",
            rpc=call.rpc,
            code=code,
            milliseconds=round(1000 * seconds, 1),
            site=call.caller.site,
            token=call.caller.token,
        )


class _Malformed:
    """In place of a message whose bytes are none: gRPC itself would call that INTERNAL."""


def _decode(deserialize: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return deserialize(data)
    except DecodeError:
        return _Malformed()


def _decoded(message: Any) -> Any:
    """Raises `RequestError`."""
    if isinstance(message, _Malformed):
        raise RequestError([Violation("", "the bytes are no message of this call")])
    return message


async def _end_unread(context: Any) -> None:
    """End a stream whose client does not read; the status waits behind what is not read."""
    # It ends with an error however it ends, such as a connection that is closed.
    with suppress(Exception):
        await abort(context, CallEndedError("the answer is not read"))
