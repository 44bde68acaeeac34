"""One file into the store: what is new, updated, unchanged, deleted or refused."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import compress
from operator import lt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from data.donor_files import (
    CONTENT,
    CheckedBatch,
    PeopleFile,
    RecordReader,
    Reject,
    duplicate,
)
from data.index import DonorColumns
from data.registry.databases import Row, Session
from data.registry.schema import absent, changes, deleted, donors, seen
from data.registry.store import former
from matching.errors import InputFileError, RecordError

# Share of the stored donors of its registries that a full file may leave out.
MAX_DELETED_SHARE = 0.10
_DONOR = tuple(column.name for column in donors.columns)
_CONTENT = slice(1, 1 + len(CONTENT))
_REPORTED, _ADDED, _REVISION = range(_CONTENT.stop, _CONTENT.stop + 3)
_REGISTRY, _TYPE = CONTENT.index("registry"), CONTENT.index("type")
_CHUNK = 10_000
_ASCENDING_BYTES = 256 * 2**20


class Mode(Enum):
    """What a file is to the store."""

    FULL = "full"
    DIFF = "diff"
    CHECK = "check"


@dataclass
class ImportSummary:
    """What an import did: read = new + updated + unchanged + deleted + rejected.

    `older`: records among the unchanged that are older than what is stored. `absent`: donors that
    were deleted since a full file does not hold them (with `Mode.CHECK`: that would be). `notes`:
    how names were followed through renamed or deleted ones, sorted. `disagreeing`: people whose
    DRB3/4/5 do not go with their DRB1 (see `matching.linkage`), used all the same. `ignored`:
    elements of the file that are not used, counted by name.
    """

    read: int = 0
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    rejected: int = 0
    older: int = 0
    absent: int = 0
    rejects_file: Path | None = None
    notes: tuple[str, ...] = ()
    disagreeing: int = 0
    ignored: dict[str, int] = field(default_factory=dict)

    @property
    def changes(self) -> int:
        """Number of donors that are not as they were."""
        return self.new + self.updated + self.deleted + self.absent


@dataclass
class _Decided:
    """Rows to write for a batch."""

    rows: list[Row] = field(default_factory=list)
    # Positions in the batch of the donors that come or change.
    written: list[int] = field(default_factory=list)
    history: list[Row] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    tombs: list[Row] = field(default_factory=list)
    revived: list[str] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    differences: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass
class Importer:
    """An import under way. Nothing but temporary tables is written where `dry` is set."""

    session: Session
    reader: RecordReader
    file: PeopleFile
    mode: Mode
    revision: int
    dry: bool
    allow_deletions: bool
    differences: Any = None
    # The donors that come or change, for the index.
    written: DonorColumns = field(default_factory=DonorColumns)
    summary: ImportSummary = field(default_factory=ImportSummary)
    _highest: dict[str, str] = field(default_factory=dict)
    _groups: set[tuple[str | None, str]] = field(default_factory=set)
    _nameless: int = 0
    # Identifiers and numbers of records that came in ascending order, not yet in `seen`.
    _ascending: list[tuple[pa.Array, Sequence[int]]] = field(default_factory=list)

    def run(self, progress: Callable[[object], None]) -> ImportSummary:
        """Read the file and write what it changes.

        Raises `InputFileError` for a file that is refused as a whole, and the errors of the
        database.
        """
        connection, summary = self.session.connection, self.summary
        seen.create(connection)
        for table in (donors, deleted):
            self._highest[table.name] = self._highest_of(table)
        for batch in self.reader.batches(self.file):
            self._refuse_differential()
            decided = self._decide(batch)
            self._write(decided)
            self._keep(batch, decided.written)
            if self.differences is not None:
                csv.writer(self.differences).writerows(decided.differences)
            rejects = sorted([*batch.rejects, *decided.rejects])
            self._nameless += sum(not identifier for _, identifier, _ in rejects)
            self._remember_refused(rejects)
            self.reader.rejects.add(rejects)
            progress(self.reader.read)
        self._refuse_differential()
        if self.mode is not Mode.DIFF:
            self._delete_absent()
        self._ascending.clear()
        summary.read, summary.rejected = self.reader.read, len(self.reader.rejects)
        summary.notes, summary.disagreeing = self.reader.notes, self.reader.disagreeing
        summary.ignored = dict(sorted(self.file.ignored.items()))
        return summary

    def _highest_of(self, table: sa.Table) -> str:
        found = self.session.connection.execute(sa.select(sa.func.max(table.c.id))).scalar()
        return "" if found is None else str(found)

    def _refuse_differential(self) -> None:
        if self.mode is Mode.FULL and self.file.full is False:
            raise InputFileError(
                f"{self.file.path} says that it is differential, so that donors it does not hold "
                "must stay; import it with --mode diff"
            )

    def _below(self, table: sa.Table, ids: Sequence[str]) -> list[str]:
        """Those that may be in a table; a file in ascending order needs no look-up."""
        highest = self._highest.get(table.name, "")
        return [identifier for identifier in ids if identifier <= highest]

    def _decide(self, batch: CheckedBatch) -> _Decided:
        decided, summary = _Decided(), self.summary
        used = self._without_duplicates(batch, decided)
        below = [self._below(table, batch.ids) for table in (donors, deleted)]
        if all(used) and not any(below) and {*batch.changes.used().values} <= {"N", "NU"}:
            return self._all_new(batch)
        stored = {
            row[0]: row for row in self.session.find(donors, _DONOR, self._below(donors, batch.ids))
        }
        removed: dict[str, int | None] = dict(
            self.session.find(deleted, ("id", "reported_at"), self._below(deleted, batch.ids))
        )
        check = self.mode is Mode.CHECK
        fields = (
            *(range(len(batch.ids)), batch.numbers, batch.ids, batch.changes.to_list()),
            *(batch.times.to_list(), batch.contents()),
        )
        for row, number, identifier, change, own_time, content in zip(
            *(compress(values, used) for values in fields), strict=True
        ):
            time = self.file.time if own_time is None else own_time
            old = stored.get(identifier)
            if change != "D":
                self._groups.add((content[_REGISTRY], content[_TYPE]))
            before = removed.get(identifier) if old is None else old[_REPORTED]
            if time is not None and before is not None and time < before and not check:
                summary.unchanged += 1
                summary.older += 1
            elif old is None and change == "D":
                summary.unchanged += 1
                if time is not None and before != time:
                    # So that an update from before this deletion is known as older.
                    decided.tombs.append((identifier, time))
            elif old is None and change == "U" and not check:
                error = RecordError("change", change, "not stored; write N or NU to add it")
                decided.rejects.append((number, identifier, str(error)))
            elif old is None:
                summary.new += 1
                decided.rows.append((identifier, *content, time, self.revision, self.revision))
                decided.written.append(row)
                if identifier in removed:
                    decided.revived.append(identifier)
                if check:
                    decided.differences.append((identifier, "not stored", ""))
            elif change == "D":
                summary.deleted += 1
                decided.gone.append(identifier)
                decided.history.append(self._past(old, "deleted", time))
                decided.tombs.append((identifier, old[_REPORTED] if time is None else time))
                if check:
                    decided.differences.append((identifier, "deleted in the file", ""))
            elif old[_CONTENT] == content:
                summary.unchanged += 1
                if time is not None and time != old[_REPORTED]:
                    # So that an update from between the two is known as older.
                    decided.rows.append((*old[:_REPORTED], time, *old[_ADDED:]))
            elif change == "N" and not check:
                reason = "already stored and different; write U or NU to update it"
                error = RecordError("change", change, reason)
                decided.rejects.append((number, identifier, str(error)))
            else:
                summary.updated += 1
                known = old[_REPORTED] if time is None else time
                decided.rows.append((identifier, *content, known, old[_ADDED], self.revision))
                decided.written.append(row)
                decided.history.append(self._past(old, "updated", time))
                if check:
                    decided.differences.append((identifier, "differs", _differing(old, content)))
        return decided

    def _all_new(self, batch: CheckedBatch) -> _Decided:
        """`_decide` where every record adds a donor, many times faster."""
        ids, time = batch.ids, self.file.time
        columns = [batch.columns[name] for name in CONTENT]
        registry, kind = columns[_REGISTRY], columns[_TYPE]
        pairs = np.unique(registry.places * len(kind.values) + kind.places).tolist()
        n = len(kind.values)
        self._groups |= {(registry.values[pair // n], kind.values[pair % n]) for pair in pairs}
        times = [time if own is None else own for own in batch.times.values]
        revisions = [self.revision] * len(ids)
        values = [column.to_list() for column in (*columns, batch.times.to(times))]
        self.summary.new += len(ids)
        decided = _Decided(list(zip(ids, *values, revisions, revisions, strict=True)))
        decided.written = list(range(len(ids)))
        if self.mode is Mode.CHECK:
            decided.differences = [(identifier, "not stored", "") for identifier in ids]
        return decided

    def _past(self, old: Row, kind: str, time: int | None) -> Row:
        return (old[0], self.revision, kind, time, former(old))

    def _without_duplicates(self, batch: CheckedBatch, decided: _Decided) -> list[bool]:
        """Which records are the first of the file with their identifier."""
        ids = batch.ids
        if all(map(lt, ids, ids[1:])) and ids and ids[0] > self._highest.get("seen", ""):
            # No earlier record can have one of these; only a later one can.
            self._highest["seen"] = ids[-1]
            self._ascending.append((pa.array(ids, pa.string()), batch.numbers))
            if sum(array.nbytes for array, _ in self._ascending) > _ASCENDING_BYTES:
                self._save_ascending()
            return [True] * len(ids)
        self._save_ascending()
        first: dict[str, int | None] = dict(
            self.session.find(seen, ("id", "record"), self._below(seen, ids))
        )
        refused = [identifier for identifier, record in first.items() if record is None]
        used = []
        marked = []
        for identifier, number in zip(ids, batch.numbers, strict=True):
            earlier = first.get(identifier)
            used.append(earlier is None)
            if earlier is None:
                first[identifier] = number
                marked.append((identifier, number))
            else:
                decided.rejects.append(duplicate(number, identifier, earlier))
        again = [identifier for identifier in refused if first[identifier] is not None]
        if again:
            self.session.delete(seen, again)
        self.session.insert(seen, marked)
        self._highest["seen"] = max([self._highest.get("seen", ""), *ids])
        return used

    def _save_ascending(self) -> None:
        """Enter identifiers that came in ascending order among those seen."""
        for ids, numbers in self._ascending:
            self.session.insert(seen, zip(ids.to_pylist(), numbers, strict=True))
        self._ascending.clear()

    def _remember_refused(self, rejects: Sequence[Reject]) -> None:
        """A refused donor is in the file all the same."""
        if self.mode is Mode.DIFF:
            return
        ids = list(dict.fromkeys(identifier for _, identifier, _ in rejects if identifier))
        if ids:
            self._save_ascending()
        known = {identifier for (identifier,) in self.session.find(seen, ("id",), ids)}
        self.session.insert(seen, [(i, None) for i in ids if i not in known])
        self._highest["seen"] = max([self._highest.get("seen", ""), *ids])

    def _keep(self, batch: CheckedBatch, rows: list[int]) -> None:
        """Hold the donors that come or change ready for the index."""
        if self.dry or not rows:
            return
        at = np.array(rows, dtype=np.int64)
        columns = {name: column.take(at) for name, column in batch.columns.items()}
        self.written.add(pa.array([batch.ids[row] for row in rows], pa.string()), columns)

    def _write(self, decided: _Decided) -> None:
        if self.dry:
            return
        session = self.session
        if decided.gone:
            session.delete(donors, decided.gone)
        if decided.revived:
            session.delete(deleted, decided.revived)
        replaced = [row for row in decided.rows if row[_ADDED] != self.revision]
        if replaced:
            session.replace(donors, replaced)
        session.insert(donors, [row for row in decided.rows if row[_ADDED] == self.revision])
        session.insert(changes, decided.history)
        if decided.tombs:
            session.replace(deleted, decided.tombs)

    def _delete_absent(self) -> None:
        """Delete whom the file does not hold, of each registry and type that it holds."""
        self._save_ascending()
        connection = self.session.connection
        registry, kind = donors.c.registry, donors.c.type
        of_file = sa.or_(
            sa.false(),
            *(
                (registry.is_(None) if name is None else registry == name) & (kind == of)
                for name, of in sorted(self._groups, key=str)
            ),
        )
        before = sa.select(sa.func.count()).where(of_file, donors.c.added < self.revision)
        n_before = int(connection.execute(before).scalar_one())
        missing = sa.select(donors.c.id).where(
            of_file, ~sa.exists().where(seen.c.id == donors.c.id)
        )
        if self.file.time is not None and self.mode is Mode.FULL:
            time = donors.c.reported_at
            missing = missing.where(time.is_(None) | (time <= self.file.time))
        absent.create(connection)
        connection.execute(sa.insert(absent).from_select(["id"], missing))
        n_absent = int(
            connection.execute(sa.select(sa.func.count()).select_from(absent)).scalar_one()
        )
        self.summary.absent = n_absent
        if self.mode is Mode.FULL:
            self._refuse_deletions(n_absent, n_before)
        for ids in self._absent_ids():
            decided = _Decided(gone=ids)
            for row in self.session.find(donors, _DONOR, ids):
                decided.history.append(self._past(row, "deleted", self.file.time))
                decided.tombs.append(
                    (row[0], row[_REPORTED] if self.file.time is None else self.file.time)
                )
            self._write(decided)
            if self.differences is not None:
                csv.writer(self.differences).writerows((i, "not in the file", "") for i in ids)

    def _refuse_deletions(self, n_absent: int, n_before: int) -> None:
        if not n_absent or self.allow_deletions:
            return
        if self._nameless:
            raise InputFileError(
                f"{self._nameless:,} records of {self.file.path} have no readable identifier, so "
                "which donors are missing cannot be told; correct them, or give "
                "--allow-deletions; nothing was changed"
            )
        if n_absent > MAX_DELETED_SHARE * n_before:
            raise InputFileError(
                f"{self.file.path} would delete {n_absent:,} of {n_before:,} donors, more than "
                f"{MAX_DELETED_SHARE:.0%}; if that is meant, give --allow-deletions; nothing was "
                "changed"
            )

    def _absent_ids(self) -> Iterator[list[str]]:
        last = ""
        while True:
            query = (
                sa.select(absent.c.id).where(absent.c.id > last).order_by(absent.c.id).limit(_CHUNK)
            )
            ids = list(self.session.connection.execute(query).scalars())
            if not ids:
                return
            yield ids
            last = ids[-1]


def _differing(old: Row, content: Row) -> str:
    pairs = zip(CONTENT, old[_CONTENT], content, strict=True)
    return " ".join(name for name, stored, new in pairs if stored != new)
