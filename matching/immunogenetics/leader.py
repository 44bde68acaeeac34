"""HLA-B leaders (rule R18)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from matching.immunogenetics.single_mismatch import (
    Direction,
    Reader,
    ReadPair,
    agreed,
    direction_of,
    single_mismatch,
)
from matching.loci import Locus
from matching.nomenclature import Nomenclature, split_name
from matching.typings import LocusTyping


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
        self._reader = Reader(
            Locus.B, nomenclature, lambda alleles: _leader(nomenclature, proteins, alleles)
        )

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


def _leader_genotype(pair: ReadPair[LeaderResidue]) -> str | None:
    residues = [read.fact.residue if read.groups else None for read in pair]
    known = sorted(residue for residue in residues if residue is not None)
    return "".join(known) if len(known) == 2 else None


def _shared(patient: LeaderResidue, donor: LeaderResidue) -> str | None:
    """Leader of a shared allele: alleles of one P group may differ outside its exons."""
    if patient.residue is None or donor.residue is None:
        return patient.residue or donor.residue
    return agreed((patient.residue, donor.residue))
