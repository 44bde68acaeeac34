"""From an index, a patient and criteria to the rows of the donors.

Each distinct genotype of a locus is compared with the patient once; a donor's mismatches are a sum
of table look-ups. Of any k + 1 searched loci a donor with at most k mismatches has none at one, so
the donors with no mismatch at k + 1 loci are all that need to be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching import search_kernels as kernels
from matching.antigens import AntigenRelation
from matching.donor_index import POSTED, DonorIndex, Segment, other_columns
from matching.genotypes import Genotype
from matching.loci import N_LOCI, Locus
from matching.parts import in_parts, joined
from matching.search.candidates import Candidates
from matching.search.criteria import MAX_MISMATCHES, Criteria
from matching.search.tables import mismatches

# Rows that a thread reads at a time.
CHUNK = 250_000
# Rows that are sorted; more are marked among all.
MOST_SORTED = 100_000
THREADS = 2
# A row of a posting list costs as much as this many rows of a scan.
POSTING_COST = 1.0


@dataclass(frozen=True)
class _Tables:
    """Mismatches of every entry of the loci that are searched or posted, one locus after another.

    `values`: uint8, `EXCLUDED` where they are above the limit of the locus. `starts`:
    (`N_LOCI`,) int64, where that of each locus begins, -1 where there is none. Those of posted loci
    that are not searched hold nothing but 0.
    """

    values: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    searched: tuple[Locus, ...]

    @classmethod
    def of(
        cls,
        segment: Segment,
        patient: Genotype,
        criteria: Criteria,
        antigens: AntigenRelation | None,
        between: Callable[[], object],
    ) -> _Tables:
        loci = tuple(dict.fromkeys([*criteria.loci, *POSTED]))
        ends = np.cumsum([len(segment.books[locus]) for locus in loci])
        starts = np.full(N_LOCI, -1, dtype=np.int64)
        starts[[locus.position for locus in loci]] = [0, *ends[:-1]]
        tables = cls(np.zeros(ends[-1], dtype=np.uint8), starts, tuple(criteria.loci))
        for locus in criteria.loci:
            between()
            table = mismatches(
                patient.loci[locus],
                segment.books[locus],
                segment.holders[locus],
                criteria.direction,
                criteria.keep_potential,
                antigens if locus in criteria.antigen_loci else None,
                between,
            )
            limit = criteria.limits.get(locus)
            if limit is not None:
                table[table > limit] = kernels.EXCLUDED
            tables.at(locus, len(table))[:] = table
        return tables

    def at(self, locus: Locus, size: int) -> npt.NDArray[np.uint8]:
        """The part of a locus."""
        start = self.starts[locus.position]
        return self.values[start : start + size]


def find_donors(
    index: DonorIndex,
    patient: Genotype,
    criteria: Criteria,
    between: Callable[[], object] = lambda: None,
) -> Candidates:
    """Every valid donor that meets the criteria, in ascending rows; complete by construction.

    `between`: called between parts of the work, also that of the candidates; what it raises ends
    it.
    """
    antigens = index.antigens if criteria.antigen_loci else None
    limit = min(criteria.max_mismatches, MAX_MISMATCHES)
    found = [np.empty(0, dtype=np.int64)]
    for first, segment in index.searched:
        tables = _Tables.of(segment, patient, criteria, antigens, between)
        for rows in _search(segment, tables, limit, between):
            between()
            found.append(first + rows)
    return Candidates(index, patient, tuple(criteria.loci), joined(found, between), between)


def _search(
    segment: Segment, tables: _Tables, limit: int, between: Callable[[], object]
) -> list[npt.NDArray[np.int64]]:
    """Valid rows of a segment within the limit, in ascending parts, by the cheaper way."""
    lists = _cheapest_lists(segment, tables, limit)
    if lists is None or POSTING_COST * sum(one.size for one in lists) > len(segment):
        return _scan(segment, tables, limit, between)
    return _look_up(segment, tables, limit, lists, between)


class _List(NamedTuple):
    """The rows of a segment without a mismatch at a posted locus: its entries, and how many."""

    locus: Locus
    entries: npt.NDArray[np.int64]
    size: int


def _cheapest_lists(segment: Segment, tables: _Tables, limit: int) -> list[_List] | None:
    """The `limit` + 1 shortest lists, None where there are not as many."""
    lists = []
    for locus, postings in zip(POSTED, segment.postings, strict=True):
        if locus in tables.searched:
            entries = np.flatnonzero(tables.at(locus, len(segment.books[locus])) == 0)
            sizes = postings.starts[entries + 1] - postings.starts[entries]
            size = int(sizes.sum(dtype=np.int64))
            lists.append(_List(locus, entries, size))
    if len(lists) <= limit:
        return None
    return sorted(lists, key=lambda one: one.size)[: limit + 1]


def _look_up(
    segment: Segment,
    tables: _Tables,
    limit: int,
    lists: list[_List],
    between: Callable[[], object],
) -> list[npt.NDArray[np.int64]]:
    """Valid rows of a segment within the limit among those of posting lists, in ascending parts."""
    large = segment.large
    values = tables.values.copy()
    loci = np.array([locus.position for locus in tables.searched], dtype=np.int64)
    rest = np.array(
        [locus.position for locus in tables.searched if locus not in POSTED], dtype=np.int64
    )
    found = [np.empty(0, dtype=np.int64)]
    for one in lists:
        postings = segment.postings[POSTED.index(one.locus)]
        first, second = tables.starts[other_columns(one.locus)].tolist()
        for begins, ends in _ranges(postings.starts, one.entries, between):
            size = int((ends - begins).sum())
            rows, totals = np.empty(size, dtype=np.uint32), np.empty(size, dtype=np.uint8)
            count = kernels.search_postings(
                begins, ends, postings.rows, postings.others,
                values, first, second, limit, rows, totals,
            )  # fmt: skip
            count = kernels.keep_within(
                segment.codes, large.starts, large.rows, large.codes,
                values, tables.starts, loci, rest, limit, totals, rows[:count],
            )  # fmt: skip
            within = rows[:count].astype(np.int64)
            found.append(within[segment.is_valid(within)])
        # So that a later list does not find them again.
        values[tables.starts[one.locus.position] + one.entries] = kernels.EXCLUDED
    return _ascending(found, len(segment), between)


def _ranges(
    starts: npt.NDArray[np.uint32], entries: npt.NDArray[np.int64], between: Callable[[], object]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Where the rows of some entries of a posting list begin and end, `CHUNK` rows at a time."""
    begins, ends = starts[entries].astype(np.int64), starts[entries + 1].astype(np.int64)
    after = np.cumsum(ends - begins)
    for part in in_parts(int(after[-1]) if len(after) else 0, between, CHUNK):
        i = int(np.searchsorted(after, part.start, side="right"))
        j = int(np.searchsorted(after, part.stop, side="left")) + 1
        some_begins, some_ends = begins[i:j].copy(), ends[i:j].copy()
        some_begins[0] = ends[i] - (after[i] - part.start)
        some_ends[-1] -= after[j - 1] - part.stop
        yield some_begins, some_ends


def _ascending(
    found: Sequence[npt.NDArray[np.int64]], n_rows: int, between: Callable[[], object]
) -> list[npt.NDArray[np.int64]]:
    """Distinct rows below `n_rows`, sorted, in parts."""
    if sum(map(len, found)) <= MOST_SORTED:
        return [np.sort(np.concatenate(found))]
    is_found = np.zeros(n_rows, dtype=bool)
    for rows in found:
        between()
        is_found[rows] = True
    return [part.start + np.flatnonzero(is_found[part]) for part in in_parts(n_rows, between)]


def _scan(
    segment: Segment, tables: _Tables, limit: int, between: Callable[[], object]
) -> list[npt.NDArray[np.int64]]:
    """Valid rows of a segment within the limit, in ascending parts, by reading all."""
    large = segment.large
    # The locus with most genotypes first: it rules out most donors.
    ordered = sorted(tables.searched, key=lambda locus: -len(segment.books[locus]))
    loci = np.array([locus.position for locus in ordered], dtype=np.int64)

    def part(first: int) -> npt.NDArray[np.int64]:
        codes = segment.codes[first : first + CHUNK]
        rows = np.empty(len(codes), dtype=np.int64)
        n_found = kernels.search_rows(
            codes,
            first,
            large.starts,
            large.rows,
            large.codes,
            tables.values,
            tables.starts,
            loci,
            limit,
            rows,
        )
        return rows[:n_found][segment.is_valid(rows[:n_found])]

    firsts = range(0, len(segment), CHUNK)
    if len(firsts) <= 1:
        return [part(0)]
    with ThreadPoolExecutor(THREADS) as threads:
        found = []
        running = [threads.submit(part, first) for first in firsts]
        try:
            for one in running:
                between()
                found.append(one.result())
        except BaseException:
            threads.shutdown(cancel_futures=True)
            raise
    return found


@dataclass(frozen=True)
class MismatchCounts:
    """Mismatches as the criteria count them: by their levels, direction, and potential matches.

    `between`: called between parts of the work; what it raises ends it.
    """

    index: DonorIndex
    patient: Genotype
    criteria: Criteria
    between: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
    _tables: dict[int, _Tables] = field(default_factory=dict, repr=False, compare=False)

    def of(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """(n,) of some rows. One beyond a limit at a single locus has more than are allowed."""
        loci = np.array([locus.position for locus in self.criteria.loci], dtype=np.int64)
        found = np.empty(len(rows), dtype=np.int64)
        for i, at, local in self.index.parts(rows, self.between):
            segment = self.index.segments[i]
            large = segment.large
            tables = self._of_segment(i)
            counted = np.empty(len(local), dtype=np.int64)
            kernels.count_mismatches(
                segment.codes, large.starts, large.rows, large.codes,
                tables.values, tables.starts, loci, local, counted,
            )  # fmt: skip
            found[at] = counted
        return found

    def _of_segment(self, i: int) -> _Tables:
        if i not in self._tables:
            antigens = self.index.antigens if self.criteria.antigen_loci else None
            segment = self.index.segments[i]
            self._tables[i] = _Tables.of(
                segment, self.patient, self.criteria, antigens, self.between
            )
        return self._tables[i]
