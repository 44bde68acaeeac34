"""A donor store in memory, as a source of an index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from data.donor_files import INDEXED


@dataclass
class MemoryStore:
    """Donors by identifier: columns of `INDEXED` with the revision of their last change."""

    store_id: str = "0123456789abcdef"
    revision: int = 0
    present: dict[str, tuple[int, Mapping[str, Any]]] = field(default_factory=dict)
    deleted: dict[str, int] = field(default_factory=dict)
    stamps: dict[int, int] = field(default_factory=dict)

    def change(self, donors: Mapping[str, Mapping[str, Any] | None]) -> MemoryStore:
        """The next revision; None deletes a donor."""
        self.revision += 1
        self.stamps[self.revision] = 1_000_000 * self.revision
        for name, columns in donors.items():
            if columns is None:
                self.present.pop(name, None)
                self.deleted[name] = self.revision
            else:
                self.present[name] = self.revision, {"type": "adult", "id": name, **columns}
        return self

    def stamp(self, revision: int) -> int | None:
        """When a revision was made."""
        return self.stamps.get(revision)

    def _batches(self, after: int) -> Iterator[pa.RecordBatch]:
        rows = [
            self.present[name][1]
            for name in sorted(self.present, key=str.encode)
            if self.present[name][0] > after
        ]
        for start in range(0, len(rows), 7):
            part = rows[start : start + 7]
            yield pa.record_batch(
                [pa.array([row.get(f.name) for row in part], f.type) for f in INDEXED], INDEXED
            )

    def donors(self) -> Iterator[pa.RecordBatch]:
        """All present donors."""
        return self._batches(0)

    def changed(self, after: int) -> Iterator[pa.RecordBatch]:
        """Present donors of later revisions."""
        return self._batches(after)

    def changed_ids(self, after: int) -> list[str]:
        """Every identifier of later revisions."""
        later = {name for name, revision in self.deleted.items() if revision > after}
        later |= {name for name, (revision, _) in self.present.items() if revision > after}
        return sorted(later, key=str.encode)
