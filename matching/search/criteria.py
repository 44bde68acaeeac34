"""What a search asks of a donor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from matching.loci import N_LOCI, Locus

MAX_MISMATCHES = 2 * N_LOCI


class Direction(Enum):
    """Which mismatches count: all (rule R2), or those of one direction (rule R20)."""

    BOTH = "both"
    GVH = "GvH"
    HVG = "HvG"


@dataclass(frozen=True)
class Criteria:
    """A donor is found if its mismatches over `loci` are at most `max_mismatches`.

    `limits`: at most so many at single loci, 0 to 2. `antigen_loci`: loci at which positions match
    if they share a P group or if an antigen of the patient's groups, or one that matches it,
    is an antigen of the donor's (rules R8, R9); elsewhere they match by P groups.
    `keep_potential`: mismatches are counted as if every ambiguity turned out well, so that no donor
    that may match is lost; otherwise as if each turned out badly, untyped loci included.
    Raises `ValueError` naming what is wrong.
    """

    loci: Sequence[Locus]
    max_mismatches: int
    limits: Mapping[Locus, int] = field(default_factory=lambda: MappingProxyType({}))
    direction: Direction = Direction.BOTH
    antigen_loci: frozenset[Locus] = frozenset()
    keep_potential: bool = True

    def __post_init__(self) -> None:
        if not self.loci or self.max_mismatches < 0:
            raise ValueError("a search needs at least one locus and a limit of at least 0")
        object.__setattr__(self, "loci", tuple(dict.fromkeys(self.loci)))
        for locus, limit in self.limits.items():
            if not 0 <= limit <= 2:
                raise ValueError(f"the limit of locus {locus.value} is {limit}, not 0, 1 or 2")
        for locus in (*self.limits, *self.antigen_loci):
            if locus not in self.loci:
                raise ValueError(f"locus {locus.value} has a criterion but is not searched")
