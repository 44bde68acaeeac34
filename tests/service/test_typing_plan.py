"""The requests for typing from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.service.conftest import Run


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    path = tmp_path / "candidates.parquet"
    pd.DataFrame(
        {
            "patient": ["P1", "P1", "P1", "P2", "P2", "P2"],
            "donor": ["D1", "D2", "D3", "D1", "D4", "D5"],
            "p10": [0.9, 0.8, 0.7, 0.85, 0.1, np.nan],
            "p9": [0.1, 0.1, 0.3, 0.1, 0.5, np.nan],
            "age_years": [25.0, 25, 25, 25, np.nan, 30],
            "sex": ["male", "male", "male", "male", None, "female"],
            "type": ["adult"] * 6,
            "registry": ["R1", "R1", "R2", "R1", "R1", "R1"],
            "status": ["available", "available", "reserved", "available", None, "available"],
        }
    ).to_parquet(path)
    return path


def test_requests_for_all_and_for_one(run: Run, candidates: Path, tmp_path: Path) -> None:
    out = tmp_path / "requests.csv"
    code, printed, error = run("typing-plan", candidates, "--budget", 2, "--out", out)
    assert code == 0 and printed.startswith("2 requests for 2 patients: 1.") and "best" in printed
    assert "1 pairs without P(10/10) are left out" in error
    found = pd.read_csv(out)
    assert found[["order", "patient", "donor"]].to_numpy().tolist() == [
        [1, "P2", "D1"],
        [2, "P1", "D2"],
    ]
    assert np.allclose(found["gain"], found["p10"] * found["availability"])
    code, printed, _ = run(
        "typing-plan", candidates, "--budget", 5, "--out", out, "--patient", "P1"
    )
    assert code == 0 and set(pd.read_csv(out)["donor"]) == {"D1", "D2"}
    recipients = tmp_path / "recipients.csv"
    recipients.write_text("patient,urgency\nP1,9\nP2,1\n")
    call = ("typing-plan", candidates, "--budget", 1, "--out", out, "--recipients", recipients)
    assert run(*call)[0] == 0
    assert pd.read_csv(out)["patient"].tolist() == ["P1"]


def test_a_registry_states_its_own_availability(run: Run, candidates: Path, tmp_path: Path) -> None:
    rates = tmp_path / "rates.csv"
    rates.write_text(
        "registry,sex,age_from,age_to,availability\nR1,male,18,30,0.5\nR1,,,,0.25\nR2,,,,1\n"
    )
    out = tmp_path / "requests.csv"
    call = ("typing-plan", candidates, "--budget", 9, "--out", out, "--availability", rates)
    assert run(*call)[0] == 0
    found = pd.read_csv(out).set_index("donor")["availability"]
    assert found.to_dict() == {"D1": 0.5, "D2": 0.5, "D4": 0.25}
    assert run(*call, "--nine", 0.5, "--per-patient", 1)[0] == 0
    assert pd.read_csv(out)["patient"].is_unique


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("registry,availability\nR1,1.5\n", "availability '1.5' is not in 0 to 1"),
        ("registry,availability\nR1,often\n", "availability 'often'"),
        ("sex,availability\nother,0.5\n", "sex 'other' is neither"),
        ("age_from,availability\n-3,0.5\n", "age_from '-3'"),
        ("registry\nR1\n", "has no column 'availability'"),
    ],
)
def test_rates_that_are_refused(
    run: Run, candidates: Path, tmp_path: Path, content: str, match: str
) -> None:
    rates, out = tmp_path / "rates.csv", tmp_path / "x.csv"
    rates.write_text(content)
    code, _, error = run(
        "typing-plan", candidates, "--budget", 1, "--out", out, "--availability", rates
    )
    assert code == 1 and match in error and error.count("\n") == 1 and not out.exists()


def test_candidates_that_are_refused(run: Run, candidates: Path, tmp_path: Path) -> None:
    call = ("typing-plan", "--budget", 1, "--out", tmp_path / "x.csv")
    code, _, error = run(*call, candidates, "--patient", "P9")
    assert code == 1 and "no candidate of patient 'P9'" in error
    pd.DataFrame({"patient": ["P1"]}).to_parquet(tmp_path / "short.parquet")
    code, _, error = run(*call, tmp_path / "short.parquet")
    assert code == 1 and "lack the columns donor, p10" in error
    (tmp_path / "no.parquet").write_text("nonsense")
    assert run(*call, tmp_path / "no.parquet")[0] == 1
