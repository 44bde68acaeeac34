"""Several processes that serve one port: the kernel spreads connections over them.

The data are read once, before anything of gRPC is at work, and the workers are forked: what was
read is in memory once, and so are the pages of the index. One that dies is replaced by another
that reads the data as they are then.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any, Protocol

from prometheus_client.multiprocess import mark_process_dead

from matching.errors import GraftmatchError
from service.cores import keep_to_share
from service.observability.metrics import serve_metrics
from service.server.listening import certificates, check_exposure, reserved
from service.server.running import serve_one
from service.server_settings import ServeSettings
from service.snapshot import Snapshot
from service.status import ServerError

_LOG = logging.getLogger("graftmatch.workers")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# After the time to drain, until a process that does not end is killed.
_KILL_SECONDS = 10.0
# A process that dies sooner than this is replaced only after it.
_LEAST_SECONDS = 5.0
Loader = Callable[[], Snapshot]


class Closing(Protocol):
    """What a forked process closes on its side."""

    def close(self) -> object:
        """Close it."""


@dataclass
class _Worker:
    process: ForkProcess
    # Gives one text when the worker answers, and ends when it does.
    channel: Connection
    began: float
    ready: bool = False


def serve_many(
    settings: ServeSettings, load: Loader, ready: Callable[[int, str], None], metrics: Path
) -> None:
    """Serve with `settings.workers` processes until SIGTERM or SIGINT, in the main thread.

    `load` is called in this process, and again in those that replace one. `ready` is called with
    the port and what is served, once all of them answer. `metrics`: folder where they add up
    theirs. Raises `ServerError`, also where one of them cannot start at all, and what `load`
    raises.
    """
    check_exposure(settings)
    certificates(settings)
    # What this process, which answers nothing, would add to metrics of those that do.
    mark_process_dead(os.getpid(), str(metrics))  # type: ignore[no-untyped-call]
    with ExitStack() as stack:
        port = stack.enter_context(reserved(settings.host, settings.port))
        supervisor = _Supervisor(settings.model_copy(update={"port": port}), load, metrics, ready)
        stack.callback(supervisor.leave)
        for number in _SIGNALS:
            stack.callback(signal.signal, number, signal.getsignal(number))
        if settings.metrics_port is not None:
            told = serve_metrics(settings.metrics_port, metrics)
            stack.callback(told.stop)
            supervisor.inherited.append(told)
        supervisor.run()


class _Supervisor:
    """Starts workers and replaces those that die, until it is told to end by a signal.

    `inherited`: what is closed in workers, besides what is the supervisor's own.
    """

    def __init__(
        self,
        settings: ServeSettings,
        load: Loader,
        metrics: Path,
        ready: Callable[[int, str], None],
    ) -> None:
        self._settings, self._load, self._metrics = settings, load, metrics
        self._ready = ready
        self._announced, self._served = False, ""
        self._workers: list[_Worker] = []
        self._read: Snapshot | None = None
        self._told, self._tell = multiprocessing.Pipe(duplex=False)
        self.inherited: list[Closing] = [self._told, self._tell]

    def run(self) -> None:
        """Returns when all workers have ended."""
        if not self._reads():
            return
        try:
            for i in range(self._settings.workers):
                self._workers.append(self._started(i, self._take_read))
            self._read = None
            while self._watch():
                pass
        finally:
            self._end()

    def _reads(self) -> bool:
        """Read the data, and go on listening for signals; false if one came meanwhile."""
        is_told = False

        def stop(*_: object) -> None:
            nonlocal is_told
            is_told = True
            raise KeyboardInterrupt

        try:
            for number in _SIGNALS:
                signal.signal(number, stop)
            self._read = self._load()
            for number in _SIGNALS:
                signal.signal(number, lambda *_: self._tell.send_bytes(b"."))
        except BaseException:
            # A module that is being imported makes another error of it.
            if not is_told:
                raise
        return not is_told

    def leave(self) -> None:
        """Close what is its own."""
        for one in (self._told, self._tell, *(worker.channel for worker in self._workers)):
            one.close()

    def _take_read(self) -> Snapshot:
        """What was read before the processes parted, which is not kept here."""
        snapshot, self._read = self._read, None
        assert snapshot is not None
        return snapshot

    def _started(self, number: int, load: Loader) -> _Worker:
        mine, theirs = multiprocessing.Pipe()
        inherited = [*self.inherited, mine, *(worker.channel for worker in self._workers)]
        context = multiprocessing.get_context("fork")
        process = context.Process(
            target=_work, args=(number, self._settings, load, theirs, inherited)
        )
        process.start()
        theirs.close()
        return _Worker(process, mine, time.monotonic())

    def _watch(self) -> bool:
        """Wait until something happens, and see to it; false when it is time to end."""
        channels: list[Any] = [worker.channel for worker in self._workers]
        happened = wait([*channels, self._told])
        if self._told in happened:
            return False
        for i, worker in enumerate(self._workers):
            if worker.channel in happened and not self._heard(worker):
                self._workers[i] = self._replaced(i, worker)
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

    def _replaced(self, number: int, worker: _Worker) -> _Worker:
        worker.process.join()
        mark_process_dead(worker.process.pid, str(self._metrics))  # type: ignore[no-untyped-call]
        worker.channel.close()
        _LOG.error(
            "worker %d has died (%s) and is replaced", worker.process.pid, worker.process.exitcode
        )
        soonest = worker.began + _LEAST_SECONDS
        wait([self._told], max(0.0, soonest - time.monotonic()))
        return self._started(number, self._load)

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


def _work(
    number: int,
    settings: ServeSettings,
    load: Loader,
    channel: Connection,
    inherited: Sequence[Closing],
) -> None:
    """A worker process. It ends when its supervisor does."""
    keep_to_share(number, settings.workers)
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    # An open end of another's would hide that its process has gone.
    for one in inherited:
        one.close()

    def ready(_: int, snapshot: Snapshot) -> None:
        channel.send((True, snapshot.described))

    def stopped(stop: Callable[[], None]) -> None:
        # Nothing is ever sent to a worker: there is something to read when the supervisor is gone.
        asyncio.get_running_loop().add_reader(channel.fileno(), stop)

    try:
        serve_one(settings, load, ready, shared=True, stopped=stopped)
    except GraftmatchError as error:
        channel.send((False, str(error)))
    finally:
        # A forked process ends without it.
        logging.shutdown()
