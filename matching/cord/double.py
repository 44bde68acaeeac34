"""Grafts of two cord blood units: every pair that meets dose and match, best first.

A pair is ordered by

1. the mismatches with the patient of the unit that has more of them (or the grade, where units are
   graded by more than these),
2. those of the other unit,
3. nucleated cells of both in whole steps of `TNC_STEP`, more first,
4. CD34+ cells of both in whole steps of `CD34_STEP`, more first, unknown last,
5. the mismatches between the units,
6. the identifiers.

Pairs are joined from units with the same mismatches, step by step of the dose from the highest
down, until as many are found as are wanted: none that is left out could stand before them. Within
a step only the units that reach it together are looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching.antigens import AntigenRelation
from matching.cord import kernels
from matching.donor_index import DonorIndex
from matching.genotypes import NEW_ALLELE, UNTYPED, Book
from matching.loci import Locus
from matching.search import Criteria

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
# The arrays from `starts` to `related` of `kernels.mismatch_table`.
_Book = tuple[Int64s, Int64s, Int32s, Int64s, Int32s]

# 10^7 nucleated and 10^6 CD34+ cells a kg that are worth a place in the order: our convention.
TNC_STEP = 0.5
CD34_STEP = 0.05
# Doses are compared to so many parts of 10^7 or 10^6 cells a kg, so that sums are exact.
_PARTS = 10_000
# Keys of pairs at a time.
_CHUNK = 2**20
_NO_BOUND = np.iinfo(np.int64).max


@dataclass(frozen=True)
class DoubleRule:
    """What two units must meet; doses are 10^7 nucleated (`tnc`) and 10^6 CD34+ cells a kg of the
    patient.

    `max_mismatches`: of the units with each other, at the loci and levels of the search. 3.5 and
    0.07 of CD34+ cells in each unit go with better survival (Blood Adv 2020, 4:6327); 1.5 in each
    unit is a common practice. A least number of CD34+ cells is asked for only where it is not None:
    many units have no count. Units without a count that is asked for are left out, since nobody
    could say that the dose is met. Raises `ValueError`.
    """

    max_mismatches: int
    min_tnc: float = 3.5
    min_unit_tnc: float = 1.5
    min_cd34: float | None = None
    min_unit_cd34: float | None = None

    def __post_init__(self) -> None:
        doses = (self.min_tnc, self.min_unit_tnc, self.min_cd34 or 0.0, self.min_unit_cd34 or 0.0)
        if self.max_mismatches < 0 or not all(0 <= dose < 1e6 for dose in doses):
            raise ValueError("limits of two units are at least 0")


@dataclass(frozen=True)
class Units:
    """n units that meet the criteria with the patient, in the order of their identifiers.

    `rows`: (n,) of the index. `mismatches`: (n,) int64 with the patient, or a grade of which these
    are the last part; lower is better. `tnc`, `cd34`: (n,) 10^7 nucleated and 10^6 CD34+ cells a kg
    of the patient, NaN where unknown.
    """

    rows: Int64s
    mismatches: Int64s
    tnc: Floats
    cd34: Floats

    def take(self, places: Int64s | npt.NDArray[np.bool_]) -> Units:
        """Some of the units."""
        return Units(
            self.rows[places], self.mismatches[places], self.tnc[places], self.cd34[places]
        )


@dataclass(frozen=True)
class DoubleUnits:
    """The first m pairs, best first.

    `first`, `second`: (m,) positions in the units: the first has fewer mismatches with the patient,
    or else more nucleated cells, or else the lower identifier. `between`: (m,) mismatches with each
    other. `are_all`: no further pair meets the rule.
    """

    first: Int64s
    second: Int64s
    between: Int64s
    are_all: bool


def double_units(
    index: DonorIndex, units: Units, criteria: Criteria, rule: DoubleRule, end: int
) -> DoubleUnits:
    """The first `end` pairs of all that meet a rule. Between units a position matches as in
    `criteria`, at the level of antigens in either direction, and every ambiguity turns out well."""
    n = max(len(units.rows), 1)
    places = np.flatnonzero(_usable(units, rule))
    genotypes = _Genotypes.of(index, units.rows[places], criteria)
    keys = _Join(units, rule, places, genotypes).keys(end + 1)
    rest, second = np.divmod(keys[:end], n)
    rest, first = np.divmod(rest, n)
    swapped = _comes_later(units, first, second)
    first, second = np.where(swapped, second, first), np.where(swapped, first, second)
    return DoubleUnits(first, second, rest % kernels.MISMATCHES, len(keys) <= end)


def _usable(units: Units, rule: DoubleRule) -> npt.NDArray[np.bool_]:
    """(n,) units with the counts and the least doses that are asked of each."""
    usable = _parts(units.tnc) >= _asked(rule.min_unit_tnc)
    if rule.min_unit_cd34 is not None:
        usable &= _parts(units.cd34) >= _asked(rule.min_unit_cd34)
    if rule.min_cd34 is not None:
        usable &= ~np.isnan(units.cd34)
    return usable


def _parts(dose: Floats) -> Int64s:
    """Doses as whole parts, -1 where unknown."""
    return np.where(np.isnan(dose), -1, np.rint(dose * _PARTS)).astype(np.int64)


def _asked(dose: float) -> int:
    return round(dose * _PARTS)


def _comes_later(units: Units, first: Int64s, second: Int64s) -> npt.NDArray[np.bool_]:
    """Where the first unit, of the lower identifier, is the less good one."""
    more = units.mismatches[first] - units.mismatches[second]
    fewer_cells = _parts(units.tnc)[first] < _parts(units.tnc)[second]
    return np.asarray((more > 0) | ((more == 0) & fewer_cells))


@dataclass(frozen=True)
class _Genotypes:
    """The distinct genotypes of units, a book a locus: `entries` (n_loci, n_units) of `books`."""

    entries: Int64s
    books: tuple[_Book, ...]

    @classmethod
    def of(cls, index: DonorIndex, rows: Int64s, criteria: Criteria) -> _Genotypes:
        entries = np.empty((len(criteria.loci), len(rows)), dtype=np.int64)
        books = []
        for k, locus in enumerate(criteria.loci):
            antigens = index.antigens if locus in criteria.antigen_loci else None
            books.append(_book(index, rows, locus, antigens, entries[k]))
        return cls(entries, tuple(books))


def _book(
    index: DonorIndex,
    rows: Int64s,
    locus: Locus,
    antigens: AntigenRelation | None,
    entries: Int64s,
) -> _Book:
    """The distinct genotypes of some rows; writes which of them each row has to `entries`."""
    sizes: list[Int64s] = [np.zeros(1, dtype=np.int64)]
    widths: list[Int64s] = [np.zeros(1, dtype=np.int64)]
    codes: list[Int32s] = [np.empty(0, dtype=np.int32)]
    before = 0
    for i, at, local in index.parts(rows):
        segment = index.segments[i]
        distinct, place = np.unique(segment.entries(local, locus), return_inverse=True)
        entries[at] = before + place
        before += len(distinct)
        of_entry, of_position, groups = _held(segment.books[locus], distinct.astype(np.int64))
        sizes.append(of_entry)
        widths.append(of_position)
        codes.append(groups)
    groups, numbers = np.unique(np.concatenate(codes), return_inverse=True)
    # A new allele is like no other.
    known = groups != NEW_ALLELE
    if antigens is None:
        classes, starts, related = np.arange(len(groups)), np.cumsum(known), np.flatnonzero(known)
    else:
        classes, matches = antigens.classes(groups)
        matches |= matches.T
        matches[classes[~known]] = False
        starts, related = np.cumsum(matches.sum(axis=1)), np.nonzero(matches)[1]
    return (
        np.cumsum(np.concatenate(sizes)),
        np.cumsum(np.concatenate(widths)),
        classes[numbers].astype(np.int32),
        np.concatenate([[0], starts]).astype(np.int64),
        related.astype(np.int32),
    )


def _held(book: Book, entries: Int64s) -> tuple[Int64s, Int64s, Int32s]:
    """Of some entries the number of alternatives, none where untyped, of groups at each position
    of these, and the groups."""
    sizes = np.where(entries == UNTYPED, 0, book.starts[entries + 1] - book.starts[entries])
    alternatives = _ranges(book.starts[entries], sizes)
    positions = np.stack([2 * alternatives, 2 * alternatives + 1], axis=1).ravel()
    widths = book.offsets[positions + 1] - book.offsets[positions]
    return sizes, widths, book.groups[_ranges(book.offsets[positions], widths)]


def _ranges(starts: Int64s, sizes: Int64s) -> Int64s:
    """The numbers from each start on, as many as its size, one after another."""
    return np.repeat(starts - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())


class _Side(NamedTuple):
    """Units with the same mismatches by falling nucleated cells: `counts` as
    `kernels.pairs_within` takes them, `entries` (n_loci, n) as in `_Genotypes`."""

    counts: Int64s
    entries: Int64s


@dataclass(frozen=True)
class _Join:
    """The join over pairs of the units at `places`, to which `genotypes` belong."""

    units: Units
    rule: DoubleRule
    places: Int64s
    genotypes: _Genotypes

    def keys(self, wanted: int) -> Int64s:
        """Keys of the first pairs, best first."""
        mismatches = self.units.mismatches[self.places]
        present = np.unique(mismatches).tolist()
        found = [np.empty(0, dtype=np.int64)]
        for worse in present:
            for better in (value for value in present if value <= worse):
                a, b = (self._side(mismatches == value) for value in (better, worse))
                for keys in self._steps(a, b, better == worse, wanted):
                    found.append(keys)
                    wanted -= len(keys)
                if wanted <= 0:
                    return np.concatenate(found)
        return np.concatenate(found)

    def _side(self, members: npt.NDArray[np.bool_]) -> _Side:
        at = np.flatnonzero(members)
        tnc = _parts(self.units.tnc[self.places[at]])
        at = at[np.argsort(-tnc, kind="stable")]
        of = self.places[at]
        counts = np.stack([_parts(self.units.tnc[of]), _parts(self.units.cd34[of]), of])
        return _Side(counts, np.ascontiguousarray(self.genotypes.entries[:, at]))

    def _steps(self, a: _Side, b: _Side, same: bool, wanted: int) -> Iterator[Int64s]:
        """Keys of the first pairs of two classes, those of each step of nucleated cells."""
        size, least = _asked(TNC_STEP), _asked(self.rule.min_tnc)
        highest = int(a.counts[0, 0] + b.counts[0, 0])
        if highest < least:
            return
        tables = _Tables.of(self.genotypes, a.entries, b.entries)
        buffer = np.empty(max(_CHUNK, b.counts.shape[1]), dtype=np.int64)
        for step in range(highest // size, least // size - 1, -1):
            limits = np.array(
                [
                    max(step * size, least),
                    (step + 1) * size - 1,
                    -1 if self.rule.min_cd34 is None else _asked(self.rule.min_cd34),
                    self.rule.max_mismatches,
                ],
                dtype=np.int64,
            )
            best, bound = np.empty(0, dtype=np.int64), _NO_BOUND
            at = np.zeros(1, dtype=np.int64)
            while at[0] < a.counts.shape[1]:
                count = kernels.pairs_within(
                    a.counts, tables.rows, b.counts, tables.columns,
                    tables.values, tables.starts, tables.widths, same, len(self.units.rows),
                    bound, limits, _asked(CD34_STEP), at, buffer,
                )  # fmt: skip
                best = np.concatenate([best, buffer[:count]])
                if len(best) > wanted:
                    best = np.partition(best, wanted - 1)[:wanted]
                    bound = int(best.max())
            yield np.sort(best)
            wanted -= len(best)
            if wanted <= 0:
                return


@dataclass(frozen=True)
class _Tables:
    """Mismatches between the genotypes of two sides: those of locus l begin at `starts[l]` of
    `values`, rows of `widths[l]`; `rows` and `columns`, (n_loci, n) int32, are those of the units.
    """

    values: npt.NDArray[np.uint8]
    starts: Int64s
    widths: Int64s
    rows: Int32s
    columns: Int32s

    @classmethod
    def of(cls, genotypes: _Genotypes, a: Int64s, b: Int64s) -> _Tables:
        """`a`, `b`: entries of the units of either side, (n_loci, n)."""
        values, widths, rows, columns = [], [], [], []
        for book, of_a, of_b in zip(genotypes.books, a, b, strict=True):
            (x, row), (y, column) = (np.unique(of, return_inverse=True) for of in (of_a, of_b))
            table = np.empty((len(x), len(y)), dtype=np.uint8)
            kernels.mismatch_table(x, y, *book, table)
            values.append(table.ravel())
            widths.append(len(y))
            rows.append(row.astype(np.int32))
            columns.append(column.astype(np.int32))
        starts = np.cumsum([0, *map(len, values)], dtype=np.int64)[:-1]
        width = np.array(widths, dtype=np.int64)
        return cls(np.concatenate(values), starts, width, np.stack(rows), np.stack(columns))
