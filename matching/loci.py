"""The loci that donors are matched on, in their one order, and the container over them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeVar


class Locus(Enum):
    """A matched locus; the value is the gene name of IPD-IMGT/HLA."""

    A = "A"
    C = "C"
    B = "B"
    DRB1 = "DRB1"
    DQB1 = "DQB1"
    DPB1 = "DPB1"

    @property
    def position(self) -> int:
        """Column of this locus in every array that has one column a locus."""
        return _POSITIONS[self]


LOCI: tuple[Locus, ...] = tuple(Locus)
_POSITIONS = {locus: i for i, locus in enumerate(LOCI)}
N_LOCI = len(LOCI)

# Genes that registries report and that are kept as reported, but not matched on.
CARRIED_GENES = frozenset({"DRB3", "DRB4", "DRB5", "DRBX", "DRB345", "DQA1", "DPA1"})


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
