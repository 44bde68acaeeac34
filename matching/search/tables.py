"""One patient against the distinct genotypes of one locus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from matching import kernels, search_kernels
from matching.antigens import AntigenRelation
from matching.comparison_kernels import compare_genotypes, most_distinct
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
from matching.relation_kernels import compare_by_relation, draw_values
from matching.search.criteria import Direction

UNKNOWN_POSITION = 3
# Entries that are compared before `between` is called again, and genotypes by antigens.
ENTRIES_AT_ONCE, BY_ANTIGENS_AT_ONCE = 5_000, 250
_WORD = 64
# Of a book that is one genotype.
_FIRST = np.zeros(1, dtype=np.int64)
_LINKED = np.zeros(1, dtype=np.uint8), np.ones(1, dtype=np.uint8)
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
    between: Callable[[], object] = lambda: None,
) -> npt.NDArray[np.uint8]:
    """Mismatches of every entry of a book, 0 to 2, (n_entries,); see `Criteria`.

    `antigens`: the relation by which positions match, None for P groups alone. `between`: called
    between parts of the work; what it raises ends it.
    """
    if keep_potential and direction is Direction.BOTH:
        return _fewest_mismatches(patient, book, holders, antigens, between)
    column = _COLUMN[direction, keep_potential]
    entries = np.arange(len(book))
    if antigens is None or patient is None:
        parts = range(0, len(book), ENTRIES_AT_ONCE)
        table = np.concatenate(
            [
                compare_locus(patient, book, entries[i : i + ENTRIES_AT_ONCE], between)[:, column]
                for i in parts
            ]
        )
    else:
        table = compare_locus(patient, book, entries[:1])[:, column].repeat(len(book))
        table[1:] = _by_antigens(patient, book, holders, antigens, column, between)
    return np.asarray(2 - table if direction is Direction.BOTH else table, dtype=np.uint8)


def _fewest_mismatches(
    patient: LocusGenotype | None,
    book: Book,
    holders: Holders,
    antigens: AntigenRelation | None,
    between: Callable[[], object],
) -> npt.NDArray[np.uint8]:
    """By rule R2: only the genotypes that hold a group of the patient's are looked at."""
    if patient is None:
        return np.zeros(len(book), dtype=np.uint8)
    table = np.full(len(book), 2, dtype=np.uint8)
    for one in patient.alternatives:
        between()
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
    patient: LocusGenotype,
    book: Book,
    holders: Holders,
    antigens: AntigenRelation,
    column: int,
    between: Callable[[], object],
) -> npt.NDArray[np.uint8]:
    """A column of `compare_genotypes` for every typed entry, where positions match by antigens."""
    places = np.searchsorted(holders.groups, book.groups).astype(np.int32)
    n_words = -(-len(holders.groups) // _WORD) + 1
    d_absent = _as_words(_is_absent(holders.groups), n_words)
    # A person with two nulls.
    d_absent[-1] = 1
    of_draws = draw_values(column)
    combine = np.maximum if _IS_HIGHEST[column] else np.minimum
    tables = []
    for one in patient.alternatives:
        # The last row stands for a person with two nulls.
        values = [*sorted({*one.first, *one.second}), ABSENT_GENE]
        matched = np.zeros((len(values), len(holders.groups)), dtype=bool)
        for i, value in enumerate(values[:-1]):
            between()
            if value != NEW_ALLELE:
                matched[i] = np.isin(holders.groups, antigens.matching([value]))
        held = np.zeros(len(values), dtype=np.uint8)
        for position, groups in ((1, one.first), (2, one.second)):
            held[[values.index(g) for g in groups] or [-1]] |= position
        p_absent = _is_absent(np.array(values)).astype(np.uint8)
        relation = np.stack([_as_words(row, n_words) for row in matched])
        lone = _as_words(matched.sum(axis=0) == 1, n_words)
        out = np.empty(len(book.linked), dtype=np.uint8)
        for begin in range(0, len(out), BY_ANTIGENS_AT_ONCE):
            between()
            end = begin + BY_ANTIGENS_AT_ONCE
            compare_by_relation(
                held,
                one.linked or not one.first,
                p_absent,
                relation,
                lone,
                d_absent,
                book.offsets[2 * begin : 2 * end + 1],
                places,
                book.linked[begin:end],
                column,
                of_draws,
                out[begin:end],
            )
        tables.append(out)
    return np.asarray(combine.reduceat(combine.reduce(tables), book.starts[:-1])[1:])


def _is_absent(groups: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    return np.asarray(groups == ABSENT_GENE)


def _as_words(bits: npt.NDArray[np.bool_], n_words: int) -> npt.NDArray[np.uint64]:
    """Bit i of word w says whether `bits[64 w + i]`."""
    octets = np.zeros(n_words * _WORD // 8, dtype=np.uint8)
    packed = np.packbits(bits, bitorder="little")
    octets[: len(packed)] = packed
    return octets.view("<u8").astype(np.uint64)


def _sets(genotype: LocusGenotype) -> tuple[kernels.Int32s, kernels.Int32s]:
    """Both sets of a patient."""
    first, second = (
        np.fromiter(groups, np.int32, len(groups)) for groups in (genotype.first, genotype.second)
    )
    for groups in (first, second):
        # Which leaves them sorted: both are below all other codes.
        groups[groups == NEW_ALLELE] = _NEW_OF_PATIENT
    return first, second


def _most_distinct(book: Book, entries: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Most distinct groups that typed people with some entries can present, (n_entries,)."""
    out = np.empty(len(entries), dtype=np.uint8)
    most_distinct(entries, book.starts, book.offsets, book.groups, book.linked, out)
    return out


def compare_locus(
    patient: LocusGenotype | None,
    book: Book,
    entries: npt.NDArray[np.int64],
    between: Callable[[], object] = lambda: None,
) -> npt.NDArray[np.uint8]:
    """The columns of `compare_genotypes` for `entries` of a book, untyped sides included.

    Where a side is untyped: count 2 at best and 0 at worst, GvH and HvG from 0 to what the typed
    side allows, positions `UNKNOWN_POSITION`. Returns (n_entries, `N_COMPARED`) uint8. `between`:
    called between the genotypes of the patient's list; what it raises ends it.
    """
    typed = entries != UNTYPED
    if patient is not None and typed.all():
        return _compare_typed(patient, book, entries, between)
    out = np.zeros((len(entries), N_COMPARED), dtype=np.uint8)
    if patient is not None and typed.any():
        out[typed] = _compare_typed(patient, book, entries[typed], between)
    unknown = ~typed if patient is not None else np.ones(len(entries), dtype=bool)
    out[unknown, COUNT_BEST] = 2
    out[unknown, kernels.DONOR_1] = UNKNOWN_POSITION
    out[unknown, kernels.DONOR_2] = UNKNOWN_POSITION
    out[unknown, GVH_WORST] = (
        2 if patient is None else _most_distinct(Book.of([patient]), np.array([UNTYPED + 1]))
    )
    out[~typed, HVG_WORST] = 2
    if patient is None:
        out[typed, HVG_WORST] = _most_distinct(book, entries[typed])
    return out


def compare_pair(patient: LocusGenotype | None, donor: LocusGenotype | None) -> tuple[int, ...]:
    """The row of `compare_locus` of one donor, whose book need not be made where it is no list."""
    if patient is None or donor is None or patient.others or donor.others:
        book = Book.of([] if donor is None else [donor])
        rows = compare_locus(patient, book, np.array([len(book) - 1]))
    else:
        groups = donor.first + donor.second
        rows = np.empty((1, N_COMPARED), dtype=np.uint8)
        compare_genotypes(
            *_sets(patient), patient.linked, _FIRST, np.array([0, len(donor.first), len(groups)]),
            np.fromiter(groups, np.int32, len(groups)), _LINKED[donor.linked], rows,
        )  # fmt: skip
    row: list[int] = rows[0].tolist()
    return tuple(row)


def _compare_typed(
    patient: LocusGenotype,
    book: Book,
    entries: npt.NDArray[np.int64],
    between: Callable[[], object],
) -> npt.NDArray[np.uint8]:
    """The columns for typed entries: over genotype lists the best and the worst of all pairs."""
    sizes = book.starts[entries + 1] - book.starts[entries]
    starts = np.cumsum(sizes) - sizes
    genotypes = np.repeat(book.starts[entries] - starts, sizes) + np.arange(sizes.sum())
    tables = []
    for one in patient.alternatives:
        between()
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
