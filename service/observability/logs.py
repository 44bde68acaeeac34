"""Logs as JSON lines, in words of our own: what others' code says may quote a request."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import structlog
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import EventDict

from service.calls import CURRENT

_OURS = "graftmatch"
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


def log_to_stderr() -> None:
    """Write the records of this process to stderr, as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
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
