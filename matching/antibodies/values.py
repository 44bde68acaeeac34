"""A patient's antibody report, and what it says of a molecule, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cached_property


class Answer(IntEnum):
    """The three answers, from the best to the worst; none stands for another.

    NEGATIVE: tested and negative, or nothing is expressed. NOT_ASSESSABLE: the report cannot tell.
    """

    NEGATIVE = 0
    NOT_ASSESSABLE = 1
    POSITIVE = 2

    @property
    def text(self) -> str:
        """Lower case with spaces."""
        return self.name.lower().replace("_", " ")


class Basis(Enum):
    """What an answer rests on, from the closest to the farthest."""

    ALLELE = "bead of the allele"
    DOMAIN = "bead of an allele with the same antigen recognition domain"
    ANTIGEN = "antigen, as reported"
    NEIGHBOUR = "beads of other alleles of the antigen"
    CHAIN = "hypothesis: one chain, apart from the pair that was tested"
    POSSIBLE = "the allele may carry a reported antigen"
    UNTESTED = "no bead of it in the report"
    EXPRESSION = "expression of the allele is altered or questionable"
    NULL = "not expressed"
    NEW = "a new allele"


@dataclass(frozen=True, slots=True)
class Bead:
    """One line of a report: a bead, or an antigen that the laboratory speaks of.

    `target`: antigen or allele as printed; `partner`: the other chain of a DQ or DP pair, "" for
    none. `mfi`: mean fluorescence intensity, at least 0, None where only a result is given.
    `result`: what the laboratory calls it, None where the cut-off decides. `date` (YYYY-MM-DD) and
    `kit` as reported; `row`: number in the report, from 1.
    """

    target: str
    partner: str = ""
    mfi: float | None = None
    result: Answer | None = None
    date: str = ""
    kit: str = ""
    row: int = 0

    @property
    def name(self) -> str:
        """The pair as one name."""
        return f"{self.target}/{self.partner}" if self.partner else self.target


@dataclass(frozen=True, slots=True)
class CutOffs:
    """`mfi`: a bead of at least so much is positive unless the laboratory gave its result.

    `cumulative`: a donor is positive where the MFI of the beads that decide on its molecules add up
    to at least this, each bead once; None for no such rule. The default of 1,000 is that of the
    EBMT consensus on donor-specific antibodies (Ciurea 2018, Bone Marrow Transplant 53:521).
    Raises `ValueError` for a number that is not above 0.
    """

    mfi: float = 1000.0
    cumulative: float | None = None

    def __post_init__(self) -> None:
        for value in (self.mfi, self.cumulative):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"a cut-off is a number above 0, got {value}")

    def result(self, bead: Bead) -> Answer:
        """What a bead says. Raises `ValueError` for one with neither MFI nor result."""
        if bead.result is not None:
            return bead.result
        if bead.mfi is None:
            raise ValueError(f"bead {bead.name} has neither MFI nor result")
        return Answer.POSITIVE if bead.mfi >= self.mfi else Answer.NEGATIVE

    def contradicts(self, bead: Bead) -> bool:
        """Whether the laboratory's result is another than its MFI would give."""
        if bead.mfi is None or bead.result in (None, Answer.NOT_ASSESSABLE):
            return False
        return (bead.result is Answer.POSITIVE) != (bead.mfi >= self.mfi)


@dataclass(frozen=True, eq=False)
class Call:
    """What a report says of one molecule. A `Profile` makes one of each.

    `low` and `high`: the best and the worst that it may be; unequal where the allele may carry a
    reported antigen. `beads`: those that it rests on, positive ones first.
    """

    low: Answer
    high: Answer
    basis: Basis
    beads: tuple[Bead, ...] = ()

    @property
    def answer(self) -> Answer:
        """The one answer."""
        return self.low if self.low is self.high else Answer.NOT_ASSESSABLE

    @cached_property
    def strongest(self) -> Bead | None:
        """The bead of the highest MFI; None where none decides or no MFI is known."""
        if self.high is Answer.NOT_ASSESSABLE:
            return None
        known = [bead for bead in self.beads if bead.mfi is not None]
        return max(known, key=lambda bead: bead.mfi or 0.0, default=None)
