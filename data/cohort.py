"""Files of transplants with their outcomes -> `Cohort`, by way of a mapping file.

The schema is `matching.risk.VARIABLES`, `centre`, and two columns an endpoint: `<name>_status` (0
censored, 1 event, 2 died first without it) and `<name>_days`. A file may lack variables and
endpoints, but not one of an endpoint's two columns. Without a mapping its columns have the names
and codes of the schema.

A mapping file (TOML) gives columns other names, codes and units::

    name = "example"                 # of the cohort
    missing = ["", "NA"]             # what is not known, in any column
    ignore = ["race"]                # columns that are not used

    [columns.donor_type]
    from = "donor"                   # default: the same name
    codes = { MSD = "sibling", MUD = "unrelated" }
    others = "unknown"               # codes not listed count as not known; default: refused

    [columns.cgvhd_days]
    from = "cgvhd_months"
    factor = 30.4                    # numbers are multiplied by it
    whole = true                     # and then rounded to whole ones
"""

from __future__ import annotations

import hashlib
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from matching.errors import CohortError, InputFileError
from matching.fit import UNKNOWN, Cohort
from matching.risk import ENDPOINTS, VARIABLES, Variable

SHIPPED = Path(__file__).parent / "mappings"
SHOWN_PROBLEMS = 20
_CENTRE = "centre"
_VARIABLES = {variable.name: variable for variable in VARIABLES}
_STATUS = {f"{endpoint.name}_status": endpoint.name for endpoint in ENDPOINTS}
_DAYS = {f"{endpoint.name}_days": endpoint.name for endpoint in ENDPOINTS}
SCHEMA = (_CENTRE, *_VARIABLES, *_STATUS, *_DAYS)


@dataclass(frozen=True)
class ColumnMapping:
    """How one column of the schema is read: from which column, with which codes or factor.

    `whole`: numbers are rounded. Days that a file holds as rounded months need it, or day 100
    becomes 100.0008 and so lies beyond the horizon.
    """

    source: str
    codes: Mapping[str, str] | None = None
    others_unknown: bool = False
    factor: float = 1.0
    whole: bool = False


@dataclass(frozen=True)
class CohortMapping:
    """`columns` by name of the schema; texts in `missing` are not known; `ignore` is not used."""

    name: str
    columns: Mapping[str, ColumnMapping]
    missing: tuple[str, ...] = ("",)
    ignore: tuple[str, ...] = field(default=())


def parse_mapping(text: str, where: str) -> CohortMapping:
    """Read the text of a mapping file. Raises `InputFileError` that lists what is wrong in it."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputFileError(f"mapping {where} is not TOML: {error}") from error
    wrong = [f"unknown key {key!r}" for key in set(document) - _TOP]
    name = document.get("name", Path(where).stem)
    missing, ignore = document.get("missing", [""]), document.get("ignore", [])
    tables = document.get("columns", {})
    if not isinstance(name, str):
        wrong.append("name must be a text")
    wrong += [
        f"{key} must be a list of texts"
        for key, value in (("missing", missing), ("ignore", ignore))
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value))
    ]
    columns: dict[str, ColumnMapping] = {}
    if not isinstance(tables, dict) or not tables:
        wrong.append("it has no [columns.<name>] table")
        tables = {}
    for column, table in tables.items():
        found, problems = _column_mapping(column, table)
        wrong += [f"columns.{column}: {problem}" for problem in problems]
        if found is not None:
            columns[column] = found
    if wrong:
        raise InputFileError(f"mapping {where}: " + "; ".join(sorted(wrong)))
    return CohortMapping(name, columns, tuple(missing), tuple(ignore))


_TOP = {"name", "missing", "ignore", "columns"}
_KEYS = {"from", "codes", "others", "factor", "whole"}


def _column_mapping(column: str, table: Any) -> tuple[ColumnMapping | None, list[str]]:
    if column not in SCHEMA:
        return None, [f"not a column of the schema; it has {', '.join(SCHEMA)}"]
    if not isinstance(table, dict):
        return None, ["must be a table"]
    wrong = [f"unknown key {key!r}" for key in set(table) - _KEYS]
    source, codes = table.get("from", column), table.get("codes")
    others, factor = table.get("others", "refuse"), table.get("factor", 1.0)
    whole = table.get("whole", False)
    if not isinstance(whole, bool):
        wrong.append("whole must be true or false")
    if not isinstance(source, str):
        wrong.append("from must be the name of a column")
    if others not in ("refuse", "unknown"):
        wrong.append(f'others must be "refuse" or "unknown", not {others!r}')
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not factor > 0:
        wrong.append(f"factor must be a positive number, not {factor!r}")
    levels = _levels(column)
    if levels is None and (codes is not None or "others" in table):
        wrong.append("codes and others are for columns with levels")
    if levels is not None and ("factor" in table or "whole" in table):
        wrong.append("factor and whole are for columns of numbers")
    if codes is not None and not isinstance(codes, dict):
        wrong.append("codes must be a table")
    elif codes is not None and levels is not None:
        wrong += [
            f"code {code!r} leads to {level!r}, which is none of {', '.join(levels)}"
            for code, level in codes.items()
            if level not in levels
        ]
    if wrong:
        return None, wrong
    return ColumnMapping(source, codes, others == "unknown", float(factor), whole), []


def _levels(column: str) -> tuple[str, ...] | None:
    """The texts a column of the schema may hold, None where it holds numbers or any text."""
    if column in _STATUS:
        return ("0", "1", "2")
    if column in _VARIABLES and _VARIABLES[column].levels:
        return _VARIABLES[column].levels
    return None


def read_cohort(path: Path, mapping: str | None = None) -> Cohort:
    """Read CSV or Parquet (by its suffix).

    `mapping`: a mapping file, or the name of one that is shipped (`ds1302`). Raises
    `InputFileError` for a file that cannot be read and `CohortError` with every problem of it.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputFileError(f"cannot read the cohort {path}: {error}") from error
    texts = {str(column): [_text(value) for value in table[column]] for column in table.columns}
    how = None if mapping is None else read_mapping(mapping)
    return parse_cohort(texts, how, path.name, hashlib.sha256(content).hexdigest())


def read_mapping(mapping: str) -> CohortMapping:
    """Read a mapping file, or one that is shipped, by its name."""
    shipped = SHIPPED / f"{mapping}.toml"
    path = shipped if shipped.parent == SHIPPED and shipped.is_file() else Path(mapping)
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.toml")))
        raise InputFileError(
            f"cannot read the mapping {mapping}: {error}; mappings by name: {names}"
        ) from error


def parse_cohort(
    table: Mapping[str, Sequence[str]],
    mapping: CohortMapping | None,
    name: str,
    sha256: str = "",
) -> Cohort:
    """Columns of text of equal length -> `Cohort`.

    Raises `CohortError` that holds every problem: columns that are lacking or not known, and each
    value at fault by record (from 1) and column. A number written 1.0 is read as the code 1.
    """
    if mapping is None:
        mapping = CohortMapping(name, {c: ColumnMapping(c) for c in SCHEMA if c in table})
    problems = _column_problems(table, mapping)
    n = len(next(iter(table.values()), ()))
    if n == 0:
        problems.append("the file holds no patients")
    found: dict[str, Any] = {}
    for column, how in mapping.columns.items():
        if how.source not in table:
            continue
        texts = ["" if text in mapping.missing else text for text in table[how.source]]
        if column == _CENTRE:
            found[column] = np.array(texts, dtype=np.str_)
            problems += [
                f"record {i + 1}, column {how.source}: the centre is missing"
                for i, text in enumerate(texts)
                if not text
            ]
        elif (levels := _levels(column)) is not None:
            found[column] = _coded(texts, how, levels, problems)
        else:
            limits = _VARIABLES.get(column, Variable(column, low=0.0, high=40_000.0))
            found[column] = _numbers(texts, how, limits, problems)
    outcomes = [_STATUS[c] for c in found if c in _STATUS and f"{_STATUS[c]}_days" in found]
    status, days = {}, {}
    for outcome in outcomes:
        codes, times = found[f"{outcome}_status"], found[f"{outcome}_days"]
        known = codes != ""
        problems += [
            f"record {i + 1}: {outcome} has a status without days or days without a status"
            for i in np.flatnonzero(known != ~np.isnan(times))
        ]
        status[outcome] = np.where(known, codes, str(UNKNOWN)).astype(np.int8)
        days[outcome] = times
    if problems:
        shown = "; ".join(problems[:SHOWN_PROBLEMS])
        more = len(problems) - SHOWN_PROBLEMS
        rest = f"; and {more} more" if more > 0 else ""
        raise CohortError(
            f"{name}: {len(problems)} problem{'s' * (len(problems) > 1)}, nothing was used: "
            f"{shown}{rest}",
            tuple(problems),
        )
    columns = {c: found[c] for c in _VARIABLES if c in found}
    # Without centres every patient is a unit of its own.
    centre = found.get(_CENTRE, np.arange(n).astype(np.str_))
    return Cohort(mapping.name, columns, centre, status, days, sha256)


def _column_problems(table: Mapping[str, Sequence[str]], mapping: CohortMapping) -> list[str]:
    used = {how.source for how in mapping.columns.values()}
    problems = [f"column {source!r} is missing" for source in sorted(used - set(table))]
    problems += [
        f"column {column!r} is not known; name it in the mapping, or there under ignore"
        for column in table
        if column not in used and column not in mapping.ignore
    ]
    for endpoint in ENDPOINTS:
        pair = [f"{endpoint.name}_status", f"{endpoint.name}_days"]
        held = [column for column in pair if column in mapping.columns]
        if len(held) == 1:
            problems.append(f"{held[0]} needs {pair[1 - pair.index(held[0])]}")
    if not any(column in mapping.columns for column in _STATUS):
        problems.append(f"no outcome is given; known are {', '.join(_STATUS)}")
    return problems


def _coded(
    texts: list[str], how: ColumnMapping, levels: tuple[str, ...], problems: list[str]
) -> np.ndarray[Any, np.dtype[np.str_]]:
    codes = {level: level for level in levels} if how.codes is None else how.codes
    result = []
    for i, text in enumerate(texts):
        level = codes.get(text, codes.get(_whole(text)))
        if level is None:
            if text and not how.others_unknown:
                problems.append(
                    f"record {i + 1}, column {how.source}: {text!r} is none of {', '.join(codes)}"
                )
            level = ""
        result.append(level)
    return np.array(result, dtype=np.str_)


def _numbers(
    texts: list[str], how: ColumnMapping, limits: Variable, problems: list[str]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    result = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        if not text:
            continue
        where = f"record {i + 1}, column {how.source}: {text!r}"
        try:
            value = float(text) * how.factor
        except ValueError:
            problems.append(f"{where} is not a number")
            continue
        value = float(np.rint(value)) if how.whole else value
        if not limits.low <= value <= limits.high:
            problems.append(
                f"{where} gives {limits.name} {value:g}, not from {limits.low:g} to {limits.high:g}"
            )
            continue
        result[i] = value
    return result


def _text(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def _whole(text: str) -> str:
    """`1` for `1.0`: files of numbers write codes so."""
    head, dot, tail = text.partition(".")
    return head if dot and head.isdigit() and not tail.strip("0") else text
