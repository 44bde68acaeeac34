"""Predicted probabilities are the rates at which simulated people match."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from data.frequencies import read_frequencies
from data.synthetic import MIX, PATIENT_MIX, Profile
from matching.nomenclature import Nomenclature
from service.ancestry import FIVE
from tests.calibration.groups import (
    GROUPS,
    LEAST_PAIRS,
    N_DONORS,
    N_PATIENTS,
    bins_of,
    calibrate_group,
    plot,
)
from tests.calibration.simulation import A_AND_B, Bin, Tally, calibrate

# Typed at A, B and DRB1 only; everyone is, so that little is certain.
_LOW = (Profile("low", 1.0, MIX[2].loci, MIX[2].odds),)


@pytest.mark.parametrize(
    ("mix", "patient_mix", "in_pairs"),
    [(MIX, PATIENT_MIX, False), (A_AND_B, PATIENT_MIX, False), (_LOW, MIX, True)],
    ids=["masses", "A and B only", "in pairs, both ambiguous"],
)
def test_the_embedded_set_is_calibrated(
    demo: Nomenclature,
    mix: tuple[Profile, ...],
    patient_mix: tuple[Profile, ...],
    in_pairs: bool,
) -> None:
    (frequencies,) = read_frequencies("demo")
    found = calibrate(
        frequencies.over(FIVE), demo, 2_000, 60, 1, mix, patient_mix, 0, in_pairs
    )  # fmt: skip
    # Masses leave typed nulls to pairs, and the embedded set has many.
    assert found.unknown < 0.1
    for bins in bins_of(found, 500).values():
        assert len(bins) > 1 and bins[-1].predicted > 0.05
        assert all(one.is_calibrated for one in bins), bins


def test_what_is_not_calibrated_is_seen() -> None:
    """Predictions of 0.5 where 0.6 of the pairs of independent patients match."""
    rng = np.random.default_rng(1)
    tally = Tally(100)
    for patient in range(100):
        tally.add(patient, np.full(200, 0.5), rng.random(200) < 0.6, 10)
    low, high = tally.bins(1_000)
    assert (low.pairs, low.predicted, low.observed) == (1_000, 0, 0)
    assert high.pairs == 20_000 and high.predicted == 0.5
    assert high.observed == pytest.approx(0.6, abs=0.02)
    assert 0.005 < high.half_width < 0.02 and not high.is_calibrated
    assert Bin(1, 0.5, 0.519, 0.0).is_calibrated and Bin(1, 0.5, 0.6, 0.2).is_calibrated
    # Patients of whom all pairs match or none do are as many observations as there are patients.
    together = Tally(100)
    for patient in range(100):
        together.add(patient, np.full(200, 0.5), np.full(200, rng.random() < 0.5), 0)
    assert together.bins(1_000)[-1].half_width == pytest.approx(3.29 * 0.05, rel=0.1)


def test_the_plot_is_a_small_svg_and_always_the_same(tmp_path: Path) -> None:
    bins = {"P(10/10)": [Bin(1, 0.2, 0.21, 0.01)], "P(9/10)": [Bin(1, 0.4, 0.41, 0.01)]}
    for name in ("one", "again"):
        plot(tmp_path / name, {"CAU": bins})
    content = (tmp_path / "one").read_bytes()
    assert content == (tmp_path / "again").read_bytes() and len(content) < 100_000
    assert ElementTree.fromstring(content).tag.endswith("svg")


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_populations_are_calibrated(shared: Path, nomenclature: Nomenclature, group: str) -> None:
    found = calibrate_group(shared, nomenclature, group, N_DONORS, N_PATIENTS)
    assert found.unknown < 0.01
    for bins in bins_of(found).values():
        assert all(one.pairs >= LEAST_PAIRS and one.is_calibrated for one in bins), bins
