"""Two loci in the better orientation (R12), and categories (R13)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from typing import NamedTuple

from matching.grade.facts import PositionFacts, read_position, untyped_grade
from matching.grade.positions import (
    antigen_match,
    confidence_positions,
    grade_positions,
    homozygous,
)
from matching.grade.values import (
    DEFAULT_OPTIONS,
    Confidence,
    Grade,
    GradeOptions,
    LocusCategory,
    Orientation,
    OrientationKey,
    OverallCategory,
)
from matching.loci import Locus
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.typings import LocusTyping, Pair, Position

# Names of alleles of the positions, and pairs of positions, that a grader remembers.
MOST_NAMES = 500_000
MOST_PAIRS = 100_000
# Of both positions.
_Grades = tuple[Grade, Grade]
_Confidences = tuple[Confidence, Confidence]
_Antigens = tuple[bool | None, bool | None]


@dataclass(frozen=True, slots=True)
class GradedLocus:
    """A compared locus; all pairs are listed by donor positions, or see `GradeOptions`.

    `antigen_match` is None where it cannot be known. `decided_by`: why this `orientation`.
    """

    locus: Locus
    grades: _Grades
    confidences: _Confidences
    antigen_match: _Antigens
    orientation: Orientation = Orientation.DIRECT
    decided_by: OrientationKey = OrientationKey.EQUAL


# There are few, and pairs that are remembered hold many of them.
_graded = lru_cache(maxsize=20_000)(GradedLocus)


class _Compared(NamedTuple):
    grade: Grade
    confidence: Confidence
    antigen: bool | None


class Grader:
    """Grades many donors: what a position means, and how two compare, is worked out once.

    One grader serves any number of searches and threads.
    """

    def __init__(self, nomenclature: Nomenclature, options: GradeOptions = DEFAULT_OPTIONS) -> None:
        self.nomenclature, self.options = nomenclature, options
        self._facts = Memory[Position, PositionFacts](MOST_NAMES, _n_names)
        self._compared = Memory[tuple[PositionFacts, PositionFacts], _Compared](MOST_PAIRS)

    def facts(self, position: Position) -> PositionFacts:
        """What a written position means. Raises `TypingError`."""
        return self._facts.of(position, lambda: read_position(position, self.nomenclature))

    def _compare(self, patient: PositionFacts, donor: PositionFacts) -> _Compared:
        return self._compared.of(
            (patient, donor),
            lambda: _Compared(
                grade_positions(patient, donor),
                confidence_positions(patient, donor),
                antigen_match(patient, donor, self.options),
            ),
        )

    def locus(
        self, locus: Locus, patient: LocusTyping | None, donor: LocusTyping | None
    ) -> GradedLocus:
        """Compare both positions of a locus in the better orientation (R12).

        Grades are those of the typings as written; confidences and antigen matches those of the
        `homozygous` ones (R3c). Of genotype lists it is the best pair, and nothing is then surer
        than Potential unless all pairs agree. None is an untyped side: grades PGroup, at DPB1
        Unknown, and confidences Potential (R10, R11). Raises `TypingError`.
        """
        if patient is None or donor is None:
            grade, potential = untyped_grade(locus is Locus.DPB1), Confidence.POTENTIAL
            return GradedLocus(locus, (grade, grade), (potential, potential), (None, None))
        pairs = product(patient.alternatives, donor.alternatives)
        found = [self._pair(locus, ours, theirs) for ours, theirs in pairs]
        if len(found) == 1:
            return found[0]
        best = max(found, key=lambda one: _sums(one.grades, one.confidences, one.antigen_match))
        if all(graded == best for graded in found):
            return best
        first, second = (min(c, Confidence.POTENTIAL, key=_rank) for c in best.confidences)
        return replace(best, confidences=(first, second))

    def _pair(self, locus: Locus, patient: Pair, donor: Pair) -> GradedLocus:
        p1, p2, d1, d2 = map(self.facts, (*patient, *donor))
        direct = self._oriented((p1, p2), (d1, d2))
        crossed = ((p1, p2), (d2, d1)) if self.options.by_patient else ((p2, p1), (d1, d2))
        cross = self._oriented(*crossed)
        for key, ours, theirs in zip(OrientationKey, _sums(*direct), _sums(*cross), strict=False):
            if ours > theirs:
                return _graded(locus, *direct, Orientation.DIRECT, key)
            if ours < theirs:
                return _graded(locus, *cross, Orientation.CROSS, key)
        return _graded(locus, *direct)

    def _oriented(
        self,
        patient: tuple[PositionFacts, PositionFacts],
        donor: tuple[PositionFacts, PositionFacts],
    ) -> tuple[_Grades, _Confidences, _Antigens]:
        first, second = map(self._compare, patient, donor)
        written = (first.grade, second.grade)
        ours, theirs = homozygous(*patient), homozygous(*donor)
        if ours != patient or theirs != donor:
            first, second = map(self._compare, ours, theirs)
        return (
            written,
            (first.confidence, second.confidence),
            (first.antigen, second.antigen),
        )


def _n_names(facts: PositionFacts) -> int:
    return 1 + sum(map(len, facts.levels))


def _rank(confidence: Confidence) -> int:
    return confidence.rank


def _sums(grades: _Grades, confidences: _Confidences, antigens: _Antigens) -> tuple[int, int, int]:
    """What decides between orientations, in the order of `OrientationKey`."""
    return (
        grades[0].rank + grades[1].rank,
        confidences[0].rank + confidences[1].rank,
        (antigens[0] is True) + (antigens[1] is True),
    )


def grade_locus(
    locus: Locus,
    patient: LocusTyping | None,
    donor: LocusTyping | None,
    nomenclature: Nomenclature,
    options: GradeOptions = DEFAULT_OPTIONS,
) -> GradedLocus:
    """Compare one written locus of two people, see `Grader.locus`. Raises `TypingError`."""
    return Grader(nomenclature, options).locus(locus, patient, donor)


def locus_category(graded: GradedLocus, permissive: bool | None = None) -> LocusCategory:
    """Category of a locus, that of its worse grade; a null leaves it to its partner (R13).

    `permissive`, read only for a mismatch at DPB1: whether the TCE groups are permissive, None
    where they do not say.
    """
    if Grade.UNKNOWN in graded.grades:
        return LocusCategory.UNKNOWN
    if not {Grade.MISMATCH, Grade.NULL_MISMATCH} & set(graded.grades):
        return LocusCategory.MATCH
    if graded.locus is not Locus.DPB1 or permissive is False:
        return LocusCategory.MISMATCH
    return LocusCategory.UNKNOWN if permissive is None else LocusCategory.PERMISSIVE_MISMATCH


def overall_category(
    loci: Iterable[GradedLocus],
    permissive: bool | None = None,
    options: GradeOptions = DEFAULT_OPTIONS,
) -> OverallCategory:
    """Category of a pair of people: the worst confidence over all positions (R11, R13).

    PermissiveMismatch only where DPB1 is the sole mismatch and permissive; `permissive` as for
    `locus_category`. Raises `ValueError` if no locus counts.
    """
    counted = [g for g in loci if options.dpb1_in_overall or g.locus is not Locus.DPB1]
    if not counted:
        raise ValueError("an overall category needs at least one locus that counts")
    mismatched = [
        g
        for g in counted
        if Confidence.MISMATCH in g.confidences or locus_category(g) is LocusCategory.MISMATCH
    ]
    categories = {locus_category(g, permissive) for g in mismatched}
    worst = min((c for g in counted for c in g.confidences), key=lambda c: c.rank)
    if worst is Confidence.MISMATCH and categories == {LocusCategory.PERMISSIVE_MISMATCH}:
        return OverallCategory.PERMISSIVE_MISMATCH
    return OverallCategory(worst.value)
