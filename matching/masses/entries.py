"""The distinct typings of a locus, as what they admit of a frequency set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from matching.haplotypes import Imputer, NullImputation
from matching.masses.arrays import Bytes, Int32s, Int64s
from matching.masses.total_kernels import MAX_LOCUS_CLASSES, merge_positions
from matching.typings import Position, parse_locus, parse_position

UNTYPED = 0

_Pair = tuple[int, int]


@dataclass
class _Block:
    """Entries added at one time: names and classes one after another, sizes of each."""

    n_names: Int64s
    names: Int32s
    classes: Bytes
    n_classes: Int64s
    compatible: npt.NDArray[np.uint64]


@dataclass
class LocusEntries:
    """Gives every distinct typing of a locus a code, by what it admits of the imputer's set.

    Written texts that admit the same haplotype pairs share one code; `UNTYPED` admits all.
    `exact`: whether the typing must be imputed pair by pair to be compared, since a null takes its
    partner's token there; `unsummed`: whether even its mass must be, since its genotype list
    sorts the names of the set into more than `MAX_LOCUS_CLASSES` classes.
    """

    imputer: Imputer
    column: int
    exact: list[bool] = field(init=False, default_factory=list)
    unsummed: list[bool] = field(init=False, default_factory=list)
    _texts: dict[str, int] = field(init=False, default_factory=dict)
    # Number of each position by its text and by what it admits; the latter in order.
    _written: dict[str, int] = field(init=False, default_factory=dict)
    _numbers: dict[tuple[bytes, bool], int] = field(init=False, default_factory=dict)
    _admitted: list[npt.NDArray[np.int32]] = field(init=False, default_factory=list)
    _is_null: list[bool] = field(init=False, default_factory=list)
    _codes: dict[tuple[_Pair, ...], int] = field(init=False, default_factory=dict)
    _blocks: list[_Block] = field(init=False, default_factory=list)
    # Single genotypes and lists whose arrays are yet to be made, in the order of their codes.
    _waiting: list[tuple[_Pair, ...]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        everything = np.ones(len(self.imputer.frequencies.names[self.column]), dtype=bool)
        number = self._number(everything, False)
        self._code(((number, number),))

    def __len__(self) -> int:
        return len(self.exact)

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
        return self._number(*self.imputer.admitted(self.column, position))

    def _number(self, names: npt.NDArray[np.bool_], is_null: bool) -> int:
        # Only typed nulls make a difference beyond the names that they admit.
        is_null = is_null and self.imputer.nulls is NullImputation.TYPED
        key = np.packbits(names).tobytes(), is_null
        number = self._numbers.setdefault(key, len(self._admitted))
        if number == len(self._admitted):
            self._admitted.append(np.flatnonzero(names).astype(np.int32))
            self._is_null.append(is_null)
        return number

    def _code(self, pairs: tuple[_Pair, ...]) -> int:
        code = self._codes.get(pairs)
        if code is None:
            code = self._codes[pairs] = len(self.exact)
            null = any(self._is_null[i] for pair in pairs for i in pair)
            self.exact.append(null)
            self.unsummed.append(False)
            self._waiting.append(pairs)
        return code

    def arrays(self) -> tuple[Int64s, Int32s, Bytes, Int64s, npt.NDArray[np.uint64]]:
        """Names of each entry, names, classes, classes of each entry, their compatibility."""
        if self._waiting:
            lists = [len(pairs) > 1 for pairs in self._waiting]
            start = 0
            for end in range(1, len(lists) + 1):
                if end == len(lists) or lists[end] or lists[start]:
                    self._add(self._waiting[start:end])
                    start = end
            self._waiting.clear()
            self._blocks = [
                _Block(
                    np.concatenate([block.n_names for block in self._blocks]),
                    np.concatenate([block.names for block in self._blocks]),
                    np.concatenate([block.classes for block in self._blocks]),
                    np.concatenate([block.n_classes for block in self._blocks]),
                    np.concatenate([block.compatible for block in self._blocks]),
                )
            ]
        (block,) = self._blocks
        return block.n_names, block.names, block.classes, block.n_classes, block.compatible

    def _add(self, entries: Sequence[tuple[_Pair, ...]]) -> None:
        """Add the arrays of one genotype list, or of many single genotypes."""
        if len(entries[0]) > 1:
            self._blocks.append(self._list(entries[0]))
            return
        pairs = np.array([entry[0] for entry in entries], dtype=np.int64)
        sizes = np.array([len(names) for names in self._admitted], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        room = int(sizes[pairs].sum())
        ends = np.empty(len(pairs), dtype=np.int64)
        names, classes = np.empty(room, dtype=np.int32), np.empty(room, dtype=np.uint8)
        overlap = np.empty(len(pairs), dtype=np.uint8)
        merge_positions(
            starts, np.concatenate(self._admitted), pairs, ends, names, classes, overlap
        )
        # One class that goes with itself, two that go together, or a third that goes with all.
        kinds = np.where(pairs[:, 0] == pairs[:, 1], 0, 1 + overlap)
        compatible = np.array([[1, 0, 0], [0b10, 0b01, 0], [0b110, 0b101, 0b111]], dtype=np.uint64)
        used = np.arange(3) <= kinds[:, None]
        self._blocks.append(
            _Block(
                np.diff(ends, prepend=0),
                names[: ends[-1]],
                classes[: ends[-1]],
                kinds.astype(np.int64) + 1,
                compatible[kinds][used],
            )
        )

    def _list(self, pairs: tuple[_Pair, ...]) -> _Block:
        sides = np.zeros((2 * len(pairs), len(self._admitted[0])), dtype=bool)
        for k, pair in enumerate(pairs):
            for side, number in enumerate(pair):
                sides[2 * k + side, self._admitted[number]] = True
        names = np.flatnonzero(sides.any(axis=0)).astype(np.int32)
        kinds, classes = np.unique(sides[:, names], axis=1, return_inverse=True)
        n_classes = kinds.shape[1]
        if n_classes > MAX_LOCUS_CLASSES:
            code = self._codes[pairs]
            self.exact[code] = self.unsummed[code] = True
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
        )
