"""A frequency set made ready for search: total masses of typings, and probabilities of matches.

A donor's typing admits haplotype pairs of the set; `total` is the sum of their weights (f1 f2,
doubled where the two differ). The probability of a patient's genotype against the donor is the
mass of the admitted pairs with that many mismatches over the total, so that no donor is imputed
when a search runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from matching.haplotypes import Imputer
from matching.loci import Locus
from matching.masses.arrays import EntryArrays, Int32s, RowArrays
from matching.masses.entries import LocusEntries
from matching.masses.total_kernels import total_masses
from matching.typings import Typing

# Typings or donors that one thread takes at a time.
CHUNK = 16_384


@dataclass
class MassTables:
    """One frequency set, under the imputer that defines what a typing admits.

    `entries`: the distinct typings met so far at each locus of the set.
    """

    imputer: Imputer
    entries: tuple[LocusEntries, ...] = field(init=False)
    _rows: RowArrays = field(init=False)
    _entry_arrays: tuple[tuple[int, ...], EntryArrays] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        n_loci = len(self.imputer.frequencies.loci)
        self.entries = tuple(LocusEntries(self.imputer, column) for column in range(n_loci))
        self._rows = _row_arrays(self.imputer)

    @property
    def loci(self) -> tuple[Locus, ...]:
        """The loci of the set: the columns of all codes."""
        return self.imputer.frequencies.loci

    def encode(self, texts: Mapping[Locus, Sequence[str]]) -> Int32s:
        """Codes (n, n_loci) of typings, from the canonical texts of each locus, empty if untyped.

        Raises `TypingError`.
        """
        columns = [
            entries.encode(texts[locus])
            for locus, entries in zip(self.loci, self.entries, strict=True)
        ]
        return np.stack(columns, axis=1)

    def is_separable(self, typing: Typing) -> bool:
        """Whether codes say all of a typing: phase between loci of the set they cannot."""
        return all(sum(locus in self.loci for locus in block) < 2 for block in typing.phase)

    def is_exact(self, codes: Int32s) -> npt.NDArray[np.bool_]:
        """(n,) typings that `search` leaves to pairwise prediction (see `LocusEntries.exact`)."""
        flags = [
            np.array(entries.exact)[codes[:, column]] for column, entries in enumerate(self.entries)
        ]
        found: npt.NDArray[np.bool_] = np.logical_or.reduce(flags)
        return found

    def total_masses(self, codes: Int32s, threads: int = 1) -> npt.NDArray[np.float64]:
        """Total mass of every typing, (n,) in [0, 1]; 0 is "unrepresented".

        NaN where the mass must come from `Imputer.impute_one` (`LocusEntries.unsummed`). Sort the
        codes, best by their first columns: typings with common entries are faster together.
        """
        out = np.empty(len(codes))
        arrays = self.entry_arrays()
        padding = max(0, 3 - codes.shape[1])
        padded = np.ascontiguousarray(np.pad(codes, ((0, 0), (0, padding))), dtype=np.int32)
        in_chunks(len(codes), threads, lambda part: total_masses(
            padded[part], arrays, self._rows, out[part]
        ))  # fmt: skip
        for column, entries in enumerate(self.entries):
            if any(entries.unsummed):
                out[np.array(entries.unsummed)[codes[:, column]]] = np.nan
        return out

    def entry_arrays(self) -> EntryArrays:
        """The entries of all loci as arrays; those of loci added to make three admit name 0."""
        sizes = tuple(map(len, self.entries))
        if self._entry_arrays is None or self._entry_arrays[0] != sizes:
            self._entry_arrays = sizes, _entry_arrays(self.entries)
        return self._entry_arrays[1]


def in_chunks(count: int, threads: int, work: Callable[[slice], object]) -> None:
    """Call `work` with slices of at most `CHUNK`, on threads; raises what it raises."""
    parts = [slice(start, start + CHUNK) for start in range(0, count, CHUNK)]
    if threads == 1 or len(parts) == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))


def _entry_arrays(entries: Sequence[LocusEntries]) -> EntryArrays:
    parts = [one.arrays() for one in entries]
    base = np.cumsum([0, *map(len, entries)], dtype=np.int64)
    one = np.ones(1, dtype=np.int64)
    return EntryArrays(
        np.pad(base, (0, 2), mode="edge"),
        np.cumsum(np.concatenate([[0], *(p[0] for p in parts), one]), dtype=np.int64),
        np.concatenate([*(p[1] for p in parts), np.zeros(1, np.int32)]),
        np.concatenate([*(p[2] for p in parts), np.zeros(1, np.uint8)]),
        np.cumsum(np.concatenate([[0], *(p[3] for p in parts), one]), dtype=np.int64),
        np.concatenate([*(p[4] for p in parts), np.ones(1, np.uint64)]),
    )


def _row_arrays(imputer: Imputer) -> RowArrays:
    source = imputer.frequencies
    kept = source.frequencies > 0
    haplotypes, frequencies = source.haplotypes[kept], source.frequencies[kept]
    n_names = [len(names) for names in source.names]
    padding = max(0, 3 - len(n_names))
    haplotypes = np.pad(haplotypes, ((0, 0), (0, padding)))
    n_names += [1] * padding
    order = np.array(_order(haplotypes, n_names), dtype=np.int64)
    sizes = np.array(n_names, dtype=np.int64)[order]
    sorted_by = np.lexsort(haplotypes[:, order[::-1]].T)
    columns = haplotypes[sorted_by][:, order]
    cell = columns[:, 0].astype(np.int64) * sizes[1] + columns[:, 1]
    cells = np.searchsorted(cell, np.arange(sizes[0] * sizes[1] + 1))
    present = np.unique(cell)
    return RowArrays(
        order,
        sizes,
        cells.astype(np.int64),
        np.searchsorted(present, np.arange(sizes[0] + 1) * sizes[1]).astype(np.int64),
        (present % sizes[1]).astype(np.int32),
        np.ascontiguousarray(columns.T, dtype=np.uint16),
        np.ascontiguousarray(frequencies[sorted_by]),
    )


def _order(haplotypes: Int32s, n_names: Sequence[int]) -> list[int]:
    """Loci by the names that they hold, most first: the first two find the rows of a typing."""
    return sorted(range(len(n_names)), key=lambda locus: -n_names[locus])
