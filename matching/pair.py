"""Everything that is said of one patient and one donor beyond the match count.

Grades and categories (R9 to R13), amino-acid mismatches of the antigen recognition domain, HLA-B
leaders (R18) and DPB1 expression (R19), from the typings as written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from matching.grade import (
    GradedLocus,
    Grader,
    LocusCategory,
    Orientation,
    OverallCategory,
    locus_category,
    overall_category,
)
from matching.immunogenetics import (
    ExpressionMatch,
    Expressions,
    LeaderMatch,
    Leaders,
    TceCategory,
)
from matching.loci import Locus, PerLocus
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.sequences import ArdMismatches, Domains
from matching.typing_reader import TypingReader
from matching.typings import LocusTyping, Typing

_PERMISSIVE = {
    TceCategory.PERMISSIVE: True,
    TceCategory.GVH_NON_PERMISSIVE: False,
    TceCategory.HVG_NON_PERMISSIVE: False,
}

# Loci of pairs that are remembered.
_MOST_LOCI = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class LocusDetail:
    """A locus of a pair; the same object for the same typings, as long as it is remembered.

    `domains`: of each donor position against the patient's position that it is compared with, the
    residues that differ; None where they cannot be compared, as for nulls and genotype lists.
    """

    graded: GradedLocus
    category: LocusCategory
    domains: tuple[ArdMismatches | None, ArdMismatches | None]


@dataclass(frozen=True, slots=True)
class PairDetail:
    """A patient and a donor. `overall` runs over the loci that it was asked for.

    `leaders`: None where the patient is not typed at HLA-B. `expression`: None unless exactly one
    position of DPB1 is mismatched.
    """

    loci: PerLocus[LocusDetail]
    overall: OverallCategory
    leaders: LeaderMatch | None
    expression: ExpressionMatch | None


class PairDetails:
    """Details of many pairs under one release; what typings mean is worked out once.

    One object serves any number of threads.

    `proteins`: precursor sequences by allele name, see `Domains`; without them the leader is the
    family's, expression the published list's, and no domain is compared. `reader`: reads typings
    with what is remembered here. `between`: as in `Domains`.
    """

    def __init__(
        self,
        nomenclature: Nomenclature,
        proteins: Mapping[str, str],
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self.reader = TypingReader(nomenclature)
        self._grader = Grader(nomenclature)
        self._domains = Domains(nomenclature, proteins, between)
        self._leaders = Leaders(nomenclature, proteins)
        self._expressions = Expressions(nomenclature, proteins)
        self._known = Memory[tuple[Locus, LocusTyping | None, LocusTyping | None], LocusDetail](
            _MOST_LOCI
        )

    def of(
        self, patient: Typing, donor: Typing, tce: TceCategory, loci: tuple[Locus, ...]
    ) -> PairDetail:
        """Details of a pair; `tce` as from `matching.pipeline`. Raises `TypingError`."""
        permissive = _PERMISSIVE.get(tce)
        found = {
            locus: self._locus(locus, *pair) for locus, pair in patient.loci.zip(donor.loci).items()
        }
        if permissive is not None:
            # It is read at DPB1 alone.
            at = found[Locus.DPB1]
            category = locus_category(at.graded, permissive)
            found[Locus.DPB1] = LocusDetail(at.graded, category, at.domains)
        details = PerLocus(tuple(found.values()))
        ours, theirs = patient.loci, donor.loci
        ours_b, ours_dpb1, theirs_dpb1 = ours[Locus.B], ours[Locus.DPB1], theirs[Locus.DPB1]
        expression = None
        if ours_dpb1 is not None and theirs_dpb1 is not None:
            expression = self._expressions.match(ours_dpb1, theirs_dpb1)
        return PairDetail(
            details,
            overall_category([found[locus].graded for locus in loci], permissive),
            None if ours_b is None else self._leaders.match(ours_b, theirs[Locus.B]),
            expression,
        )

    def _locus(
        self, locus: Locus, patient: LocusTyping | None, donor: LocusTyping | None
    ) -> LocusDetail:
        return self._known.of((locus, patient, donor), lambda: self._made(locus, patient, donor))

    def _made(
        self, locus: Locus, patient: LocusTyping | None, donor: LocusTyping | None
    ) -> LocusDetail:
        graded = self._grader.locus(locus, patient, donor)
        compared = self._compared(locus, patient, donor, graded)
        return LocusDetail(graded, locus_category(graded), compared)

    def _compared(
        self,
        locus: Locus,
        patient: LocusTyping | None,
        donor: LocusTyping | None,
        graded: GradedLocus,
    ) -> tuple[ArdMismatches | None, ArdMismatches | None]:
        if patient is None or donor is None or patient.others or donor.others:
            return None, None
        ours, theirs = (self.reader.genotype(locus, one) for one in (patient, donor))
        sides = (ours.first, ours.second)
        first, second = sides if graded.orientation is Orientation.DIRECT else sides[::-1]
        return (
            self._domains.compare(first, theirs.first),
            self._domains.compare(second, theirs.second),
        )
