"""HLA-B leaders (rule R18)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import chain, product

import numpy as np
import numpy.typing as npt

from matching.immunogenetics.single_mismatch import (
    Direction,
    Read,
    Reader,
    ReadPair,
    agreed,
    direction_of,
    meet,
    single_mismatch,
)
from matching.loci import Locus
from matching.nomenclature import Nomenclature, split_name
from matching.numbering import numbered
from matching.typings import LocusTyping, parse_position


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


# Whether a single HLA-B mismatch is leader-matched, and the shared leader; None: undetermined.
LeaderOutcome = tuple[bool | None, str | None]
_RESIDUES = (None, "M", "T")
# Bits of all that pairs of genotypes of two lists may be: without a mismatch, and each residue of
# the patient's mismatched position, of the donor's, and of the shared one.
_MAY_MATCH, _OF_PATIENT, _OF_DONOR, _OF_SHARED = 1, 1, 4, 7
_N_BITS = 1 << _OF_SHARED + len(_RESIDUES)


def leader_preference(
    outcome: LeaderOutcome, order: Sequence[tuple[bool, str]] = LEADER_ORDER
) -> int | None:
    """Place of a single HLA-B mismatch in `order`, 0 best; None where it has none there."""
    return next((place for place, entry in enumerate(order) if entry == outcome), None)


@dataclass(frozen=True)
class WrittenPairs:
    """Distinct typings of a locus as written: the genotypes of typing t are
    `pairs[starts[t]:starts[t + 1]]`, none where it is untyped, each two numbers in `positions`.

    `starts` (n + 1,) and `pairs` (n_pairs, 2) int64.
    """

    positions: Sequence[str]
    starts: npt.NDArray[np.int64]
    pairs: npt.NDArray[np.int64]


class Leaders:
    """HLA-B leaders of pairs; every position is read once.

    `proteins`: precursor sequences by allele name; without them every leader is the family's.
    """

    def __init__(self, nomenclature: Nomenclature, proteins: Mapping[str, str]) -> None:
        self._reader = Reader(
            Locus.B, nomenclature, lambda alleles: _leader(nomenclature, proteins, alleles)
        )
        self._read: dict[str, Read[LeaderResidue]] = {}

    def match(self, patient: LocusTyping, donor: LocusTyping | None) -> LeaderMatch:
        """Leaders of a patient and a donor, typed at HLA-B or None. Raises `TypingError`."""
        ours = self._reader.pairs(patient)
        theirs = [] if donor is None else self._reader.pairs(donor)
        genotype = agreed(_leader_genotype(pair) for pair in ours)
        pairings = single_mismatch(ours, theirs)
        read = chain.from_iterable((*ours, *theirs) if pairings else ours)
        from_family = any(one.fact.from_family for one in read if one.groups)
        if not pairings:
            return LeaderMatch(genotype, from_family=from_family)
        patients = agreed(patient[1].fact.residue for patient, _ in pairings)
        donors = agreed(donor[1].fact.residue for _, donor in pairings)
        return LeaderMatch(
            genotype,
            patients,
            donors,
            agreed(_shared(patient[0].fact, donor[0].fact) for patient, donor in pairings),
            None if patients is None or donors is None else patients == donors,
            direction_of(pairings),
            from_family,
        )

    def outcomes(
        self,
        patient: LocusTyping,
        donors: WrittenPairs,
        between: Callable[[], object] = lambda: None,
    ) -> tuple[list[LeaderOutcome], npt.NDArray[np.int64]]:
        """What `match` says of a patient and each of many donors: the distinct outcomes, and which
        each donor has, (n,). `between`: called between parts of the work; what it raises ends it.
        Raises `TypingError`."""
        reads = []
        for text in donors.positions:
            between()
            reads.append(self._of_text(text))
        silent = np.array([not read.groups for read in reads], dtype=bool)
        first, second = donors.pairs.T
        # One that expresses nothing takes its partner's place (R3).
        first, second = (np.where(silent[i], j, i) for i, j in ((first, second), (second, first)))
        bits = np.zeros(len(first), dtype=np.int64)
        for ours in self._reader.pairs(patient):
            between()
            # Donors' positions that do the same beside this genotype are as one.
            kinds = np.array([_kind(ours, read) for read in reads], dtype=np.int64)
            between()
            distinct, place = numbered(kinds[first] * _N_KINDS + kinds[second], _N_KINDS**2)
            at = np.empty(len(distinct), dtype=np.int64)
            at[place] = np.arange(len(place))
            found = [_bits(ours, (reads[first[i]], reads[second[i]])) for i in at.tolist()]
            bits |= np.array(found, dtype=np.int64)[place]
        of_typing = np.zeros(len(donors.starts) - 1, dtype=np.int64)
        typed = np.diff(donors.starts) > 0
        of_typing[typed] = np.bitwise_or.reduceat(bits, donors.starts[:-1][typed])
        distinct, number = numbered(of_typing, _N_BITS)
        return [_outcome(one) for one in distinct.tolist()], number

    def _of_text(self, text: str) -> Read[LeaderResidue]:
        read = self._read.get(text)
        if read is None:
            read = self._read[text] = self._reader.read(parse_position(Locus.B.value, text))
        return read


_N_KINDS = 4 * len(_RESIDUES)


def _kind(ours: ReadPair[LeaderResidue], read: Read[LeaderResidue]) -> int:
    """Which of the patient's positions it matches, and its residue: below `_N_KINDS`."""
    meets = meet(ours[0], read) + 2 * meet(ours[1], read)
    return 4 * _RESIDUES.index(read.fact.residue) + meets


def _bits(ours: ReadPair[LeaderResidue], theirs: ReadPair[LeaderResidue]) -> int:
    """What two genotypes are; 0 where no position matches."""
    meets = [[meet(p, d) for d in theirs] for p in ours]
    if (meets[0][0] and meets[1][1]) or (meets[0][1] and meets[1][0]):
        return _MAY_MATCH
    return reduce(
        int.__or__,
        (
            1 << _OF_PATIENT + _RESIDUES.index(ours[1 - i].fact.residue)
            | 1 << _OF_DONOR + _RESIDUES.index(theirs[1 - j].fact.residue)
            | 1 << _OF_SHARED + _RESIDUES.index(_shared(ours[i].fact, theirs[j].fact))
            for i, j in product((0, 1), repeat=2)
            if meets[i][j]
        ),
        0,
    )


def _outcome(bits: int) -> LeaderOutcome:
    if bits & _MAY_MATCH:
        return None, None
    patient, donor, shared = (
        agreed(_RESIDUES[i] for i in range(len(_RESIDUES)) if bits >> first + i & 1)
        for first in (_OF_PATIENT, _OF_DONOR, _OF_SHARED)
    )
    return None if patient is None or donor is None else patient == donor, shared


def _leader_genotype(pair: ReadPair[LeaderResidue]) -> str | None:
    residues = [read.fact.residue if read.groups else None for read in pair]
    known = sorted(residue for residue in residues if residue is not None)
    return "".join(known) if len(known) == 2 else None


def _shared(patient: LeaderResidue, donor: LeaderResidue) -> str | None:
    """Leader of a shared allele: alleles of one P group may differ outside its exons."""
    if patient.residue is None or donor.residue is None:
        return patient.residue or donor.residue
    return agreed((patient.residue, donor.residue))
