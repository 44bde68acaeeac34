"""Columns of records in which each distinct value stands once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa


@dataclass(frozen=True, slots=True)
class Coded:
    """A column: record i has `values[places[i]]`. `places`: (n,) integers."""

    values: Sequence[Any]
    places: npt.NDArray[np.integer[Any]]

    @classmethod
    def of(cls, values: Sequence[Any]) -> Coded:
        """A value for each record."""
        known: dict[Any, int] = {}
        places = [known.setdefault(value, len(known)) for value in values]
        return cls(list(known), np.array(places, dtype=np.int32))

    @classmethod
    def same(cls, value: Any, n: int) -> Coded:
        """One value for all of n records."""
        return cls([value], np.zeros(n, dtype=np.int32))

    @classmethod
    def of_arrow(cls, column: pa.Array, read: Callable[[Any], Any] = lambda value: value) -> Coded:
        """Each distinct value as `read` gives it, also None."""
        if not pa.types.is_dictionary(column.type):
            try:
                column = column.dictionary_encode()
            except pa.ArrowException:
                return cls.of([read(value) for value in column.to_pylist()])
        values, places = column.dictionary.to_pylist(), column.indices
        if places.null_count:
            # Null has no entry and gets the last one.
            places = places.fill_null(len(values))
            values.append(None)
        return cls([read(value) for value in values], places.to_numpy(zero_copy_only=False))

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, row: int) -> Any:
        return self.values[self.places[row]]

    def to(self, values: Sequence[Any]) -> Coded:
        """Other values in the place of these, one for one."""
        return Coded(values, self.places)

    def take(self, rows: npt.NDArray[np.int64]) -> Coded:
        """Some records."""
        return Coded(self.values, self.places[rows])

    def used(self) -> Coded:
        """The same without values that no record has."""
        at, places = np.unique(self.places, return_inverse=True)
        return Coded([self.values[i] for i in at.tolist()], places)

    def to_list(self) -> list[Any]:
        """The value of each record."""
        found: list[Any] = _objects(self.values)[self.places].tolist()
        return found

    @property
    def is_true(self) -> npt.NDArray[np.bool_]:
        """(n,) whether each record has a value that is not empty."""
        found: npt.NDArray[np.bool_] = np.array([bool(v) for v in self.values], dtype=bool)[
            self.places
        ]
        return found

    def rows_of(self, wanted: Iterable[int]) -> list[int]:
        """Records with one of some values, these by their positions in `values`."""
        is_wanted = np.zeros(len(self.values), dtype=bool)
        is_wanted[list(wanted)] = True
        return np.flatnonzero(is_wanted[self.places]).tolist()

    def errors(self, of_value: Mapping[int, Exception]) -> dict[int, Exception]:
        """The error of each record, from those of values by their positions in `values`."""
        if not of_value:
            return {}
        return {row: of_value[int(self.places[row])] for row in self.rows_of(of_value)}


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    return np.fromiter(values, dtype=object, count=len(values))
