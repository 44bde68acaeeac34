"""Donors by their facts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from data.index.facts import FactColumn


@dataclass(frozen=True)
class DonorFilter:
    """Which donors are kept; None asks nothing.

    `types`, `sexes`, `cmv`, `abo`, `registries`, `statuses`: the values that are kept.
    `min_age_years`, `max_age_years`: inclusive, of donors of type adult; a cord unit has no age.
    `min_tnc_1e7_per_kg`, `min_cd34_1e6_per_kg`: doses of cord units for a patient of
    `patient_weight_kg`; other donors are kept.
    A donor is left out where it is known to be another; what is unknown is kept, unless
    `require_known`. Raises `ValueError` for a dose without the patient's weight.
    """

    types: Collection[str] | None = None
    sexes: Collection[str] | None = None
    cmv: Collection[str] | None = None
    abo: Collection[str] | None = None
    registries: Collection[str] | None = None
    statuses: Collection[str] | None = None
    min_age_years: float | None = None
    max_age_years: float | None = None
    min_tnc_1e7_per_kg: float | None = None
    min_cd34_1e6_per_kg: float | None = None
    patient_weight_kg: float | None = None
    require_known: bool = False

    def __post_init__(self) -> None:
        doses = (self.min_tnc_1e7_per_kg, self.min_cd34_1e6_per_kg)
        if any(dose is not None for dose in doses) and not self.patient_weight_kg:
            raise ValueError("a minimum dose per kg needs the weight of the patient")

    def kept(
        self,
        columns: Mapping[str, FactColumn],
        rows: npt.NDArray[np.int64],
        ages: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.bool_]:
        """Whether each of some rows of a segment is kept, (n,); `ages` of these rows in years."""
        kept = np.ones(len(rows), dtype=bool)
        for name, wanted in (
            ("type", self.types),
            ("sex", self.sexes),
            ("cmv", self.cmv),
            ("abo", self.abo),
            ("registry", self.registries),
            ("status", self.statuses),
        ):
            if wanted is not None:
                column = columns[name]
                table = [not self.require_known, *(value in wanted for value in column.values)]
                kept &= np.array(table, dtype=bool)[column.of(rows)]
        cord = columns["type"].take(rows) == "cord"
        kept &= cord | self._within(ages, self.min_age_years, self.max_age_years)
        for name, dose in (
            ("tnc_1e7", self.min_tnc_1e7_per_kg),
            ("cd34_1e6", self.min_cd34_1e6_per_kg),
        ):
            if dose is not None:
                cells = columns[name].take(rows).astype(np.float64)
                kept &= ~cord | self._within(cells / (self.patient_weight_kg or np.nan), dose, None)
        return kept

    def _within(
        self, values: npt.NDArray[np.float64], low: float | None, high: float | None
    ) -> npt.NDArray[np.bool_]:
        if low is None and high is None:
            return np.ones(len(values), dtype=bool)
        low, high = -np.inf if low is None else low, np.inf if high is None else high
        unknown = np.isnan(values)
        return np.where(unknown, not self.require_known, (values >= low) & (values <= high))
