"""DPB1 T-cell epitope categories (rule R14)."""

from __future__ import annotations

from enum import Enum

from matching.genotypes import LocusGenotype


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
