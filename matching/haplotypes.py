"""Haplotype frequencies of one population."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.loci import Locus


@dataclass(frozen=True)
class FrequencySet:
    """Haplotypes over `loci` and their frequencies, as published.

    `names`: the allele names of each locus of `loci`, in the order of first appearance.
    `haplotypes`: (n_haplotypes, n_loci) int32 positions in `names`.
    `frequencies`: (n_haplotypes,) float64 in [0, 1], with a sum of at most 1.0001: what is
    missing to 1 is haplotypes that were too rare to list.
    """

    population: str
    loci: tuple[Locus, ...]
    names: tuple[tuple[str, ...], ...]
    haplotypes: npt.NDArray[np.int32]
    frequencies: npt.NDArray[np.float64]
