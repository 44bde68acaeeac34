"""What prediction needs of the donors of an index, each under the frequency set of its own.

A folder `masses-<nulls>-<key>` inside a segment holds the total mass of every donor (float64) and,
for each locus of the sets, the number of its entry (16 bits, by falling frequency, larger ones
apart) in a table of what these admit (`matching.masses.EntryTable`). The key stands for the sets
and the choice among them, so that others have a folder of their own. It is written after the
segment, all or nothing, and goes with it; until then its masses are missing, which is no error.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.files import remove_folder, replacing_folder
from data.index.arrays import Array, read_arrays, write_arrays
from data.index.columns import DonorColumns, WrittenDonors, WrittenLocus
from data.index.segments import (
    StoredSegment,
    check_codes,
    damaged,
    field_arrays,
    is_partition,
    read_fields,
    require,
)
from data.index.stored import DonorSource, StoredIndex
from matching.donor_index import Large, by_frequency
from matching.errors import OutputError, StoreError
from matching.loci import Locus
from matching.masses import Entries, EntryTable, MassTables

FORMAT = 2
COLUMNS = "columns.bin"
DESCRIPTION = "masses.json"
LOCK = "masses.lock"
THREADS = 2
# Labels and shares of sets.
Prior = tuple[tuple[str, float], ...]
# In place of the number of a set: a mixture of several.
MIXED = -1
_NOT_ASKED = -2


@dataclass(frozen=True, eq=False)
class MassSets:
    """The frequency sets of a registry: of each its label and its tables, with one imputer.

    `prior(ancestry, registry)` ("" where unknown): the labels and shares of the sets of a donor;
    `rule` says in words what it depends on.
    """

    labels: tuple[str, ...]
    tables: tuple[MassTables, ...]
    prior: Callable[[str, str], Prior]
    rule: str

    @property
    def loci(self) -> tuple[Locus, ...]:
        """The loci of the sets."""
        return self.tables[0].loci

    def number(self, ancestry: str, registry: str) -> int:
        """Which set is for a donor; `MIXED` for a mixture, whose mass is not kept."""
        prior = self.prior(ancestry, registry)
        return self.labels.index(prior[0][0]) if len(prior) == 1 else MIXED

    @cached_property
    def key(self) -> str:
        """Folder of the masses under these sets."""
        imputer = self.tables[0].imputer
        source = imputer.frequencies
        digest = hashlib.sha256()
        options = [FORMAT, self.labels, self.rule, [locus.value for locus in source.loci]]
        options += [source.names, imputer.nulls.value, imputer.resolution.value]
        digest.update(json.dumps([*options, imputer.nomenclature.fingerprint]).encode())
        digest.update(source.haplotypes.tobytes())
        for tables in self.tables:
            digest.update(tables.used_frequencies.tobytes())
        return f"{self.prefix}{digest.hexdigest()[:24]}"

    @property
    def prefix(self) -> str:
        """What the folders of all sets under the same choice of nulls begin with."""
        return f"masses-{self.tables[0].imputer.nulls.value}-"


@dataclass(frozen=True)
class Masses:
    """Of some rows of an index.

    `codes`: (n, n_loci) int32 of `IndexMasses.entries`. `total`: (n,) float64, 0 for a donor whom
    its set does not represent and NaN for one to be predicted in pairs; `missing`: (n,) bool, where
    nothing was computed yet. `sets`: (n,) int64, the number of the donor's set, or `MIXED`.
    """

    codes: npt.NDArray[np.int32]
    total: npt.NDArray[np.float64]
    missing: npt.NDArray[np.bool_]
    sets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _SegmentMasses:
    """`numbers`: (n_rows, n_loci) uint16, with those of `large`; entries of `tables`, one a locus,
    which begin at `first` among the entries of all segments."""

    total: Array
    numbers: Array
    large: Large
    tables: tuple[EntryTable, ...]


@dataclass(frozen=True)
class _Sets:
    """Which set donors of a segment have, by their ancestry and registry, as it is asked for."""

    stored: StoredSegment
    sets: MassSets
    _known: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        size = 1
        for column in self._columns:
            size *= len(column.values) + 1
        object.__setattr__(self, "_known", np.full(size, _NOT_ASKED))

    @property
    def _columns(self) -> tuple[Any, Any]:
        return self.stored.facts["ancestry"], self.stored.facts["registry"]

    def of(self, rows: npt.NDArray[np.int64] | slice) -> npt.NDArray[np.int64]:
        """Numbers of the sets of some rows."""
        ancestry, registry = self._columns
        n = len(registry.values) + 1
        pair = ancestry.of(rows).astype(np.int64) * n + registry.of(rows)
        numbers = self._known[pair]
        for new in np.unique(pair[numbers == _NOT_ASKED]).tolist():
            known = ancestry.known[new // n], registry.known[new % n]
            self._known[new] = self.sets.number(*(str(value or "") for value in known))
        found: npt.NDArray[np.int64] = self._known[pair]
        return found


@dataclass(frozen=True)
class IndexMasses:
    """The masses of an index under some sets, as far as they are there.

    `entries`: the typings of all segments.
    """

    index: StoredIndex
    sets: MassSets
    segments: tuple[_SegmentMasses | None, ...]
    _firsts: tuple[npt.NDArray[np.int32], ...] = field(init=False, repr=False)
    _sets: tuple[_Sets, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        first = np.zeros(len(self.sets.loci), dtype=np.int32)
        firsts = []
        for segment in self.segments:
            firsts.append(first)
            if segment is not None:
                first = first + np.array(list(map(len, segment.tables)), dtype=np.int32)
        object.__setattr__(self, "_firsts", tuple(firsts))
        object.__setattr__(self, "_sets", tuple(_Sets(s, self.sets) for s in self.index.segments))

    @cached_property
    def entries(self) -> Entries:
        """The typings of all segments, one after the other."""
        there = [segment.tables for segment in self.segments if segment is not None]
        if not there:
            return Entries.of([of.table() for of in self.sets.tables[0].locus_entries()])
        return Entries.of(
            [reduce(EntryTable.then, of_locus) for of_locus in zip(*there, strict=True)]
        )

    @property
    def is_complete(self) -> bool:
        """Whether no segment's masses are missing."""
        return None not in self.segments

    @property
    def n_missing(self) -> int:
        """Donors whose masses are not computed yet."""
        pairs = zip(self.index.segments, self.segments, strict=True)
        return sum(stored.segment.n_valid for stored, found in pairs if found is None)

    def priors(
        self, rows: npt.NDArray[np.int64], between: Callable[[], object] = lambda: None
    ) -> list[Prior]:
        """The sets and shares of some donors. `between`: see `DonorIndex.parts`."""
        found = np.empty(len(rows), dtype=object)
        for i, at, local in self.index.donors.parts(rows, between):
            facts = self.index.segments[i].facts
            known = zip(
                *(facts[name].take(local) for name in ("ancestry", "registry")), strict=True
            )
            for place, values in zip(at.tolist(), known, strict=True):
                found[place] = self.sets.prior(*(str(value or "") for value in values))
        return found.tolist()

    def of(
        self, rows: npt.NDArray[np.int64], between: Callable[[], object] = lambda: None
    ) -> Masses:
        """Codes, total masses and sets of some rows. `between`: called between parts of the work;
        what it raises ends it."""
        n_loci = len(self.sets.loci)
        found = Masses(
            np.zeros((len(rows), n_loci), dtype=np.int32),
            np.full(len(rows), np.nan),
            np.ones(len(rows), dtype=bool),
            np.empty(len(rows), dtype=np.int64),
        )
        for i, at, local in self.index.donors.parts(rows, between):
            found.sets[at] = self._sets[i].of(local)
            segment = self.segments[i]
            if segment is not None:
                found.missing[at] = False
                found.total[at] = segment.total[local]
                for column in range(n_loci):
                    numbers = segment.large.entries(segment.numbers, local, column)
                    found.codes[at, column] = numbers + self._firsts[i][column]
        return found


def open_masses(index: StoredIndex, sets: MassSets) -> IndexMasses:
    """The masses that are there. Raises `DamagedIndexError` naming a damaged file."""
    segments = [
        _open(index.root / entry.name / sets.key, sets, entry.rows)
        for entry in index.manifest.segments
    ]
    return IndexMasses(index, sets, tuple(segments))


def fill_masses(
    index: StoredIndex,
    source: DonorSource,
    sets: MassSets,
    progress: Callable[[int], object] = lambda _: None,
    written: Mapping[str, WrittenDonors] | None = None,
) -> IndexMasses:
    """Compute and write the masses that are missing; searches go on meanwhile.

    `progress` is given the number of donors done so far. `written`: typings of segments by name,
    which need not be read from the source then. Masses under other sets are removed. Raises
    `StoreError` unless `source` is the state of the store that the index was made from, and
    `OutputError`.
    """
    if (source.store_id, source.revision) != (index.manifest.store_id, index.revision):
        raise StoreError("masses are computed for an index that is up to date: update it first")
    after, done = 0, 0
    for entry, stored in zip(index.manifest.segments, index.segments, strict=True):
        folder = index.root / entry.name
        with _locked(folder):
            for left_by_killed in folder.glob(".masses-*"):
                shutil.rmtree(left_by_killed)
            if not (folder / sets.key).is_dir():
                typings = (written or {}).get(entry.name)
                if typings is None:
                    batches = source.changed(after) if after else source.donors()
                    typings = _aligned(DonorColumns.of(batches), stored.ids)
                _write(folder, stored, typings, sets, partial(_further, progress, done))
        after, done = entry.revision, done + entry.rows
        progress(done)
    return open_masses(index, sets)


def _further(progress: Callable[[int], object], done: int, more: int) -> None:
    progress(done + more)


def _aligned(columns: DonorColumns, ids: pa.StringArray) -> WrittenDonors:
    """The typings of the donors `ids`; one that is not there changed since, and says nothing."""
    found = pc.index_in(ids, value_set=columns.ids()).fill_null(columns.n)
    rows = found.to_numpy().astype(np.int64)
    written = columns.written()
    loci = {
        locus: WrittenLocus(one.texts, np.append(one.numbers, np.uint32(0))[rows])
        for locus, one in written.loci.items()
    }
    return WrittenDonors(loci, np.append(written.phased, True)[rows])


def _write(
    folder: Path,
    stored: StoredSegment,
    written: WrittenDonors,
    sets: MassSets,
    progress: Callable[[int], object],
) -> None:
    """Compute and write the masses of a segment."""
    tables, columns = [], []
    for locus, entries in zip(sets.loci, sets.tables[0].locus_entries(), strict=True):
        of_locus = written.loci[locus]
        # The others are of donors who cannot be read under this release and are no rows here.
        is_used = np.zeros(len(of_locus.texts), dtype=bool)
        is_used[of_locus.numbers] = True
        texts = [text if used else "" for text, used in zip(of_locus.texts, is_used, strict=True)]
        codes = entries.encode(texts).astype(np.uint32)[of_locus.numbers]
        table = entries.table()
        order = by_frequency(codes, len(table))
        renumbered = np.empty(len(table), dtype=np.uint32)
        renumbered[order] = np.arange(len(table), dtype=np.uint32)
        tables.append(table.take(order))
        columns.append(renumbered[codes])
    numbers, large = Large.split(columns)
    total = _totals(Entries.of(tables), columns, _Sets(stored, sets), written.phased, progress)
    arrays: dict[str, Array] = {"total": total, "numbers": numbers}
    arrays |= field_arrays("large", large)
    for i, table in enumerate(tables):
        arrays |= field_arrays(f"entries_{i}", table)
    for old in folder.glob(f"{sets.prefix}*"):
        remove_folder(old)
    with replacing_folder(folder / sets.key) as temporary:
        description = write_arrays(temporary / COLUMNS, arrays)
        (temporary / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


def _totals(
    entries: Entries,
    columns: list[npt.NDArray[np.uint32]],
    of_donor: _Sets,
    phased: npt.NDArray[np.bool_],
    progress: Callable[[int], object],
) -> npt.NDArray[np.float64]:
    """Total masses (n,) of donors with entries `columns`; NaN for loci in phase and mixtures.

    Every distinct typing is summed once under each set, those with common entries together.
    """
    total = np.full(len(phased), np.nan)
    numbers = np.where(phased, MIXED, of_donor.of(slice(None)))
    done = int((numbers == MIXED).sum())
    for number, tables in enumerate(of_donor.sets.tables):
        rows = np.flatnonzero(numbers == number)
        if not len(rows):
            continue
        codes = np.stack([column[rows].astype(np.int32) for column in columns], axis=1)
        order = np.lexsort(codes.T[::-1])
        rows, codes = rows[order], codes[order]
        is_new = np.ones(len(rows), dtype=bool)
        is_new[1:] = (codes[1:] != codes[:-1]).any(axis=1)
        distinct = codes[is_new]
        of_distinct = tables.total_masses(entries, distinct, THREADS)
        total[rows] = of_distinct[np.cumsum(is_new) - 1]
        done += len(rows)
        progress(done)
    return total


def _open(folder: Path, sets: MassSets, n_rows: int) -> _SegmentMasses | None:
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        path = folder / COLUMNS
        arrays = read_arrays(path, description)
        found = _SegmentMasses(
            arrays["total"],
            arrays["numbers"],
            read_fields(Large, "large", arrays),
            tuple(read_fields(EntryTable, f"entries_{i}", arrays) for i in range(len(sets.loci))),
        )
        _check(found, sets, n_rows)
        return found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(path, str(error)) from error


def _check(masses: _SegmentMasses, sets: MassSets, n_rows: int) -> None:
    """Everything that the kernels rely on. Raises `ValueError`."""
    names = sets.tables[0].imputer.frequencies.names
    require(
        masses.total.dtype == np.float64
        and masses.total.shape == (n_rows,)
        and masses.numbers.dtype == np.uint16
        and masses.numbers.shape == (n_rows, len(names)),
        "masses and donors do not agree",
    )
    for table, of_locus in zip(masses.tables, names, strict=True):
        n_positions = len(table.is_null)
        require(
            table.name_starts.dtype == table.starts.dtype == np.int64
            and table.names.dtype == table.pairs.dtype == np.int32
            and table.is_null.dtype == np.uint8
            and len(table) > 0
            and len(table.name_starts) == n_positions + 1
            and is_partition(table.name_starts, len(table.names))
            and is_partition(table.starts, len(table.pairs))
            and bool((np.diff(table.starts) > 0).all())
            and table.pairs.shape == (len(table.pairs), 2)
            and table.pairs.min() >= 0
            and table.pairs.max() < n_positions
            and table.names.min(initial=0) >= 0
            and table.names.max(initial=0) < len(of_locus),
            "entries are not consistent",
        )
    check_codes(masses.numbers, masses.large, list(map(len, masses.tables)))


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
