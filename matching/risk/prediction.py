"""A risk model and cases -> cumulative incidence, its interval and what each factor adds.

The estimand is the cumulative incidence at a horizon: the probability that the event has
happened by then, with the competing event as what it is. It is never 1 - Kaplan-Meier.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from matching.risk.effects import Z95
from matching.risk.model import (
    Coded,
    CodedColumns,
    Columns,
    Floats,
    Known,
    OutcomeModel,
    centred,
    design,
)
from matching.risk.outcomes import outcome_named
from matching.risk.variables import AUTOLOGOUS, VARIABLES

# Gauss-Hermite nodes for the mean of a probability over a normal log-odds.
NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(9)
SHARES: Floats = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Prediction:
    """Predictions of one outcome for n cases and f factors.

    `probability`, `low`, `high`: (n,) float64 in [0, 1], the cumulative incidence at the horizon
    with its 95 % interval (of the incidence of such cases, from the covariance of the
    coefficients, on the logit scale); NaN where not `applicable`, (n,) bool: GVHD after an
    autologous transplant. `contributions`: (n, f) float64 log-odds; with `intercept` they sum to
    logit(probability). `known`: (n, f) int8 `Known`.
    """

    outcome: str
    horizon_days: float
    factors: tuple[str, ...]
    probability: Floats
    low: Floats
    high: Floats
    applicable: npt.NDArray[np.bool_]
    intercept: float
    contributions: Floats
    known: npt.NDArray[np.int8]


def averaged(score: Floats, variance: Floats) -> Floats:
    """Mean of expit over a normal log-odds: (n,) mean and (n,) variance -> (n,) in (0, 1).

    A sum of several factors that are not known is close to normal; with 9 nodes the integral is
    exact to 2e-6 up to a variance of 1.
    """
    found = np.asarray(expit(score), dtype=np.float64)
    rows = np.flatnonzero(variance > 0)
    if len(rows):
        nodes = score[rows, None] + np.sqrt(variance[rows, None]) * NODES
        found[rows] = expit(nodes) @ SHARES
    return found


def predict(model: OutcomeModel, columns: CodedColumns, n_rows: int) -> Prediction:
    """Predict one outcome for n cases.

    `columns`: (n,) arrays by name of variable, float64 with NaN, or text with "" for unknown, also
    as `Coded`.
    A factor that is not known is averaged over its distribution in the model's cohort, apart from
    the other factors; in the literature model, which has no cohort, it is at its reference.
    `Prediction.known` says where that was so. What averaging adds to the log-odds is given to the
    factors that it is due to, in proportion to their variance.
    """
    matrix, known = design(model.factors, columns, n_rows)
    x = centred(matrix, model.centre)
    score = x @ model.coefficients
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", x, model.covariance, x), 0.0))
    unknown = np.isin(known, (Known.NO, Known.UNSEEN)) * model.unknown_variance
    variance = unknown.sum(axis=1)
    probability = averaged(score, variance)
    middle = np.where(variance > 0, logit(probability), score)
    parts = x[:, 1:] * model.coefficients[1:]
    ends = model.ends
    contributions = np.empty((n_rows, len(model.factors)))
    for i in range(len(model.factors)):
        contributions[:, i] = parts[:, ends[i] : ends[i + 1]].sum(axis=1)
    contributions += unknown * ((middle - score) / np.where(variance > 0, variance, 1.0))[:, None]
    fits = applicable(model.name, columns, n_rows)
    return Prediction(
        model.name,
        model.horizon_days,
        tuple(factor.name for factor in model.factors),
        np.where(fits, probability, np.nan),
        np.where(fits, expit(middle - Z95 * error), np.nan),
        np.where(fits, expit(middle + Z95 * error), np.nan),
        fits,
        float(model.coefficients[0]),
        contributions,
        known,
    )


def applicable(outcome: str, columns: CodedColumns, n_rows: int) -> npt.NDArray[np.bool_]:
    """(n,) bool: whether the outcome can happen; GVHD cannot after an autologous transplant."""
    if not outcome_named(outcome).allogeneic or "donor_type" not in columns:
        return np.ones(n_rows, dtype=bool)
    donors = columns["donor_type"]
    if isinstance(donors, Coded):
        # The last one is what code -1 finds.
        return np.array([*(level != AUTOLOGOUS for level in donors.levels), True])[donors.codes]
    return np.asarray(donors != AUTOLOGOUS, dtype=bool)


def what_if(
    model: OutcomeModel, columns: Columns, n_rows: int, variable: str
) -> dict[str, Prediction]:
    """Predictions as if a factor that is not known were each of its levels in turn.

    By level of the variable that the model holds an effect for (its reference among them), the
    rows of `columns` with that level. Empty where the model does not hold the factor. For DPB1:
    `what_if(model, columns, n, "dpb1_tce")`.
    """
    levels = next((v.levels for v in VARIABLES if v.name == variable), ())
    held = {
        level
        for factor in model.factors
        if factor.name == variable
        for group in factor.levels
        for level in group
    }
    found = {}
    for level in levels:
        if level in held:
            asked = np.full(n_rows, level, dtype=object)
            found[level] = predict(model, {**columns, variable: asked}, n_rows)
    return found
