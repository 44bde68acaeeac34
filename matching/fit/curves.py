"""What the plots of an evaluation show, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matching.fit.censoring import ipcw_weights
from matching.fit.cohort import EVENT, UNKNOWN, Cohort
from matching.risk import Floats, Outcome, applicable

BINS = 10
RISK_GROUPS = 3
STEPS = 100


@dataclass(frozen=True)
class Curves:
    """Of one outcome and one set of predictions.

    `calibration`: (b, 2) mean prediction and observed incidence of groups of equal size. `roc`:
    (k, 2) false and true positive rates, rising. `decision`: (t, 3) threshold, net benefit of the
    model and of treating all (Vickers 2006, Med Decis Making 26:565). `incidence`: (g, days, 2)
    day and Aalen-Johansen incidence of the thirds of the predicted risk, lowest first.
    """

    calibration: Floats
    roc: Floats
    decision: Floats
    incidence: Floats


def curves(cohort: Cohort, outcome: Outcome, p: Floats) -> Curves:
    """Curves of predictions p (n,)."""
    status, days = cohort.status[outcome.name], cohort.days[outcome.name]
    kept = (status != UNKNOWN) & applicable(outcome.name, cohort.columns, len(cohort))
    status, days, p = status[kept], days[kept], p[kept]
    weight = ipcw_weights(days, status, outcome.horizon_days)
    y = ((status == EVENT) & (days <= outcome.horizon_days)).astype(np.float64)
    order = np.argsort(p, kind="stable")
    groups = [part for part in np.array_split(order, BINS) if weight[part].sum() > 0]
    calibration = np.array([[p[g].mean(), weight[g] @ y[g] / weight[g].sum()] for g in groups])
    cases, controls = weight * y, weight * (1 - y)
    thresholds = np.r_[np.inf, np.unique(p)[::-1]]
    above = [p >= threshold for threshold in thresholds[:: max(len(thresholds) // STEPS, 1)]]
    roc = np.array(
        [[controls[a].sum() / controls.sum(), cases[a].sum() / cases.sum()] for a in above]
        + [[1.0, 1.0]]
    )
    total = weight.sum()
    decision = []
    for threshold in np.linspace(0.01, min(0.99, float(p.max())), STEPS):
        odds = threshold / (1 - threshold)
        chosen = p >= threshold
        model = (cases[chosen].sum() - odds * controls[chosen].sum()) / total
        decision.append([threshold, model, (cases.sum() - odds * controls.sum()) / total])
    at = np.linspace(0, outcome.horizon_days, STEPS)
    incidence = np.empty((RISK_GROUPS, STEPS, 2))
    for g, rows in enumerate(np.array_split(order, RISK_GROUPS)):
        happened = (status[rows] == EVENT)[:, None] & (days[rows][:, None] <= at)
        mine = ipcw_weights(days[rows], status[rows], outcome.horizon_days)
        # Weights at the horizon are those at an earlier event, so the sum is the incidence there.
        incidence[g, :, 0], incidence[g, :, 1] = at, mine @ happened / len(rows)
    return Curves(calibration, roc, np.array(decision), incidence)
