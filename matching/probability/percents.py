"""Whole percents, rounded half up, and the WMDA grades of a locus (rule R15)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from matching.haplotypes import MOST_LISTED, Imputer
from matching.typings import Typing, Written

# Floating point is not trusted this close to a half percent, 0 or 1.
_CLOSE = 1e-9
# Sums of integers below this are exact in float64.
_EXACT = 2**53


def locus_grades(p_two: npt.NDArray[np.float64]) -> npt.NDArray[np.str_]:
    """A (certain), P (possible) or M (excluded), from the probability of two matches.

    >>> locus_grades(np.array([1.0, 0.004, 0.0])).tolist()
    ['A', 'P', 'M']
    """
    return np.where(p_two >= 1 - _CLOSE, "A", np.where(p_two > 0, "P", "M"))


def whole_percents(
    values: npt.NDArray[np.float64], exact: Callable[[int], Fraction | None]
) -> npt.NDArray[np.int64]:
    """Probabilities (n,) as whole percents, rounded half up.

    `exact`: the true value at a position, asked for where floating point cannot tell on which side
    of a half percent it lies; None where it is not known, which counts as the half.
    """
    percents = np.floor(100 * values + 0.5).astype(np.int64)
    halves = np.abs(100 * values - np.floor(100 * values) - 0.5)
    for i in np.flatnonzero(halves < 100 * _CLOSE).tolist():
        low = int(np.floor(100 * values[i]))
        true = exact(i)
        percents[i] = low + (true is None or 100 * true >= low + Fraction(1, 2))
    return percents


@dataclass
class ExactPairs:
    """Predictions in rational arithmetic, for frequencies that are decimals of few digits."""

    imputer: Imputer
    _scaled: npt.NDArray[np.float64] | None = field(init=False)

    def __post_init__(self) -> None:
        values = [Fraction(repr(f)) for f in self.imputer.frequencies.frequencies.tolist()]
        scale = math.lcm(*(value.denominator for value in values))
        total = int(sum(values) * scale)
        # Squares of sums must be exact in floating point.
        fits = 2 * total * total < _EXACT
        self._scaled = np.array([float(value * scale) for value in values]) if fits else None

    def predict(
        self, patient: Typing | Written, donor: Typing | Written
    ) -> tuple[list[Fraction], list[Fraction]] | None:
        """P of each number of mismatches, and of two matches at each locus.

        None where the frequencies have too many digits, or a side is very ambiguous or
        unrepresented.
        """
        if self._scaled is None:
            return None
        found = self.imputer.impute([patient, donor], self._scaled, most=MOST_LISTED)
        if not found.mass.all() or found.dropped.any():
            return None
        sides = []
        for person in range(2):
            rows = slice(*found.offsets[person : person + 2])
            mass = found.mass[person]
            sides.append((found.codes[rows], np.rint(found.weights[rows] * mass).astype(np.int64)))
        (codes, weights), (others, other_weights) = sides
        n_loci = codes.shape[1]
        total, two = [0] * (2 * n_loci + 1), [0] * n_loci
        for row, weight in zip(codes, weights.tolist(), strict=True):
            mismatches = np.stack(
                [self._mismatches(c, int(row[c]), others[:, c]) for c in range(n_loci)], axis=1
            )
            for k, count in enumerate(mismatches.sum(axis=1).tolist()):
                total[count] += weight * int(other_weights[k])
            for locus in range(n_loci):
                two[locus] += weight * int(other_weights[mismatches[:, locus] == 0].sum())
        whole = int(weights.sum()) * int(other_weights.sum())
        return [Fraction(n, whole) for n in total], [Fraction(n, whole) for n in two]

    def _mismatches(
        self, column: int, code: int, others: npt.NDArray[np.int32]
    ) -> npt.NDArray[np.int64]:
        """2 minus the match count (rule R2) of a genotype with others of the same locus."""
        genotypes = self.imputer.genotypes(column)
        (a, b), (c, d) = genotypes[code].tolist(), genotypes[others].T
        ac, ad, bc, bd = ((x == y) & (y > 0) for x, y in ((a, c), (a, d), (b, c), (b, d)))
        two, one = (ac & bd) | (ad & bc), ac | ad | bc | bd
        return np.where(two, 0, np.where(one, 1, 2))
