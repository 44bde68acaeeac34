"""How well a model predicts a cohort, as a whole and by sex, age group and ancestry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.errors import CohortError
from matching.fit.censoring import ipcw_weights
from matching.fit.cohort import COMPETING, EVENT, UNKNOWN, Cohort, Rows
from matching.fit.measures import MEASURES, MIN_UNITS, Cases, Scores, measures, scores
from matching.fit.training import Learner, cross_predict, outcomes_of
from matching.risk import Floats, Known, Outcome, RiskModel, applicable, predict

FOLDS = 10
RESAMPLES = 500
GROUP_RESAMPLES = 200
AGE_GROUPS = ((18.0, "below 18"), (40.0, "18-39"), (60.0, "40-59"), (np.inf, "60 and over"))


@dataclass(frozen=True)
class Evaluation:
    """How well one outcome was predicted; `how` says on which data.

    `n` patients were scored, `n_unknown` had no outcome; by the horizon `n_events` had the event,
    `n_competing` the competing one and `n_censored` had left (their weight is 0). `shift`: what
    recalibration added to the log-odds. `unseen`: by "factor: level", how many patients had a
    level that the model never saw. `by`: by kind of group and group.
    """

    outcome: str
    horizon_days: float
    how: str
    n: int
    n_unknown: int
    n_events: int
    n_competing: int
    n_censored: int
    scores: Scores
    shift: float = 0.0
    unseen: Mapping[str, int] = field(default_factory=dict)
    by: Mapping[str, Mapping[str, Evaluation]] = field(default_factory=dict)
    p: Floats = field(default_factory=lambda: np.empty(0), compare=False, repr=False)

    def __getitem__(self, measure: str) -> float:
        return self.scores.estimate[measure]

    def interval(self, measure: str) -> tuple[float, float]:
        """The 95 % interval of a measure."""
        return self.scores.low[measure], self.scores.high[measure]


def evaluate(
    cohort: Cohort,
    model: RiskModel,
    seed: int,
    resamples: int = RESAMPLES,
    recalibrate: bool = False,
    outcomes: tuple[str, ...] = (),
) -> tuple[Evaluation, ...]:
    """How well a model predicts a cohort, one result an outcome that both hold.

    `recalibrate`: the intercept is fitted on a seeded half of the patients and the other half is
    scored. Raises `CohortError` if they share no outcome.
    """
    how = f"model {model.name}, not fitted on this file"
    if cohort.sha256 and model.trained_on == cohort.sha256:
        how = f"model {model.name} on the file it was fitted on: optimistic, use cross-validation"
    if recalibrate:
        how += f"; intercept fitted on one half of the patients, scored on the other, seed {seed}"
    shared = [
        one
        for one in model.outcomes
        if one.name in cohort.status and (not outcomes or one.name in outcomes)
    ]
    if not shared:
        raise CohortError(f"cohort {cohort.name} holds no outcome of model {model.name}")
    results = []
    for one in shared:
        found = predict(one, cohort.columns, len(cohort))
        unseen = unseen_levels(cohort, found.factors, found.known)
        results.append(
            score_cohort(
                cohort, one.outcome, found.probability, how, seed, resamples, recalibrate, unseen
            )
        )
    return tuple(results)


def unseen_levels(
    cohort: Cohort, factors: tuple[str, ...], known: npt.NDArray[np.int8]
) -> dict[str, int]:
    """Patients by "factor: level" of the levels that a model holds no effect for."""
    found: dict[str, int] = {}
    for i, factor in enumerate(factors):
        rows = known[:, i] == Known.UNSEEN
        if rows.any():
            levels, counts = np.unique(cohort.columns[factor][rows].astype(str), return_counts=True)
            for level, count in zip(levels, counts, strict=True):
                found[f"{factor}: {level}"] = int(count)
    return found


def cross_validate(
    cohort: Cohort,
    seed: int,
    learner: Learner,
    folds: int = FOLDS,
    resamples: int = RESAMPLES,
    outcomes: tuple[str, ...] = (),
) -> tuple[Evaluation, ...]:
    """How well a learner predicts centres it has not seen: K-fold, whole centres in one fold.

    Whatever the learner chooses it chooses within a training fold. The predictions of all folds
    are pooled before they are scored. Raises `CohortError` with fewer than two centres, or if an
    outcome cannot be fitted in a training fold.
    """
    how = f"{folds}-fold cross-validation by centre, seed {seed}"
    results = []
    for outcome in outcomes_of(cohort, outcomes):
        p = cross_predict(cohort, outcome, folds, seed, learner)
        results.append(score_cohort(cohort, outcome, p, how, seed, resamples))
    return tuple(results)


def score_cohort(
    cohort: Cohort,
    outcome: Outcome,
    p: Floats,
    how: str,
    seed: int,
    resamples: int,
    recalibrate: bool = False,
    unseen: Mapping[str, int] | None = None,
) -> Evaluation:
    """Score predictions (n,); intervals by resampling whole centres, weights as in the whole.

    With fewer than 30 centres patients are resampled. Raises `CohortError` for an outcome that
    nobody or everybody has.
    """
    status, days = cohort.status[outcome.name], cohort.days[outcome.name]
    kept = (status != UNKNOWN) & applicable(outcome.name, cohort.columns, len(cohort))
    rows = np.flatnonzero(kept)
    where = f"cohort {cohort.name}, {outcome.text}"
    try:
        weight = np.zeros(len(cohort))
        weight[rows] = ipcw_weights(days[rows], status[rows], outcome.horizon_days)
    except CohortError as error:
        raise CohortError(f"{where}: {error}") from error
    y = ((status == EVENT) & (days <= outcome.horizon_days)).astype(np.float64)
    centre = np.unique(cohort.centre, return_inverse=True)[1].astype(np.int64)
    unit = centre
    if len(np.unique(centre[rows])) < MIN_UNITS:
        unit, how = np.arange(len(cohort)), how + "; patients resampled, too few centres"
    calibration: Rows | None = None
    if recalibrate:
        shuffled = np.random.default_rng(seed).permutation(rows)
        calibration, rows = np.sort(shuffled[: len(rows) // 2]), np.sort(shuffled[len(rows) // 2 :])

    def cases(some: Rows) -> Cases:
        return Cases(y[some], p[some], weight[some], unit[some])

    def one(some: Rows, halves: Rows | None, draws: int) -> Evaluation:
        by_then = days[some] <= outcome.horizon_days
        if not 0 < y[some].sum() < (weight[some] > 0).sum():
            raise CohortError(f"{where}: the outcome is the same for all {len(some)} patients")
        found, shift = scores(cases(some), seed, draws, None if halves is None else cases(halves))
        return Evaluation(
            outcome.name,
            outcome.horizon_days,
            how,
            len(some),
            int((~kept).sum()),
            int(y[some].sum()),
            int(((status[some] == COMPETING) & by_then).sum()),
            int((weight[some] == 0).sum()),
            found,
            shift,
        )

    whole = one(rows, calibration, resamples)
    by: dict[str, dict[str, Evaluation]] = {}
    for kind, values in group_values(cohort).items():
        by[kind] = {}
        for name in sorted(set(values[rows].tolist()) - {""}):
            some = rows[values[rows] == name]
            try:
                by[kind][name] = one(some, calibration, min(resamples, GROUP_RESAMPLES))
            except CohortError:
                # Too few to score; the group is counted by its absence.
                continue
    return Evaluation(
        **{**vars(whole), "unseen": dict(unseen or {}), "by": by, "p": p},
    )


def group_values(cohort: Cohort) -> dict[str, npt.NDArray[Any]]:
    """By kind of group (n,) text, "" where not known: sex, age group and ancestry."""
    found = {"sex": cohort.groups["sex"]} if "sex" in cohort.groups else {}
    if "age_years" in cohort.columns:
        ages = cohort.columns["age_years"]
        names = np.array([name for _, name in AGE_GROUPS], dtype=object)
        bounds = np.array([bound for bound, _ in AGE_GROUPS[:-1]])
        position = np.searchsorted(bounds, np.nan_to_num(ages), side="right")
        found["age_group"] = np.where(np.isnan(ages), "", names[position])
    if "ancestry" in cohort.groups:
        found["ancestry"] = cohort.groups["ancestry"]
    return found


@dataclass(frozen=True)
class Difference:
    """First minus second model in one measure of one outcome, with its 95 % interval."""

    outcome: str
    measure: str
    first: float
    second: float
    difference: float
    low: float
    high: float


def compare(
    cohort: Cohort,
    first: Mapping[str, Floats],
    second: Mapping[str, Floats],
    seed: int,
    resamples: int = RESAMPLES,
) -> tuple[Difference, ...]:
    """Two sets of predictions ((n,) by outcome) of one cohort: AUC, Brier score and log loss.

    The same resamples serve both, so that the intervals are those of paired differences.
    """
    results = []
    for name in (n for n in first if n in second and n in cohort.status):
        (outcome,) = outcomes_of(cohort, (name,))
        status, days = cohort.status[name], cohort.days[name]
        kept = (status != UNKNOWN) & applicable(name, cohort.columns, len(cohort))
        weight = ipcw_weights(days[kept], status[kept], outcome.horizon_days)
        y = ((status == EVENT) & (days <= outcome.horizon_days)).astype(np.float64)[kept]
        centre = np.unique(cohort.centre[kept], return_inverse=True)[1]
        unit = centre if centre.max() + 1 >= MIN_UNITS else np.arange(len(y))
        n_units = int(unit.max()) + 1
        ranked = [
            (p[name][kept], np.unique(p[name][kept], return_inverse=True)[1].astype(np.int64))
            for p in (first, second)
        ]
        rng = np.random.default_rng(seed)

        def at(times: Floats, y: Floats = y, weight: Floats = weight, ranked: Any = ranked) -> Any:
            return [measures(y, p, ties, weight * times, times) for p, ties in ranked]

        both = at(np.ones(len(y)))
        drawn = np.empty((resamples, len(MEASURES)))
        for i in range(resamples):
            times = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
            a, b = at(times[unit].astype(np.float64))
            drawn[i] = a - b
        for measure in ("auc", "brier", "log_loss"):
            j = MEASURES.index(measure)
            column = drawn[np.isfinite(drawn[:, j]), j]
            low, high = np.quantile(column, (0.025, 0.975)) if len(column) else (np.nan, np.nan)
            a, b = float(both[0][j]), float(both[1][j])
            results.append(Difference(name, measure, a, b, a - b, float(low), float(high)))
    return tuple(results)
