"""The tables of the donor store, and how a store of an earlier version is brought up to date."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from types import MappingProxyType

import sqlalchemy as sa

from data.donor_files import CONTENT, NUMBERS
from matching.errors import StoreError

SCHEMA = 3

metadata = sa.MetaData()
# Identifiers are ordered by their bytes in every database.
_ID = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

donors = sa.Table(
    "donors",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    *(
        sa.Column(
            name,
            sa.Double if name in NUMBERS else sa.Text,
            nullable=name not in ("carried", "phase", "typing_release"),
        )
        for name in CONTENT
    ),
    # The record's own time, microseconds since 1970, or the latest one known of the donor.
    sa.Column("reported_at", sa.BigInteger),
    # Revisions in which the donor came and was last changed.
    sa.Column("added", sa.Integer, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False, index=True),
)
# So that an update from before a deletion does not bring a donor back.
deleted = sa.Table(
    "deleted",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("reported_at", sa.BigInteger),
)
# Updates and deletions; that a donor came is told by `added`.
changes = sa.Table(
    "changes",
    metadata,
    sa.Column("id", _ID, primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("reported_at", sa.BigInteger),
    # The row before the change as JSON, without unknown values.
    sa.Column("former", sa.Text, nullable=False),
)
imports = sa.Table(
    "imports",
    metadata,
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Column("mode", sa.Text, nullable=False),
    sa.Column("counts", sa.Text, nullable=False),
    sa.Column("imported_at", sa.BigInteger, nullable=False),
)
meta = sa.Table(
    "meta",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)

# Identifiers of the file being imported and the record that was used, None if it was refused.
seen = sa.Table(
    "seen",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    sa.Column("record", sa.Integer),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
    postgresql_on_commit="DROP",
)
# Donors that a full file does not hold.
absent = sa.Table(
    "absent",
    sa.MetaData(),
    sa.Column("id", _ID, primary_key=True),
    prefixes=["TEMPORARY"],
    sqlite_with_rowid=False,
    postgresql_on_commit="DROP",
)


def get(connection: sa.Connection, key: str) -> str | None:
    """A value of `meta`."""
    value = connection.execute(sa.select(meta.c.value).where(meta.c.key == key)).scalar()
    return None if value is None else str(value)


def put(connection: sa.Connection, key: str, value: str) -> None:
    """Set a value of `meta`."""
    connection.execute(sa.delete(meta).where(meta.c.key == key))
    connection.execute(sa.insert(meta).values(key=key, value=value))


def version_of(connection: sa.Connection) -> int | None:
    """Schema version of a store, None where there is none yet.

    Raises `StoreError` for a store of a newer version.
    """
    if not sa.inspect(connection).has_table("meta"):
        return None
    text = get(connection, "schema")
    if text is None:
        return None
    if int(text) > SCHEMA:
        raise StoreError(
            f"the store was written by a newer version (schema {text}, this version reads "
            f"{SCHEMA}); install that version or name another registry"
        )
    return int(text)


def prepare(connection: sa.Connection) -> None:
    """Create the tables, or bring an earlier schema up to date. Raises `StoreError`."""
    version = version_of(connection)
    if version is None:
        metadata.create_all(connection)
        _name(connection, 0)
        return
    while version < SCHEMA:
        if version not in MIGRATIONS:
            raise StoreError(f"a store of schema {version} cannot be brought up to date")
        MIGRATIONS[version](connection)
        version += 1
    put(connection, "schema", str(SCHEMA))


def _name(connection: sa.Connection, revision: int) -> None:
    put(connection, "schema", str(SCHEMA))
    put(connection, "store_id", secrets.token_hex(16))
    put(connection, "revision", str(revision))


def _from_2(connection: sa.Connection) -> None:
    """Revisions, times, history and further facts; schema 2 was of SQLite alone."""
    former = [
        *("id", "type", "birth_date", "age_years", "sex", "cmv", "abo", "rh", "weight_kg"),
        *("ancestry", "registry", "a", "c", "b", "drb345", "drb1", "dqa1", "dqb1", "dpa1"),
        *("dpb1", "carried", "phase", "typing_release"),
    ]
    names = ", ".join(former)
    connection.exec_driver_sql("ALTER TABLE donors RENAME TO donors_2")
    metadata.create_all(connection)
    connection.exec_driver_sql(
        f"INSERT INTO donors ({names}, status, added, revision) "
        f"SELECT {names}, 'available', 1, 1 FROM donors_2 ORDER BY id"
    )
    connection.exec_driver_sql("DROP TABLE donors_2")
    connection.exec_driver_sql("DELETE FROM meta WHERE key = 'state'")
    held = connection.execute(sa.select(donors.c.id).limit(1)).first() is not None
    _name(connection, int(held))


# From each version to the next; `prepare` runs them in one transaction.
MIGRATIONS: Mapping[int, Callable[[sa.Connection], None]] = MappingProxyType({2: _from_2})
