"""The gRPC server: the services, health and reflection on one port, in one process or several."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from service.server_settings import ServeSettings
from service.temporary import TemporaryFolder, remove_left

if TYPE_CHECKING:
    from service.snapshot import Snapshot

# Where processes add up their metrics: read by prometheus-client when it is imported.
_METRICS = "PROMETHEUS_MULTIPROC_DIR"
# What is remembered is in no circles, and looking through it holds all calls up, some 5 ms for
# 10,000 objects: few at once, and those that stay hardly ever again.
_GARBAGE = (10_000, 2, 10_000)
# How long a thread that computes keeps the interpreter while the one that takes calls waits for it.
_SWITCH_SECONDS = 0.001


def serve(
    settings: ServeSettings,
    load: Callable[[], Snapshot],
    ready: Callable[[int, str], None] = lambda *_: None,
) -> None:
    """Serve until SIGTERM or SIGINT, in the main thread.

    `ready` is called with the port and what is served once calls are answered. Settings that cannot
    be are refused before anything is read. Several workers need that nothing of the server was
    imported before, so that their metrics are added up. Raises `ServerError`, and what `load`
    raises.
    """

    def load_to_keep() -> Snapshot:
        snapshot = load()
        from service.server.warming import warm

        warm(snapshot)
        # It stays: neither looked through for garbage, nor copied for it by a process that shares.
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        gc.enable()
        return snapshot

    remove_left()
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What is imported and read stays: looking for garbage in it takes a fifth of the start.
    gc.disable()
    try:
        if settings.workers > 1:
            with closing(TemporaryFolder()) as metrics:
                os.environ[_METRICS] = os.fspath(metrics.path)
                from service.server.workers import serve_many

                serve_many(settings, load_to_keep, ready, metrics.path)
        else:
            from service.server.running import serve_alone

            serve_alone(settings, load_to_keep, ready)
    finally:
        os.environ.pop(_METRICS, None)
        gc.enable()
