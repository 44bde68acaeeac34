"""The log of a batch: what its runs did and when, and nothing of any patient."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from matching.errors import OutputError

RUN_LOG = "run.log"


@dataclass(frozen=True)
class RunLog:
    """A file of JSON lines that every run of a batch appends to; docs/batch.md tells the events."""

    path: Path

    @contextmanager
    def run(self, **what: Any) -> Iterator[dict[str, Any]]:
        """The lines at the beginning of a run, with `what` it does, and at its end, with what the
        block says that came out."""
        begun, resumed = time.monotonic(), self.path.exists()
        if resumed and not self.path.read_bytes().endswith(b"\n"):
            # A power cut left half a line.
            self._append("\n")
        self.write("started", version=metadata.version("graftmatch"), resumed=resumed, **what)
        came_out: dict[str, Any] = {}
        try:
            yield came_out
        except BaseException as error:
            # Its message may name a record. A disk that is full must not hide it either.
            with suppress(OutputError):
                self.write("stopped", reason=type(error).__name__, seconds=_since(begun))
            raise
        self.write("ended", seconds=_since(begun), **came_out)

    def write(self, event: str, **what: Any) -> None:
        """Append a line. Raises `OutputError`."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self._append(json.dumps({"time": now, "event": event, **what}) + "\n")

    def _append(self, text: str) -> None:
        try:
            with self.path.open("ab", buffering=0) as file:
                file.write(text.encode())
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}; free space") from error


def _since(begun: float) -> float:
    return round(time.monotonic() - begun, 3)
