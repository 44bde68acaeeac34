"""The index of a store under a release: one folder a revision below `root`, the newest in use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data.files import remove_folder
from data.index import StoredIndex, open_index, write_index
from data.registry.store import StoredDonors
from matching.errors import StoreError
from matching.nomenclature import Nomenclature


def newest_index(root: Path, nomenclature: Nomenclature) -> StoredIndex | None:
    """The index of the latest revision that can be read, None where there is none."""
    for revision in sorted(_revisions(root), reverse=True):
        found = open_index(root / str(revision), nomenclature)
        if found is not None:
            return found
    return None


def update_index(root: Path, source: StoredDonors, nomenclature: Nomenclature) -> StoredIndex:
    """The index of the state of a source, written where it is missing. Raises `OutputError`."""
    folder = root / str(source.revision)
    found = open_index(folder, nomenclature)
    if found is None:
        version = f"{source.store_id[:8]}-{source.revision}"
        write_index(folder, version, _rows(source), nomenclature)
        found = open_index(folder, nomenclature)
    if found is None:
        raise StoreError(f"the index in {folder} cannot be read back; check the disk")
    for revision in _revisions(root):
        if revision < source.revision:
            remove_folder(root / str(revision))
    return found


def _revisions(root: Path) -> list[int]:
    names = [path.name for path in root.iterdir()] if root.is_dir() else []
    return [int(name) for name in names if name.isdecimal()]


def _rows(source: StoredDonors) -> Iterator[tuple[Any, ...]]:
    for batch in source.donors():
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
