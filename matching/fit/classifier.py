"""Logistic regression with a normal prior, as an estimator of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from matching.risk import Floats, centred

STEPS = 100
TOLERANCE = 1e-9


def penalised(
    z: Floats, y: Floats, weight: Floats, mean: Floats, precision: Floats, start: Floats
) -> Floats:
    """Maximise the weighted log-likelihood plus that of independent normal priors, by Newton.

    z: (n, q) float64 without NaN; y: (n,) of 0 and 1; mean, precision (0: flat), start: (q,).
    Returns (q,). A step that does not raise the objective is halved.
    """
    beta = start.copy()
    eta = z @ beta
    value = _objective(eta, y, weight, beta, mean, precision)
    for _ in range(STEPS):
        fitted = expit(eta)
        gradient = z.T @ (weight * (y - fitted)) - precision * (beta - mean)
        hessian = (z * (weight * fitted * (1 - fitted))[:, None]).T @ z
        hessian[np.diag_indices_from(hessian)] += precision
        step = _solve(hessian, gradient)
        gained = float(gradient @ step)
        for _ in range(30):
            moved = beta + step
            eta = z @ moved
            found = _objective(eta, y, weight, moved, mean, precision)
            if found >= value - 1e-12 * abs(value):
                break
            step = step / 2
        beta, value = moved, found
        if gained < TOLERANCE * max(1.0, abs(value)) * 1e-3 or np.abs(step).max() < TOLERANCE:
            break
    return beta


def _objective(
    eta: Floats, y: Floats, weight: Floats, beta: Floats, mean: Floats, precision: Floats
) -> float:
    likelihood = weight @ (y * eta - np.logaddexp(0.0, eta))
    return float(likelihood - (precision * (beta - mean) ** 2).sum() / 2)


def _solve(hessian: Floats, gradient: Floats) -> Floats:
    try:
        return np.asarray(np.linalg.solve(hessian, gradient))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.lstsq(hessian, gradient, rcond=None)[0])


class GraftRiskClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Logistic regression on a design matrix with NaN for what is not known.

    The coefficient of column j has a normal prior with mean `prior_mean[j]` (default 0) and
    standard deviation `prior_sd[j]` / sqrt(`strength`); both may be one number for all. A
    `strength` of 0 makes all of these flat. The intercept has a prior of its own, flat by default.
    Columns are centred at their weighted mean and what is not known counts as the mean.

    Fitted state: `classes_` (2,), `centre_` (p,), `coefficients_` (1 + p,), `covariance_`
    (1 + p, 1 + p). The covariance is H^-1 (P + M) H^-1: H the penalised Hessian, P the precision
    of the prior, M the sum over groups of the outer products of their summed scores (clustered
    sandwich). Where the model holds and groups are single rows, M is the information and the
    whole is H^-1, Laplace's covariance of the posterior. That weights were estimated is not
    counted.
    """

    def __init__(
        self,
        prior_mean: Any = None,
        prior_sd: Any = 1.0,
        strength: float = 1.0,
        intercept_mean: float = 0.0,
        intercept_sd: float = float("inf"),
    ) -> None:
        self.prior_mean = prior_mean
        self.prior_sd = prior_sd
        self.strength = strength
        self.intercept_mean = intercept_mean
        self.intercept_sd = intercept_sd

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.classifier_tags.multi_class = False
        return tags

    def fit(
        self,
        X: npt.ArrayLike,  # noqa: N803
        y: npt.ArrayLike,
        sample_weight: npt.ArrayLike | None = None,
        groups: npt.ArrayLike | None = None,
    ) -> GraftRiskClassifier:
        """Fit X (n, p) float64 with NaN to y (n,) of two labels; groups (n,) are clusters.

        Raises `ValueError` unless y takes two values among rows of positive weight.
        """
        x, labels = validate_data(
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", estimator=self
        )
        check_classification_targets(labels)
        weight = _check_sample_weight(sample_weight, x, dtype=np.float64, ensure_non_negative=True)
        used = weight > 0
        self.classes_ = np.unique(labels[used])
        if len(self.classes_) > 2:
            raise ValueError(
                f"Only binary classification is supported. {len(self.classes_)} classes were given"
            )
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't train: one class for all {int(used.sum())} rows")
        outcome = (labels == self.classes_[1]).astype(np.float64)
        missing = np.isnan(x)
        shares = np.where(missing, 0.0, weight[:, None])
        total = shares.sum(axis=0)
        self.centre_: Floats = (shares * np.where(missing, 0.0, x)).sum(axis=0) / np.where(
            total > 0, total, 1.0
        )
        z = centred(x, self.centre_)
        mean, precision = self._prior(x.shape[1])
        start = mean.copy()
        start[0] = logit(np.average(outcome, weights=weight))
        self.coefficients_: Floats = penalised(z, outcome, weight, mean, precision, start)
        fitted = expit(z @ self.coefficients_)
        prior = np.diag(precision)
        hessian = (z * (weight * fitted * (1 - fitted))[:, None]).T @ z + prior
        scores = z * (weight * (outcome - fitted))[:, None]
        if groups is not None:
            cluster = np.unique(np.asarray(groups), return_inverse=True)[1]
            summed = np.zeros((cluster.max() + 1, z.shape[1]))
            np.add.at(summed, cluster, scores)
            scores = summed
        inverse = np.linalg.pinv(hessian, hermitian=True)
        covariance = inverse @ (prior + scores.T @ scores) @ inverse
        self.covariance_: Floats = (covariance + covariance.T) / 2
        return self

    def _prior(self, p: int) -> tuple[Floats, Floats]:
        """Mean and precision of all coefficients, the intercept first."""
        mean, precision = np.empty(1 + p), np.empty(1 + p)
        mean[0], precision[0] = self.intercept_mean, self.intercept_sd**-2
        mean[1:] = 0.0 if self.prior_mean is None else self.prior_mean
        precision[1:] = self.strength / np.square(np.asarray(self.prior_sd, dtype=np.float64))
        return mean, precision

    def decision_function(self, X: npt.ArrayLike) -> Floats:  # noqa: N803
        """(n,) float64: log-odds of the second class."""
        check_is_fitted(self)
        x = validate_data(self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False)
        return np.asarray(centred(x, self.centre_) @ self.coefficients_)

    def predict_proba(self, X: npt.ArrayLike) -> Floats:  # noqa: N803
        """(n, 2) float64: probabilities of the classes."""
        p = expit(self.decision_function(X))
        return np.stack([1 - p, p], axis=1)

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:  # noqa: N803
        """(n,) the likelier class."""
        above = self.decision_function(X) > 0
        return np.asarray(self.classes_[above.astype(np.int64)])
