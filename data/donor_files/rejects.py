"""Records that cannot be used, with their reasons."""

from __future__ import annotations

import csv
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data.files import replacing
from matching.errors import RecordError

_SPOOLED_BYTES = 10_000_000

# Number of the record, its identifier, and why it is refused.
Reject = tuple[int, str, str]


class Rejects:
    """Refused records; many of them wait on the disk and not in memory."""

    def __init__(self) -> None:
        self._count = 0
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            _SPOOLED_BYTES, "w+", encoding="utf-8", newline=""
        )
        self.add([("record", "id", "reason")])
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rejects: Sequence[tuple[Any, str, str]]) -> None:
        """Put further rejects behind the ones so far."""
        csv.writer(self._file).writerows(
            (number, _encodable(identifier[:200]), _encodable(reason))
            for number, identifier, reason in rejects
        )
        self._count += len(rejects)

    def identifiers(self) -> set[str]:
        """Of all refused records."""
        self._file.seek(0)
        _, *rows = csv.reader(self._file)
        return {identifier for _, identifier, _ in rows}

    def write(self, path: Path) -> None:
        """The rejects as CSV: record number, identifier, reason. Raises `OutputError`."""
        self._file.seek(0)
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            shutil.copyfileobj(self._file, f)


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def duplicate(number: int, identifier: str, first: int) -> Reject:
    """The reject of a record whose identifier an earlier one has."""
    reason = f"duplicate of record {first} of this file, which was used"
    return number, identifier, str(RecordError("id", identifier, reason))
