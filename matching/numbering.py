"""Numbers for the distinct among many small integers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def numbered(
    values: npt.NDArray[np.integer[Any]], size: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The distinct values, which are below `size`, ascending, and which of them each is, (n,):
    as `np.unique` with the inverse, and without sorting.

    >>> [found.tolist() for found in numbered(np.array([7, 3, 7]), 10)]
    [[3, 7], [1, 0, 1]]
    """
    is_there = np.zeros(size, dtype=bool)
    is_there[values] = True
    distinct = np.flatnonzero(is_there)
    place = np.empty(size, dtype=np.int64)
    place[distinct] = np.arange(len(distinct))
    return distinct, place[values]
