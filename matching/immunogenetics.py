"""Immunogenetic flags beyond the match count: one function a rule, each with its source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain, product
from typing import Generic, TypeVar

from matching.genotypes import LocusGenotype, encode_locus
from matching.loci import Locus
from matching.nomenclature import Nomenclature, split_name
from matching.typings import Form, LocusTyping, Pair, Position


class TceCategory(Enum):
    """What HLA-DPB1 says about a pair; the order is that of preference, best first."""

    MATCH = "match"
    POTENTIAL_MATCH = "potential match"
    PERMISSIVE = "permissive"
    UNKNOWN = "unknown"
    UNTYPED = "untyped"
    GVH_NON_PERMISSIVE = "non-permissive GvH"
    HVG_NON_PERMISSIVE = "non-permissive HvG"

    @property
    def preference(self) -> int:
        """Rank for ordering donors, 0 best: nothing known lies between the two known outcomes."""
        return _PREFERENCE[self]


_PREFERENCE = {
    TceCategory.MATCH: 0,
    TceCategory.POTENTIAL_MATCH: 1,
    TceCategory.PERMISSIVE: 2,
    TceCategory.UNKNOWN: 3,
    TceCategory.UNTYPED: 3,
    TceCategory.GVH_NON_PERMISSIVE: 4,
    TceCategory.HVG_NON_PERMISSIVE: 4,
}


def dpb1_tce(patient: LocusGenotype, donor: LocusGenotype) -> TceCategory:
    """T-cell epitope category of two DPB1 genotypes that are mismatched (rule R14, groups V2).

    The person with the lower number presents the more immunogenic group: patient lower is
    non-permissive in GvH direction, donor lower in HvG direction, equal is permissive
    (Crivello 2015, Biol Blood Marrow Transplant 21:233; Fleischhauer 2012, Lancet Oncol 13:366).

    >>> def person(*groups):
    ...     return LocusGenotype((1,), (2,), False, groups)
    >>> dpb1_tce(person(2, 3), person(1, 3)).value
    'non-permissive HvG'
    """
    if 0 in patient.tce or 0 in donor.tce:
        return TceCategory.UNKNOWN
    lowest_patient, lowest_donor = min(patient.tce), min(donor.tce)
    if lowest_patient == lowest_donor:
        return TceCategory.PERMISSIVE
    if lowest_patient < lowest_donor:
        return TceCategory.GVH_NON_PERMISSIVE
    return TceCategory.HVG_NON_PERMISSIVE


@dataclass(frozen=True, slots=True)
class LeaderResidue:
    """Residue -21 of the HLA-B signal peptide: M, T, or None where it is undetermined.

    `from_family`: no sequence covers it in some protein, and its first field tells.
    """

    residue: str | None
    from_family: bool


# First fields whose leader is M on release 3.58.0; all others carry T (PMC7365916).
_M_FAMILIES = frozenset(["07", "08", "14", "38", "39", "42", "48", "67", "73", "81"])
_SIGNAL_LENGTH = 24


def b_leader(nomenclature: Nomenclature, proteins: Mapping[str, str], name: str) -> LeaderResidue:
    """Leader of an HLA-B name, read from the precursor proteins (rule R18).

    `proteins`: sequences by allele name. It is the fourth of the 24 residues of the signal; only M
    and T count, and alleles that disagree leave it undetermined. A protein of which no allele is
    sequenced there has the leader of its family. Source: Petersdorf 2020, Lancet Haematol 7:e50.
    Raises `TypingError` for an unknown name.
    """
    alleles = nomenclature.expressing(nomenclature.read(name).alleles)
    return _leader(nomenclature, proteins, alleles)


def _leader(
    nomenclature: Nomenclature, proteins: Mapping[str, str], alleles: Iterable[int]
) -> LeaderResidue:
    # Alleles of the same two fields are one protein, so a sequence of one tells of all of them.
    sequenced: defaultdict[tuple[str, ...], set[str]] = defaultdict(set)
    for i in alleles:
        name = nomenclature.alleles[i].name
        residues = sequenced[tuple(split_name(name)[1][:2])]
        sequence = proteins.get(name, "")
        if sequence.startswith("M") and len(sequence) > _SIGNAL_LENGTH:
            residues.add(sequence[3])
    found = set().union(*sequenced.values())
    families = {fields[0] for fields, residues in sequenced.items() if not residues}
    found |= {"M" if family in _M_FAMILIES else "T" for family in families}
    residue = found.pop() if len(found) == 1 else ""
    return LeaderResidue(residue if residue in ("M", "T") else None, bool(families))


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
class _Read(Generic[T]):
    groups: frozenset[int]
    fact: T


_ReadPair = tuple[_Read[T], _Read[T]]
# No names whose sequences could be read.
_NAMELESS = frozenset({Form.NEW, Form.UNTYPED, Form.ABSENT})


@dataclass
class _Reader(Generic[T]):
    """What positions of a locus present and a fact of their alleles, each position read once."""

    locus: Locus
    nomenclature: Nomenclature
    fact: Callable[[Sequence[int]], T]
    known: dict[Position, _Read[T]] = field(default_factory=dict)

    def pairs(self, typing: LocusTyping) -> list[_ReadPair[T]]:
        """Both positions of every genotype of a list."""
        return [self._pair(pair) for pair in typing.alternatives]

    def _pair(self, pair: Pair) -> _ReadPair[T]:
        """Both positions; one that expresses nothing takes its partner's place (R3)."""
        first, second = self._read(pair[0]), self._read(pair[1])
        return (first if first.groups else second), (second if second.groups else first)

    def _read(self, position: Position) -> _Read[T]:
        known = self.known.get(position)
        if known is None:
            twice = encode_locus(self.locus, LocusTyping(position, position), self.nomenclature)[0]
            names = () if position.form in _NAMELESS else position.names
            alleles = [i for name in names for i in self.nomenclature.read(name).alleles]
            fact = self.fact(self.nomenclature.expressing(alleles))
            known = self.known[position] = _Read(frozenset(twice.first), fact)
        return known


def _meet(patient: _Read[T], donor: _Read[T]) -> bool:
    """Whether two positions match (R1); a code below 0 is no P group and matches nothing."""
    return max(patient.groups & donor.groups, default=-1) >= 0


def _single_mismatch(
    patients: list[_ReadPair[T]], donors: list[_ReadPair[T]]
) -> list[tuple[_ReadPair[T], _ReadPair[T]]]:
    """Every way to match one position with one, each as (shared, mismatched) of both people.

    Empty unless exactly one position is mismatched (R2, ambiguity in favour of a match).
    """
    pairings = []
    for patient, donor in product(patients, donors):
        meets = [[_meet(p, d) for d in donor] for p in patient]
        if (meets[0][0] and meets[1][1]) or (meets[0][1] and meets[1][0]):
            return []
        pairings += [
            ((patient[i], patient[1 - i]), (donor[j], donor[1 - j]))
            for i, j in product((0, 1), repeat=2)
            if meets[i][j]
        ]
    return pairings


def _direction(pairings: list[tuple[_ReadPair[T], _ReadPair[T]]]) -> Direction | None:
    """Direction of a single mismatch, None where an ambiguity leaves it open."""
    gvh = _agreed(_presents_more(patient, donor) for patient, donor in pairings)
    hvg = _agreed(_presents_more(donor, patient) for patient, donor in pairings)
    if gvh is None or hvg is None:
        return None
    if gvh:
        return Direction.BOTH if hvg else Direction.GVH
    return Direction.HVG


def _presents_more(own: _ReadPair[T], other: _ReadPair[T]) -> bool | None:
    """Whether the mismatched groups are ones that the other person lacks."""
    shared, mismatched = own[0].groups & other[0].groups, own[1].groups
    if mismatched.isdisjoint(shared):
        return True
    return False if len(shared | mismatched) == 1 else None


def _agreed(values: Iterable[T | None]) -> T | None:
    """The one value that all agree on, None where they differ or there are none."""
    distinct = set(values)
    return distinct.pop() if len(distinct) == 1 else None


@dataclass(frozen=True, slots=True)
class LeaderMatch:
    """HLA-B leaders of a pair (rule R18); a residue is M or T, None where it is undetermined.

    `patient_genotype`: MM, MT or TT; it counts for mismatches at other loci, too. The other fields
    are None unless exactly one HLA-B position is mismatched. A homozygous person's mismatched
    residue is that of the copy without a partner; `direction` tells that it is no target.
    `from_family`: some leader was not sequenced and its first field told.
    """

    patient_genotype: str | None
    patient_mismatched: str | None = None
    donor_mismatched: str | None = None
    shared: str | None = None
    leader_matched: bool | None = None
    direction: Direction | None = None
    from_family: bool = False


# (leader-matched, shared leader), best first: Petersdorf 2020, Lancet Haematol 7:e50.
LEADER_ORDER: tuple[tuple[bool, str], ...] = (
    (True, "T"),
    (True, "M"),
    (False, "T"),
    (False, "M"),
)


def leader_preference(
    match: LeaderMatch, order: Sequence[tuple[bool, str]] = LEADER_ORDER
) -> int | None:
    """Place of a single HLA-B mismatch in `order`, 0 best; None where it has none there."""
    key = (match.leader_matched, match.shared)
    return next((place for place, entry in enumerate(order) if entry == key), None)


class Leaders:
    """HLA-B leaders of pairs; every position is read once, so a pair costs microseconds.

    `proteins`: precursor sequences by allele name; without them every leader is the family's.
    """

    def __init__(self, nomenclature: Nomenclature, proteins: Mapping[str, str]) -> None:
        self._reader = _Reader(
            Locus.B, nomenclature, lambda alleles: _leader(nomenclature, proteins, alleles)
        )

    def match(self, patient: LocusTyping, donor: LocusTyping | None) -> LeaderMatch:
        """Leaders of a patient and a donor, typed at HLA-B or None. Raises `TypingError`."""
        ours = self._reader.pairs(patient)
        theirs = [] if donor is None else self._reader.pairs(donor)
        genotype = _agreed(_leader_genotype(pair) for pair in ours)
        pairings = _single_mismatch(ours, theirs)
        read = chain.from_iterable((*ours, *theirs) if pairings else ours)
        from_family = any(one.fact.from_family for one in read if one.groups)
        if not pairings:
            return LeaderMatch(genotype, from_family=from_family)
        patients = _agreed(patient[1].fact.residue for patient, _ in pairings)
        donors = _agreed(donor[1].fact.residue for _, donor in pairings)
        return LeaderMatch(
            genotype,
            patients,
            donors,
            _agreed(_shared(patient[0].fact, donor[0].fact) for patient, donor in pairings),
            None if patients is None or donors is None else patients == donors,
            _direction(pairings),
            from_family,
        )


def _leader_genotype(pair: _ReadPair[LeaderResidue]) -> str | None:
    residues = [read.fact.residue if read.groups else None for read in pair]
    known = sorted(residue for residue in residues if residue is not None)
    return "".join(known) if len(known) == 2 else None


def _shared(patient: LeaderResidue, donor: LeaderResidue) -> str | None:
    """Leader of a shared allele: alleles of one P group may differ outside its exons."""
    if patient.residue is None or donor.residue is None:
        return patient.residue or donor.residue
    return _agreed((patient.residue, donor.residue))


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
        self._reader = _Reader(
            Locus.DPB1, nomenclature, lambda alleles: _expression(nomenclature, proteins, alleles)
        )

    def match(self, patient: LocusTyping, donor: LocusTyping) -> ExpressionMatch | None:
        """Expression of a pair typed at DPB1; None unless exactly one position is mismatched.

        Source: Petersdorf 2015, NEJM 373:599. Raises `TypingError`.
        """
        pairings = _single_mismatch(self._reader.pairs(patient), self._reader.pairs(donor))
        if not pairings:
            return None
        level = _agreed(patient[1].fact for patient, _ in pairings) or Dpb1Expression.UNKNOWN
        outcome = _OUTCOMES.get(level, ExpressionOutcome.UNKNOWN)
        return ExpressionMatch(outcome, level, _direction(pairings))
