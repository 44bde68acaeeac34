"""What a registry and its index hold."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data.index import StoredIndex
from data.registry import Registry


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


def write(path: Path, donors: Iterable[tuple[str, str]]) -> Path:
    """A file of donors and their GL strings."""
    path.write_text("".join(f"{identifier}%{gl}\n" for identifier, gl in donors))
    return path


def stored(registry: Registry) -> dict[str, str]:
    """Typings of all donors."""
    with registry.opened() as source:
        ids = [i for batch in source.donors() for i in batch["id"].to_pylist()]
        return source.typings(ids)
