"""Cells of a file -> levels and numbers, with every problem by record and column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from data.cohort.mapping import ColumnMapping
from matching.risk import Variable


def joined(columns: list[Sequence[str]], missing: tuple[str, ...]) -> list[str]:
    """Codes of a row joined with `/`, "" if one of them is missing."""
    rows = zip(*columns, strict=True)
    return ["" if any(text in missing for text in row) else "/".join(row) for row in rows]


def coded(
    texts: list[str],
    source: str,
    how: ColumnMapping,
    levels: tuple[str, ...],
    problems: list[str],
) -> np.ndarray[Any, np.dtype[np.str_]]:
    """Codes of a column -> (n,) levels, "" where not known; each problem is added to the list."""
    codes = {level: level for level in levels} if how.codes is None else how.codes
    result = []
    for i, text in enumerate(texts):
        level = codes.get(text, codes.get(whole_code(text)))
        if level is None:
            if text and how.others == "refuse":
                problems.append(
                    f"record {i + 1}, column {source}: {text!r} is none of {', '.join(codes)}"
                )
            level = text if how.others == "pass" else ""
        result.append(level)
    return np.array(result, dtype=np.str_)


def numbers_of(
    texts: list[str],
    source: str,
    limits: Variable,
    problems: list[str],
    factor: float = 1.0,
    whole: bool = False,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Texts of a column -> (n,) numbers, NaN where not known; each problem is added to the list."""
    result = np.full(len(texts), np.nan)
    for i, text in enumerate(texts):
        if not text:
            continue
        where = f"record {i + 1}, column {source}: {text!r}"
        try:
            value = float(text) * factor
        except ValueError:
            problems.append(f"{where} is not a number")
            continue
        value = float(np.rint(value)) if whole else value
        if not limits.low <= value <= limits.high:
            problems.append(
                f"{where} gives {limits.name} {value:g}, not from {limits.low:g} to {limits.high:g}"
            )
            continue
        result[i] = value
    return result


def cell_text(value: Any) -> str:
    """A cell of a table as text, "" where it is empty."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).strip()


def is_never(text: str) -> bool:
    """Whether a number of days stands for "never"."""
    try:
        return float(text) >= 1_000_000
    except ValueError:
        return False


def whole_code(text: str) -> str:
    """`1` for `1.0`: files of numbers write codes so."""
    head, dot, tail = text.partition(".")
    return head if dot and head.isdigit() and not tail.strip("0") else text
