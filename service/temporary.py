"""Temporary folders that go with their process, and with the next server if it was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from matching.errors import OutputError

_PREFIX, _LOCK = "graftmatch-", ".graftmatch-lock"


class TemporaryFolder:
    """A folder until `close`, or until this process and those forked from it have ended.

    `path`: where it is. Raises `OutputError` where there is no room for it.
    """

    def __init__(self) -> None:
        try:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
            self._lock, name = tempfile.mkstemp(dir=self.path)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            # It is locked from when others can see it.
            os.rename(name, self.path / _LOCK)
        except OSError as error:
            raise OutputError(
                f"cannot write {tempfile.gettempdir()}: {error.strerror}; free space or name "
                "another folder with TMPDIR"
            ) from error

    def close(self) -> None:
        """Remove it with what is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def remove_left() -> None:
    """Remove folders whose processes were killed."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        # Such as one of another user, or of a process that lives.
        with suppress(OSError):
            handle = os.open(lock, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent)
            finally:
                os.close(handle)
