"""How well probabilities agree with outcomes of which some are censored.

AUC is the cumulative/dynamic one at the horizon (Uno 2007, JASA 102:527; Blanche 2013, Stat Med
32:5381): cases have the event by then, controls are all who do not, the competing included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from matching.fit.training import log_losses
from matching.risk import Floats

MEASURES = (
    "auc",
    "brier",
    "brier_null",
    "log_loss",
    "calibration_intercept",
    "calibration_slope",
    "observed",
    "expected",
    "observed_expected",
)
# Fewer centres than this are no sample of centres: patients are resampled instead.
MIN_UNITS = 30
_NAN = float("nan")


@dataclass(frozen=True)
class Cases:
    """n patients with a predicted probability.

    `y`: (n,) float64 of 0 and 1, `p`: (n,) float64 in (0, 1), `weight`: (n,) float64 >= 0,
    `unit`: (n,) int64 from 0, what is resampled as a whole.
    """

    y: Floats
    p: Floats
    weight: Floats
    unit: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Scores:
    """By name of measure an estimate and the limits of its 95 % interval (NaN: not computable)."""

    estimate: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]


def measures(y: Floats, p: Floats, ties: npt.NDArray[np.int64], w: Floats, times: Floats) -> Floats:
    """`MEASURES` of rows taken `times` over; `w`: weights times `times`.

    Observed is the weighted mean outcome (Aalen-Johansen), expected the plain mean of p over all
    patients, censored ones as well. The calibration intercept is that with slope 1.
    """
    total = w.sum()
    if not 0 < w @ y < total:
        return np.full(len(MEASURES), np.nan)
    observed, expected = float(w @ y / total), float(times @ p / times.sum())
    score = logit(np.clip(p, 1e-9, 1 - 1e-9))
    intercept, _ = line(np.zeros(len(y)), score, y, w)
    _, slope = line(score, np.zeros(len(y)), y, w)
    return np.array(
        [
            weighted_auc(y, ties, w),
            float(w @ (y - p) ** 2 / total),
            observed * (1 - observed),
            float(w @ log_losses(p, y) / total),
            intercept,
            slope,
            observed,
            expected,
            observed / expected,
        ]
    )


def scores(
    cases: Cases, seed: int, resamples: int, calibration: Cases | None = None
) -> tuple[Scores, float]:
    """Measures with intervals from resampling units, and the shift that was made.

    With `calibration` (patients of the same units) the log-odds are moved by the intercept that
    fits those, anew in each resample, so that the intervals hold the error of the recalibration.
    """
    ties = np.unique(cases.p, return_inverse=True)[1].astype(np.int64)
    n_units = int(max(cases.unit.max(), -1 if calibration is None else calibration.unit.max())) + 1
    rng = np.random.default_rng(seed)
    once = np.ones(n_units)
    estimate, shift = _at(cases, ties, calibration, once)
    drawn = np.empty((resamples, len(MEASURES)))
    for i in range(resamples):
        times = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        drawn[i], _ = _at(cases, ties, calibration, times.astype(np.float64))
    limits = np.full((2, len(MEASURES)), np.nan)
    for j in range(len(MEASURES)):
        column = drawn[np.isfinite(drawn[:, j]), j]
        if n_units > 1 and len(column) > resamples / 2:
            limits[:, j] = np.quantile(column, (0.025, 0.975))
    named = [dict(zip(MEASURES, map(float, v), strict=True)) for v in (estimate, *limits)]
    return Scores(*named), shift


def _at(
    cases: Cases, ties: npt.NDArray[np.int64], calibration: Cases | None, times: Floats
) -> tuple[Floats, float]:
    p, shift = cases.p, 0.0
    if calibration is not None:
        shift = intercept_shift(calibration, times[calibration.unit])
        if not np.isfinite(shift):
            return np.full(len(MEASURES), np.nan), shift
        p = expit(logit(np.clip(p, 1e-9, 1 - 1e-9)) + shift)
    taken = times[cases.unit]
    return measures(cases.y, p, ties, cases.weight * taken, taken), shift


def intercept_shift(cases: Cases, times: Floats) -> float:
    """What must be added to the log-odds so that expected equals observed in these patients."""
    score = logit(np.clip(cases.p, 1e-9, 1 - 1e-9))
    w = cases.weight * times
    if not 0 < w @ cases.y < w.sum():
        return _NAN
    return line(np.zeros(len(score)), score, cases.y, w)[0]


def weighted_auc(y: Floats, ties: npt.NDArray[np.int64], weight: Floats) -> float:
    """Probability that a case is ranked above a control, half for ties.

    `ties`: (n,) int64 rank of the prediction, equal for equal ones, from 0.
    """
    cases = np.bincount(ties, weights=weight * y)
    controls = np.bincount(ties, weights=weight * (1 - y))
    below = np.cumsum(controls) - controls
    pairs = cases.sum() * controls.sum()
    return float((cases @ (below + controls / 2)) / pairs) if pairs > 0 else _NAN


def line(x: Floats, offset: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
    """Intercept and slope of a weighted logistic regression on one column, by Newton's method.

    With a constant x there is no slope (NaN) and the intercept alone is fitted.
    """
    constant = bool(np.ptp(x) == 0)
    z = np.stack([np.ones(len(y)), x], axis=1)[:, : 1 if constant else 2]
    beta = np.zeros(z.shape[1])
    for _ in range(50):
        fitted = expit(offset + z @ beta)
        hessian = (z * (weight * fitted * (1 - fitted))[:, None]).T @ z
        try:
            step = np.linalg.solve(hessian, z.T @ (weight * (y - fitted)))
        except np.linalg.LinAlgError:
            return _NAN, _NAN
        beta += step
        if np.abs(step).max() < 1e-9:
            return float(beta[0]), _NAN if constant else float(beta[1])
    return _NAN, _NAN
