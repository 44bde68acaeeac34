"""Files of transplants with their outcomes -> `Cohort`, by way of a mapping file.

The schema is `matching.risk.VARIABLES`, `GROUPS` and `TYPINGS`, `centre`, and two columns an
outcome: `<name>_status` (0 censored, 1 event, 2 the competing event came first) and `<name>_days`.
A file may lack variables and outcomes, but not one of an outcome's two columns. Without a mapping
its columns have the names and codes of the schema.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data.cohort.mapping import (
    CENTRE,
    COLUMNS,
    DAYS,
    SCHEMA,
    STATUS,
    CohortMapping,
    ColumnMapping,
    Happening,
    OutcomeMapping,
    levels_of,
    read_mapping,
)
from data.cohort.values import cell_text, coded, is_never, joined, numbers_of, whole_code
from matching.errors import CohortError, GraftmatchError, InputFileError
from matching.fit import COMPETING, EVENT, UNKNOWN, Cohort
from matching.genotypes import encode
from matching.nomenclature import Nomenclature
from matching.risk import (
    AUTOLOGOUS,
    GROUPS,
    OUTCOMES,
    TYPINGS,
    VARIABLES,
    Outcome,
    Variable,
    recorded_after,
)
from matching.typed_pairs import typed_factors
from matching.typings import Typing, parse_typing

SHOWN_PROBLEMS = 20
_DAYS = Variable("days", low=0.0, high=40_000.0)
Table = Mapping[str, Sequence[str]]


def read_table(path: Path) -> tuple[dict[str, list[str]], str]:
    """Columns of text and the sha256 of a CSV or Parquet file (by its suffix).

    Raises `InputFileError` for a file that cannot be read.
    """
    try:
        content = path.read_bytes()
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputFileError(f"cannot read {path}: {error}") from error
    texts = {str(column): [cell_text(value) for value in table[column]] for column in table.columns}
    return texts, hashlib.sha256(content).hexdigest()


@dataclass(frozen=True)
class Reference:
    """What typings are read under: a release, and its protein sequences by allele name."""

    nomenclature: Nomenclature
    proteins: Mapping[str, str]


def read_cohort(
    path: Path,
    mapping: str | None = None,
    group: str | None = None,
    reference: Reference | None = None,
) -> Cohort:
    """Read CSV or Parquet.

    `mapping`: a mapping file, or the name of one that is shipped (`ds1302`). `group`: the column
    of the file by whose values patients are grouped, instead of the one that the mapping takes as
    centre. `reference`: needed where the file holds typings of patients and donors; what they tell
    fills the factors of the pair that are empty. Raises `InputFileError` for a file that cannot be
    read and `CohortError` with every problem of it.
    """
    texts, sha256 = read_table(path)
    how = None if mapping is None else read_mapping(mapping)
    return parse_cohort(texts, how, path.name, sha256, group, reference)


def parse_cohort(
    table: Table,
    mapping: CohortMapping | None,
    name: str,
    sha256: str = "",
    group: str | None = None,
    reference: Reference | None = None,
) -> Cohort:
    """Columns of text of equal length -> `Cohort`.

    Raises `CohortError` that holds every problem: columns that are lacking or not known, and each
    value at fault by record (from 1) and column. A number written 1.0 is read as the code 1.
    """
    if mapping is None:
        mapping = CohortMapping(name, {c: ColumnMapping((c,)) for c in SCHEMA if c in table})
    if group is not None:
        columns = {**mapping.columns, CENTRE: ColumnMapping((group,))}
        ignore = tuple(c for c in (*mapping.ignore, *_old_centre(mapping)) if c != group)
        mapping = CohortMapping(mapping.name, columns, mapping.missing, ignore, mapping.outcomes)
    problems = _column_problems(table, mapping)
    n = len(next(iter(table.values()), ()))
    if n == 0:
        problems.append("the file holds no patients")
    found = _columns(table, mapping, problems)
    _add_typed(table, mapping, found, reference, problems)
    status, days = _outcomes(table, mapping, found, problems)
    _check_autologous(found, status, problems)
    if problems:
        raise _refusal(name, problems)
    # Without centres every patient is a unit of its own.
    centre = found.get(CENTRE, np.arange(n).astype(np.str_))
    return Cohort(
        mapping.name,
        {variable.name: found[variable.name] for variable in VARIABLES if variable.name in found},
        centre,
        status,
        days,
        sha256,
        {variable.name: found[variable.name] for variable in GROUPS if variable.name in found},
    )


def parse_factors(
    table: Table,
    mapping: CohortMapping | None,
    name: str,
    reference: Reference | None = None,
) -> dict[str, Any]:
    """The factors of a file without outcomes, as `matching.risk.predict` takes them.

    Columns that are no factors are not read, but one of the schema's outcomes is refused, and one
    whose name says that it was recorded after the transplant. Raises `CohortError`.
    """
    if mapping is None:
        names = (*COLUMNS, *TYPINGS)
        mapping = CohortMapping(name, {c: ColumnMapping((c,)) for c in names if c in table})
    wanted = {
        column: how
        for column, how in mapping.columns.items()
        if (column in COLUMNS or column in TYPINGS) and set(how.source) <= set(table)
    }
    used = {source for how in wanted.values() for source in how.source}
    problems = [
        f"column {column!r} is recorded after the transplant, so it cannot predict; leave it out"
        for column in table
        if column not in used
        and column not in mapping.ignore
        and (column in STATUS or column in DAYS or recorded_after(column))
    ]
    if not wanted:
        problems.append(f"no factor is given; known are {', '.join(COLUMNS)}")
    mapping = CohortMapping(mapping.name, wanted, mapping.missing)
    found = _columns(table, mapping, problems)
    _add_typed(table, mapping, found, reference, problems)
    if problems:
        raise _refusal(name, problems)
    return {variable.name: found[variable.name] for variable in VARIABLES if variable.name in found}


def _refusal(name: str, problems: list[str]) -> CohortError:
    shown = "; ".join(problems[:SHOWN_PROBLEMS])
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"; and {more} more" if more > 0 else ""
    return CohortError(
        f"{name}: {len(problems)} problem{'s' * (len(problems) > 1)}, nothing was used: "
        f"{shown}{rest}",
        tuple(problems),
    )


def _old_centre(mapping: CohortMapping) -> tuple[str, ...]:
    return mapping.columns[CENTRE].source if CENTRE in mapping.columns else ()


def _columns(table: Table, mapping: CohortMapping, problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column, how in mapping.columns.items():
        if column in TYPINGS or not set(how.source) <= set(table):
            continue
        texts = joined([table[source] for source in how.source], mapping.missing)
        source = "/".join(how.source)
        if column == CENTRE:
            found[column] = np.array(texts, dtype=np.str_)
            problems += [
                f"record {i + 1}, column {source}: the centre is missing"
                for i, text in enumerate(texts)
                if not text
            ]
        elif (levels := levels_of(column)) is not None:
            found[column] = coded(texts, source, how, levels, problems)
        else:
            limits = COLUMNS.get(column, _DAYS)
            found[column] = numbers_of(texts, source, limits, problems, how.factor, how.whole)
    return found


def _add_typed(
    table: Table,
    mapping: CohortMapping,
    found: dict[str, Any],
    reference: Reference | None,
    problems: list[str],
) -> None:
    """Fill the factors of the pair from both typings, where the file does not give them."""
    sources = [mapping.columns[c].source[0] for c in TYPINGS if c in mapping.columns]
    if len(sources) < len(TYPINGS) or not set(sources) <= set(table):
        if sources:
            problems.append(f"{' and '.join(TYPINGS)} are read together; one is missing")
        return
    if reference is None:
        problems.append(f"columns {' and '.join(sources)} hold typings; name a --release")
        return
    pairs: list[tuple[Typing, Typing] | None] = []
    for i, texts in enumerate(zip(*(table[source] for source in sources), strict=True)):
        both: list[Typing] = []
        for source, text in zip(sources, texts, strict=True):
            if text not in mapping.missing:
                try:
                    typing = parse_typing(text)
                    encode(typing, reference.nomenclature)
                    both.append(typing)
                except GraftmatchError as error:
                    problems.append(f"record {i + 1}, column {source}: {error}")
        pairs.append((both[0], both[1]) if len(both) == len(sources) else None)
    if problems:
        return
    told = typed_factors(pairs, reference.nomenclature, reference.proteins)
    for name, values in told.items():
        given = found.get(name)
        if given is None:
            found[name] = values
        elif COLUMNS[name].levels:
            found[name] = np.where(given == "", values, given)
        else:
            found[name] = np.where(np.isnan(given), values, given)


def _outcomes(
    table: Table, mapping: CohortMapping, found: dict[str, Any], problems: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    status: dict[str, Any] = {}
    days: dict[str, Any] = {}
    for outcome in OUTCOMES:
        codes, times = found.get(f"{outcome.name}_status"), found.get(f"{outcome.name}_days")
        how = mapping.outcomes.get(outcome.name)
        if codes is not None and times is not None:
            known = codes != ""
            problems += [
                f"record {i + 1}: {outcome.name} has a status without days or days without a status"
                for i in np.flatnonzero(known != ~np.isnan(times))
            ]
            status[outcome.name] = np.where(known, codes, str(UNKNOWN)).astype(np.int8)
            days[outcome.name] = times
        elif how is not None and how.sources <= set(table):
            status[outcome.name], days[outcome.name] = _put_together(
                table, mapping, how, outcome, problems
            )
    return status, days


def _put_together(
    table: Table,
    mapping: CohortMapping,
    how: OutcomeMapping,
    outcome: Outcome,
    problems: list[str],
) -> tuple[Any, Any]:
    """Status and days of an outcome from its event, the competing one and the follow-up."""

    def numbers(column: str) -> Any:
        texts = ["" if text in mapping.missing else text for text in table[column]]
        # Files write a number of days that no one lives for "never".
        texts = ["" if is_never(text) else text for text in texts]
        return numbers_of(texts, column, _DAYS, problems)

    def happened(what: Happening) -> tuple[Any, Any]:
        texts = ["" if text in mapping.missing else text for text in table[what.column]]
        known = np.array([text != "" for text in texts])
        if not what.codes:
            return known, ~np.isnan(numbers(what.days))
        yes = np.array([text in what.codes or whole_code(text) in what.codes for text in texts])
        return known, yes

    end = numbers(how.follow_up)
    known, event = happened(how.event)
    at = numbers(how.event.days) if how.event.days else np.fmin(end, outcome.horizon_days)
    known &= ~np.isnan(end) & ~(event & np.isnan(at))
    status, days = np.where(event, EVENT, 0), np.where(event, at, end)
    if how.competing is not None:
        told, other = happened(how.competing)
        when = numbers(how.competing.days) if how.competing.days else end
        known &= event | (told & ~(other & np.isnan(when)))
        # A death after a relapse is not one without it, even on the same day.
        first = (when <= days) if outcome.name == "nrm" else (when < days)
        lost = other & (~event | first)
        status, days = np.where(lost, COMPETING, status), np.where(lost, when, days)
    problems += [
        f"record {i + 1}: {outcome.name} would be on day {days[i]:g}, after the last contact on "
        f"day {end[i]:g}"
        for i in np.flatnonzero(known & (days > end))
    ]
    return np.where(known, status, UNKNOWN).astype(np.int8), np.where(known, days, np.nan)


def _check_autologous(found: dict[str, Any], status: dict[str, Any], problems: list[str]) -> None:
    """GVHD cannot follow an autologous transplant."""
    if "donor_type" not in found:
        return
    for outcome in OUTCOMES:
        if outcome.allogeneic and outcome.name in status:
            wrong = (found["donor_type"] == AUTOLOGOUS) & (status[outcome.name] == EVENT)
            problems += [
                f"record {i + 1}: {outcome.text} is not applicable to an autologous transplant"
                for i in np.flatnonzero(wrong)
            ]


def _column_problems(table: Table, mapping: CohortMapping) -> list[str]:
    used = {source for how in mapping.columns.values() for source in how.source}
    used |= {source for how in mapping.outcomes.values() for source in how.sources}
    problems = [f"column {source!r} is missing" for source in sorted(used - set(table))]
    problems += [
        f"column {column!r} is not known; name it in the mapping, or there under ignore"
        for column in table
        if column not in used and column not in mapping.ignore
    ]
    for outcome in OUTCOMES:
        pair = [f"{outcome.name}_status", f"{outcome.name}_days"]
        held = [column for column in pair if column in mapping.columns]
        if len(held) == 1:
            problems.append(f"{held[0]} needs {pair[1 - pair.index(held[0])]}")
        if held and outcome.name in mapping.outcomes:
            problems.append(f"{outcome.name} is given twice, by columns and under outcomes")
    if not mapping.outcomes and not any(column in mapping.columns for column in STATUS):
        problems.append(f"no outcome is given; known are {', '.join(STATUS)}")
    return problems
