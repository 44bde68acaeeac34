"""What an index holds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from data.index import StoredIndex


def rows(index: StoredIndex) -> npt.NDArray[np.int64]:
    """Rows of the donors that were not changed or deleted since."""
    found = [np.empty(0, dtype=np.int64)]
    for first, segment in zip(index.donors.first_rows, index.donors.segments, strict=False):
        local = np.arange(len(segment))
        found.append(first + local[segment.is_valid(local)])
    return np.concatenate(found)


def identifiers(index: StoredIndex) -> list[str]:
    """Identifiers of the donors, sorted."""
    return sorted(index.ids(rows(index)))
