"""A frozen risk model -> cumulative incidence of GVHD, its interval and what each factor adds.

The estimand is the cumulative incidence at a horizon: the probability that the event has
happened by then, with death before it as a competing event. It is never 1 - Kaplan-Meier.

A model is logistic at the horizon: logit p = intercept + sum of contributions, one a factor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from matching.errors import ModelError

Floats = npt.NDArray[np.float64]
Columns = Mapping[str, npt.NDArray[Any]]

MODEL_SCHEMA = 1
Z95 = 1.959963984540054
MIN_SE_WITHOUT_INTERVAL = 0.5


@dataclass(frozen=True)
class Endpoint:
    """One outcome that is predicted: its name in files, its text and its horizon in days."""

    name: str
    text: str
    horizon_days: float


ENDPOINTS = (
    Endpoint("agvhd_2_4", "acute GVHD grade II-IV", 100.0),
    Endpoint("agvhd_3_4", "acute GVHD grade III-IV", 100.0),
    Endpoint("cgvhd", "chronic GVHD", 365.0),
)


@dataclass(frozen=True)
class Variable:
    """A column of a cohort. With `levels`: text, one of them. Without: a number in `unit`s of
    effect, from `low` to `high` inclusive."""

    name: str
    levels: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    unit: float = 1.0


VARIABLES = (
    Variable("age_years", low=0, high=110, unit=10),
    Variable("donor_age_years", low=0, high=110, unit=10),
    Variable("transplant_year", low=1970, high=2100, unit=10),
    Variable("donor_type", ("unrelated", "sibling", "haploidentical", "other related", "cord")),
    Variable(
        "hla_match",
        (
            "10/10",
            "8/8",
            "9/10 class I",
            "9/10 class I, PBM-GVH matched",
            "9/10 class I, PBM-GVH mismatched",
            "7/8 C antigen",
            "7/8 A, B or DRB1",
            "other",
        ),
    ),
    # The values of `immunogenetics.TceCategory`, unknown and untyped apart.
    Variable(
        "dpb1_tce",
        ("match", "potential match", "permissive", "non-permissive GvH", "non-permissive HvG"),
    ),
    # Donor, then recipient.
    Variable("sex_match", ("M-M", "M-F", "F-M", "F-F")),
    Variable("cmv_match", ("D-R-", "D-R+", "D+R-", "D+R+")),
    Variable("abo_match", ("match", "minor", "major", "bidirectional")),
    Variable("graft_source", ("PB", "BM", "CB")),
    Variable("conditioning", ("MAC", "RIC")),
    Variable("tbi", ("no", "yes")),
    Variable(
        "gvhd_prophylaxis",
        ("TAC+MTX", "CSA+MTX", "TAC+MMF", "CSA+MMF", "TAC other", "PTCy", "other"),
    ),
    # Antithymocyte globulin or alemtuzumab.
    Variable("atg", ("no", "yes")),
    Variable("disease", ("AML", "ALL", "MDS", "other")),
    Variable("disease_stage", ("early", "intermediate", "advanced")),
    Variable("karnofsky", ("90-100", "below 90")),
    Variable("hctci", ("0", "1", "2", "3-4", "3+", "5+")),
)


class Known(IntEnum):
    """How a value entered a prediction."""

    YES = 0
    # Missing, or a level for which the model holds no effect: the factor contributes 0.
    NO = 1
    # A number beyond what the model has seen, taken at the limit.
    CLIPPED = 2


@dataclass(frozen=True)
class Factor:
    """A factor of a model, as columns of a design matrix.

    `levels`: groups of level names; the first group is the reference, each other one a column.
    `bands`: with it the value is a number, and band i holds bands[i-1] <= value < bands[i].
    Without levels the value is a number, clipped to [low, high], and the column is value / unit.
    """

    name: str
    levels: tuple[tuple[str, ...], ...] = ()
    bands: tuple[float, ...] = ()
    unit: float = 1.0
    low: float = float("-inf")
    high: float = float("inf")

    def __post_init__(self) -> None:
        names = [name for group in self.levels for name in group]
        _require(bool(self.name), "a factor has no name")
        _require(len(set(names)) == len(names), f"factor {self.name}: a level is named twice")
        _require(len(self.levels) != 1, f"factor {self.name}: it has one level only")
        _require(
            not self.bands or len(self.bands) == len(self.levels) - 1,
            f"factor {self.name}: n levels need n - 1 bounds of bands",
        )
        _require(list(self.bands) == sorted(self.bands), f"factor {self.name}: bands fall")
        _require(self.unit > 0 and self.low <= self.high, f"factor {self.name}: unit or range")

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a column."""
        if not self.levels:
            return (f"{self.name}, per {self.unit:g}",)
        return tuple(f"{self.name}: {' or '.join(group)}" for group in self.levels[1:])

    def encode(self, values: npt.NDArray[Any]) -> tuple[Floats, npt.NDArray[np.int8]]:
        """(n,) values -> (n, n_columns) float64, NaN where not known, and (n,) int8 `Known`.

        Numbers are not known when NaN, levels when the model does not hold them.

        >>> Factor("tbi", (("no",), ("yes",))).encode(np.array(["yes", "no", ""]))[0].ravel()
        array([ 1.,  0., nan])
        """
        known = np.zeros(len(values), dtype=np.int8)
        if self.levels:
            if self.bands:
                numbers = np.asarray(values, dtype=np.float64)
                position = np.searchsorted(self.bands, numbers, side="right")
                position = np.where(np.isnan(numbers), -1, position)
            else:
                position = np.full(len(values), -1, dtype=np.int64)
                for i, group in enumerate(self.levels):
                    position[np.isin(values, group)] = i
            known[position < 0] = Known.NO
            columns = np.zeros((len(values), len(self.levels)))
            columns[np.arange(len(values)), position] = 1.0
            columns[position < 0] = np.nan
            return columns[:, 1:], known
        numbers = np.asarray(values, dtype=np.float64)
        known[(numbers < self.low) | (numbers > self.high)] = Known.CLIPPED
        known[np.isnan(numbers)] = Known.NO
        return (np.clip(numbers, self.low, self.high) / self.unit)[:, None], known


@dataclass(frozen=True)
class OutcomeModel:
    """The model of one outcome, with p columns in the order of its factors.

    `centre`: (p,) float64, the value at which a column contributes 0: the mean of the cohort, or
    0 (the reference case) in the literature model. `coefficients`: (1 + p,) float64 log-odds,
    the intercept first. `covariance`: (1 + p, 1 + p) float64 of them. `baseline`: what the
    intercept stands for. `references`: one text a column, where its coefficient is from.
    """

    name: str
    horizon_days: float
    factors: tuple[Factor, ...]
    centre: Floats
    coefficients: Floats
    covariance: Floats
    baseline: str
    references: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [factor.name for factor in self.factors]
        p = len(self.labels)
        where = f"outcome {self.name}"
        _require(len(set(names)) == len(names), f"{where}: a factor is named twice")
        _require(self.centre.shape == (p,), f"{where}: centre must have {p} values")
        _require(
            self.coefficients.shape == (1 + p,), f"{where}: coefficients must have {1 + p} values"
        )
        _require(
            self.covariance.shape == (1 + p, 1 + p), f"{where}: covariance is not {1 + p} square"
        )
        _require(len(self.references) == p, f"{where}: references must have {p} texts")
        for array in (self.centre, self.coefficients, self.covariance):
            _require(bool(np.isfinite(array).all()), f"{where}: a value is not finite")
        _require(0 < self.horizon_days < np.inf, f"{where}: horizon {self.horizon_days} days")
        symmetric = np.allclose(self.covariance, self.covariance.T, rtol=1e-8, atol=1e-12)
        _require(bool(symmetric), f"{where}: covariance is not symmetric")
        least = float(np.linalg.eigvalsh(self.covariance).min())
        _require(least > -1e-9, f"{where}: covariance is not positive semidefinite")

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a column."""
        return tuple(label for factor in self.factors for label in factor.labels)


@dataclass(frozen=True)
class RiskModel:
    """Outcome models under one name.

    `kind`: "literature" or "fitted". `trained_on`: sha256 of the cohort file, "" if none.
    `notes`: what a reader must know (for the literature model: what was left out, and why).
    Raises `ModelError` where the parts do not fit together.
    """

    name: str
    kind: str
    outcomes: tuple[OutcomeModel, ...]
    trained_on: str = ""
    notes: tuple[str, ...] = ()
    schema: int = MODEL_SCHEMA

    def __post_init__(self) -> None:
        _require(
            self.schema == MODEL_SCHEMA,
            f"model {self.name!r} has schema {self.schema}, this program reads {MODEL_SCHEMA}; "
            "train or export it again with this version",
        )
        names = [outcome.name for outcome in self.outcomes]
        _require(bool(names), f"model {self.name!r} holds no outcome")
        _require(len(set(names)) == len(names), f"model {self.name!r} names an outcome twice")
        _require(self.kind in ("literature", "fitted"), f"model {self.name!r}: kind {self.kind!r}")

    def outcome(self, name: str) -> OutcomeModel:
        """The model of one outcome. Raises `ModelError` if it has none."""
        for outcome in self.outcomes:
            if outcome.name == name:
                return outcome
        held = ", ".join(outcome.name for outcome in self.outcomes)
        raise ModelError(f"model {self.name!r} has no outcome {name!r}; it has {held}")


@dataclass(frozen=True)
class Prediction:
    """Predictions of one outcome for n cases and f factors.

    `probability`, `low`, `high`: (n,) float64 in [0, 1], the cumulative incidence at the horizon
    with its 95 % interval (of the incidence of such cases, from the covariance of the
    coefficients, on the logit scale). `contributions`: (n, f) float64 log-odds; with `intercept`
    they sum to logit(probability). `known`: (n, f) int8 `Known`.
    """

    outcome: str
    horizon_days: float
    factors: tuple[str, ...]
    probability: Floats
    low: Floats
    high: Floats
    intercept: float
    contributions: Floats
    known: npt.NDArray[np.int8]


def design(
    factors: tuple[Factor, ...], columns: Columns, n_rows: int
) -> tuple[Floats, npt.NDArray[np.int8]]:
    """(n, p) float64 design matrix, NaN where a value is not known, and (n, f) int8 `Known`.

    `columns`: (n,) arrays by factor name; a factor without a column is not known in any row.
    """
    parts: list[Floats] = [np.empty((n_rows, 0))]
    known: list[npt.NDArray[np.int8]] = []
    for factor in factors:
        if factor.name in columns:
            part, state = factor.encode(columns[factor.name])
        else:
            part = np.full((n_rows, len(factor.labels)), np.nan)
            state = np.full(n_rows, Known.NO, dtype=np.int8)
        parts.append(part)
        known.append(state)
    states = np.stack(known, axis=1) if known else np.empty((n_rows, 0), dtype=np.int8)
    return np.concatenate(parts, axis=1), states


def centred(matrix: Floats, centre: Floats) -> Floats:
    """(n, 1 + p): a column of ones, then matrix - centre with 0 where a value is not known."""
    moved = np.where(np.isnan(matrix), 0.0, matrix - centre)
    return np.concatenate([np.ones((len(matrix), 1)), moved], axis=1)


def predict(model: OutcomeModel, columns: Columns, n_rows: int) -> Prediction:
    """Predict one outcome for n cases.

    `columns`: (n,) arrays by name of variable, float64 with NaN, or text with "" for unknown.
    What is not known contributes 0: for a fitted model that is the average of its cohort, for
    the literature model the reference case. `Prediction.known` says where that was so.
    """
    matrix, known = design(model.factors, columns, n_rows)
    x = centred(matrix, model.centre)
    score = x @ model.coefficients
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", x, model.covariance, x), 0.0))
    parts = x[:, 1:] * model.coefficients[1:]
    ends = np.cumsum([0] + [len(factor.labels) for factor in model.factors])
    contributions = np.empty((n_rows, len(model.factors)))
    for i in range(len(model.factors)):
        contributions[:, i] = parts[:, ends[i] : ends[i + 1]].sum(axis=1)
    return Prediction(
        model.name,
        model.horizon_days,
        tuple(factor.name for factor in model.factors),
        expit(score),
        expit(score - Z95 * error),
        expit(score + Z95 * error),
        float(model.coefficients[0]),
        contributions,
        known,
    )


def log_odds(effect_type: str, estimate: float, p0: float) -> float:
    """A published effect as a difference of log-odds at the horizon, where the baseline is p0.

    ======== ================================== ==========================================
    sHR, HR  p1 = 1 - (1 - p0) ** estimate      proportional subdistribution hazards
                                                (Fine and Gray 1999, JASA 94:496)
    RR       p1 = p0 * estimate                 needs p0 * estimate < 1
    OR       logit p1 = logit p0 + ln estimate  any p0
    ======== ================================== ==========================================

    A hazard ratio that is not said to be of the subdistribution (HR) is converted as one. That is
    exact without competing events. With them p1 is further from p0 than it should be: with constant
    hazards, p0 = 0.45, another 0.20 dead before the event and a cause-specific HR of 0.5 to 2, by
    at most 0.02 (tested).
    Raises `ModelError` outside 0 < p0 < 1, for an estimate that is not positive, and for an RR
    that leaves no p1 below 1.

    >>> round(log_odds("OR", 2.0, 0.3), 4), round(log_odds("sHR", 2.0, 0.3), 4)
    (0.6931, 0.8873)
    """
    _require(0 < p0 < 1, f"baseline incidence {p0} is not between 0 and 1")
    _require(0 < estimate < np.inf, f"effect {estimate} is not a positive number")
    if effect_type == "OR":
        return float(np.log(estimate))
    if effect_type in ("HR", "sHR"):
        p1 = -np.expm1(estimate * np.log1p(-p0))
    elif effect_type == "RR":
        p1 = p0 * estimate
        _require(p1 < 1, f"a relative risk of {estimate} takes a baseline of {p0} to {p1:.2f}")
    else:
        raise ModelError(f"effects of type {effect_type!r} cannot be converted to log-odds")
    return float(logit(p1) - logit(p0))


def log_odds_error(
    effect_type: str, low: float | None, high: float | None, p0: float, minimum: float = 0.0
) -> float:
    """Standard error of `log_odds`: its 95 % limits converted as the estimate, width / 3.92.

    Without both limits it is `MIN_SE_WITHOUT_INTERVAL`, and never below `minimum`.
    """
    if low is None or high is None:
        return max(minimum, MIN_SE_WITHOUT_INTERVAL)
    _require(low <= high, f"limits {low} and {high} are not in order")
    width = log_odds(effect_type, high, p0) - log_odds(effect_type, low, p0)
    return max(minimum, width / (2 * Z95))


def hazard_ratio(p_reference: float, p: float) -> float:
    """The subdistribution hazard ratio that takes incidence p_reference to p at any horizon.

    It carries a contrast of two incidences over to another baseline and, if the hazards are
    proportional, to another horizon: ln(1 - p) / ln(1 - p_reference).
    """
    _require(0 < p_reference < 1 and 0 < p < 1, "an incidence is not between 0 and 1")
    return float(np.log1p(-p) / np.log1p(-p_reference))


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ModelError(message)
