"""Typings as values: forms, positions, loci, people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from matching.loci import Locus, PerLocus

ABSENT_GENE = "DRBX*NNNN"


class Form(Enum):
    """The forms of one written position."""

    ALLELE = "allele"  # two to four fields, optional expression suffix
    OLD_NAME = "name before 2010"  # the same without colons
    G_GROUP = "G group"
    P_GROUP = "P group"
    SMALL_G = "g group"
    XX = "XX"  # any allele of a first field
    STRING = "allele string"
    CODE = "multiple allele code"
    SEROLOGY = "serology"
    NEW = "new"  # an allele without a name
    ABSENT = "absent gene"  # DRB3/4/5 only
    UNTYPED = "untyped position"  # UUUU: any allele

    # Members are compared by identity; that of Enum hashes the name in Python, each time.
    __hash__ = object.__hash__


@dataclass(frozen=True, slots=True)
class Position:
    """One written position: its form and full names, such as `A*01:01`, `A*01:01:01G` or `B39`.

    Names of a string keep the order in which they were written; every other form has one name.
    """

    form: Form
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """The position as GL string text."""
        return "/".join(self.names)


Pair = tuple[Position, Position]


@dataclass(frozen=True, slots=True)
class LocusTyping:
    """Both written positions of a locus, in the order in which they were reported.

    `others`: the further genotypes of a genotype list (`|`), of which one is the true one.
    """

    first: Position
    second: Position
    others: tuple[Pair, ...] = ()

    @property
    def alternatives(self) -> tuple[Pair, ...]:
        """Every genotype of the list."""
        return ((self.first, self.second), *self.others)

    @property
    def text(self) -> str:
        """The locus as GL string text."""
        return "|".join(f"{first.text}+{second.text}" for first, second in self.alternatives)


@dataclass(frozen=True, slots=True)
class Typing:
    """A person's typing: None where a locus is untyped.

    `carried` holds parts of genes that are kept as reported and not matched on. `phase` holds the
    loci that were reported in phase with each other: all first positions lie on one chromosome,
    and their genotype lists go together, entry by entry. `release` is the one that the text names,
    or "".
    """

    loci: PerLocus[LocusTyping | None]
    carried: tuple[str, ...] = ()
    phase: tuple[tuple[Locus, ...], ...] = ()
    release: str = ""

    @property
    def text(self) -> str:
        """The typing as a GL string without release; parsing it again gives the same typing."""
        block = {locus: block for block in self.phase for locus in block}
        parts = []
        for locus, typed in self.loci.items():
            if locus not in block:
                parts += [typed.text] if typed is not None else []
            elif block[locus][0] is locus:
                typings = [found for other in block[locus] if (found := self.loci[other])]
                parts.append(_phased_text(typings))
        return "^".join([*parts, *self.carried])


def _phased_text(typings: Sequence[LocusTyping]) -> str:
    genotypes = zip(*(typing.alternatives for typing in typings), strict=True)
    return "|".join(
        "+".join("~".join(pair[side].text for pair in pairs) for side in (0, 1))
        for pairs in genotypes
    )
