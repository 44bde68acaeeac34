"""The virtual crossmatch of every donor of an index: each distinct genotype is judged once.

An index holds P groups, so a range of answers is wider than that of the reported typing where a
report tells alleles of one P group apart; it always holds that of the typing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from matching.antibodies.crossmatch import untyped_result
from matching.antibodies.groups import GroupOptions
from matching.antibodies.kernels import NO_MOLECULE, answers_of_rows
from matching.antibodies.molecules import ABSENT, ALTERED, Option, answer_range, molecules
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
        if segment.removed is not None:
            found = found[segment.is_valid(np.arange(len(segment)))]
        packed.append(found)
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
    starts = np.cumsum([0, *map(len, tables.single.values())])
    pairs, positions, molecule_tables = [], [np.empty((0, 2), np.int32)], [np.empty(0, np.uint8)]
    for pair in tables.pairs:
        before = sum(map(len, positions))
        loci = [locus.position for locus in pair.system.loci]
        pairs.append([*loci, before, before + len(pair.alphas), *_place(pair, molecule_tables)])
        positions += [pair.alphas, pair.betas]
        molecule_tables.append(pair.molecules.ravel())
    answers_of_rows(
        segment.codes,
        np.array([system.loci[0].position for system in tables.single], dtype=np.int64),
        starts.astype(np.int64),
        np.concatenate([np.empty(0, np.uint8), *tables.single.values()]),
        np.array(pairs, dtype=np.int64).reshape(-1, 6),
        np.concatenate(positions),
        np.concatenate(molecule_tables),
        out,
    )
    large = np.unique(segment.large.rows).astype(np.int64)
    out[large] = tables.of_entries(large)
    return out


def _place(pair: _Pairs, before: Sequence[Bytes]) -> tuple[int, int]:
    """Width of the table of a pair, and where it starts after others."""
    return pair.molecules.shape[1], sum(map(len, before))


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

    def of_entries(self, rows: npt.NDArray[np.int64]) -> Bytes:
        """Packed answers of some rows."""
        low: Bytes = np.zeros(len(rows), dtype=np.uint8)
        high: Bytes = np.zeros(len(rows), dtype=np.uint8)
        for system, table in self.single.items():
            _raise(low, high, table[self._segment.entries(rows, system.loci[0])])
        for pair in self.pairs:
            _raise(low, high, pair.of_rows(self._segment, rows))
        low |= high << 2
        return low


def _raise(low: Bytes, high: Bytes, packed: Bytes) -> None:
    np.maximum(low, packed & 3, out=low)
    np.maximum(high, packed >> 2, out=high)


def _pack(low: Answer, high: Answer) -> int:
    return int(low) | int(high) << 2


# Added to codes of P groups, so that those of no group are not negative.
_SHIFT = 3


def _groups_of(book: Book, options: GroupOptions) -> dict[int, tuple[Option, ...]]:
    """What each P group code of a book may present."""
    held = np.zeros(int(book.groups.max(initial=0)) + _SHIFT + 1, dtype=bool)
    held[book.groups + _SHIFT] = True
    return {code: options.of_group(code) for code in (np.flatnonzero(held) - _SHIFT).tolist()}


def _single_table(system: System, book: Book, profile: Profile, options: GroupOptions) -> Bytes:
    """Packed answers of the entries of a book, (n_entries,)."""
    of_group = _groups_of(book, options)
    table = np.zeros((max(of_group, default=0) + _SHIFT + 1, 2), dtype=np.uint8)
    for code, of in of_group.items():
        table[code + _SHIFT] = answer_range(molecules(system, [[of]], False, profile))
    altered = book.altered.reshape(-1).astype(bool)
    sides = []
    for column, reduce in ((0, np.minimum), (1, np.maximum)):
        of_places = table[:, column][book.groups + _SHIFT]
        values = _reduced(reduce, of_places, book.offsets, np.uint8(Answer.NEGATIVE))
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


@dataclass(frozen=True)
class _Pairs:
    """Answers of the molecules of a pair of chains.

    `alphas` and `betas`, (n_entries, 2) int32: what both copies of an entry may present, as numbers
    of distinct sets of options; 0 is that nothing is typed. `molecules`: packed answers by the
    number of an alpha and of a beta chain, `NO_MOLECULE` where none of them join.
    """

    system: System
    alphas: npt.NDArray[np.int32]
    betas: npt.NDArray[np.int32]
    molecules: Bytes

    @classmethod
    def of(
        cls, system: System, segment: Segment, profile: Profile, options: GroupOptions
    ) -> _Pairs:
        """All molecules of all entries of both books."""
        (alphas, alpha_sets), (betas, beta_sets) = (
            _numbered(locus, segment.books[locus], profile, options) for locus in system.loci
        )
        alpha_options = tuple(dict.fromkeys(o for one in alpha_sets for o in one))
        beta_options = tuple(dict.fromkeys(o for one in beta_sets for o in one))
        lows, highs, apart = _calls(system, alpha_options, beta_options, profile)
        alpha_held, beta_held = _held(alpha_sets, alpha_options), _held(beta_sets, beta_options)
        table = np.empty((len(alpha_sets), len(beta_sets)), dtype=np.uint8)
        for i, held in enumerate(alpha_held):
            low = _within(lows[held].min(axis=0), beta_held, np.uint8(_NONE), np.min)
            high = _within(highs[held].max(axis=0), beta_held, np.uint8(0), np.max)
            some_apart = _within(apart[held].max(axis=0), beta_held, np.uint8(0), np.max) > 0
            # A chain of which nothing is typed is one that joins.
            some_apart &= np.arange(len(beta_sets)) != UNTYPED
            none = low == _NONE
            low = np.where(some_apart & (i != UNTYPED), np.uint8(Answer.NEGATIVE), low)
            table[i] = np.where(none, NO_MOLECULE, low | (high << 2))
        untyped = untyped_result(system, profile)
        table[UNTYPED, UNTYPED] = _pack(untyped.low, untyped.high)
        return cls(system, alphas, betas, table)

    def of_rows(self, segment: Segment, rows: npt.NDArray[np.int64]) -> Bytes:
        """Packed answers of some rows."""
        first, second = self.system.loci
        alphas, betas = (
            self.alphas[segment.entries(rows, first)],
            self.betas[segment.entries(rows, second)],
        )
        found = self.molecules[alphas[:, :, None], betas[:, None, :]].reshape(-1, 4)
        none = found == NO_MOLECULE
        low = np.where(none, 0, found & 3).max(axis=1).astype(np.uint8)
        high = np.where(none, 0, found >> 2).max(axis=1).astype(np.uint8)
        unjoined = _pack(Answer.NOT_ASSESSABLE, Answer.NOT_ASSESSABLE)
        packed: Bytes = np.where(none.all(axis=1), unjoined, low | (high << 2)).astype(np.uint8)
        return packed


# In place of an answer: the chains do not join.
_NONE = 3


def _calls(
    system: System, alphas: Sequence[Option], betas: Sequence[Option], profile: Profile
) -> tuple[Bytes, Bytes, Bytes]:
    """Best and worst answer of every pair, and 1 where its chains do not join."""
    low = np.full((len(alphas), len(betas)), _NONE, dtype=np.uint8)
    high, apart = np.zeros((2, len(alphas), len(betas)), dtype=np.uint8)
    for i, alpha in enumerate(alphas):
        for j, beta in enumerate(betas):
            found = molecules(system, [[[alpha]], [[beta]]], False, profile)
            if found:
                low[i, j], high[i, j] = answer_range(found)
            else:
                apart[i, j] = 1
    return low, high, apart


def _held(sets: Sequence[Sequence[Option]], options: Sequence[Option]) -> npt.NDArray[np.bool_]:
    """Which options each set holds, (n_sets, n_options)."""
    place = {option: i for i, option in enumerate(options)}
    held = np.zeros((len(sets), len(options)), dtype=bool)
    for i, one in enumerate(sets):
        held[i, [place[option] for option in one]] = True
    return held


def _within(
    values: Bytes,
    held: npt.NDArray[np.bool_],
    otherwise: np.uint8,
    reduce: Callable[..., Bytes],
) -> Bytes:
    """`reduce` of `values`, one an option, over those that each set holds."""
    return reduce(np.where(held, values, otherwise), axis=1)


def _numbered(
    locus: Locus, book: Book, profile: Profile, options: GroupOptions
) -> tuple[npt.NDArray[np.int32], list[tuple[Option, ...]]]:
    """Numbers of the sets of options of both copies of every entry, (n_entries, 2), and the sets.

    Of a genotype list a copy may present what it does in any of them.
    """
    of_group = _groups_of(book, options)
    every = dict.fromkeys(chain.from_iterable(of_group.values()))
    known = {option: i for i, option in enumerate({**every, ABSENT: None, ALTERED: None})}
    table = np.zeros((max(of_group, default=0) + _SHIFT + 1, len(known)), dtype=np.uint8)
    for code, of in of_group.items():
        table[code + _SHIFT, [known[option] for option in of]] = 1
    positions = _reduced(np.maximum, table[book.groups + _SHIFT], book.offsets, np.uint8(0))
    nothing = np.diff(book.offsets) == 0
    altered = book.altered.reshape(-1).astype(bool)
    positions[nothing | altered] = 0
    positions[nothing, known[ABSENT]] = 1
    positions[altered, known[ALTERED]] = 1
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
