"""Whole haplotypes that two people share: a 10/10 by alleles may differ in phase.

Petersdorf 2007, PLoS Med 4:e8. Haplotypes are the same where they have the same alleles or P groups
at every locus of the set; a null is itself here, since what a chromosome carries is compared.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.haplotypes import ExplainingClasses

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CarriedHaplotypes:
    """The haplotypes that a person may carry, as `shared_kernels.shared_haplotypes` takes them.

    `haplotypes`: (n,) ascending numbers of what distinguishes the haplotypes of the set. `carried`,
    `twice`: (n,) the probability of each; other fields as in `ExplainingClasses`.
    """

    haplotypes: Ints
    frequencies: Floats
    classes: Ints
    carried: Floats
    twice: Floats
    pairs: Ints
    n_classes: int

    @classmethod
    def of(cls, distinct: Ints, found: ExplainingClasses) -> CarriedHaplotypes:
        """Those of someone whom haplotypes of a set explain; `distinct`: those of its imputer."""
        # Compiled only where it is asked for.
        from matching.probability import shared_kernels as kernels

        classes = np.repeat(np.arange(len(found.held)), np.diff(found.bounds))
        order = np.argsort(distinct[found.rows], kind="stable")
        haplotypes, classes = distinct[found.rows][order], classes[order]
        frequencies = found.haplotypes.frequencies[found.rows][order] / np.sqrt(found.mass)
        carried, twice = np.zeros(len(order)), np.zeros(len(order))
        kernels.carried_haplotypes(
            haplotypes, classes, frequencies, found.pairs, len(found.held), carried, twice
        )
        return cls(haplotypes, frequencies, classes, carried, twice, found.pairs, len(found.held))

    def shared_with(self, donor: CarriedHaplotypes, out: Floats) -> None:
        """P(0, 1, 2 haplotypes in common) with a donor, out (3,), exact for any ambiguity."""
        from matching.probability import shared_kernels as kernels

        kernels.shared_haplotypes(*self._arrays, *donor._arrays, out)

    @property
    def _arrays(self) -> tuple[Ints, Floats, Ints, Floats, Floats, Ints, int]:
        return (
            self.haplotypes, self.frequencies, self.classes, self.carried, self.twice, self.pairs,
            self.n_classes,
        )  # fmt: skip
