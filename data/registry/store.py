"""The donors of a registry: typings as reported, facts and the history of changes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from data.donor_files import FACTS, INDEXED, TYPING, Person, time_text, written_of
from data.registry.databases import Row, Session
from data.registry.schema import changes, donors, get, imports
from matching.typings import split_gl, typing_of

# Donors asked for at a time; what waits for them can stop in between.
_ASKED = 1000
_DONOR = tuple(column.name for column in donors.columns)


@dataclass(frozen=True)
class Change:
    """What became of a donor: `kind` is new, updated or deleted."""

    id: str
    kind: str


@dataclass(frozen=True)
class StoredDonors:
    """One state of a store, while its session lasts.

    `revision`: number of the last change, from 1; 0 where there was none yet.
    """

    session: Session
    store_id: str
    revision: int

    @classmethod
    def of(cls, session: Session) -> StoredDonors:
        """The state that a session sees."""
        values = [get(session.connection, key) for key in ("store_id", "revision")]
        return cls(session, str(values[0]), int(values[1] or 0))

    def stamp(self, revision: int) -> int | None:
        """When a revision was made, microseconds since 1970; None where that is not known."""
        asked = sa.select(imports.c.imported_at).where(imports.c.revision == revision)
        found = self.session.connection.execute(asked).scalar()
        return None if found is None else int(found)

    def donors(self) -> Iterator[pa.RecordBatch]:
        """All donors in the order of their identifiers, columns `INDEXED`."""
        return self._batches("")

    def changed(self, after: int) -> Iterator[pa.RecordBatch]:
        """The present donors that were changed after a revision, as `donors`."""
        return self._batches(f"WHERE revision > {int(after)}")

    def changed_ids(self, after: int) -> list[str]:
        """Every identifier added, updated or deleted after a revision, ascending."""
        present = sa.select(donors.c.id).where(donors.c.revision > after)
        past = sa.select(changes.c.id).where(changes.c.revision > after)
        return sorted(self.session.connection.execute(sa.union(present, past)).scalars())

    def changes(self, after: int) -> list[Change]:
        """What became of donors after a revision, ascending, one entry a donor.

        A donor that came and went in between has none.
        """
        before = donors.c.added <= after
        present = sa.select(donors.c.id, sa.case((before, "updated"), else_="new")).where(
            donors.c.revision > after
        )
        execute = self.session.connection.execute
        found = {identifier: Change(identifier, kind) for identifier, kind in execute(present)}
        gone = (
            sa.select(changes.c.id, changes.c.former)
            .where(changes.c.revision > after, changes.c.kind == "deleted")
            .order_by(changes.c.revision.desc())
        )
        for identifier, former in execute(gone):
            # Of several deletions the first tells whether the donor was there before.
            if json.loads(former)["added"] <= after:
                back = identifier in found and found[identifier].kind != "deleted"
                found[identifier] = Change(identifier, "updated" if back else "deleted")
        return [found[identifier] for identifier in sorted(found)]

    def count(self) -> int:
        """Number of donors."""
        query = sa.select(sa.func.count()).select_from(donors)
        return int(self.session.connection.execute(query).scalar_one())

    def is_empty(self) -> bool:
        """Whether it holds no donor, without counting them."""
        return self.session.connection.execute(sa.select(donors.c.id).limit(1)).first() is None

    def counts(self, fact: str) -> dict[str, int]:
        """Number of donors by the values of a fact, "" for unknown, most frequent first."""
        column = donors.c[fact]
        query = sa.select(column, sa.func.count()).group_by(column)
        rows = self.session.connection.execute(query)
        found = {"" if value is None else str(value): int(n) for value, n in rows}
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))

    def typings(self, ids: Iterable[str]) -> dict[str, str]:
        """GL string of each of the given donors that are stored, as reported."""
        found: dict[str, str] = {}
        remaining = iter(ids)
        while chunk := list(islice(remaining, _ASKED)):
            for identifier, *typing in self.session.find(donors, ("id", *TYPING), chunk):
                found[identifier] = gl_string(typing)
        return found

    def people(self, ids: Iterable[str]) -> dict[str, Person]:
        """Those of the given donors that are stored, with their facts."""
        found: dict[str, Person] = {}
        remaining = iter(ids)
        while chunk := list(islice(remaining, _ASKED)):
            for identifier, *values in self.session.find(donors, ("id", *FACTS, *TYPING), chunk):
                facts = dict(zip(FACTS, values, strict=False))
                written = split_gl(gl_string(values[len(FACTS) :]))
                found[identifier] = Person(identifier, facts, written)
        return found

    def mothers(self, ids: Iterable[str]) -> dict[str, str]:
        """GL string of the mother of each of the given donors that has one."""
        found: dict[str, str] = {}
        remaining = iter(ids)
        while chunk := list(islice(remaining, _ASKED)):
            found |= {
                identifier: mother
                for identifier, mother in self.session.find(donors, ("id", "mother_gl"), chunk)
                if mother is not None
            }
        return found

    def shown_after(self, after: str, size: int) -> list[tuple[str, dict[str, Any]]]:
        """The first donors after an identifier, ascending, as `record` shows the present one."""
        query = sa.select(donors).where(donors.c.id > after).order_by(donors.c.id).limit(size)
        rows = self.session.connection.execute(query).mappings()
        return [(row["id"], shown(dict(row))) for row in rows]

    def record(self, identifier: str) -> dict[str, Any] | None:
        """A donor with its history, None if it was never stored. Times are ISO texts."""
        rows = list(self.session.find(donors, _DONOR, [identifier]))
        query = (
            sa.select(changes, imports.c.imported_at, imports.c.file)
            .outerjoin(imports, imports.c.revision == changes.c.revision)
            .where(changes.c.id == identifier)
            .order_by(changes.c.revision)
        )
        execute = self.session.connection.execute
        steps = [dict(row) for row in execute(query).mappings()]
        if not rows and not steps:
            return None
        history = []
        states = [json.loads(step["former"]) for step in steps]
        if rows:
            states.append(dict(zip(_DONOR, rows[0], strict=True)))
        came: set[int] = set()
        for state, step in zip(states, [*steps, None], strict=False):
            if state["added"] not in came:
                came.add(state["added"])
                history.append(self._came(state["added"]))
            if step is not None:
                history.append(
                    {
                        "kind": step["kind"],
                        "revision": step["revision"],
                        "reported_at": time_text(step["reported_at"]),
                        "imported_at": time_text(step["imported_at"]),
                        "file": step["file"],
                        "former": shown(json.loads(step["former"])),
                    }
                )
        present = shown(dict(zip(_DONOR, rows[0], strict=True))) if rows else None
        return {"id": identifier, "present": present, "history": history}

    def _came(self, revision: int) -> dict[str, Any]:
        query = sa.select(imports.c.imported_at, imports.c.file).where(
            imports.c.revision == revision
        )
        found = self.session.connection.execute(query).first()
        time, file = found if found is not None else (None, None)
        return {
            "kind": "new",
            "revision": revision,
            "imported_at": time_text(time),
            "file": file,
        }

    def _batches(self, condition: str) -> Iterator[pa.RecordBatch]:
        # An expression, since in the order of the identifier itself all donors would be looked at.
        order = "id || ''" if condition else "id"
        query = f"SELECT {','.join(INDEXED.names)} FROM donors {condition} ORDER BY {order}"
        for rows in self.session.stream(query):
            columns = zip(*rows, strict=True)
            yield pa.record_batch(
                [pa.array(c, f.type) for c, f in zip(columns, INDEXED, strict=True)], INDEXED
            )


def former(row: Row) -> str:
    """A row of `donors` as JSON, without unknown values."""
    known = {
        name: value
        for name, value in zip(_DONOR, row, strict=True)
        if value is not None and name != "id"
    }
    return json.dumps(known, separators=(",", ":"), ensure_ascii=False)


def shown(donor: dict[str, Any]) -> dict[str, Any]:
    """A donor as it is shown: known facts and the typing."""
    typing = [donor.get(name) for name in TYPING[:-3]]
    texts = [str(donor.get(name) or "") for name in TYPING[-3:]]
    facts = {name: donor[name] for name in FACTS if donor.get(name) is not None}
    time = time_text(donor.get("reported_at"))
    return {
        **facts,
        "typing": gl_string([*typing, *texts]),
        **({"typing_release": texts[-1]} if texts[-1] else {}),
        **({"reported_at": time} if time else {}),
        "added": donor["added"],
        "revision": donor["revision"],
    }


def gl_string(typing: Sequence[Any]) -> str:
    """Values of `TYPING` as one GL string without release."""
    *texts, carried, phase, _ = typing
    if phase:
        return typing_of(written_of(typing)).text
    return "^".join([*filter(None, texts), *filter(None, [carried])])
