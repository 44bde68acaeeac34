"""Donors beside each other: the fast comparison against predictions and derivatives by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.errors import ModelError
from matching.risk import Coded, Factor, OutcomeModel, averaged, compare_donors, predict
from matching.risk.effects import Z95
from matching.risk.model import centred, design

DONORS = ("unrelated", "sibling", "cord", "haploidentical", "", "autologous")


def model(name: str = "agvhd_2_4", seed: int = 0) -> OutcomeModel:
    """A model with levels, a number and any covariance."""
    factors = (
        Factor("donor_type", (("unrelated",), ("sibling", "other related"), ("cord",))),
        Factor("age_years", unit=10, low=20, high=70),
        Factor("sex_match", (("M-M",), ("M-F",), ("F-M",), ("F-F",))),
        Factor("donor_age_years", (("young",), ("middle",), ("old",)), bands=(30.0, 45.0)),
    )
    rng = np.random.default_rng(seed)
    root = rng.normal(0, 0.2, (9, 9))
    centre = np.array([0.3, 0.1, 4.5, 0.2, 0.25, 0.2, 0.3, 0.3])
    spread = np.sqrt(centre * (1 - np.minimum(centre, 0.9)))
    return OutcomeModel(
        name, 100.0, factors, centre, spread, rng.normal(0, 0.5, 9), root @ root.T, "invented",
        ("",) * 8,
    )  # fmt: skip


def pairs(seed: int, n: int) -> dict[str, npt.NDArray[Any]]:
    rng = np.random.default_rng(seed)
    return {
        "donor_type": rng.choice(DONORS, n).astype(object),
        "age_years": rng.choice([15.0, 33.0, 52.0, np.nan], n),
        "sex_match": rng.choice(["M-M", "M-F", "F-M", "F-F", ""], n).astype(object),
        "donor_age_years": rng.choice([22.0, 30.0, 44.9, 60.0, np.nan], n),
    }


def slow(
    one: OutcomeModel, columns: dict[str, npt.NDArray[Any]], rows: list[int], i: int
) -> tuple[int, float, float, float]:
    """Best row, difference of row i to it, and its limits, by numerical derivatives."""
    n = len(columns["age_years"])
    found = predict(one, columns, n)
    wanted = one.outcome.wanted
    allowed = [r for r in rows if found.applicable[r]]
    best = min(allowed, key=lambda r: (-1 if wanted else 1) * found.probability[r])
    difference = float(found.probability[i] - found.probability[best])
    matrix, _ = design(one.factors, columns, n)
    x = centred(matrix, one.centre)
    p = found.probability
    gradient = p[i] * (1 - p[i]) * x[i] - p[best] * (1 - p[best]) * x[best]
    error = Z95 * float(np.sqrt(gradient @ one.covariance @ gradient))
    return best, difference, max(difference - error, -1), min(difference + error, 1)


@given(st.integers(0, 1000), st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans())
@settings(deadline=None, max_examples=60)
def test_it_agrees_with_predictions_and_the_delta_method(
    seed: int, sizes: list[int], recovery: bool
) -> None:
    one = model("platelets" if recovery else "agvhd_2_4", seed)
    starts = np.cumsum([0, *sizes])
    n = int(starts[-1])
    columns = pairs(seed, n)
    found = compare_donors(one, columns, starts)
    again = predict(one, columns, n)
    for fast, plain in (
        (found.probability, again.probability),
        (found.low, again.low),
        (found.high, again.high),
    ):
        assert np.allclose(fast, plain, rtol=1e-9, equal_nan=True)
    for m, (start, end) in enumerate(itertools.pairwise(starts)):
        rows = list(range(start, end))
        if not again.applicable[start:end].any():
            assert found.best[m] == -1
            continue
        for i in rows:
            if not again.applicable[i]:
                assert np.isnan(found.difference[i])
                continue
            best, *expected = slow(one, columns, rows, i)
            assert found.best[m] == best
            got = (found.difference[i], found.difference_low[i], found.difference_high[i])
            assert got == pytest.approx(tuple(expected), abs=1e-9)


def test_coded_columns_are_the_texts_they_stand_for() -> None:
    columns = pairs(3, 200)
    starts = np.array([0, 50, 51, 200])
    coded: dict[str, Any] = dict(columns)
    for name in ("donor_type", "sex_match"):
        levels = ("no level of the model", *sorted(set(columns[name]) - {""}))
        codes = [levels.index(text) if text else -1 for text in columns[name]]
        coded[name] = Coded(np.array(codes, dtype=np.int8), levels)
    plain, found = (compare_donors(model(), given, starts) for given in (columns, coded))
    for name in ("probability", "difference", "difference_low", "difference_high"):
        assert np.array_equal(getattr(plain, name), getattr(found, name), equal_nan=True)
    assert plain.best.tolist() == found.best.tolist()


def test_what_the_donors_have_in_common_does_not_widen_the_difference() -> None:
    columns = {
        "donor_type": np.array(["sibling", "sibling"], dtype=object),
        "age_years": np.array([52.0, 52.0]),
    }
    found = compare_donors(model(), columns, np.array([0, 2]))
    assert found.best.tolist() == [0]
    assert found.difference.tolist() == found.difference_low.tolist() == [0, 0]
    assert found.high[0] - found.low[0] > 0.05


def test_the_order_of_donors_is_irrelevant() -> None:
    columns = pairs(5, 40)
    # Without effects all risks are equal, so that the factors decide which is the best.
    flat = replace(model(), coefficients=np.zeros(9))
    for one in (model(), flat):
        order = np.random.default_rng(0).permutation(40)
        mixed = {name: values[order] for name, values in columns.items()}
        first, second = (compare_donors(one, c, np.array([0, 40])) for c in (columns, mixed))
        for name in ("probability", "low", "difference_low"):
            assert np.allclose(
                getattr(first, name)[order], getattr(second, name), atol=1e-12, equal_nan=True
            )
        for name in columns:
            left, right = columns[name][first.best[0]], mixed[name][second.best[0]]
            assert left == right or (np.isnan(left) and np.isnan(right))


def test_risks_beyond_what_a_float_holds_are_0_and_1() -> None:
    for intercept, risk in ((-800.0, 0.0), (800.0, 1.0)):
        extreme = replace(model(), coefficients=np.r_[intercept, np.zeros(8)])
        found = compare_donors(extreme, pairs(1, 30), np.array([0, 30]))
        fits = np.isfinite(found.probability)
        assert fits.any()
        for values in (found.probability, found.low, found.high):
            assert np.allclose(values[fits], risk, atol=1e-12)
        assert np.allclose(found.difference[fits], 0, atol=1e-12)


def test_without_any_known_factor_all_donors_are_alike() -> None:
    found = compare_donors(model(), {}, np.array([0, 3]))
    assert found.probability == pytest.approx(predict(model(), {}, 3).probability)
    assert found.difference_low.tolist() == found.difference_high.tolist() == [0, 0, 0]


def test_columns_of_another_length_are_refused() -> None:
    with pytest.raises(ModelError, match="column age_years has 3 values for 2 pairs"):
        compare_donors(model(), {"age_years": np.zeros(3)}, np.array([0, 2]))


@pytest.mark.parametrize("variance", [0.01, 0.3, 1.0])
def test_averaging_is_an_integral(variance: float) -> None:
    grid = np.linspace(-10, 10, 200_001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    for score in (-3.0, -0.5, 2.0):
        exact = (density / (1 + np.exp(-(score + np.sqrt(variance) * grid)))).sum() * 1e-4
        found = averaged(np.array([score]), np.array([variance]))[0]
        assert found == pytest.approx(float(exact), abs=2e-6)
