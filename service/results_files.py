"""Tables of results as JSON, CSV or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from service.results import SearchResults

FORMATS = ("table", "json", "csv", "parquet")


def write_results(
    results: SearchResults, table: pd.DataFrame, form: str, target: Path | IO[str]
) -> None:
    """The table as json, csv or parquet, to a file (all or nothing) or a stream (not parquet).

    Raises `OutputError`.
    """
    write_table(table, results.provenance, lambda: results_document(results, table), form, target)


def write_table(
    table: pd.DataFrame,
    provenance: Mapping[str, Any],
    document: Callable[[], Mapping[str, Any]],
    form: str,
    target: Path | IO[str],
) -> None:
    """A table as csv or parquet, which carries the provenance, or its document as json.

    Raises `OutputError`.
    """

    def write(file: IO[str]) -> None:
        if form == "csv":
            table.to_csv(file, index=False, lineterminator="\n")
            return
        json.dump(document(), file, indent=1)
        file.write("\n")

    if not isinstance(target, Path):
        write(target)
        return
    with replacing(target) as temporary:
        if form == "parquet":
            arrow = pa.Table.from_pandas(table, preserve_index=False)
            note = {b"graftmatch": json.dumps(provenance).encode()}
            pq.write_table(arrow.replace_schema_metadata(note), temporary)
            return
        with temporary.open("w", encoding="utf-8", newline="") as file:
            write(file)


def results_document(results: SearchResults, table: pd.DataFrame) -> dict[str, Any]:
    """Results as values of JSON, donors grouped by patient. `table`: that of the results."""
    records = json.loads(
        table.drop(columns=["release", "index", "frequency_set", "model"]).to_json(orient="records")
    )
    donors: dict[str, list[Any]] = {patient: [] for patient in results.matches}
    for record in records:
        donors[record.pop("patient")].append(record)
    patients = [
        {
            "patient": patient,
            "found": results.found[patient],
            "notes": list(matches.notes),
            **(asdict(results.predicted[patient]) if patient in results.predicted else {}),
            "donors": donors[patient],
        }
        for patient, matches in results.matches.items()
    ]
    return {**results.provenance, "patients": patients}
