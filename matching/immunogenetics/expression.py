"""DPB1 expression (rule R19)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from matching.immunogenetics.single_mismatch import (
    Direction,
    Reader,
    agreed,
    direction_of,
    single_mismatch,
)
from matching.loci import Locus
from matching.nomenclature import Nomenclature, split_name
from matching.typings import LocusTyping


class Dpb1Expression(Enum):
    """Expression level of a DPB1 allele (rs9277534 A is low, G is high)."""

    LOW = "low"
    HIGH = "high"
    UNKNOWN = "unknown"


_SIGNAL_LENGTH_DPB1 = 29
# Residues 96 and 170 of the mature protein go with rs9277534.
_RESIDUES = {("R", "T"): Dpb1Expression.LOW, ("K", "I"): Dpb1Expression.HIGH}
# Alleles typed at rs9277534, as listed by NMDP (dpb1-expression, experimental list; the marker is
# that of Petersdorf 2015, NEJM 373:599); used where exon 3 is not sequenced.
_LISTED = {
    Dpb1Expression.LOW: "02:01 02:02 04:01 04:02 17:01 23:01 40:01 46:01 55:01 71:01 94:01 105:01 "
    "128:01",
    Dpb1Expression.HIGH: "01:01 03:01 05:01 06:01 09:01 10:01 11:01 13:01 14:01 15:01 16:01 18:01 "
    "19:01 20:01 85:01",
}
_LISTED_LEVEL = {name: level for level, names in _LISTED.items() for name in names.split()}


def dpb1_expression(
    nomenclature: Nomenclature, proteins: Mapping[str, str], name: str
) -> Dpb1Expression:
    """Expression of a DPB1 name from residues 96 and 170, else from the published list (R19).

    `proteins`: sequences by allele name. Alleles of which nothing is known do not count; unknown
    where the others disagree or there are none.
    Raises `TypingError` for an unknown name.
    """
    alleles = nomenclature.expressing(nomenclature.read(name).alleles)
    return _expression(nomenclature, proteins, alleles)


def _expression(
    nomenclature: Nomenclature, proteins: Mapping[str, str], alleles: Iterable[int]
) -> Dpb1Expression:
    names = [nomenclature.alleles[i].name for i in alleles]
    levels = set()
    for name in names:
        sequence = proteins.get(name, "")
        mature = sequence[_SIGNAL_LENGTH_DPB1:] if sequence.startswith("MMV") else ""
        if len(mature) >= 170 and (level := _RESIDUES.get((mature[95], mature[169]))):
            levels.add(level)
    if not levels:
        listed = (_LISTED_LEVEL.get(":".join(split_name(name)[1][:2])) for name in names)
        levels = {level for level in listed if level is not None}
    return levels.pop() if len(levels) == 1 else Dpb1Expression.UNKNOWN


class ExpressionOutcome(Enum):
    """What the expression of the patient's mismatched DPB1 allele says: low is favourable."""

    FAVOURABLE = "favourable"
    UNFAVOURABLE = "unfavourable"
    UNKNOWN = "unknown"


_OUTCOMES = {
    Dpb1Expression.LOW: ExpressionOutcome.FAVOURABLE,
    Dpb1Expression.HIGH: ExpressionOutcome.UNFAVOURABLE,
}


@dataclass(frozen=True, slots=True)
class ExpressionMatch:
    """Expression at a single DPB1 mismatch (rule R19), beside the category of `dpb1_tce`.

    `patient_mismatched`: level of the patient's mismatched allele, for a homozygous patient that
    of the copy without a partner. Then `direction` is HvG and the level is no target.
    """

    outcome: ExpressionOutcome
    patient_mismatched: Dpb1Expression
    direction: Direction | None


class Expressions:
    """DPB1 expression of pairs; every position is read once, so a pair costs microseconds.

    `proteins`: precursor sequences by allele name; without them the published list tells.
    """

    def __init__(self, nomenclature: Nomenclature, proteins: Mapping[str, str]) -> None:
        self._reader = Reader(
            Locus.DPB1, nomenclature, lambda alleles: _expression(nomenclature, proteins, alleles)
        )

    def match(self, patient: LocusTyping, donor: LocusTyping) -> ExpressionMatch | None:
        """Expression of a pair typed at DPB1; None unless exactly one position is mismatched.

        Source: Petersdorf 2015, NEJM 373:599. Raises `TypingError`.
        """
        pairings = single_mismatch(self._reader.pairs(patient), self._reader.pairs(donor))
        if not pairings:
            return None
        level = agreed(patient[1].fact for patient, _ in pairings) or Dpb1Expression.UNKNOWN
        outcome = _OUTCOMES.get(level, ExpressionOutcome.UNKNOWN)
        return ExpressionMatch(outcome, level, direction_of(pairings))
