"""An explainable total order of donors: the key is part of the result."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# The keys in order of weight, as the reason to stand below another donor.
KEYS = (
    "more mismatches at best",
    "more mismatches at worst",
    "less favourable DPB1",
    "older, or age unknown",
    "equal, by identifier",
)


@dataclass(frozen=True)
class Ranking:
    """`order`: (n,) int64 positions of the candidates, best first.

    `decided_by`: (n,) int8 position in `KEYS` of the first key in which a donor is worse than
    the one ranked before it; -1 for the first donor.
    """

    order: npt.NDArray[np.int64]
    decided_by: npt.NDArray[np.int8]


def rank(
    mismatches_best: npt.NDArray[np.int64],
    mismatches_worst: npt.NDArray[np.int64],
    tce_preference: npt.NDArray[np.int64],
    age_years: npt.NDArray[np.float64],
) -> Ranking:
    """Order candidates that are given in the order of their identifiers, all arrays (n,).

    Younger donors come first since survival falls with donor age (Kollman 2016, Blood 127:260);
    an unknown age (NaN) ranks after every known one.
    """
    age = np.where(np.isnan(age_years), np.inf, age_years)
    identifier = np.arange(len(age))
    keys = (mismatches_best, mismatches_worst, tce_preference, age, identifier)
    order = np.lexsort(keys[::-1])
    differs = np.array([key[order][1:] != key[order][:-1] for key in keys], dtype=bool)
    decided = np.full(len(order), -1, dtype=np.int8)
    if len(order):
        decided[1:] = differs.argmax(axis=0)
    return Ranking(order, decided)
