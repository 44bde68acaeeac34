"""What an allocation has to know of its patients and places, from two small tables."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from matching.allocate import MOST_URGENT, NO_DEADLINE, UNALLOCATED
from matching.errors import InputFileError

TEXTS = ("centre", "laboratory", "ancestry", "previous", "previous_second")
COLUMNS = ("urgency", "deadline", *TEXTS)


@dataclass(frozen=True)
class Capacities:
    """Most transplants a week by centre and laboratory, most active requests by registry."""

    centre: Mapping[str, int] = field(default_factory=dict)
    laboratory: Mapping[str, int] = field(default_factory=dict)
    registry: Mapping[str, int] = field(default_factory=dict)


NO_CAPACITIES = Capacities()


@dataclass(frozen=True)
class Recipients:
    """What is known of n patients, in their order; texts are empty where unknown.

    `urgency`, `deadline_week`: (n,) int64 as in `AllocationProblem`. `previous`,
    `previous_second`: donor, or both units, of yesterday's plan.
    """

    urgency: npt.NDArray[np.int64]
    deadline_week: npt.NDArray[np.int64]
    centre: tuple[str, ...]
    laboratory: tuple[str, ...]
    ancestry: tuple[str, ...]
    previous: tuple[str, ...]
    previous_second: tuple[str, ...]

    @classmethod
    def of(cls, patients: Sequence[str]) -> Recipients:
        """Patients of whom nothing is known."""
        n, blank = len(patients), ("",) * len(patients)
        no_deadline = np.full(n, NO_DEADLINE)
        return cls(np.ones(n, dtype=np.int64), no_deadline, *(blank for _ in TEXTS))

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """(n,) number of the ancestry group; unknown is a group too."""
        return np.unique(np.array(self.ancestry, dtype=str), return_inverse=True)[1].astype(
            np.int64
        )


def units_of_yesterday(
    position: Mapping[str, int], previous: Sequence[str], previous_second: Sequence[str]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(n,) each: the units of each patient's graft in yesterday's plan by their position.

    None of a graft of which a unit is no longer among the donors: it cannot be kept.
    """
    found = np.full((2, len(previous)), UNALLOCATED, dtype=np.int64)
    for i, units in enumerate(zip(previous, previous_second, strict=True)):
        if all(not name or name in position for name in units):
            found[:, i] = [position.get(name, UNALLOCATED) for name in units]
    return found[0], found[1]


def read_recipients(path: Path, patients: Sequence[str], as_of: datetime.date) -> Recipients:
    """Patients of a CSV file with the column `patient` and any of `COLUMNS`, by identifier.

    Urgency is 1 (the default) to 1000, a deadline is YYYY-MM-DD and counted in weeks from `as_of`.
    Patients of the file who are not in `patients` are ignored, the others have no values. Raises
    `InputFileError`.
    """
    table = read_table(path, "patient", COLUMNS).set_index("patient")
    if table.index.has_duplicates:
        name = table.index[table.index.duplicated()][0]
        raise InputFileError(f"{path}: patient {name!r} has two rows; leave one")
    table = table.reindex(list(patients), fill_value="")
    urgency, week = [], []
    for name, given, deadline in zip(patients, table["urgency"], table["deadline"], strict=True):
        urgency.append(_integer(path, f"urgency of patient {name!r}", given or "1", 1, MOST_URGENT))
        week.append(NO_DEADLINE)
        if deadline:
            try:
                days = (datetime.date.fromisoformat(deadline) - as_of).days
            except ValueError as error:
                raise InputFileError(
                    f"{path}: deadline of patient {name!r}: {deadline!r} is no YYYY-MM-DD day"
                ) from error
            week[-1] = 1 + days // 7
    numbers = np.array(urgency, dtype=np.int64), np.array(week, dtype=np.int64)
    return Recipients(*numbers, *(tuple(table[column]) for column in TEXTS))


def read_capacities(path: Path) -> Capacities:
    """A CSV file with the columns kind (centre, laboratory, registry), name and most.

    Raises `InputFileError`.
    """
    kinds: dict[str, dict[str, int]] = {"centre": {}, "laboratory": {}, "registry": {}}
    for kind, name, most in read_table(path, "kind", ("name", "most")).itertuples(index=False):
        if kind not in kinds:
            raise InputFileError(f"{path}: kind {kind!r} is none of {', '.join(kinds)}")
        if not name or name in kinds[kind]:
            raise InputFileError(f"{path}: {kind} {name!r}: give each name once, and no empty one")
        kinds[kind][name] = _integer(path, f"most of {kind} {name!r}", most, 0, 10**9)
    return Capacities(**kinds)


def read_table(path: Path, key: str, columns: Sequence[str]) -> pd.DataFrame:
    """All texts of a CSV file; columns that are absent are empty, others are refused."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputFileError(f"cannot read {path}: {error}") from error
    if key not in table:
        raise InputFileError(f"{path} has no column {key!r}")
    if strange := sorted({str(column) for column in table} - {key, *columns}):
        raise InputFileError(
            f"{path}: column {strange[0]!r} is none of {', '.join((key, *columns))}"
        )
    return table.reindex(columns=[key, *columns], fill_value="")


def _integer(path: Path, what: str, text: str, low: int, high: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise InputFileError(f"{path}: {what}: {text!r} is no integer from {low} to {high}")
    return value
