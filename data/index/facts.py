"""Facts of donors as small integers: each column has its distinct values once.

Code 0 is unknown, code i the i-th value in ascending order; codes have the smallest of uint8,
uint16 and uint32 that holds them. Facts of few values are kept as the number of their combination.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.donor_files import INDEXED, INDEXED_FACTS, Coded
from data.index.arrays import Array

if TYPE_CHECKING:
    import pandas as pd

DATES = ("birth_date",)
NUMBERS = tuple(name for name in INDEXED_FACTS if INDEXED.field(name).type == pa.float32())
# Combinations of facts that are one number, and how many there could be for these to be counted.
_MOST_COMBINED = 2**16
_MOST_KEYS = 2**26


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

    def column(self) -> tuple[Array, Array]:
        """Codes of everything that was added, and the values."""
        values = sorted(self._codes)
        renumbered = np.zeros(len(values) + 1, dtype=np.min_scalar_type(len(values)))
        renumbered[[self._codes[value] for value in values]] = np.arange(1, len(values) + 1)
        codes = np.concatenate([renumbered[:0], *(renumbered[part] for part in self._parts)])
        self._parts.clear()
        if self.name in DATES:
            kept: Array = np.array(values, dtype="datetime64[D]")
        elif self.name in NUMBERS:
            kept = np.array(values, dtype=np.float32)
        else:
            kept = np.array(values, dtype=object)
        return codes, kept


@dataclass(frozen=True)
class FactColumn:
    """Row i has code `codes[numbers[i]]`: `numbers`, (n_rows,), are combinations of several facts.

    `codes`: (n_combinations,); `values`: (n_values,) datetime64[D], float32 or object (text).
    """

    numbers: Array
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

    def of(self, rows: npt.NDArray[np.int64] | slice) -> Array:
        """Codes of some rows, (n,)."""
        found: Array = self.codes[self.numbers[rows]]
        return found

    def take(self, rows: npt.NDArray[np.int64]) -> Array:
        """Values of some rows, (n,)."""
        taken: Array = self.known[self.of(rows)]
        return taken


def combined(columns: Mapping[str, tuple[Array, Array]]) -> dict[str, FactColumn]:
    """Codes (n_rows,) and values of facts, with few facts of few values kept as one number.

    Those with the fewest values go together as long as their combinations fit 16 bits.
    """
    found: dict[str, FactColumn] = {}
    waiting = sorted(columns, key=lambda name: len(columns[name][1]))
    while waiting:
        names = [waiting.pop(0)]
        numbers, firsts = _distinct(columns[names[0]][0], len(columns[names[0]][1]) + 1)
        while waiting:
            codes, values = columns[waiting[0]]
            if len(firsts) * (len(values) + 1) > _MOST_KEYS:
                break
            key = numbers.astype(np.int64) * (len(values) + 1) + codes
            further = _distinct(key, len(firsts) * (len(values) + 1))
            if len(further[1]) > _MOST_COMBINED:
                break
            numbers, firsts = further
            names.append(waiting.pop(0))
        for name in names:
            codes, values = columns[name]
            found[name] = FactColumn(numbers, codes[firsts], values)
    return {name: found[name] for name in columns}


def _distinct(keys: Array, size: int) -> tuple[Array, npt.NDArray[np.int64]]:
    """Keys below `size` numbered in ascending order, and a row that has each."""
    row_of = np.full(size, -1, dtype=np.int64)
    row_of[keys] = np.arange(len(keys))
    present = np.flatnonzero(row_of >= 0)
    renumbered = np.zeros(size, dtype=np.min_scalar_type(max(len(present) - 1, 0)))
    renumbered[present] = np.arange(len(present))
    return renumbered[keys], row_of[present]


def fact_table(columns: Mapping[str, FactColumn], rows: npt.NDArray[np.int64]) -> pd.DataFrame:
    """Facts of some rows, one column each of `INDEXED_FACTS`; dates as text, None where unknown."""
    # Here, as an import needs no data frames and would start more slowly.
    import pandas as pd

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
    years = np.where(np.isnat(dates), np.nan, np.floor(elapsed / 12))[born.of(rows)]
    return np.where(np.isnan(years), reported, years)
