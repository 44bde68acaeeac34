"""Haplotype frequencies, and typings as weighted genotypes under them (rule R16).

A person is every pair of haplotypes of the set that explains the typing, with weight f1 f2,
doubled where the two differ; pairs that look the same unphased are added up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, product

import numpy as np
import numpy.typing as npt

from matching import kernels
from matching.errors import TooAmbiguousError, TypingError
from matching.haplotypes.frequencies import FrequencySet
from matching.nomenclature import NO_P_GROUP, Nomenclature, split_name
from matching.typings import ABSENT_GENE, Form, Position, Typing

MAX_PAIRS = 20_000_000
MAX_CHOICES = 10_000
NOTHING = 0


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
class ImputedGenotypes:
    """Unphased genotypes of many people, person p at `offsets[p]:offsets[p + 1]`.

    `codes`: (n_genotypes, n_loci) int32 positions in `Imputer.genotypes`. `weights`:
    (n_genotypes,) float64, summing to 1 for each person. `mass`: (n_people,) float64, the sum
    of the weights before that; 0 is "unrepresented": no pair of the set explains the typing.
    """

    offsets: npt.NDArray[np.int64]
    codes: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float64]
    mass: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.mass)


@dataclass
class _Explained:
    """What one written position admits: (n_names,) bool, and whether it is null."""

    names: npt.NDArray[np.bool_]
    is_null: bool


_ExplainedPair = tuple[_Explained, _Explained]


@dataclass
class Imputer:
    """Imputes under one set, release and choice of options; remembers what it has read.

    `unmapped`: names of the set that the release cannot read; their haplotypes explain nothing.
    """

    frequencies: FrequencySet
    nomenclature: Nomenclature
    nulls: NullImputation
    resolution: Resolution
    unmapped: tuple[str, ...] = field(init=False)
    _genotypes: list[dict[tuple[int, int], int]] = field(init=False)
    _positions: list[dict[Position, _Explained]] = field(init=False)
    _known: dict[str, tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], float]] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        n_loci = len(self.frequencies.loci)
        self._genotypes = [{} for _ in range(n_loci)]
        self._positions = [{} for _ in range(n_loci)]
        self._members: list[list[frozenset[int]]] = []
        self._tokens: list[npt.NDArray[np.int64]] = []
        self._is_null: list[npt.NDArray[np.bool_]] = []
        unmapped: list[str] = []
        for names in self.frequencies.names:
            members = [self._read(name, unmapped) for name in names]
            texts = [self._token(name, name in unmapped) for name in names]
            code = {text: i for i, text in enumerate(dict.fromkeys(texts), start=1)}
            self._members.append(members)
            self._tokens.append(np.array([code[text] for text in texts], dtype=np.int64))
            self._is_null.append(np.array([name.endswith("N") for name in names], dtype=bool))
        self.unmapped = tuple(unmapped)

    def _read(self, name: str, unmapped: list[str]) -> frozenset[int]:
        if name == ABSENT_GENE:
            return frozenset()
        try:
            return frozenset(map(self._identity, self.nomenclature.read(name).alleles))
        except TypingError:
            unmapped.append(name)
            return frozenset()

    def _identity(self, allele: int) -> int:
        """What two names must share for one to explain the other: an allele.

        The rows of a demo sample are names of several levels, so there it is the P group, and
        the row itself for a null.
        """
        if self.nomenclature.complete:
            return allele
        group = int(self.nomenclature.p_group_codes[allele])
        return -1 - allele if group == NO_P_GROUP else group

    def _token(self, name: str, unmapped: bool) -> str:
        """What the match count compares of a name of the set."""
        if self.resolution is Resolution.TWO_FIELD or unmapped or name == ABSENT_GENE:
            return name
        alleles = self.nomenclature.read(name).alleles
        groups = {self.nomenclature.alleles[i].p_group for i in alleles} - {None}
        # A null has no P group and stays itself; a name of several groups is no one group.
        return "/".join(sorted(map(str, groups))) or name

    def tokens(self, column: int) -> tuple[str, ...]:
        """What the match count compares of every name of a locus of the set: equal texts match.

        Token t of `genotypes` is the t-th distinct one of these, from 1.
        """
        names = self.frequencies.names[column]
        return tuple(self._token(name, name in self.unmapped) for name in names)

    def admitted(self, column: int, position: Position) -> tuple[npt.NDArray[np.bool_], bool]:
        """The names of the set that explain a written position, (n_names,), and whether it is
        null. Raises `TypingError`."""
        explained = self._position(column, position)
        return explained.names, explained.is_null

    def genotypes(self, column: int) -> npt.NDArray[np.int32]:
        """The distinct genotypes met so far at a locus of the set, (n, 2) tokens.

        Token `NOTHING` expresses nothing; equal tokens match.
        """
        pairs = np.array(list(self._genotypes[column]), dtype=np.int32)
        return pairs.reshape(-1, 2)

    def impute(self, typings: Iterable[Typing]) -> ImputedGenotypes:
        """The genotypes of people, in their order.

        Raises `TooAmbiguousError` where a typing admits more than `MAX_PAIRS` pairs, and
        `TypingError` for a name that the release cannot read.
        """
        people = [self.impute_one(typing) for typing in typings]
        offsets = np.zeros(len(people) + 1, dtype=np.int64)
        np.cumsum([len(weights) for _, weights, _ in people], out=offsets[1:])
        n_loci = len(self.frequencies.loci)
        return ImputedGenotypes(
            offsets,
            np.concatenate([np.empty((0, n_loci), np.int32), *(codes for codes, _, _ in people)]),
            np.concatenate([np.empty(0), *(weights for _, weights, _ in people)]),
            np.array([mass for _, _, mass in people], dtype=np.float64),
        )

    def impute_one(
        self, typing: Typing
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], float]:
        """Codes (n, n_loci), weights (n,) and mass of one person, as in `ImputedGenotypes`."""
        text = typing.text
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = self._impute(typing)
        return known

    def _impute(
        self, typing: Typing
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], float]:
        haplotypes, frequencies = self.frequencies.haplotypes, self.frequencies.frequencies
        admitted = np.ones(len(haplotypes), dtype=bool)
        units = self._units(typing)
        for column, explained in chain.from_iterable(units):
            names = np.logical_or.reduce([side.names for pair in explained for side in pair])
            admitted &= names[haplotypes[:, column]]
        rows = np.flatnonzero(admitted & (frequencies > 0))
        lists = [range(len(unit[0][1])) for unit in units]
        if (choices := math.prod(map(len, lists))) > MAX_CHOICES:
            raise TooAmbiguousError(
                f"the genotype lists of the typing allow {choices:,} choices, more than "
                f"{MAX_CHOICES:,}; type more exactly"
            )
        seen = np.empty(0, dtype=np.int64)
        parts: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]] = []
        for choice in product(*lists):
            chosen = [
                [(column, explained[k]) for column, explained in unit]
                for unit, k in zip(units, choice, strict=True)
            ]
            left, right = _explained_pairs(haplotypes[rows], chosen)
            pairs = left * len(rows) + right
            new = ~np.isin(pairs, seen)
            seen = np.concatenate([seen, pairs[new]])
            left, right = rows[left[new]], rows[right[new]]
            weights = frequencies[left] * frequencies[right] * np.where(left == right, 1.0, 2.0)
            typed = dict(chain.from_iterable(chosen))
            parts.append((self._coded(left, right, typed), weights))
        codes = np.concatenate([codes for codes, _ in parts])
        weights = np.concatenate([weights for _, weights in parts])
        mass = float(weights.sum())
        if not mass:
            return codes[:0], weights[:0], 0.0
        group = np.zeros(len(codes), dtype=np.int64)
        for column in range(codes.shape[1]):
            # Renumbered after each locus, so that the product cannot overflow.
            span = int(codes[:, column].max()) + 1
            _, group = np.unique(group * span + codes[:, column], return_inverse=True)
        _, first = np.unique(group, return_index=True)
        return codes[first], np.bincount(group, weights) / mass, mass

    def _units(self, typing: Typing) -> list[list[tuple[int, list[_ExplainedPair]]]]:
        """The typed columns of the set, those in phase together; each with what explains it.

        One pair of positions for each genotype of a list.
        """
        column_of = {locus: column for column, locus in enumerate(self.frequencies.loci)}
        phased = set(chain.from_iterable(typing.phase))
        blocks = [*typing.phase, *((locus,) for locus in column_of if locus not in phased)]
        units = []
        for block in blocks:
            unit = []
            for locus in block:
                written = typing.loci[locus]
                if locus in column_of and written is not None:
                    column = column_of[locus]
                    explained = [
                        (self._position(column, first), self._position(column, second))
                        for first, second in written.alternatives
                    ]
                    unit.append((column, explained))
            if unit:
                units.append(unit)
        return units

    def _coded(
        self,
        left: npt.NDArray[np.int64],
        right: npt.NDArray[np.int64],
        typed: Mapping[int, _ExplainedPair],
    ) -> npt.NDArray[np.int32]:
        """Codes of the genotypes of haplotype pairs, (n, n_loci)."""
        haplotypes = self.frequencies.haplotypes
        codes = np.empty((len(left), haplotypes.shape[1]), dtype=np.int32)
        for column in range(codes.shape[1]):
            i, j = haplotypes[left, column], haplotypes[right, column]
            a, b = self._expressed(column, typed.get(column), i, j)
            codes[:, column] = self._codes(column, np.minimum(a, b), np.maximum(a, b))
        return codes

    def _position(self, column: int, position: Position) -> _Explained:
        known = self._positions[column].get(position)
        if known is None:
            known = self._positions[column][position] = self._explain(column, position)
        return known

    def _explain(self, column: int, position: Position) -> _Explained:
        names = self.frequencies.names[column]
        if position.form in (Form.NEW, Form.UNTYPED):
            # No set holds a new allele; any name explains an untyped position.
            return _Explained(np.full(len(names), position.form is Form.UNTYPED), False)
        if position.form is Form.ABSENT:
            return _Explained(np.array([name == ABSENT_GENE for name in names]), True)
        alleles = tuple(i for name in position.names for i in self.nomenclature.read(name).alleles)
        if self.resolution is Resolution.P_GROUP:
            typed = self.nulls is NullImputation.TYPED
            kept = set(self.nomenclature.expressing(alleles) if typed else alleles)
            shared = frozenset(map(self._identity, kept))
            held = [not shared.isdisjoint(members) for members in self._members[column]]
            is_null = all(self.nomenclature.alleles[i].p_group is None for i in kept)
            return _Explained(np.array(held, dtype=bool), is_null)
        if position.form in (Form.ALLELE, Form.STRING):
            written = {_two_fields(name) for name in position.names}
        else:
            written = {_two_fields(self.nomenclature.alleles[i].name) for i in alleles}
        expressed = {name for name in written if not name.endswith("N")}
        if self.nulls is NullImputation.TYPED and expressed:
            written = expressed
        held = [_two_fields(name) in written for name in names]
        return _Explained(np.array(held, dtype=bool), not expressed)

    def _expressed(
        self,
        column: int,
        explained: _ExplainedPair | None,
        i: npt.NDArray[np.int32],
        j: npt.NDArray[np.int32],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Tokens of both haplotypes of each pair, nulls replaced as the option says."""
        a, b = self._tokens[column][i], self._tokens[column][j]
        if self.nulls is NullImputation.PARTNER:
            null = self._is_null[column]
            return np.where(null[i], b, a), np.where(null[j], a, b)
        if explained is None or not (explained[0].is_null or explained[1].is_null):
            return a, b
        if explained[0].is_null and explained[1].is_null:
            return np.full_like(a, NOTHING), np.full_like(b, NOTHING)
        direct = explained[0].names[i] & explained[1].names[j]
        null_is_left = direct if explained[0].is_null else ~direct
        partner = np.where(null_is_left, b, a)
        return partner, partner

    def _codes(
        self, column: int, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        known = self._genotypes[column]
        span = len(self._tokens[column]) + 1
        keys, inverse = np.unique(low * span + high, return_inverse=True)
        codes = [known.setdefault((int(k) // span, int(k) % span), len(known)) for k in keys]
        return np.array(codes, dtype=np.int32)[inverse]


def _two_fields(name: str) -> str:
    gene, fields, suffix = split_name(name)
    return f"{gene}*{':'.join(fields[:2])}{suffix if suffix == 'N' else ''}"


def _explained_pairs(
    haplotypes: npt.NDArray[np.int32], units: Sequence[Sequence[tuple[int, _ExplainedPair]]]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Pairs of rows that explain every unit, columns in phase all in one orientation."""
    bits = np.zeros((2, len(haplotypes)), dtype=np.int64)
    for bit, unit in enumerate(units):
        for side in range(2):
            held = np.logical_and.reduce(
                [pair[side].names[haplotypes[:, column]] for column, pair in unit]
            )
            bits[side] |= np.where(held, 1 << bit, 0)
    return _pairs(bits, (1 << len(units)) - 1)


def _pairs(
    bits: npt.NDArray[np.int64], full: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    room = 4096
    while True:
        left, right = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
        count = kernels.explaining_pairs(bits[0], bits[1], full, left, right)
        if count <= room:
            return left[:count], right[:count]
        if count > MAX_PAIRS:
            raise TooAmbiguousError(
                f"{count:,} haplotype pairs explain the typing, more than {MAX_PAIRS:,}; "
                "type more loci or at higher resolution"
            )
        room = count
