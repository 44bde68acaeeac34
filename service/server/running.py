"""One process that serves: everything of the server but its worker processes."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from opentelemetry.trace import Tracer

from data.jobs import JobFolder
from service import apart
from service.answering import Answering
from service.audit_servicer import AuditServicer
from service.convert import LIMITS
from service.job_servicer import JobServicer
from service.jobs.runner import JobRunner
from service.observability.metrics import serve_metrics
from service.pb.graftmatch.v1 import (
    audit_pb2_grpc,
    graftmatch_pb2_grpc,
    jobs_pb2_grpc,
    registry_pb2_grpc,
    saved_searches_pb2_grpc,
)
from service.registry_servicer import RegistryServicer
from service.saved_search_servicer import SavedSearchServicer
from service.security.access import SERVICES
from service.security.audit import AuditLog, audit_key
from service.security.tls import Certificates
from service.security.tokens import Tokens
from service.server.computing import ComputePool
from service.server.interceptor import CallInterceptor
from service.server.listening import certificates, check_exposure, check_free
from service.server.reloading import keep_current
from service.server.warming import import_later
from service.server_settings import ServeSettings, address_of
from service.servicers import GraftMatchServicer
from service.snapshot import Snapshot
from service.status import ServerError

# Calls on one connection beyond those that are answered: health, reflection, and refusals. Of all
# connections together there may be any number: a watch of health never ends, nor does a call whose
# message never comes, and neither may keep others out.
_BESIDES = 100
# Calls that have come and not yet been looked at; gRPC drops more of them without a word.
_PENDING = 100_000
_PING_SECONDS = 10


def serve_alone(
    settings: ServeSettings, load: Callable[[], Snapshot], ready: Callable[[int, str], None]
) -> None:
    """Serve in this process alone. See `service.server.serve`."""
    check_exposure(settings)
    certificates(settings)
    check_free(settings.host, settings.port)
    with ExitStack() as stack:
        if settings.metrics_port is not None:
            stack.callback(serve_metrics(settings.metrics_port).stop)
        serve_one(settings, load, lambda port, snapshot: ready(port, snapshot.described))


def serve_one(
    settings: ServeSettings,
    load: Callable[[], Snapshot],
    ready: Callable[[int, Snapshot], None],
    shared: bool = False,
    stopped: Callable[[Callable[[], None]], None] = lambda _: None,
) -> None:
    """Serve until SIGTERM or SIGINT in the main thread of this process. See `run`.

    `stopped` is given what stops it, to be called in the event loop of this thread.
    """

    async def until_signalled() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        stopped(stopping.set)
        await run(settings, load, ready, stopping, shared)

    asyncio.run(until_signalled())


async def run(
    settings: ServeSettings,
    load: Callable[[], Snapshot],
    ready: Callable[[int, Snapshot], None],
    stopping: asyncio.Event,
    shared: bool = False,
) -> None:
    """Serve until `stopping` is set; calls under way then have `drain_seconds` to end.

    It listens at once, and answers once `load` has returned, in a thread; then `ready` is called
    with the port. `shared`: other processes listen on the port too. Raises `ServerError`, and what
    `load` raises.
    """
    with ExitStack() as stack:
        audit = stack.enter_context(_audit(settings))
        tracer = stack.enter_context(_tracer(settings))
        tokens = None if settings.tokens is None else Tokens(settings.tokens)
        tls = certificates(settings)
        # Threads that are still computing when the server has stopped are told so, and not
        # waited for.
        pool = ComputePool(settings.compute_threads)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        interceptor = CallInterceptor(
            pool, settings.max_calls, settings.stall_seconds, tokens, audit, tracer
        )
        changing = ThreadPoolExecutor(1, "change")
        stack.callback(changing.shutdown, wait=False, cancel_futures=True)
        answering = Answering(pool)
        server = grpc.aio.server(
            interceptors=(interceptor,),
            options=_options(settings, shared),
        )
        _register(server, answering, changing, settings, audit)
        healthy = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        if settings.reflection:
            reflection.enable_server_reflection(
                (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server
            )
        await _set_health(healthy, health_pb2.HealthCheckResponse.NOT_SERVING)
        port = _listen(server, settings, tls)
        await server.start()
        reloading: asyncio.Task[None] | None = None
        jobs: JobRunner | None = None
        try:
            snapshot = await _unless_stopped(_reading(load), stopping)
            if snapshot is not None:
                answering.snapshot = snapshot
                interceptor.ready = True
                await _set_health(healthy, health_pb2.HealthCheckResponse.SERVING)
                reloading = asyncio.create_task(keep_current(answering, settings.reload_seconds))
                jobs = JobRunner(
                    JobFolder(snapshot.home.jobs),
                    settings.job_slots,
                    settings.job_seconds,
                    lambda: answering.snapshot,
                )
                jobs.start()
                ready(port, snapshot)
                apart.prepare()
                changing.submit(import_later)
                # When other data are used, these are not kept.
                del snapshot
                await stopping.wait()
        finally:
            await healthy.enter_graceful_shutdown()
            if jobs is not None:
                jobs.stop()
            await server.stop(settings.drain_seconds)
            if jobs is not None:
                await asyncio.to_thread(jobs.join, settings.drain_seconds)
            if reloading is not None:
                reloading.cancel()
                with suppress(asyncio.CancelledError):
                    await reloading


def _register(
    server: Any,
    answering: Answering,
    changing: Executor,
    settings: ServeSettings,
    audit: AuditLog | None,
) -> None:
    register: Any = graftmatch_pb2_grpc.add_GraftMatchServiceServicer_to_server
    register(GraftMatchServicer(answering), server)
    register = registry_pb2_grpc.add_RegistryServiceServicer_to_server
    register(RegistryServicer(answering, changing), server)
    register = jobs_pb2_grpc.add_JobServiceServicer_to_server
    register(JobServicer(answering, settings), server)
    register = saved_searches_pb2_grpc.add_SavedSearchServiceServicer_to_server
    register(SavedSearchServicer(answering), server)
    register = audit_pb2_grpc.add_AuditServiceServicer_to_server
    register(AuditServicer(answering, audit), server)


def _reading(load: Callable[[], Snapshot]) -> asyncio.Future[Snapshot]:
    """What `load` returns, on a thread that the end of the process does not wait for."""
    found: Future[Snapshot] = Future()
    found.set_running_or_notify_cancel()

    def read() -> None:
        try:
            found.set_result(load())
        except BaseException as error:
            found.set_exception(error)

    threading.Thread(target=read, name="read", daemon=True).start()
    return asyncio.wrap_future(found)


async def _unless_stopped(
    reading: asyncio.Future[Snapshot], stopping: asyncio.Event
) -> Snapshot | None:
    """What is read; None if the server is to stop before."""
    told = asyncio.ensure_future(stopping.wait())
    await asyncio.wait((reading, told), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    if reading.done():
        return reading.result()
    reading.cancel()
    return None


async def _set_health(servicer: Any, status: int) -> None:
    for name in ("", *SERVICES):
        await servicer.set(name, status)


def _listen(server: Any, settings: ServeSettings, tls: Certificates | None) -> int:
    address = address_of(settings.host, settings.port)
    try:
        if tls is None:
            return int(server.add_insecure_port(address))
        return int(server.add_secure_port(address, tls.credentials()))
    except RuntimeError as error:
        raise ServerError(f"cannot listen on {address}; give another --port") from error


def _options(settings: ServeSettings, shared: bool) -> tuple[tuple[str, int], ...]:
    return (
        ("grpc.so_reuseport", int(shared)),
        ("grpc.max_receive_message_length", LIMITS.message_bytes),
        ("grpc.max_send_message_length", -1),
        # A client that is gone without a word is noticed, and one that pings too often cut off.
        ("grpc.keepalive_time_ms", round(1000 * settings.keepalive_seconds)),
        ("grpc.keepalive_timeout_ms", round(1000 * _PING_SECONDS)),
        ("grpc.http2.min_ping_interval_without_data_ms", round(1000 * _PING_SECONDS)),
        ("grpc.keepalive_permit_without_calls", 1),
        # So that clients spread anew over servers and processes, and use new certificates.
        ("grpc.max_connection_age_ms", round(1000 * settings.connection_seconds)),
        ("grpc.max_connection_age_grace_ms", round(1000 * settings.connection_seconds)),
        ("grpc.max_concurrent_streams", settings.max_calls + _BESIDES),
        ("grpc.server.max_pending_requests", _PENDING),
        ("grpc.server.max_pending_requests_hard_limit", _PENDING),
    )


@contextmanager
def _audit(settings: ServeSettings) -> Iterator[AuditLog | None]:
    if settings.audit_log is None:
        yield None
        return
    log = AuditLog(settings.audit_log, audit_key(settings.audit_key_file(settings.audit_log)))
    try:
        yield log
    finally:
        log.close()


@contextmanager
def _tracer(settings: ServeSettings) -> Iterator[Tracer | None]:
    if not settings.traces:
        yield None
        return
    # Slow to import, and most servers have no collector.
    from service.observability import traces

    provider = traces.provider(traces.exporter(settings.traces))
    try:
        yield provider.get_tracer("graftmatch")
    finally:
        provider.shutdown()
