"""The searchable form of a registry: integer columns with inverted lists.

A registry is one or more segments, each the donors that were encoded together, with code books of
their own. A donor that was changed or deleted later is marked as removed in the older segment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching import search_kernels as kernels
from matching.antigens import AntigenRelation
from matching.genotypes import UNTYPED, Book, LocusGenotype, book_builders
from matching.loci import LOCI, N_LOCI, Locus, PerLocus
from matching.nomenclature import Nomenclature
from matching.parts import in_parts, joined
from matching.search_kernels import LARGE
from matching.typings import Typing

# Loci with posting lists: nearly every donor is typed there, and they tell donors apart best.
POSTED = (Locus.A, Locus.B, Locus.DRB1)


@dataclass(frozen=True)
class Holders:
    """Which genotypes of a book hold a P group.

    `groups`: (n_groups,) int32 ascending; the genotypes that hold group i are
    `holders[starts[i]:starts[i + 1]]` (uint32), each 4 times its number plus 1 where the first
    position holds it and 2 where the second does. `starts` (n_groups + 1,) int64.
    """

    groups: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    holders: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, book: Book) -> Holders:
        """The holders of every group of a book."""
        sizes = np.diff(book.offsets)
        position = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
        genotype, side = position >> 1, 1 + (position & 1)
        order = np.lexsort((genotype, book.groups))
        group, genotype, side = book.groups[order], genotype[order], side[order]
        first = np.ones(len(group), dtype=bool)
        first[1:] = (group[1:] != group[:-1]) | (genotype[1:] != genotype[:-1])
        # A group at both positions of a genotype is one holder.
        at = np.flatnonzero(first)
        sides = np.bitwise_or.reduceat(side, at) if len(at) else side
        groups, counts = np.unique(group[at], return_counts=True)
        starts = np.zeros(len(groups) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        return cls(groups.astype(np.int32), starts, (4 * genotype[at] + sides).astype(np.uint32))


@dataclass(frozen=True)
class Postings:
    """The rows of a segment by their entry at one locus.

    Rows with entry e are `rows[starts[e]:starts[e + 1]]` (uint32, ascending); `starts`
    (n_entries + 1,) uint32. `others`: (n_rows, 2) uint16, the codes of the same rows at the other
    two loci of `POSTED`, so that most rows are dropped without looking them up.
    """

    starts: npt.NDArray[np.uint32]
    rows: npt.NDArray[np.uint32]
    others: npt.NDArray[np.uint16]

    @classmethod
    def of(
        cls,
        locus: Locus,
        starts: npt.NDArray[np.uint32],
        rows: npt.NDArray[np.uint32],
        codes: npt.NDArray[np.uint16],
    ) -> Postings:
        """`codes`: those of the segment, (n_rows, `N_LOCI`)."""
        return cls(starts, rows, np.ascontiguousarray(codes[:, other_columns(locus)][rows]))


@dataclass(frozen=True)
class Large:
    """Entries too large for 16 bits: those of column l are at `starts[l]:starts[l + 1]`.

    `starts` (n_columns + 1,) int64; `rows` (ascending in a locus) and `codes` uint32.
    """

    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.uint32]
    codes: npt.NDArray[np.uint32]

    @classmethod
    def split(
        cls, columns: Sequence[npt.NDArray[np.uint32]]
    ) -> tuple[npt.NDArray[np.uint16], Large]:
        """Columns of entries, (n_rows,) each, in 16 bits (n_rows, n_columns), and the large."""
        small = np.empty((len(columns[0]), len(columns)), dtype=np.uint16)
        rows = []
        for i, column in enumerate(columns):
            rows.append(np.flatnonzero(column >= LARGE).astype(np.uint32))
            small[:, i] = np.minimum(column, LARGE)
        large = [column[at] for column, at in zip(columns, rows, strict=True)]
        starts = np.cumsum([0, *map(len, rows)], dtype=np.int64)
        return small, cls(starts, np.concatenate(rows), np.concatenate(large))

    def part(self, first: int, last: int) -> Large:
        """Those of the rows from `first` to before `last`, which are counted from there."""
        kept = (self.rows >= first) & (self.rows < last)
        before = np.concatenate([[0], np.cumsum(kept)])
        return Large(before[self.starts], self.rows[kept] - np.uint32(first), self.codes[kept])

    def entries(
        self, codes: npt.NDArray[np.uint16], rows: npt.NDArray[np.int64], column: int
    ) -> npt.NDArray[np.uint32]:
        """Entries of some rows of `codes` at a column, (n,)."""
        out = np.empty(len(rows), dtype=np.uint32)
        kernels.entries_of_rows(codes, rows, column, self.starts, self.rows, self.codes, out)
        return out


@dataclass(frozen=True)
class Segment:
    """Donors that were encoded together, in the order of their identifiers.

    `codes`: (n_rows, `N_LOCI`) uint16, entries of `books`, columns in the order of `LOCI`; `LARGE`
    where the entry is in `large`. Entries are numbered by falling frequency, so that few are.
    `postings`: in the order of `POSTED`. `removed`: packed bits (`np.packbits`, little), 1 for a
    row that is no longer valid; None where all are.
    """

    codes: npt.NDArray[np.uint16]
    large: Large
    books: PerLocus[Book]
    holders: PerLocus[Holders]
    postings: tuple[Postings, ...]
    removed: npt.NDArray[np.uint8] | None = None

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, codes: npt.NDArray[np.uint32], books: PerLocus[Book]) -> Segment:
        """A segment of donors with entries `codes`, (n_rows, `N_LOCI`) uint32, of `books`.

        Raises `ValueError` for another shape.
        """
        if codes.ndim != 2 or codes.shape[1] != N_LOCI:
            raise ValueError(f"codes have shape (n_rows, {N_LOCI}), got {codes.shape}")
        ordered, columns, postings = [], [], []
        for locus, book in books.items():
            order = by_frequency(codes[:, locus.position], len(book))
            ordered.append(reordered(book, order))
            renumbered = np.empty(len(book), dtype=np.uint32)
            renumbered[order] = np.arange(len(book), dtype=np.uint32)
            columns.append(renumbered[codes[:, locus.position]])
            if locus in POSTED:
                postings.append((locus, _sorted_rows(columns[-1], len(book))))
        small, large = Large.split(columns)
        return cls(
            small,
            large,
            PerLocus(tuple(ordered)),
            PerLocus(tuple(Holders.of(book) for book in ordered)),
            tuple(
                Postings.of(locus, *posted, small)
                for locus, posted in sorted(postings, key=lambda p: POSTED.index(p[0]))
            ),
        )

    def part(self, first: int, last: int) -> Segment:
        """The rows from `first` to before `last`, with the books of all and lists of their own."""
        codes, large = self.codes[first:last], self.large.part(first, last)
        here = replace(self, codes=codes, large=large, postings=(), removed=None)
        rows = np.arange(len(codes), dtype=np.int64)
        postings = [
            Postings.of(
                locus, *_sorted_rows(here.entries(rows, locus), len(self.books[locus])), codes
            )
            for locus in POSTED
        ]
        removed = self.removed
        if removed is not None:
            bits = np.unpackbits(removed, bitorder="little")[first:last]
            removed = np.packbits(bits, bitorder="little")
        return replace(here, postings=tuple(postings), removed=removed)

    def entries(self, rows: npt.NDArray[np.int64], locus: Locus) -> npt.NDArray[np.uint32]:
        """Entries of some rows at a locus, (n,)."""
        return self.large.entries(self.codes, rows, locus.position)

    def is_valid(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """False where a row was removed, (n,)."""
        if self.removed is None:
            return np.ones(len(rows), dtype=bool)
        valid: npt.NDArray[np.bool_] = (self.removed[rows >> 3] >> (rows & 7)) & 1 == 0
        return valid

    @cached_property
    def n_valid(self) -> int:
        """Number of rows that were not removed."""
        if self.removed is None:
            return len(self)
        return len(self) - int(np.unpackbits(self.removed).sum(dtype=np.int64))


def other_columns(locus: Locus) -> list[int]:
    """Columns of the other two loci of `POSTED`."""
    return [other.position for other in POSTED if other is not locus]


def by_frequency(codes: npt.NDArray[np.uint32], n_entries: int) -> npt.NDArray[np.int64]:
    """Entries by falling number of donors, then by number; `UNTYPED` stays first."""
    counts = np.bincount(codes, minlength=n_entries)
    typed = 1 + np.argsort(-counts[1:], kind="stable")
    return np.concatenate([[UNTYPED], typed])


def _sorted_rows(
    codes: npt.NDArray[np.uint32], n_entries: int
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """`starts` and `rows` of a posting list."""
    starts = np.zeros(n_entries + 1, dtype=np.uint32)
    rows = np.empty(len(codes), dtype=np.uint32)
    kernels.sort_rows(codes, starts, rows)
    return starts, rows


def reordered(book: Book, order: npt.NDArray[np.int64]) -> Book:
    """The book with entry `order[i]` at i."""
    genotypes, starts = _gathered(book.starts, order)
    positions = (2 * genotypes[:, None] + np.arange(2)).ravel()
    places, offsets = _gathered(book.offsets, positions)
    of_alternatives = (book.linked, book.tce, book.altered)
    return Book(starts, offsets, book.groups[places], *(a[genotypes] for a in of_alternatives))


def _gathered(
    starts: npt.NDArray[np.int64], order: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Places of the members of lists that begin at `starts`, list by list in another order, and
    where each list then begins."""
    sizes = starts[order + 1] - starts[order]
    new_starts = np.zeros(len(order) + 1, dtype=np.int64)
    np.cumsum(sizes, out=new_starts[1:])
    places = np.repeat(starts[order] - new_starts[:-1], sizes) + np.arange(new_starts[-1])
    return places, new_starts


@dataclass(frozen=True)
class DonorIndex:
    """The searchable donors under a release.

    A row is a position in the segments one after another. It may have been removed: searches
    return valid rows only. `part`: see `shard`, None where all is searched.
    """

    segments: tuple[Segment, ...]
    nomenclature: Nomenclature
    part: tuple[tuple[int, Segment], ...] | None = None

    @property
    def searched(self) -> Iterable[tuple[int, Segment]]:
        """What is searched: segments, each with its first row."""
        return (
            zip(self.first_rows.tolist(), self.segments, strict=False)
            if self.part is None
            else self.part
        )

    def shard(self, number: int, of: int) -> DonorIndex:
        """The same index, in which only the rows of one of several equal ranges are searched."""
        first, last = (int(self.first_rows[-1]) * n // of for n in (number, number + 1))
        part = []
        for begin, segment in zip(self.first_rows.tolist(), self.segments, strict=False):
            low, high = max(first - begin, 0), min(last - begin, len(segment))
            if low < high:
                part.append((begin + low, segment.part(low, high)))
        return replace(self, part=tuple(part))

    @classmethod
    def of(cls, donors: Sequence[Typing], nomenclature: Nomenclature) -> DonorIndex:
        """A small index; donor i is row i. Raises `TypingError`."""
        builders = book_builders(nomenclature)
        codes = [
            UNTYPED if written is None else builders[locus].canonical(written.text)[1]
            for typing in donors
            for locus, written in typing.loci.items()
        ]
        books = PerLocus(tuple(builders[locus].book() for locus in LOCI))
        shaped = np.array(codes, dtype=np.uint32).reshape(-1, N_LOCI)
        return cls((Segment.of(shaped, books),), nomenclature)

    def __len__(self) -> int:
        """Number of valid donors."""
        return sum(segment.n_valid for segment in self.segments)

    @cached_property
    def first_rows(self) -> npt.NDArray[np.int64]:
        """First row of every segment, and the end, (n_segments + 1,)."""
        return np.array(
            [0, *np.cumsum([len(segment) for segment in self.segments])], dtype=np.int64
        )

    def valid_rows(self, between: Callable[[], object] = lambda: None) -> npt.NDArray[np.int64]:
        """The rows that were not removed, ascending, (n,). `between`: see `in_parts`."""
        valid = [np.empty(0, dtype=np.int64)]
        for first, segment in zip(self.first_rows.tolist(), self.segments, strict=False):
            for part in in_parts(len(segment), between):
                rows = np.arange(part.start, part.stop)
                valid.append(first + rows[segment.is_valid(rows)])
        return joined(valid, between)

    @cached_property
    def antigens(self) -> AntigenRelation:
        """Which P groups match at the level of antigens."""
        return AntigenRelation(self.nomenclature)

    def parts(
        self, rows: npt.NDArray[np.int64], between: Callable[[], object] = lambda: None
    ) -> Iterator[tuple[int, npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
        """Segment, positions in `rows` and rows within the segment, for each that holds some of a
        part of `rows`; `between` is called before each part (see `in_parts`)."""
        for part in in_parts(len(rows), between):
            some = rows[part]
            if len(self.segments) == 1:
                yield 0, np.arange(part.start, part.stop, dtype=np.int64), some
                continue
            of = np.searchsorted(self.first_rows, some, side="right") - 1
            for i in range(len(self.segments)):
                at = np.flatnonzero(of == i)
                if len(at):
                    yield i, part.start + at, some[at] - self.first_rows[i]

    def genotype(self, row: int, locus: Locus) -> LocusGenotype | None:
        """What a donor presents at a locus, None where untyped."""
        rows = np.array([row], dtype=np.int64)
        ((i, _, local),) = self.parts(rows)
        code = int(self.segments[i].entries(local, locus)[0])
        return None if code == UNTYPED else self.segments[i].books[locus].entry(code)
