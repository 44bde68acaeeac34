"""The risk model: conversion of published effects, prediction, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from matching.errors import ModelError
from matching.immunogenetics import TceCategory
from matching.risk import (
    VARIABLES,
    Z95,
    Factor,
    Known,
    OutcomeModel,
    RiskModel,
    design,
    hazard_ratio,
    log_odds,
    log_odds_error,
    predict,
    recorded_after,
    what_if,
)

INCIDENCES = st.floats(0.01, 0.95)
RATIOS = st.floats(0.1, 8)


def outcome_model() -> OutcomeModel:
    """Two levels beside the reference, and a number per 10 years."""
    factors = (
        Factor("donor_type", (("unrelated",), ("sibling", "other related"), ("cord",))),
        Factor("age_years", unit=10, low=20, high=70),
    )
    square = np.array(
        [
            [0.04, 0, 0, 0.001],
            [0, 0.09, 0.01, 0],
            [0, 0.01, 0.16, 0],
            [0.001, 0, 0, 0.0025],
        ]
    )
    return OutcomeModel(
        "agvhd_2_4",
        100.0,
        factors,
        np.array([0.3, 0.1, 4.5]),
        np.array([np.sqrt(0.21), 0.3, 1.2]),
        np.array([-0.6, -0.5, 0.8, 0.2]),
        square,
        "invented",
        ("", "", ""),
    )


@given(RATIOS, INCIDENCES)
def test_an_effect_moves_the_baseline_to_the_incidence_it_is_defined_by(
    ratio: float, p0: float
) -> None:
    # The survivors of a subdistribution hazard multiplied by r are those of the baseline to the r.
    by_hazard = float(expit(logit(p0) + log_odds("sHR", ratio, p0)))
    assert 1 - by_hazard == pytest.approx((1 - p0) ** ratio, rel=1e-9)
    by_odds = float(expit(logit(p0) + log_odds("OR", ratio, p0)))
    assert by_odds / (1 - by_odds) == pytest.approx(ratio * p0 / (1 - p0), rel=1e-9)
    if p0 * ratio < 0.999:
        by_risk = float(expit(logit(p0) + log_odds("RR", ratio, p0)))
        assert by_risk == pytest.approx(p0 * ratio, rel=1e-9)


def test_conversions_by_hand() -> None:
    # p0 = 0.5 and sHR 2: p1 = 0.75, odds 3 against 1.
    assert log_odds("sHR", 2, 0.5) == pytest.approx(np.log(3))
    assert log_odds("HR", 2, 0.5) == log_odds("sHR", 2, 0.5)
    # p0 = 0.2 and RR 2: p1 = 0.4, odds 2/3 against 1/4.
    assert log_odds("RR", 2, 0.2) == pytest.approx(np.log(8 / 3))
    assert hazard_ratio(0.5, 0.75) == pytest.approx(2)


@pytest.mark.parametrize("kind", ["HR", "sHR", "RR", "OR"])
def test_no_effect_stays_no_effect(kind: str) -> None:
    assert log_odds(kind, 1.0, 0.37) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("ratio", [0.5, 0.8, 1.25, 2.0])
def test_a_cause_specific_hazard_ratio_is_converted_with_the_stated_error(ratio: float) -> None:
    # Constant hazards, integrated step by step: 0.45 with the event and 0.20 dead first.
    total = -np.log(1 - 0.45 - 0.20)
    cause, death = total * 0.45 / 0.65, total * 0.20 / 0.65
    steps = 20_000
    free, incidence = 1.0, 0.0
    for _ in range(steps):
        incidence += free * cause * ratio / steps
        free *= 1 - (cause * ratio + death) / steps
    converted = float(expit(logit(0.45) + log_odds("HR", ratio, 0.45)))
    assert abs(converted - incidence) < 0.02
    assert (converted - incidence) * (ratio - 1) > 0


def test_a_standard_error_is_that_of_the_converted_limits() -> None:
    low, high = np.exp(0.3 - Z95 * 0.2), np.exp(0.3 + Z95 * 0.2)
    assert log_odds_error("OR", low, high, 0.4) == pytest.approx(0.2)
    # The delta method agrees where the interval is narrow: d logit p1 / d ln HR.
    p1 = 1 - 0.6**1.3
    slope = -np.log(0.6) * 1.3 / p1
    low, high = np.exp(np.log(1.3) - Z95 * 0.02), np.exp(np.log(1.3) + Z95 * 0.02)
    assert log_odds_error("HR", low, high, 0.4) == pytest.approx(0.02 * slope, rel=1e-3)


def test_without_an_interval_the_standard_error_is_at_least_a_half() -> None:
    assert log_odds_error("HR", None, None, 0.4) == 0.5
    assert log_odds_error("HR", 0.9, None, 0.4) == 0.5
    assert log_odds_error("OR", 0.99, 1.01, 0.4, minimum=0.3) == 0.3


@pytest.mark.parametrize(
    ("kind", "estimate", "p0"),
    [("RR", 2.0, 0.5), ("HR", 0.0, 0.5), ("HR", 2.0, 0.0), ("HR", 2.0, 1.0), ("percent", 2, 0.5)],
)
def test_what_cannot_be_converted_is_refused(kind: str, estimate: float, p0: float) -> None:
    with pytest.raises(ModelError):
        log_odds(kind, estimate, p0)


def test_contributions_sum_to_the_prediction_and_agree_with_a_sum_by_hand() -> None:
    model = outcome_model()
    columns = {"donor_type": np.array(["other related"]), "age_years": np.array([60.0])}
    found = predict(model, columns, 1)
    x = np.array([1, 1 - 0.3, 0 - 0.1, 6 - 4.5])
    score = -0.6 - 0.5 * 0.7 + 0.8 * -0.1 + 0.2 * 1.5
    assert found.probability[0] == pytest.approx(float(expit(score)))
    assert found.contributions[0].tolist() == pytest.approx([-0.5 * 0.7 - 0.08, 0.3])
    assert found.intercept + found.contributions[0].sum() == pytest.approx(score)
    error = np.sqrt(x @ model.covariance @ x)
    assert found.low[0] == pytest.approx(float(expit(score - Z95 * error)))
    assert found.high[0] == pytest.approx(float(expit(score + Z95 * error)))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["unrelated", "sibling", "cord", "other related", "", "haplo"]),
            st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_every_prediction_is_a_probability_inside_its_interval(
    cases: list[tuple[str, float]],
) -> None:
    columns = {
        "donor_type": np.array([case[0] for case in cases]),
        "age_years": np.array([case[1] for case in cases]),
    }
    found = predict(outcome_model(), columns, len(cases))
    assert ((found.low <= found.probability) & (found.probability <= found.high)).all()
    assert ((found.low >= 0) & (found.high <= 1)).all()
    score = found.intercept + found.contributions.sum(axis=1)
    assert np.allclose(expit(score), found.probability)


def test_what_is_not_known_is_averaged_over_the_cohort_and_flagged() -> None:
    columns = {
        "donor_type": np.array(["", "haploidentical", "cord"]),
        "age_years": np.array([60.0, 60.0, np.nan]),
    }
    found = predict(outcome_model(), columns, 3)
    assert found.known.tolist() == [
        [Known.NO, Known.YES],
        [Known.UNSEEN, Known.YES],
        [Known.YES, Known.NO],
    ]
    # The mean over the levels with the shares 0.6, 0.3 and 0.1 of the cohort, by hand.
    scores = [-0.6 + d + 0.3 for d in (0.15 - 0.08, -0.35 - 0.08, 0.15 + 0.72)]
    mean = 0.6 * expit(scores[0]) + 0.3 * expit(scores[1]) + 0.1 * expit(scores[2])
    assert found.probability[0] == pytest.approx(float(mean), abs=1e-3)
    assert found.probability[1] == found.probability[0]
    # A number: normal with the cohort's mean and standard deviation.
    ages = np.random.default_rng(0).normal(4.5, 1.2, 400_000)
    score = -0.6 + 0.15 + 0.72 + 0.2 * (ages - 4.5)
    assert found.probability[2] == pytest.approx(float(expit(score).mean()), abs=1e-3)
    total = found.intercept + found.contributions.sum(axis=1)
    assert expit(total) == pytest.approx(found.probability)


def test_gvhd_is_not_applicable_to_an_autologous_transplant() -> None:
    columns = {"donor_type": np.array(["autologous", "unrelated"])}
    found = predict(outcome_model(), columns, 2)
    assert found.applicable.tolist() == [False, True]
    assert np.isnan([found.probability[0], found.low[0], found.high[0]]).all()
    survival = replace(outcome_model(), name="survival")
    assert predict(survival, columns, 2).applicable.all()


def test_what_it_would_be_with_each_level_of_a_factor() -> None:
    columns = {"age_years": np.array([30.0, 60.0])}
    found = what_if(outcome_model(), columns, 2, "donor_type")
    assert list(found) == ["unrelated", "sibling", "other related", "cord"]
    for level, prediction in found.items():
        asked = {**columns, "donor_type": np.array([level, level])}
        again = predict(outcome_model(), asked, 2)
        assert prediction.probability.tolist() == again.probability.tolist()
    assert what_if(outcome_model(), columns, 2, "dpb1_tce") == {}


@pytest.mark.parametrize(
    "name",
    ["ANC_recovery", "PLT_recovery", "surv", "survival_time", "ST2", "reg3a", "cgvhd_months",
     "agvhd24_status", "relapse", "time_to_acute_GvHD_III_IV", "day28_chimerism", "death"],
)  # fmt: skip
def test_names_of_what_follows_the_transplant_are_known(name: str) -> None:
    assert recorded_after(name)


@pytest.mark.parametrize(
    "name",
    ["age", "dage", "status", "disease_status", "donor_CMV", "CMV_status", "gvhd_prophylaxis",
     "CD34_x1e6_per_kg", "tx_post_relapse", "time_to_transplant", "int", "race", "z5"],
)  # fmt: skip
def test_names_of_what_precedes_it_are_not_refused(name: str) -> None:
    assert not recorded_after(name)


def test_a_number_beyond_the_cohort_is_taken_at_its_limit_and_flagged() -> None:
    found = predict(outcome_model(), {"age_years": np.array([70.0, 95.0, 20.0, 3.0])}, 4)
    assert found.known[:, 1].tolist() == [Known.YES, Known.CLIPPED, Known.YES, Known.CLIPPED]
    assert found.probability[0] == found.probability[1]
    assert found.probability[2] == found.probability[3]


def test_bands_hold_their_lower_bound() -> None:
    factor = Factor("donor_age_years", (("18-30",), ("31-45",), (">45",)), bands=(31, 46))
    columns, known = factor.encode(np.array([18, 30.9, 31, 45.9, 46, np.nan]))
    assert columns[:5].tolist() == [[0, 0], [0, 0], [1, 0], [1, 0], [0, 1]]
    assert known.tolist() == [0, 0, 0, 0, 0, Known.NO]


def test_a_model_without_factors_predicts_its_baseline() -> None:
    empty = np.empty(0)
    model = OutcomeModel(
        "cgvhd", 365, (), empty, empty, np.array([0.0]), np.array([[0.25]]), "invented", ()
    )
    assert predict(model, {}, 2).probability.tolist() == [0.5, 0.5]
    assert design((), {}, 2)[0].shape == (2, 0)


@pytest.mark.parametrize(
    "change",
    [
        {"centre": np.zeros(2)},
        {"spread": np.zeros(2)},
        {"spread": -np.ones(3)},
        {"name": "fame"},
        {"coefficients": np.zeros(3)},
        {"coefficients": np.array([0, 0, 0, np.nan])},
        {"covariance": np.eye(3)},
        {"covariance": np.eye(4) - np.eye(4)[::-1] * 2},
        {"covariance": np.triu(np.ones((4, 4)))},
        {"references": ("",)},
        {"horizon_days": 0.0},
        {"horizon_days": float("inf")},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelError):
        replace(outcome_model(), **change)  # type: ignore[arg-type]


def test_a_model_of_another_schema_or_without_the_outcome_is_refused() -> None:
    with pytest.raises(ModelError, match="schema 1"):
        RiskModel("m", "fitted", (outcome_model(),), schema=1)
    model = RiskModel("m", "fitted", (outcome_model(),))
    with pytest.raises(ModelError, match="no outcome 'cgvhd'"):
        model.outcome("cgvhd")
    with pytest.raises(ModelError, match="twice"):
        RiskModel("m", "fitted", (outcome_model(), outcome_model()))


def test_the_levels_of_dpb1_are_those_of_the_matching() -> None:
    levels = next(variable.levels for variable in VARIABLES if variable.name == "dpb1_tce")
    assert set(levels) == {category.value for category in TceCategory} - {"unknown", "untyped"}
