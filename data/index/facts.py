"""Facts of donors as small integers: each column has its distinct values once.

Code 0 is unknown, code i the i-th value in ascending order; codes have the smallest of uint8,
uint16 and uint32 that holds them.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from data.donor_files import INDEXED, INDEXED_FACTS, Coded
from data.index.arrays import Array

DATES = ("birth_date",)
NUMBERS = tuple(name for name in INDEXED_FACTS if INDEXED.field(name).type == pa.float32())


@dataclass
class FactEncoder:
    """The codes of one column, a batch at a time."""

    name: str
    _codes: dict[Any, int] = field(default_factory=dict)
    _parts: list[Array] = field(default_factory=list)

    def add(self, column: Coded) -> None:
        """The next values."""
        numbers = np.zeros(len(column.values), dtype=np.uint32)
        for i, value in enumerate(column.values):
            if value is not None and value == value:
                numbers[i] = self._codes.setdefault(self._kept(value), len(self._codes) + 1)
        self._parts.append(numbers.astype(np.min_scalar_type(len(self._codes)))[column.places])

    def _kept(self, value: Any) -> Any:
        if self.name in DATES:
            return datetime.date.fromisoformat(value)
        return float(np.float32(value)) if self.name in NUMBERS else value

    def column(self) -> FactColumn:
        """Everything that was added."""
        values = sorted(self._codes)
        renumbered = np.zeros(len(values) + 1, dtype=np.min_scalar_type(len(values)))
        renumbered[[self._codes[value] for value in values]] = np.arange(1, len(values) + 1)
        codes = np.concatenate([renumbered[:0], *(renumbered[part] for part in self._parts)])
        if self.name in DATES:
            kept: Array = np.array(values, dtype="datetime64[D]")
        elif self.name in NUMBERS:
            kept = np.array(values, dtype=np.float32)
        else:
            kept = np.array(values, dtype=object)
        return FactColumn(codes, kept)


@dataclass(frozen=True)
class FactColumn:
    """`codes`: (n_rows,); `values`: (n_values,) datetime64[D], float32 or object (text)."""

    codes: Array
    values: Array

    @property
    def known(self) -> Array:
        """The value of every code; of code 0 NaT, NaN or None."""
        empty: Array = np.empty(1, dtype=self.values.dtype)
        if self.values.dtype.kind == "M":
            empty[0] = np.datetime64("NaT")
        else:
            empty[0] = np.nan if self.values.dtype.kind == "f" else None
        return np.concatenate([empty, self.values])

    def take(self, rows: npt.NDArray[np.int64]) -> Array:
        """Values of some rows, (n,)."""
        taken: Array = self.known[self.codes[rows]]
        return taken


def fact_table(columns: Mapping[str, FactColumn], rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Facts of some rows, one column each of `INDEXED_FACTS`; dates as text, None where unknown."""
    table: dict[str, pd.Series[Any]] = {}
    for name in INDEXED_FACTS:
        values = columns[name].take(rows)
        if name in DATES:
            texts = np.datetime_as_string(values).astype(object)
            texts[np.isnat(values)] = None
            values = texts
        # Said outright, as pandas makes None in columns of text a number.
        table[name] = pd.Series(values, dtype=values.dtype)
    return pd.DataFrame(table)


def ages(
    columns: Mapping[str, FactColumn], as_of: datetime.date, rows: npt.NDArray[np.int64]
) -> npt.NDArray[np.float64]:
    """Age of some rows in whole years on a day, NaN where unknown.

    From the birth date; a donor reported by age keeps the reported one.
    """
    reported = columns["age_years"].take(rows).astype(np.float64)
    born = columns["birth_date"]
    dates = born.known
    months = dates.astype("datetime64[M]")
    day = (dates - months).astype(np.int64)
    today = np.datetime64(as_of, "D")
    today_month = today.astype("datetime64[M]")
    elapsed = (today_month - months).astype(np.float64)
    elapsed -= day > int((today - today_month).astype(np.int64))
    years = np.where(np.isnat(dates), np.nan, np.floor(elapsed / 12))[born.codes[rows]]
    return np.where(np.isnan(years), reported, years)
