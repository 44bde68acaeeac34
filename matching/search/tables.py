"""One patient against the distinct genotypes of one locus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from matching import kernels, search_kernels
from matching.antigens import AntigenRelation
from matching.comparison_kernels import compare_genotypes
from matching.donor_index import Holders
from matching.genotypes import NEW_ALLELE, UNTYPED, Book, LocusGenotype
from matching.kernels import (
    ABSENT_GENE,
    COUNT_BEST,
    COUNT_WORST,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
    N_COMPARED,
)
from matching.search.criteria import Direction

UNKNOWN_POSITION = 3
_IS_HIGHEST = np.isin(np.arange(N_COMPARED), (COUNT_BEST, GVH_WORST, HVG_WORST))
# A patient's new allele: none of a donor has the same code, so it matches nobody (R11).
_NEW_OF_PATIENT = NEW_ALLELE - 1
_COLUMN = {
    (Direction.BOTH, True): COUNT_BEST,
    (Direction.BOTH, False): COUNT_WORST,
    (Direction.GVH, True): GVH_BEST,
    (Direction.GVH, False): GVH_WORST,
    (Direction.HVG, True): HVG_BEST,
    (Direction.HVG, False): HVG_WORST,
}


def mismatches(
    patient: LocusGenotype | None,
    book: Book,
    holders: Holders,
    direction: Direction = Direction.BOTH,
    keep_potential: bool = True,
    antigens: AntigenRelation | None = None,
) -> npt.NDArray[np.uint8]:
    """Mismatches of every entry of a book, 0 to 2, (n_entries,); see `Criteria`.

    `antigens`: the relation by which positions match, None for P groups alone.
    """
    if keep_potential and direction is Direction.BOTH:
        return _fewest_mismatches(patient, book, holders, antigens)
    column = _COLUMN[direction, keep_potential]
    entries = np.arange(len(book))
    if antigens is None or patient is None:
        table = compare_locus(patient, book, entries)[:, column]
    else:
        table = compare_locus(patient, book, entries[:1])[:, column].repeat(len(book))
        table[1:] = _by_antigens(patient, book, holders, antigens, column)
    return np.asarray(2 - table if direction is Direction.BOTH else table, dtype=np.uint8)


def _fewest_mismatches(
    patient: LocusGenotype | None, book: Book, holders: Holders, antigens: AntigenRelation | None
) -> npt.NDArray[np.uint8]:
    """By rule R2: only the genotypes that hold a group of the patient's are looked at."""
    if patient is None:
        return np.zeros(len(book), dtype=np.uint8)
    table = np.full(len(book), 2, dtype=np.uint8)
    for one in patient.alternatives:
        first, second = (
            np.array(
                [
                    group
                    for group in (groups if antigens is None else antigens.matching(groups))
                    if group != NEW_ALLELE
                ],
                dtype=np.int32,
            )
            for groups in (one.first, one.second)
        )
        search_kernels.lower_mismatches(
            first, second, holders.groups, holders.starts, holders.holders,
            book.entries_of_alternatives, table,
        )  # fmt: skip
    table[UNTYPED] = 0
    return table


def _by_antigens(
    patient: LocusGenotype, book: Book, holders: Holders, antigens: AntigenRelation, column: int
) -> npt.NDArray[np.uint8]:
    """A column of `compare_genotypes` for every typed entry, where positions match by antigens."""
    places = np.searchsorted(holders.groups, book.groups).astype(np.int32)
    combine = np.maximum if _IS_HIGHEST[column] else np.minimum
    tables = []
    for one in patient.alternatives:
        # The last row and column stand for a person with two nulls.
        values = [*sorted({*one.first, *one.second}), ABSENT_GENE]
        relation = np.zeros((len(values), len(holders.groups) + 1), dtype=np.uint8)
        for i, value in enumerate(values[:-1]):
            if value != NEW_ALLELE:
                relation[i, :-1] = np.isin(holders.groups, antigens.matching([value]))
        first, second = (
            np.array([values.index(g) for g in groups] or [len(values) - 1], dtype=np.int64)
            for groups in (one.first, one.second)
        )
        out = np.empty(len(book.linked), dtype=np.uint8)
        search_kernels.compare_by_relation(
            first,
            second,
            one.linked or not one.first,
            _is_absent(values),
            relation,
            _is_absent([*holders.groups, ABSENT_GENE]),
            book.offsets,
            places,
            book.linked,
            column,
            out,
        )
        tables.append(out)
    return np.asarray(combine.reduceat(combine.reduce(tables), book.starts[:-1])[1:])


def _is_absent(groups: Sequence[int]) -> npt.NDArray[np.uint8]:
    return np.array([group == ABSENT_GENE for group in groups], dtype=np.uint8)


def _sets(genotype: LocusGenotype) -> tuple[kernels.Int32s, kernels.Int32s]:
    """Both sets of a patient."""
    first, second = (
        np.array(sorted(_NEW_OF_PATIENT if g == NEW_ALLELE else g for g in groups), dtype=np.int32)
        for groups in (genotype.first, genotype.second)
    )
    return first, second


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

    Where a side is untyped: count 2 at best and 0 at worst, GvH and HvG from 0 to what the typed
    side allows, positions `UNKNOWN_POSITION`. Returns (n_entries, `N_COMPARED`) uint8.
    """
    typed = entries != UNTYPED
    if patient is not None and typed.all():
        return _compare_typed(patient, book, entries)
    out = np.zeros((len(entries), N_COMPARED), dtype=np.uint8)
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
        compare_genotypes(
            *_sets(one), one.linked, genotypes, book.offsets, book.groups, book.linked, table
        )
        tables.append(table)
    if len(tables) == 1 and len(genotypes) == len(entries):
        return tables[0]
    highest = np.maximum.reduceat(np.maximum.reduce(tables), starts)
    lowest = np.minimum.reduceat(np.minimum.reduce(tables), starts)
    out = np.where(_IS_HIGHEST, highest, lowest)
    # A position that matches in one pair and not in another may match.
    differ = highest[:, kernels.DONOR_1 :] != lowest[:, kernels.DONOR_1 :]
    out[:, kernels.DONOR_1 :][differ] = kernels.POTENTIAL
    return out
