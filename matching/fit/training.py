"""A cohort -> `RiskModel`: the prior's strength by nested cross-validation, then the fit."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits

from matching.errors import CohortError
from matching.fit.censoring import ipcw_weights
from matching.fit.classifier import GraftRiskClassifier, penalised
from matching.fit.cohort import EVENT, UNKNOWN, Cohort, Rows
from matching.fit.folds import group_folds
from matching.fit.prior import Prior, factors_of, prior_of
from matching.risk import (
    OUTCOMES,
    Factor,
    Floats,
    Outcome,
    OutcomeModel,
    RiskModel,
    applicable,
    centred,
    design,
    predict,
)

Strength = tuple[float, float]
"""Precision of the prior as a multiple of the stated one: of the effects that the literature has,
and of those that it has not."""
STRENGTHS: tuple[Strength, ...] = tuple(itertools.product((1.0, 3.0, 10.0), (200.0, 400.0)))
"""What nested validation chooses among. Published standard errors are taken as they are, or as
too wide; the factors without a published effect together explain little: p columns with a strength
s give the log-odds a variance of p / s. A wider choice is a noisier one: with 200 patients
validation cannot tell the strengths apart, and the more it may choose the more it loses."""
INNER_FOLDS = 5
MIN_EVENTS = 10


@dataclass(frozen=True)
class Material:
    """What one outcome is fitted on: n patients whose outcome is not unknown.

    `y`: (n,) float64 of 0 and 1; `weight`: (n,) float64, 0 where censored before the horizon;
    `matrix`: (n, p) with NaN; `spread`: (p,) standard deviation of the columns. `published`: (n,)
    log-odds by the literature model, `published_sd` the standard error of its baseline, infinite
    without one.
    """

    rows: Rows
    y: Floats
    weight: Floats
    group: npt.NDArray[np.str_]
    factors: tuple[Factor, ...]
    matrix: Floats
    spread: Floats
    published: Floats
    published_sd: float

    def expected(self, rows: npt.NDArray[np.bool_]) -> float:
        """The literature's log-odds of the average of some rows: the mean of the intercept's prior,
        as columns are centred."""
        return float(np.average(self.published[rows], weights=self.weight[rows]))


def material(
    cohort: Cohort, outcome: Outcome, rows: Rows, literature: OutcomeModel | None
) -> Material:
    """Raises `CohortError` with fewer than ten events or ten patients without one."""
    status, days = cohort.status[outcome.name][rows], cohort.days[outcome.name][rows]
    fits = (status != UNKNOWN) & applicable(outcome.name, cohort.columns, len(cohort))[rows]
    rows, days, status = rows[fits], days[fits], status[fits]
    where = f"cohort {cohort.name}, {outcome.text}"
    try:
        weight = ipcw_weights(days, status, outcome.horizon_days)
    except CohortError as error:
        raise CohortError(f"{where}: {error}") from error
    y = ((status == EVENT) & (days <= outcome.horizon_days)).astype(np.float64)
    used = weight > 0
    events = int(y.sum())
    for count, what in ((events, "with"), (int(used.sum()) - events, "without")):
        if count == 0:
            raise CohortError(f"{where}: the outcome is the same for all {len(y)} patients")
        if count < MIN_EVENTS:
            raise CohortError(
                f"{where}: {count} patients {what} the event by day {outcome.horizon_days:g}, "
                f"a model needs {MIN_EVENTS}; add patients or leave the outcome out"
            )
    columns = {key: values[rows] for key, values in cohort.columns.items()}
    factors = factors_of(columns, used, literature)
    matrix, _ = design(factors, columns, len(rows))
    published, published_sd = np.zeros(len(rows)), np.inf
    if literature is not None:
        theirs, _ = design(literature.factors, columns, len(rows))
        published = centred(theirs, literature.centre) @ literature.coefficients
        published_sd = float(np.sqrt(literature.covariance[0, 0]))
    return Material(
        rows,
        y,
        weight,
        cohort.centre[rows],
        factors,
        matrix,
        _spread(matrix, weight),
        published,
        published_sd,
    )


def _spread(matrix: Floats, weight: Floats) -> Floats:
    """(p,) weighted standard deviation of the known values of each column."""
    shares = np.where(np.isnan(matrix), 0.0, weight[:, None])
    total = np.maximum(shares.sum(axis=0), 1e-300)
    values = np.where(np.isnan(matrix), 0.0, matrix)
    mean = (shares * values).sum(axis=0) / total
    return np.asarray(np.sqrt((shares * (values - mean) ** 2).sum(axis=0) / total))


def log_losses(p: Floats, y: Floats) -> Floats:
    """(n,) minus log-likelihood of each outcome, p kept within 1e-9 of 0 and 1."""
    p = np.clip(p, 1e-9, 1 - 1e-9)
    return np.asarray(-(y * np.log(p) + (1 - y) * np.log1p(-p)))


def strengthened(prior: Prior, strength: Strength) -> Floats:
    """(p,) precision of each coefficient."""
    return np.asarray(np.where(prior.informed, *strength) / prior.sd**2)


def choose_strength(found: Material, prior: Prior, seed: int) -> Strength:
    """The strongest whose log loss over inner folds is within one standard error of the least.

    Folds hold whole centres; the loss is weighted, and the standard error is that of its difference
    to the least, over centres (Breiman 1984, Classification and Regression Trees, 3.4.3).
    """
    fold = group_folds(found.group, INNER_FOLDS, seed)
    loss = np.zeros((len(STRENGTHS), len(found.y)))
    for k in range(fold.max() + 1):
        train, test = fold != k, fold == k
        y, weight = found.y[train], found.weight[train]
        if not 0 < weight @ y < weight.sum():
            continue
        shares = np.where(np.isnan(found.matrix[train]), 0.0, weight[:, None])
        total = shares.sum(axis=0)
        centre = (shares * np.where(shares > 0, found.matrix[train], 0.0)).sum(axis=0)
        centre /= np.where(total > 0, total, 1.0)
        z, unseen = centred(found.matrix[train], centre), centred(found.matrix[test], centre)
        mean = np.r_[found.expected(train), prior.mean]
        beta = mean.copy()
        beta[0] = logit(weight @ y / weight.sum())
        for i in reversed(range(len(STRENGTHS))):
            precision = np.r_[found.published_sd**-2, strengthened(prior, STRENGTHS[i])]
            beta = penalised(z, y, weight, mean, precision, beta)
            loss[i, test] = found.weight[test] * log_losses(expit(unseen @ beta), found.y[test])
    centres, position = np.unique(found.group, return_inverse=True)
    by_centre = np.stack([np.bincount(position, row, len(centres)) for row in loss])
    apart = by_centre - by_centre[by_centre.sum(axis=1).argmin()]
    error = apart.std(axis=1, ddof=1) * np.sqrt(len(centres))
    near = np.flatnonzero(apart.sum(axis=1) <= error)
    return max((STRENGTHS[i] for i in near), key=lambda strength: strength[0] * strength[1])


@dataclass(frozen=True)
class Fitted:
    """A fitted outcome model and the strength of its prior."""

    model: OutcomeModel
    strength: Strength


def fit_outcome(
    cohort: Cohort,
    outcome: Outcome,
    rows: Rows,
    literature: OutcomeModel | None,
    seed: int,
    strength: Strength | None = None,
    centred_on_literature: bool = True,
) -> Fitted:
    """Fit one outcome on some rows of the cohort.

    `strength`: of the prior; chosen by nested cross-validation if None, (0, 0) for no prior at all.
    Without `centred_on_literature` the effects have means of 0; all else is the same.
    """
    found = material(cohort, outcome, rows, literature)
    prior = prior_of(found.factors, found.spread, literature)
    if not centred_on_literature:
        prior = Prior(np.zeros_like(prior.mean), prior.sd, prior.informed)
    if strength is None:
        strength = choose_strength(found, prior, seed)
    if found.factors:
        precision = strengthened(prior, strength)
        sd = np.full(len(precision), np.inf)
        np.divide(1.0, np.sqrt(precision), out=sd, where=precision > 0)
        everyone = np.ones(len(found.y), dtype=bool)
        classifier = GraftRiskClassifier(
            prior.mean,
            sd,
            intercept_mean=found.expected(everyone),
            intercept_sd=found.published_sd if any(strength) else np.inf,
        )
        classifier.fit(found.matrix, found.y, found.weight, found.group)
        centre, beta, covariance = (
            classifier.centre_,
            classifier.coefficients_,
            classifier.covariance_,
        )
    else:
        p = float(np.average(found.y, weights=found.weight))
        residual = found.weight * (found.y - p)
        information = float(found.weight.sum() * p * (1 - p))
        centre, beta = np.empty(0), np.array([logit(p)])
        covariance = np.array([[float(residual @ residual) / information**2]])
    references = tuple(
        f"{cohort.name}; prior "
        + (f"from the literature, strength {strength[0]:g}" if informed else f"0, {strength[1]:g}")
        for informed in prior.informed
    )
    baseline = (
        f"the average of {len(found.rows)} patients of {cohort.name}, {int(found.y.sum())} events"
    )
    model = OutcomeModel(
        outcome.name,
        outcome.horizon_days,
        found.factors,
        centre,
        found.spread,
        beta,
        covariance,
        baseline,
        references,
    )
    return Fitted(model, strength)


def literature_for(literature: RiskModel | None, outcome: Outcome) -> OutcomeModel | None:
    """The literature's model of an outcome, None where there is none."""
    held = () if literature is None else literature.outcomes
    return next((model for model in held if model.name == outcome.name), None)


def outcomes_of(cohort: Cohort, names: tuple[str, ...] = ()) -> tuple[Outcome, ...]:
    """The outcomes that a cohort holds, or those that are asked for. Raises `CohortError`."""
    held = tuple(outcome for outcome in OUTCOMES if outcome.name in cohort.status)
    lacking = sorted(set(names) - {outcome.name for outcome in held})
    if lacking or not held:
        has = ", ".join(outcome.name for outcome in held) or "none"
        wanted = ", ".join(lacking) or "an outcome"
        raise CohortError(f"cohort {cohort.name} does not hold {wanted}; it holds {has}")
    return tuple(outcome for outcome in held if not names or outcome.name in names)


def train(
    cohort: Cohort,
    name: str,
    literature: RiskModel | None,
    seed: int,
    outcomes: tuple[str, ...] = (),
) -> RiskModel:
    """Fit the outcomes that are asked for, or all that the cohort holds.

    Raises `CohortError` with fewer than ten events, or if no outcome is held.
    """
    rows = np.arange(len(cohort))
    fitted = [
        fit_outcome(cohort, outcome, rows, literature_for(literature, outcome), seed)
        for outcome in outcomes_of(cohort, outcomes)
    ]
    strengths = ", ".join(
        f"{one.model.name} {one.strength[0]:g} and {one.strength[1]:g}" for one in fitted
    )
    notes = (
        f"Fitted on {len(cohort)} patients of {len(np.unique(cohort.centre))} centres; logistic at "
        "the horizon, inverse-probability-of-censoring weights, normal prior centred on the "
        "literature model with its standard errors; strength of the prior, where the literature "
        f"has an effect and elsewhere: {strengths}.",
        "The intercept is the average patient of the cohort; contributions are relative to it.",
    )
    return RiskModel(name, "fitted", tuple(f.model for f in fitted), cohort.sha256, notes)


Learner = Callable[[Cohort, Outcome, Rows, int], Callable[[Rows], Floats]]
"""Cohort, outcome, rows to train on, seed -> predicted probabilities of other rows."""


def with_prior(
    literature: RiskModel | None,
    strength: Strength | None = None,
    centred_on_literature: bool = True,
) -> Learner:
    """`fit_outcome` as a learner."""

    def learn(cohort: Cohort, outcome: Outcome, rows: Rows, seed: int) -> Callable[[Rows], Floats]:
        fitted = fit_outcome(
            cohort,
            outcome,
            rows,
            literature_for(literature, outcome),
            seed,
            strength,
            centred_on_literature,
        )

        def probability(asked: Rows) -> Floats:
            columns = {key: values[asked] for key, values in cohort.columns.items()}
            return predict(fitted.model, columns, len(asked)).probability

        return probability

    return learn


def cross_predict(
    cohort: Cohort, outcome: Outcome, folds: int, seed: int, learner: Learner
) -> Floats:
    """(n,) probability of each patient by a model that has not seen the patient's centre.

    Folds are tasks of joblib, one after the other unless the caller sets another backend
    (`joblib.parallel_config`); the result is the same.
    """
    fold = group_folds(cohort.centre, folds, seed)
    tests = [np.flatnonzero(fold == k) for k in range(fold.max() + 1)]

    def predicted(test: Rows) -> Floats:
        train = np.delete(np.arange(len(cohort)), test)
        # The last digits of a sum depend on how many threads share it.
        with threadpool_limits(limits=1):
            return learner(cohort, outcome, train, seed)(test)

    p = np.empty(len(cohort))
    p[np.concatenate(tests)] = np.concatenate(Parallel()(map(delayed(predicted), tests)))
    return p
