"""Calls that change something are done once: the same request id again gives the same answer.

A folder holds a file for each request, named by a digest of its site and its id: a digest of what
was asked, and the answer. It is locked while the request is done, so that several processes may
share the folder, and the lock of one that is killed ends with it. A request that failed is
forgotten. One whose server was killed in between is done again, so what it does must bear that.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from matching.errors import OutputError
from service.calls import Call
from service.status import RequestError, UnderWayError, Violation

_LOG = logging.getLogger("graftmatch.requests")
KEPT_SECONDS = 7 * 86_400
# Between two looks for what is older.
_LOOK_SECONDS = 3600.0
_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Message(Protocol):
    """A protobuf message."""

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes:  # noqa: N802
        """Its bytes."""


M = TypeVar("M", bound=Message)


def check_request_id(text: str, found: list[Violation], field: str = "request_id") -> None:
    """A request id is a UUID, or empty where a request may be done twice."""
    if text and not _UUID.fullmatch(text):
        found.append(Violation(field, "must be a UUID, or empty"))


@dataclass
class RequestFolder:
    """The answers of a home folder, below `root`; each is kept for `KEPT_SECONDS`."""

    root: Path
    _looked: float = field(init=False, repr=False, default=float("-inf"))

    def once(
        self,
        call: Call,
        request_id: str,
        asked: bytes,
        read: Callable[[bytes], M],
        work: Callable[[], M],
    ) -> M:
        """What `work` returns, or returned for the same request of the same site before.

        `asked`: what the answer depends on, such as a serialised request. `read`: the answer from
        its bytes. Without a request id it is done whatever was done before. Raises `RequestError`
        where the id was used for something else, `UnderWayError`, `OutputError`, and what `work`
        raises.
        """
        if not request_id:
            return work()
        name = f"{call.caller.site}\n{request_id.lower()}"
        digest = hashlib.sha256(call.rpc.encode() + b"\n" + asked).hexdigest()
        with self._locked(hashlib.sha256(name.encode()).hexdigest()) as path:
            known = _known(path)
            if known is not None:
                if known[0] != digest:
                    reason = "was used for another request; make a new one"
                    raise RequestError([Violation("request_id", reason)])
                return read(known[1])
            try:
                answer = work()
            except BaseException:
                path.unlink()
                raise
            try:
                _write(path, digest, answer.SerializeToString())
            except OSError as error:
                # It is done, and who asked for it is told so.
                _LOG.error("an answer cannot be kept in %s: %s", self.root, error.strerror)
            return answer

    @contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        """The file of a request, empty where it is new, that nobody else uses meanwhile."""
        path = self.root / name
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._forget_old()
            handle = _lock(path)
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from error
        try:
            yield path
        finally:
            os.close(handle)

    def _forget_old(self) -> None:
        now = time.time()
        if now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        for path in self.root.iterdir():
            # Another process may be looking too, or be doing it again.
            with suppress(OSError, UnderWayError):
                if _is_old(path, now):
                    handle = _lock(path)
                    try:
                        # Unless it was done again meanwhile.
                        if _is_old(path, now):
                            path.unlink()
                    finally:
                        os.close(handle)


def _is_old(path: Path, now: float) -> bool:
    return now - path.stat().st_mtime > KEPT_SECONDS


def _lock(path: Path) -> int:
    """A locked descriptor of what is at a path now. Raises `UnderWayError` and `OSError`."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UnderWayError(
                "a call with this request_id is under way; ask again later"
            ) from None
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        # Whoever held it has removed it.
        os.close(handle)


def _known(path: Path) -> tuple[str, bytes] | None:
    """What was asked and answered, None where nothing was, or only half of it was written."""
    head, _, answer = path.read_bytes().partition(b"\n")
    try:
        written = json.loads(head)
        if hashlib.sha256(answer).hexdigest() == written["answer"]:
            return str(written["asked"]), answer
    except (ValueError, KeyError, TypeError):
        pass
    return None


def _write(path: Path, asked: str, answer: bytes) -> None:
    head = json.dumps({"asked": asked, "answer": hashlib.sha256(answer).hexdigest()})
    with path.open("wb") as file:
        file.write(head.encode() + b"\n" + answer)
        file.flush()
        os.fsync(file.fileno())
