"""Several processes that serve one port: the kernel spreads connections over them.

Each is a fresh interpreter, started before anything of gRPC runs in it, that maps the index of the
registry into memory; the pages of the index are there once. One that dies is replaced.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from prometheus_client.multiprocess import mark_process_dead

from matching.errors import GraftmatchError
from service.observability.logs import log_to_stderr
from service.observability.metrics import FOLDER, serve_metrics
from service.server.listening import reserved
from service.server.running import serve_one
from service.server_settings import ServeSettings
from service.snapshot import Snapshot
from service.status import ServerError

_LOG = logging.getLogger("graftmatch.workers")
# After the time to drain, until a process that does not end is killed.
_KILL_SECONDS = 10.0
# A process that dies sooner than this is replaced only after it.
_LEAST_SECONDS = 5.0
Loader = Callable[[], Snapshot]


@dataclass
class _Worker:
    process: SpawnProcess
    # Gives one text when the worker answers, and ends when it does.
    channel: Connection
    began: float
    ready: bool = False


def serve_many(settings: ServeSettings, load: Loader, ready: Callable[[int, str], None]) -> None:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT, in the main thread.

    `load` is called in each process, so it must be one that can be pickled. `ready` is called with
    the port and what is served, once all of them answer. Raises `ServerError` if one of them cannot
    start at all.
    """
    with ExitStack() as stack:
        port = stack.enter_context(reserved(settings.host, settings.port))
        metrics = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="graftmatch-")))
        if settings.metrics_port is not None:
            stack.callback(serve_metrics(settings.metrics_port, metrics)[1])
        stopping, told = os.pipe()
        stack.callback(os.close, stopping)
        stack.callback(os.close, told)
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.signal(number, lambda *_: os.write(told, b"."))
            stack.callback(signal.signal, number, before)
        _Supervisor(
            settings.model_copy(update={"port": port}), load, metrics, stopping, ready
        ).run()


class _Supervisor:
    """Starts workers and replaces those that die, until something can be read at `stopping`."""

    def __init__(
        self,
        settings: ServeSettings,
        load: Loader,
        metrics: Path,
        stopping: int,
        ready: Callable[[int, str], None],
    ) -> None:
        self._settings, self._load, self._metrics = settings, load, metrics
        self._stopping, self._ready = stopping, ready
        self._announced, self._served = False, ""
        self._workers: list[_Worker] = []

    def run(self) -> None:
        """Returns when all workers have ended."""
        try:
            self._workers = [self._started() for _ in range(self._settings.workers)]
            while self._watch():
                pass
        finally:
            self._end()

    def _started(self) -> _Worker:
        mine, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        process = context.Process(target=_work, args=(self._settings, self._load, theirs))
        os.environ[FOLDER] = str(self._metrics)
        try:
            process.start()
        finally:
            del os.environ[FOLDER]
        theirs.close()
        return _Worker(process, mine, time.monotonic())

    def _watch(self) -> bool:
        """Wait until something happens, and see to it; false when it is time to end."""
        channels: list[Any] = [worker.channel for worker in self._workers]
        happened = wait([*channels, self._stopping])
        if self._stopping in happened:
            return False
        for i, worker in enumerate(self._workers):
            if worker.channel in happened and not self._heard(worker):
                self._workers[i] = self._replaced(worker)
        if not self._announced and all(worker.ready for worker in self._workers):
            self._announced = True
            self._ready(self._settings.port, self._served)
        return True

    def _heard(self, worker: _Worker) -> bool:
        """Take what a worker says; false if it has ended. Raises `ServerError`."""
        try:
            works, text = worker.channel.recv()
        except EOFError:
            return False
        if works:
            worker.ready, self._served = True, text
            return True
        if not self._announced:
            raise ServerError(text)
        _LOG.error("a worker cannot start: %s", text)
        return True

    def _replaced(self, worker: _Worker) -> _Worker:
        worker.process.join()
        mark_process_dead(worker.process.pid, str(self._metrics))  # type: ignore[no-untyped-call]
        worker.channel.close()
        _LOG.error(
            "worker %d has died (%s) and is replaced", worker.process.pid, worker.process.exitcode
        )
        soonest = worker.began + _LEAST_SECONDS
        wait([self._stopping], max(0.0, soonest - time.monotonic()))
        return self._started()

    def _end(self) -> None:
        for worker in self._workers:
            if worker.process.is_alive():
                worker.process.terminate()
        until = time.monotonic() + self._settings.drain_seconds + _KILL_SECONDS
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            if worker.process.is_alive():
                _LOG.error("worker %d does not end and is killed", worker.process.pid)
                worker.process.kill()
                worker.process.join()


def _work(settings: ServeSettings, load: Loader, channel: Connection) -> None:
    """A worker process. It ends when its supervisor does."""
    log_to_stderr()

    def ready(_: int, snapshot: Snapshot) -> None:
        channel.send((True, snapshot.described))

    def stopped(stop: Callable[[], None]) -> None:
        # Nothing is ever sent to a worker: there is something to read when the supervisor is gone.
        asyncio.get_running_loop().add_reader(channel.fileno(), stop)

    try:
        serve_one(settings, load, ready, shared=True, stopped=stopped)
    except GraftmatchError as error:
        channel.send((False, str(error)))
