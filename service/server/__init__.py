"""The gRPC server: the services, health and reflection on one port, in one process or several."""

from __future__ import annotations

from collections.abc import Callable

from service.observability.metrics import serve_metrics
from service.server.listening import certificates, check_exposure, check_free
from service.server.running import run, serve_one
from service.server.workers import serve_many
from service.server_settings import ServeSettings
from service.snapshot import Snapshot

__all__ = ["run", "serve"]


def serve(
    settings: ServeSettings,
    load: Callable[[], Snapshot],
    ready: Callable[[int, str], None] = lambda *_: None,
) -> None:
    """Serve until SIGTERM or SIGINT, in the main thread.

    `ready` is called with the port and what is served once calls are answered. Settings that cannot
    be are refused before anything is read. Raises `ServerError`, and what `load` raises.
    """
    check_exposure(settings)
    certificates(settings)
    if settings.workers > 1:
        serve_many(settings, load, ready)
        return
    check_free(settings.host, settings.port)
    stop = None if settings.metrics_port is None else serve_metrics(settings.metrics_port)[1]
    try:
        serve_one(settings, load, lambda port, snapshot: ready(port, snapshot.described))
    finally:
        if stop is not None:
            stop()
