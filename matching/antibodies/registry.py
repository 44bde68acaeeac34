"""The virtual crossmatch of every donor of an index: each distinct genotype is judged once.

An index holds P groups, so a range of answers is wider than that of the reported typing where a
report tells alleles of one P group apart; it always holds that of the typing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.antibodies.bits import HIGH, JOINED, LOW, UNKNOWN, packed, unpacked
from matching.antibodies.crossmatch import untyped_result
from matching.antibodies.groups import GroupOptions
from matching.antibodies.kernels import SHIFT, answers_of_book, answers_of_rows
from matching.antibodies.molecules import ABSENT, ALTERED, Option, answer_range, molecules
from matching.antibodies.names import System
from matching.antibodies.profile import Profile
from matching.antibodies.values import Answer
from matching.donor_index import DonorIndex, Segment
from matching.genotypes import UNTYPED, Book
from matching.loci import Locus
from matching.parts import in_parts, joined
from matching.search_kernels import LARGE

Bytes = npt.NDArray[np.uint8]
Entries = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True)
class RegistryAnswers:
    """Answers of rows of an index. `bits`: (n,) uint8 of each (see `matching.antibodies.bits`)."""

    bits: Bytes

    def __len__(self) -> int:
        return len(self.bits)

    @cached_property
    def low(self) -> Bytes:
        """Best answers, values of `Answer`."""
        return _LOWS[self.bits]

    @cached_property
    def high(self) -> Bytes:
        """Worst answers, values of `Answer`."""
        return _HIGHS[self.bits]

    def count(self) -> dict[str, int]:
        """Donors by their answer; `open` are those that may still be positive or not."""
        found = {**{answer.name.lower(): 0 for answer in Answer}, "open": 0}
        for bits, n in enumerate(self._by_bits.tolist()):
            low, high = unpacked(bits)
            can_be = low is not high and high is Answer.POSITIVE
            answer = low if low is high else Answer.NOT_ASSESSABLE
            found["open" if can_be else answer.name.lower()] += n
        return found

    @cached_property
    def _by_bits(self) -> npt.NDArray[np.int64]:
        counts = np.zeros(len(_LOWS), dtype=np.int64)
        # Not all at once, which would copy them to eight bytes each and take twice as long.
        for part in in_parts(len(self), lambda: None):
            counts += np.bincount(self.bits[part], minlength=len(_LOWS))
        return counts

    @property
    def pra(self) -> tuple[float, float]:
        """Virtual PRA, 0 to 1: the share of donors that is positive, and that is or may be."""
        n, counts = max(len(self), 1), self.count()
        return counts["positive"] / n, (counts["positive"] + counts["open"]) / n


_LOWS, _HIGHS = (
    np.array([unpacked(bits)[side] for bits in range(LOW + HIGH + 1)], dtype=np.uint8)
    for side in (0, 1)
)


def registry_answers(
    index: DonorIndex, profile: Profile, between: Callable[[], object] = lambda: None
) -> RegistryAnswers:
    """All valid donors of an index, in the order of its rows.

    The rule of the cumulative MFI is not applied: it needs every molecule. `between`: called
    between parts of the work; what it raises ends it.
    """
    options = GroupOptions(profile)
    found = [np.empty(0, dtype=np.uint8)]
    for segment in index.segments:
        bits = _Tables(segment, profile, options, between).of_all()
        for part in in_parts(len(segment), between):
            found.append(bits[part][segment.is_valid(np.arange(part.start, part.stop))])
    return RegistryAnswers(joined(found, between))


@dataclass(frozen=True)
class DonorAnswers:
    """Answers of some donors of an index after others; of its books each is judged once."""

    index: DonorIndex
    profile: Profile
    between: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)
    _tables: dict[int, _Tables] = field(default_factory=dict, repr=False, compare=False)

    def of(self, rows: npt.NDArray[np.int64]) -> RegistryAnswers:
        """Some rows of the index, in their order."""
        bits = np.empty(len(rows), dtype=np.uint8)
        for i, at, local in self.index.parts(rows, self.between):
            if i not in self._tables:
                segment, options = self.index.segments[i], GroupOptions(self.profile)
                self._tables[i] = _Tables(segment, self.profile, options, self.between)
            bits[at] = self._tables[i].of_rows(local)
        return RegistryAnswers(bits)


class _Tables:
    """The answers of the entries of a segment's books: of all rows, by column, by two columns."""

    def __init__(
        self,
        segment: Segment,
        profile: Profile,
        options: GroupOptions,
        between: Callable[[], object],
    ) -> None:
        self._segment = segment
        self._between = between
        self._base = 0
        self._columns: list[tuple[Locus, Bytes]] = []
        self._pairs: list[_Pairs] = []
        for system in profile.systems:
            between()
            if system.is_pair:
                self._add_pair(_Pairs.of(system, segment, profile, options, between))
            else:
                self._add(
                    system.loci[0],
                    _single_table(system, segment.books[system.loci[0]], profile, options, between),
                )

    def _add(self, locus: Locus, table: Bytes) -> None:
        """`table`: bits by entry; of one entry where nobody is typed."""
        if len(table) == 1:
            self._base |= int(table[0])
        else:
            self._columns.append((locus, table))

    def _add_pair(self, pair: _Pairs) -> None:
        if 1 not in (len(pair.alphas), len(pair.betas)):
            self._pairs.append(pair)
            return
        # Of one chain nobody is typed, so the other one decides.
        n = max(len(pair.alphas), len(pair.betas))
        entries, none = np.arange(n), np.zeros(n, dtype=np.int64)
        if len(pair.alphas) == 1:
            self._add(pair.system.loci[1], pair.of_entries(none, entries))
        else:
            self._add(pair.system.loci[0], pair.of_entries(entries, none))

    def of_all(self) -> Bytes:
        """Bits of all rows."""
        segment = self._segment
        tables = np.zeros((len(self._columns), LARGE + 1), dtype=np.uint8)
        for row, (_, table) in zip(tables, self._columns, strict=True):
            row[: min(len(table), LARGE)] = table[:LARGE]
        places, copies, molecules = _placed(self._pairs)
        out = np.empty(len(segment), dtype=np.uint8)
        columns = np.array([locus.position for locus, _ in self._columns], dtype=np.int64)
        for part in in_parts(len(segment), self._between):
            answers_of_rows(
                segment.codes[part], self._base, columns, tables, places, copies, molecules,
                out[part],
            )  # fmt: skip
        large = segment.large
        for locus, table in self._columns:
            at = slice(*large.starts[locus.position : locus.position + 2].tolist())
            out[large.rows[at]] |= table[large.codes[at]]
        for pair in self._pairs:
            starts = [
                large.starts[locus.position + i] for locus in pair.system.loci for i in (0, 1)
            ]
            either = [large.rows[starts[0] : starts[1]], large.rows[starts[2] : starts[3]]]
            rows = np.unique(np.concatenate(either)).astype(np.int64)
            out[rows] |= pair.of_rows(segment, rows)
        return out

    def of_rows(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """Bits of some rows."""
        out = np.full(len(rows), self._base, dtype=np.uint8)
        for locus, table in self._columns:
            out |= table[self._segment.entries(rows, locus)]
        for pair in self._pairs:
            out |= pair.of_rows(self._segment, rows)
        return out


def _placed(
    pairs: Sequence[_Pairs],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32], Bytes]:
    """Pairs as `answers_of_rows` takes them."""
    places, copies, molecules = [], [np.empty((0, 2), np.int32)], [np.empty(0, np.uint8)]
    for pair in pairs:
        columns = [locus.position for locus in pair.system.loci]
        alpha = sum(map(len, copies))
        table = pair.molecules.shape[1], sum(map(len, molecules))
        places.append([*columns, alpha, alpha + len(pair.alphas), *table])
        copies += [pair.alphas, pair.betas]
        molecules.append(pair.molecules.ravel())
    found = np.array(places, dtype=np.int64).reshape(-1, 6)
    return found, np.concatenate(copies), np.concatenate(molecules)


def _groups_of(
    book: Book, options: GroupOptions, between: Callable[[], object]
) -> dict[int, tuple[Option, ...]]:
    """What each P group code of a book may present."""
    held = np.zeros(int(book.groups.max(initial=0)) + SHIFT + 1, dtype=bool)
    for part in in_parts(len(book.groups), between):
        held[book.groups[part] + SHIFT] = True
    of_group = {}
    for code in (np.flatnonzero(held) - SHIFT).tolist():
        between()
        of_group[code] = options.of_group(code)
    return of_group


def _single_table(
    system: System,
    book: Book,
    profile: Profile,
    options: GroupOptions,
    between: Callable[[], object],
) -> Bytes:
    """Bits of the entries of a book, (n_entries,)."""
    of_group = _groups_of(book, options, between)
    by_group = np.zeros(max(of_group, default=0) + SHIFT + 1, dtype=np.uint8)
    for code, of in of_group.items():
        between()
        by_group[code + SHIFT] = packed(*answer_range(molecules(system, [[of]], False, profile)))
    bits = np.empty(len(book), dtype=np.uint8)
    answers_of_book(book.starts, book.offsets, book.groups, book.altered, by_group, bits)
    untyped = untyped_result(system, profile)
    bits[UNTYPED] = packed(untyped.low, untyped.high)
    return bits


@dataclass(frozen=True)
class _Pairs:
    """Answers of the molecules of a pair of chains.

    `alphas` and `betas`, (n_entries, 2) int32: what both copies of an entry may present, as numbers
    of distinct sets of options; 0 is that nothing is typed. `molecules`: bits by the number of an
    alpha and of a beta chain, none where they do not join, `JOINED` where they may.
    """

    system: System
    alphas: npt.NDArray[np.int32]
    betas: npt.NDArray[np.int32]
    molecules: Bytes

    @classmethod
    def of(
        cls,
        system: System,
        segment: Segment,
        profile: Profile,
        options: GroupOptions,
        between: Callable[[], object],
    ) -> _Pairs:
        """All molecules of all entries of both books."""
        numbered = []
        for locus in system.loci:
            between()
            numbered.append(_numbered(locus, segment.books[locus], profile, options, between))
        (alphas, alpha_sets), (betas, beta_sets) = numbered
        alpha_options = tuple(dict.fromkeys(o for one in alpha_sets for o in one))
        beta_options = tuple(dict.fromkeys(o for one in beta_sets for o in one))
        best, worst, apart = _calls(system, alpha_options, beta_options, profile, between)
        alpha_held, beta_held = _held(alpha_sets, alpha_options), _held(beta_sets, beta_options)
        table = np.empty((len(alpha_sets), len(beta_sets)), dtype=np.uint8)
        for i, held in enumerate(alpha_held):
            between()
            low = _within(best[held], beta_held, np.bitwise_and, LOW)
            high = _within(worst[held], beta_held, np.bitwise_or, 0)
            some_apart = _within(apart[held], beta_held, np.bitwise_or, 0) > 0
            # A chain of which nothing is typed is one that joins.
            some_apart &= (i != UNTYPED) & (np.arange(len(beta_sets)) != UNTYPED)
            low[some_apart] = packed(Answer.NEGATIVE, Answer.NEGATIVE)
            table[i] = np.where(high & JOINED, low | high, 0)
        untyped = untyped_result(system, profile)
        table[UNTYPED, UNTYPED] = packed(untyped.low, untyped.high) | JOINED
        return cls(system, alphas, betas, table)

    def of_rows(self, segment: Segment, rows: npt.NDArray[np.int64]) -> Bytes:
        """Bits of some rows."""
        return self.of_entries(*(segment.entries(rows, locus) for locus in self.system.loci))

    def of_entries(self, alpha: Entries, beta: Entries) -> Bytes:
        """Bits of entries of both books, (n,)."""
        alphas, betas = self.alphas[alpha], self.betas[beta]
        found = self.molecules[alphas[:, :, None], betas[:, None, :]].reshape(-1, 4)
        bits = np.bitwise_or.reduce(found, axis=1)
        return np.where(bits & JOINED, bits & (LOW | HIGH), UNKNOWN).astype(np.uint8)


def _calls(
    system: System,
    alphas: Sequence[Option],
    betas: Sequence[Option],
    profile: Profile,
    between: Callable[[], object],
) -> tuple[Bytes, Bytes, Bytes]:
    """Bits of the best and the worst answer of every pair, and 1 where its chains do not join."""
    best = np.full((len(alphas), len(betas)), LOW, dtype=np.uint8)
    worst, apart = np.zeros((2, len(alphas), len(betas)), dtype=np.uint8)
    for i, alpha in enumerate(alphas):
        between()
        for j, beta in enumerate(betas):
            found = molecules(system, [[[alpha]], [[beta]]], False, profile)
            if found:
                bits = packed(*answer_range(found))
                best[i, j], worst[i, j] = bits & LOW, bits & HIGH | JOINED
            else:
                apart[i, j] = 1
    return best, worst, apart


def _held(sets: Sequence[Sequence[Option]], options: Sequence[Option]) -> npt.NDArray[np.bool_]:
    """Which options each set holds, (n_sets, n_options)."""
    place = {option: i for i, option in enumerate(options)}
    held = np.zeros((len(sets), len(options)), dtype=bool)
    for i, one in enumerate(sets):
        held[i, [place[option] for option in one]] = True
    return held


def _within(bits: Bytes, held: npt.NDArray[np.bool_], reduce: np.ufunc, of_none: int) -> Bytes:
    """Bits of some alphas and all betas, put together over the alphas and the betas of each set."""
    of_betas = reduce.reduce(bits, axis=0)
    found: Bytes = reduce.reduce(np.where(held, of_betas, np.uint8(of_none)), axis=1)
    return found


def _numbered(
    locus: Locus,
    book: Book,
    profile: Profile,
    options: GroupOptions,
    between: Callable[[], object],
) -> tuple[npt.NDArray[np.int32], list[tuple[Option, ...]]]:
    """Numbers of the sets of options of both copies of every entry, (n_entries, 2), and the sets.

    Of a genotype list a copy may present what it does in any of them.
    """
    of_group = _groups_of(book, options, between)
    every = dict.fromkeys(chain.from_iterable(of_group.values()))
    known = {option: i for i, option in enumerate({**every, ABSENT: None, ALTERED: None})}
    table = np.zeros((max(of_group, default=0) + SHIFT + 1, len(known)), dtype=np.uint8)
    for code, of in of_group.items():
        table[code + SHIFT, [known[option] for option in of]] = 1
    altered = book.altered.reshape(-1).astype(bool)
    filled = np.diff(book.offsets) > 0
    positions = np.zeros((len(filled), len(known)), dtype=np.uint8)
    if filled.any():
        held_by = table[book.groups + SHIFT]
        positions[filled] = np.maximum.reduceat(held_by, book.offsets[:-1][filled], axis=0)
    positions[altered] = 0
    positions[altered, known[ALTERED]] = 1
    positions[~filled & ~altered, known[ABSENT]] = 1
    both = positions.reshape(-1, 2 * len(known))
    copies = np.maximum.reduceat(both, book.starts[:-1], axis=0).reshape(-1, len(known))
    distinct, number = np.unique(np.packbits(copies, axis=1), axis=0, return_inverse=True)
    held = np.unpackbits(distinct, axis=1, count=len(known)).astype(bool)
    names: list[Option] = list(known)
    anything: tuple[Option, ...] = profile.any_chain(locus.value)
    sets = [anything, *(tuple(names[i] for i in np.flatnonzero(one)) for one in held)]
    numbers = 1 + number.reshape(-1, 2).astype(np.int32)
    numbers[UNTYPED] = UNTYPED
    return numbers, sets
