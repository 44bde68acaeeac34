"""Typing + Nomenclature -> P group codes, and the code books of a donor index.

What a person presents at a locus is two sets of P groups (rule R1). Nulls inside a string,
group or shorter name are dropped unless nothing else is left (R4); a position with no P group
takes its partner's (R3).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from matching.errors import TypingError
from matching.loci import LOCI, N_LOCI, Locus, PerLocus
from matching.nomenclature import NO_P_GROUP, Nomenclature
from matching.typings import LocusTyping, Position, Typing, parse_locus

UNTYPED = 0


@dataclass(frozen=True, slots=True)
class LocusGenotype:
    """What one typed locus presents.

    `first` and `second`: sorted P group codes of the release's `p_group_names`.
    `linked`: a position is null, so both sets are the same and stand for one draw; both are
    empty where both positions are null.
    `tce`: TCE v2 group of each position (DPB1 only), 0 for none; a null has its partner's.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    linked: bool
    tce: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Genotype:
    """What a person presents; None where a locus is untyped.

    `notes`: names that were followed through the records of renamed or deleted alleles.
    """

    loci: PerLocus[LocusGenotype | None]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _ReadPosition:
    groups: tuple[int, ...]
    tce: int
    notes: tuple[str, ...]


def _read_position(locus: Locus, position: Position, nomenclature: Nomenclature) -> _ReadPosition:
    readings = [nomenclature.read(name) for name in position.names]
    alleles = nomenclature.expressing(i for reading in readings for i in reading.alleles)
    found = list(alleles)
    codes = set(nomenclature.p_group_codes[found].tolist()) - {NO_P_GROUP}
    # R14: the one distinct group that the alleles have, else none.
    tce = set(nomenclature.tce_groups[found].tolist()) - {0}
    return _ReadPosition(
        tuple(sorted(codes)),
        tce.pop() if locus is Locus.DPB1 and len(tce) == 1 else 0,
        tuple(reading.note for reading in readings if reading.note),
    )


def encode_locus(
    locus: Locus, typing: LocusTyping, nomenclature: Nomenclature
) -> tuple[LocusGenotype, tuple[str, ...]]:
    """What one written locus presents, and the notes of reading it. Raises `TypingError`."""
    first = _read_position(locus, typing.first, nomenclature)
    second = _read_position(locus, typing.second, nomenclature)
    return _combine(first, second), (*first.notes, *second.notes)


def _combine(first: _ReadPosition, second: _ReadPosition) -> LocusGenotype:
    """Both positions of a locus; a null takes its partner's groups (R3)."""
    linked = not first.groups or not second.groups
    if linked:
        expressed = first if first.groups else second
        tce = (expressed.tce, expressed.tce)
        return LocusGenotype(expressed.groups, expressed.groups, True, tce)
    return LocusGenotype(first.groups, second.groups, False, (first.tce, second.tce))


def encode(typing: Typing, nomenclature: Nomenclature) -> Genotype:
    """What a person presents under a release. Raises `TypingError`."""
    notes: list[str] = []
    loci: dict[Locus, LocusGenotype | None] = {}
    for locus, written in typing.loci.items():
        if written is not None:
            loci[locus], read_notes = encode_locus(locus, written, nomenclature)
            notes.extend(read_notes)
    return Genotype(PerLocus.of(loci, None), tuple(dict.fromkeys(notes)))


@dataclass(frozen=True)
class Book:
    """The distinct genotypes of one locus as arrays (see `matching.kernels` for the encoding).

    `offsets` (2 n_entries + 1,) int64, `groups` int32, `linked` (n_entries,) uint8 and
    `tce` (n_entries, 2) uint8. Entry `UNTYPED` holds nothing.
    """

    offsets: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int32]
    linked: npt.NDArray[np.uint8]
    tce: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.linked)

    def entry(self, code: int) -> LocusGenotype:
        """The genotype of a code other than `UNTYPED`."""
        start, middle, end = self.offsets[2 * code : 2 * code + 3]
        return LocusGenotype(
            tuple(self.groups[start:middle].tolist()),
            tuple(self.groups[middle:end].tolist()),
            bool(self.linked[code]),
            (int(self.tce[code, 0]), int(self.tce[code, 1])),
        )


@dataclass
class BookBuilder:
    """Gives each distinct genotype of one locus a code, and each distinct text its genotype.

    A text and a position are read once, so a registry costs a dictionary look-up a donor and
    locus.
    """

    locus: Locus
    nomenclature: Nomenclature
    entries: list[LocusGenotype] = field(default_factory=list)
    _codes: dict[LocusGenotype, int] = field(default_factory=dict)
    _read: dict[str, tuple[str | None, int] | TypingError] = field(default_factory=dict)
    _positions: dict[Position, _ReadPosition] = field(default_factory=dict)

    def canonical(self, text: str) -> tuple[str | None, int]:
        """Canonical text and code of a written locus; (None, `UNTYPED`) where it is untyped.

        Raises `TypingError`, the same one for the same text.
        """
        known = self._read.get(text)
        if known is None:
            try:
                known = self._code(text)
            except TypingError as error:
                known = error
            self._read[text] = known
        if isinstance(known, TypingError):
            raise known
        return known

    def _code(self, text: str) -> tuple[str | None, int]:
        typing = parse_locus(self.locus, text)
        if typing is None:
            return None, UNTYPED
        genotype = _combine(self._position(typing.first), self._position(typing.second))
        code = self._codes.get(genotype)
        if code is None:
            self.entries.append(genotype)
            code = self._codes[genotype] = len(self.entries)
        return typing.text, code

    @property
    def notes(self) -> frozenset[str]:
        """How names of the texts so far were followed through renamed or deleted ones."""
        return frozenset(note for read in self._positions.values() for note in read.notes)

    def _position(self, position: Position) -> _ReadPosition:
        known = self._positions.get(position)
        if known is None:
            known = _read_position(self.locus, position, self.nomenclature)
            self._positions[position] = known
        return known

    def book(self) -> Book:
        """The entries so far as arrays."""
        sets = [((), ()), *((entry.first, entry.second) for entry in self.entries)]
        flat = [groups for pair in sets for groups in pair]
        offsets = np.zeros(len(flat) + 1, dtype=np.int64)
        np.cumsum([len(groups) for groups in flat], out=offsets[1:])
        return Book(
            offsets,
            np.array([code for groups in flat for code in groups], dtype=np.int32),
            np.array([0, *(entry.linked for entry in self.entries)], dtype=np.uint8),
            np.array([(0, 0), *(entry.tce for entry in self.entries)], dtype=np.uint8),
        )


def book_builders(nomenclature: Nomenclature) -> Mapping[Locus, BookBuilder]:
    """An empty builder for each locus."""
    return {locus: BookBuilder(locus, nomenclature) for locus in LOCI}


@dataclass(frozen=True)
class DonorIndex:
    """The searchable form of a registry.

    `codes`: (n_donors, `N_LOCI`) uint32, entries of `books`, columns in the order of `LOCI`.
    Donors are in the order of their identifiers, so a row number is a stable tie-break.
    """

    codes: npt.NDArray[np.uint32]
    books: PerLocus[Book]

    def __post_init__(self) -> None:
        if self.codes.ndim != 2 or self.codes.shape[1] != N_LOCI:
            raise ValueError(f"codes have shape (n_donors, {N_LOCI}), got {self.codes.shape}")

    def __len__(self) -> int:
        return len(self.codes)
