"""The virtual crossmatch of every donor of an index: each distinct genotype is judged once.

An index holds P groups, so a range of answers is wider than that of the reported typing where a
report tells alleles of one P group apart; it always holds that of the typing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.antibodies.crossmatch import (
    ABSENT,
    ALTERED,
    Option,
    answer_range,
    molecules,
    untyped_result,
)
from matching.antibodies.groups import GroupOptions
from matching.antibodies.kernels import answers_of_rows, mark_pairs
from matching.antibodies.names import System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer
from matching.donor_index import DonorIndex, Segment
from matching.genotypes import UNTYPED, Book
from matching.loci import Locus

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class RegistryAnswers:
    """Best and worst answer of rows of an index, (n,) uint8 each, values of `Answer`."""

    low: Bytes
    high: Bytes

    def count(self) -> dict[str, int]:
        """Donors by their answer; `open` are those that may still be positive or not."""
        same = self.low == self.high
        found = {a.name.lower(): int((same & (self.low == a)).sum()) for a in Answer}
        can_be = self.high == Answer.POSITIVE
        found["open"] = int((~same & can_be).sum())
        found["not_assessable"] += int((~same & ~can_be).sum())
        return found


def registry_answers(index: DonorIndex, profile: Profile) -> RegistryAnswers:
    """All valid donors of an index, in the order of its rows.

    The rule of the cumulative MFI is not applied: it needs every molecule.
    """
    options = GroupOptions(profile)
    packed = [np.empty(0, dtype=np.uint8)]
    for segment in index.segments:
        found = _of_segment(segment, profile, options)
        packed.append(found[segment.is_valid(np.arange(len(segment)))])
    return _unpacked(np.concatenate(packed))


def answers_of(index: DonorIndex, profile: Profile, rows: npt.NDArray[np.int64]) -> RegistryAnswers:
    """Some rows of an index, in their order."""
    options = GroupOptions(profile)
    packed = np.empty(len(rows), dtype=np.uint8)
    for i, at, local in index.parts(rows):
        tables = _Tables(index.segments[i], profile, options)
        packed[at] = tables.of_entries(local)
    return _unpacked(packed)


def _unpacked(packed: Bytes) -> RegistryAnswers:
    return RegistryAnswers(packed & np.uint8(3), packed >> np.uint8(2))


def _of_segment(segment: Segment, profile: Profile, options: GroupOptions) -> Bytes:
    tables = _Tables(segment, profile, options)
    out = np.empty(len(segment), dtype=np.uint8)
    tables.fill_seen()
    singles, starts = [s.loci[0].position for s in tables.single], [0]
    for table in tables.single.values():
        starts.append(starts[-1] + len(table))
    pairs, numbers, pair_tables = [], [np.empty(0, np.int32)], [np.empty(0, np.uint8)]
    for pair in tables.pairs:
        before = sum(map(len, numbers))
        pairs.append(
            [
                *(locus.position for locus in pair.system.loci),
                *(before, before + len(pair.numbers[0])),
                *(pair.width, sum(map(len, pair_tables))),
            ]
        )
        numbers += pair.numbers
        pair_tables.append(pair.table)
    answers_of_rows(
        segment.codes,
        np.array(singles, dtype=np.int64),
        np.array(starts, dtype=np.int64),
        np.concatenate([np.empty(0, np.uint8), *tables.single.values()]),
        np.array(pairs, dtype=np.int64).reshape(-1, 6),
        np.concatenate(numbers),
        np.concatenate(pair_tables),
        out,
    )
    large = np.unique(segment.large.rows).astype(np.int64)
    out[large] = tables.of_entries(large)
    return out


class _Tables:
    """The packed answers of the entries of a segment's books."""

    def __init__(self, segment: Segment, profile: Profile, options: GroupOptions) -> None:
        self._segment = segment
        self.single = {
            system: _single_table(system, segment.books[system.loci[0]], profile, options)
            for system in profile.systems
            if not system.is_pair
        }
        self.pairs = [
            _Pairs.of(system, segment, profile, options)
            for system in profile.systems
            if system.is_pair
        ]

    def fill_seen(self) -> None:
        """Judge every pair of genotypes that a row of the segment has."""
        for pair in self.pairs:
            seen = np.zeros(len(pair.table), dtype=np.uint8)
            alpha, beta = (locus.position for locus in pair.system.loci)
            mark_pairs(self._segment.codes, alpha, beta, *pair.numbers, pair.width, seen)
            pair.fill(np.flatnonzero(seen))

    def of_entries(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """Packed answers of some rows."""
        found = [table[self._segment.entries(rows, s.loci[0])] for s, table in self.single.items()]
        for pair in self.pairs:
            alpha, beta = (
                numbers[self._segment.entries(rows, locus)].astype(np.int64)
                for locus, numbers in zip(pair.system.loci, pair.numbers, strict=True)
            )
            at = alpha * pair.width + beta
            pair.fill(np.unique(at))
            found.append(pair.table[at])
        low: Bytes = np.zeros(len(rows), dtype=np.uint8)
        high: Bytes = np.zeros(len(rows), dtype=np.uint8)
        for packed in found:
            np.maximum(low, packed & 3, out=low)
            np.maximum(high, packed >> 2, out=high)
        low |= high << 2
        return low


def _pack(low: Answer, high: Answer) -> int:
    return int(low) | int(high) << 2


def _single_table(system: System, book: Book, profile: Profile, options: GroupOptions) -> Bytes:
    """Packed answers of the entries of a book, (n_entries,)."""
    groups, place = np.unique(book.groups, return_inverse=True)
    ranges = [
        answer_range(molecules(system, [[options.of_group(group)]], False, profile))
        for group in groups.tolist()
    ]
    table = np.array(ranges, dtype=np.uint8).reshape(-1, 2)[place]
    altered = book.altered.reshape(-1).astype(bool)
    sides = []
    for column, reduce in ((0, np.minimum), (1, np.maximum)):
        values = _reduced(reduce, table[:, column], book.offsets, np.uint8(Answer.NEGATIVE))
        values[altered] = Answer.NOT_ASSESSABLE
        of_alternative = values.reshape(-1, 2).max(axis=1)
        sides.append(reduce.reduceat(of_alternative, book.starts[:-1]))
    packed: Bytes = (sides[0] | (sides[1] << 2)).astype(np.uint8)
    untyped = untyped_result(system, profile)
    packed[UNTYPED] = _pack(untyped.low, untyped.high)
    return packed


def _reduced(
    reduce: np.ufunc, values: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], empty: np.uint8
) -> Bytes:
    """`reduce` over lists that begin at `offsets`, `empty` where one holds nothing."""
    found = np.full((len(offsets) - 1, *values.shape[1:]), empty, dtype=np.uint8)
    filled = np.diff(offsets) > 0
    if filled.any():
        found[filled] = reduce.reduceat(values, offsets[:-1][filled], axis=0)
    return found


@dataclass
class _Pairs:
    """Answers of the pairs of entries of both loci of a system.

    Entries that may present the same have one number: `numbers`, of each locus (n_entries,) int32,
    and `copies`, of each number what both copies may present. Number 0 is untyped. `table`: packed,
    flat, the numbers of beta in `width` columns; `known` says what was judged.
    """

    system: System
    numbers: tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]
    copies: tuple[list[tuple[Sequence[Option], ...]], list[tuple[Sequence[Option], ...]]]
    table: Bytes
    known: npt.NDArray[np.bool_]
    profile: Profile

    @property
    def width(self) -> int:
        """See above."""
        return len(self.copies[1])

    @classmethod
    def of(
        cls, system: System, segment: Segment, profile: Profile, options: GroupOptions
    ) -> _Pairs:
        """Nothing is judged yet."""
        alpha, beta = (
            _numbered(locus, segment.books[locus], profile, options) for locus in system.loci
        )
        size = len(alpha[1]) * len(beta[1])
        return cls(
            system,
            (alpha[0], beta[0]),
            (alpha[1], beta[1]),
            np.zeros(size, dtype=np.uint8),
            np.zeros(size, dtype=bool),
            profile,
        )

    def fill(self, places: npt.NDArray[np.int64]) -> None:
        """Judge those of the given places of `table` that are not yet."""
        for place in places[~self.known[places]].tolist():
            alpha, beta = divmod(place, self.width)
            if alpha == beta == UNTYPED:
                untyped = untyped_result(self.system, self.profile)
                self.table[place] = _pack(untyped.low, untyped.high)
                continue
            copies = (self.copies[0][alpha], self.copies[1][beta])
            is_open = UNTYPED in (alpha, beta)
            found = molecules(self.system, copies, is_open, self.profile)
            self.table[place] = _pack(*answer_range(found))
        self.known[places] = True


def _numbered(
    locus: Locus, book: Book, profile: Profile, options: GroupOptions
) -> tuple[npt.NDArray[np.int32], list[tuple[Sequence[Option], ...]]]:
    """`numbers` and `copies` of one locus."""
    groups, place = np.unique(book.groups, return_inverse=True)
    of_group = [options.of_group(group) for group in groups.tolist()]
    known = {option: i for i, option in enumerate(dict.fromkeys(o for of in of_group for o in of))}
    for option in (ABSENT, ALTERED):
        known.setdefault(option, len(known))
    held = np.zeros((len(groups), len(known)), dtype=np.uint8)
    for i, of in enumerate(of_group):
        held[i, [known[option] for option in of]] = 1
    positions = _reduced(np.maximum, held[place], book.offsets, np.uint8(0))
    nothing = np.diff(book.offsets) == 0
    altered = book.altered.reshape(-1).astype(bool)
    positions[nothing | altered] = 0
    positions[nothing, known[ABSENT]] = 1
    positions[altered, known[ALTERED]] = 1
    both = positions.reshape(-1, 2 * len(known))
    entries = np.maximum.reduceat(both, book.starts[:-1], axis=0)
    distinct, number = np.unique(np.packbits(entries[1:], axis=1), axis=0, return_inverse=True)
    bits = np.unpackbits(distinct, axis=1, count=2 * len(known)).astype(bool)
    names: list[Option] = list(known)
    anything = tuple(profile.any_chain(locus.value))
    copies: list[tuple[Sequence[Option], ...]] = [(anything, anything)]
    for row in bits.reshape(-1, 2, len(known)):
        copies.append(tuple([names[i] for i in np.flatnonzero(side)] for side in row))
    return np.concatenate([[UNTYPED], 1 + number.ravel()]).astype(np.int32), copies
