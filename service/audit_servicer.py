"""The audit log, read by the administrators of a site: what that site did."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from matching.errors import InputFileError
from service.answering import Answering
from service.calls import current
from service.convert import LIMITS, checking
from service.pb.graftmatch.v1 import audit_pb2, audit_pb2_grpc
from service.security.audit import AuditLog, DamagedLogError, lines_about, record_hash
from service.status import AuditError, StateError, Violation

_BATCH = 500


class AuditServicer(audit_pb2_grpc.AuditServiceServicer):
    """Reads `log`, None where none is written."""

    def __init__(self, answering: Answering, log: AuditLog | None) -> None:
        self._answering, self._log = answering, log

    async def ReadAuditLog(  # noqa: N802
        self, request: audit_pb2.ReadAuditLogRequest, context: Any
    ) -> AsyncIterator[audit_pb2.ReadAuditLogResponse]:
        """See the proto."""
        entries = await self._answering.run(context, self._entries, request)
        while True:
            some = await self._answering.run(context, lambda: list(islice(entries, _BATCH)))
            yield audit_pb2.ReadAuditLogResponse(entries=some)
            if len(some) < _BATCH:
                return

    def _entries(self, request: audit_pb2.ReadAuditLogRequest) -> Iterator[audit_pb2.AuditEntry]:
        """Raises `RequestError` and `StateError`; the iteration raises what `_read` does."""
        with checking() as found:
            if len(request.record) > LIMITS.identifier_characters:
                reason = f"longer than {LIMITS.identifier_characters} characters"
                found.append(Violation("record", reason))
            after = _nanoseconds(request.after, found)
        log = self._log
        if log is None:
            raise StateError("this server writes no audit log")
        record = record_hash(log.key, request.record) if request.record else None
        entries = _read(log.path, current().caller.site, record)
        return (entry for entry in entries if entry.time.ToNanoseconds() > after)


def _read(path: Path, site: str, record: str | None) -> Iterator[audit_pb2.AuditEntry]:
    """Raises `StateError` at a damaged line, and `AuditError` where the file cannot be read."""
    if not path.exists():
        # It was renamed, and nothing has been written since.
        return
    try:
        yield from lines_about(path, site, record, _entry)
    except DamagedLogError as error:
        raise StateError(
            f"line {error.number} of the audit log is damaged; see to it on the server, or rename "
            "the log there, and the next call begins another"
        ) from None
    except InputFileError as error:
        raise AuditError(str(error)) from error.__cause__


def _nanoseconds(time: Timestamp, found: list[Violation]) -> int:
    try:
        return int(time.ToNanoseconds())
    except ValueError:
        found.append(Violation("after", "must be a time of the years 1 to 9999"))
        return 0


def _entry(line: dict[str, Any]) -> audit_pb2.AuditEntry:
    time = Timestamp()
    time.FromDatetime(datetime.datetime.fromisoformat(line["time"]))
    return audit_pb2.AuditEntry(
        time=time,
        token=line["token"],
        rpc=line["rpc"],
        request_id=line["request_id"],
        records=line.get("records"),
        outcome=line.get("outcome"),
        seconds=line.get("seconds"),
        override=line.get("override"),
    )
