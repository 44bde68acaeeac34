"""Risk: one prediction, a search's candidates, a batch of pairs, training; prints a JSON object.

python -m benchmarks.risk [--pairs N] [--patients N]

Pairs are of patients with 1,000 donors each and come as codes and numbers, as an index holds them;
a twentieth of the values is not known.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.machine import machine, peak_memory_mib
from data.cohort import read_cohort
from data.literature import literature_model
from data.synthetic_cohort import write_synthetic_cohort
from data.training import train_into
from matching.fit import train
from matching.risk import VARIABLES, Coded, RiskModel, compare_donors, predict

DONORS = 1000
CANDIDATES = 10_000


def single(model: RiskModel) -> float:
    """Median milliseconds of one prediction of one outcome."""
    outcome = model.outcome("agvhd_2_4")
    columns = {
        "age_years": np.array([52.0]),
        "donor_age_years": np.array([31.0]),
        "donor_type": np.array(["unrelated"], dtype=object),
        "sex_match": np.array(["F-M"], dtype=object),
    }
    predict(outcome, columns, 1)
    times = []
    for _ in range(1000):
        start = time.perf_counter()
        predict(outcome, columns, 1)
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def batch(model: RiskModel, n: int, seed: int) -> dict[str, float]:
    """Seconds for n pairs, risk and interval of the difference, of one outcome."""
    rng = np.random.default_rng(seed)
    outcome = model.outcome("agvhd_2_4")
    columns: dict[str, Coded | np.ndarray] = {}
    for variable in VARIABLES:
        if variable.levels:
            codes = rng.integers(0, min(len(variable.levels), 5), n).astype(np.int8)
            codes[rng.random(n) < 0.05] = -1
            columns[variable.name] = Coded(codes, variable.levels)
        else:
            values = rng.uniform(18, 60, n)
            values[rng.random(n) < 0.05] = np.nan
            columns[variable.name] = values
    starts = np.arange(0, n + 1, DONORS)
    compare_donors(outcome, columns, starts)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        compare_donors(outcome, columns, starts)
        seconds.append(time.perf_counter() - start)
    start = time.perf_counter()
    predict_plainly(model, columns, min(n, 100_000))
    plain = (time.perf_counter() - start) * n / min(n, 100_000)
    return {"seconds": min(seconds), "pairs_per_second": n / min(seconds), "plain_seconds": plain}


def candidates(model: RiskModel, seed: int) -> float:
    """Milliseconds for the candidates of one search: facts of the patient are the same in all rows,
    what is not known before the transplant is left out."""
    rng = np.random.default_rng(seed)
    columns: dict[str, Coded | np.ndarray] = {
        "age_years": np.full(CANDIDATES, 52.0),
        "donor_age_years": rng.integers(18, 61, CANDIDATES).astype(np.float64),
    }
    shared = ("donor_type", "graft_source")
    for variable in VARIABLES:
        if variable.name in (
            *shared,
            "hla_match",
            "dpb1_tce",
            "sex_match",
            "cmv_match",
            "abo_match",
        ):
            n_levels = 1 if variable.name in shared else min(len(variable.levels), 4)
            codes = rng.integers(0, n_levels, CANDIDATES).astype(np.int8)
            columns[variable.name] = Coded(codes, variable.levels)
    outcome = model.outcome("agvhd_3_4")
    compare_donors(outcome, columns, np.array([0, CANDIDATES]))
    times = []
    for _ in range(200):
        start = time.perf_counter()
        compare_donors(outcome, columns, np.array([0, CANDIDATES]))
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times))


def predict_plainly(model: RiskModel, columns: dict[str, Coded | np.ndarray], n: int) -> None:
    """The same risks from texts, by numpy."""
    texts = {
        name: np.array([*values.levels, ""], dtype=object)[values.codes[:n]]
        if isinstance(values, Coded)
        else values[:n]
        for name, values in columns.items()
    }
    predict(model.outcome("agvhd_2_4"), texts, n)


def training(n: int, seed: int) -> dict[str, float]:
    """Seconds to train every outcome on n synthetic patients, 10 outer and 5 inner folds."""
    found = {}
    with tempfile.TemporaryDirectory() as name, threadpool_limits(limits=1):
        path = Path(name) / "cohort.csv"
        write_synthetic_cohort(path, n, seed)
        cohort = read_cohort(path)
        for key, challenge in (("seconds", False), ("seconds_with_boosting", True)):
            start = time.perf_counter()
            train_into(Path(name) / key, cohort, "bench", seed, challenge=challenge)
            found[key] = time.perf_counter() - start
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "cohort.csv"
        write_synthetic_cohort(path, 3000, asked.seed)
        model = train(read_cohort(path), "bench", literature_model(), asked.seed)
    report = {
        "machine": machine(),
        "one_prediction_ms": single(model),
        "one_patient_of_10000_ms": {
            "literature": candidates(literature_model(), asked.seed),
            "trained": candidates(model, asked.seed),
        },
        "pairs": asked.pairs,
        "batch": batch(model, asked.pairs // DONORS * DONORS, asked.seed),
        "patients": asked.patients,
        "training": training(asked.patients, asked.seed),
        "peak_memory_mib": peak_memory_mib(),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
