"""Files of donors or patients -> records, one at a time, in the file's order.

Columns, any order, case ignored; blank is unknown:

============  =====================================================================
id            identifier, unique in the file; required
type          adult or cord (default adult)
birth_date    YYYY-MM-DD; or instead
age_years     whole years, 0 to 120
sex           male or female (M, F)
cmv           positive or negative (pos, neg, +, -)
abo           A, B, AB or O
rh            positive or negative (pos, neg, +, -)
weight_kg     above 0, at most 500
ancestry      free text
registry      free text
gl            the whole typing as a GL string; or instead one column a locus:
a ... dpb1    both positions, ``A*01:01+A*02:01`` or ``01:01+02:01``
drb3 drb4     instead of drb345: one column a gene, each with one copy or two
drb5
============  =====================================================================

Formats: CSV with a header, Parquet with the same columns, and text lines ``ID%GL string``; CSV
and text may be compressed with gzip.
"""

from __future__ import annotations

import csv
import datetime
import difflib
import gzip
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from matching.errors import InputFileError, RecordError
from matching.loci import LOCI, Locus
from matching.typings import Written, merge_drb345, split_gl

FACTS = (
    "type",
    "birth_date",
    "age_years",
    "sex",
    "cmv",
    "abo",
    "rh",
    "weight_kg",
    "ancestry",
    "registry",
)
LOCUS_COLUMNS = {locus.value.lower(): locus for locus in LOCI}
GENE_COLUMNS = {gene.lower(): gene for gene in Locus.DRB345.genes}
COLUMNS = ("id", *FACTS, "gl", *LOCUS_COLUMNS, *GENE_COLUMNS)

# What an index is made from.
INDEXED = pa.schema(
    [("id", pa.string())]
    + [
        (name, pa.string())
        for name in ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry", "status")
    ]
    + [("birth_date", pa.string())]
    + [(name, pa.float32()) for name in ("age_years", "weight_kg", "tnc_1e7", "cd34_1e6")]
    + [(name, pa.string()) for name in LOCUS_COLUMNS]
)
INDEXED_FACTS = tuple(name for name in INDEXED.names[1:] if name not in LOCUS_COLUMNS)
MAX_FIELD_CHARACTERS = 1_000_000
MAX_ID_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One record as written: `number` is its line (CSV, text) or row (Parquet), from 1.

    `problem` is set where the record could not even be split into fields.
    """

    number: int
    fields: Mapping[str, str]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Person:
    """A checked record: known facts by name, None where unknown, and the typing as written."""

    id: str
    facts: Mapping[str, str | float | None]
    written: Written


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file; its format is told from its content.

    Raises `InputFileError`: not there, empty, an unknown or missing column, damaged.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise InputFileError(f"cannot read {path}: {error.strerror}") from error
    if not magic:
        raise InputFileError(f"{path} is empty; give a file with at least one record")
    if magic == b"PAR1":
        yield from _parquet(path)
        return
    try:
        with _open_text(path, magic) as lines:
            yield from _text_records(path, lines)
    except (OSError, EOFError) as error:
        raise InputFileError(f"{path} is damaged: {error}; nothing was used") from error


def _open_text(path: Path, magic: bytes) -> IO[str]:
    # Bytes that are no UTF-8 become surrogates, so that one bad record does not end the file.
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rt", encoding="utf-8", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8", errors="surrogateescape", newline="")


def _text_records(path: Path, lines: Iterable[str]) -> Iterator[Record]:
    iterator = enumerate(lines, 1)
    first = next(((n, line.lstrip("\ufeff")) for n, line in iterator if line.strip()), None)
    if first is None:
        raise InputFileError(f"{path} is empty; give a file with at least one record")
    rows = chain([first], iterator)
    records = _gl_text(rows) if "%" in first[1].partition(",")[0] else _csv(path, rows)
    count = 0
    for count, record in enumerate(records, 1):  # noqa: B007
        yield record
    if not count:
        raise InputFileError(f"{path} holds a header and no record")


def _gl_text(rows: Iterable[tuple[int, str]]) -> Iterator[Record]:
    for number, line in rows:
        if not line.strip():
            continue
        identifier, percent, gl = line.strip().partition("%")
        if percent and len(gl) <= MAX_FIELD_CHARACTERS:
            yield Record(number, {"id": identifier, "gl": gl})
        else:
            problem = "longer than a typing can be" if percent else "no % between id and GL string"
            yield Record(number, {"id": identifier[:MAX_ID_CHARACTERS]}, problem)


def _csv(path: Path, rows: Iterable[tuple[int, str]]) -> Iterator[Record]:
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    reader = csv.reader(line for _, line in rows)
    columns: list[str] | None = None
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Record(reader.line_num, {}, f"not a CSV record: {error}")
            continue
        if columns is None:
            columns = _check_columns(path, row)
        elif not row:
            continue
        elif len(row) != len(columns):
            problem = f"{len(row)} fields where the header has {len(columns)}"
            yield Record(reader.line_num, dict(zip(columns, row, strict=False)), problem)
        else:
            yield Record(reader.line_num, dict(zip(columns, row, strict=True)))


def _check_columns(path: Path, names: Iterable[str]) -> list[str]:
    columns = [name.strip().lower() for name in names]
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputFileError(
                f"{path}: unknown column {column[:60]!r}{hint} Known: {', '.join(COLUMNS)}. "
                "Rename or remove it; nothing was used"
            )
        if columns.count(column) > 1:
            raise InputFileError(f"{path}: column {column!r} comes twice; remove one")
    if "id" not in columns:
        raise InputFileError(f"{path}: column 'id' is missing; every record needs an identifier")
    typed = [column for column in columns if column in LOCUS_COLUMNS or column in GENE_COLUMNS]
    if ("gl" in columns) == bool(typed):
        raise InputFileError(
            f"{path}: the typing must stand either in column 'gl' or in one column a locus "
            f"({', '.join(LOCUS_COLUMNS)}), and not in both"
        )
    if "drb345" in columns and (genes := GENE_COLUMNS.keys() & set(columns)):
        raise InputFileError(
            f"{path}: give column 'drb345' or {', '.join(sorted(genes))}, and not both"
        )
    return columns


def _parquet(path: Path) -> Iterator[Record]:
    try:
        file = pq.ParquetFile(path)
        columns = _check_columns(path, file.schema_arrow.names)
        if not file.metadata.num_rows:
            raise InputFileError(f"{path} is empty; give a file with at least one record")
        number = 0
        for batch in file.iter_batches(batch_size=10_000):
            for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                number += 1
                yield Record(number, dict(zip(columns, map(_cell, values), strict=True)))
    except pa.ArrowException as error:
        raise InputFileError(f"{path} is no readable Parquet file: {error}") from error


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime.datetime):
        return value.date().isoformat()
    return str(value)


_SIGN = {"positive": "positive", "negative": "negative", "pos": "positive", "neg": "negative"}
_WORDS = {
    "type": {"adult": "adult", "cord": "cord"},
    "sex": {"male": "male", "female": "female", "m": "male", "f": "female"},
    "cmv": _SIGN | {"+": "positive", "-": "negative"},
    "rh": _SIGN | {"+": "positive", "-": "negative"},
    "abo": {"a": "A", "b": "B", "ab": "AB", "o": "O", "0": "O"},
}


def parse_person(record: Record) -> Person:
    """A record with every value checked. Raises `RecordError`; typings are read elsewhere."""
    if record.problem:
        raise RecordError("record", record.fields.get("id", ""), record.problem)
    values = {name: value.strip() for name, value in record.fields.items()}
    for name, value in values.items():
        if not value.isprintable():
            raise RecordError(name, ascii(value), "holds characters that are not text")
    identifier = values.get("id", "")
    if not identifier:
        raise RecordError("id", "", "missing; every record needs an identifier")
    if len(identifier) > MAX_ID_CHARACTERS:
        raise RecordError("id", identifier, f"longer than {MAX_ID_CHARACTERS} characters")
    facts: dict[str, str | float | None] = {
        name: _fact(name, values.get(name, "")) for name in FACTS
    }
    facts["type"] = facts["type"] or "adult"
    if facts["birth_date"] is not None and facts["age_years"] is not None:
        raise RecordError(
            "age_years", values["age_years"], "give birth_date or age_years, not both"
        )
    if values.get("gl"):
        return Person(identifier, facts, split_gl(values["gl"]))
    loci = {locus: values[name] for name, locus in LOCUS_COLUMNS.items() if values.get(name)}
    copies = [
        _with_gene(gene, text) for name, gene in GENE_COLUMNS.items() if (text := values.get(name))
    ]
    if copies:
        loci[Locus.DRB345] = merge_drb345(copies)
    return Person(identifier, facts, Written(loci))


def _with_gene(gene: str, text: str) -> str:
    """The text of a column of one gene, every copy with its gene."""
    copies = (copy.strip() for copy in text.split("+"))
    return "+".join(copy if "*" in copy or not copy else f"{gene}*{copy}" for copy in copies)


def _fact(name: str, value: str) -> str | float | None:
    if not value:
        return None
    if name in _WORDS:
        word = _WORDS[name].get(value.lower())
        if word is None:
            known = ", ".join(dict.fromkeys(_WORDS[name].values()))
            raise RecordError(name, value, f"not one of {known}")
        return word
    if name == "birth_date":
        return _birth_date(value)
    if name == "age_years":
        return _number(name, value, 0, 120, whole=True)
    if name == "weight_kg":
        return _number(name, value, 0, 500, whole=False)
    return value


def _birth_date(value: str) -> str:
    try:
        date = datetime.date.fromisoformat(value)
    except ValueError:
        raise RecordError("birth_date", value, "not a date; write YYYY-MM-DD") from None
    if date.year < 1900:
        raise RecordError("birth_date", value, "before 1900")
    return date.isoformat()


def _number(name: str, value: str, lowest: float, highest: float, whole: bool) -> float:
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    unit = "whole years" if whole else "kg"
    above = number > lowest or (whole and number == lowest)
    if not (above and number <= highest) or (whole and number != int(number)):
        raise RecordError(name, value, f"not {unit} from {lowest:g} to {highest:g}")
    return number
