"""The donor store: SQLite with typings as reported and facts, and the indexes built from it.

Every change of the store gives it a new state, named by a digest of the former state and of what
changed, so that the same imports lead to the same name. An index belongs to a state and a
release; it is written before the change is committed, so a search always finds the index of the
state that it sees, and a run that is killed leaves the state before.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from data.donor_files import FACTS, INDEXED, Person, Record, parse_person, read_records
from data.files import remove_folder, replacing
from data.index import DamagedIndexError, StoredIndex, open_index, update_index
from matching.errors import RecordError, StoreError, TypingError
from matching.genotypes import BookBuilder, book_builders
from matching.linkage import drb345_disagreement
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.typings import Written, homozygous_where_blank, typing_of

SCHEMA = "2"
CHUNK = 10_000
BUSY_SECONDS = 5

_metadata = sa.MetaData()
_LOCUS_NAMES = tuple(locus.value.lower() for locus in LOCI)
_donors = sa.Table(
    "donors",
    _metadata,
    sa.Column("id", sa.Text, primary_key=True),
    *(
        sa.Column(name, sa.Float if name in ("age_years", "weight_kg") else sa.Text)
        for name in FACTS
    ),
    *(sa.Column(name, sa.Text) for name in _LOCUS_NAMES),
    sa.Column("carried", sa.Text, nullable=False),
    # Loci in phase with each other, such as "A,B;DRB345,DRB1".
    sa.Column("phase", sa.Text, nullable=False),
    # The release that the typing names, or "".
    sa.Column("typing_release", sa.Text, nullable=False),
    # Rows lie in the order of the identifiers, which is the order of every index.
    sqlite_with_rowid=False,
)
_meta = sa.Table(
    "meta",
    _metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
)
_COLUMNS = tuple(column.name for column in _donors.columns)
_TYPING_COLUMNS = (*_LOCUS_NAMES, "carried", "phase", "typing_release")


class BlankSecond(Enum):
    """What a blank second position of a locus means; DRB3/4/5 are read by their own rule."""

    REFUSE = "refuse"
    HOMOZYGOUS = "homozygous"


@dataclass(frozen=True)
class ReadingOptions:
    """How incoming records are read.

    `strict`: names that are not current in the release are refused and not followed.
    """

    strict: bool = False
    blank_second: BlankSecond = BlankSecond.REFUSE


AS_WRITTEN = ReadingOptions()


@dataclass
class ImportSummary:
    """What an import did: read = new + updated + unchanged + rejected.

    `notes`: how names were followed through renamed or deleted ones, sorted. `disagreeing`: people
    whose DRB3/4/5 do not go with their DRB1 (see `matching.linkage`), used all the same.
    """

    read: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    rejected: int = 0
    rejects_file: Path | None = None
    notes: tuple[str, ...] = ()
    disagreeing: int = 0


@dataclass
class RecordReader:
    """Checked people of a file, and the rejects with their reasons, in the file's order.

    `disagreeing`: people whose DRB3/4/5 do not go with their DRB1.
    """

    nomenclature: Nomenclature
    options: ReadingOptions = AS_WRITTEN
    rejects: list[tuple[int, str, str]] = field(default_factory=list)
    read: int = 0
    disagreeing: int = 0
    _agreeing: dict[tuple[str, str], bool] = field(default_factory=dict)
    _seen: dict[str, int] = field(default_factory=dict)
    _builders: Mapping[Locus, BookBuilder] = field(init=False)

    def __post_init__(self) -> None:
        self.nomenclature = replace(self.nomenclature, strict=self.options.strict)
        self._builders = book_builders(self.nomenclature)

    @property
    def notes(self) -> tuple[str, ...]:
        """How names were followed through renamed or deleted ones, sorted."""
        return tuple(sorted({n for builder in self._builders.values() for n in builder.notes}))

    def people(self, path: Path) -> Iterator[Person]:
        """People whose record and typing can be read; locus texts are canonical.

        Raises `InputFileError` for what is wrong with the file as a whole.
        """
        for record in read_records(path):
            self.read += 1
            try:
                yield self._person(record)
            except (RecordError, TypingError) as error:
                identifier = record.fields.get("id", "").strip()
                self.rejects.append((record.number, identifier[:200], str(error)))

    def _person(self, record: Record) -> Person:
        person = parse_person(record)
        if self.options.blank_second is BlankSecond.HOMOZYGOUS:
            person = replace(person, written=homozygous_where_blank(person.written))
        first = self._seen.get(person.id)
        if first is not None:
            raise RecordError(
                "id", person.id, f"duplicate of record {first} of this file, which was used"
            )
        texts = {
            locus: self._builders[locus].canonical(text)[0]
            for locus, text in person.written.loci.items()
        }
        loci = {locus: text for locus, text in texts.items() if text is not None}
        if not loci:
            raise RecordError("typing", "", "no locus is typed")
        self._seen[person.id] = record.number
        phase = tuple(block for block in person.written.phase if loci.keys() >= set(block))
        self.disagreeing += not self._agrees(loci)
        return replace(person, written=person.written._replace(loci=loci, phase=phase))

    def _agrees(self, loci: Mapping[Locus, str]) -> bool:
        """True unless DRB3/4/5 do not go with DRB1."""
        key = loci.get(Locus.DRB1), loci.get(Locus.DRB345)
        if key[0] is None or key[1] is None:
            return True
        pair = key[0], key[1]
        if pair not in self._agreeing:
            typing = typing_of(Written({Locus.DRB1: pair[0], Locus.DRB345: pair[1]}))
            self._agreeing[pair] = not drb345_disagreement(typing, self.nomenclature)
        return self._agreeing[pair]

    def write_rejects(self, path: Path) -> None:
        """The rejects as CSV: record number, identifier, reason. Raises `OutputError`."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            csv.writer(f).writerows(
                [
                    ("record", "id", "reason"),
                    *((n, _encodable(i), _encodable(reason)) for n, i, reason in self.rejects),
                ]
            )


def _encodable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@dataclass(frozen=True)
class Registry:
    """The donors below `root`: `donors.sqlite` and one index folder a state and release."""

    root: Path

    def import_file(
        self,
        path: Path,
        nomenclature: Nomenclature,
        rejects_path: Path,
        progress: Callable[[int], None] = lambda _: None,
        options: ReadingOptions = AS_WRITTEN,
    ) -> ImportSummary:
        """Add the donors of a file, or update those already stored; all or nothing.

        Typings are read under `nomenclature`; records that cannot be read go to `rejects_path`
        with their reason. Importing the same file again changes nothing.
        Raises `InputFileError`, `StoreError` and `OutputError`.
        """
        summary = ImportSummary()
        reader = RecordReader(nomenclature, options)
        self._create()
        with self._connection(writes=True) as connection:
            empty = connection.execute(sa.select(_donors.c.id).limit(1)).first() is None
            people = reader.people(path)
            digest = hashlib.sha256((_get(connection, "state") or "").encode())
            while chunk := [_row(person) for person in islice(people, CHUNK)]:
                _upsert(connection, chunk, empty, summary, digest)
                progress(reader.read)
            summary.read, summary.rejected = reader.read, len(reader.rejects)
            summary.notes, summary.disagreeing = reader.notes, reader.disagreeing
            if reader.rejects:
                summary.rejects_file = rejects_path
                reader.write_rejects(rejects_path)
            if summary.new or summary.updated:
                progress(reader.read)
                state = digest.hexdigest()[:12]
                folder = self._index_folder(state, nomenclature)
                update_index(folder, _State(state, connection), nomenclature)
                _set(connection, "state", state)
        self._remove_old_indexes()
        return summary

    def count(self) -> int:
        """Number of stored donors. Raises `StoreError`."""
        with self._connection() as connection:
            return int(
                connection.execute(sa.select(sa.func.count()).select_from(_donors)).scalar_one()
            )

    def index(self, nomenclature: Nomenclature) -> StoredIndex:
        """The index of the present state under a release; built first where it is missing.

        Raises `StoreError` where no donor was ever imported.
        """
        with self._connection() as connection:
            state = _get(connection, "state")
            if state is None:
                raise self._nothing_imported()
            folder = self._index_folder(state, nomenclature)
            try:
                found = open_index(folder, nomenclature)
            except DamagedIndexError:
                found = None
            return found or update_index(folder, _State(state, connection), nomenclature)

    def typings(self, ids: Iterable[str]) -> dict[str, str]:
        """GL string of each of the given donors that are stored, as reported."""
        columns = [_donors.c[name] for name in ("id", *_TYPING_COLUMNS)]
        found: dict[str, str] = {}
        wanted = iter(ids)
        with self._connection() as connection:
            while chunk := list(islice(wanted, 500)):
                query = sa.select(*columns).where(_donors.c.id.in_(chunk))
                for identifier, *texts, carried, phase, _ in connection.execute(query):
                    found[identifier] = _gl_string(texts, carried, phase)
        return found

    def _nothing_imported(self) -> StoreError:
        return StoreError(
            f"no donors in {self.root}; run: graftmatch registry import FILE "
            "(or graftmatch registry simulate to make some)"
        )

    def _index_folder(self, state: str, nomenclature: Nomenclature) -> Path:
        name = f"{state}-{nomenclature.release}-{nomenclature.fingerprint[:12]}"
        return self.root / "index" / name

    def _remove_old_indexes(self) -> None:
        with self._connection() as connection:
            state = _get(connection, "state")
        folder = self.root / "index"
        for path in folder.iterdir() if folder.is_dir() else ():
            # A leading dot is the temporary folder of another writer.
            if not path.name.startswith((f"{state}-", ".")):
                remove_folder(path)

    def _create(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot create {self.root}: {error.strerror}") from error
        with self._connection(writes=True, create=True) as connection:
            _metadata.create_all(connection)
            if _get(connection, "schema") is None:
                _set(connection, "schema", SCHEMA)

    @contextmanager
    def _connection(self, writes: bool = False, create: bool = False) -> Iterator[sa.Connection]:
        """A transaction; one that writes holds the store's write lock from the start."""
        path = self.root / "donors.sqlite"
        if not create and not path.exists():
            raise self._nothing_imported()
        engine = sa.create_engine(
            f"sqlite:///{path}",
            poolclass=sa.NullPool,
            # None leaves BEGIN to us: the driver would begin too late to hold the write lock.
            connect_args={"timeout": BUSY_SECONDS, "isolation_level": None},
        )
        begin = "BEGIN IMMEDIATE" if writes else "BEGIN"
        sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        sa.event.listen(engine, "connect", _set_up)
        try:
            with engine.begin() as connection:
                if not create and (schema := _get(connection, "schema")) != SCHEMA:
                    raise StoreError(f"{path} has schema {schema}, this version reads {SCHEMA}")
                yield connection
        except sa.exc.DBAPIError as error:
            raise StoreError(f"{path}: {_plainly(error)}; nothing was changed") from error


def _set_up(connection: Any, _: Any) -> None:
    # FULL: a commit that was reported survives a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _plainly(error: sa.exc.DBAPIError) -> str:
    reason = str(error.orig)
    if "locked" in reason:
        return "another import is writing; wait for it to end and run this one again"
    if "full" in reason:
        return "the disk is full; free space and run it again"
    return reason


def _get(connection: sa.Connection, key: str) -> str | None:
    value = connection.execute(sa.select(_meta.c.value).where(_meta.c.key == key)).scalar()
    return None if value is None else str(value)


def _set(connection: sa.Connection, key: str, value: str) -> None:
    statement = insert(_meta).values(key=key, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["key"], set_={"value": value})
    )


def _row(person: Person) -> tuple[Any, ...]:
    return (
        person.id,
        *(person.facts[name] for name in FACTS),
        *(person.written.loci.get(locus) for locus in LOCI),
        "^".join(person.written.carried),
        ";".join(",".join(locus.value for locus in block) for block in person.written.phase),
        person.written.release,
    )


def _gl_string(texts: Sequence[str | None], carried: str, phase: str) -> str:
    """A stored typing as one GL string."""
    parts = tuple(filter(None, [carried]))
    if not phase:
        return "^".join([*filter(None, texts), *parts])
    loci = {locus: text for locus, text in zip(LOCI, texts, strict=True) if text is not None}
    blocks = tuple(tuple(map(Locus, block.split(","))) for block in phase.split(";"))
    return typing_of(Written(loci, parts, blocks)).text


def _upsert(
    connection: sa.Connection,
    rows: list[tuple[Any, ...]],
    empty: bool,
    summary: ImportSummary,
    digest: hashlib._Hash,
) -> None:
    """Write new and changed donors, and add them to `digest`.

    `empty`: nothing was stored when the import began.
    """
    known: dict[str, tuple[Any, ...]] = {}
    if not empty:
        ids = iter(rows)
        while chunk := [row[0] for row in islice(ids, 500)]:
            for stored in connection.execute(sa.select(_donors).where(_donors.c.id.in_(chunk))):
                known[stored[0]] = tuple(stored)
    changed = [row for row in rows if known.get(row[0]) != row]
    summary.updated += sum(row[0] in known for row in changed)
    summary.new += sum(row[0] not in known for row in changed)
    summary.unchanged += len(rows) - len(changed)
    if changed:
        digest.update(repr(changed).encode())
        marks = ",".join("?" * len(_COLUMNS))
        connection.exec_driver_sql(
            f"INSERT OR REPLACE INTO donors ({','.join(_COLUMNS)}) VALUES ({marks})", changed
        )


@dataclass(frozen=True)
class _State:
    """The donors of a connection as a source of an index; every state is one of its own."""

    store_id: str
    connection: sa.Connection
    revision: int = 1

    def donors(self) -> Iterator[pa.RecordBatch]:
        """All donors, ascending."""
        names = [field.name for field in INDEXED if field.name in _donors.c]
        result = self.connection.execution_options(yield_per=CHUNK).execute(
            sa.select(*(_donors.c[name] for name in names)).order_by(_donors.c.id)
        )
        for rows in result.partitions():
            columns = dict(zip(names, zip(*rows, strict=True), strict=True))
            unknown = [None] * len(rows)
            yield pa.record_batch(
                [pa.array(columns.get(f.name, unknown), f.type) for f in INDEXED], INDEXED
            )

    def changed(self, after: int) -> Iterator[pa.RecordBatch]:
        """All donors: nothing is known of single changes."""
        return self.donors()

    def changed_ids(self, after: int) -> list[str]:
        """The identifiers of all donors."""
        return [name for batch in self.donors() for name in batch.column("id").to_pylist()]
