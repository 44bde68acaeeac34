"""What a pair of patient and donor is worth: the documented, configurable formula."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from matching.allocate.problem import Float64s, Int64s
from matching.errors import AllocationError

MOST_MISMATCHES, WORST_DPB1, YOUNGEST_YEARS, OLDEST_YEARS = 10, 4, 18, 60


@dataclass(frozen=True)
class Points:
    """The weights of `utility`, each 0 to `MOST_POINTS`.

    One unit is by default a thousandth of the worth of a certain 10/10 match. `risk`: of a risk
    difference of 1. `mismatch`, `dpb1`, `year`: of one mismatch fewer than 10, of one step of DPB1
    preference better than 4, of one year of age below 60. Raises `AllocationError` out of range.
    """

    p10: int = 1000
    p9: int = 500
    risk: int = 1000
    mismatch: int = 100
    dpb1: int = 50
    year: int = 5

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 0 <= value <= MOST_POINTS:
                raise AllocationError(
                    f"points of {field.name}: {value} is not in 0 to {MOST_POINTS:,}"
                )


MOST_POINTS = 1_000_000


DEFAULT_POINTS = Points()


def utility(
    p10: Float64s,
    p9: Float64s,
    mismatches_best: Int64s,
    risk_difference: Float64s,
    age_years: Float64s,
    dpb1_preference: Int64s,
    points: Points = DEFAULT_POINTS,
) -> Int64s:
    """What an edge is worth, (n_edges,) int64, by default 1 to 3411; all inputs (n_edges,).

    `p10`, `p9`: probability of exactly 10 and exactly 9 matches of 10, in [0, 1] and together at
    most 1, NaN where not imputed.
    `mismatches_best`: mismatches if every ambiguity turns out well, 0 or more.
    `risk_difference`: predicted risk of acute GVHD III-IV above that of the patient's candidate
    with the lowest, in [0, 1], 0 where unknown.
    `age_years`: of the donor, 0 or more, NaN where unknown.
    `dpb1_preference`: 0 (best) to 4, as `TceCategory.preference`.

    One plus `points`, rounded to the nearest integer (a half to the even one). A better value of
    one factor never lowers it, and an unknown one earns nothing. By default::

        1000 * P(10/10) + 500 * P(9/10)
        + 1000 * (1 - risk difference)
        + 100 for each mismatch below 10
        + 50 for each step of DPB1 preference better than 4
        + 5 for each year of age below 60, at most for 42 years

    The directions follow Lee 2007 (Blood 110:4576, mismatches), Fleischhauer 2012 (Lancet Oncol
    13:366, DPB1) and Kollman 2016 (Blood 127:260, age); the weights are a convention of ours.
    Raises `AllocationError` for a value out of range or arrays of different lengths.

    >>> utility(np.array([0.9]), np.array([0.08]), np.array([0]), np.array([0.05]),
    ...         np.array([30.0]), np.array([2])).tolist()
    [3141]
    """
    columns = (p10, p9, mismatches_best, risk_difference, age_years, dpb1_preference)
    if any(a.shape != (len(p10),) for a in columns):
        raise AllocationError("the factors of utility need one-dimensional arrays of a length")
    _check_factor("P(10/10)", p10, 1, nan_allowed=True)
    _check_factor("P(9/10)", p9, 1, nan_allowed=True)
    _check_factor("P(10/10) + P(9/10)", np.nan_to_num(p10) + np.nan_to_num(p9), 1 + 1e-9)
    _check_factor("mismatches", mismatches_best, np.inf)
    _check_factor("risk difference", risk_difference, 1)
    _check_factor("age in years", age_years, np.inf, nan_allowed=True)
    _check_factor("DPB1 preference", dpb1_preference, WORST_DPB1)
    age = np.clip(np.nan_to_num(age_years, nan=OLDEST_YEARS), YOUNGEST_YEARS, OLDEST_YEARS)
    earned = (
        points.p10 * np.nan_to_num(p10)
        + points.p9 * np.nan_to_num(p9)
        + points.risk * (1 - risk_difference)
        + points.mismatch * (MOST_MISMATCHES - np.minimum(mismatches_best, MOST_MISMATCHES))
        + points.dpb1 * (WORST_DPB1 - dpb1_preference)
        + points.year * (OLDEST_YEARS - age)
    )
    return np.asarray(1 + np.rint(earned), dtype=np.int64)


def _check_factor(
    name: str, values: Float64s | Int64s, high: float, nan_allowed: bool = False
) -> None:
    wrong = ~((values >= 0) & (values <= high)) & ~(nan_allowed & np.isnan(values))
    if wrong.any():
        edge = int(wrong.argmax())
        raise AllocationError(f"{name} of edge {edge}: {values[edge]} is not in 0 to {high}")
