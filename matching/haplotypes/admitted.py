"""What a written locus admits among the names of a frequency set, as tables for the kernels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from matching.errors import TypingError
from matching.haplotypes.frequencies import FrequencySet
from matching.imputation_kernels import ABSENT, NOTHING
from matching.memory import Memory
from matching.nomenclature import NO_P_GROUP, Nomenclature, split_name
from matching.typings import ABSENT_GENE, Form, LocusTyping, Pair, Position

Bools = npt.NDArray[np.bool_]


class NullImputation(Enum):
    """What nulls mean in imputed genotypes (rule R16).

    TYPED: nulls inside strings are dropped first, and a null takes its partner's group only
    where the typing was null. PARTNER (WMDA exercise 3): nulls of the set and inside strings stay
    possible explanations, and in the match count a null takes its partner's allele.
    """

    TYPED = "typed"
    PARTNER = "partner"


class Resolution(Enum):
    """What is compared: P groups of the release, or the two-field names as they stand."""

    P_GROUP = "p-group"
    TWO_FIELD = "two-field"


@dataclass(frozen=True)
class Table:
    """What one locus, or several in phase, admit (see `matching.explanation_kernels`).

    `columns`: of the set. `patterns`: (n_names,) uint16, (n_haplotypes,) where there are several
    columns; `compatible`: (n_patterns, n_patterns) int16; `nulls`: (n_entries, n_columns) uint8.
    """

    columns: tuple[int, ...]
    patterns: npt.NDArray[np.uint16]
    compatible: npt.NDArray[np.int16]
    nulls: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Admitted:
    """What one written position admits: (n_names,) bool, and whether it is null."""

    names: Bools
    is_null: bool

    @cached_property
    def numbers(self) -> npt.NDArray[np.int32]:
        """The admitted names, ascending."""
        return np.flatnonzero(self.names).astype(np.int32)


def _compatibility(first: Bools, second: Bools) -> npt.NDArray[np.int16]:
    """Which patterns explain an entry of a list together; first, second: (n_patterns, n_entries).

    The first entry counts, and of both orientations the one as written.
    """
    n, n_entries = first.shape
    found = np.full((n, n), -1, dtype=np.int16)
    for entry in reversed(range(n_entries)):
        found[second[:, entry, None] & first[None, :, entry]] = 2 * entry + 1
        found[first[:, entry, None] & second[None, :, entry]] = 2 * entry
    return found


# What positions admit is remembered in about as many bytes, beside what comes with each.
_MOST_BYTES = 100_000_000
_OF_POSITION = 500

# Patterns of one genotype: neither position, the first, the second, both.
_FIRST = np.array([[False], [True], [False], [True]])
_SECOND = np.array([[False], [False], [True], [True]])
_OF_ONE = _compatibility(_FIRST, _SECOND)


@dataclass
class Admission:
    """Reads positions against the names of one set; remembers what it has read, within a bound.

    One object serves any number of threads.

    `unmapped`: names of the set that the release cannot read; their haplotypes explain nothing.
    """

    frequencies: FrequencySet
    nomenclature: Nomenclature
    nulls: NullImputation
    resolution: Resolution
    unmapped: tuple[str, ...] = field(init=False)
    # Of every locus: token of each name, and whether it is a null by name.
    tokens: tuple[npt.NDArray[np.int32], ...] = field(init=False)
    null_names: tuple[npt.NDArray[np.uint8], ...] = field(init=False)
    token_names: tuple[tuple[str, ...], ...] = field(init=False)
    _positions: Memory[tuple[int, Position], Admitted] = field(init=False)

    def __post_init__(self) -> None:
        self._positions = Memory(_MOST_BYTES, lambda admitted: _OF_POSITION + len(admitted.names))
        # Names of the set by what they must share with a written name to explain it.
        self._by_identity: list[dict[int, list[int]]] = []
        self._by_protein: list[dict[str, list[int]]] = []
        tokens, null_names, token_names = [], [], []
        unmapped: dict[str, None] = {}
        for names in self.frequencies.names:
            by_identity: defaultdict[int, list[int]] = defaultdict(list)
            by_protein: defaultdict[str, list[int]] = defaultdict(list)
            texts = []
            for i, name in enumerate(names):
                alleles = self._read(name)
                if alleles is None:
                    unmapped[name] = None
                for identity in set(map(self._identity, alleles or ())):
                    by_identity[identity].append(i)
                by_protein[_protein(name)].append(i)
                texts.append(self._token(name, alleles))
            code: dict[str, int] = {"": NOTHING, ABSENT_GENE: ABSENT}
            for text in texts:
                code.setdefault(text, len(code))
            self._by_identity.append(by_identity)
            self._by_protein.append(by_protein)
            tokens.append(np.array([code[text] for text in texts], dtype=np.int32))
            null = [name.endswith("N") and name != ABSENT_GENE for name in names]
            null_names.append(np.array(null, dtype=np.uint8))
            token_names.append(tuple(code))
        self.tokens, self.null_names = tuple(tokens), tuple(null_names)
        self.token_names = tuple(token_names)
        self.unmapped = tuple(unmapped)

    def _read(self, name: str) -> tuple[int, ...] | None:
        """The alleles of a name of the set, None where the release cannot read it."""
        if name == ABSENT_GENE:
            return ()
        try:
            return self.nomenclature.read(name).alleles
        except TypingError:
            return None

    def _identity(self, allele: int) -> int:
        """What two names must share for one to explain the other: an allele.

        The rows of a demo sample are names of several levels, so there it is the P group, and
        the row itself for a null.
        """
        if self.nomenclature.complete:
            return allele
        group = int(self.nomenclature.p_group_codes[allele])
        return -1 - allele if group == NO_P_GROUP else group

    def _token(self, name: str, alleles: tuple[int, ...] | None) -> str:
        """What the match count compares of a name of the set."""
        if self.resolution is Resolution.TWO_FIELD or not alleles:
            return name
        groups = {self.nomenclature.alleles[i].p_group for i in alleles} - {None}
        # A null has no P group and stays itself; a name of several groups is no one group.
        return "/".join(sorted(map(str, groups))) or name

    @cached_property
    def n_names(self) -> tuple[int, ...]:
        """Names of the set at each locus."""
        return tuple(map(len, self.frequencies.names))

    def table(self, columns: Sequence[int], typings: Sequence[LocusTyping]) -> Table:
        """What a locus, or loci in phase, admit. Raises `TypingError`."""
        entries = list(zip(*(typing.alternatives for typing in typings), strict=True))
        if len(columns) == 1 and len(entries) == 1:
            first, second = (self.admitted(columns[0], position) for position in entries[0][0])
            patterns = first.names.astype(np.uint16) + 2 * second.names
            nulls = np.array([[first.is_null + 2 * second.is_null]], dtype=np.uint8)
            return Table(tuple(columns), patterns.astype(np.uint16), _OF_ONE, nulls)
        firsts, seconds, nulls_of = [], [], []
        for entry in entries:
            found = [self._entry(c, pair) for c, pair in zip(columns, entry, strict=True)]
            sides = [(first, second) for first, second, _ in found]
            if len(columns) > 1:
                rows = self.frequencies.haplotypes.T[list(columns)]
                sides = [(f[own], s[own]) for (f, s), own in zip(sides, rows, strict=True)]
            firsts.append(np.logical_and.reduce([first for first, _ in sides]))
            seconds.append(np.logical_and.reduce([second for _, second in sides]))
            nulls_of.append([null for _, _, null in found])
        bits = np.array(firsts + seconds).T
        packed = np.packbits(bits, axis=1)
        distinct, inverse = np.unique(packed, axis=0, return_inverse=True)
        held = np.unpackbits(distinct, axis=1, count=bits.shape[1]).astype(bool)
        if held[0].any():
            # Pattern 0 is what fits nowhere.
            held = np.vstack([np.zeros_like(held[:1]), held])
            inverse = inverse + 1
        first_of, second_of = held[:, : len(entries)], held[:, len(entries) :]
        return Table(
            tuple(columns),
            inverse.ravel().astype(np.uint16),
            _compatibility(first_of, second_of),
            np.array(nulls_of, dtype=np.uint8),
        )

    def _entry(self, column: int, pair: Pair) -> tuple[Bools, Bools, int]:
        """What both positions admit, and which of them are null."""
        first, second = (self.admitted(column, position) for position in pair)
        return first.names, second.names, first.is_null + 2 * second.is_null

    def admitted(self, column: int, position: Position) -> Admitted:
        """What one position admits. Raises `TypingError`."""
        return self._positions.of((column, position), lambda: self._admit(column, position))

    def _admit(self, column: int, position: Position) -> Admitted:
        names = np.zeros(self.n_names[column], dtype=bool)
        if position.form in (Form.NEW, Form.UNTYPED):
            # No set holds a new allele; any name explains an untyped position.
            names[:] = position.form is Form.UNTYPED
            return Admitted(names, False)
        if position.form is Form.ABSENT:
            names[self._by_protein[column].get(_protein(ABSENT_GENE), [])] = True
            return Admitted(names, False)
        alleles = tuple(i for name in position.names for i in self.nomenclature.read(name).alleles)
        if self.resolution is Resolution.P_GROUP:
            typed = self.nulls is NullImputation.TYPED
            kept = set(self.nomenclature.expressing(alleles) if typed else alleles)
            of_identity = self._by_identity[column]
            found = [of_identity.get(i, ()) for i in map(self._identity, kept)]
            names[list(chain.from_iterable(found))] = True
            is_null = all(self.nomenclature.alleles[i].p_group is None for i in kept)
            return Admitted(names, is_null)
        if position.form in (Form.ALLELE, Form.STRING):
            written = {_protein(name) for name in position.names}
        else:
            written = {_protein(self.nomenclature.alleles[i].name) for i in alleles}
        expressed = {name for name in written if not name.endswith("N")}
        if self.nulls is NullImputation.TYPED and expressed:
            written = expressed
        for name in written:
            names[self._by_protein[column].get(name, [])] = True
        return Admitted(names, not expressed)


def _protein(name: str) -> str:
    """Two fields of a name or group, with the N of a null."""
    gene, fields, suffix = split_name(name.rstrip("gGP"))
    return f"{gene}*{':'.join(fields[:2])}{suffix if suffix == 'N' else ''}"
