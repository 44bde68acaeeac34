"""Fitting and scoring, against a slow Aalen-Johansen, scikit-learn and cohorts of known truth."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import lifelines
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score
from sklearn.utils.estimator_checks import check_estimator

from data.cohort import parse_cohort
from data.literature import literature_model
from data.synthetic_cohort import TRUTH, synthetic_cohort
from matching.errors import CohortError
from matching.fit import (
    Cohort,
    Evaluation,
    GraftRiskClassifier,
    boosting,
    compare,
    cross_validate,
    evaluate,
    fit_outcome,
    group_folds,
    ipcw_weights,
    train,
    weighted_auc,
    with_prior,
)
from matching.fit.prior import prior_of
from matching.fit.training import choose_strength, material
from matching.risk import centred
from tests.oracles.incidence import aalen_johansen

LEARNER = with_prior(literature_model())
HISTORY = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from([0, 1, 2])), min_size=1, max_size=40
)


def synthetic(n: int, seed: int) -> Cohort:
    table = synthetic_cohort(n, seed)
    texts = {str(name): [str(value) for value in table[name]] for name in table}
    return parse_cohort(texts, None, "synthetic")


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic(8000, 7)


def one_outcome(status: list[int], days: list[float], **columns: Any) -> Cohort:
    """A cohort of `agvhd_2_4`, each patient a centre."""
    return Cohort(
        "small",
        columns,
        np.arange(len(status)).astype(np.str_),
        {"agvhd_2_4": np.array(status, dtype=np.int8)},
        {"agvhd_2_4": np.array(days, dtype=np.float64)},
    )


def interval(evaluation: Evaluation, measure: str) -> tuple[float, float, float]:
    low, high = evaluation.interval(measure)
    return evaluation[measure], low, high


def test_the_oracle_agrees_with_a_table_made_by_hand() -> None:
    # time  at risk  GVHD  died  censored   free before   incidence
    #    1        7     1     0         0             1   1/7
    #    2        6     1     0         1           6/7   + 6/7 * 1/6
    #    3        4     1     1         0           5/7   + 5/7 * 1/4
    #    4        2     0     0         1          5/14
    #    5        1     1     0         0          5/14   + 5/14 * 1/1
    times, statuses = [1, 2, 2, 3, 3, 4, 5], [1, 1, 0, 2, 1, 0, 1]
    assert aalen_johansen(times, statuses, 0.5) == 0
    assert aalen_johansen(times, statuses, 1) == Fraction(1, 7)
    assert aalen_johansen(times, statuses, 2) == Fraction(2, 7)
    assert aalen_johansen(times, statuses, 4) == Fraction(13, 28)
    assert aalen_johansen(times, statuses, 5) == Fraction(23, 28)


@given(HISTORY, st.integers(1, 12))
@settings(deadline=None)
def test_the_weighted_mean_is_the_aalen_johansen_incidence(
    history: list[tuple[int, int]], horizon: int
) -> None:
    days = np.array([time for time, _ in history], dtype=np.float64)
    status = np.array([what for _, what in history], dtype=np.int8)
    known = (days >= horizon) | (status != 0)
    try:
        weight = ipcw_weights(days, status, horizon)
    except CohortError:
        assert max(days) < horizon and (status[days == max(days)] == 0).any()
        return
    times, statuses = [time for time, _ in history], [what for _, what in history]
    assert (weight[~known] == 0).all()
    for cause in (1, 2):
        here = [1 if what == cause else 2 if what else 0 for what in statuses]
        expected = float(aalen_johansen(times, here, horizon))
        found = (weight * ((status == cause) & (days <= horizon))).sum() / len(history)
        assert found == pytest.approx(expected, abs=1e-9)
    assert weight.sum() == pytest.approx(len(history))


def test_a_death_is_not_a_censoring() -> None:
    # Half die on day 10, half of the others have GVHD on day 20: incidence 1/4, 1 - KM 1/2.
    days, status = np.array([10.0, 10, 20, 200]), np.array([2, 2, 1, 0], dtype=np.int8)
    weight = ipcw_weights(days, status, 100)
    assert (weight * (status == 1)).sum() / 4 == pytest.approx(0.25)


def test_followed_exactly_to_the_horizon_is_known() -> None:
    assert ipcw_weights(np.array([100.0, 50]), np.array([0, 0], dtype=np.int8), 100).tolist() == [
        2.0,
        0.0,
    ]


def test_the_classifier_is_ridge_logistic_regression() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 3))
    y = rng.random(400) < expit(x @ [0.5, -0.5, 0.0] - 0.4)
    weight = rng.uniform(0, 2, 400)
    ours = GraftRiskClassifier(prior_sd=0.7).fit(x, y, weight)
    theirs = LogisticRegression(C=0.49, tol=1e-10, max_iter=1000).fit(
        x - np.average(x, axis=0, weights=weight), y, weight
    )
    assert ours.coefficients_[1:] == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert ours.coefficients_[0] == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_it_works_as_a_classifier_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 2))
    y = (rng.random(300) < expit(2 * x[:, 0])).astype(int)
    classifier = clone(GraftRiskClassifier(prior_sd=1.5))
    assert classifier.get_params() == {
        "prior_mean": None,
        "prior_sd": 1.5,
        "strength": 1.0,
        "intercept_mean": 0.0,
        "intercept_sd": np.inf,
    }
    assert cross_val_score(classifier, x, y, scoring="roc_auc").mean() > 0.8
    fitted = classifier.fit(x, y)
    assert fitted.predict_proba(x).sum(axis=1) == pytest.approx(np.ones(300))
    assert fitted.score(x, y) > 0.7


def test_it_passes_every_check_of_scikit_learn() -> None:
    failed = [
        (check["check_name"], check["exception"])
        for check in check_estimator(GraftRiskClassifier(), on_fail=None, on_skip=None)
        if check["status"] not in ("passed", "skipped")
    ]
    assert not failed


def test_a_prior_pulls_to_its_mean_by_its_strength() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(300, 2))
    y = (rng.random(300) < 0.5).astype(int)
    mean = np.array([0.7, -0.3])
    fits = [GraftRiskClassifier(mean, 1.0, s).fit(x, y).coefficients_[1:] for s in (0, 1, 50, 1e9)]
    distance = [float(np.abs(fit - mean).max()) for fit in fits]
    assert distance == sorted(distance, reverse=True) and distance[-1] < 1e-6
    # The posterior's mode, found by an optimiser that knows nothing of it.
    z = centred(x, x.mean(axis=0))

    def lost(beta: npt.NDArray[np.float64]) -> float:
        eta = z @ beta
        prior = 50 * ((beta[1:] - mean) ** 2).sum() / 2
        return float(np.logaddexp(0, eta).sum() - y @ eta + prior)

    assert fits[2] == pytest.approx(minimize(lost, np.zeros(3), tol=1e-10).x[1:], abs=1e-5)


def test_the_intercept_has_a_prior_of_its_own() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(100, 1))
    y = (rng.random(100) < 0.3).astype(int)
    alone = GraftRiskClassifier(0.0, 1e-6).fit(x, y)
    pulled = GraftRiskClassifier(0.0, 1e-6, intercept_mean=1.0, intercept_sd=0.2).fit(x, y)
    # Where the derivative of the log-likelihood is that of the prior.
    beta = pulled.coefficients_[0]
    assert alone.coefficients_[0] < beta < 1
    assert y.sum() - 100 * expit(beta) == pytest.approx((beta - 1) / 0.2**2, abs=1e-5)
    assert pulled.covariance_[0, 0] < alone.covariance_[0, 0]


def test_the_intercept_of_a_fit_leans_on_the_incidence_of_the_literature(cohort: Cohort) -> None:
    (outcome, *_) = literature_model().outcomes
    few, rows = cohort.some(np.arange(150)), np.arange(150)
    lower = replace(outcome, coefficients=outcome.coefficients - np.eye(10)[0])
    usual, other, free = (
        fit_outcome(few, outcome.outcome, rows, literature, 1, strength).model.coefficients[0]
        for literature, strength in ((outcome, (3, 200)), (lower, (3, 200)), (outcome, (0, 0)))
    )
    # The prior's share: information p (1 - p) 150 from the data, 4 from the literature.
    assert 0.05 < usual - other < 0.2
    assert free == fit_outcome(few, outcome.outcome, rows, lower, 1, (0, 0)).model.coefficients[0]


def test_the_strongest_prior_is_taken_unless_the_data_speak_against_it(cohort: Cohort) -> None:
    (outcome, *_) = literature_model().outcomes
    rows = np.arange(len(cohort))
    found = material(cohort, outcome.outcome, rows, outcome)
    prior = prior_of(found.factors, found.spread, outcome)
    rng = np.random.default_rng(6)
    nothing = replace(found, y=rng.permutation(found.y))
    none = replace(prior, mean=np.zeros(len(prior.mean)))
    assert choose_strength(nothing, none, 1) == (10.0, 400.0)
    # Effects that the literature has the other way round, and large ones that it has not.
    score = np.nan_to_num(found.matrix) @ np.where(prior.informed, -8 * prior.mean, 0.5)
    against = replace(found, y=(rng.random(len(rows)) < expit(score)).astype(np.float64))
    assert choose_strength(against, prior, 1) == (1.0, 200.0)


def test_the_prior_of_a_fit_is_that_of_the_literature(cohort: Cohort) -> None:
    literature = literature_model()
    for outcome in literature.outcomes:
        rows = np.arange(len(cohort))
        fitted = fit_outcome(cohort, outcome.outcome, rows, outcome, 1, (1e9, 1e9)).model
        published = {
            (factor.name, level): beta
            for factor, start in zip(outcome.factors, outcome.ends, strict=False)
            if not factor.bands
            for group, beta in zip(
                factor.levels[1:], outcome.coefficients[1 + start :], strict=False
            )
            for level in group
        }
        for factor, start in zip(fitted.factors, fitted.ends, strict=False):
            for i, group in enumerate(factor.levels[1:]):
                reference = published.get((factor.name, factor.levels[0][0]), 0.0)
                expected = published.get((factor.name, group[0]), 0.0) - reference
                assert fitted.coefficients[1 + start + i] == pytest.approx(expected, abs=1e-4)


def test_the_covariance_is_the_inverse_hessian_where_the_model_holds() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20_000, 2))
    y = rng.random(20_000) < expit(0.5 * x[:, 0] - 0.5)
    fitted = GraftRiskClassifier(prior_sd=0.1).fit(x, y)
    z = centred(x, fitted.centre_)
    p = expit(z @ fitted.coefficients_)
    hessian = (z * (p * (1 - p))[:, None]).T @ z + np.diag([0, 100, 100])
    ratio = np.diag(fitted.covariance_) / np.diag(np.linalg.inv(hessian))
    assert ratio == pytest.approx(np.ones(3), rel=0.05)


def test_intervals_cover_the_truth_with_clustered_patients() -> None:
    # 30 centres of 20 whose patients share a log-odds of sd 0.5: the truth is its average.
    rng = np.random.default_rng(3)
    grid = np.linspace(-4, 4, 801)
    density = np.exp(-(grid**2) / 2)
    truth = float((expit(-0.5 + 0.5 * grid) * density).sum() / density.sum())
    covered, independent = 0, 0
    for _ in range(200):
        centre = np.repeat(np.arange(30), 20)
        y = rng.random(600) < expit(-0.5 + rng.normal(0, 0.5, 30)[centre])
        x = rng.normal(size=(600, 1))
        for groups in (centre, None):
            fitted = GraftRiskClassifier().fit(x, y, groups=groups)
            error = 1.96 * np.sqrt(fitted.covariance_[0, 0])
            middle = fitted.coefficients_[0]
            inside = expit(middle - error) <= truth <= expit(middle + error)
            covered += inside if groups is not None else 0
            independent += inside if groups is None else 0
    assert 0.89 <= covered / 200 <= 0.99
    assert independent < covered


def test_the_truth_of_a_synthetic_cohort_is_recovered(cohort: Cohort) -> None:
    model = train(cohort, "m", literature_model(), 1)
    for name, truth in TRUTH.items():
        outcome = model.outcome(name)
        errors = np.sqrt(np.diag(outcome.covariance))[1:]
        labels = list(outcome.labels)
        for (factor, level), beta in truth.items():
            found = next(f for f in outcome.factors if f.name == factor)
            if found.levels[0] == (level,):
                continue
            i = labels.index(f"{factor}: {level}")
            assert abs(outcome.coefficients[1 + i] - beta) < 3.5 * errors[i], (name, level)


def test_cross_validation_finds_the_calibration_of_a_synthetic_cohort(cohort: Cohort) -> None:
    for evaluation in cross_validate(cohort, 1, with_prior(literature_model(), (1, 200)), 5, 50):
        ratio, low, high = interval(evaluation, "observed_expected")
        assert low < ratio < high and 0.85 < ratio < 1.15
        assert evaluation["calibration_slope"] == pytest.approx(1, abs=0.3)
        assert 0.54 < evaluation["auc"] < 0.70
        assert evaluation["brier"] < evaluation["brier_null"]


def test_observed_is_aalen_johansen(cohort: Cohort) -> None:
    small = cohort.some(np.arange(400))
    for evaluation in cross_validate(small, 1, LEARNER, 5, 2):
        days, status = small.days[evaluation.outcome], small.status[evaluation.outcome]
        expected = aalen_johansen(days.tolist(), status.tolist(), evaluation.horizon_days)
        assert evaluation["observed"] == pytest.approx(float(expected))


def test_a_run_repeats_itself_and_the_seed_matters(cohort: Cohort) -> None:
    small = cohort.some(np.arange(800))
    first, again, other = (
        cross_validate(small, seed, LEARNER, 3, 5, ("cgvhd",)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@given(st.data())
@settings(deadline=None)
def test_the_area_under_the_curve_is_that_of_scikit_learn(data: st.DataObject) -> None:
    n = data.draw(st.integers(2, 30))
    seed = data.draw(st.integers(0, 2**16))
    rng = np.random.default_rng(seed)
    p = rng.integers(0, 5, n) / 5
    y = np.r_[0.0, 1.0, rng.integers(0, 2, n - 2)]
    weight = rng.uniform(0.1, 3, n)
    ties = np.unique(p, return_inverse=True)[1]
    assert weighted_auc(y, ties, weight) == pytest.approx(roc_auc_score(y, p, sample_weight=weight))


def test_centres_stay_whole_and_folds_are_of_like_size() -> None:
    groups: npt.NDArray[np.str_] = np.random.default_rng(0).integers(0, 40, 2000).astype(np.str_)
    fold = group_folds(groups, 5, seed=3)
    assert all(len(set(fold[groups == group])) == 1 for group in set(groups))
    assert np.bincount(fold).max() < 1.3 * np.bincount(fold).min()
    assert group_folds(np.array(["a", "b", "a"]), 5, seed=3).max() == 1
    with pytest.raises(CohortError, match="cannot be split into folds"):
        group_folds(np.array(["a", "a"]), 5, seed=3)


@pytest.mark.parametrize("status", [[0] * 30, [1] * 30, [2] * 30])
def test_a_constant_outcome_is_refused(status: list[int]) -> None:
    small = one_outcome(status, [100.0] * 30, age_years=np.linspace(20, 60, 30))
    with pytest.raises(CohortError, match=r"small, acute GVHD grade II-IV: .* the same for all"):
        train(small, "m", None, 1)
    with pytest.raises(CohortError, match="the same for all"):
        cross_validate(small, 1, LEARNER)


def test_a_cohort_that_nobody_was_followed_in_is_refused() -> None:
    with pytest.raises(CohortError, match="nobody was followed for 100 days"):
        train(one_outcome([0, 0], [10.0, 20.0]), "m", None, 1)


def test_a_cohort_without_outcomes_is_refused() -> None:
    empty = Cohort("empty", {}, np.array(["1"]), {}, {})
    with pytest.raises(CohortError, match="does not hold an outcome; it holds none"):
        train(empty, "m", None, 1)


def test_an_outcome_that_is_not_known_is_left_out_and_counted(cohort: Cohort) -> None:
    status = cohort.status["cgvhd"].copy()
    status[:100] = -1
    days = cohort.days["cgvhd"].copy()
    days[:100] = np.nan
    small = Cohort("part", cohort.columns, cohort.centre, {"cgvhd": status}, {"cgvhd": days})
    result = evaluate(small, train(small, "m", None, 1), seed=1, resamples=2)[0]
    assert (result.n, result.n_unknown) == (len(cohort) - 100, 100)


def test_scoring_on_the_training_file_is_called_optimistic(cohort: Cohort) -> None:
    marked = Cohort("c", cohort.columns, cohort.centre, cohort.status, cohort.days, "ab" * 32)
    how = evaluate(marked, train(marked, "m", None, 1), seed=1, resamples=2)[0].how
    assert "optimistic" in how


def test_rare_levels_have_no_coefficient_and_are_counted_as_unseen(cohort: Cohort) -> None:
    values = cohort.columns["graft_source"].copy()
    values[:4] = "CB"
    columns = {**cohort.columns, "graft_source": values}
    rare = Cohort("c", columns, cohort.centre, cohort.status, cohort.days)
    model = train(rare, "m", None, 1)
    factors = model.outcome("cgvhd").factors
    assert next(f for f in factors if f.name == "graft_source").levels == (("PB",), ("BM",))
    assert evaluate(rare, model, 1, 2)[0].unseen == {"graft_source: CB": 4}


@pytest.mark.parametrize("events", [9, 10])
def test_a_model_needs_ten_events(events: int) -> None:
    status = [1] * events + [0] * 60
    small = one_outcome(status, [50.0] * events + [200.0] * 60, tbi=np.array(["no", "yes"] * 40))
    small = small.some(np.arange(len(status)))
    if events < 10:
        with pytest.raises(CohortError, match=r"9 patients with the event by day 100, .* needs 10"):
            train(small, "m", None, 1)
    else:
        assert train(small, "m", None, 1).outcomes


def test_autologous_patients_are_no_patients_of_gvhd(cohort: Cohort) -> None:
    donors = cohort.columns["donor_type"].copy().astype("U20")
    donors[:500] = "autologous"
    mixed = Cohort(
        "c", {**cohort.columns, "donor_type": donors}, cohort.centre, cohort.status, cohort.days
    )
    model = train(mixed, "m", None, 1, ("cgvhd",))
    kept = cohort.some(np.arange(500, len(cohort)))
    assert (
        train(kept, "m", None, 1, ("cgvhd",)).outcomes[0].baseline.split()[3:5]
        == (model.outcomes[0].baseline.split()[3:5])
    )
    found = evaluate(mixed, model, 1, 2)[0]
    assert (found.n, found.n_unknown) == (len(cohort) - 500, 500)


def test_recalibration_moves_the_intercept_of_a_half(cohort: Cohort) -> None:
    model = train(cohort.some(np.arange(4000)), "m", None, 1, ("cgvhd",))
    (outcome,) = model.outcomes
    moved = replace(outcome, coefficients=outcome.coefficients + np.eye(1, len(
        outcome.coefficients))[0])  # fmt: skip
    wrong = replace(model, outcomes=(moved,))
    # Each patient is a unit, so that the halves share nothing.
    rest = cohort.some(np.arange(4000, 8000))
    rest = replace(rest, centre=np.arange(4000).astype(np.str_))
    before = evaluate(rest, wrong, 1, 100)[0]
    after = evaluate(rest, wrong, 1, 100, recalibrate=True)[0]
    assert before.interval("observed_expected")[1] < 0.9
    ratio, low, high = interval(after, "observed_expected")
    assert after.shift == pytest.approx(-1, abs=0.15) and low < 1 < high
    assert after.n == 2000 and 0.9 < ratio < 1.1
    # The error of the intercept is in the interval: it is wider than that of the half alone.
    right = replace(
        outcome, coefficients=moved.coefficients + after.shift * np.eye(1, len(
            outcome.coefficients))[0])  # fmt: skip
    half = np.sort(np.random.default_rng(1).permutation(4000)[2000:])
    alone = evaluate(rest.some(half), replace(model, outcomes=(right,)), 1, 100)[0]
    _, first, last = interval(alone, "observed_expected")
    assert high - low > 1.15 * (last - first)


def test_results_are_broken_down_by_sex_age_and_ancestry(cohort: Cohort) -> None:
    cohort = cohort.some(np.arange(3000))
    model = train(cohort, "m", None, 1, ("cgvhd",))
    rng = np.random.default_rng(0)
    groups = {"sex": rng.choice(["male", "female", ""], len(cohort))}
    marked = replace(cohort, groups=groups)
    found = evaluate(marked, model, 1, 20)[0]
    assert set(found.by) == {"sex", "age_group"}
    assert set(found.by["sex"]) == {"male", "female"}
    assert sum(one.n for one in found.by["sex"].values()) == (groups["sex"] != "").sum()
    assert set(found.by["age_group"]) == {"18-39", "40-59", "60 and over"}
    men = marked.some(np.flatnonzero(groups["sex"] == "male"))
    assert found.by["sex"]["male"].n_events == evaluate(men, model, 1, 2)[0].n_events


def test_a_shuffled_outcome_shows_nothing(cohort: Cohort) -> None:
    some = cohort.some(np.arange(1500))
    learner = with_prior(literature_model(), (1, 200))
    held = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(1500)
        shuffled = replace(
            some,
            status={key: values[order] for key, values in some.status.items()},
            days={key: values[order] for key, values in some.days.items()},
        )
        for found in cross_validate(shuffled, 1, learner, 4, 100):
            low, high = found.interval("auc")
            held.append(low <= 0.5 <= high)
    # 95 % intervals: of twelve one or two may miss by chance.
    assert sum(held) >= 10


def test_two_models_are_compared_on_the_same_resamples(cohort: Cohort) -> None:
    rng = np.random.default_rng(6)
    cohort = cohort.some(np.arange(3000))
    good = {"cgvhd": cross_validate(cohort, 1, LEARNER, 3, 2, ("cgvhd",))[0].p}
    noise = {"cgvhd": expit(rng.normal(size=len(cohort)))}
    for found in compare(cohort, good, noise, 1, 50):
        assert found.difference == pytest.approx(found.first - found.second)
        assert found.low > 0 if found.measure == "auc" else found.high < 0
    assert all(d.difference == d.low == d.high == 0 for d in compare(cohort, good, good, 1, 10))


def test_boosting_finds_what_there_is_under_the_same_protocol(cohort: Cohort) -> None:
    some = cohort.some(np.arange(4000))
    ours, theirs = (
        cross_validate(some, 1, learner, 3, 2, ("cgvhd",))[0] for learner in (LEARNER, boosting)
    )
    assert 0.54 < theirs["auc"] < ours["auc"] + 0.02


def test_the_incidence_is_that_of_lifelines_without_ties() -> None:
    rng = np.random.default_rng(8)
    n = 300
    days = rng.permutation(n).astype(np.float64) + 1
    status = rng.choice([0, 1, 2], n, p=[0.3, 0.4, 0.3]).astype(np.int8)
    for horizon in (50.0, 120.0, 200.0):
        fitter = lifelines.AalenJohansenFitter(calculate_variance=False)
        fitter.fit(days, status, event_of_interest=1)
        curve = fitter.cumulative_density_.iloc[:, 0]
        expected = float(curve[curve.index <= horizon].iloc[-1])
        weight = ipcw_weights(days, status, horizon)
        found = float((weight * ((status == 1) & (days <= horizon))).sum() / n)
        assert found == pytest.approx(expected, abs=1e-8)
        assert float(aalen_johansen(days.tolist(), status.tolist(), horizon)) == pytest.approx(
            expected, abs=1e-8
        )
