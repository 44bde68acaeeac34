"""The audit log: who called what, when, about whom, and how it ended.

A file that is only ever appended to, one JSON object a line. A call has one line with `outcome`
and `seconds`; before it, lines with `records` for what was asked about and for every message of an
answer that names donors or patients, each written before the message is sent. A record is written
as HMAC-SHA256 of its identifier under the key of the server, 64 bits of it, so that who has the
log alone learns no identifier, and who has the key can look one up.

Every line is with the operating system before the answer leaves, so a killed server loses none;
it is on the disk (fsync) a second later, which is what a power failure can lose. A call whose line
cannot be written is not answered. Calls without a valid token are not in it. Several processes may
append to one file, and it may be moved away while they do: they go on in a new one.
"""

from __future__ import annotations

import datetime
import errno
import fcntl
import hmac
import json
import logging
import os
import re
import secrets
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from matching.errors import InputFileError
from service.calls import Call, watched
from service.status import AuditError, ServerError

_LOG = logging.getLogger("graftmatch.audit")
T = TypeVar("T")
SYNC_SECONDS = 1.0
# Records on one line.
MAX_RECORDS = 1000
_KEY_BYTES = 32
_KEY = re.compile(b"[0-9a-fA-F]{%d}" % (2 * _KEY_BYTES))
_HASH_DIGITS = 16


def audit_key(path: Path) -> bytes:
    """The key of a file, made first where there is none. Raises `ServerError`."""
    try:
        if not path.exists():
            _make_key(path)
        text = path.read_bytes().strip()
    except OSError as error:
        raise ServerError(
            f"cannot read or make {path}, the key of the audit log: {error.strerror}"
        ) from error
    if not _KEY.fullmatch(text):
        raise ServerError(
            f"{path} is no key of the audit log: not {2 * _KEY_BYTES} hexadecimal digits"
        )
    return bytes.fromhex(text.decode())


def _make_key(path: Path) -> None:
    """One of several processes that start together does, and no other sees half of it."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def record_hash(key: bytes, identifier: str) -> str:
    """What stands in the log for a record."""
    return hmac.digest(key, identifier.encode(), "sha256").hex()[:_HASH_DIGITS]


@dataclass
class AuditLog:
    """The log of one process. Raises `ServerError` if it cannot be written."""

    path: Path
    key: bytes = field(repr=False)
    _file: int = field(init=False, repr=False)
    _lock: threading.Lock = field(init=False, repr=False, default_factory=threading.Lock)
    _closing: threading.Event = field(init=False, repr=False, default_factory=threading.Event)
    _unsynced: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        try:
            self._file = self._open()
            self._append(b"")
        except OSError as error:
            raise ServerError(
                f"cannot write the audit log {self.path}: {error.strerror}; nothing is answered "
                "without it"
            ) from error
        self._syncing = threading.Thread(target=self._sync_often, name="audit", daemon=True)
        self._syncing.start()

    def records(self, call: Call, identifiers: Iterable[str], override: bool = False) -> None:
        """Write down whom a call is about, before it is told. Raises `AuditError`.

        `override`: these donors are to be kept though their virtual crossmatch is positive.
        """
        marked = {"override": True} if override else {}
        rest = iter(identifiers)
        while some := [record_hash(self.key, one) for one in islice(rest, MAX_RECORDS)]:
            self._write(call, {"records": some, **marked})

    def outcome(self, call: Call, outcome: str, seconds: float) -> None:
        """Write down how a call ended. Raises `AuditError`."""
        self._write(call, {"outcome": outcome, "seconds": round(seconds, 6)})

    def close(self) -> None:
        """Bring everything to the disk; nothing can be written after."""
        self._closing.set()
        self._syncing.join()
        self._sync()
        os.close(self._file)

    def _write(self, call: Call, what: dict[str, Any]) -> None:
        entry = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "site": call.caller.site,
            "token": call.caller.token,
            "rpc": call.rpc,
            "request_id": call.request_id,
            **what,
        }
        try:
            self._append(json.dumps(entry, separators=(",", ":")).encode() + b"\n")
        except OSError as error:
            raise AuditError(f"cannot write {self.path}: {error.strerror}") from error

    def _append(self, line: bytes) -> None:
        with self._lock:
            if self._was_moved():
                # The former one is kept until there is another: its number would be some other
                # file's.
                opened = self._open()
                os.close(self._file)
                self._file = opened
            # So that no other process appends to a line that was cut off.
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                end = os.lseek(self._file, 0, os.SEEK_END)
                if os.write(self._file, line) < len(line):
                    os.ftruncate(self._file, end)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
            self._unsynced = True

    def _open(self) -> int:
        return os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def _was_moved(self) -> bool:
        try:
            there = self.path.stat()
        except FileNotFoundError:
            return True
        mine = os.fstat(self._file)
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)

    def _sync_often(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            self._sync()

    def _sync(self) -> None:
        with self._lock:
            if not self._unsynced:
                return
            self._unsynced = False
            # Another descriptor, so that calls need not wait for the disk.
            file = os.dup(self._file)
        try:
            os.fsync(file)
        except OSError as error:
            _LOG.error("the audit log did not reach the disk: %s", error.strerror)
        finally:
            os.close(file)


class DamagedLogError(InputFileError):
    """A line that is none of an audit log. `number`: which of the file, from 1."""

    def __init__(self, path: Path, number: int) -> None:
        self.number = number
        super().__init__(f"{path}, line {number}: no line of an audit log")


def lines_about(
    path: Path, site: str | None, record: str | None, read: Callable[[dict[str, Any]], T]
) -> Iterator[T]:
    """What `read` makes of the lines of a site, with the hash of a record; None is any.

    Raises `DamagedLogError`, `InputFileError` where the file cannot be read, and `CallEndedError`
    where nobody waits any more.
    """
    try:
        with path.open("rb") as file:
            for number, text in enumerate(watched(file), 1):
                if not text.endswith(b"\n"):
                    # It is being written.
                    return
                try:
                    line = json.loads(text)
                    if site not in (None, line["site"]):
                        continue
                    if record is not None and record not in line.get("records", ()):
                        continue
                    found = read(line)
                except (ValueError, TypeError, KeyError) as error:
                    raise DamagedLogError(path, number) from error
                yield found
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error.strerror}") from error
