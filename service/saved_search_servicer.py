"""The calls about saved searches. Every call sees those of the caller's site alone."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from data.donor_files import Person
from data.saved_searches import Run, SavedFolder, SavedSearch, is_name
from matching.errors import InputFileError
from matching.typings import split_gl, typing_of
from service.answering import Answering
from service.calls import current
from service.convert import LIMITS, checking, read_day
from service.convert.names import SAVED_SEARCHES, identifier_of
from service.convert_search import OF_ONE_ANSWER, check_empty, inside, search_request
from service.pages import ListPage
from service.pb.graftmatch.v1 import common_pb2, saved_searches_pb2, saved_searches_pb2_grpc
from service.repeat import (
    NO_HISTORY,
    Difference,
    antibodies_of,
    antibody_notes,
    differences,
    history_since,
    provenance_notes,
    run_of,
    settings_of,
    stored_settings,
)
from service.search import AntibodyUse, SearchSettings, notes_of, search_people
from service.snapshot import Snapshot
from service.status import (
    EmptyRegistryError,
    NotFoundError,
    QuotaError,
    RequestError,
    StateError,
    TakenError,
    Violation,
)

_BATCH = 500
_PATIENT = "patient"
_KINDS = {
    "new": saved_searches_pb2.DIFFERENCE_KIND_NEW,
    "changed": saved_searches_pb2.DIFFERENCE_KIND_CHANGED,
    "gone": saved_searches_pb2.DIFFERENCE_KIND_GONE,
}


def _folder(snapshot: Snapshot) -> SavedFolder:
    return SavedFolder(snapshot.home.searches_of(current().caller.site))


def _read(snapshot: Snapshot, name: str) -> tuple[str, SavedSearch]:
    """A saved search of the caller's site, by its identifier.

    Raises `RequestError`, `NotFoundError`, and `StateError` for a damaged one.
    """
    identifier, folder = identifier_of(name, SAVED_SEARCHES), _folder(snapshot)
    if not folder.has(identifier):
        raise NotFoundError("there is no such saved search")
    try:
        return identifier, folder.read(identifier)
    except InputFileError:
        raise StateError("the saved search cannot be read; delete it and create it again") from None


def _search(
    snapshot: Snapshot, person: Person, wanted: SearchSettings, use: AntibodyUse | None
) -> tuple[Run, list[str]]:
    """What a search finds now; how names were followed, and what is said of the report.

    Raises `EmptyRegistryError`, `StoreError`, and `RequestError` where it finds too many.
    """
    if snapshot.search is None:
        raise EmptyRegistryError("the registry holds no donors; import some")
    results = search_people(
        *([person], snapshot.search, snapshot.model, wanted),
        limits=LIMITS.genotypes,
        antibodies=None if use is None else {person.id: use},
    )
    if (found := results.found[person.id]) > LIMITS.saved_donors:
        reason = f"{found:,} donors are found; at most {LIMITS.saved_donors:,} can be kept"
        raise RequestError([Violation("search", reason)])
    notes = notes_of(results.matches)
    if use is not None:
        n_excluded = len(results.excluded[person.id])
        notes += antibody_notes(typing_of(person.written), use, n_excluded)
    return run_of(results, person.id, use), notes


def _created(
    snapshot: Snapshot, request: saved_searches_pb2.CreateSavedSearchRequest
) -> saved_searches_pb2.CreateSavedSearchResponse:
    identifier, folder = request.saved_search_id, _folder(snapshot)
    with checking() as found:
        if not is_name(identifier):
            reason = "must be 1 to 64 letters, digits, '_', '-' and '.', not '-' or '.' first"
            found.append(Violation("saved_search_id", reason))
    with inside("search"):
        with checking() as found:
            check_empty(request.search, ("limit", *OF_ONE_ANSWER), found)
            if request.search.antibodies.kept:
                reason = "must be empty here: why somebody is kept is written nowhere"
                found.append(Violation("antibodies.kept", reason))
        asked = search_request(request.search, snapshot.nomenclature, snapshot.reports)
    taken = TakenError("a search of this site is saved under this identifier")
    if folder.has(identifier):
        raise taken
    if len(folder.names()) >= LIMITS.saved_searches:
        raise QuotaError(f"{LIMITS.saved_searches:,} searches are saved; delete some")
    wanted = asked.asked.settings(None)
    text = asked.patient.text
    person = Person(_PATIENT, asked.facts, split_gl(text))
    run, notes = _search(snapshot, person, wanted, asked.antibodies)
    settings = stored_settings(wanted, antibodies=asked.antibodies)
    saved = SavedSearch(text, dict(asked.facts), settings, run)
    if not folder.add(identifier, saved):
        raise taken
    return saved_searches_pb2.CreateSavedSearchResponse(
        saved_search=_message(identifier, saved), notes=notes
    )


@dataclass(frozen=True)
class _Repeated:
    """A saved search that was run again: `head` without differences."""

    head: saved_searches_pb2.RunSavedSearchResponse
    found: list[Difference]

    @classmethod
    def of(cls, snapshot: Snapshot, request: saved_searches_pb2.RunSavedSearchRequest) -> _Repeated:
        """Runs it, and keeps the run."""
        with checking() as violations:
            as_of = read_day("as_of", request.as_of, violations) or datetime.date.today()
        identifier, saved = _read(snapshot, request.name)
        try:
            wanted = settings_of(identifier, saved, as_of)
            use = antibodies_of(identifier, saved, snapshot.reports)
        except InputFileError as error:
            raise StateError(str(error)) from None
        person = Person(_PATIENT, saved.facts, split_gl(saved.patient))
        run, notes = _search(snapshot, person, wanted, use)
        history = history_since(snapshot.registry, saved.last)
        found = differences(saved.last, run, history or {})
        counts = Counter(one.kind for one in found)
        notes = [*provenance_notes(saved.last, run), *notes]
        now = replace(saved, last=run)
        if not request.keep_last:
            _folder(snapshot).write(identifier, now)
        head = saved_searches_pb2.RunSavedSearchResponse(
            saved_search=_message(identifier, now),
            since=saved.last.as_of,
            new=counts["new"],
            changed=counts["changed"],
            gone=counts["gone"],
            notes=[*notes, NO_HISTORY] if history is None else notes,
        )
        return cls(head, found)

    def batch(self, begin: int) -> saved_searches_pb2.RunSavedSearchResponse:
        """Some of the differences."""
        answer = saved_searches_pb2.RunSavedSearchResponse()
        answer.CopyFrom(self.head)
        answer.differences.extend(
            saved_searches_pb2.SearchDifference(
                donor=one.donor, kind=_KINDS[one.kind], rank=one.rank or 0, reasons=one.reasons
            )
            for one in self.found[begin : begin + _BATCH]
        )
        return answer


class SavedSearchServicer(saved_searches_pb2_grpc.SavedSearchServiceServicer):
    """Answers from the folder of the caller's site."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def CreateSavedSearch(  # noqa: N802
        self, request: saved_searches_pb2.CreateSavedSearchRequest, context: Any
    ) -> saved_searches_pb2.CreateSavedSearchResponse:
        """See the proto."""
        return await self._answering.answer(context, _created, request)

    async def RunSavedSearch(  # noqa: N802
        self, request: saved_searches_pb2.RunSavedSearchRequest, context: Any
    ) -> AsyncIterator[saved_searches_pb2.RunSavedSearchResponse]:
        """See the proto."""
        repeated = await self._answering.answer(context, _Repeated.of, request)
        for begin in range(0, max(len(repeated.found), 1), _BATCH):
            yield repeated.batch(begin)

    async def GetSavedSearch(  # noqa: N802
        self, request: saved_searches_pb2.GetSavedSearchRequest, context: Any
    ) -> saved_searches_pb2.GetSavedSearchResponse:
        """See the proto."""
        return await self._answering.answer(context, _told, request)

    async def ListSavedSearches(  # noqa: N802
        self, request: saved_searches_pb2.ListSavedSearchesRequest, context: Any
    ) -> saved_searches_pb2.ListSavedSearchesResponse:
        """See the proto."""
        return await self._answering.answer(context, _listed, request)

    async def DeleteSavedSearch(  # noqa: N802
        self, request: saved_searches_pb2.DeleteSavedSearchRequest, context: Any
    ) -> saved_searches_pb2.DeleteSavedSearchResponse:
        """See the proto."""
        return await self._answering.answer(context, _deleted, request)


def _told(
    snapshot: Snapshot, request: saved_searches_pb2.GetSavedSearchRequest
) -> saved_searches_pb2.GetSavedSearchResponse:
    return saved_searches_pb2.GetSavedSearchResponse(
        saved_search=_message(*_read(snapshot, request.name))
    )


def _listed(
    snapshot: Snapshot, request: saved_searches_pb2.ListSavedSearchesRequest
) -> saved_searches_pb2.ListSavedSearchesResponse:
    page: ListPage[str] = ListPage.of(request, {"the site": current().caller.site}, "")
    rest = [name for name in _folder(snapshot).names() if name > page.start]
    shown = rest[: page.size]
    return saved_searches_pb2.ListSavedSearchesResponse(
        saved_searches=[
            saved_searches_pb2.SavedSearch(name=SAVED_SEARCHES + name) for name in shown
        ],
        next_page_token=page.token(shown[-1]) if len(rest) > page.size else "",
    )


def _deleted(
    snapshot: Snapshot, request: saved_searches_pb2.DeleteSavedSearchRequest
) -> saved_searches_pb2.DeleteSavedSearchResponse:
    identifier, folder = identifier_of(request.name, SAVED_SEARCHES), _folder(snapshot)
    if not folder.has(identifier):
        raise NotFoundError("there is no such saved search")
    folder.remove(identifier)
    return saved_searches_pb2.DeleteSavedSearchResponse()


def _message(identifier: str, saved: SavedSearch) -> saved_searches_pb2.SavedSearch:
    last = saved.last
    return saved_searches_pb2.SavedSearch(
        name=SAVED_SEARCHES + identifier,
        patient=saved.patient,
        as_of=last.as_of,
        provenance=common_pb2.Provenance(
            release=last.provenance["release"],
            frequency_set=last.provenance["frequency set"],
            model=last.provenance["risk model"],
            index=f"{last.store}-{last.revision}",
        ),
        found=len(last.donors),
        with_antibodies=saved.settings.get("antibodies") is not None,
    )
