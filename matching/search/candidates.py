"""The donors that a search found, compared as far as is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching.donor_index import DonorIndex
from matching.genotypes import Book, Genotype
from matching.kernels import COUNT_BEST, COUNT_WORST, N_COMPARED
from matching.loci import LOCI, N_LOCI, Locus
from matching.parts import in_parts, taken
from matching.search.tables import ENTRIES_AT_ONCE, compare_locus
from matching.search_kernels import new_entries, place_values

Values = npt.NDArray[np.uint64]
# Letters of a donor position by its code in `Candidates.compared` (A, P and M as in rule R15).
POSITION_LETTERS = ("M", "P", "A", "-")


@dataclass(frozen=True)
class Candidates:
    """The donors that a search found, in the order of the index unless taken otherwise.

    `rows`: (n,) int64, rows of the index. `loci`: the searched ones, over which the totals run.
    Comparisons are made when they are read, of each genotype once for all that are taken from the
    same candidates; `between` is called between parts of this, and what it raises ends it.
    """

    index: DonorIndex
    patient: Genotype
    loci: tuple[Locus, ...]
    rows: npt.NDArray[np.int64]
    between: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
    # By name and segment: whether an entry's value is known, and the values.
    _known: dict[tuple[str, int], tuple[npt.NDArray[np.uint8], Values]] = field(
        repr=False, compare=False, default_factory=dict
    )

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, order: npt.NDArray[np.int64]) -> Candidates:
        """The candidates at the given positions, in that order."""
        return self._of_rows(taken(self.rows, order, self.between))

    def parts(self) -> Iterator[tuple[slice, Candidates]]:
        """Where parts of them are, and the candidates of each (see `in_parts`)."""
        for part in in_parts(len(self), self.between):
            yield part, self._of_rows(self.rows[part])

    def _of_rows(self, rows: npt.NDArray[np.int64]) -> Candidates:
        return Candidates(self.index, self.patient, self.loci, rows, self.between, self._known)

    def of_genotypes(
        self, name: str, locus: Locus, work: Callable[[Book, npt.NDArray[np.int64]], Values]
    ) -> Values:
        """A value of the genotype of every candidate at a locus, (n,).

        `work` gives the values (m,) of some distinct entries (m,) of a book, `UNTYPED` among them.
        It is asked of each entry once; `name` tells its values from those of other work.
        """
        found = np.empty(len(self), dtype=np.uint64)
        for i, at, rows in self.index.parts(self.rows, self.between):
            segment = self.index.segments[i]
            book = segment.books[locus]
            if (name, i) not in self._known:
                is_known, values = np.zeros(len(book), np.uint8), np.empty(len(book), np.uint64)
                self._known[name, i] = is_known, values
            is_known, values = self._known[name, i]
            entries = segment.entries(rows, locus)
            new = np.empty(len(entries), dtype=np.int64)
            new = new[: new_entries(entries, is_known, new)]
            for part in in_parts(len(new), self.between, ENTRIES_AT_ONCE):
                some = new[part]
                values[some] = work(book, some)
                is_known[some] = 1
            place_values(values, entries, at, found)
        return found

    def _compared_at(self, locus: Locus) -> Values:
        """The columns of `compare_locus`, a byte each."""

        def work(book: Book, entries: npt.NDArray[np.int64]) -> Values:
            table = compare_locus(self.patient.loci[locus], book, entries, self.between)
            return np.ascontiguousarray(table).view(np.uint64)[:, 0]

        return self.of_genotypes(locus.value, locus, work)

    def compared_at(self, locus: Locus) -> npt.NDArray[np.uint8]:
        """(n, `N_COMPARED`): the columns of `compare_locus` at a locus, searched or not."""
        return self._compared_at(locus).view(np.uint8).reshape(-1, N_COMPARED)

    @cached_property
    def compared(self) -> npt.NDArray[np.uint8]:
        """(n, `N_LOCI`, `N_COMPARED`): the columns of `compare_locus` at every locus, searched or
        not."""
        out = np.empty((len(self), N_LOCI, N_COMPARED), dtype=np.uint8)
        for locus in LOCI:
            out[:, locus.position] = self.compared_at(locus)
        return out

    def totals(self, loci: Sequence[Locus] | None = None) -> npt.NDArray[np.uint8]:
        """(n, `N_COMPARED`): sums of the columns over some loci, by default the searched ones."""
        # All eight at once: no sum exceeds a byte.
        total = np.zeros(len(self), dtype=np.uint64)
        for part, some in self.parts():
            for locus in self.loci if loci is None else loci:
                total[part] += some._compared_at(locus)
        return total.view(np.uint8).reshape(-1, N_COMPARED)

    def total(self, column: int, loci: Sequence[Locus] | None = None) -> npt.NDArray[np.int64]:
        """One of these sums, (n,)."""
        return self.totals(loci)[:, column].astype(np.int64)

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
