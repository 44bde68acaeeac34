"""The distinct typings of a locus, as what they admit of a frequency set."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain

import numpy as np
import numpy.typing as npt

from matching.haplotypes import Admitted, Imputer, NullImputation
from matching.masses.arrays import Bytes, EntryArrays, Int32s, Int64s
from matching.masses.entry_kernels import copy_entries
from matching.masses.total_kernels import MAX_LOCUS_CLASSES, merge_positions
from matching.search_kernels import number_codes
from matching.typings import Form, LocusTyping, Position, parse_locus, parse_position

UNTYPED = 0
# Which classes of a genotype go together: one with itself, two with each other, or a third, of
# names that both positions admit, with all.
_TOGETHER = np.array([[1, 0, 0], [0b10, 0b01, 0], [0b110, 0b101, 0b111]], dtype=np.uint64)
_CLASSES = np.arange(3)
_OF_KIND = [_TOGETHER[kind, : kind + 1].tolist() for kind in _CLASSES]

_Pair = tuple[int, int]
_ANY = Position(Form.UNTYPED, ("UUUU",))


@dataclass(frozen=True)
class EntryTable:
    """Typings of a locus by what they admit, as they are kept on disk; number 0 is `UNTYPED`.

    Position p admits the names `names[name_starts[p]:name_starts[p + 1]]` of the set (int32,
    ascending), and `is_null[p]` (uint8) where a null takes its partner's token there. Typing e is
    the pairs of positions `pairs[starts[e]:starts[e + 1]]` (n, 2) int32: one, or those of its
    genotype list. `name_starts`, `starts`: int64.
    """

    name_starts: Int64s
    names: Int32s
    is_null: Bytes
    starts: Int64s
    pairs: Int32s

    def __len__(self) -> int:
        return len(self.starts) - 1

    def take(self, order: Int64s) -> EntryTable:
        """The typings at `order`, with all positions."""
        counts = np.diff(self.starts)[order]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        at = np.repeat(self.starts[order] - starts[:-1], counts) + np.arange(starts[-1])
        return EntryTable(self.name_starts, self.names, self.is_null, starts, self.pairs[at])

    def then(self, other: EntryTable) -> EntryTable:
        """These typings, and those of another after them."""
        n_positions = len(self.is_null)
        return EntryTable(
            np.concatenate([self.name_starts, self.name_starts[-1] + other.name_starts[1:]]),
            np.concatenate([self.names, other.names]),
            np.concatenate([self.is_null, other.is_null]),
            np.concatenate([self.starts, self.starts[-1] + other.starts[1:]]),
            np.concatenate([self.pairs, n_positions + other.pairs]).astype(np.int32),
        )


@dataclass
class LocusEntries:
    """Gives every distinct typing of a locus a code, by what it admits of the imputer's set.

    Written texts that admit the same haplotype pairs share one code; `UNTYPED` admits all.
    """

    imputer: Imputer
    column: int
    _texts: dict[str, int] = field(init=False, default_factory=dict)
    # Number of each position by its text and by what it admits; the latter in order.
    _written: dict[str, int] = field(init=False, default_factory=dict)
    _numbers: dict[tuple[bytes, bool], int] = field(init=False, default_factory=dict)
    _admitted: list[npt.NDArray[np.int32]] = field(init=False, default_factory=list)
    _is_null: list[bool] = field(init=False, default_factory=list)
    # In the order of their codes.
    _codes: dict[tuple[_Pair, ...], int] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        everything = np.ones(len(self.imputer.frequencies.names[self.column]), dtype=bool)
        number = self._number(everything, False)
        self._code(((number, number),))

    def __len__(self) -> int:
        return len(self._codes)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.int32]:
        """Code of every written locus, (n,); the empty text is untyped. Raises `TypingError`."""
        known = self._texts
        for text in set(texts).difference(known):
            known[text] = self._read(text)
        return np.fromiter(map(known.__getitem__, texts), np.int32, len(texts))

    def _read(self, text: str) -> int:
        first, plus, second = text.partition("+")
        if plus and "|" not in second and "+" not in second and "UUUU" not in text:
            pairs = [(self._position(first), self._position(second))]
        else:
            typing = parse_locus(self.imputer.frequencies.loci[self.column], text)
            if typing is None:
                return UNTYPED
            pairs = [(self._admits(a), self._admits(b)) for a, b in typing.alternatives]
        # Which position comes first makes no difference to unphased genotypes.
        return self._code(tuple(dict.fromkeys((min(pair), max(pair)) for pair in pairs)))

    def _position(self, text: str) -> int:
        number = self._written.get(text)
        if number is None:
            gene = self.imputer.frequencies.loci[self.column].value
            number = self._written[text] = self._admits(parse_position(gene, text))
        return number

    def _admits(self, position: Position) -> int:
        found = self.imputer.admitted(self.column, position)
        return self._number(found.names, _is_typed_null(found, self.imputer))

    def _number(self, names: npt.NDArray[np.bool_], is_null: bool) -> int:
        key = np.packbits(names).tobytes(), is_null
        number = self._numbers.setdefault(key, len(self._admitted))
        if number == len(self._admitted):
            self._admitted.append(np.flatnonzero(names).astype(np.int32))
            self._is_null.append(is_null)
        return number

    def _code(self, pairs: tuple[_Pair, ...]) -> int:
        return self._codes.setdefault(pairs, len(self._codes))

    def table(self) -> EntryTable:
        """The typings so far."""
        pairs = np.array([pair for entry in self._codes for pair in entry], dtype=np.int32)
        return EntryTable(
            _starts(map(len, self._admitted)),
            np.concatenate(self._admitted),
            np.array(self._is_null, dtype=np.uint8),
            _starts(map(len, self._codes)),
            pairs.reshape(-1, 2),
        )


def _is_typed_null(admitted: Admitted, imputer: Imputer) -> bool:
    """Only typed nulls make a difference beyond the names that they admit."""
    return admitted.is_null and imputer.nulls is NullImputation.TYPED


def _starts(sizes: Iterable[int] | Int64s) -> Int64s:
    return np.concatenate([[0], np.cumsum(np.fromiter(sizes, np.int64))]).astype(np.int64)


@dataclass(frozen=True)
class Entries:
    """The typings of all loci of a set, ready for the kernels; shared by tables and threads.

    `exact`: whether a typing must be imputed pair by pair to be compared, since a null takes its
    partner's token there; `unsummed`: whether even its mass must be, since its genotype list sorts
    the names of the set into more than `MAX_LOCUS_CLASSES` classes. Both (n,) bool, locus after
    locus from `arrays.base`.
    """

    arrays: EntryArrays
    exact: npt.NDArray[np.bool_]
    unsummed: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, tables: Sequence[EntryTable]) -> Entries:
        """The typings of tables, one a locus."""
        return cls._of(_starts(map(len, tables)), tables)

    @classmethod
    def _of(cls, base: Int64s, tables: Sequence[EntryTable]) -> Entries:
        parts = [_expanded(table) for table in tables]
        one = np.ones(1, dtype=np.int64)
        arrays = EntryArrays(
            np.concatenate([base, base[-1:], base[-1:]]),
            np.cumsum(np.concatenate([[0], *(p.n_names for p in parts), one]), dtype=np.int64),
            np.concatenate([*(p.names for p in parts), np.zeros(1, np.int32)]),
            np.concatenate([*(p.classes for p in parts), np.zeros(1, np.uint8)]),
            np.cumsum(np.concatenate([[0], *(p.n_classes for p in parts), one]), dtype=np.int64),
            np.concatenate([*(p.compatible for p in parts), np.ones(1, np.uint64)]),
        )
        unsummed = np.concatenate([part.unsummed for part in parts])
        exact = np.concatenate([_has_null(table) for table in tables]) | unsummed
        return cls(arrays, exact, unsummed)

    @classmethod
    def of_one(cls, imputer: Imputer, typings: Sequence[LocusTyping | None]) -> Entries:
        """One person's, one typing a locus of the imputer's set, None where it is untyped; each is
        entry 0 of its locus. Raises `TypingError`."""
        if all(typing is None or not typing.others for typing in typings):
            genotypes = [
                (imputer.admitted(column, first), imputer.admitted(column, second))
                for column, typing in enumerate(typings)
                for first, second in [(_ANY, _ANY) if typing is None else typing.alternatives[0]]
            ]
            if not any(_is_typed_null(one, imputer) for pair in genotypes for one in pair):
                return cls._of_genotypes(genotypes)
        positions: list[tuple[Int32s, bool]] = []
        pairs: list[_Pair] = []
        counts: list[int] = []
        for column, typing in enumerate(typings):
            numbers: dict[tuple[bytes, bool], int] = {}
            of_locus: dict[_Pair, None] = {}
            for pair in [(_ANY, _ANY)] if typing is None else typing.alternatives:
                found = [imputer.admitted(column, position) for position in pair]
                keys = [(one.names.tobytes(), _is_typed_null(one, imputer)) for one in found]
                for one, key in zip(found, keys, strict=True):
                    if key not in numbers:
                        numbers[key] = len(positions)
                        positions.append((one.numbers, key[1]))
                first, second = (numbers[key] for key in keys)
                of_locus[min(first, second), max(first, second)] = None
            counts.append(len(of_locus))
            pairs += of_locus
        table = EntryTable(
            _starts([len(names) for names, _ in positions]),
            np.concatenate([names for names, _ in positions]),
            np.array([is_null for _, is_null in positions], dtype=np.uint8),
            _starts(counts),
            np.array(pairs, dtype=np.int32),
        )
        return cls._of(np.arange(len(table) + 1), [table])

    @classmethod
    def _of_genotypes(cls, pairs: Sequence[tuple[Admitted, Admitted]]) -> Entries:
        """The same of single genotypes without nulls, a third of the time."""
        n = len(pairs)
        numbers = [one.numbers for pair in pairs for one in pair]
        starts = np.array([0, *accumulate(map(len, numbers))])
        at = [
            (2 * i, 2 * i if np.array_equal(first.numbers, second.numbers) else 2 * i + 1)
            for i, (first, second) in enumerate(pairs)
        ]
        # With the entry that follows the last.
        names = np.zeros(starts[-1] + 1, dtype=np.int32)
        classes = np.zeros(starts[-1] + 1, dtype=np.uint8)
        ends, overlap = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.uint8)
        merge_positions(
            starts, np.concatenate(numbers), np.array(at), ends, names, classes, overlap
        )
        together = [
            _OF_KIND[0 if first == second else 1 + meet]
            for (first, second), meet in zip(at, overlap.tolist(), strict=True)
        ]
        size = int(ends[-1]) + 1
        arrays = EntryArrays(
            np.array([*range(n + 1), n, n]),
            np.array([0, *ends.tolist(), size]),
            names[:size],
            classes[:size],
            np.array([0, *accumulate([*map(len, together), 1])]),
            np.array([*chain.from_iterable(together), 1], dtype=np.uint64),
        )
        no = np.zeros(n, dtype=bool)
        return cls(arrays, no, no)

    def held_by(self, codes: Int32s) -> tuple[EntryArrays, Int32s]:
        """The entries that some typings (n, n_loci) have, by themselves, and the codes of these.

        What a search has to remember of entries is then as little as its candidates are few.
        """
        n_loci = codes.shape[1]
        if self.arrays.base[n_loci] == n_loci:
            # One entry a locus, so everybody has them all.
            return self.arrays, codes
        numbers = np.empty((n_loci, len(codes)), dtype=np.int32)
        distinct = np.empty(len(codes), dtype=np.int32)
        wanted = []
        for column, base in enumerate(self.arrays.base[:n_loci]):
            count = number_codes(codes[:, column], numbers[column], distinct)
            wanted.append(base + distinct[:count].astype(np.int64))
        base = _starts(map(len, wanted))
        every = np.concatenate(wanted)
        starts = _starts(self.arrays.starts[every + 1] - self.arrays.starts[every])
        class_starts = _starts(
            self.arrays.class_starts[every + 1] - self.arrays.class_starts[every]
        )
        held = EntryArrays(
            base,
            starts,
            np.empty(starts[-1], dtype=np.int32),
            np.empty(starts[-1], dtype=np.uint8),
            class_starts,
            np.empty(class_starts[-1], dtype=np.uint64),
        )
        copy_entries(
            self.arrays, every, starts, class_starts, held.names, held.classes, held.compatible
        )
        return held, np.ascontiguousarray(numbers.T)

    def any_of(self, codes: Int32s, flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """(n,) whether any entry of a typing, one row of codes (n, n_loci), is flagged."""
        if not flags.any():
            return np.zeros(len(codes), dtype=bool)
        found: npt.NDArray[np.bool_] = flags[codes + self.arrays.base[: codes.shape[1]]].any(axis=1)
        return found


@dataclass
class _Block:
    """Names and classes of typings one after another, and the sizes of each."""

    n_names: Int64s
    names: Int32s
    classes: Bytes
    n_classes: Int64s
    compatible: npt.NDArray[np.uint64]
    unsummed: npt.NDArray[np.bool_]


def _has_null(table: EntryTable) -> npt.NDArray[np.bool_]:
    of_pair = table.is_null[table.pairs].any(axis=1)
    found: npt.NDArray[np.bool_] = np.logical_or.reduceat(of_pair, table.starts[:-1])
    return found


def _expanded(table: EntryTable) -> _Block:
    """What every typing of a table admits."""
    is_list = table.starts[1:] - table.starts[:-1] > 1
    if not is_list.any():
        return _genotypes(table, table.pairs)
    blocks, start = [], 0
    for end in [*np.flatnonzero(is_list).tolist(), len(table)]:
        if start < end:
            blocks.append(_genotypes(table, table.pairs[table.starts[start] : table.starts[end]]))
        if end < len(table):
            blocks.append(_list(table, table.pairs[table.starts[end] : table.starts[end + 1]]))
        start = end + 1
    return _Block(
        np.concatenate([block.n_names for block in blocks]),
        np.concatenate([block.names for block in blocks]),
        np.concatenate([block.classes for block in blocks]),
        np.concatenate([block.n_classes for block in blocks]),
        np.concatenate([block.compatible for block in blocks]),
        np.concatenate([block.unsummed for block in blocks]),
    )


def _genotypes(table: EntryTable, pairs: Int32s) -> _Block:
    """Single genotypes."""
    wide = pairs.astype(np.int64)
    room = int((table.name_starts[wide + 1] - table.name_starts[wide]).sum())
    ends = np.empty(len(wide), dtype=np.int64)
    names, classes = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.uint8)
    overlap = np.empty(len(wide), dtype=np.uint8)
    merge_positions(table.name_starts, table.names, wide, ends, names, classes, overlap)
    kinds = np.where(wide[:, 0] == wide[:, 1], 0, 1 + overlap)
    n_names = ends.copy()
    n_names[1:] -= ends[:-1]
    n = int(ends[-1])
    return _Block(
        n_names,
        names[:n],
        classes[:n],
        kinds.astype(np.int64) + 1,
        _TOGETHER[kinds][kinds[:, None] >= _CLASSES],
        np.zeros(len(wide), dtype=bool),
    )


def _list(table: EntryTable, pairs: Int32s) -> _Block:
    """One genotype list; no class where they would be too many."""
    sides = np.zeros((2 * len(pairs), int(table.names.max()) + 1), dtype=bool)
    for side, position in enumerate(pairs.ravel().tolist()):
        sides[side, table.names[slice(*table.name_starts[position : position + 2])]] = True
    names = np.flatnonzero(sides.any(axis=0)).astype(np.int32)
    kinds, classes = np.unique(sides[:, names], axis=1, return_inverse=True)
    n_classes = kinds.shape[1]
    is_beyond = n_classes > MAX_LOCUS_CLASSES
    if is_beyond:
        names, classes, n_classes, kinds = names[:0], classes.ravel()[:0], 0, kinds[:, :0]
    first, second = kinds[::2].astype(np.int64), kinds[1::2].astype(np.int64)
    together = (first.T @ second + second.T @ first) > 0
    bits = [sum(1 << int(d) for d in np.flatnonzero(row)) for row in together]
    return _Block(
        np.array([len(names)], dtype=np.int64),
        names,
        classes.ravel().astype(np.uint8),
        np.array([n_classes], dtype=np.int64),
        np.array(bits, dtype=np.uint64),
        np.array([is_beyond]),
    )
