"""The donors of the registry: imported, read, listed, deleted and counted."""

from __future__ import annotations

import asyncio
import csv
import datetime
import hashlib
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from data.index import MassSets
from data.registry import ImportSummary, Mode, StoredDonors
from matching.errors import InputFileError, OutputError
from service.answering import Answering, provenance
from service.apart import apart
from service.calls import Call, checkpoint, current
from service.convert import LIMITS, checking
from service.convert.names import DONORS, identifier_of
from service.convert_registry import (
    ImportOrder,
    donor_message,
    history_messages,
    import_order,
    import_response,
)
from service.importing import import_apart
from service.pages import ListPage
from service.pb.graftmatch.v1 import common_pb2, registry_pb2, registry_pb2_grpc
from service.requests import check_request_id
from service.snapshot import Snapshot
from service.status import NotFoundError, RequestError, Violation
from service.temporary import TemporaryFolder

# Bytes of a file, of some hundred records, that are imported here; more in a process of their own.
IMPORTED_HERE = 100_000


@dataclass
class Upload:
    """A file that a client sends, in a folder of its own until `close`.

    `is_taken`: the thread that imports it closes it, and nobody else.
    """

    name: str
    n_bytes: int = 0
    is_taken: bool = False
    _folder: TemporaryFolder = field(default_factory=TemporaryFolder)
    _sha256: Any = field(default_factory=hashlib.sha256)

    @property
    def folder(self) -> Path:
        """Where further files of the import may be."""
        return self._folder.path

    @property
    def path(self) -> Path:
        """The file. The history of donors tells its name."""
        return self.folder / self.name

    @property
    def sha256(self) -> bytes:
        """Of what was sent so far."""
        digest: bytes = self._sha256.digest()
        return digest

    def add(self, data: bytes) -> None:
        """The next bytes. Raises `RequestError` and `OutputError`."""
        self.n_bytes += len(data)
        if self.n_bytes > LIMITS.import_bytes:
            raise RequestError([Violation("data", f"more than {LIMITS.import_bytes:,} bytes")])
        try:
            with self.path.open("ab") as file:
                file.write(data)
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror}") from error
        self._sha256.update(data)

    def close(self) -> None:
        """Remove it."""
        self._folder.close()


def import_answer(
    snapshot: Snapshot, options: registry_pb2.ImportOptions, order: ImportOrder, upload: Upload
) -> registry_pb2.ImportDonorsResponse:
    """Bring a file into the registry, and remove it. It may be stopped until the donors are stored.

    Raises `RequestError`, `UnderWayError`, `StoreError`, `OutputError` and `CallEndedError`.
    """
    upload.is_taken = True
    try:
        with checking() as found:
            if not upload.n_bytes:
                found.append(Violation("data", "nothing of a file was sent"))
        answer: registry_pb2.ImportDonorsResponse = snapshot.requests.once(
            current(),
            order.request_id,
            options.SerializeToString(deterministic=True) + upload.sha256,
            registry_pb2.ImportDonorsResponse.FromString,
            partial(_imported, snapshot, order, upload),
        )
        return answer
    finally:
        upload.close()


def _imported(
    snapshot: Snapshot, order: ImportOrder, upload: Upload
) -> registry_pb2.ImportDonorsResponse:
    changes = not order.request.validate_only and order.request.mode is not Mode.CHECK
    differences = upload.folder / "differences" if order.request.mode is Mode.CHECK else None
    release, files = order.nomenclature.release, (upload.path, upload.folder / "rejects")
    request = replace(order.request, differences=differences)
    try:
        if upload.n_bytes > IMPORTED_HERE:
            with_masses = changes and release == snapshot.nomenclature.release
            summary = apart(
                *(import_apart, snapshot.registry, snapshot.home, release, files),
                *(order.options, request, with_masses),
            )
        else:
            summary = snapshot.registry.import_file(
                *(files[0], order.nomenclature, files[1], _stop, order.options, request),
                masses=partial(_masses, snapshot, release, changes),
            )
    except InputFileError as error:
        # The path is ours.
        reason = str(error).replace(str(upload.path), "the file")
        raise RequestError([Violation("data", reason)]) from error
    told = _provenance(snapshot)
    told.release = order.nomenclature.release
    return import_response(summary, differences, told, _revision(snapshot))


def _masses(snapshot: Snapshot, release: str, changes: bool, _: ImportSummary) -> MassSets | None:
    """Those that are searched with, where an import changes what is searched."""
    if snapshot.sets is None or not changes or release != snapshot.nomenclature.release:
        return None
    return snapshot.sets.masses


def _stop(done: object) -> None:
    """Stop between records where nobody waits; once all are read the index must follow."""
    if isinstance(done, int):
        checkpoint()


def get_answer(
    snapshot: Snapshot, request: registry_pb2.GetDonorRequest
) -> registry_pb2.GetDonorResponse:
    """Raises `RequestError`, `NotFoundError` and `StoreError`."""
    identifier = identifier_of(request.name, DONORS)
    record = _record(snapshot, identifier)
    today = datetime.date.today()
    present = record["present"]
    return registry_pb2.GetDonorResponse(
        provenance=provenance(snapshot),
        donor=None if present is None else donor_message(identifier, present, today),
        history=history_messages(identifier, record["history"], today),
    )


def list_answer(
    snapshot: Snapshot, request: registry_pb2.ListDonorsRequest
) -> registry_pb2.ListDonorsResponse:
    """Raises `RequestError` and `StoreError`."""
    answer = registry_pb2.ListDonorsResponse(provenance=provenance(snapshot))
    page: ListPage[str] = ListPage.of(request, {"the registry": snapshot.registry.name}, "")
    if _revision(snapshot):
        with snapshot.registry.opened() as source:
            # One more, to know whether it is the last page.
            found = source.shown_after(page.start, page.size + 1)
        today = datetime.date.today()
        answer.donors.extend(donor_message(*one, today) for one in found[: page.size])
        if len(found) > page.size:
            answer.next_page_token = page.token(found[page.size - 1][0])
    return answer


def delete_answer(
    snapshot: Snapshot, request: registry_pb2.DeleteDonorRequest
) -> registry_pb2.DeleteDonorResponse:
    """Raises `RequestError`, `NotFoundError`, `UnderWayError`, `StoreError` and `OutputError`."""
    with checking() as found:
        check_request_id(request.request_id, found)
    identifier = identifier_of(request.name, DONORS)
    call = current()
    answer: registry_pb2.DeleteDonorResponse = snapshot.requests.once(
        call,
        request.request_id,
        request.SerializeToString(deterministic=True),
        registry_pb2.DeleteDonorResponse.FromString,
        partial(_deleted, snapshot, identifier, call),
    )
    return answer


def _deleted(snapshot: Snapshot, identifier: str, call: Call) -> registry_pb2.DeleteDonorResponse:
    if _record(snapshot, identifier)["present"] is None:
        raise NotFoundError("the donor was deleted before")
    with closing(TemporaryFolder()) as folder:
        path = folder.path / call.request_id
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "gl", "change"), (identifier, "", "D")])
        release = snapshot.nomenclature.release
        snapshot.registry.import_file(
            *(path, snapshot.nomenclature, path.with_suffix(".rejects")),
            masses=partial(_masses, snapshot, release, True),
        )
    last = _record(snapshot, identifier)["history"][-1]
    return registry_pb2.DeleteDonorResponse(
        provenance=_provenance(snapshot), revision=last["revision"]
    )


def statistics_answer(
    snapshot: Snapshot, _: registry_pb2.GetStatisticsRequest
) -> registry_pb2.GetStatisticsResponse:
    """Raises `StoreError`."""
    answer = registry_pb2.GetStatisticsResponse(provenance=provenance(snapshot))
    if _revision(snapshot):
        with snapshot.registry.opened() as source:
            answer.stored, answer.revision = source.count(), source.revision
            _count(source, answer)
    if (search := snapshot.search) is not None:
        answer.searchable = len(search.index)
        answer.unreadable = search.index.n_unreadable
        answer.index_revision = search.index.revision
        masses = search.masses
        answer.missing_masses = answer.searchable if masses is None else masses.n_missing
    return answer


def _count(source: StoredDonors, answer: registry_pb2.GetStatisticsResponse) -> None:
    for fact, counts in (
        ("type", answer.by_type),
        ("status", answer.by_status),
        ("registry", answer.by_registry),
    ):
        counts.update(source.counts(fact))


def _record(snapshot: Snapshot, identifier: str) -> dict[str, Any]:
    """A donor with its history. Raises `NotFoundError` and `StoreError`."""
    if _revision(snapshot):
        with snapshot.registry.opened() as source:
            record = source.record(identifier)
        if record is not None:
            return record
    raise NotFoundError("no such donor was ever in the registry")


def _revision(snapshot: Snapshot) -> int:
    """The last change of the registry, 0 where it never held a donor."""
    if not snapshot.registry.version():
        return 0
    with snapshot.registry.opened() as source:
        return source.revision


def _provenance(snapshot: Snapshot) -> common_pb2.Provenance:
    """With the state of the registry after a change."""
    told = provenance(snapshot)
    told.index = snapshot.registry.version()
    return told


class RegistryServicer(registry_pb2_grpc.RegistryServiceServicer):
    """See the proto. Changes have a thread of their own, one after the other."""

    def __init__(self, answering: Answering, changing: Executor) -> None:
        self._answering, self._changing = answering, changing

    async def ImportDonors(  # noqa: N802
        self, requests: AsyncIterator[registry_pb2.ImportDonorsRequest], context: Any
    ) -> registry_pb2.ImportDonorsResponse:
        """See the proto. A part is asked for when the one before is written."""
        answering = self._answering
        first = await anext(requests, registry_pb2.ImportDonorsRequest())
        with checking() as found:
            if first.WhichOneof("part") != "options":
                found.append(Violation("options", "must be the first message"))
        releases = answering.snapshot.releases
        order = await answering.run(context, import_order, first.options, releases)
        upload = Upload(current().request_id)
        try:
            async for request in requests:
                with checking() as found:
                    if request.WhichOneof("part") != "data":
                        found.append(Violation("data", "must be every message but the first"))
                await answering.run(context, upload.add, request.data)
            asked = (answering.snapshot, first.options, order, upload)
            return await answering.run(context, import_answer, *asked, pool=self._changing)
        except BaseException:
            if not upload.is_taken:
                # On a thread: it may be large.
                asyncio.get_running_loop().run_in_executor(None, upload.close)
            raise

    async def GetDonor(  # noqa: N802
        self, request: registry_pb2.GetDonorRequest, context: Any
    ) -> registry_pb2.GetDonorResponse:
        """See the proto."""
        return await self._answering.answer(context, get_answer, request)

    async def ListDonors(  # noqa: N802
        self, request: registry_pb2.ListDonorsRequest, context: Any
    ) -> registry_pb2.ListDonorsResponse:
        """See the proto."""
        return await self._answering.answer(context, list_answer, request)

    async def DeleteDonor(  # noqa: N802
        self, request: registry_pb2.DeleteDonorRequest, context: Any
    ) -> registry_pb2.DeleteDonorResponse:
        """See the proto."""
        return await self._answering.answer(context, delete_answer, request, self._changing)

    async def GetStatistics(  # noqa: N802
        self, request: registry_pb2.GetStatisticsRequest, context: Any
    ) -> registry_pb2.GetStatisticsResponse:
        """See the proto."""
        return await self._answering.answer(context, statistics_answer, request)
