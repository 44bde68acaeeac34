"""SQLite and PostgreSQL behind one face: transactions, and rows in bulk at driver level."""

from __future__ import annotations

import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from data.registry.schema import SCHEMA, prepare, version_of
from matching.errors import StoreError

# How long a writer waits for another one.
BUSY_SECONDS = 5.0
_RETRY_SECONDS = 0.01
# Rows fetched at a time.
FETCHED = 20_000
_SQLITE_PARAMETERS = 500
_CACHE_KIB = 262_144
_WAL_BYTES = 64 * 2**20

Row = tuple[Any, ...]
BUSY = "another import is writing; wait for it to end and run this one again"
FULL = "the disk is full; free space and run it again"


@dataclass(frozen=True)
class Session(ABC):
    """A transaction."""

    connection: sa.Connection

    @abstractmethod
    def insert(self, table: sa.Table, rows: Iterable[Row]) -> None:
        """Add rows with a value for every column."""

    @abstractmethod
    def replace(self, table: sa.Table, rows: Sequence[Row]) -> None:
        """Add rows, or put them in the place of those with the same identifier."""

    @abstractmethod
    def delete(self, table: sa.Table, ids: Sequence[str]) -> None:
        """Delete the rows of the given identifiers."""

    @abstractmethod
    def find(self, table: sa.Table, columns: Sequence[str], ids: Sequence[str]) -> Iterator[Row]:
        """Columns of the rows of the given identifiers, in any order."""

    @abstractmethod
    def stream(self, query: str) -> Iterator[list[Row]]:
        """The rows of a query without parameters, some thousand at a time."""


class Database(ABC):
    """Where a store is kept."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Path or address, without password."""

    @abstractmethod
    def exists(self) -> bool:
        """Whether a store was ever made here. Raises `StoreError`."""

    def create(self) -> None:
        """Make a store, or bring the one here up to date. Raises `StoreError`."""
        with self._transaction(writes=True) as connection:
            if version_of(connection) != SCHEMA:
                prepare(connection)

    @contextmanager
    def session(self, writes: bool = False) -> Iterator[Session]:
        """A transaction, which sees one state of the store.

        One that writes excludes others that write. Raises `StoreError`, also for a store of an
        earlier version that cannot be brought up to date here.
        """
        with self._transaction(writes) as connection:
            current = version_of(connection) == SCHEMA
            if current:
                yield self._session(connection)
        if not current:
            self.create()
            with self.session(writes) as session:
                yield session

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[sa.Connection]:
        try:
            with self._begun(writes) as connection:
                yield connection
        except self._errors as error:
            reason = self._plainly(getattr(error, "orig", None) or error)
            kept = "; nothing was changed" if writes else ""
            raise StoreError(f"{self.name}: {reason}{kept}") from error

    @abstractmethod
    def _begun(self, writes: bool) -> AbstractContextManager[sa.Connection]:
        """A transaction of the driver."""

    @abstractmethod
    def _session(self, connection: sa.Connection) -> Session:
        """What a transaction offers."""

    @property
    @abstractmethod
    def _errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""

    @abstractmethod
    def _plainly(self, error: Exception) -> str:
        """Such an error in words of ours."""


class _SqliteSession(Session):
    def _cursor(self) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor = self.connection.connection.cursor()  # type: ignore[assignment]
        return cursor

    def insert(self, table: sa.Table, rows: Iterable[Row]) -> None:
        self._insert("INSERT", table, rows)

    def replace(self, table: sa.Table, rows: Sequence[Row]) -> None:
        self._insert("INSERT OR REPLACE", table, rows)

    def _insert(self, verb: str, table: sa.Table, rows: Iterable[Row]) -> None:
        marks = ",".join("?" * len(table.columns))
        self._cursor().executemany(f"{verb} INTO {table.name} VALUES ({marks})", rows)

    def delete(self, table: sa.Table, ids: Sequence[str]) -> None:
        statement = f"DELETE FROM {table.name} WHERE id = ?"
        self._cursor().executemany(statement, ((identifier,) for identifier in ids))

    def find(self, table: sa.Table, columns: Sequence[str], ids: Sequence[str]) -> Iterator[Row]:
        cursor, remaining = self._cursor(), iter(ids)
        while chunk := list(islice(remaining, _SQLITE_PARAMETERS)):
            marks = ",".join("?" * len(chunk))
            yield from cursor.execute(
                f"SELECT {','.join(columns)} FROM {table.name} WHERE id IN ({marks})", chunk
            )

    def stream(self, query: str) -> Iterator[list[Row]]:
        cursor = self._cursor().execute(query)
        while rows := cursor.fetchmany(FETCHED):
            yield rows


@dataclass(frozen=True)
class Sqlite(Database):
    """A file in a folder of its own, with a write-ahead log."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def create(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"cannot create {self.path.parent}: {error.strerror}; name another folder as "
                "registry, or change the rights of this one"
            ) from error
        super().create()

    @contextmanager
    def _begun(self, writes: bool) -> Iterator[sa.Connection]:
        begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        with _engine(self._file, begin, BUSY_SECONDS).begin() as connection:
            yield connection
        if writes:
            self._shrink_log()

    def _session(self, connection: sa.Connection) -> Session:
        return _SqliteSession(connection)

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        return (sa.exc.DBAPIError, sqlite3.Error)

    def _plainly(self, error: Exception) -> str:
        reason = str(error)
        if "locked" in reason:
            return BUSY
        if "full" in reason or "disk I/O error" in reason:
            return f"{FULL} ({reason})"
        if "readonly" in reason or "unable to open" in reason:
            return (
                f"it cannot be written here ({reason}); choose another place or change its rights"
            )
        if "malformed" in reason or "not a database" in reason:
            return (
                f"the store is damaged ({reason}); put a copy of it in its place, or remove it and "
                "import the donors again"
            )
        return reason

    @property
    def _file(self) -> str:
        """What the driver opens; where nobody can write, no log is looked for."""
        folder = self.path.parent
        if folder.is_dir() and os.statvfs(folder).f_flag & os.ST_RDONLY:
            return f"file:{quote(str(self.path))}?mode=ro&immutable=1&uri=true"
        return str(self.path)

    def _shrink_log(self) -> None:
        """Take the log of a long transaction off the disk.

        Not where somebody reads it just now, or where the disk is full: what was committed lies in
        the log, and the next writer tries again.
        """
        engine = _engine(self._file, "", 0.0)
        with suppress(sa.exc.OperationalError), engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")


# Making an engine takes longer than a search may spend on the store. None of them keeps a
# connection, so a store can be moved away.
@lru_cache(maxsize=32)
def _engine(file: str, begin: str, busy_seconds: float) -> sa.Engine:
    engine = sa.create_engine(
        f"sqlite:///{file}",
        poolclass=sa.NullPool,
        # None leaves BEGIN to us: the driver would begin too late to hold the write lock.
        connect_args={"timeout": busy_seconds, "isolation_level": None},
    )
    if begin:
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        set_up = _set_up if begin == "BEGIN" else partial(_set_up_writer, busy_seconds)
        sa.event.listen(engine, "connect", set_up)
    return engine


def _set_up(connection: Any, _: Any) -> None:
    connection.execute("PRAGMA temp.cache_size = -65536")


def _set_up_writer(busy_seconds: float, connection: Any, _: Any) -> None:
    _keep_log(connection, busy_seconds)
    # FULL: a commit that was reported survives a power cut.
    for pragma in (
        "synchronous = FULL",
        f"cache_size = -{_CACHE_KIB}",
        f"journal_size_limit = {_WAL_BYTES}",
        "temp.cache_size = -65536",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _keep_log(connection: Any, busy_seconds: float) -> None:
    """Give a new file its log. SQLite itself does not wait for another who does the same."""
    end = time.monotonic() + busy_seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorname != "SQLITE_BUSY" or time.monotonic() >= end:
                raise
            time.sleep(_RETRY_SECONDS)
