"""A seeded synthetic cohort with known truth. Its patients, centres and effects are invented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from data.files import replacing
from matching.risk import OUTCOMES

NAME = "synthetic"
N_CENTRES = 20
CENTRE_SD = 0.2

LEVELS: dict[str, dict[str, float]] = {
    "donor_type": {"unrelated": 0.65, "sibling": 0.35},
    "sex_match": {"M-M": 0.4, "M-F": 0.25, "F-M": 0.2, "F-F": 0.15},
    "cmv_match": {"D-R-": 0.25, "D-R+": 0.3, "D+R-": 0.1, "D+R+": 0.35},
    "graft_source": {"PB": 0.8, "BM": 0.2},
    "conditioning": {"MAC": 0.6, "RIC": 0.4},
    "gvhd_prophylaxis": {"TAC+MTX": 0.6, "TAC+MMF": 0.2, "PTCy": 0.2},
    "atg": {"no": 0.75, "yes": 0.25},
    "disease_stage": {"early": 0.6, "intermediate": 0.2, "advanced": 0.2},
    "karnofsky": {"90-100": 0.6, "below 90": 0.4},
    "hctci": {"0": 0.3, "1": 0.2, "2": 0.2, "3+": 0.3},
}
"""Shares of the levels, drawn independently."""

INTERCEPTS = {"agvhd_2_4": -0.6, "agvhd_3_4": -1.9, "cgvhd": -0.4}
"""Log-odds at the horizon of a case in the first level of every variable, both aged 40."""

TRUTH: dict[str, dict[tuple[str, str], float]] = {
    "agvhd_2_4": {("donor_type", "sibling"): -0.5, ("gvhd_prophylaxis", "PTCy"): -0.4},
    "agvhd_3_4": {("donor_type", "sibling"): -0.4, ("hctci", "3+"): 0.3},
    "cgvhd": {("graft_source", "BM"): -0.5, ("atg", "yes"): -0.6, ("sex_match", "F-M"): 0.3},
}
"""Log-odds of a level against the first one; what is not listed is 0."""

DONOR_AGE_PER_10 = 0.1
"""Log-odds of ten years of donor age, for every outcome."""


def synthetic_cohort(n: int, seed: int) -> pd.DataFrame:
    """n transplants with the columns of the cohort schema, centres named `synthetic-00` and on.

    The event happens by the horizon with the probability that `TRUTH` and the centre (a normal
    log-odds with sd 0.2) give, whatever the deaths: a death drawn before the last event is put
    beyond both horizons. Grade III-IV happens only with II-IV. Censoring is uniform from day 60
    to 2,000, independent of all else. One value in fifty is not known.
    """
    rng = np.random.default_rng(seed)
    columns: dict[str, npt.NDArray[Any]] = {
        name: rng.choice(list(shares), size=n, p=list(shares.values()))
        for name, shares in LEVELS.items()
    }
    age = np.round(rng.uniform(18, 70, n), 1)
    donor_age = np.round(rng.uniform(18, 60, n), 1)
    centre = rng.integers(N_CENTRES, size=n)
    effect = rng.normal(0, CENTRE_SD, N_CENTRES)[centre] + DONOR_AGE_PER_10 * (donor_age - 40) / 10
    p = {
        outcome: expit(
            INTERCEPTS[outcome]
            + effect
            + sum(beta * (columns[name] == level) for (name, level), beta in truth.items())
        )
        for outcome, truth in TRUTH.items()
    }
    days = _event_days(rng, p, n)
    last = np.max([np.where(np.isfinite(d), d, 0.0) for d in days.values()], axis=0)
    death = np.where(rng.random(n) < 0.3, rng.uniform(20, 500, n), rng.uniform(500, 4000, n))
    death = np.where(death <= last, rng.uniform(800, 4000, n), death)
    censored = rng.uniform(60, 2000, n)
    table: dict[str, Any] = {
        "centre": [f"{NAME}-{i:02d}" for i in centre],
        "age_years": age,
        "donor_age_years": donor_age,
        **columns,
    }
    for name in list(table)[1:]:
        table[name] = np.where(rng.random(n) < 0.02, "", table[name].astype(str))
    for outcome, event in days.items():
        first = np.minimum(np.minimum(event, death), censored)
        status = np.where(first == event, 1, np.where(first == death, 2, 0))
        table[f"{outcome}_status"] = status
        # Rounded up to whole days, and so that nothing crosses a horizon.
        table[f"{outcome}_days"] = np.ceil(first).astype(np.int64)
    return pd.DataFrame(table)


def _event_days(
    rng: np.random.Generator, p: dict[str, npt.NDArray[np.float64]], n: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Day of each event, infinite without it. One draw decides both grades of acute GVHD."""
    draw = rng.random(n)
    acute = np.where(draw < p["agvhd_2_4"], rng.uniform(8, 80, n), np.inf)
    severe = np.where(draw < np.minimum(p["agvhd_3_4"], p["agvhd_2_4"]), acute, np.inf)
    chronic = np.where(rng.random(n) < p["cgvhd"], rng.uniform(80, 365, n), np.inf)
    horizons = {outcome.name: outcome.horizon_days for outcome in OUTCOMES}
    late = rng.random(n) < 0.1
    # Some chronic GVHD begins after the horizon.
    after = rng.uniform(horizons["cgvhd"] + 1, 700, n)
    chronic = np.where(np.isinf(chronic) & late, after, chronic)
    return {"agvhd_2_4": acute, "agvhd_3_4": severe + rng.uniform(0, 15, n), "cgvhd": chronic}


def write_synthetic_cohort(path: Path, n: int, seed: int) -> None:
    """Write the cohort as CSV, atomically. Raises `OutputError`."""
    with replacing(path) as temporary:
        synthetic_cohort(n, seed).to_csv(temporary, index=False)
