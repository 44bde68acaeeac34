"""Haplotype frequencies, and typings as weighted genotypes under them (rule R16)."""

from matching.haplotypes.frequencies import FrequencySet, Populations, merge_haplotypes
from matching.haplotypes.imputation import (
    ImputedGenotypes,
    Imputer,
    NullImputation,
    Resolution,
)

__all__ = [
    "FrequencySet",
    "ImputedGenotypes",
    "Imputer",
    "NullImputation",
    "Populations",
    "Resolution",
    "merge_haplotypes",
]
