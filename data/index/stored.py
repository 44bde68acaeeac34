"""An index: segments and the manifest that names them.

The manifest is swapped by one rename and everything it names is there before, so whatever happens
to a writer, the index is the one before or the one after. Writers exclude each other with a lock
that ends with their process; readers wait for nobody.
"""

from __future__ import annotations

import csv
import datetime
import fcntl
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.donor_files import INDEXED_FACTS
from data.files import remove_folder, replacing
from data.index.columns import DonorColumns, WrittenDonors
from data.index.encoding import EncodedDonors, encode_donors
from data.index.facts import ages, fact_table
from data.index.filters import DonorFilter
from data.index.segments import (
    DamagedIndexError,
    StoredSegment,
    damaged,
    open_segment,
    write_segment,
)
from data.index.written import joined
from matching.donor_index import DonorIndex
from matching.errors import OutputError, StoreError
from matching.genotypes import book_builders
from matching.immunogenetics import WrittenPairs
from matching.nomenclature import Nomenclature

if TYPE_CHECKING:
    import pandas as pd

# Raised whenever the encoding or the layout changes, so that an older index is built anew.
FORMAT = 9
MANIFEST = "manifest.json"
LOCK = "lock"
# An index with more segments has the later ones made into one.
MAX_SEGMENTS = 8
# Donors that changed since the first segment, as a share of it, beyond which all is built anew.
MAX_CHANGED = 0.1
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
class Changed:
    """What `DonorSource.changed` gives after the revision before this one, being encoded."""

    revision: int
    encoded: Future[EncodedDonors]


@dataclass(frozen=True)
class _Segment:
    """A segment in the manifest; `revision`: up to which it holds changes."""

    name: str
    rows: int
    revision: int
    removed: str | None = None


@dataclass(frozen=True)
class _Manifest:
    """`stamp`: of the revision. `unreadable`: file of the donors that the release cannot read."""

    format: int
    release: str
    fingerprint: str
    store_id: str
    revision: int
    stamp: int | None
    segments: tuple[_Segment, ...]
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
    manifest: _Manifest = field(repr=False)
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

    def ids(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Identifiers of some rows."""
        found = np.empty(len(rows), dtype=object)
        for i, at, local in self.donors.parts(rows):
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
        self, fact: str, rows: npt.NDArray[np.int64]
    ) -> tuple[list[Any], npt.NDArray[np.int64]]:
        """Values of one of `INDEXED_FACTS`, None or NaN where unknown, and which of them each row
        has, (n,). A value may be there twice, once a segment."""
        values: list[Any] = []
        number = np.empty(len(rows), dtype=np.int64)
        for i, at, local in self.donors.parts(rows):
            column = self.segments[i].facts[fact]
            number[at] = len(values) + column.of(local).astype(np.int64)
            values += column.known.tolist()
        return values, number

    def written_b(self, rows: npt.NDArray[np.int64]) -> tuple[WrittenPairs, npt.NDArray[np.int64]]:
        """What some rows have written at HLA-B: typings, and which of them each row has, (n,). A
        typing may be there twice, once a segment."""
        parts: list[WrittenPairs] = []
        number = np.empty(len(rows), dtype=np.int64)
        before = 0
        for i, at, local in self.donors.parts(rows):
            part, place = self.segments[i].written_b.typings(local)
            number[at] = before + place
            before += len(part.starts) - 1
            parts.append(part)
        return joined(parts), number

    def ages(self, as_of: datetime.date, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Age of some rows in whole years on a day, NaN where unknown.

        From the birth date; a donor reported by age keeps the reported one.
        """
        found = np.empty(len(rows), dtype=np.float64)
        for i, at, local in self.donors.parts(rows):
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
        manifest = _read_manifest(root, nomenclature)
        if manifest is None:
            return None
        try:
            return _open(root, manifest, nomenclature, before)
        except FileNotFoundError as error:
            # A writer has replaced it since the manifest was read, or the file is lost.
            if attempt + 1 == ATTEMPTS or _read_manifest(root, nomenclature) == manifest:
                raise damaged(Path(error.filename), "it is missing") from error
    raise AssertionError("the last attempt returns or raises")


def _open(
    root: Path, manifest: _Manifest, nomenclature: Nomenclature, before: StoredIndex | None
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


def _read_manifest(root: Path, nomenclature: Nomenclature) -> _Manifest | None:
    path = root / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if (found["format"], found["fingerprint"]) != (FORMAT, nomenclature.fingerprint):
            return None
        segments = tuple(_Segment(**segment) for segment in found.pop("segments"))
        return _Manifest(segments=segments, **found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, str(error)) from error


def update_index(
    root: Path,
    source: DonorSource,
    nomenclature: Nomenclature,
    progress: Callable[[int], object] = lambda _: None,
    latest: Changed | None = None,
    keep: Callable[[str, WrittenDonors], object] = lambda _, __: None,
    set_back: bool = False,
) -> StoredIndex:
    """The index of a store under a release, brought up to the revision of `source`.

    What changed since becomes a further segment; everything is encoded anew where there is no
    index of this store and release, where it is damaged, or where much has changed. An index that
    is already newer stays as it is, unless the store was `set_back` since. `progress` is given the
    number of donors read so far. `latest` saves reading them from the source; `keep` is given the
    name of a segment that was written, and its typings. Raises `StoreError` and `OutputError`.
    """
    opened = _usable(root, source, nomenclature, set_back)
    if (
        opened is not None
        and opened.revision >= source.revision
        and not _others(root, opened.manifest)
    ):
        return opened
    with _locked(root):
        opened = _usable(root, source, nomenclature, set_back, opened)
        if opened is None or opened.revision < source.revision:
            _write_update(root, opened, source, nomenclature, progress, latest, keep)
        _remove_others(root, nomenclature)
    opened = open_index(root, nomenclature, opened)
    if opened is None:
        raise StoreError(f"the index in {root} cannot be read back; check the disk")
    return opened


def _usable(
    root: Path,
    source: DonorSource,
    nomenclature: Nomenclature,
    set_back: bool,
    before: StoredIndex | None = None,
) -> StoredIndex | None:
    """The index that is there, unless it is damaged, or that of another store or history."""
    try:
        opened = open_index(root, nomenclature, before)
    except DamagedIndexError:
        return None
    if opened is None or opened.is_of(source):
        return opened
    is_newer = opened.manifest.store_id == source.store_id and opened.revision > source.revision
    return opened if is_newer and not set_back else None


def _write_update(
    root: Path,
    opened: StoredIndex | None,
    source: DonorSource,
    nomenclature: Nomenclature,
    progress: Callable[[int], object],
    latest: Changed | None,
    keep: Callable[[str, WrittenDonors], object],
) -> None:
    kept: Sequence[StoredSegment] = ()
    entries: Sequence[_Segment] = ()
    after = 0
    changed: list[str] = []
    unreadable: list[tuple[str, str]] = []
    if opened is not None:
        kept, entries = opened.segments, opened.manifest.segments
        after = opened.revision
        if len(entries) >= MAX_SEGMENTS:
            kept, entries, after = kept[:1], entries[:1], entries[0].revision
        changed = source.changed_ids(after)
        unreadable = _unreadable_but(opened.unreadable, changed)
        later = sum(entry.rows for entry in entries[1:]) + len(changed)
        if not entries or later > MAX_CHANGED * entries[0].rows:
            kept, entries, unreadable, after = (), (), [], 0
    if latest is not None and latest.revision == source.revision == after + 1:
        encoded = latest.encoded.result()
    else:
        batches = source.changed(after) if after else source.donors()
        encoded = encode_donors(DonorColumns.of(batches, progress), book_builders(nomenclature))
    # Nothing of the former state is named by more than one manifest, so each can be removed whole.
    token = secrets.token_hex(8)
    written = [
        replace(entry, removed=_write_removed(root, f"removed-{token}-{i}.bin", stored, changed))
        for i, (entry, stored) in enumerate(zip(entries, kept, strict=True))
    ]
    if len(encoded.ids) or not entries:
        name = f"segment-{token}"
        write_segment(root / name, encoded)
        keep(name, encoded.written)
        written.append(_Segment(name, len(encoded.ids), source.revision))
    unreadable += encoded.unreadable
    manifest = _Manifest(
        FORMAT,
        nomenclature.release,
        nomenclature.fingerprint,
        source.store_id,
        source.revision,
        source.stamp(source.revision),
        tuple(written),
        f"unreadable-{token}.csv",
        len(unreadable),
    )
    _write_unreadable(root / manifest.unreadable, unreadable)
    with replacing(root / MANIFEST) as temporary:
        temporary.write_text(json.dumps(asdict(manifest), indent=1), encoding="utf-8")


def _write_removed(root: Path, name: str, stored: StoredSegment, changed: list[str]) -> str | None:
    """Write which rows are no longer valid, with those that changed; None where all are."""
    found = pc.is_in(stored.ids, value_set=pa.array(changed, pa.string()))
    bits = np.packbits(np.asarray(found.to_numpy(zero_copy_only=False)), bitorder="little")
    if stored.segment.removed is not None:
        bits |= stored.segment.removed
    if not bits.any():
        return None
    with replacing(root / name) as temporary:
        temporary.write_bytes(bits.data)
    return name


def _write_unreadable(path: Path, unreadable: Iterable[tuple[str, str]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("id", "reason"), *unreadable])


def _unreadable_but(path: Path, changed: list[str]) -> list[tuple[str, str]]:
    """The donors of a file of unreadable ones that did not change."""
    gone = set(changed)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file)
        next(rows)
        return [(name, reason) for name, reason in rows if name not in gone]


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Wait until no other process or thread writes this index, and keep others from it."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / LOCK).open("a")
    except OSError as error:
        raise OutputError(
            f"cannot write {root}: {error.strerror}; free space or choose another place, then run "
            "it again"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_others(root: Path, nomenclature: Nomenclature) -> None:
    manifest = _read_manifest(root, nomenclature)
    for path in [] if manifest is None else _others(root, manifest):
        if path.is_dir():
            remove_folder(path)
        else:
            path.unlink(missing_ok=True)


def _others(root: Path, manifest: _Manifest) -> list[Path]:
    """What the manifest does not name: former segments, and what a killed writer left."""
    named = manifest.files
    return [path for path in root.iterdir() if path.name not in named]
