"""From finished chunks to the files of a batch: candidates, allocation, notes, summary."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from data.files import replacing
from service.allocation import (
    Allocation,
    AllocationSettings,
    allocate_candidates,
    allocation_columns,
    figures,
    read_candidates,
)
from service.batch.checkpoints import SUMMARY, Checkpoints
from service.batch.columns import ALLOCATED, allocation_schema
from service.batch.output import TableFormat, table_file
from service.family_page import FAMILIES, write_families
from service.recipients import Recipients

_KEY = b"graftmatch"
_PAIR = ("patient", "donor")
NOTES, EXCLUDED, ANTIBODIES = "notes.csv", "excluded.csv", "antibodies.csv"
# Files of what is told of patients besides candidates, each written where there is something, and
# their columns.
TOLD: Mapping[str, tuple[str, ...]] = {
    NOTES: ("patient", "note"),
    EXCLUDED: ("patient", "donor"),
    ANTIBODIES: (
        *("patient", "donors_of_registry", "negative", "not_assessable", "open", "positive"),
        *("left_out", "own_type"),
    ),
}
_Told = dict[str, tuple[tuple[str, ...], list[list[Any]]]]


@dataclass(frozen=True)
class BatchResults:
    """What is written of the chunks, besides their candidates.

    `patients`: identifiers in their order. `schema`: of candidates. `provenance`: what the answers
    depend on.
    """

    checkpoints: Checkpoints
    n_chunks: int
    patients: Sequence[str]
    schema: pa.Schema
    provenance: Mapping[str, Any]
    form: TableFormat

    def write(
        self, recipients: Recipients | None, settings: AllocationSettings, n_rejected: int
    ) -> tuple[Allocation, dict[str, Any]]:
        """Allocate, write everything and remove the checkpoints; the allocation and the summary.

        The summary comes last, so that a folder with one is complete. Raises `AllocationError` and
        `OutputError`.
        """
        paths = [self.checkpoints.path(chunk) for chunk in range(self.n_chunks)]
        candidates = read_candidates(*paths) if paths else _no_candidates(self.schema)
        allocation = allocate_candidates(candidates, self.patients, recipients, settings)
        found, told = self._write_candidates(allocation)
        table = allocation.table.assign(found=[found[name] for name in self.patients])
        schema = allocation_schema()
        with table_file(self._path("allocation"), schema, self.form) as write:
            write(pa.Table.from_pandas(table, schema, preserve_index=False))
        for name, (header, rows) in told.items():
            if rows:
                self._write_rows(name, header, rows)
        summary = {
            **self.provenance,
            "patients": len(self.patients),
            "rejected_records": n_rejected,
            "patients_with_candidates": int(candidates["patient"].nunique()),
            "found": sum(found.values()),
            "candidates": len(candidates),
            **figures(allocation),
        }
        with replacing(self.checkpoints.root / SUMMARY) as temporary:
            temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        self.checkpoints.remove()
        return allocation, summary

    def _write_candidates(self, allocation: Allocation) -> tuple[dict[str, int], _Told]:
        """Write all candidates, each with what the allocation says; found donors, and what is told
        of patients besides, by file."""
        found: dict[str, int] = {}
        told: _Told = {name: (header, []) for name, header in TOLD.items()}
        families: dict[str, Any] = {}
        allocated = allocation_columns(allocation)
        schema = self.schema.with_metadata({_KEY: json.dumps(dict(self.provenance)).encode()})
        with table_file(self._path("candidates"), schema, self.form) as write:
            for table in self._chunks():
                of_chunk = json.loads(table.schema.metadata[_KEY])
                found |= of_chunk["found"]
                families |= of_chunk["families"]
                for name, (_, rows) in told.items():
                    rows += of_chunk["told"].get(name, [])
                columns = allocated(*(table.column(c).to_pylist() for c in _PAIR))
                for name in ALLOCATED:
                    table = table.append_column(name, pa.array(columns[name], pa.string()))
                write(table.cast(schema))
        if families:
            write_families(families, self.checkpoints.root / FAMILIES)
        return found, told

    def _write_rows(self, name: str, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        with (
            replacing(self.checkpoints.root / name) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            csv.writer(file, lineterminator="\n").writerows([header, *rows])

    def _chunks(self) -> Iterator[pa.Table]:
        return (self.checkpoints.read(chunk) for chunk in range(self.n_chunks))

    def _path(self, name: str) -> Path:
        return self.checkpoints.root / f"{name}.{self.form.value}"


def chunk_table(
    candidates: pa.Table,
    found: Mapping[str, int],
    told: Mapping[str, Sequence[Sequence[Any]]],
    families: Mapping[str, Any],
) -> pa.Table:
    """The candidates of a chunk, with how many donors were found, rows of the files of `TOLD`, and
    families, by patient."""
    content = {
        "found": dict(found),
        "told": {name: [list(row) for row in rows] for name, rows in told.items()},
        "families": dict(families),
    }
    return candidates.replace_schema_metadata({_KEY: json.dumps(content).encode()})


def _no_candidates(schema: pa.Schema) -> pd.DataFrame:
    table: pd.DataFrame = pa.Table.from_batches([], schema).to_pandas()
    return table
