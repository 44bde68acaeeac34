"""Whole haplotypes that two people share: a 10/10 by alleles may differ in phase.

Petersdorf 2007, PLoS Med 4:e8. Haplotypes are the same where they have the same alleles or P groups
at every locus of the set; a null is itself here, since what a chromosome carries is compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching import prediction_kernels as kernels
from matching.haplotypes import HaplotypePairs, Imputer


@dataclass(frozen=True)
class PairTable:
    """The haplotype pairs of donors, person d at `offsets[d]:offsets[d + 1]`.

    `of_row`: (n_haplotypes,) what distinguishes the haplotypes of the set. `pairs`: (n, 2) of
    these; `weights`: (n,); `dropped`: (n_donors,).
    """

    of_row: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]
    pairs: npt.NDArray[np.int64]
    weights: npt.NDArray[np.float64]
    dropped: npt.NDArray[np.float64]

    @classmethod
    def of(cls, imputer: Imputer, donors: Sequence[HaplotypePairs]) -> PairTable:
        """Donors as `Imputer.pairs` gives them."""
        tokens = imputer.haplotype_tokens()
        of_row = np.unique(tokens, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
        counts = [len(donor.weights) for donor in donors]
        rows = [np.stack([donor.left, donor.right], axis=1) for donor in donors]
        return cls(
            of_row,
            np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            np.concatenate([np.empty((0, 2), np.int64), *(of_row[pairs] for pairs in rows)]),
            np.concatenate([np.empty(0), *(donor.weights for donor in donors)]),
            np.array([donor.dropped for donor in donors], dtype=np.float64),
        )

    def shared(
        self, patient: HaplotypePairs, donors: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.float64]:
        """P(0, 1, 2 haplotypes in common) of some donors, (n, 3); what was cut is missing."""
        out = np.zeros((len(donors), 3))
        pairs = self.of_row[np.stack([patient.left, patient.right], axis=1)]
        kernels.add_shared_haplotypes(
            pairs, patient.weights, self.pairs, self.weights, self.offsets, donors, out
        )
        return out
