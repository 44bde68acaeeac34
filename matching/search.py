"""Index + patient -> every donor within the allowed mismatches, with best and worst case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching import kernels
from matching.genotypes import NEW_ALLELE, UNTYPED, Book, DonorIndex, Genotype, LocusGenotype
from matching.kernels import ABSENT_GENE, COUNT_BEST, COUNT_WORST, GVH_WORST, HVG_WORST, N_COMPARED
from matching.loci import LOCI, N_LOCI, Locus

UNKNOWN_POSITION = 3
_IS_HIGHEST = np.isin(np.arange(N_COMPARED), (COUNT_BEST, GVH_WORST, HVG_WORST))
# Letters of a donor position by its code in `Candidates.compared` (A, P and M as in rule R15).
POSITION_LETTERS = ("M", "P", "A", "-")


@dataclass(frozen=True)
class Candidates:
    """The donors that a search found, in the order of the index.

    `rows`: (n,) int64, rows of the index.
    `compared`: (n, `N_LOCI`, `N_COMPARED`) uint8: the columns of `kernels.compare_genotypes` at
    every locus, searched or not. Where a side is untyped: count 2 at best and 0 at worst,
    GvH and HvG from 0 to what the typed side allows, positions `UNKNOWN_POSITION`.
    `loci`: the searched loci, over which the totals below run.
    """

    rows: npt.NDArray[np.int64]
    compared: npt.NDArray[np.uint8]
    loci: tuple[Locus, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, order: npt.NDArray[np.int64]) -> Candidates:
        """The candidates at the given positions, in that order."""
        return Candidates(self.rows[order], self.compared[order], self.loci)

    def total(self, column: int) -> npt.NDArray[np.int64]:
        """Sum of a column of `compared` over the searched loci, (n,)."""
        searched = [locus.position for locus in self.loci]
        return np.asarray(self.compared[:, searched, column].sum(axis=1, dtype=np.int64))

    @property
    def mismatches_best(self) -> npt.NDArray[np.int64]:
        """(n,) mismatches if every ambiguity turns out well (rule R2)."""
        return 2 * len(self.loci) - self.total(COUNT_BEST)

    @property
    def mismatches_worst(self) -> npt.NDArray[np.int64]:
        """(n,) mismatches if every ambiguity turns out badly."""
        return 2 * len(self.loci) - self.total(COUNT_WORST)


def find_donors(
    index: DonorIndex, patient: Genotype, loci: Sequence[Locus], max_mismatches: int
) -> Candidates:
    """Every donor with at most `max_mismatches` best-case mismatches over `loci`.

    Complete by construction: each distinct genotype of a locus is compared once (rules R1 to
    R3), then every donor is summed. Raises `ValueError` for an empty list of loci or a negative
    limit.
    """
    if not loci or max_mismatches < 0:
        raise ValueError("a search needs at least one locus and a limit of at least 0")
    counts = [_counts(patient.loci[locus], index.books[locus]) for locus in dict.fromkeys(loci)]
    starts = np.zeros(len(counts), dtype=np.int64)
    np.cumsum([len(table) for table in counts[:-1]], out=starts[1:])
    columns = np.array([locus.position for locus in dict.fromkeys(loci)], dtype=np.int64)
    total = np.empty(len(index), dtype=np.uint8)
    kernels.total_mismatches(index.codes, columns, np.concatenate(counts), starts, total)
    rows = np.flatnonzero(total <= max_mismatches)
    compared = np.empty((len(rows), N_LOCI, N_COMPARED), dtype=np.uint8)
    for locus in LOCI:
        codes = index.codes[rows, locus.position]
        entries, inverse = np.unique(codes, return_inverse=True)
        compared[:, locus.position] = compare_locus(
            patient.loci[locus], index.books[locus], entries.astype(np.int64)
        )[inverse]
    return Candidates(rows, compared, tuple(dict.fromkeys(loci)))


# A patient's new allele: none of a donor has the same code, so it matches nobody (R11).
_NEW_OF_PATIENT = NEW_ALLELE - 1


def _sets(genotype: LocusGenotype) -> tuple[kernels.Int32s, kernels.Int32s]:
    """Both sets of a patient."""
    first, second = (
        np.array(sorted(_NEW_OF_PATIENT if g == NEW_ALLELE else g for g in groups), dtype=np.int32)
        for groups in (genotype.first, genotype.second)
    )
    return first, second


def _counts(patient: LocusGenotype | None, book: Book) -> npt.NDArray[np.uint8]:
    """Best match count of every entry, (n_entries,)."""
    if patient is None:
        return np.full(len(book), 2, dtype=np.uint8)
    best = np.zeros(len(book.linked), dtype=np.uint8)
    for genotype in patient.alternatives:
        out = np.empty(len(best), dtype=np.uint8)
        kernels.best_counts(*_sets(genotype), book.offsets, book.groups, out)
        np.maximum(best, out, out=best)
    return np.maximum.reduceat(best, book.starts[:-1])


def _most_distinct(genotype: LocusGenotype) -> int:
    """Most distinct groups that a person can present at a locus."""
    return max(map(_most_distinct_of_one, genotype.alternatives))


def _most_distinct_of_one(genotype: LocusGenotype) -> int:
    first, second = (set(groups) - {ABSENT_GENE} for groups in (genotype.first, genotype.second))
    if genotype.linked or not first or not second:
        return min(len(first | second), 1)
    return 1 if first == second and len(first) == 1 else 2


def compare_locus(
    patient: LocusGenotype | None, book: Book, entries: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """The columns of `compare_genotypes` for sorted `entries` of a book, untyped sides included.

    Returns (n_entries, `N_COMPARED`) uint8.
    """
    out = np.zeros((len(entries), N_COMPARED), dtype=np.uint8)
    typed = entries != UNTYPED
    if patient is not None and typed.any():
        out[typed] = _compare_typed(patient, book, entries[typed])
    unknown = ~typed if patient is not None else np.ones(len(entries), dtype=bool)
    out[unknown, COUNT_BEST] = 2
    out[unknown, kernels.DONOR_1] = UNKNOWN_POSITION
    out[unknown, kernels.DONOR_2] = UNKNOWN_POSITION
    out[unknown, GVH_WORST] = 2 if patient is None else _most_distinct(patient)
    for i in np.flatnonzero(unknown):
        entry = int(entries[i])
        out[i, HVG_WORST] = 2 if entry == UNTYPED else _most_distinct(book.entry(entry))
    return out


def _compare_typed(
    patient: LocusGenotype, book: Book, entries: npt.NDArray[np.int64]
) -> npt.NDArray[np.uint8]:
    """The columns for typed entries: over genotype lists the best and the worst of all pairs."""
    sizes = book.starts[entries + 1] - book.starts[entries]
    starts = np.cumsum(sizes) - sizes
    genotypes = np.repeat(book.starts[entries] - starts, sizes) + np.arange(sizes.sum())
    tables = []
    for one in patient.alternatives:
        table = np.empty((len(genotypes), N_COMPARED), dtype=np.uint8)
        kernels.compare_genotypes(
            *_sets(one), one.linked, genotypes, book.offsets, book.groups, book.linked, table
        )
        tables.append(table)
    highest = np.maximum.reduceat(np.maximum.reduce(tables), starts)
    lowest = np.minimum.reduceat(np.minimum.reduce(tables), starts)
    out = np.where(_IS_HIGHEST, highest, lowest)
    # A position that matches in one pair and not in another may match.
    differ = highest[:, kernels.DONOR_1 :] != lowest[:, kernels.DONOR_1 :]
    out[:, kernels.DONOR_1 :][differ] = kernels.POTENTIAL
    return out
