"""Family donors: segregation of haplotypes over a pedigree, relatives as donors."""

from matching.family.analysis import analyse
from matching.family.faults import Inconsistency, Recombination
from matching.family.pedigree import Member, Pedigree
from matching.family.ranking import (
    REASONS,
    SOURCES,
    DonorFacts,
    HaploidenticalRule,
    donor_facts,
    parse_haploidentical_rule,
    rank_relatives,
    reasons,
    refined_typing,
)
from matching.family.values import (
    FamilyAnalysis,
    RefinedLocus,
    Relative,
    RelativeClass,
    Weighting,
)
from matching.family.weights import FounderFrequencies

__all__ = [
    "REASONS",
    "SOURCES",
    "DonorFacts",
    "FamilyAnalysis",
    "FounderFrequencies",
    "HaploidenticalRule",
    "Inconsistency",
    "Member",
    "Pedigree",
    "Recombination",
    "RefinedLocus",
    "Relative",
    "RelativeClass",
    "Weighting",
    "analyse",
    "donor_facts",
    "parse_haploidentical_rule",
    "rank_relatives",
    "reasons",
    "refined_typing",
]
