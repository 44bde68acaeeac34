"""Arrays of a cohort -> RiskModel, and how well a model predicts a cohort.

The outcome at the horizon is known for a patient whose first event (GVHD, or death before it)
came by then, or who was followed that far. These are weighted by the inverse probability of
not having been censored (Graf 1999, Stat Med 18:2529), the others have weight 0. The weighted
mean of the outcome is then the Aalen-Johansen incidence, to rounding. Censoring is taken to be
independent of the factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from matching.errors import CohortError
from matching.risk import (
    ENDPOINTS,
    VARIABLES,
    Columns,
    Endpoint,
    Factor,
    Floats,
    OutcomeModel,
    RiskModel,
    Variable,
    centred,
    design,
    predict,
)

CENSORED, EVENT, COMPETING, UNKNOWN = 0, 1, 2, -1
# Prior standard deviation of a log-odds: a level, or one unit (10 years) of a number. Odds ratios
# within 0.68 and 1.48, as most published ones are.
PRIOR_SD = 0.2
# A level of fewer patients has no coefficient of its own: its patients count as not known.
MIN_LEVEL = 25
FOLDS = 5
RESAMPLES = 500


@dataclass(frozen=True)
class Cohort:
    """n patients as arrays.

    `columns`: by name of variable, (n,) float64 with NaN, or (n,) text with "" for not known.
    `centre`: (n,) text, the unit of resampling and cross-validation. `status`: by endpoint, (n,)
    int8, 0 censored, 1 event, 2 died first without it, -1 not known. `days`: by endpoint, (n,)
    float64 >= 0, NaN where not known. `sha256`: of the file, "" if there is none.
    """

    name: str
    columns: Columns
    centre: npt.NDArray[np.str_]
    status: Mapping[str, npt.NDArray[np.int8]]
    days: Mapping[str, Floats]
    sha256: str = ""

    def __len__(self) -> int:
        return len(self.centre)


def ipcw_weights(days: Floats, status: npt.NDArray[np.int8], horizon: float) -> Floats:
    """(n,) float64 weights >= 0 that sum to n; 0 where the outcome at the horizon is not known.

    The weight is 1 / G, G the Kaplan-Meier probability of being uncensored just before the event
    or the horizon. At a tied time events come before censorings. Raises `CohortError` if nobody
    was followed to the horizon and the last ones are censored: the incidence is then not known.
    """
    known = (days >= horizon) | (status != CENSORED)
    at = np.minimum(days, horizon)
    times, position = np.unique(days, return_inverse=True)
    leaving = np.bincount(position, minlength=len(times))
    at_risk = leaving[::-1].cumsum()[::-1]
    censored = np.bincount(position, weights=status == CENSORED, minlength=len(times))
    events = leaving - censored
    exposed = np.maximum(at_risk - events, 1)
    survival = np.concatenate([[1.0], np.cumprod(1 - censored / exposed)])
    g = survival[np.searchsorted(times, at, side="left")]
    latest = days.max(initial=0.0)
    if (latest < horizon and ((status == CENSORED) & (days == latest)).any()) or len(days) == 0:
        raise CohortError(f"nobody was followed for {horizon:g} days")
    return np.where(known, 1 / np.where(known, g, 1.0), 0.0)


class GraftRiskClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression on a design matrix with NaN for what is not known.

    Two ways in: `fit` on data, or `from_outcome` with the parameters of a model, such as the
    literature's. Fitting maximises the weighted log-likelihood plus that of a normal prior (mean
    0, `prior_sd`) on each coefficient but the intercept.

    Fitted state: `classes_` = [0, 1], `centre_` (p,), `coefficients_` (1 + p,), `covariance_`
    (1 + p, 1 + p). The covariance is H^-1 (P + M) H^-1: H the penalised Hessian, P the precision
    of the prior, M the sum over groups of the outer products of their summed scores (clustered
    sandwich). Where the model holds and groups are single rows, M is the information and the
    whole is H^-1, the posterior's covariance. That weights were estimated is not counted.
    """

    def __init__(self, prior_sd: float = PRIOR_SD) -> None:
        self.prior_sd = prior_sd

    @classmethod
    def from_outcome(cls, outcome: OutcomeModel) -> GraftRiskClassifier:
        """A classifier in the fitted state of an outcome model."""
        classifier = cls()
        classifier.classes_ = np.array([0, 1])
        classifier.centre_ = outcome.centre
        classifier.coefficients_ = outcome.coefficients
        classifier.covariance_ = outcome.covariance
        return classifier

    def fit(
        self,
        X: Floats,  # noqa: N803
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> GraftRiskClassifier:
        """Fit X (n, p) float64 with NaN to y (n,) of 0 and 1; groups (n,) are clusters.

        Raises `CohortError` where y takes one value only among rows of positive weight.
        """
        x = np.asarray(X, dtype=np.float64)
        outcome = np.asarray(y, dtype=np.float64)
        n, p = x.shape
        weight = np.ones(n) if sample_weight is None else np.asarray(sample_weight, np.float64)
        if not np.isin(outcome, (0.0, 1.0)).all():
            raise CohortError("an outcome must be 0 or 1")
        used = weight > 0
        if len(np.unique(outcome[used])) < 2:
            raise CohortError(f"the outcome is the same for all {int(used.sum())} patients")
        missing = np.isnan(x)
        if missing[used].all(axis=0).any():
            raise CohortError("a column holds no known value")
        self.classes_ = np.array([0, 1])
        shares = np.where(missing, 0.0, weight[:, None])
        self.centre_: Floats = (shares * np.where(missing, 0.0, x)).sum(axis=0) / shares.sum(axis=0)
        z = centred(x, self.centre_)
        if p:
            solver = LogisticRegression(
                C=self.prior_sd**2, solver="newton-cholesky", tol=1e-8, max_iter=200
            )
            solver.fit(z[used, 1:], outcome[used], sample_weight=weight[used])
            self.coefficients_: Floats = np.concatenate([solver.intercept_, solver.coef_[0]])
        else:
            self.coefficients_ = np.array([logit(np.average(outcome, weights=weight))])
        fitted = expit(z @ self.coefficients_)
        prior = np.diag(np.r_[0.0, np.full(p, self.prior_sd**-2.0)])
        hessian = (z * (weight * fitted * (1 - fitted))[:, None]).T @ z + prior
        scores = z * (weight * (outcome - fitted))[:, None]
        if groups is not None:
            cluster = np.unique(np.asarray(groups), return_inverse=True)[1]
            summed = np.zeros((cluster.max() + 1, 1 + p))
            np.add.at(summed, cluster, scores)
            scores = summed
        inverse = np.linalg.inv(hessian)
        covariance = inverse @ (prior + scores.T @ scores) @ inverse
        self.covariance_: Floats = (covariance + covariance.T) / 2
        return self

    def predict_proba(self, X: Floats) -> Floats:  # noqa: N803
        """(n, 2) float64: probabilities of 0 and of 1."""
        x = centred(np.asarray(X, dtype=np.float64), self.centre_)
        p = expit(x @ self.coefficients_)
        return np.stack([1 - p, p], axis=1)

    def predict(self, X: Floats) -> npt.NDArray[np.int64]:  # noqa: N803
        """(n,) of 0 and 1: whether the probability is above one half."""
        return (self.predict_proba(X)[:, 1] > 0.5).astype(np.int64)


def train(cohort: Cohort, name: str) -> RiskModel:
    """Fit every endpoint that the cohort holds, on every variable that varies in it.

    Raises `CohortError` if an endpoint never or always happens, or none is held.
    """
    held = [endpoint for endpoint in ENDPOINTS if endpoint.name in cohort.status]
    if not held:
        raise CohortError(f"cohort {cohort.name} holds none of the outcomes to train on")
    rows = np.arange(len(cohort))
    outcomes = tuple(fit_outcome(cohort, endpoint, rows) for endpoint in held)
    notes = (
        f"Fitted on {len(cohort)} patients of {len(np.unique(cohort.centre))} centres; logistic "
        f"at the horizon, inverse-probability-of-censoring weights, prior sd {PRIOR_SD}.",
        "The intercept is the average patient of the cohort; contributions are relative to it.",
    )
    return RiskModel(name, "fitted", outcomes, cohort.sha256, notes)


def fit_outcome(cohort: Cohort, endpoint: Endpoint, rows: npt.NDArray[np.int64]) -> OutcomeModel:
    """Fit one endpoint on some rows of the cohort."""
    status, days = cohort.status[endpoint.name][rows], cohort.days[endpoint.name][rows]
    rows = rows[status != UNKNOWN]
    days, status = days[status != UNKNOWN], status[status != UNKNOWN]
    try:
        weight = ipcw_weights(days, status, endpoint.horizon_days)
        y = (status == EVENT) & (days <= endpoint.horizon_days)
        columns = {key: values[rows] for key, values in cohort.columns.items()}
        found = (_factor(variable, columns, weight > 0) for variable in VARIABLES)
        factors = tuple(factor for factor in found if factor is not None)
        matrix, _ = design(factors, columns, len(rows))
        classifier = GraftRiskClassifier().fit(matrix, y, weight, cohort.centre[rows])
    except CohortError as error:
        raise CohortError(f"cohort {cohort.name}, {endpoint.text}: {error}") from error
    references = tuple(cohort.name for factor in factors for _ in factor.labels)
    baseline = f"the average of {len(rows)} patients of {cohort.name}, {int(y.sum())} events"
    return OutcomeModel(
        endpoint.name,
        endpoint.horizon_days,
        factors,
        classifier.centre_,
        classifier.coefficients_,
        classifier.covariance_,
        baseline,
        references,
    )


def _factor(variable: Variable, columns: Columns, used: npt.NDArray[np.bool_]) -> Factor | None:
    """The factor that a variable becomes in this cohort, its commonest level the reference."""
    if variable.name not in columns:
        return None
    values = columns[variable.name][used]
    if not variable.levels:
        known = values[~np.isnan(values)]
        if len(known) < MIN_LEVEL or known.min() == known.max():
            return None
        low, high = float(known.min()), float(known.max())
        return Factor(variable.name, unit=variable.unit, low=low, high=high)
    counts = {level: int((values == level).sum()) for level in variable.levels}
    levels = [level for level in variable.levels if counts[level] >= MIN_LEVEL]
    if len(levels) < 2:
        return None
    levels.sort(key=lambda level: -counts[level])
    return Factor(variable.name, tuple((level,) for level in levels))


@dataclass(frozen=True)
class Score:
    """One measure of a prediction with its 95 % interval (NaN where it cannot be computed)."""

    measure: str
    estimate: float
    low: float
    high: float


@dataclass(frozen=True)
class Evaluation:
    """How well one outcome was predicted; `how` says on which data.

    `n` patients were used, `n_unknown` had no outcome; by the horizon `n_events` had the event,
    `n_competing` had died without it and `n_censored` had left (their weight is 0).
    """

    outcome: str
    horizon_days: float
    how: str
    n: int
    n_unknown: int
    n_events: int
    n_competing: int
    n_censored: int
    scores: tuple[Score, ...]


def evaluate(
    cohort: Cohort, model: RiskModel, seed: int, resamples: int = RESAMPLES
) -> tuple[Evaluation, ...]:
    """How well a model as it is predicts a cohort, one result an outcome that both hold.

    Raises `CohortError` if they share no outcome.
    """
    how = f"model {model.name}, not fitted on this file"
    if cohort.sha256 and model.trained_on == cohort.sha256:
        how = f"model {model.name} on the file it was fitted on: optimistic, use cross-validation"
    shared = [outcome for outcome in model.outcomes if outcome.name in cohort.status]
    if not shared:
        raise CohortError(f"cohort {cohort.name} holds no outcome of model {model.name}")
    results = []
    for outcome in shared:
        p = predict(outcome, cohort.columns, len(cohort)).probability
        endpoint = Endpoint(outcome.name, outcome.name, outcome.horizon_days)
        results.append(_evaluation(cohort, endpoint, p, how, seed, resamples))
    return tuple(results)


def cross_validate(
    cohort: Cohort, seed: int, folds: int = FOLDS, resamples: int = RESAMPLES
) -> tuple[Evaluation, ...]:
    """How well `train` predicts centres it has not seen: K-fold, whole centres in one fold.

    The predictions of all folds are pooled before they are scored. Raises `CohortError` with
    fewer centres than folds, or if an outcome is constant in the centres of a training fold.
    """
    held = [endpoint for endpoint in ENDPOINTS if endpoint.name in cohort.status]
    if not held:
        raise CohortError(f"cohort {cohort.name} holds none of the outcomes to train on")
    fold = group_folds(cohort.centre, folds, seed)
    how = f"{folds}-fold cross-validation by centre, seed {seed}"
    results = []
    for endpoint in held:
        p = np.empty(len(cohort))
        for k in range(folds):
            test = np.flatnonzero(fold == k)
            model = fit_outcome(cohort, endpoint, np.flatnonzero(fold != k))
            columns = {key: values[test] for key, values in cohort.columns.items()}
            p[test] = predict(model, columns, len(test)).probability
        results.append(_evaluation(cohort, endpoint, p, how, seed, resamples))
    return tuple(results)


def group_folds(groups: npt.NDArray[Any], folds: int, seed: int) -> npt.NDArray[np.int64]:
    """(n,) fold of each row, 0 to folds - 1: groups whole, in random order to the smallest fold."""
    names, position, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if folds < 2 or len(names) < folds:
        raise CohortError(f"{len(names)} centres cannot be split into {folds} folds")
    sizes = np.zeros(folds, dtype=np.int64)
    fold = np.empty(len(names), dtype=np.int64)
    for group in np.random.default_rng(seed).permutation(len(names)):
        fold[group] = sizes.argmin()
        sizes[fold[group]] += counts[group]
    return fold[position]


def _evaluation(
    cohort: Cohort, endpoint: Endpoint, p: Floats, how: str, seed: int, resamples: int
) -> Evaluation:
    """Score predictions; intervals by resampling whole centres, weights as in the whole."""
    status, days = cohort.status[endpoint.name], cohort.days[endpoint.name]
    kept = status != UNKNOWN
    status, days, p = status[kept], days[kept], p[kept]
    by = days <= endpoint.horizon_days
    try:
        weight = ipcw_weights(days, status, endpoint.horizon_days)
    except CohortError as error:
        raise CohortError(f"cohort {cohort.name}, {endpoint.text}: {error}") from error
    y = ((status == EVENT) & by).astype(np.float64)
    if not 0 < y.sum() < (weight > 0).sum():
        raise CohortError(
            f"cohort {cohort.name}, {endpoint.text}: the outcome is the same for all patients"
        )
    group = np.unique(cohort.centre[kept], return_inverse=True)[1]
    n_groups = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    ties = np.unique(p, return_inverse=True)[1]
    estimate = _measures(y, p, ties, weight, np.ones(len(y)))
    drawn = np.empty((resamples, len(MEASURES)))
    for i in range(resamples):
        times = np.bincount(rng.integers(n_groups, size=n_groups), minlength=n_groups)
        drawn[i] = _measures(y, p, ties, weight, times[group].astype(np.float64))
    limits = np.full((2, len(MEASURES)), np.nan)
    for j in range(len(MEASURES)):
        column = drawn[np.isfinite(drawn[:, j]), j]
        if n_groups > 1 and len(column) > resamples / 2:
            limits[:, j] = np.quantile(column, (0.025, 0.975))
    scores = tuple(
        Score(name, float(estimate[j]), float(limits[0, j]), float(limits[1, j]))
        for j, name in enumerate(MEASURES)
    )
    return Evaluation(
        endpoint.name,
        endpoint.horizon_days,
        how,
        len(y),
        int((~kept).sum()),
        int(y.sum()),
        int(((status == COMPETING) & by).sum()),
        int((weight == 0).sum()),
        scores,
    )


MEASURES = (
    "AUC",
    "Brier",
    "Brier of the marginal rate",
    "calibration in the large",
    "calibration slope",
    "observed",
    "expected",
    "O/E",
)


def _measures(
    y: Floats, p: Floats, ties: npt.NDArray[np.int64], weight: Floats, times: Floats
) -> Floats:
    """`MEASURES` of rows taken `times` over.

    Observed is the weighted mean outcome (Aalen-Johansen), expected the plain mean of p over all
    patients, censored ones as well. AUC: cases have the event by the horizon, controls do not
    (free of it, or dead without it). Calibration in the large is the intercept with slope 1.
    """
    w = weight * times
    total = w.sum()
    observed, expected = float(w @ y / total), float(times @ p / times.sum())
    if not 0 < observed < 1:
        return np.full(len(MEASURES), np.nan)
    brier = float(w @ (y - p) ** 2 / total)
    score = logit(np.clip(p, 1e-9, 1 - 1e-9))
    intercept, _ = _logistic(np.zeros(len(y)), score, y, w)
    _, slope = _logistic(score, np.zeros(len(y)), y, w)
    marginal = observed * (1 - observed)
    auc = weighted_auc(y, ties, w)
    ratio = observed / expected
    return np.array([auc, brier, marginal, intercept, slope, observed, expected, ratio])


def weighted_auc(y: Floats, ties: npt.NDArray[np.int64], weight: Floats) -> float:
    """Probability that a case is ranked above a control, half for ties.

    `ties`: (n,) int64 rank of the prediction, equal for equal ones, from 0.
    """
    cases = np.bincount(ties, weights=weight * y)
    controls = np.bincount(ties, weights=weight * (1 - y))
    below = np.cumsum(controls) - controls
    pairs = cases.sum() * controls.sum()
    return float((cases @ (below + controls / 2)) / pairs) if pairs > 0 else float("nan")


def _logistic(x: Floats, offset: Floats, y: Floats, weight: Floats) -> tuple[float, float]:
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
            return float("nan"), float("nan")
        beta += step
        if np.abs(step).max() < 1e-9:
            return float(beta[0]), float("nan") if constant else float(beta[1])
    return float("nan"), float("nan")
