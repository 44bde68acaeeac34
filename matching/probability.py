"""Genotypes x genotypes -> probabilities of matches, by plain enumeration (rule R16)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching import kernels
from matching.haplotypes import ImputedGenotypes, Imputer


@dataclass(frozen=True)
class Prediction:
    """One patient against some donors.

    `donors`: (n,) int64 positions. `p_mismatches`: (n, 3) float64, the probability of 0, 1 and 2
    mismatches over the loci of the set. `p_two`: (n, n_loci) float64, of two matches at each.
    """

    donors: npt.NDArray[np.int64]
    p_mismatches: npt.NDArray[np.float64]
    p_two: npt.NDArray[np.float64]


def predict(
    imputer: Imputer,
    patient: tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]],
    donors: ImputedGenotypes,
    above: float = -1.0,
) -> Prediction:
    """Probabilities against every donor whose sum over 0 to 2 mismatches exceeds `above`.

    `patient`: codes and weights of `Imputer.impute_one`. Both sides come from the same imputer.
    A donor or patient who is unrepresented (mass 0) has probabilities of NaN if `above` is
    negative, and is left out otherwise: unknown is no mismatch.
    """
    codes, weights = patient
    n_loci = len(imputer.frequencies.loci)
    if not len(weights):
        unknown = np.arange(len(donors) if above < 0 else 0, dtype=np.int64)
        return Prediction(
            unknown, np.full((len(unknown), 3), np.nan), np.full((len(unknown), n_loci), np.nan)
        )
    genotypes = [imputer.genotypes(column) for column in range(n_loci)]
    starts = np.zeros(n_loci, dtype=np.int64)
    np.cumsum([len(pairs) for pairs in genotypes[:-1]], out=starts[1:])
    tables = [_mismatches(row, genotypes) for row in codes]
    total = np.zeros((len(donors), 3))
    for table, weight in zip(tables, weights, strict=True):
        kernels.add_total_probabilities(
            table, starts, donors.codes, donors.weights, donors.offsets, weight, total
        )
    total[donors.mass == 0] = np.nan
    kept = np.arange(len(donors)) if above < 0 else np.flatnonzero(total.sum(axis=1) > above)
    p_two = np.zeros((len(kept), n_loci))
    for table, weight in zip(tables, weights, strict=True):
        kernels.add_locus_probabilities(
            table, starts, donors.codes, donors.weights, donors.offsets, weight, kept, p_two
        )
    p_two[donors.mass[kept] == 0] = np.nan
    return Prediction(kept, total[kept], p_two)


def _mismatches(
    row: npt.NDArray[np.int32], genotypes: list[npt.NDArray[np.int32]]
) -> npt.NDArray[np.uint8]:
    """Mismatches of one patient genotype with every genotype of every locus, one after another."""
    tables = []
    for code, pairs in zip(row, genotypes, strict=True):
        out = np.empty(len(pairs), dtype=np.uint8)
        kernels.token_mismatches(pairs[code, 0], pairs[code, 1], pairs, out)
        tables.append(out)
    return np.concatenate(tables)
