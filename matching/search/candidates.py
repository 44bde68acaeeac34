"""The donors that a search found, compared as far as is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching.donor_index import DonorIndex
from matching.genotypes import UNTYPED, Genotype, LocusGenotype
from matching.kernels import COUNT_BEST, COUNT_WORST, N_COMPARED
from matching.loci import LOCI, N_LOCI, Locus
from matching.search.tables import compare_locus
from matching.search_kernels import number_codes

# Letters of a donor position by its code in `Candidates.compared` (A, P and M as in rule R15).
POSITION_LETTERS = ("M", "P", "A", "-")


@dataclass(frozen=True)
class LocusComparison:
    """The distinct genotypes of candidates at one locus.

    `number`: (n_candidates,) int64, the genotype of each candidate. `genotypes`: None is untyped.
    `compared`: (n_genotypes, `N_COMPARED`) uint8, see `compare_locus`. A genotype may be there
    twice, once a segment of the index.
    """

    number: npt.NDArray[np.int64]
    genotypes: tuple[LocusGenotype | None, ...]
    compared: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Candidates:
    """The donors that a search found, in the order of the index unless taken otherwise.

    `rows`: (n,) int64, rows of the index. `loci`: the searched ones, over which the totals run.
    Comparisons are made when they are read: totals of all candidates cost little, `compared` is
    for those that are shown.
    """

    index: DonorIndex
    patient: Genotype
    loci: tuple[Locus, ...]
    rows: npt.NDArray[np.int64]
    _compared: dict[Locus, tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, order: npt.NDArray[np.int64]) -> Candidates:
        """The candidates at the given positions, in that order."""
        taken = Candidates(self.index, self.patient, self.loci, self.rows[order])
        for locus, (number, table) in self._compared.items():
            taken._compared[locus] = number[order], table
        return taken

    def at(self, locus: Locus) -> LocusComparison:
        """The distinct genotypes of the candidates at a locus, compared with the patient's."""
        number = np.zeros(len(self), dtype=np.int64)
        genotypes: list[LocusGenotype | None] = []
        tables = [np.empty((0, N_COMPARED), dtype=np.uint8)]
        for i, entries in self._distinct(locus, number):
            book = self.index.segments[i].books[locus]
            genotypes += [None if e == UNTYPED else book.entry(e) for e in entries.tolist()]
            tables.append(compare_locus(self.patient.loci[locus], book, entries))
        return LocusComparison(number, tuple(genotypes), np.concatenate(tables))

    def _distinct(
        self, locus: Locus, number: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, npt.NDArray[np.int64]]]:
        """Each segment with candidates and their distinct entries; writes the place of every
        candidate's entry among all of these to `number`."""
        before = 0
        for i, at, rows in self.index.parts(self.rows):
            codes = self.index.segments[i].entries(rows, locus).astype(np.int32)
            place, entries = np.empty_like(codes), np.empty_like(codes)
            entries = entries[: number_codes(codes, place, entries)]
            order = np.argsort(entries)
            number[at] = before + np.argsort(order)[place]
            before += len(entries)
            yield i, entries[order].astype(np.int64)

    def compared_at(self, locus: Locus) -> npt.NDArray[np.uint8]:
        """(n, `N_COMPARED`): the columns of `compare_locus` at a locus, searched or not."""
        number, table = self._table(locus)
        return table[number]

    def _table(self, locus: Locus) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """`number` and `compared` of `at`, kept once they were made."""
        if locus not in self._compared:
            number = np.zeros(len(self), dtype=np.int64)
            tables = [np.empty((0, N_COMPARED), dtype=np.uint8)]
            for i, entries in self._distinct(locus, number):
                book = self.index.segments[i].books[locus]
                tables.append(compare_locus(self.patient.loci[locus], book, entries))
            self._compared[locus] = number, np.concatenate(tables)
        return self._compared[locus]

    @cached_property
    def compared(self) -> npt.NDArray[np.uint8]:
        """(n, `N_LOCI`, `N_COMPARED`): the columns of `compare_locus` at every locus, searched or
        not."""
        out = np.empty((len(self), N_LOCI, N_COMPARED), dtype=np.uint8)
        for locus in LOCI:
            out[:, locus.position] = self.compared_at(locus)
        return out

    def total(self, column: int, loci: Sequence[Locus] | None = None) -> npt.NDArray[np.int64]:
        """Sum of a column of `compared` over some loci, by default the searched ones, (n,)."""
        total = np.zeros(len(self), dtype=np.int64)
        for locus in self.loci if loci is None else loci:
            number, table = self._table(locus)
            total += table[:, column][number]
        return total

    def mismatches(self, column: int, loci: Sequence[Locus]) -> npt.NDArray[np.int64]:
        """(n,) mismatches over some loci, by `COUNT_BEST` or `COUNT_WORST`."""
        return 2 * len(loci) - self.total(column, loci)

    @property
    def mismatches_best(self) -> npt.NDArray[np.int64]:
        """(n,) mismatches if every ambiguity turns out well (rule R2)."""
        return self.mismatches(COUNT_BEST, self.loci)

    @property
    def mismatches_worst(self) -> npt.NDArray[np.int64]:
        """(n,) mismatches if every ambiguity turns out badly."""
        return self.mismatches(COUNT_WORST, self.loci)
