"""Immunogenetic flags beyond the match count: one function a rule, each with its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from matching.genotypes import LocusGenotype
from matching.nomenclature import Nomenclature


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

    `from_family`: no sequence covers it and the first field tells.
    """

    residue: str | None
    from_family: bool


# First fields whose leader is M on release 3.58.0; all others carry T (PMC7365916).
_M_FAMILIES = frozenset(["07", "08", "14", "38", "39", "42", "48", "67", "73", "81"])
_SIGNAL_LENGTH = 24


def b_leader(nomenclature: Nomenclature, proteins: Mapping[str, str], name: str) -> LeaderResidue:
    """Leader of an HLA-B name, read from the precursor proteins (rule R18).

    `proteins`: sequences by allele name. It is the fourth of the 24 residues of the signal; only M
    and T count, and alleles that disagree leave it undetermined. Source: Petersdorf 2020, Lancet
    Haematol 7:e50. Raises `TypingError` for an unknown name.
    """
    alleles = nomenclature.expressing(nomenclature.read(name).alleles)
    sequences = (proteins.get(nomenclature.alleles[i].name, "") for i in alleles)
    residues = {s[3] for s in sequences if s.startswith("M") and len(s) > _SIGNAL_LENGTH}
    if not residues:
        family = name.partition("*")[2].partition(":")[0]
        return LeaderResidue("M" if family in _M_FAMILIES else "T", True)
    residue = residues.pop() if len(residues) == 1 else ""
    return LeaderResidue(residue if residue in ("M", "T") else None, False)


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

    `proteins`: sequences by allele name. Unknown where alleles disagree or nothing is known.
    Raises `TypingError` for an unknown name.
    """
    levels = set()
    for i in nomenclature.expressing(nomenclature.read(name).alleles):
        sequence = proteins.get(nomenclature.alleles[i].name, "")
        mature = sequence[_SIGNAL_LENGTH_DPB1:] if sequence.startswith("MMV") else ""
        if len(mature) >= 170 and (level := _RESIDUES.get((mature[95], mature[169]))):
            levels.add(level)
    if not levels:
        fields = name.partition("*")[2].split(":")
        return _LISTED_LEVEL.get(":".join(fields[:2]), Dpb1Expression.UNKNOWN)
    return levels.pop() if len(levels) == 1 else Dpb1Expression.UNKNOWN
