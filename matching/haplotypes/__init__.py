"""Haplotype frequencies, and typings as weighted genotypes under them (rule R16)."""

from matching.haplotypes.admitted import Admitted, NullImputation, Resolution
from matching.haplotypes.classes import MAX_PAIRS, MOST_LISTED, ExplainingClasses, cut_pairs
from matching.haplotypes.frequencies import FrequencySet, Populations, merge_haplotypes
from matching.haplotypes.imputation import Imputer
from matching.haplotypes.recombination import recombinations
from matching.haplotypes.values import HaplotypePairs, ImputedGenotypes

__all__ = [
    "MAX_PAIRS",
    "MOST_LISTED",
    "Admitted",
    "ExplainingClasses",
    "FrequencySet",
    "HaplotypePairs",
    "ImputedGenotypes",
    "Imputer",
    "NullImputation",
    "Populations",
    "Resolution",
    "cut_pairs",
    "merge_haplotypes",
    "recombinations",
]
