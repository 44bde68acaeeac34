"""The donors that a search found, compared as far as is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching.donor_index import DonorIndex
from matching.genotypes import UNTYPED, Genotype, LocusGenotype
from matching.kernels import COUNT_BEST, COUNT_WORST, N_COMPARED
from matching.loci import LOCI, N_LOCI, Locus
from matching.search.tables import compare_locus

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

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, order: npt.NDArray[np.int64]) -> Candidates:
        """The candidates at the given positions, in that order."""
        return Candidates(self.index, self.patient, self.loci, self.rows[order])

    def at(self, locus: Locus) -> LocusComparison:
        """The distinct genotypes of the candidates at a locus, compared with the patient's."""
        number = np.zeros(len(self), dtype=np.int64)
        genotypes: list[LocusGenotype | None] = []
        for i, at, entries in self._distinct(locus, number):
            book = self.index.segments[i].books[locus]
            number[at] += len(genotypes)
            genotypes += [None if e == UNTYPED else book.entry(e) for e in entries.tolist()]
        return LocusComparison(number, tuple(genotypes), self._compared_at(locus)[1])

    def _distinct(
        self, locus: Locus, number: npt.NDArray[np.int64]
    ) -> list[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Segment, its candidates and their distinct entries; writes the place of each
        candidate's entry among these to `number`."""
        found = []
        for i, at, rows in self.index.parts(self.rows):
            segment = self.index.segments[i]
            codes = segment.entries(rows, locus)
            held = np.zeros(len(segment.books[locus]), dtype=bool)
            held[codes] = True
            number[at] = (np.cumsum(held) - 1)[codes]
            found.append((i, at, np.flatnonzero(held)))
        return found

    def _compared_at(self, locus: Locus) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
        """The row of each candidate in the table of its distinct genotypes, and that table."""
        number = np.zeros(len(self), dtype=np.int64)
        tables = [np.empty((0, N_COMPARED), dtype=np.uint8)]
        before = 0
        for i, at, entries in self._distinct(locus, number):
            number[at] += before
            before += len(entries)
            book = self.index.segments[i].books[locus]
            tables.append(compare_locus(self.patient.loci[locus], book, entries))
        return number, np.concatenate(tables)

    @cached_property
    def compared(self) -> npt.NDArray[np.uint8]:
        """(n, `N_LOCI`, `N_COMPARED`): the columns of `compare_locus` at every locus, searched or
        not."""
        out = np.empty((len(self), N_LOCI, N_COMPARED), dtype=np.uint8)
        for locus in LOCI:
            number, table = self._compared_at(locus)
            out[:, locus.position] = table[number]
        return out

    @cached_property
    def _totals(self) -> npt.NDArray[np.uint8]:
        """Sum of each column of `compared` over the searched loci, (n, `N_COMPARED`) uint8."""
        totals = np.zeros((len(self), N_COMPARED), dtype=np.uint8)
        for locus in self.loci:
            number, table = self._compared_at(locus)
            totals += table[number]
        return totals

    def total(self, column: int) -> npt.NDArray[np.int64]:
        """Sum of a column of `compared` over the searched loci, (n,)."""
        return self._totals[:, column].astype(np.int64)

    @property
    def mismatches_best(self) -> npt.NDArray[np.int64]:
        """(n,) mismatches if every ambiguity turns out well (rule R2)."""
        return 2 * len(self.loci) - self.total(COUNT_BEST)

    @property
    def mismatches_worst(self) -> npt.NDArray[np.int64]:
        """(n,) mismatches if every ambiguity turns out badly."""
        return 2 * len(self.loci) - self.total(COUNT_WORST)
