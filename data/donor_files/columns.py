"""The columns of a file of people, and how each value is checked.

Any order, case ignored; blank is unknown:

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
grid          Global Registration Identifier for Donors, 19 characters
status        available (default), temporarily_unavailable or reserved (AV, TU, RS)
tnc_1e7       total nucleated cells of a cord unit, 10^7; above 0, at most 100,000
cd34_1e6      CD34 positive cells of a cord unit, 10^6; above 0, at most 100,000
volume_ml     volume of a cord unit; above 0, at most 10,000
mother_gl     typing of a cord unit's mother as a GL string
typing_date   YYYY-MM-DD
gl            the whole typing as a GL string; or instead one column a locus:
a ... dpb1    both positions, ``A*01:01+A*02:01`` or ``01:01+02:01``
drb3 drb4     instead of drb345: one column a gene, each with one copy or two
drb5
change        N new, U update, D delete, NU either (default)
reported_at   time of the record, ISO 8601; without a zone it is UTC
============  =====================================================================
"""

from __future__ import annotations

import datetime
import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import pyarrow as pa

from matching.errors import InputFileError, RecordError
from matching.loci import LOCI, Locus
from matching.typings import Written

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
    "grid",
    "status",
    "tnc_1e7",
    "cd34_1e6",
    "volume_ml",
    "mother_gl",
    "typing_date",
)
NUMBERS = ("age_years", "weight_kg", "tnc_1e7", "cd34_1e6", "volume_ml")
DEFAULTS: Mapping[str, str] = MappingProxyType({"type": "adult", "status": "available"})
LOCUS_COLUMNS = {locus.value.lower(): locus for locus in LOCI}
GENE_COLUMNS = {gene.lower(): gene for gene in Locus.DRB345.genes}
# What a record says of itself.
RECORD_COLUMNS = ("change", "reported_at")
COLUMNS = ("id", *FACTS, "gl", *LOCUS_COLUMNS, *GENE_COLUMNS, *RECORD_COLUMNS)
CHANGES = ("N", "U", "D", "NU")
MAX_ID_CHARACTERS = 200
MAX_FIELD_CHARACTERS = 1_000_000

# What an index is made from.
INDEXED = pa.schema(
    [("id", pa.string())]
    + [
        (name, pa.string())
        for name in ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry", "status")
    ]
    + [("birth_date", pa.string())]
    + [(name, pa.float32()) for name in ("age_years", "weight_kg", "tnc_1e7", "cd34_1e6")]
    + [(name, pa.string()) for name in (*LOCUS_COLUMNS, "phase")]
)
INDEXED_FACTS = tuple(n for n in INDEXED.names[1:] if n not in (*LOCUS_COLUMNS, "phase"))


@dataclass(frozen=True, slots=True)
class Person:
    """A checked record: known facts by name, None where unknown, and the typing as written."""

    id: str
    facts: Mapping[str, str | float | None]
    written: Written


def check_columns(path: Path, names: Iterable[str]) -> list[str]:
    """The column names of a file in lower case.

    Raises `InputFileError` for an unknown, repeated or missing column.
    """
    columns = [name.strip().lower() for name in names]
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise InputFileError(
                f"{path}: unknown column {column[:60]!r}{hint} rename or remove it; known "
                f"are {', '.join(COLUMNS)}; nothing was used"
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


_SIGN = {"positive": "positive", "negative": "negative", "pos": "positive", "neg": "negative"}
_WORDS = {
    "type": {"adult": "adult", "cord": "cord"},
    "sex": {"male": "male", "female": "female", "m": "male", "f": "female"},
    "cmv": _SIGN | {"+": "positive", "-": "negative"},
    "rh": _SIGN | {"+": "positive", "-": "negative"},
    "abo": {"a": "A", "b": "B", "ab": "AB", "o": "O", "0": "O"},
    "status": {
        "available": "available",
        "temporarily_unavailable": "temporarily_unavailable",
        "reserved": "reserved",
        "av": "available",
        "tu": "temporarily_unavailable",
        "rs": "reserved",
    },
}
_RANGES = {
    "age_years": (120, "whole years"),
    "weight_kg": (500, "kg"),
    "tnc_1e7": (100_000, "10^7 cells"),
    "cd34_1e6": (100_000, "10^6 cells"),
    "volume_ml": (10_000, "ml"),
}
# Issuing organisation, number of the registration, checksum. How the two digits follow from the
# rest is not checked.
_GRID = re.compile(r"[1-9][0-9]{3}[0-9A-Z]{13}[0-9]{2}")


def check_text(name: str, value: str) -> None:
    """Raises `RecordError` for bytes that are no UTF-8, NUL and control characters."""
    if value.isprintable():
        return
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise RecordError(name, value, "is not text in UTF-8")
    raise RecordError(name, value, "holds control characters, such as an end of line; remove them")


def check_identifier(value: str) -> None:
    """Raises `RecordError` for an identifier that cannot be one."""
    if not value:
        raise RecordError("id", "", "missing; every record needs an identifier")
    if len(value) > MAX_ID_CHARACTERS:
        raise RecordError("id", value, f"longer than {MAX_ID_CHARACTERS} characters")


def check_fact(name: str, value: str) -> str | float | None:
    """A fact as it is stored, None where `value` is blank. Raises `RecordError`."""
    if not value:
        return DEFAULTS.get(name)
    if name in _WORDS:
        return _word(name, value)
    if name in _RANGES:
        return _number(name, value)
    if name in ("birth_date", "typing_date"):
        return _date(name, value)
    if name == "grid":
        return _grid(value)
    return value


def _word(name: str, value: str) -> str:
    word = _WORDS[name].get(value.lower())
    if word is None:
        known = ", ".join(dict.fromkeys(_WORDS[name].values()))
        raise RecordError(name, value, f"not one of {known}")
    return word


def _date(name: str, value: str) -> str:
    try:
        date = datetime.date.fromisoformat(value)
    except ValueError:
        raise RecordError(name, value, "not a date; write YYYY-MM-DD") from None
    if date.year < 1900:
        raise RecordError(name, value, "before 1900")
    return date.isoformat()


def _number(name: str, value: str) -> float:
    highest, unit = _RANGES[name]
    whole = name == "age_years"
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    above = number > 0 or (whole and number == 0)
    if not (above and number <= highest) or (whole and number != int(number)):
        raise RecordError(name, value, f"not {unit} from 0 to {highest}")
    return number


def _grid(value: str) -> str:
    compact = value.replace(" ", "").replace("-", "").upper()
    if not _GRID.fullmatch(compact):
        raise RecordError(
            "grid", value, "not 4 digits, 13 letters or digits and 2 digits of checksum"
        )
    return compact


def check_change(value: str) -> str:
    """One of `CHANGES`, NU where blank. Raises `RecordError`."""
    change = value.upper() or "NU"
    if change not in CHANGES:
        raise RecordError("change", value, "not one of N (new), U (update), D (delete), NU")
    return change


def check_time(name: str, value: str) -> int | None:
    """Microseconds since 1970 (UTC) of an ISO time, None where blank. Raises `RecordError`."""
    if not value:
        return None
    try:
        time = datetime.datetime.fromisoformat(value)
    except ValueError:
        raise RecordError(name, value, "not a time; write YYYY-MM-DDTHH:MM:SSZ") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=datetime.UTC)
    if time.year < 1900:
        raise RecordError(name, value, "before 1900")
    return (time - _EPOCH) // datetime.timedelta(microseconds=1)


def age_on(birth_date: str, as_of: datetime.date) -> int:
    """Whole years on a day, below 0 before the birth.

    >>> age_on("1990-03-02", datetime.date(2026, 3, 1))
    35
    """
    born = datetime.date.fromisoformat(birth_date)
    return as_of.year - born.year - ((as_of.month, as_of.day) < (born.month, born.day))


def time_text(microseconds: int | None) -> str | None:
    """A time as ISO text in UTC."""
    if microseconds is None:
        return None
    time = _EPOCH + datetime.timedelta(microseconds=microseconds)
    return time.isoformat().replace("+00:00", "Z")


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
