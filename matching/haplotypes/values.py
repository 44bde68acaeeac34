"""Imputed people as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ImputedGenotypes:
    """Unphased genotypes of many people, person p at `offsets[p]:offsets[p + 1]`.

    `codes`: (n_genotypes, n_loci) int32 positions in `Imputer.genotypes`. `weights`:
    (n_genotypes,) float64, summing to 1 - dropped for each person. `mass`: (n_people,) float64, the
    sum of the weights of all pairs; 0 is "unrepresented": no pair of the set explains the typing.
    `dropped`: (n_people,) float64 in [0, 1), the share of the mass that was cut, 0 for most.
    """

    offsets: Ints
    codes: Codes
    weights: Floats
    mass: Floats
    dropped: Floats

    @classmethod
    def of(
        cls, people: Sequence[tuple[Codes, Floats, float, float]], n_loci: int
    ) -> ImputedGenotypes:
        """People by the codes, weights, mass and dropped share of each."""
        return cls(
            np.cumsum([0, *(len(person[1]) for person in people)], dtype=np.int64),
            np.concatenate([np.empty((0, n_loci), np.int32), *(person[0] for person in people)]),
            np.concatenate([np.empty(0), *(person[1] for person in people)]),
            np.array([person[2] for person in people], dtype=np.float64),
            np.array([person[3] for person in people], dtype=np.float64),
        )

    def __len__(self) -> int:
        return len(self.mass)

    def take(self, people: Ints) -> ImputedGenotypes:
        """The given people, some of them more than once."""
        counts = np.diff(self.offsets)[people]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        at = np.repeat(self.offsets[people] - offsets[:-1], counts) + np.arange(offsets[-1])
        return ImputedGenotypes(
            offsets, self.codes[at], self.weights[at], self.mass[people], self.dropped[people]
        )


@dataclass(frozen=True)
class HaplotypePairs:
    """The haplotype pairs that explain a typing, heaviest first.

    `left`, `right`: (n,) rows of the set; `weights`: (n,) float64 summing to 1 - dropped; `mass`
    and `dropped` as in `ImputedGenotypes`.
    """

    left: Ints
    right: Ints
    weights: Floats
    mass: float
    dropped: float
