"""Typing + Nomenclature -> P group codes, and the code books of donors.

What a person presents at a locus is two sets of P groups (rule R1), or a list of such pairs where
a genotype list was written. Nulls inside a string, group or shorter name are dropped unless
nothing else is left (R4); a position with no P group takes its partner's (R3), and so does the
absent one of DRB3/4/5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from matching.errors import (
    HalfTypedError,
    IncompleteReferenceError,
    TypingError,
    without_frames,
)
from matching.kernels import ABSENT_GENE
from matching.loci import LOCI, Locus, PerLocus
from matching.nomenclature import ALTERED_SUFFIXES, NO_P_GROUP, Nomenclature
from matching.typings import Form, LocusTyping, Position, Typing, parse_locus

UNTYPED = 0
# In place of a code: the text cannot be read.
UNREADABLE = -1
# Texts that cannot be read are remembered up to this number, so that they cannot fill the memory.
MAX_ERRORS = 20_000
# Code of a new allele, which is in no P group and matches nobody.
NEW_ALLELE = -3


@dataclass(frozen=True, slots=True)
class LocusGenotype:
    """What one typed locus presents.

    `first` and `second`: sorted P group codes of the release's `p_group_names`, or `NEW_ALLELE`,
    or `ABSENT_GENE` where no copy of DRB3/4/5 is there.
    `linked`: a position is null, so both sets are the same and stand for one draw; both are
    empty where both positions are null.
    `tce`: TCE v2 group of each position (DPB1 only), 0 for none; a null has its partner's.
    `altered`: which positions can only be alleles of low, altered or questionable expression (L, S,
    Q, C or A); they match as others do, but no antibody is known to reach them. A null has its
    partner's.
    `others`: the further genotypes of a list, of which one is the true one.
    """

    first: tuple[int, ...]
    second: tuple[int, ...]
    linked: bool
    tce: tuple[int, int] = (0, 0)
    altered: tuple[bool, bool] = (False, False)
    others: tuple[LocusGenotype, ...] = ()

    @property
    def alternatives(self) -> tuple[LocusGenotype, ...]:
        """Every genotype of the list, each without `others`."""
        return (replace(self, others=()), *self.others) if self.others else (self,)


@dataclass(frozen=True, slots=True)
class Genotype:
    """What a person presents; None where a locus is untyped.

    `notes`: names that were followed through the records of renamed or deleted alleles.
    """

    loci: PerLocus[LocusGenotype | None]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadPosition:
    """What one position presents: sorted P group codes, and TCE v2 group.

    `form` is `Form.ABSENT` or `Form.UNTYPED` where it is one of these, else None."""

    groups: tuple[int, ...]
    tce: int
    notes: tuple[str, ...] = ()
    form: Form | None = None
    altered: bool = False


def read_groups(locus: Locus, position: Position, nomenclature: Nomenclature) -> ReadPosition:
    """What a written position of a locus presents. Raises `TypingError`."""
    if position.form is Form.NEW:
        return ReadPosition((NEW_ALLELE,), 0)
    if position.form is Form.ABSENT:
        return ReadPosition((), 0, form=Form.ABSENT)
    if position.form is Form.UNTYPED:
        return _any_allele(locus, position, nomenclature)
    readings = [nomenclature.read(name) for name in position.names]
    alleles = nomenclature.expressing([i for reading in readings for i in reading.alleles])
    found = list(alleles)
    codes = set(nomenclature.p_group_codes[found].tolist()) - {NO_P_GROUP}
    # R14: the one distinct group that the alleles have, else none.
    tce = set(nomenclature.tce_groups[found].tolist()) - {0}
    return ReadPosition(
        tuple(sorted(codes)),
        tce.pop() if locus is Locus.DPB1 and len(tce) == 1 else 0,
        tuple(reading.note for reading in readings if reading.note),
        altered=all(nomenclature.alleles[i].name[-1] in ALTERED_SUFFIXES for i in found),
    )


def _any_allele(locus: Locus, position: Position, nomenclature: Nomenclature) -> ReadPosition:
    """A position that is said to be untyped: every P group of the locus, or no gene at all."""
    if nomenclature.strict:
        raise HalfTypedError(
            locus.value,
            position.text,
            "only one of two positions is typed; the lenient reading takes it for any allele",
        )
    if not nomenclature.complete:
        raise IncompleteReferenceError(
            locus.value,
            position.text,
            "any allele cannot be expanded in the demo reference; "
            "install a release: graftmatch reference install 3.58.0",
        )
    prefixes = tuple(f"{gene}*" for gene in locus.genes)
    codes = [i for i, name in enumerate(nomenclature.p_group_names) if name.startswith(prefixes)]
    absent = [ABSENT_GENE] if locus is Locus.DRB345 else []
    note = f"locus {locus.value}: one position is untyped and read as any allele"
    return ReadPosition((*absent, *codes), 0, (note,), Form.UNTYPED)


def encode_locus(
    locus: Locus, typing: LocusTyping, nomenclature: Nomenclature
) -> tuple[LocusGenotype, tuple[str, ...]]:
    """What one written locus presents, and the notes of reading it. Raises `TypingError`."""
    read = {
        position: read_groups(locus, position, nomenclature)
        for position in chain.from_iterable(typing.alternatives)
    }
    return genotype_of(typing, read), tuple(note for found in read.values() for note in found.notes)


def genotype_of(typing: LocusTyping, read: Mapping[Position, ReadPosition]) -> LocusGenotype:
    """What a written locus presents, from what each of its positions does."""
    first, *others = dict.fromkeys(_combine(read[a], read[b]) for a, b in typing.alternatives)
    return replace(first, others=tuple(others)) if others else first


def _combine(first: ReadPosition, second: ReadPosition) -> LocusGenotype:
    """Both positions of a genotype; a null takes its partner's groups (R3)."""
    linked = not first.groups or not second.groups
    if linked:
        expressed = first if first.groups else second
        both_absent = first.form is second.form is Form.ABSENT
        groups = (ABSENT_GENE,) if both_absent else expressed.groups
        altered = expressed.altered, expressed.altered
        return LocusGenotype(groups, groups, True, (expressed.tce, expressed.tce), altered)
    altered = first.altered, second.altered
    return LocusGenotype(first.groups, second.groups, False, (first.tce, second.tce), altered)


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

    Entry e is the alternatives `starts[e]:starts[e + 1]` of its genotype list, one for most.
    `starts` (n_entries + 1,) int64, `offsets` (2 n_alternatives + 1,) int64, `groups` int32,
    `linked` (n_alternatives,) uint8, `tce` and `altered` (n_alternatives, 2) uint8. Entry
    `UNTYPED` is one alternative that holds nothing.
    """

    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int32]
    linked: npt.NDArray[np.uint8]
    tce: npt.NDArray[np.uint8]
    altered: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, entries: Sequence[LocusGenotype]) -> Book:
        """A book with the given genotypes at codes 1, 2, ..."""
        lists = [(LocusGenotype((), (), False),), *(entry.alternatives for entry in entries)]
        alternatives = list(chain.from_iterable(lists))
        flat = [groups for one in alternatives for groups in (one.first, one.second)]
        starts = np.zeros(len(lists) + 1, dtype=np.int64)
        np.cumsum([len(entry) for entry in lists], out=starts[1:])
        offsets = np.zeros(len(flat) + 1, dtype=np.int64)
        np.cumsum([len(groups) for groups in flat], out=offsets[1:])
        return cls(
            starts,
            offsets,
            np.array([code for groups in flat for code in groups], dtype=np.int32),
            np.array([one.linked for one in alternatives], dtype=np.uint8),
            np.array([one.tce for one in alternatives], dtype=np.uint8).reshape(-1, 2),
            np.array([one.altered for one in alternatives], dtype=np.uint8).reshape(-1, 2),
        )

    @cached_property
    def entries_of_alternatives(self) -> npt.NDArray[np.int32]:
        """The entry of every alternative, (n_alternatives,)."""
        return np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))

    def entry(self, code: int) -> LocusGenotype:
        """The genotype of a code other than `UNTYPED`."""
        first, *others = map(self._alternative, range(*self.starts[code : code + 2]))
        return replace(first, others=tuple(others)) if others else first

    def _alternative(self, i: int) -> LocusGenotype:
        start, middle, end = self.offsets[2 * i : 2 * i + 3]
        return LocusGenotype(
            tuple(self.groups[start:middle].tolist()),
            tuple(self.groups[middle:end].tolist()),
            bool(self.linked[i]),
            (int(self.tce[i, 0]), int(self.tce[i, 1])),
            (bool(self.altered[i, 0]), bool(self.altered[i, 1])),
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
    # Code of every text, or UNREADABLE with its error in `_errors`.
    _read: dict[str, int] = field(default_factory=dict)
    _errors: dict[str, TypingError] = field(default_factory=dict)
    # Canonical texts where they differ from the written ones.
    _rewritten: dict[str, str] = field(default_factory=dict)
    _positions: dict[Position, ReadPosition | TypingError] = field(default_factory=dict)
    # Canonical text and number of every written position, and the code of every pair of numbers.
    _written: dict[str, tuple[str, int]] = field(default_factory=dict)
    _numbers: dict[ReadPosition, int] = field(default_factory=dict)
    _reads: list[ReadPosition] = field(default_factory=list)
    _pairs: dict[tuple[int, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._codes.update((genotype, i) for i, genotype in enumerate(self.entries, 1))

    def canonical(self, text: str) -> tuple[str | None, int]:
        """Canonical text and code of a written locus; (None, `UNTYPED`) where it is untyped.

        Raises `TypingError`, the same one for the same text.
        """
        code = self._read.get(text)
        if code is None:
            self._forget_errors()
            code = self._remember(text)
        if code == UNREADABLE:
            # Without the traceback of the last time, which would grow.
            raise self._errors[text].with_traceback(None)
        return (None if code == UNTYPED else self._rewritten.get(text, text)), code

    def encode_all(
        self, texts: Sequence[str]
    ) -> tuple[npt.NDArray[np.int64], dict[int, TypingError]]:
        """Codes (n,) of written loci, and the errors by position in `texts`, where the code is
        `UNREADABLE`. The same as `canonical` of each, many times faster."""
        self._forget_errors()
        read = self._read
        for text in set(texts).difference(read):
            self._remember(text)
        codes = np.fromiter(map(read.__getitem__, texts), np.int64, len(texts))
        bad = np.flatnonzero(codes == UNREADABLE).tolist()
        return codes, {i: self._errors[texts[i]] for i in bad}

    def _remember(self, text: str) -> int:
        try:
            canonical, code = self._code(text)
        except TypingError as error:
            self._errors[text] = without_frames(error)
            canonical, code = text, UNREADABLE
        self._read[text] = code
        if canonical is not None and canonical != text:
            self._rewritten[text] = canonical
        return code

    def _forget_errors(self) -> None:
        if len(self._errors) > MAX_ERRORS:
            for text in self._errors:
                del self._read[text]
            self._errors.clear()
            self._positions = {
                position: read
                for position, read in self._positions.items()
                if isinstance(read, ReadPosition)
            }

    def _code(self, text: str) -> tuple[str | None, int]:
        first, _, second = text.partition("+")
        known = self._known_position(first), self._known_position(second)
        if known[0] is not None and known[1] is not None:
            # Both positions can be read, so the pair has nothing left to refuse.
            code = self._pair_code(known[0][1], known[1][1])
            return (None if code == UNTYPED else f"{known[0][0]}+{known[1][0]}"), code
        typing = parse_locus(self.locus, text)
        if typing is None:
            return None, UNTYPED
        read = {
            position: self._position(position)
            for position in chain.from_iterable(typing.alternatives)
        }
        if not typing.others:
            self._written[first] = typing.first.text, self._number(read[typing.first])
            self._written[second] = typing.second.text, self._number(read[typing.second])
        return typing.text, self._entry(genotype_of(typing, read))

    def _known_position(self, text: str) -> tuple[str, int] | None:
        """Canonical text and number of a position that needs no parsing."""
        known = self._written.get(text)
        if known is not None:
            return known
        allele = self.nomenclature.by_name.get(text)
        if allele is None or text.partition("*")[0] not in self.locus.genes:
            return None
        group = int(self.nomenclature.p_group_codes[allele])
        tce = int(self.nomenclature.tce_groups[allele]) if self.locus is Locus.DPB1 else 0
        groups = () if group == NO_P_GROUP else (group,)
        read = ReadPosition(groups, tce, altered=text[-1] in ALTERED_SUFFIXES)
        self._written[text] = text, self._number(read)
        return self._written[text]

    def _position(self, position: Position) -> ReadPosition:
        read = self._positions.get(position)
        if read is None:
            try:
                read = read_groups(self.locus, position, self.nomenclature)
            except TypingError as error:
                read = without_frames(error)
            self._positions[position] = read
        if isinstance(read, TypingError):
            raise read.with_traceback(None)
        return read

    def _number(self, read: ReadPosition) -> int:
        number = self._numbers.setdefault(read, len(self._reads))
        if number == len(self._reads):
            self._reads.append(read)
        return number

    def _pair_code(self, first: int, second: int) -> int:
        code = self._pairs.get((first, second))
        if code is None:
            reads = self._reads[first], self._reads[second]
            untyped = all(read.form is Form.UNTYPED for read in reads)
            code = UNTYPED if untyped else self._entry(_combine(*reads))
            self._pairs[first, second] = code
        return code

    def _entry(self, genotype: LocusGenotype) -> int:
        code = self._codes.get(genotype)
        if code is None:
            self.entries.append(genotype)
            code = self._codes[genotype] = len(self.entries)
        return code

    @property
    def notes(self) -> frozenset[str]:
        """How names of the texts so far were followed through renamed or deleted ones."""
        return frozenset(
            note
            for read in self._positions.values()
            if isinstance(read, ReadPosition)
            for note in read.notes
        )

    def book(self) -> Book:
        """The entries so far as arrays."""
        return Book.of(self.entries)


def book_builders(nomenclature: Nomenclature) -> Mapping[Locus, BookBuilder]:
    """An empty builder for each locus."""
    return {locus: BookBuilder(locus, nomenclature) for locus in LOCI}
