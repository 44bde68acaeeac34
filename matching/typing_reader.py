"""Typings read one after another under one release: nothing is worked out twice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain

from matching.genotypes import (
    Genotype,
    LocusGenotype,
    ReadPosition,
    genotype_of,
    read_groups,
)
from matching.loci import LOCI, Locus, PerLocus
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.typings import LocusTyping, Position, Typing, parse_locus, split_gl, typing_of

# Characters of loci and P groups of positions that are remembered, with about as much around each.
_MOST_CHARACTERS = 10_000_000
_MOST_GROUPS = 1_000_000
_OF_LOCUS = 1_000
_OF_POSITION = 20


@dataclass(frozen=True, slots=True)
class _ReadLocus:
    """One written locus; both are None where it is said to be untyped."""

    text: str
    typing: LocusTyping | None
    genotype: LocusGenotype | None
    notes: tuple[str, ...]


class TypingReader:
    """Reads typings as `parse_typing` and `encode` do; texts that come again cost little.

    One object serves any number of threads.
    """

    def __init__(self, nomenclature: Nomenclature) -> None:
        self._nomenclature = nomenclature
        self._loci = Memory[tuple[Locus, str], _ReadLocus](_MOST_CHARACTERS, _size_of_locus)
        self._positions = Memory[tuple[Locus, Position], ReadPosition](
            _MOST_GROUPS, lambda read: _OF_POSITION + len(read.groups)
        )
        self._typings = Memory[tuple[Locus, LocusTyping], _ReadLocus](
            _MOST_CHARACTERS, _size_of_locus
        )

    def read(self, text: str) -> tuple[Typing, Genotype]:
        """A GL string, and what the person presents. Raises `TypingError`."""
        written = split_gl(text)
        found = {
            locus: self._locus(locus, written.loci[locus])
            for locus in LOCI
            if locus in written.loci
        }
        typing = typing_of(written, lambda locus, _: found[locus].typing)
        genotypes = {locus: one.genotype for locus, one in found.items()}
        notes = chain.from_iterable(one.notes for one in found.values())
        return typing, Genotype(PerLocus.of(genotypes, None), tuple(dict.fromkeys(notes)))

    def _locus(self, locus: Locus, text: str) -> _ReadLocus:
        return self._loci.of((locus, text), lambda: self._read(locus, text))

    def genotype(self, locus: Locus, typing: LocusTyping) -> LocusGenotype:
        """What one written locus presents. Raises `TypingError`."""
        found = self._of_typing(locus, typing).genotype
        assert found is not None
        return found

    def _read(self, locus: Locus, text: str) -> _ReadLocus:
        typing = parse_locus(locus, text)
        if typing is None:
            return _ReadLocus(text, None, None, ())
        # By its own text, which may be longer.
        return replace(self._of_typing(locus, typing), text=text)

    def _of_typing(self, locus: Locus, typing: LocusTyping) -> _ReadLocus:
        def made() -> _ReadLocus:
            read = self._read_positions(locus, typing)
            notes = tuple(chain.from_iterable(one.notes for one in read.values()))
            return _ReadLocus(typing.text, typing, genotype_of(typing, read), notes)

        return self._typings.of((locus, typing), made)

    def _read_positions(self, locus: Locus, typing: LocusTyping) -> dict[Position, ReadPosition]:
        return {
            position: self._position(locus, position)
            for position in chain.from_iterable(typing.alternatives)
        }

    def _position(self, locus: Locus, position: Position) -> ReadPosition:
        return self._positions.of(
            (locus, position), lambda: read_groups(locus, position, self._nomenclature)
        )


def _size_of_locus(read: _ReadLocus) -> float:
    return _OF_LOCUS + len(read.text)
