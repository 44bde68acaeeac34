"""What an analysis of a family says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from matching.family.faults import Inconsistency, Recombination
from matching.family.pedigree import Pedigree
from matching.loci import Locus


class RelativeClass(Enum):
    """What a relative is to a patient over the compared loci, best first.

    IDENTICAL: both haplotypes by descent. IDENTICAL_BY_TYPE: no mismatch, and not both by descent.
    ONE_MISMATCH: exactly one. HAPLOIDENTICAL: more, and one haplotype by descent (in parts where
    there was a recombination). OTHER: none. What is not known to match counts as a mismatch.
    """

    IDENTICAL = "HLA-identical"
    IDENTICAL_BY_TYPE = "identical by type"
    ONE_MISMATCH = "one mismatch"
    HAPLOIDENTICAL = "haploidentical"
    OTHER = "less than haploidentical"


class Weighting(Enum):
    """What phase that the family leaves open is weighted by (see `matching.family.weights`)."""

    EQUAL = "equal weights"
    FREQUENCIES = "haplotype frequencies"


@dataclass(frozen=True, slots=True)
class RefinedLocus:
    """A typed locus of a member after what the relatives say.

    `text`: the typing reduced to what the family admits, as GL string text. `genotypes`: the
    genotypes that are left and their probabilities, which sum to 1, the likeliest first.
    """

    locus: Locus
    written: str
    text: str
    genotypes: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Relative:
    """A member other than the patient. Probabilities are in [0, 1].

    `classes`: sum to 1. `shares_a`, `shares_c`: that the patient's paternal and maternal haplotype
    is one of the relative's by descent. `mismatches`: of each number over the compared loci, as the
    patient sees them (R2); they sum to 1. `nima`: that the haplotype that is not shared is the one
    that the patient's mother did not pass on; None where no mother is named. `by_descent`: compared
    loci at which the relative is not typed, so that only descent tells.
    """

    id: str
    relationship: str
    classes: Mapping[RelativeClass, float]
    shares_a: float
    shares_c: float
    mismatches: Mapping[int, float]
    nima: float | None
    by_descent: tuple[Locus, ...]

    @property
    def likeliest(self) -> RelativeClass:
        """The class of highest probability, the better one of equals."""
        return max(RelativeClass, key=lambda one: self.classes[one])

    @property
    def through(self) -> str:
        """Which of the patient's haplotypes are likelier shared than not: "a", "c", "ac" or ""."""
        return "a" * (self.shares_a > 0.5) + "c" * (self.shares_c > 0.5)


@dataclass(frozen=True)
class FamilyAnalysis:
    """A family around a patient.

    `labels`: letters of the founder haplotypes: a the patient's paternal, b the father's other, c
    the patient's maternal, d the mother's other, then on. `chromosomes`: letters at each of `loci`
    of each member, paternal first, in the likeliest way of transmission; `alleles`: what a letter
    carries at each locus in it, "?" where nothing tells. `likeliest_share`: its probability.
    `set_aside`: an inconsistent locus, which nothing is inherited by here; relatives are compared
    there by their typings, at worst.
    """

    pedigree: Pedigree
    patient: str
    loci: tuple[Locus, ...]
    compared: tuple[Locus, ...]
    weighting: Weighting
    labels: Mapping[str, str]
    chromosomes: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    alleles: Mapping[str, tuple[str, ...]]
    likeliest_share: float
    relatives: tuple[Relative, ...]
    refined: Mapping[str, tuple[RefinedLocus, ...]]
    recombinations: tuple[Recombination, ...]
    n_recombinations: int
    set_aside: tuple[Inconsistency, ...]
    notes: tuple[str, ...]
