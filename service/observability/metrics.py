"""Metrics for Prometheus. In several processes they are added up in files of one folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server
from prometheus_client.multiprocess import MultiProcessCollector

from service.status import ServerError

# Metrics are only told to this machine; a collector elsewhere needs an agent here.
HOST = "127.0.0.1"
REGISTRY = CollectorRegistry()
CALLS = Counter("graftmatch_calls", "Calls that ended.", ("rpc", "code"), registry=REGISTRY)
SECONDS = Histogram(
    "graftmatch_call_seconds",
    "Time from the request to the end of the answer.",
    ("rpc",),
    registry=REGISTRY,
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 1, 2.5, 10, 60),
)
IN_FLIGHT = Gauge(
    "graftmatch_calls_in_flight",
    "Calls that are waiting, computed or sent.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
WAITING = Gauge(
    "graftmatch_computations_waiting",
    "Computations that wait for a thread.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
SERVING = Gauge(
    "graftmatch_serving",
    "Processes that answer from this release, index, frequency set and model.",
    ("release", "index", "frequency_set", "model"),
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
RELOAD_FAILURES = Counter(
    "graftmatch_reload_failures",
    "Times that new data could not be read, and those before stayed in use.",
    registry=REGISTRY,
)
JOBS = Counter("graftmatch_jobs", "Jobs that ended.", ("state",), registry=REGISTRY)
CERTIFICATE_EXPIRES = Gauge(
    "graftmatch_certificate_expires_seconds",
    "When the certificate ends, in seconds since 1970.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)


@dataclass(frozen=True)
class MetricsServer:
    """Tells metrics over HTTP, in a thread."""

    port: int
    _server: WSGIServer
    _thread: Thread

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def close(self) -> None:
        """In a process that was forked from this one, which has no such thread."""
        self._server.socket.close()


def serve_metrics(port: int, folder: Path | None = None) -> MetricsServer:
    """Tell metrics over HTTP: those of this process, or of all that use a folder.

    Raises `ServerError`.
    """
    registry = REGISTRY
    if folder is not None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=os.fspath(folder))  # type: ignore[no-untyped-call]
    try:
        server, thread = start_http_server(port, HOST, registry)
    except OSError as error:
        raise ServerError(
            f"cannot listen on {HOST} port {port} for metrics: {error.strerror}; give another "
            "--metrics-port"
        ) from error
    return MetricsServer(int(server.server_port), server, thread)
