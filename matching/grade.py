"""Two typings -> grades, confidences and antigen matches by position, and categories (R9 to R13).

A grade says how much of the sequence two positions share; a confidence says how certain a match
is that the typings leave open. Definitions: WMDA matching framework (Bochtler 2011, Bone Marrow
Transplant 46:338) and the rules named at each function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from itertools import chain, product
from typing import NamedTuple

from matching.loci import Locus
from matching.nomenclature import Allele, Nomenclature, split_name
from matching.serology import PREFIX_OF_GENE, Subtype, reported_antigens
from matching.typings import Form, LocusTyping, Pair, Position


class _Ranked(Enum):
    @property
    def rank(self) -> int:
        """Place in the order of definition, 0 lowest."""
        return _RANKS[self]


class Grade(_Ranked):
    """What two positions share (R10), in the order by which orientations are compared.

    Unknown is no evidence of a match: it stands highest for that comparison only.
    """

    MISMATCH = "Mismatch"
    EXPRESSING_VS_NULL = "ExpressingVsNull"
    BROAD = "Broad"
    SPLIT = "Split"
    ASSOCIATED = "Associated"
    NULL_MISMATCH = "NullMismatch"
    NULL_PARTIAL = "NullPartial"
    NULL_CDNA = "NullCDna"
    NULL_GDNA = "NullGDna"
    P_GROUP = "PGroup"
    G_GROUP = "GGroup"
    PROTEIN = "Protein"
    CDNA = "CDna"
    GDNA = "GDna"
    UNKNOWN = "Unknown"


class Confidence(_Ranked):
    """How certain a match of two positions is (R11), least certain first."""

    MISMATCH = "Mismatch"
    POTENTIAL = "Potential"
    EXACT = "Exact"
    DEFINITE = "Definite"


_RANKS = {member: rank for kind in (Grade, Confidence) for rank, member in enumerate(kind)}


class Orientation(Enum):
    """Which patient position is compared with which donor position."""

    DIRECT = "direct"  # first with first
    CROSS = "cross"  # first with second


class OrientationKey(Enum):
    """What decided between the two orientations (R12); EQUAL leaves the direct one."""

    GRADE = "grade"
    CONFIDENCE = "confidence"
    ANTIGEN = "antigen match"
    EQUAL = "equal"


class LocusCategory(Enum):
    """Category of a locus (R13)."""

    MATCH = "Match"
    PERMISSIVE_MISMATCH = "PermissiveMismatch"
    MISMATCH = "Mismatch"
    UNKNOWN = "Unknown"


class OverallCategory(Enum):
    """Category of a pair of people (R13)."""

    DEFINITE = "Definite"
    EXACT = "Exact"
    POTENTIAL = "Potential"
    PERMISSIVE_MISMATCH = "PermissiveMismatch"
    MISMATCH = "Mismatch"


@dataclass(frozen=True, slots=True)
class GradeOptions:
    """Where engines differ.

    `by_patient`: results are listed by patient positions, not by donor positions (R12).
    `dpb1_in_overall`: DPB1 counts in the overall confidence and category (R13).
    `donor_indirect_antigens`: an antigen match may also use what matches the donor's antigens
    indirectly (R9 uses indirect antigens of the patient alone).
    """

    by_patient: bool = False
    dpb1_in_overall: bool = True
    donor_indirect_antigens: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class PositionFacts:
    """What one written position means under a release, nulls inside it dropped (R4).

    `unnamed`: the grade of a position that names no allele, against any other (new, untyped).
    `silent`: nothing is expressed. `null`: and that is what was written, by the N of a single
    name (R3b) or by naming no gene. `single`: one allele name, however many alleles share it.
    `definite`: it stands for exactly one allele, nulls included.
    `p_groups`, `g_groups`: names of the groups.
    `levels`: names of which one in common gives the grades of `_LEVELS` or `_NULL_LEVELS`.
    `direct`, `indirect`: antigens reported and those that match them, with subtypes (R8).
    """

    unnamed: Grade | None = None
    serology: bool = False
    silent: bool = False
    null: bool = False
    single: bool = False
    definite: bool = False
    p_groups: frozenset[str] = frozenset()
    g_groups: frozenset[str] = frozenset()
    levels: tuple[frozenset[str], ...] = ()
    direct: Mapping[str, Subtype] = field(default_factory=dict)
    indirect: Mapping[str, Subtype] = field(default_factory=dict)


_LEVELS = (Grade.GDNA, Grade.CDNA, Grade.PROTEIN)
_NULL_LEVELS = (Grade.NULL_GDNA, Grade.NULL_CDNA, Grade.NULL_PARTIAL)
_WRITTEN_NULL = re.compile(r".*[0-9]N")  # the digit tells a name from a code such as 01:AN


def _untyped_grade(dpb1: bool) -> Grade:
    return Grade.UNKNOWN if dpb1 else Grade.P_GROUP


def read_position(position: Position, nomenclature: Nomenclature) -> PositionFacts:
    """What a written position means under a release (R3 to R8). Raises `TypingError`."""
    form, name = position.form, position.names[0]
    if form is Form.NEW:
        return PositionFacts(unnamed=Grade.MISMATCH)
    if form is Form.UNTYPED:
        return PositionFacts(unnamed=_untyped_grade(name.startswith("DPB1*")))
    if form is Form.ABSENT:
        absent = frozenset({name})
        return PositionFacts(silent=True, null=True, definite=True, levels=(absent,) * 3)
    found = {i: None for name in position.names for i in nomenclature.read(name).alleles}
    if form is Form.SEROLOGY:
        while name not in nomenclature.serology:
            name = nomenclature.deleted[name]
        direct, indirect = _matching([name], nomenclature)
        return PositionFacts(serology=True, direct=direct, indirect=indirect)
    rows = [nomenclature.alleles[i] for i in nomenclature.expressing(found)]
    p_groups = frozenset(row.p_group for row in rows if row.p_group is not None)
    direct, indirect = _matching(_antigens(rows), nomenclature)
    return PositionFacts(
        silent=not p_groups,
        null=not p_groups and len(position.names) == 1 and bool(_WRITTEN_NULL.fullmatch(name)),
        single=form is Form.ALLELE,
        definite=len(found) == 1,
        p_groups=p_groups,
        g_groups=frozenset(row.g_group for row in rows if row.g_group is not None),
        levels=_shared_names(rows, silent=not p_groups),
        direct=direct,
        indirect=indirect,
    )


def _shared_names(rows: Iterable[Allele], silent: bool) -> tuple[frozenset[str], ...]:
    """Names that alleles have in common at each level (R10).

    Expressing: a full genomic sequence; the same allele or three fields, full; two fields, full.
    Null: the same allele with full genomic sequence, full sequence, or any.
    """
    full = [row for row in rows if row.sequence == "Full"]
    genomic = frozenset(row.name for row in full if row.dna == "gDNA")
    alleles = frozenset(row.name for row in full)
    if silent:
        return genomic, alleles, frozenset(row.name for row in rows)
    stems = [(gene, fields) for gene, fields, _ in (split_name(name) for name in alleles)]
    three, two = (
        frozenset(f"{gene}*{':'.join(fields[:n])}" for gene, fields in stems if len(fields) >= n)
        for n in (3, 2)
    )
    return genomic, alleles | three, two


def _antigens(rows: Iterable[Allele]) -> list[str]:
    """Names of the antigens that are reported of alleles."""
    reported = {(row.name.partition("*")[0], row.serology) for row in rows}
    return [
        PREFIX_OF_GENE[gene] + number
        for gene, serology in sorted(reported)
        if gene in PREFIX_OF_GENE
        for number in sorted(reported_antigens(serology))
    ]


def _matching(
    antigens: Iterable[str], nomenclature: Nomenclature
) -> tuple[dict[str, Subtype], dict[str, Subtype]]:
    """The antigens with their subtypes, and all others that match one of them."""
    serology = nomenclature.serology
    direct = {name: serology.subtype(name) for name in antigens}
    closures = chain.from_iterable(serology.matching(name).items() for name in direct)
    return direct, {name: subtype for name, subtype in closures if name not in direct}


def grade_positions(patient: PositionFacts, donor: PositionFacts) -> Grade:
    """Grade of a patient position against a donor position; swapping them changes nothing (R10).

    A single name stands for the best pair of its alleles; every other form reaches GGroup at
    best. A new allele matches nothing, another new one included.
    """
    unnamed = [side.unnamed for side in (patient, donor) if side.unnamed is not None]
    if unnamed:
        return min(unnamed, key=lambda grade: grade.rank)
    if patient.silent != donor.silent:
        return Grade.EXPRESSING_VS_NULL
    if patient.serology or donor.serology:
        return _serological(patient, donor)
    if patient.silent or (patient.single and donor.single):
        grades = _NULL_LEVELS if patient.silent else _LEVELS
        for grade, ours, theirs in zip(grades, patient.levels, donor.levels, strict=True):
            if ours & theirs:
                return grade
    if patient.silent:
        return Grade.NULL_MISMATCH
    if patient.g_groups & donor.g_groups:
        return Grade.G_GROUP
    return Grade.P_GROUP if patient.p_groups & donor.p_groups else Grade.MISMATCH


_SPLIT_PAIRS = {frozenset({s, Subtype.ASSOCIATED}) for s in (Subtype.SPLIT, Subtype.NOT_SPLIT)}
_BROAD_PAIRS = {frozenset({Subtype.BROAD, s}) for s in (Subtype.SPLIT, Subtype.ASSOCIATED)}


def _serological(patient: PositionFacts, donor: PositionFacts) -> Grade:
    """Grade of two sides of which at least one is serology.

    As in the public reference engine, subtypes are looked up in the whole set of a side: B*40:05
    (4005 and 40) against B61 is Split, since one of its antigens is associated and B61 a split.
    """
    same = {patient.direct[name] for name in patient.direct.keys() & donor.direct.keys()}
    related = _related(patient, donor) | _related(donor, patient)
    if Subtype.ASSOCIATED in same:
        return Grade.ASSOCIATED
    if same & {Subtype.SPLIT, Subtype.NOT_SPLIT} or related & _SPLIT_PAIRS:
        return Grade.SPLIT
    return Grade.BROAD if Subtype.BROAD in same or related & _BROAD_PAIRS else Grade.MISMATCH


def _related(first: PositionFacts, second: PositionFacts) -> set[frozenset[Subtype]]:
    """Subtypes of `first` with those of the antigens of `second` that it matches indirectly."""
    reached = {second.direct[name] for name in first.indirect.keys() & second.direct.keys()}
    return {frozenset({own, other}) for own in first.direct.values() for other in reached}


def confidence_positions(patient: PositionFacts, donor: PositionFacts) -> Confidence:
    """Confidence of a patient position against a donor position (R11), symmetric.

    Give a null its expressing partner first, see `homozygous`.
    """
    unnamed = {patient.unnamed, donor.unnamed} - {None}
    if unnamed:
        return Confidence.MISMATCH if Grade.MISMATCH in unnamed else Confidence.POTENTIAL
    if patient.serology or donor.serology:
        matched = _reaches(patient, donor) or _reaches(donor, patient)
        return Confidence.POTENTIAL if matched else Confidence.MISMATCH
    if not (patient.p_groups & donor.p_groups or (patient.silent and donor.silent)):
        return Confidence.MISMATCH
    if patient.definite and donor.definite:
        return Confidence.DEFINITE
    exact = len(patient.p_groups) == 1 == len(donor.p_groups)
    return Confidence.EXACT if exact else Confidence.POTENTIAL


def _reaches(first: PositionFacts, second: PositionFacts) -> bool:
    """Whether an antigen of `first`, or one that matches it, is an antigen of `second`."""
    return any(name in first.direct or name in first.indirect for name in second.direct)


def antigen_match(
    patient: PositionFacts, donor: PositionFacts, options: GradeOptions = GradeOptions()
) -> bool | None:
    """Whether a patient position matches the antigen of a donor position (R9).

    None where a side expresses nothing, is new or is untyped.
    """
    if patient.silent or donor.silent or patient.unnamed or donor.unnamed:
        return None
    if patient.p_groups & donor.p_groups or _reaches(patient, donor):
        return True
    return options.donor_indirect_antigens and _reaches(donor, patient)


def homozygous(first: PositionFacts, second: PositionFacts) -> tuple[PositionFacts, PositionFacts]:
    """Both positions with a written null replaced by its expressing partner (R3c)."""
    if first.null == second.null:
        return first, second
    return (second, second) if first.null else (first, first)


@dataclass(frozen=True, slots=True)
class GradedLocus:
    """A compared locus; all pairs are listed by donor positions, or see `GradeOptions`.

    `antigen_match` is None where it cannot be known. `decided_by`: why this `orientation`.
    """

    locus: Locus
    grades: tuple[Grade, Grade]
    confidences: tuple[Confidence, Confidence]
    antigen_match: tuple[bool | None, bool | None]
    orientation: Orientation = Orientation.DIRECT
    decided_by: OrientationKey = OrientationKey.EQUAL


class _Compared(NamedTuple):
    grade: Grade
    confidence: Confidence
    antigen: bool | None


class Grader:
    """Grades many donors: what a position means, and how two compare, is worked out once.

    Keeps every position it was given, so one grader serves one search.
    """

    def __init__(self, nomenclature: Nomenclature, options: GradeOptions = GradeOptions()) -> None:
        self.nomenclature, self.options = nomenclature, options
        self._facts: dict[Position, PositionFacts] = {}
        self._compared: dict[tuple[PositionFacts, PositionFacts], _Compared] = {}

    def facts(self, position: Position) -> PositionFacts:
        """What a written position means. Raises `TypingError`."""
        known = self._facts.get(position)
        if known is None:
            known = self._facts[position] = read_position(position, self.nomenclature)
        return known

    def _compare(self, patient: PositionFacts, donor: PositionFacts) -> _Compared:
        known = self._compared.get((patient, donor))
        if known is None:
            known = self._compared[patient, donor] = _Compared(
                grade_positions(patient, donor),
                confidence_positions(patient, donor),
                antigen_match(patient, donor, self.options),
            )
        return known

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
            grade, potential = _untyped_grade(locus is Locus.DPB1), Confidence.POTENTIAL
            return GradedLocus(locus, (grade, grade), (potential, potential), (None, None))
        pairs = product(patient.alternatives, donor.alternatives)
        found = [self._pair(locus, ours, theirs) for ours, theirs in pairs]
        best = max(found, key=_sums)
        if all(graded == best for graded in found):
            return best
        first, second = (min(c, Confidence.POTENTIAL, key=_rank) for c in best.confidences)
        return replace(best, confidences=(first, second))

    def _pair(self, locus: Locus, patient: Pair, donor: Pair) -> GradedLocus:
        p1, p2, d1, d2 = map(self.facts, (*patient, *donor))
        direct = self._oriented(locus, Orientation.DIRECT, (p1, p2), (d1, d2))
        if self.options.by_patient:
            cross = self._oriented(locus, Orientation.CROSS, (p1, p2), (d2, d1))
        else:
            cross = self._oriented(locus, Orientation.CROSS, (p2, p1), (d1, d2))
        for key, ours, theirs in zip(OrientationKey, _sums(direct), _sums(cross), strict=False):
            if ours != theirs:
                return replace(direct if ours > theirs else cross, decided_by=key)
        return direct

    def _oriented(
        self,
        locus: Locus,
        orientation: Orientation,
        patient: tuple[PositionFacts, PositionFacts],
        donor: tuple[PositionFacts, PositionFacts],
    ) -> GradedLocus:
        first, second = map(self._compare, patient, donor)
        written = (first.grade, second.grade)
        first, second = map(self._compare, homozygous(*patient), homozygous(*donor))
        return GradedLocus(
            locus,
            written,
            (first.confidence, second.confidence),
            (first.antigen, second.antigen),
            orientation,
        )


def _rank(confidence: Confidence) -> int:
    return confidence.rank


def _sums(graded: GradedLocus) -> tuple[int, int, int]:
    """What decides between orientations, in the order of `OrientationKey`."""
    return (
        sum(grade.rank for grade in graded.grades),
        sum(confidence.rank for confidence in graded.confidences),
        sum(match is True for match in graded.antigen_match),
    )


def grade_locus(
    locus: Locus,
    patient: LocusTyping | None,
    donor: LocusTyping | None,
    nomenclature: Nomenclature,
    options: GradeOptions = GradeOptions(),
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
    options: GradeOptions = GradeOptions(),
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
