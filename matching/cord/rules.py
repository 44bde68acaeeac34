"""The rules by which cord blood units are matched, as criteria of a search."""

from __future__ import annotations

from enum import Enum

from matching.loci import Locus
from matching.search import Criteria


class CordRule(Enum):
    """By the number of positions that it counts.

    `SIX`: antigens at A and B, P groups at DRB1; `EIGHT`: P groups at A, B, C and DRB1
    (Politikos 2020, Biol Blood Marrow Transplant 26:2190, describes both).
    """

    SIX = "6"
    EIGHT = "8"

    @property
    def max_mismatches(self) -> int:
        """The usual limit. Of six, two: four to six of six is the classical rule. Of eight, three:
        recovery of neutrophils is slower from three mismatches on (Eapen 2014, Blood 123:133), and
        two units with four or more are to be avoided (Blood Adv 2023, 7:3297)."""
        return 2 if self is CordRule.SIX else 3


_LOCI = {
    CordRule.SIX: (Locus.A, Locus.B, Locus.DRB1),
    CordRule.EIGHT: (Locus.A, Locus.B, Locus.C, Locus.DRB1),
}


def cord_criteria(
    rule: CordRule, max_mismatches: int | None = None, keep_potential: bool = True
) -> Criteria:
    """A rule as criteria; `max_mismatches` in place of the usual limit.

    >>> cord_criteria(CordRule.SIX).max_mismatches
    2
    """
    antigens = {Locus.A, Locus.B} if rule is CordRule.SIX else set()
    return Criteria(
        _LOCI[rule],
        rule.max_mismatches if max_mismatches is None else max_mismatches,
        antigen_loci=frozenset(antigens),
        keep_potential=keep_potential,
    )
