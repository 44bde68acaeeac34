"""Logs as JSON lines, in words of our own: what others' code says may quote a request."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
import traceback
from contextlib import nullcontext, suppress
from typing import Any, TextIO

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict

from service.calls import CURRENT

_OURS = "graftmatch"
_BUFFER_SECONDS = 0.05
_NOT_TOLD = "a message of a library, which may quote a request, is not written"


def call_log() -> BoundLogger:
    """The log of calls, a line each."""
    logger: BoundLogger = structlog.wrap_logger(
        logging.getLogger("graftmatch.calls"),
        processors=[structlog.stdlib.filter_by_level, ProcessorFormatter.wrap_for_formatter],
        wrapper_class=BoundLogger,
    )
    return logger


def formatter() -> logging.Formatter:
    """Time, level, logger, event and request id of every record as JSON."""
    return ProcessorFormatter(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _describe,
            ProcessorFormatter.remove_processors_meta,
            structlog.processors.JSONRenderer(),
        ],
    )


class BufferedHandler(logging.StreamHandler[TextIO]):
    """Writes several records at once, at most `_BUFFER_SECONDS` late; a warning or worse writes
    them all now.

    A call then waits neither for whoever reads the log nor, each time, for the interpreter lock.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._begin()
        # A forked process has none of the threads of its parent.
        os.register_at_fork(before=self.flush, after_in_child=self._begin)

    def _begin(self) -> None:
        self._waiting, self._writes = threading.Event(), False

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        try:
            self._lines.append(self.format(record) + self.terminator)
        except Exception:
            self.handleError(record)
        if record.levelno >= logging.WARNING:
            self.flush()
        elif not self._waiting.is_set():
            self._waiting.set()
            if not self._writes:
                self._writes = True
                threading.Thread(target=self._write, name="log", daemon=True).start()

    def flush(self) -> None:
        """Write what waits. What cannot be written is lost: it may keep no call from its answer."""
        with self.lock or nullcontext(), suppress(OSError):
            lines, self._lines = self._lines, []
            if lines:
                self.stream.write("".join(lines))
            super().flush()

    def _write(self) -> None:
        while True:
            self._waiting.wait()
            time.sleep(_BUFFER_SECONDS)
            self._waiting.clear()
            self.flush()


def log_to_stderr() -> None:
    """Write the records of this process to stderr, as JSON lines."""
    # There is no stderr where it was closed before the start.
    stderr: TextIO | None = sys.stderr
    handler = logging.NullHandler() if stderr is None else BufferedHandler(stderr)
    handler.setFormatter(formatter())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)


def _describe(_logger: Any, _name: str, event: EventDict) -> EventDict:
    record: logging.LogRecord = event["_record"]
    event.update(level=record.levelname.lower(), logger=record.name)
    if record.name.partition(".")[0] != _OURS:
        event.update(event=_NOT_TOLD, file=record.filename, line=record.lineno)
    if (call := CURRENT.get()) is not None:
        event["request_id"] = call.request_id
    raised = event.pop("exc_info", None)
    if raised:
        kind, _, trace = raised
        event["error"] = kind.__name__
        event["where"] = [f"{f.name}:{f.lineno}" for f in traceback.extract_tb(trace)]
    return event
