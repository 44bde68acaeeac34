"""Jobs: searches of many patients that wait, are worked on or have ended, a folder each.

Any number of processes share the folder of all jobs, each site having one of its own below it. A
process works on a job while it holds the lock of the job (flock), which the operating system takes
from a process that dies, so that another goes on with the job. The folders hold data of patients:
nobody but their owner may read them, and nothing of them is logged.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from data.files import remove_folder, replacing, replacing_folder
from matching.errors import OutputError, StoreError

SCHEMA = 1
# The folder of the one site of a server without tokens; no site is called so.
NO_SITE = "_"
_ASKED, _PROGRESS, _ENDING = "job.json", "progress.json", "end.json"
_LOCK, _CANCEL, RESULTS = "lock", "cancel", "results"
# The caller's files.
PATIENTS, ANTIBODIES = "patients", "antibodies"
_ID_DIGITS = 16


class JobState(Enum):
    """What becomes of a job: it waits, is worked on, or has ended in one of three ways."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class AskedJob:
    """What was asked for. `created`: seconds since 1970. `token`: who asked.

    `search`: settings, values of JSON. `form`: of the results. `antibodies`: by what rules the
    reports of patients are judged, and `strata`: what is asked of each type of donors, values of
    JSON; None where nothing is asked of them.
    """

    created: float
    token: str
    search: Mapping[str, Any]
    form: str
    antibodies: Mapping[str, Any] | None = None
    strata: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class JobProgress:
    """How far a job is. `attempts`: how often it was taken up, unless its server was stopped.

    `began`: when it was first taken up, and `resumed` when last, in seconds since 1970; `before`:
    how many of `patients` were done then. `rejected`: records of patients, `rejected_lines`: of
    antibody reports. `provenance`: what the results depend on.
    """

    attempts: int
    began: float
    resumed: float
    before: int = 0
    patients: int = 0
    done: int = 0
    rejected: int = 0
    rejected_lines: int = 0
    provenance: Mapping[str, str] | None = None

    @property
    def per_second(self) -> float:
        """Patients a second since the job was last taken up, 0 where that is not known yet."""
        seconds = time.time() - self.resumed
        return max(0.0, (self.done - self.before) / seconds) if seconds > 0 else 0.0


@dataclass(frozen=True)
class JobEnding:
    """`time`: seconds since 1970. `error`: why it failed."""

    state: JobState
    time: float
    error: str = ""


@dataclass(frozen=True)
class Job:
    """A job as it is now. `progress`: None before it was taken up; `ending`: None before it has
    ended."""

    id: str
    asked: AskedJob
    state: JobState
    progress: JobProgress | None
    ending: JobEnding | None


@dataclass(frozen=True)
class JobFiles:
    """The folder of one job."""

    root: Path

    @property
    def patients(self) -> Path:
        """The file of the patients."""
        return self.root / PATIENTS

    @property
    def antibodies(self) -> Path:
        """The file of the reports of their antibodies, where these are asked about."""
        return self.root / ANTIBODIES

    @property
    def results(self) -> Path:
        """The folder of a batch."""
        return self.root / RESULTS

    @property
    def created(self) -> float:
        """When the job was submitted, in seconds since 1970. Raises `OSError` if it is gone."""
        return (self.root / _ASKED).stat().st_mtime

    @property
    def is_cancelled(self) -> bool:
        """Whether the job is to stop. Cheap enough to be asked often."""
        return (self.root / _CANCEL).exists()

    @property
    def has_ended(self) -> bool:
        return (self.root / _ENDING).exists()

    def asked(self) -> AskedJob:
        """Raises `StoreError`, and `FileNotFoundError` where the job was removed."""
        content = self._read(_ASKED)
        if content is None:
            raise FileNotFoundError(self.root / _ASKED)
        if content.pop("schema") != SCHEMA:
            raise StoreError(f"{self.root} is no job of this version; remove it")
        return AskedJob(**content)

    def progress(self) -> JobProgress | None:
        """Raises `StoreError`."""
        content = self._read(_PROGRESS)
        try:
            return None if content is None else JobProgress(**content)
        except TypeError:
            raise StoreError(f"{self.root / _PROGRESS} is not of this version") from None

    def ending(self) -> JobEnding | None:
        """Raises `StoreError`."""
        content = self._read(_ENDING)
        if content is None:
            return None
        return JobEnding(JobState(content["state"]), content["time"], content["error"])

    def job(self) -> Job:
        """The job now. Raises `StoreError`, and `FileNotFoundError` where it was removed."""
        ending = self.ending()
        if ending is not None:
            state = ending.state
        else:
            state = JobState.RUNNING if self._is_worked_on() else JobState.WAITING
        progress = None
        # Whoever takes the job up, or has done so, says in its ending that it is damaged.
        with suppress(StoreError):
            progress = self.progress()
        return Job(self.root.name, self.asked(), state, progress, ending)

    def tell(self, progress: JobProgress) -> None:
        """Raises `OutputError`."""
        self._write(_PROGRESS, asdict(progress))

    def end(self, state: JobState, error: str = "") -> None:
        """Raises `OutputError`."""
        self._write(_ENDING, {"state": state.value, "time": time.time(), "error": error})

    def cancel(self) -> None:
        """Have the job stopped: here if nobody works on it, else by whoever does, soon.

        Raises `OutputError`.
        """
        with replacing(self.root / _CANCEL, mode=0o600):
            pass
        self.end_if_cancelled()

    def end_if_cancelled(self) -> None:
        """End a job that is to stop and that nobody works on. Raises `OutputError`."""
        if self.is_cancelled:
            with self.taken() as mine:
                if mine:
                    self.end(JobState.CANCELLED)

    def remove(self) -> None:
        """Remove a job that has ended, with its results."""
        remove_folder(self.root)

    @contextmanager
    def taken(self) -> Iterator[bool]:
        """True while nobody else works on the job, which has not ended; False where that is not so.

        Raises `OutputError`.
        """
        with _held(self.root / _LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
            # It may have ended, or been removed, before the lock was there.
            yield mine and (self.root / _ASKED).exists() and not self.has_ended

    def _is_worked_on(self) -> bool:
        with _held(self.root / _LOCK, fcntl.LOCK_SH | fcntl.LOCK_NB) as free:
            return not free

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.root / name
        try:
            return dict(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            # The text of the error could quote the file.
            raise StoreError(f"{path} cannot be read ({type(error).__name__})") from None

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        with replacing(self.root / name, mode=0o600) as temporary:
            temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class JobFolder:
    """The jobs of all sites below `root`, which is made when the first is submitted."""

    root: Path

    def files(self, site: str, job_id: str) -> JobFiles | None:
        """A job of a site; None where there is none."""
        if len(job_id) != _ID_DIGITS or not set(job_id) <= set("0123456789abcdef"):
            return None
        files = JobFiles(self._site(site) / job_id)
        return files if (files.root / _ASKED).exists() else None

    def jobs(self, site: str) -> list[Job]:
        """The jobs of a site, newest first. Raises `StoreError`."""
        found = []
        for path in _folders(self._site(site)):
            # Another process may remove it meanwhile.
            if (files := self.files(site, path.name)) is not None:
                with suppress(FileNotFoundError):
                    found.append(files.job())
        return sorted(found, key=lambda job: (job.asked.created, job.id), reverse=True)

    def unfinished(self) -> list[JobFiles]:
        """The jobs of all sites that have not ended."""
        found = [JobFiles(path) for site in _folders(self.root) for path in _folders(site)]
        return [files for files in found if not files.has_ended]

    def submit(
        self, site: str, request_id: str, asked: AskedJob, files: Mapping[str, bytes], most: int
    ) -> JobFiles | None:
        """A new job, or the one that was submitted with the `request_id`, if that is not "".

        `files`: `PATIENTS`, and `ANTIBODIES` where these are asked about. None where `most` jobs of
        the site have not ended. Raises `OutputError`.
        """
        if request_id:
            job_id = hashlib.sha256(request_id.encode()).hexdigest()[:_ID_DIGITS]
        else:
            job_id = secrets.token_hex(_ID_DIGITS // 2)
        folder = self._site(site)
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}") from error
        with _held(folder / f".{_LOCK}", fcntl.LOCK_EX):
            if (there := self.files(site, job_id)) is not None:
                return there
            waiting = [path for path in _folders(folder) if not JobFiles(path).has_ended]
            if len(waiting) >= most:
                return None
            with replacing_folder(folder / job_id) as temporary:
                for name, data in files.items():
                    (temporary / name).write_bytes(data)
                content = json.dumps({"schema": SCHEMA, **asdict(asked)}) + "\n"
                (temporary / _ASKED).write_text(content, encoding="utf-8")
            return JobFiles(folder / job_id)

    def remove_older(self, seconds: float) -> None:
        """Remove the jobs that ended so long ago, and what killed processes left then."""
        before = time.time() - seconds
        for site in _folders(self.root):
            for path in site.iterdir():
                # Another process may do the same.
                with suppress(FileNotFoundError):
                    if path.name[0] == "." and path.is_dir():
                        if path.stat().st_mtime < before:
                            shutil.rmtree(path)
                    elif path.name[0] != "." and (path / _ENDING).stat().st_mtime < before:
                        remove_folder(path)

    @contextmanager
    def slot(self, number: int) -> Iterator[bool]:
        """True while no other process has this one of the places at which jobs are worked on."""
        with _held(self.root / f".slot-{number}", fcntl.LOCK_EX | fcntl.LOCK_NB) as mine:
            yield mine

    def _site(self, site: str) -> Path:
        return self.root / (site or NO_SITE)


def _folders(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if path.name[0] != "." and path.is_dir()]
    except FileNotFoundError:
        return []


@contextmanager
def _held(path: Path, operation: int) -> Iterator[bool]:
    """Whether a lock was got, until the end of the block; False where its folder is gone."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, operation)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)
