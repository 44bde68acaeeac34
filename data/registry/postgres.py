"""A store in a PostgreSQL database; needs the extra `postgres`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from data.registry import databases
from data.registry.databases import BUSY, FETCHED, FULL, Database, Row, Session
from data.registry.schema import version_of
from matching.errors import StoreError

try:
    import psycopg
except ImportError:
    psycopg = None  # type: ignore[assignment]


class _PostgresSession(Session):
    def _cursor(self, name: str = "") -> Any:
        connection: Any = self.connection.connection
        return connection.cursor(name) if name else connection.cursor()

    def insert(self, table: sa.Table, rows: Iterable[Row]) -> None:
        columns = ",".join(column.name for column in table.columns)
        with (
            self._cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN") as copy,
        ):
            for row in rows:
                copy.write_row(row)

    def replace(self, table: sa.Table, rows: Sequence[Row]) -> None:
        self.delete(table, [row[0] for row in rows])
        self.insert(table, rows)

    def delete(self, table: sa.Table, ids: Sequence[str]) -> None:
        with self._cursor() as cursor:
            cursor.execute(f"DELETE FROM {table.name} WHERE id = ANY(%s)", (list(ids),))

    def find(self, table: sa.Table, columns: Sequence[str], ids: Sequence[str]) -> Iterator[Row]:
        if not ids:
            return
        with self._cursor() as cursor:
            names = ",".join(columns)
            cursor.execute(f"SELECT {names} FROM {table.name} WHERE id = ANY(%s)", (list(ids),))
            yield from cursor.fetchall()

    def stream(self, query: str) -> Iterator[list[Row]]:
        # A named cursor stays on the server, which sends some rows at a time.
        with self._cursor("stream") as cursor:
            cursor.execute(query)
            while rows := cursor.fetchmany(FETCHED):
                yield rows


@dataclass(frozen=True)
class Postgres(Database):
    """The schema that a connection finds first (`search_path`)."""

    dsn: str

    @property
    def name(self) -> str:
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    @property
    def _url(self) -> sa.URL:
        if psycopg is None:
            raise StoreError(
                "a registry in PostgreSQL needs a further package: pip install graftmatch[postgres]"
            )
        try:
            return sa.make_url(self.dsn).set(drivername="postgresql+psycopg")
        except (sa.exc.ArgumentError, ValueError) as error:
            raise StoreError(
                "the address of the registry cannot be read; write "
                "postgresql://USER:PASSWORD@HOST/DATABASE"
            ) from error

    def exists(self) -> bool:
        with self._transaction(writes=False) as connection:
            return version_of(connection) is not None

    @contextmanager
    def _begun(self, writes: bool) -> Iterator[sa.Connection]:
        # Only one writes at a time, and must see what the one before it wrote.
        level = "READ COMMITTED" if writes else "REPEATABLE READ"
        engine = sa.create_engine(
            self._url,
            poolclass=sa.NullPool,
            isolation_level=level,
            connect_args={"connect_timeout": max(2, int(databases.BUSY_SECONDS))},
        )
        with engine.begin() as connection:
            if writes:
                milliseconds = int(databases.BUSY_SECONDS * 1000)
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
                connection.exec_driver_sql(
                    "SELECT pg_advisory_xact_lock(hashtext('graftmatch ' || current_schema()))"
                )
            yield connection

    def _session(self, connection: sa.Connection) -> Session:
        return _PostgresSession(connection)

    @property
    def _errors(self) -> tuple[type[Exception], ...]:
        return () if psycopg is None else (sa.exc.DBAPIError, psycopg.Error)

    def _plainly(self, error: Exception) -> str:
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return BUSY
        if isinstance(error, psycopg.errors.DiskFull):
            return FULL
        if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
            return "the database is read-only; write to another one"
        lines = str(error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        if isinstance(error, psycopg.OperationalError) and error.sqlstate is None:
            return f"{reason}; check the address, and that the server runs"
        return reason
