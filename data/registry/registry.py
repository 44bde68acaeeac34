"""A registry: the store of donors, and the indexes made from it.

Every import that changes something is a revision of the store. It is committed first, then the
index is brought up to date; a search uses the index there is.
"""

from __future__ import annotations

import datetime
import gc
import hashlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import sqlalchemy as sa

from data.donor_files import AS_WRITTEN, PeopleFile, ReadingOptions, RecordReader
from data.files import remove_folder, replacing
from data.index import (
    Changed,
    DamagedIndexError,
    IndexMasses,
    MassSets,
    StoredIndex,
    WrittenDonors,
    completing,
    encode_donors,
    fill_masses,
    is_being_completed,
    open_index,
    state_name,
    update_index,
)
from data.registry.databases import Database, Session, Sqlite
from data.registry.importing import Importer, ImportSummary, Mode
from data.registry.schema import imports, put
from data.registry.store import StoredDonors
from matching.errors import InputFileError, OutputError, StoreError
from matching.genotypes import book_builders
from matching.nomenclature import Nomenclature

_POSTGRES = ("postgresql://", "postgres://")
_STORE_NAME = 12
# After which a change is searched without masses, even if somebody still makes them.
PATIENCE_SECONDS = 900.0


@dataclass(frozen=True)
class ImportRequest:
    """What is asked of an import besides the file.

    `validate_only`: nothing is changed. `allow_deletions`: a full file may leave out any share of
    the donors of its registries. `differences`: where `Mode.CHECK` writes what differs.
    """

    mode: Mode = Mode.DIFF
    validate_only: bool = False
    allow_deletions: bool = False
    differences: Path | None = None


ADD_OR_UPDATE = ImportRequest()


@dataclass(frozen=True)
class Registry:
    """The donors of a folder (`donors.sqlite`, and the indexes in `index`) or of a database.

    `location`: the folder, or an address such as `postgresql://HOST/DATABASE`, whose indexes are
    in the folder `indexes`.
    """

    location: Path | str
    indexes: Path | None = None

    @classmethod
    def at(cls, location: Path | str, home: Path) -> Registry:
        """A registry with indexes of a database below a home folder.

        Raises `StoreError` for an address of anything but PostgreSQL.
        """
        if str(location).startswith(_POSTGRES):
            return cls(str(location), home / "registry-indexes")
        scheme, is_address, _ = str(location).partition("://")
        if is_address:
            raise StoreError(
                f"a registry is a folder or in PostgreSQL, not in {scheme!r}; write "
                "postgresql://USER:PASSWORD@HOST/DATABASE"
            )
        return cls(Path(location))

    def import_file(
        self,
        path: Path,
        nomenclature: Nomenclature,
        rejects_path: Path,
        progress: Callable[[object], None] = lambda _: None,
        options: ReadingOptions = AS_WRITTEN,
        request: ImportRequest = ADD_OR_UPDATE,
        masses: Callable[[ImportSummary], MassSets | None] = lambda _: None,
    ) -> ImportSummary:
        """Bring the donors of a file into the store; all or nothing.

        Typings are read under `nomenclature`; records that cannot be used go to `rejects_path`
        with their reason. Importing the same file again changes nothing. The index is brought up
        to date after the donors are safe, and then `masses` is called: the donors can be searched
        by counts. The total masses that are missing are filled in under the sets that it returns.
        From before the donors are safe until then `is_being_completed` says so.
        A run that ends in between is caught up by the next one, or by `update_index` and
        `fill_masses`. Raises `InputFileError`, `StoreError` and `OutputError`.
        """
        with _without_cycles(), ThreadPoolExecutor(2) as pool, ExitStack() as until_complete:
            return self._import(
                *(path, nomenclature, rejects_path, progress, options, request, masses, pool),
                until_complete,
            )

    def _import(
        self,
        path: Path,
        nomenclature: Nomenclature,
        rejects_path: Path,
        progress: Callable[[object], None],
        options: ReadingOptions,
        request: ImportRequest,
        masses: Callable[[ImportSummary], MassSets | None],
        pool: ThreadPoolExecutor,
        until_complete: ExitStack,
    ) -> ImportSummary:
        dry = request.validate_only or request.mode is Mode.CHECK
        reader = RecordReader(nomenclature, options)
        file = PeopleFile(path)
        # Before it is opened: a pipe would wait for ever.
        file.state()
        with ExitStack() as stack:
            database = self._database
            if dry and not database.exists():
                database = Sqlite(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "none")
            if not dry or not database.exists():
                database.create()
            session = stack.enter_context(database.session(writes=not dry))
            revision = StoredDonors.of(session).revision + 1
            differences = stack.enter_context(_differences(request))
            importer = Importer(
                *(session, reader, file, request.mode, revision, dry, request.allow_deletions),
                differences,
            )
            sha256 = pool.submit(_sha256, path)
            summary = importer.run(progress)
            # While the donors are written to the disk.
            builders = book_builders(nomenclature) if options.strict else reader.builders
            encoded = pool.submit(encode_donors, importer.written, builders)
            if reader.rejects:
                summary.rejects_file = rejects_path
                reader.write_rejects(rejects_path)
            if not dry and summary.changes:
                _record(session, revision, path, sha256.result(), request.mode, summary)
                # Before anybody sees the donors: who looks at the index from then on may wait.
                root = self._index_root(StoredDonors.of(session), nomenclature)
                until_complete.enter_context(completing(root))
                progress("being stored")
        if dry or revision + bool(summary.changes) <= 1:
            masses(summary)
            return summary
        written: dict[str, WrittenDonors] = {}
        with (
            _lacking(path, "not searchable until graftmatch registry index has run"),
            self.opened() as source,
        ):
            self._update(
                source,
                nomenclature,
                lambda n: progress(f"{n:,} donors indexed"),
                Changed(revision, encoded),
                written.__setitem__,
            )
        sets = masses(summary)
        if sets is not None:
            with _lacking(path, "without masses until graftmatch registry masses has run"):
                self._fill(
                    nomenclature, sets, lambda n: progress(f"masses of {n:,} donors"), written
                )
        return summary

    def update_index(
        self, nomenclature: Nomenclature, progress: Callable[[int], object] = lambda _: None
    ) -> StoredIndex:
        """Bring the index of a release up to date with the store.

        `progress` is given the number of donors read so far. Raises `StoreError` where no donor
        was ever imported, and `OutputError`.
        """
        with self.opened() as source:
            return self._update(source, nomenclature, progress)

    def _update(
        self,
        source: StoredDonors,
        nomenclature: Nomenclature,
        progress: Callable[[int], object],
        latest: Changed | None = None,
        keep: Callable[[str, WrittenDonors], object] = lambda _, __: None,
    ) -> StoredIndex:
        if not source.revision:
            raise self._nothing_imported()
        root = self._index_root(source, nomenclature)
        index = update_index(root, source, nomenclature, progress, latest, keep)
        if index.revision > source.revision:
            with self.opened() as now:
                if index.revision > now.revision:
                    # A back-up of the store was put in place.
                    index = update_index(root, now, nomenclature, progress, set_back=True)
        self._remove_foreign_indexes(source)
        return index

    def index(self, nomenclature: Nomenclature) -> StoredIndex:
        """The index of a release as it is, made first where there is none.

        It may be behind the store until `update_index` has run. Raises `StoreError` where no donor
        was ever imported, and `OutputError`.
        """
        with self.opened() as source:
            root = self._index_root(source, nomenclature)
        try:
            found = open_index(root, nomenclature)
        except DamagedIndexError:
            found = None
        if found is not None:
            with self.opened() as source:
                if found.is_of(source):
                    return found
        return self.update_index(nomenclature)

    def fill_masses(
        self,
        nomenclature: Nomenclature,
        sets: MassSets,
        progress: Callable[[int], object] = lambda _: None,
    ) -> IndexMasses:
        """Compute what prediction needs of the donors of the index under some sets, where missing.

        The index is brought up to date first; searches go on meanwhile. `progress` is given the
        number of donors done. Raises `StoreError` and `OutputError`.
        """
        return self._fill(nomenclature, sets, progress, {})

    def _fill(
        self,
        nomenclature: Nomenclature,
        sets: MassSets,
        progress: Callable[[int], object],
        written: Mapping[str, WrittenDonors],
    ) -> IndexMasses:
        with self.opened() as source, completing(self._index_root(source, nomenclature)):
            index = self._update(source, nomenclature, lambda _: None)
            return fill_masses(index, source, sets, progress, written)

    def is_being_completed(self, nomenclature: Nomenclature, since: int) -> bool:
        """Whether an import into this registry, on this machine, makes the index of a release with
        its masses, so that whoever has the index of revision `since` better waits. Not where what
        changed next is older than `PATIENCE_SECONDS`. Raises `StoreError`."""
        with self.opened() as source:
            stored = source.stamp(since + 1)
            root = self._index_root(source, nomenclature)
        is_new = stored is not None and time.time() - stored / 1e6 < PATIENCE_SECONDS
        return is_new and is_being_completed(root)

    @contextmanager
    def opened(self) -> Iterator[StoredDonors]:
        """One state of the store. Raises `StoreError` where there is none."""
        if not self._database.exists():
            raise self._nothing_imported()
        with self._database.session() as session:
            yield StoredDonors.of(session)

    def holds_donors(self) -> bool:
        """Whether there is anyone to search."""
        if not self._database.exists():
            return False
        with self.opened() as source:
            return not source.is_empty()

    def count(self) -> int:
        """Number of stored donors. Raises `StoreError`."""
        with self.opened() as source:
            return source.count()

    def version(self) -> str:
        """State of the store as `StoredIndex.version` writes it, "" where nothing was imported.

        Raises `StoreError`.
        """
        if not self._database.exists():
            return ""
        with self.opened() as source:
            return state_name(source.store_id, source.revision) if source.revision else ""

    def typings(self, ids: Iterable[str]) -> dict[str, str]:
        """GL string of each of the given donors that are stored, as reported."""
        with self.opened() as source:
            return source.typings(ids)

    @property
    def name(self) -> str:
        """Where the store is."""
        return self._database.name

    @property
    def _database(self) -> Database:
        if self.indexes is None:
            return Sqlite(Path(self.location) / "donors.sqlite")
        # Its driver is slow to import.
        from data.registry.postgres import Postgres

        return Postgres(str(self.location))

    @property
    def _index_folder(self) -> Path:
        return self.indexes or Path(self.location) / "index"

    def _nothing_imported(self) -> StoreError:
        return StoreError(
            f"no donors in {self.name}; run: graftmatch registry import FILE "
            "(or graftmatch registry simulate to make some)"
        )

    def _index_root(self, source: StoredDonors, nomenclature: Nomenclature) -> Path:
        name = f"{source.store_id[:_STORE_NAME]}-{nomenclature.release}"
        return self._index_folder / f"{name}-{nomenclature.fingerprint[:12]}"

    def _remove_foreign_indexes(self, source: StoredDonors) -> None:
        """Remove what an earlier version left in the folder of a store."""
        if self.indexes is not None:
            return
        for path in self._index_folder.iterdir():
            # A leading dot is the temporary folder of another writer.
            if not path.name.startswith((source.store_id[:_STORE_NAME], ".")):
                remove_folder(path)


@contextmanager
def _lacking(path: Path, what: str) -> Iterator[None]:
    """Errors in here say that the donors of a file are stored all the same."""
    try:
        yield
    except (StoreError, OutputError) as error:
        raise type(error)(f"the donors of {path} are stored, but {what}: {error}") from error


@contextmanager
def _differences(request: ImportRequest) -> Iterator[IO[str] | None]:
    if request.mode is not Mode.CHECK or request.differences is None:
        yield None
        return
    with (
        replacing(request.differences) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as file,
    ):
        file.write("id,difference,fields\n")
        yield file


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error.strerror}") from error


@contextmanager
def _without_cycles() -> Iterator[None]:
    """Without looking for cycles among millions of values that stay: an eighth of an import.

    Not on a thread beside others, whose cycles must go.
    """
    was_on = gc.isenabled()
    if threading.current_thread() is threading.main_thread():
        gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _record(
    session: Session, revision: int, path: Path, sha256: str, mode: Mode, summary: ImportSummary
) -> None:
    names = ("read", "new", "updated", "unchanged", "deleted", "rejected", "absent")
    counts = {name: getattr(summary, name) for name in names}
    now = datetime.datetime.now(datetime.UTC)
    row: dict[str, Any] = {
        "revision": revision,
        "file": path.name,
        "sha256": sha256,
        "mode": mode.value,
        "counts": json.dumps(counts),
        "imported_at": int(now.timestamp() * 1_000_000),
    }
    session.connection.execute(sa.insert(imports).values(row))
    put(session.connection, "revision", str(revision))
