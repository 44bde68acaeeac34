"""The thread of a server process that works on jobs, one after the other."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace

import grpc

from data.jobs import JobFiles, JobFolder, JobProgress, JobState
from matching.errors import StoreError
from service.calls import CURRENT, Call
from service.cores import ALLOWED, keep_to
from service.jobs.work import MOST_ATTEMPTS, Telling, do_job
from service.jobs.writing import NICE
from service.observability.metrics import JOBS
from service.security.caller import ANYONE
from service.snapshot import Snapshot
from service.status import NOT_TOLD, code_of, is_told, places

_LOG = logging.getLogger("graftmatch.jobs")
# Between two looks for jobs that wait, and for jobs that are to be removed.
_LOOK_SECONDS = 0.5
_REMOVE_SECONDS = 60.0
# After a job could not go on.
_RETRY_SECONDS = 10.0


@dataclass
class JobCall(Call):
    """What is computed for a job, which stops when the job or the server is to stop."""

    files: JobFiles | None = None
    stopping: threading.Event | None = None

    def may_stop(self) -> bool:
        """See `Call`."""
        assert self.files is not None and self.stopping is not None
        return self.stopping.is_set() or self.files.is_cancelled


class JobRunner:
    """Takes up jobs of all sites, the one that waits longest first, until it is stopped.

    `slots`: how many are worked on at a time, of all processes that share `folder`.
    `kept_seconds`: when a job that has ended is removed. `snapshot` gives what to answer from.
    """

    def __init__(
        self,
        folder: JobFolder,
        slots: int,
        kept_seconds: float,
        snapshot: Callable[[], Snapshot],
    ) -> None:
        self._folder, self._slots, self._kept_seconds = folder, slots, kept_seconds
        self._snapshot = snapshot
        self._stopping = threading.Event()
        self._pause = _LOOK_SECONDS
        self._thread = threading.Thread(target=self._run, name="jobs")

    def start(self) -> None:
        """Begin to look for jobs."""
        self._thread.start()

    def stop(self) -> None:
        """Leave the job that is worked on to another process, and end soon, at the next step of the
        computation."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, at most so long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        keep_to(ALLOWED)
        if sys.platform == "linux":
            # Where threads may differ; those that are started from this one are like it.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        remove_at = 0.0
        while not self._stopping.wait(self._pause):
            self._pause = _LOOK_SECONDS
            try:
                if time.monotonic() >= remove_at:
                    self._folder.remove_older(self._kept_seconds)
                    remove_at = time.monotonic() + _REMOVE_SECONDS
                self.look()
            except Exception as error:
                # The thread goes on: a disk that is full now may not be later.
                _LOG.error(
                    "jobs cannot be worked on: %s at %s", type(error).__name__, places(error)
                )

    def look(self) -> None:
        """Work on a job, if one waits and there is a place for it."""
        waiting = self._folder.unfinished()
        for files in waiting:
            files.end_if_cancelled()
        with ExitStack() as stack:
            if waiting and any(
                stack.enter_context(self._folder.slot(number)) for number in range(self._slots)
            ):
                for files in sorted(waiting, key=lambda one: one.created):
                    with files.taken() as mine:
                        if mine:
                            self._work(files)
                            return

    def _work(self, files: JobFiles) -> None:
        """Do a job whose lock is held, and write down how it ended."""
        try:
            now, former = time.time(), files.progress()
        except StoreError as error:
            _LOG.error("job: %s at %s", type(error).__name__, places(error))
            self._end(files, JobState.FAILED, NOT_TOLD)
            return
        progress = former or JobProgress(0, now, now)
        if progress.attempts >= MOST_ATTEMPTS:
            reason = f"it was taken up {progress.attempts} times and got no further"
            self._end(files, JobState.FAILED, reason)
            return
        attempts = progress.attempts + 1
        telling = Telling(
            files, replace(progress, attempts=attempts, resumed=now, done=progress.before)
        )
        telling.tell()
        call = JobCall("Job", files.root.name, ANYONE, files=files, stopping=self._stopping)
        outside = CURRENT.set(call)
        try:
            do_job(files, self._snapshot(), telling)
        except Exception as error:
            if files.is_cancelled:
                self._end(files, JobState.CANCELLED)
                return
            if self._stopping.is_set():
                # Whatever it was, it is not the job's fault.
                telling.tell(attempts=telling.now.attempts - 1)
                return
            if not is_told(error):
                _LOG.error("job: %s at %s", type(error).__name__, places(error))
            if code_of(error) is grpc.StatusCode.UNAVAILABLE:
                # Such as a full disk, or a database that is away: it is taken up again.
                self._pause = _RETRY_SECONDS
                return
            self._end(files, JobState.FAILED, str(error) if is_told(error) else NOT_TOLD)
        else:
            telling.tell(done=telling.now.patients)
            self._end(files, JobState.SUCCEEDED)
        finally:
            CURRENT.reset(outside)

    def _end(self, files: JobFiles, state: JobState, error: str = "") -> None:
        files.end(state, error)
        JOBS.labels(state.value).inc()
        _LOG.info("job %s: %s", files.root.name, state.value)
