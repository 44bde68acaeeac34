"""From an index, a patient and criteria to the rows of the donors.

Each distinct genotype of a locus is compared with the patient once; a donor's mismatches are a sum
of table look-ups. Of any k + 1 searched loci a donor with at most k mismatches has none at one, so
the donors with no mismatch at k + 1 loci are all that need to be looked at.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from matching import search_kernels as kernels
from matching.antigens import AntigenRelation
from matching.donor_index import POSTED, DonorIndex, Segment, other_columns
from matching.genotypes import Genotype
from matching.loci import N_LOCI, Locus
from matching.search.candidates import Candidates
from matching.search.criteria import MAX_MISMATCHES, Criteria
from matching.search.tables import mismatches

# Rows that a thread scans at a time.
CHUNK = 500_000
THREADS = 2
# A row of a posting list costs as much as this many rows of a scan.
POSTING_COST = 1.0

Tables = dict[Locus, npt.NDArray[np.uint8]]


def find_donors(index: DonorIndex, patient: Genotype, criteria: Criteria) -> Candidates:
    """Every valid donor that meets the criteria, in ascending rows; complete by construction."""
    antigens = index.antigens if criteria.antigen_loci else None
    limit = min(criteria.max_mismatches, MAX_MISMATCHES)
    found = [np.empty(0, dtype=np.int64)]
    for first, segment in zip(index.first_rows, index.segments, strict=False):
        tables = {
            locus: _table(segment, patient, criteria, locus, antigens) for locus in criteria.loci
        }
        rows = _search(segment, tables, limit)
        found.append(first + rows[segment.is_valid(rows)])
    return Candidates(index, patient, tuple(criteria.loci), np.concatenate(found))


def _table(
    segment: Segment,
    patient: Genotype,
    criteria: Criteria,
    locus: Locus,
    antigens: AntigenRelation | None,
) -> npt.NDArray[np.uint8]:
    """Mismatches of every entry, `EXCLUDED` where they are above the limit of the locus."""
    table = mismatches(
        patient.loci[locus],
        segment.books[locus],
        segment.holders[locus],
        criteria.direction,
        criteria.keep_potential,
        antigens if locus in criteria.antigen_loci else None,
    )
    limit = criteria.limits.get(locus)
    return table if limit is None else np.where(table > limit, np.uint8(kernels.EXCLUDED), table)


def _search(segment: Segment, tables: Tables, limit: int) -> npt.NDArray[np.int64]:
    """Rows of a segment within the limit, by the cheaper way."""
    lists = _cheapest_lists(segment, tables, limit)
    if lists is None or POSTING_COST * sum(size for _, _, size in lists) > len(segment):
        return scan(segment, tables, limit)
    return look_up(segment, tables, limit, [(locus, entries) for locus, entries, _ in lists])


def _cheapest_lists(
    segment: Segment, tables: Tables, limit: int
) -> list[tuple[Locus, npt.NDArray[np.uint32], int]] | None:
    """The `limit` + 1 shortest lists of rows without a mismatch: locus, entries and length."""
    lists = []
    for locus, postings in zip(POSTED, segment.postings, strict=True):
        if locus in tables:
            entries = np.flatnonzero(tables[locus] == 0)
            sizes = postings.starts[entries + 1] - postings.starts[entries]
            lists.append((locus, entries.astype(np.uint32), int(sizes.sum(dtype=np.int64))))
    if len(lists) <= limit:
        return None
    return sorted(lists, key=lambda found: found[2])[: limit + 1]


def look_up(
    segment: Segment,
    tables: Tables,
    limit: int,
    lists: list[tuple[Locus, npt.NDArray[np.uint32]]],
) -> npt.NDArray[np.int64]:
    """Rows of a segment within the limit among those of posting lists, ascending."""
    joined, starts = _joined(tables)
    large = segment.large
    rest = np.array([loc.position for loc in tables if loc not in POSTED], dtype=np.int64)
    found = []
    for n, (locus, entries) in enumerate(lists):
        postings = segment.postings[POSTED.index(locus)]
        columns = other_columns(locus)
        listed = [earlier.position for earlier, _ in lists[:n]]
        sizes = postings.starts[entries + 1] - postings.starts[entries]
        rows = np.empty(int(sizes.sum(dtype=np.int64)), dtype=np.int64)
        n_found = kernels.search_postings(
            entries,
            postings.starts,
            postings.rows,
            postings.others,
            np.array(columns, dtype=np.int64),
            np.isin(columns, listed).astype(np.uint8),
            segment.codes,
            large.starts,
            large.rows,
            large.codes,
            joined,
            starts,
            rest,
            limit,
            rows,
        )
        found.append(rows[:n_found])
    return np.sort(np.concatenate(found))


def scan(segment: Segment, tables: Tables, limit: int) -> npt.NDArray[np.int64]:
    """Rows of a segment within the limit, ascending, by reading all."""
    joined, starts = _joined(tables)
    large = segment.large
    # The locus with most genotypes first: it rules out most donors.
    ordered = sorted(tables, key=lambda locus: -len(tables[locus]))
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
            joined,
            starts,
            loci,
            limit,
            rows,
        )
        return rows[:n_found]

    firsts = range(0, len(segment), CHUNK)
    if len(firsts) <= 1:
        return part(0)
    with ThreadPoolExecutor(THREADS) as threads:
        return np.concatenate(list(threads.map(part, firsts)))


def _joined(tables: Tables) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All tables in one, and where that of each locus begins, -1 where it is not searched."""
    starts = np.full(N_LOCI, -1, dtype=np.int64)
    begin = 0
    for locus, table in tables.items():
        starts[locus.position] = begin
        begin += len(table)
    return np.concatenate(list(tables.values())), starts
