"""Mapping files: how a foreign file's columns become those of the schema.

A mapping is YAML written in its JSON form (braces, quoted keys), with whole lines of comment that
begin with `#`. So every YAML parser reads it, and ours needs no more than JSON::

    # The registry's export of 2024.
    {
      "name": "example",
      "missing": ["", "NA"],
      "ignore": ["race"],
      "columns": {
        "donor_type": {"from": "donor", "codes": {"MSD": "sibling"}, "others": "pass"},
        "cmv_match": {"from": ["donor_cmv", "cmv"], "codes": {"neg/pos": "D-R+"}},
        "cgvhd_days": {"from": "cgvhd_months", "factor": 30.4, "whole": true}
      },
      "outcomes": {
        "survival": {"event": {"column": "dead", "codes": ["1"]}, "follow_up": "days"}
      }
    }

`from`: a column, or several whose codes are joined with `/`; by default the same name. `codes`:
from the file's to the schema's. `others`: codes that are not listed are refused (the default),
count as unknown, or pass as they are (`disease`, `donor_type`, `gvhd_prophylaxis`, `ancestry`).
`factor`: numbers are multiplied by it; `whole`: and then rounded.

An outcome is either a pair of columns `<name>_status` (0, 1, 2) and `<name>_days`, or under
`outcomes` an `event` and a `competing` one, each with its column, codes and column of `days`, and
the `follow_up` (days to death or last contact). With no codes (`[]`) the event happened wherever
`days` holds a number below 1,000,000, which stands for never. Without `days` an event counts at the
horizon, or at the end of follow-up if that is earlier; a competing one at the end of follow-up.
What comes first counts; on the same day the event, but for `nrm` the competing relapse.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matching.errors import InputFileError
from matching.risk import GROUPS, OUTCOMES, TYPINGS, VARIABLES, recorded_after

SHIPPED = Path(__file__).parent.parent / "mappings"
SUFFIX = ".yaml"
CENTRE = "centre"
COLUMNS = {variable.name: variable for variable in (*VARIABLES, *GROUPS)}
STATUS = {f"{outcome.name}_status": outcome.name for outcome in OUTCOMES}
DAYS = {f"{outcome.name}_days": outcome.name for outcome in OUTCOMES}
SCHEMA = (CENTRE, *COLUMNS, *TYPINGS, *STATUS, *DAYS)
_NAMES = {outcome.name for outcome in OUTCOMES}
_TOP = {"name", "missing", "ignore", "columns", "outcomes"}
_KEYS = {"from", "codes", "others", "factor", "whole"}


@dataclass(frozen=True)
class ColumnMapping:
    """How one column of the schema is read: from which columns, with which codes or factor.

    `others`: "refuse", "unknown" or "pass". `whole`: numbers are rounded. Days that a file holds
    as rounded months need it, or day 100 becomes 100.0008 and so lies beyond the horizon.
    """

    source: tuple[str, ...]
    codes: Mapping[str, str] | None = None
    others: str = "refuse"
    factor: float = 1.0
    whole: bool = False


@dataclass(frozen=True)
class Happening:
    """An event of a file: it happened where `column` holds one of `codes`, on `days` ("" where
    the file does not say when); without codes where `days` holds a day."""

    column: str
    codes: tuple[str, ...]
    days: str


@dataclass(frozen=True)
class OutcomeMapping:
    """An outcome that is put together from several columns."""

    event: Happening
    competing: Happening | None
    follow_up: str

    @property
    def sources(self) -> set[str]:
        """Every column of the file that is read."""
        both = [self.event] if self.competing is None else [self.event, self.competing]
        return {self.follow_up, *(h.column for h in both), *(h.days for h in both if h.days)}


@dataclass(frozen=True)
class CohortMapping:
    """`columns` by name of the schema, `outcomes` by name; texts in `missing` are not known;
    columns in `ignore` are not used."""

    name: str
    columns: Mapping[str, ColumnMapping]
    missing: tuple[str, ...] = ("",)
    ignore: tuple[str, ...] = ()
    outcomes: Mapping[str, OutcomeMapping] = field(default_factory=dict)


def read_mapping(mapping: str) -> CohortMapping:
    """Read a mapping file, or one that is shipped, by its name."""
    shipped = SHIPPED / f"{mapping}{SUFFIX}"
    path = shipped if shipped.parent == SHIPPED and shipped.is_file() else Path(mapping)
    try:
        return parse_mapping(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        names = ", ".join(sorted(file.stem for file in SHIPPED.glob(f"*{SUFFIX}")))
        raise InputFileError(
            f"cannot read the mapping {mapping}: {error}; mappings by name: {names}"
        ) from error


def parse_mapping(text: str, where: str) -> CohortMapping:
    """Read the text of a mapping file. Raises `InputFileError` that lists what is wrong in it."""
    # A comment becomes an empty line, so that an error names the right one.
    lines = ["" if line.lstrip().startswith("#") else line for line in text.splitlines()]
    try:
        document = json.loads("\n".join(lines), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise InputFileError(
            f"mapping {where} is not YAML in its JSON form (braces, quoted keys): {error}"
        ) from error
    if not isinstance(document, dict):
        raise InputFileError(f"mapping {where} must be one object in braces")
    wrong = [f"unknown key {key!r}" for key in set(document) - _TOP]
    name = document.get("name", Path(where).stem)
    missing, ignore = document.get("missing", [""]), document.get("ignore", [])
    if not isinstance(name, str):
        wrong.append("name must be a text")
    wrong += [
        f"{key} must be a list of texts"
        for key, value in (("missing", missing), ("ignore", ignore))
        if not _texts(value)
    ]
    columns: dict[str, ColumnMapping] = {}
    outcomes: dict[str, OutcomeMapping] = {}
    for key in ("columns", "outcomes"):
        tables = document.get(key, {})
        if not isinstance(tables, dict) or (key == "columns" and not tables):
            wrong.append(f"{key} must be an object that is not empty")
            continue
        for column, table in tables.items():
            problems: list[str]
            if key == "columns":
                found, problems = _column(column, table)
                if found is not None:
                    columns[column] = found
            else:
                made, problems = _outcome(column, table)
                if made is not None:
                    outcomes[column] = made
            wrong += [f"{key}.{column}: {problem}" for problem in problems]
    wrong += _leaks(columns, outcomes)
    if wrong:
        raise InputFileError(f"mapping {where}: " + "; ".join(sorted(wrong)))
    return CohortMapping(name, columns, tuple(missing), tuple(ignore), outcomes)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise ValueError(f"key {twice[0]!r} stands twice")
    return found


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _leaks(
    columns: Mapping[str, ColumnMapping], outcomes: Mapping[str, OutcomeMapping]
) -> list[str]:
    """Predictors that are read from what was recorded after the transplant."""
    after = {source for one in outcomes.values() for source in one.sources}
    for column, how in columns.items():
        if column in STATUS or column in DAYS:
            after.update(how.source)
    return [
        f"columns.{column}: {source!r} is recorded after the transplant, so it cannot predict"
        for column, how in columns.items()
        if column in COLUMNS
        for source in how.source
        if source in after or recorded_after(source)
    ]


def _column(column: str, table: Any) -> tuple[ColumnMapping | None, list[str]]:
    if column not in SCHEMA:
        return None, [f"not a column of the schema; it has {', '.join(SCHEMA)}"]
    if not isinstance(table, dict):
        return None, ["must be an object"]
    wrong = [f"unknown key {key!r}" for key in set(table) - _KEYS]
    source, codes = table.get("from", column), table.get("codes")
    source = [source] if isinstance(source, str) else source
    others, factor = table.get("others", "refuse"), table.get("factor", 1.0)
    whole = table.get("whole", False)
    levels = levels_of(column)
    if not isinstance(whole, bool):
        wrong.append("whole must be true or false")
    if not _texts(source) or not source:
        wrong.append("from must be the name of a column or a list of them")
    elif len(source) > 1 and not levels:
        wrong.append("only columns with levels are read from several columns")
    if others not in ("refuse", "unknown", "pass"):
        wrong.append(f'others must be "refuse", "unknown" or "pass", not {others!r}')
    if others == "pass" and not (column in COLUMNS and COLUMNS[column].open):
        names = ", ".join(name for name, variable in COLUMNS.items() if variable.open)
        wrong.append(f"only these pass other codes: {names}")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not factor > 0:
        wrong.append(f"factor must be a positive number, not {factor!r}")
    if levels is None and (codes is not None or "others" in table):
        wrong.append("codes and others are for columns with levels")
    if levels is not None and ("factor" in table or "whole" in table):
        wrong.append("factor and whole are for columns of numbers")
    if codes is not None and not (
        isinstance(codes, dict) and all(isinstance(level, str) for level in codes.values())
    ):
        wrong.append("codes must be an object of texts")
    elif codes is not None and levels is not None and others != "pass":
        wrong += [
            f"code {code!r} leads to {level!r}, which is none of {', '.join(levels)}"
            for code, level in codes.items()
            if level not in levels
        ]
    if wrong:
        return None, wrong
    return ColumnMapping(tuple(source), codes, others, float(factor), whole), []


def _outcome(name: str, table: Any) -> tuple[OutcomeMapping | None, list[str]]:
    if name not in _NAMES:
        return None, [f"not an outcome; known are {', '.join(sorted(_NAMES))}"]
    if not isinstance(table, dict):
        return None, ["must be an object"]
    wrong = [f"unknown key {key!r}" for key in set(table) - {"event", "competing", "follow_up"}]
    found: dict[str, Happening | None] = {"event": None, "competing": None}
    for key in found:
        part = table.get(key)
        if part is None:
            continue
        if (
            not isinstance(part, dict)
            or set(part) - {"column", "codes", "days"}
            or not isinstance(part.get("column"), str)
            or not _texts(part.get("codes"))
            or not isinstance(part.get("days", ""), str)
            or not (part["codes"] or part.get("days"))
        ):
            wrong.append(f"{key} must hold column (a text), codes (texts) and at most days")
            continue
        found[key] = Happening(part["column"], tuple(part["codes"]), part.get("days", ""))
    if not isinstance(table.get("follow_up"), str):
        wrong.append("follow_up must be the name of a column of days")
    if found["event"] is None:
        wrong.append("it has no event")
    if name == "survival" and found["competing"] is not None:
        wrong.append("nothing competes with death")
    if wrong or found["event"] is None:
        return None, wrong
    return OutcomeMapping(found["event"], found["competing"], table["follow_up"]), []


def levels_of(column: str) -> tuple[str, ...] | None:
    """The texts a column of the schema may hold, None where it holds numbers or any text."""
    if column in STATUS:
        return ("0", "1", "2")
    if column in COLUMNS and COLUMNS[column].levels:
        return COLUMNS[column].levels
    return None
