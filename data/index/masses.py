"""What prediction needs of the donors of an index, under one frequency set.

A folder `masses-<key>` inside a segment holds the total mass of every donor (float64, 8 bytes) and,
for each locus of the set, its entry (`matching.masses.LocusEntries`) as a number in a list of
texts, one of each entry. The key names the set, so that another set has a folder of its own. It is
written after the segment, all or nothing, and goes with it; until then the masses of the segment
are missing, which is no error.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.donor_files import LOCUS_COLUMNS
from data.files import replacing_folder
from data.index.arrays import Array, read_arrays, write_arrays
from data.index.segments import damaged
from data.index.stored import DonorSource, StoredIndex
from matching.errors import OutputError, StoreError
from matching.haplotypes import Imputer
from matching.loci import Locus
from matching.masses import MassTables

FORMAT = 1
COLUMNS = "columns.bin"
DESCRIPTION = "masses.json"
LOCK = "masses.lock"
THREADS = 2
# Donors summed at a time.
CHUNK = 250_000
_COLUMN_OF = {locus: name for name, locus in LOCUS_COLUMNS.items()}


class TypingSource(DonorSource, Protocol):
    """A donor source that also knows whose typing says more than its loci one by one."""

    def phased_ids(self) -> list[str]:
        """Donors with loci reported in phase."""


@dataclass(frozen=True)
class Masses:
    """Of some rows of an index.

    `codes`: (n, n_loci) int32 entries of the tables. `total`: (n,) float64, 0 for a donor whom the
    set does not represent and NaN for one to be predicted in pairs; `missing`: (n,) bool, where
    nothing was computed yet.
    """

    codes: npt.NDArray[np.int32]
    total: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class _SegmentMasses:
    """`numbers`: one column a locus, positions in `codes`, which are entries of the tables."""

    total: Array
    numbers: tuple[Array, ...]
    codes: tuple[npt.NDArray[np.int32], ...]


@dataclass(frozen=True)
class IndexMasses:
    """The masses of an index under the set of `tables`, as far as they are there."""

    index: StoredIndex
    tables: MassTables
    segments: tuple[_SegmentMasses | None, ...]

    @property
    def is_complete(self) -> bool:
        """Whether no segment's masses are missing."""
        return None not in self.segments

    def of(self, rows: npt.NDArray[np.int64]) -> Masses:
        """Codes and total masses of some rows."""
        found = Masses(
            np.zeros((len(rows), len(self.tables.loci)), dtype=np.int32),
            np.full(len(rows), np.nan),
            np.ones(len(rows), dtype=bool),
        )
        for i, at, local in self.index.donors.parts(rows):
            segment = self.segments[i]
            if segment is not None:
                found.missing[at] = False
                found.total[at] = segment.total[local]
                for column, (numbers, codes) in enumerate(
                    zip(segment.numbers, segment.codes, strict=True)
                ):
                    found.codes[at, column] = codes[numbers[local]]
        return found


def open_masses(index: StoredIndex, tables: MassTables) -> IndexMasses:
    """The masses that are there. Raises `DamagedIndexError` naming a damaged file."""
    key = _key(tables.imputer)
    segments = [
        _open(index.root / entry.name / key, tables, entry.rows)
        for entry in index.manifest.segments
    ]
    return IndexMasses(index, tables, tuple(segments))


def fill_masses(
    index: StoredIndex,
    source: TypingSource,
    tables: MassTables,
    progress: Callable[[int], object] = lambda _: None,
) -> IndexMasses:
    """Compute and write the masses that are missing; searches go on meanwhile.

    `progress` is given the number of donors done so far. Raises `StoreError` unless `source` is the
    state of the store that the index was made from, and `OutputError`.
    """
    if (source.store_id, source.revision) != (index.manifest.store_id, index.revision):
        raise StoreError("masses are computed for an index that is up to date: update it first")
    key = _key(tables.imputer)
    phased = pa.array(source.phased_ids(), pa.string())
    after, done = 0, 0
    for entry, stored in zip(index.manifest.segments, index.segments, strict=True):
        folder = index.root / entry.name
        with _locked(folder):
            for left_by_killed in folder.glob(".masses-*"):
                shutil.rmtree(left_by_killed)
            if not (folder / key).is_dir():
                batches = source.changed(after) if after else source.donors()
                _write(folder / key, stored.ids, batches, phased, tables, done, progress)
        after, done = entry.revision, done + entry.rows
        progress(done)
    return open_masses(index, tables)


def has_masses(index: StoredIndex, imputer: Imputer) -> bool:
    """Whether some segment has masses under the imputer's set, so that tables are worth making."""
    key = _key(imputer)
    return any((index.root / entry.name / key).is_dir() for entry in index.manifest.segments)


def _key(imputer: Imputer) -> str:
    """Folder of the masses of a set under a choice of options."""
    source = imputer.frequencies
    digest = hashlib.sha256()
    options = [FORMAT, [locus.value for locus in source.loci], source.names]
    options += [imputer.nulls.value, imputer.resolution.value, imputer.nomenclature.fingerprint]
    digest.update(json.dumps(options).encode())
    digest.update(np.ascontiguousarray(source.haplotypes).tobytes())
    digest.update(np.ascontiguousarray(source.frequencies).tobytes())
    return f"masses-{digest.hexdigest()[:24]}"


def _write(
    folder: Path,
    ids: pa.StringArray,
    batches: Iterator[pa.RecordBatch],
    phased: pa.StringArray,
    tables: MassTables,
    done: int,
    progress: Callable[[int], object],
) -> None:
    """Write the masses of a segment; a row that no batch names is a donor that changed since."""
    codes = np.zeros((len(ids), len(tables.loci)), dtype=np.int32)
    total = np.full(len(ids), np.nan)
    texts: list[dict[int, str]] = [{} for _ in tables.loci]
    waiting: list[npt.NDArray[np.int64]] = []
    for batch in batches:
        rows, kept = _rows(ids, batch.column("id"))
        for column, locus in enumerate(tables.loci):
            codes[rows, column] = _encode(batch, locus, tables, column, texts[column])[kept]
        is_phased = pc.is_in(batch.column("id"), value_set=phased).to_numpy(zero_copy_only=False)
        waiting.append(rows[~is_phased[kept]])
        if sum(map(len, waiting)) >= CHUNK:
            _sum(codes, total, waiting, tables)
            progress(done + int(rows[-1]) if len(rows) else done)
    _sum(codes, total, waiting, tables)
    arrays: dict[str, Array] = {"total": total}
    known = []
    for column, of_code in enumerate(texts):
        numbers = np.zeros(len(tables.entries[column]), dtype=np.int64)
        numbers[list(of_code)] = np.arange(1, len(of_code) + 1)
        width = np.uint16 if len(of_code) < 2**16 else np.uint32
        arrays[f"entries_{column}"] = numbers[codes[:, column]].astype(width)
        known.append(["", *of_code.values()])
    with replacing_folder(folder) as temporary:
        description = {**write_arrays(temporary / COLUMNS, arrays), "texts": known}
        (temporary / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


def _rows(
    ids: pa.StringArray, batch: pa.StringArray
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Rows of the donors of a batch that are in a segment, and which of the batch these are."""
    first = _position(ids, batch[0].as_py()) if len(batch) else 0
    last = _position(ids, batch[-1].as_py()) + 1 if len(batch) else 0
    found = pc.index_in(batch, value_set=ids[first:last])
    kept = found.is_valid().to_numpy(zero_copy_only=False)
    return found.drop_null().to_numpy().astype(np.int64) + first, kept


def _position(ids: pa.StringArray, identifier: str) -> int:
    """Where an identifier lies or would lie in ascending ones (by bytes, as the store sorts)."""
    wanted = identifier.encode()
    low, high = 0, len(ids)
    while low < high:
        middle = (low + high) // 2
        if ids[middle].as_py().encode() < wanted:
            low = middle + 1
        else:
            high = middle
    return low


def _encode(
    batch: pa.RecordBatch, locus: Locus, tables: MassTables, column: int, texts: dict[int, str]
) -> npt.NDArray[np.int32]:
    """Entries of a batch at a locus; `texts` gets a text of every new one."""
    written = batch.column(_COLUMN_OF[locus]).fill_null("").dictionary_encode()
    distinct = written.dictionary.to_pylist()
    codes = tables.entries[column].encode(distinct)
    for code, text in zip(codes.tolist(), distinct, strict=True):
        if code:
            texts.setdefault(code, text)
    found: npt.NDArray[np.int32] = codes[written.indices.to_numpy()]
    return found


def _sum(
    codes: npt.NDArray[np.int32],
    total: npt.NDArray[np.float64],
    waiting: list[npt.NDArray[np.int64]],
    tables: MassTables,
) -> None:
    """Total masses of the rows that wait, those with common entries together."""
    rows = np.concatenate([np.empty(0, np.int64), *waiting])
    waiting.clear()
    rows = rows[np.lexsort(codes[rows].T[::-1])]
    total[rows] = tables.total_masses(codes[rows], THREADS)


def _open(folder: Path, tables: MassTables, n_rows: int) -> _SegmentMasses | None:
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        path = folder / COLUMNS
        arrays = read_arrays(path, description)
        numbers = tuple(arrays[f"entries_{column}"] for column in range(len(tables.loci)))
        texts = description["texts"]
        if not all(
            len(column) == n_rows and column.max(initial=0) < len(known)
            for column, known in zip(numbers, texts, strict=True)
        ) or not (arrays["total"].dtype == np.float64 and arrays["total"].shape == (n_rows,)):
            raise ValueError("masses and donors do not agree")
        codes = tuple(
            entries.encode(known) for entries, known in zip(tables.entries, texts, strict=True)
        )
        return _SegmentMasses(arrays["total"], numbers, codes)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, str(error)) from error


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Wait until nobody else writes masses of this segment."""
    try:
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise OutputError(
            f"cannot write {folder}: {error.strerror}; free space, or update the index and run it "
            "again"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
