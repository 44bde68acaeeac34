"""One release of the IPD-IMGT/HLA nomenclature as an immutable value.

A written name is read by rules R4 to R8: an allele, a shorter name for all alleles with those
leading fields, a G, P or g group, `XX` for a whole first field, a multiple allele code, an antigen,
and otherwise whatever the release's own records of renamed and deleted names lead to.
"""

from matching.nomenclature.alleles import (
    ALTERED_SUFFIXES,
    Allele,
    split_name,
    tce_group,
    two_fields,
)
from matching.nomenclature.release import NO_P_GROUP, Nomenclature, Reading

__all__ = [
    "ALTERED_SUFFIXES",
    "NO_P_GROUP",
    "Allele",
    "Nomenclature",
    "Reading",
    "split_name",
    "tce_group",
    "two_fields",
]
