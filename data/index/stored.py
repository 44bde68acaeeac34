"""An index that is there: segments and the manifest that names them. Readers wait for nobody."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.donor_files import INDEXED_FACTS
from data.index.facts import ages, fact_table
from data.index.filters import DonorFilter
from data.index.segments import StoredSegment, damaged, open_segment
from data.index.written import joined
from matching.donor_index import DonorIndex
from matching.immunogenetics import WrittenPairs
from matching.nomenclature import Nomenclature

if TYPE_CHECKING:
    import pandas as pd

# Raised whenever the encoding or the layout changes, so that an older index is built anew.
FORMAT = 9
MANIFEST = "manifest.json"
LOCK = "lock"
# Times that a reader looks again for what a writer has just replaced.
ATTEMPTS = 100


class DonorSource(Protocol):
    """One consistent snapshot of a donor store.

    `store_id` was made at random when the store was created; `revision`, from 1, is the number of
    its last change. Batches have the schema `INDEXED`; all orders are by the bytes of identifiers.
    """

    @property
    def store_id(self) -> str:
        """See above."""

    @property
    def revision(self) -> int:
        """See above."""

    def stamp(self, revision: int) -> int | None:
        """When a revision was made, by which those of a store that was put back differ from the
        ones it had made before; None where that is not known."""

    def donors(self) -> Iterator[pa.RecordBatch]:
        """All present donors, ascending."""

    def changed(self, after: int) -> Iterator[pa.RecordBatch]:
        """The present donors that were added or changed in later revisions, ascending."""

    def changed_ids(self, after: int) -> list[str]:
        """Every identifier added, changed or deleted in later revisions, ascending."""


@dataclass(frozen=True)
class SegmentEntry:
    """A segment in the manifest; `revision`: up to which it holds changes."""

    name: str
    rows: int
    revision: int
    removed: str | None = None


@dataclass(frozen=True)
class Manifest:
    """`stamp`: of the revision. `unreadable`: file of the donors that the release cannot read."""

    format: int
    release: str
    fingerprint: str
    store_id: str
    revision: int
    stamp: int | None
    segments: tuple[SegmentEntry, ...]
    unreadable: str
    n_unreadable: int

    @property
    def files(self) -> set[str]:
        """Everything that it names."""
        removed = {s.removed for s in self.segments if s.removed is not None}
        return {MANIFEST, LOCK, self.unreadable, *removed, *(s.name for s in self.segments)}


@dataclass(frozen=True)
class StoredIndex:
    """An opened index. `n_unreadable` donors of the store are not in it but in `unreadable`.

    Rows are those of `donors`; (n,) int64 below.
    """

    root: Path
    manifest: Manifest = field(repr=False)
    segments: tuple[StoredSegment, ...] = field(repr=False)
    nomenclature: Nomenclature = field(repr=False)

    def __len__(self) -> int:
        return len(self.donors)

    @property
    def version(self) -> str:
        """State of the store that it was made from."""
        return state_name(self.manifest.store_id, self.revision)

    @property
    def revision(self) -> int:
        """Last change of the store that it holds."""
        return self.manifest.revision

    def is_of(self, source: DonorSource) -> bool:
        """Whether it was made from this state of the store or an earlier one. It was not where an
        older store was put in place since, even if that has come as far again."""
        return (
            self.manifest.store_id == source.store_id
            and self.revision <= source.revision
            and self.manifest.stamp == source.stamp(self.revision)
        )

    @property
    def n_unreadable(self) -> int:
        """Donors that the release cannot read."""
        return self.manifest.n_unreadable

    @property
    def unreadable(self) -> Path:
        """File of the donors that the release cannot read, with the reasons."""
        return self.root / self.manifest.unreadable

    @cached_property
    def donors(self) -> DonorIndex:
        """What `matching.search` searches."""
        return DonorIndex(tuple(stored.segment for stored in self.segments), self.nomenclature)

    def ids(
        self, rows: npt.NDArray[np.int64], between: Callable[[], object] = lambda: None
    ) -> list[str]:
        """Identifiers of some rows. `between`: see `DonorIndex.parts`."""
        found = np.empty(len(rows), dtype=object)
        for i, at, local in self.donors.parts(rows, between):
            found[at] = self.segments[i].ids.take(pa.array(local)).to_pylist()
        return found.tolist()

    def facts(self, rows: npt.NDArray[np.int64]) -> pd.DataFrame:
        """Facts of some rows, one column each of `INDEXED_FACTS`, None or NaN where unknown."""
        import pandas as pd

        tables = [pd.DataFrame(columns=list(INDEXED_FACTS))]
        places = [np.empty(0, dtype=np.int64)]
        for i, at, local in self.donors.parts(rows):
            tables.append(fact_table(self.segments[i].facts, local))
            places.append(at)
        if len(tables) == 2:
            return tables[1]
        joined = pd.concat(tables[1:] or tables, ignore_index=True)
        return joined.iloc[np.argsort(np.concatenate(places))].reset_index(drop=True)

    def distinct(
        self,
        fact: str,
        rows: npt.NDArray[np.int64],
        between: Callable[[], object] = lambda: None,
    ) -> tuple[list[Any], npt.NDArray[np.int64]]:
        """Values of one of `INDEXED_FACTS`, None or NaN where unknown, and which of them each row
        has, (n,). A value may be there twice, once a segment. `between`: see `DonorIndex.parts`."""
        values: list[Any] = []
        firsts: dict[int, int] = {}
        number = np.empty(len(rows), dtype=np.int64)
        for i, at, local in self.donors.parts(rows, between):
            column = self.segments[i].facts[fact]
            if i not in firsts:
                firsts[i] = len(values)
                values += column.known.tolist()
            number[at] = firsts[i] + column.of(local).astype(np.int64)
        return values, number

    def written_b(self, rows: npt.NDArray[np.int64]) -> tuple[WrittenPairs, npt.NDArray[np.int64]]:
        """What some rows have written at HLA-B: typings, and which of them each row has, (n,). A
        typing may be there several times, once in each of `DonorIndex.parts`."""
        parts: list[WrittenPairs] = []
        number = np.empty(len(rows), dtype=np.int64)
        before = 0
        for i, at, local in self.donors.parts(rows):
            part, place = self.segments[i].written_b.typings(local)
            number[at] = before + place
            before += len(part.starts) - 1
            parts.append(part)
        return joined(parts), number

    def ages(
        self,
        as_of: datetime.date,
        rows: npt.NDArray[np.int64],
        between: Callable[[], object] = lambda: None,
    ) -> npt.NDArray[np.float64]:
        """Age of some rows in whole years on a day, NaN where unknown.

        From the birth date; a donor reported by age keeps the reported one. `between`: see
        `DonorIndex.parts`.
        """
        found = np.empty(len(rows), dtype=np.float64)
        for i, at, local in self.donors.parts(rows, between):
            found[at] = ages(self.segments[i].facts, as_of, local)
        return found

    def kept(
        self, wanted: DonorFilter, as_of: datetime.date, rows: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Which of some rows a filter keeps, ages being those on a day."""
        found = np.empty(len(rows), dtype=bool)
        for i, at, local in self.donors.parts(rows):
            columns = self.segments[i].facts
            found[at] = wanted.kept(columns, local, ages(columns, as_of, local))
        return found


def state_name(store_id: str, revision: int) -> str:
    """How a state of a store is called."""
    return f"{store_id[:8]}-{revision}"


def open_index(
    root: Path, nomenclature: Nomenclature, before: StoredIndex | None = None
) -> StoredIndex | None:
    """The index in a folder; None where there is none of this release and format.

    `before`: what was opened there before; its segments, which never change, are not checked again.
    Raises `DamagedIndexError` naming a damaged file.
    """
    for attempt in range(ATTEMPTS):
        manifest = read_manifest(root, nomenclature)
        if manifest is None:
            return None
        try:
            return _open(root, manifest, nomenclature, before)
        except FileNotFoundError as error:
            # A writer has replaced it since the manifest was read, or the file is lost.
            if attempt + 1 == ATTEMPTS or read_manifest(root, nomenclature) == manifest:
                raise damaged(Path(error.filename), "it is missing") from error
    raise AssertionError("the last attempt returns or raises")


def _open(
    root: Path, manifest: Manifest, nomenclature: Nomenclature, before: StoredIndex | None
) -> StoredIndex:
    (root / manifest.unreadable).stat()
    known: dict[str, StoredSegment] = {}
    if before is not None:
        names = (segment.name for segment in before.manifest.segments)
        known = dict(zip(names, before.segments, strict=True))
    opened = []
    for segment in manifest.segments:
        removed = None if segment.removed is None else root / segment.removed
        stored = known.get(segment.name) or open_segment(root / segment.name)
        stored = stored.without(removed)
        if len(stored.segment) != segment.rows:
            raise damaged(root / segment.name, "it has another number of donors")
        opened.append(stored)
    return StoredIndex(root, manifest, tuple(opened), nomenclature)


def read_manifest(root: Path, nomenclature: Nomenclature) -> Manifest | None:
    """What names the index, None where there is none of this release and format.

    Raises `DamagedIndexError`.
    """
    path = root / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if (found["format"], found["fingerprint"]) != (FORMAT, nomenclature.fingerprint):
            return None
        segments = tuple(SegmentEntry(**segment) for segment in found.pop("segments"))
        return Manifest(segments=segments, **found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, str(error)) from error
