"""A cohort of transplants as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.risk import Columns, Floats

CENSORED, EVENT, COMPETING, UNKNOWN = 0, 1, 2, -1
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cohort:
    """n patients as arrays.

    `columns`: by name of variable, (n,) float64 with NaN, or (n,) text with "" for not known.
    `centre`: (n,) text, the unit of resampling and cross-validation. `status`: by outcome, (n,)
    int8, 0 censored, 1 event, 2 the competing event came first, -1 not known. `days`: by outcome,
    (n,) float64 >= 0, NaN where not known. `groups`: by name, (n,) text with "" for not known, by
    which results are broken down. `sha256`: of the file, "" if there is none.
    """

    name: str
    columns: Columns
    centre: npt.NDArray[np.str_]
    status: Mapping[str, npt.NDArray[np.int8]]
    days: Mapping[str, Floats]
    sha256: str = ""
    groups: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.centre)

    def some(self, rows: Rows) -> Cohort:
        """The cohort of some rows."""
        return Cohort(
            self.name,
            {key: values[rows] for key, values in self.columns.items()},
            self.centre[rows],
            {key: values[rows] for key, values in self.status.items()},
            {key: values[rows] for key, values in self.days.items()},
            self.sha256,
            {key: values[rows] for key, values in self.groups.items()},
        )
