"""A single mismatch of a locus: which positions it concerns, and its direction (rule R20)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import product
from typing import Generic, TypeVar

from matching.genotypes import encode_locus
from matching.loci import Locus
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.typings import Form, LocusTyping, Pair, Position


class Direction(Enum):
    """The directions in which a single mismatch acts (rule R20).

    A homozygous patient presents nothing that the donor lacks, and a homozygous donor nothing
    that the patient lacks.
    """

    BOTH = "both"
    GVH = "GvH"
    HVG = "HvG"


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    groups: frozenset[int]
    fact: T


ReadPair = tuple[Read[T], Read[T]]
# No names whose sequences could be read.
_NAMELESS = frozenset({Form.NEW, Form.UNTYPED, Form.ABSENT})


# P groups of the positions that a reader remembers.
_MOST_GROUPS = 500_000


def _n_groups(read: Read[T]) -> int:
    return 1 + len(read.groups)


@dataclass
class Reader(Generic[T]):
    """What positions of a locus present and a fact of their alleles, each position read once."""

    locus: Locus
    nomenclature: Nomenclature
    fact: Callable[[Sequence[int]], T]
    _known: Memory[Position, Read[T]] = field(
        init=False, repr=False, default_factory=lambda: Memory(_MOST_GROUPS, _n_groups)
    )

    def pairs(self, typing: LocusTyping) -> list[ReadPair[T]]:
        """Both positions of every genotype of a list."""
        return [self._pair(pair) for pair in typing.alternatives]

    def _pair(self, pair: Pair) -> ReadPair[T]:
        """Both positions; one that expresses nothing takes its partner's place (R3)."""
        first, second = self.read(pair[0]), self.read(pair[1])
        return (first if first.groups else second), (second if second.groups else first)

    def read(self, position: Position) -> Read[T]:
        """One position by itself. Raises `TypingError`."""
        return self._known.of(position, lambda: self._made(position))

    def _made(self, position: Position) -> Read[T]:
        twice = encode_locus(self.locus, LocusTyping(position, position), self.nomenclature)[0]
        names = () if position.form in _NAMELESS else position.names
        alleles = [i for name in names for i in self.nomenclature.read(name).alleles]
        return Read(frozenset(twice.first), self.fact(self.nomenclature.expressing(alleles)))


def meet(patient: Read[T], donor: Read[T]) -> bool:
    """Whether two positions match (R1); a code below 0 is no P group and matches nothing."""
    return max(patient.groups & donor.groups, default=-1) >= 0


def single_mismatch(
    patients: list[ReadPair[T]], donors: list[ReadPair[T]]
) -> list[tuple[ReadPair[T], ReadPair[T]]]:
    """Every way to match one position with one, each as (shared, mismatched) of both people.

    Empty unless exactly one position is mismatched (R2, ambiguity in favour of a match).
    """
    pairings = []
    for patient, donor in product(patients, donors):
        meets = [[meet(p, d) for d in donor] for p in patient]
        if (meets[0][0] and meets[1][1]) or (meets[0][1] and meets[1][0]):
            return []
        pairings += [
            ((patient[i], patient[1 - i]), (donor[j], donor[1 - j]))
            for i, j in product((0, 1), repeat=2)
            if meets[i][j]
        ]
    return pairings


def direction_of(pairings: list[tuple[ReadPair[T], ReadPair[T]]]) -> Direction | None:
    """Direction of a single mismatch, None where an ambiguity leaves it open."""
    gvh = agreed(_presents_more(patient, donor) for patient, donor in pairings)
    hvg = agreed(_presents_more(donor, patient) for patient, donor in pairings)
    if gvh is None or hvg is None:
        return None
    if gvh:
        return Direction.BOTH if hvg else Direction.GVH
    return Direction.HVG


def _presents_more(own: ReadPair[T], other: ReadPair[T]) -> bool | None:
    """Whether the mismatched groups are ones that the other person lacks."""
    shared, mismatched = own[0].groups & other[0].groups, own[1].groups
    if mismatched.isdisjoint(shared):
        return True
    return False if len(shared | mismatched) == 1 else None


def agreed(values: Iterable[T | None]) -> T | None:
    """The one value that all agree on, None where they differ or there are none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None
