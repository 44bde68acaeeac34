"""Folds of whole centres."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from matching.errors import CohortError


def group_folds(groups: npt.NDArray[Any], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """(n,) fold of each row, 0 to folds - 1: groups whole, in random order to the smallest fold.

    With fewer groups than folds each is a fold. Raises `CohortError` with fewer than two groups.
    """
    names, position, counts = np.unique(groups, return_inverse=True, return_counts=True)
    folds = min(folds, len(names))
    if folds < 2:
        raise CohortError(
            f"{len(names)} centres cannot be split into folds; name another column to group by"
        )
    sizes = np.zeros(folds, dtype=np.int64)
    fold = np.empty(len(names), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(names)):
        fold[group] = sizes.argmin()
        sizes[fold[group]] += counts[group]
    return np.asarray(fold[position])
