"""Tables as Parquet, CSV or JSON Lines, part after part."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
import pyarrow.parquet as pq

from data.files import replacing


class TableFormat(Enum):
    """A format of a table; the value ends the name of the file."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


@contextmanager
def table_file(
    path: Path, schema: pa.Schema, form: TableFormat
) -> Iterator[Callable[[pa.Table], object]]:
    """A function that writes the rows of a table of this schema to a file, all or nothing.

    What is unknown is null, blank in CSV; a list is joined by semicolons there. Raises
    `OutputError`.
    """
    with replacing(path) as temporary:
        if form is TableFormat.PARQUET:
            with pq.ParquetWriter(temporary, schema) as writer:
                yield writer.write_table
        elif form is TableFormat.CSV:
            flat = pa.schema([(f.name, _flat_type(f.type)) for f in schema])
            with pc_csv.CSVWriter(temporary, flat) as writer:
                yield lambda table: writer.write_table(_flat(table).cast(flat))
        else:
            with temporary.open("w", encoding="utf-8") as file:
                yield lambda table: file.writelines(map(_line, table.to_pylist()))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def _flat_type(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_list(kind) else kind


def _flat(table: pa.Table) -> pa.Table:
    for i, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            table = table.set_column(i, field.name, pc.binary_join(table.column(i), ";"))
    return table
