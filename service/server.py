"""The gRPC server: the service, health and reflection on one port."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from service.convert import LIMITS
from service.pb.graftmatch.v1 import graftmatch_pb2, graftmatch_pb2_grpc
from service.servicers import GraftMatchServicer
from service.snapshot import Snapshot
from service.status import ServerError

SERVICE = graftmatch_pb2.DESCRIPTOR.services_by_name["GraftMatchService"].full_name
GRACE_SECONDS = 5.0
# Calls beyond these end with RESOURCE_EXHAUSTED instead of waiting.
MAX_CALLS = 200
_OPTIONS = (
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", LIMITS.message_bytes),
    ("grpc.max_send_message_length", -1),
)


def serve(
    snapshot: Snapshot, host: str, port: int, ready: Callable[[int], None] = lambda _: None
) -> None:
    """Serve until SIGTERM or SIGINT; calls under way have `GRACE_SECONDS` to end.

    `port` 0 takes a free one. `ready` is called with the port once calls are answered. For the main
    thread. Raises `ServerError`.
    """

    async def until_signalled() -> None:
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await run(snapshot, host, port, ready, stopping)

    asyncio.run(until_signalled())


async def run(
    snapshot: Snapshot,
    host: str,
    port: int,
    ready: Callable[[int], None],
    stopping: asyncio.Event,
) -> None:
    """Serve until `stopping` is set. Raises `ServerError`."""
    check_free(host, port)
    with ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="compute") as pool:
        server = grpc.aio.server(options=_OPTIONS, maximum_concurrent_rpcs=MAX_CALLS)
        register: Any = graftmatch_pb2_grpc.add_GraftMatchServiceServicer_to_server
        register(GraftMatchServicer(snapshot, pool), server)
        healthy = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
        reflection.enable_server_reflection(
            (SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME), server
        )
        address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            bound = server.add_insecure_port(address)
        except RuntimeError as error:
            raise ServerError(f"cannot listen on {address}; give another --port") from error
        await server.start()
        for name in ("", SERVICE):
            await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
        ready(bound)
        try:
            await stopping.wait()
        finally:
            await healthy.enter_graceful_shutdown()
            await server.stop(GRACE_SECONDS)
            pool.shutdown(wait=False, cancel_futures=True)


def check_free(host: str, port: int) -> None:
    """Raises `ServerError` in plain words where nothing can listen; gRPC does not say why."""
    try:
        if not 0 <= port <= 65535:
            raise ServerError(f"{port} is no port; give --port 0 to 65535")
        ((family, kind, protocol, _, address), *_) = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM
        )
        with socket.socket(family, kind, protocol) as probe:
            # As gRPC does: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise ServerError(
            f"cannot listen on {host} port {port}: {error.strerror}; give another --port or --host"
        ) from error
