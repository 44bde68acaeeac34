"""The loci that donors are matched on, in their one order, and the container over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import Generic, TypeVar


class Locus(Enum):
    """A matched locus; the value is the gene name of IPD-IMGT/HLA.

    DRB3, DRB4 and DRB5 are one locus: a chromosome carries one of them or none.
    """

    A = "A"
    C = "C"
    B = "B"
    DRB345 = "DRB345"
    DRB1 = "DRB1"
    DQA1 = "DQA1"
    DQB1 = "DQB1"
    DPA1 = "DPA1"
    DPB1 = "DPB1"

    # Members are compared by identity; that of Enum hashes the name in Python, each time.
    __hash__ = object.__hash__

    @property
    def position(self) -> int:
        """Column of this locus in every array that has one column a locus."""
        return _POSITIONS[self]

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes whose alleles stand at this locus."""
        return ("DRB3", "DRB4", "DRB5") if self is Locus.DRB345 else (self.value,)


LOCI: tuple[Locus, ...] = tuple(Locus)
_POSITIONS = {locus: i for i, locus in enumerate(LOCI)}
N_LOCI = len(LOCI)

# DRBX is how registries write the absent gene, DRBX*NNNN.
LOCUS_OF_GENE: Mapping[str, Locus] = MappingProxyType(
    {gene: locus for locus in LOCI for gene in (locus.value, *locus.genes)}
    | {"DRBX": Locus.DRB345, "Cw": Locus.C}
)
# Genes that registries report and that are kept as reported, but not matched on.
CARRIED_GENES = frozenset({"E", "F", "G", "MICA", "MICB"})


T = TypeVar("T")
U = TypeVar("U")
V = TypeVar("V")


@dataclass(frozen=True)
class PerLocus(Generic[T]):
    """One value for each locus, in the order of `LOCI`."""

    values: tuple[T, ...]

    def __post_init__(self) -> None:
        if len(self.values) != N_LOCI:
            raise ValueError(f"a PerLocus holds {N_LOCI} values, got {len(self.values)}")

    @classmethod
    def of(cls, values: Mapping[Locus, T], default: T) -> PerLocus[T]:
        """The given values, and `default` at every other locus."""
        return cls(tuple(values.get(locus, default) for locus in LOCI))

    def __getitem__(self, locus: Locus) -> T:
        return self.values[locus.position]

    def __iter__(self) -> Iterator[T]:
        return iter(self.values)

    def items(self) -> Iterator[tuple[Locus, T]]:
        """Pairs of locus and value."""
        return zip(LOCI, self.values, strict=True)

    def map(self, function: Callable[[T], U]) -> PerLocus[U]:
        """`function` of every value."""
        return PerLocus(tuple(function(value) for value in self.values))

    def zip(self, other: PerLocus[U]) -> PerLocus[tuple[T, U]]:
        """The values of both, side by side."""
        return PerLocus(tuple(zip(self.values, other.values, strict=True)))


def parse_loci(text: str) -> tuple[Locus, ...]:
    """Loci from a comma-separated list, in the order of `LOCI`.

    >>> [locus.value for locus in parse_loci("drb1,A")]
    ['A', 'DRB1']

    Raises `ValueError` naming the first entry that is no matched locus or comes twice.
    """
    found: list[Locus] = []
    for name in text.split(","):
        try:
            locus = Locus(name.strip().upper())
        except ValueError:
            known = ", ".join(locus.value for locus in LOCI)
            raise ValueError(f"{name.strip()!r} is not a matched locus; known: {known}") from None
        if locus in found:
            raise ValueError(f"locus {locus.value} is given twice")
        found.append(locus)
    return tuple(sorted(found, key=lambda locus: locus.position))
