"""Ranks of a search from the command line: the keys that are asked for, and what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from matching.rank import DEFAULT_KEYS
from tests.service.conftest import Run

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)
SEARCH = ("match", "--patient", PATIENT, "--release", "demo", "--max-mismatches", 3)


def found(run: Run, tmp_path: Path, *options: object) -> pd.DataFrame:
    out = tmp_path / "found.csv"
    code, _, error = run(*SEARCH, "--out", out, *options)
    assert code == 0, error
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


def test_donors_stand_in_the_order_of_bands(run: Run, registry: Path, tmp_path: Path) -> None:
    table = found(run, tmp_path)
    assert {f"rank_{key}" for key in DEFAULT_KEYS} <= set(table)
    band = table["rank_p10"].map(
        {f"at least {b} %": i for i, b in enumerate((99, 95, 75, 50, 25, 1))}
        | {"unknown": 5.5, "below 1 %": 6}
    )
    assert band.is_monotonic_increasing and band.nunique() > 2
    best = table[band == 0]
    assert (best["p10"] >= 0.99).all() and not best.empty
    by_age = found(run, tmp_path, "--rank", "age,mismatches_best")
    ages = by_age["age_years"].fillna(1000).tolist()
    assert ages == sorted(ages) and set(by_age["donor"]) == set(table["donor"])
    reasons = set(by_age["ranked_below_previous_for"].dropna())
    assert reasons <= {
        *("older, or age unknown", "more mismatches at best", "equal, by identifier"),
    }


def test_a_rule_from_a_file(run: Run, registry: Path, tmp_path: Path) -> None:
    rule = tmp_path / "rule.toml"
    rule.write_text('keys = ["mismatches_worst", "age"]\n')
    table = found(run, tmp_path, "--rank", rule)
    worst = table["mismatches_worst"].tolist()
    assert worst == sorted(worst)
    out = tmp_path / "found.json"
    assert run(*SEARCH, "--rank", rule, "--bands", "90,10", "--out", out)[0] == 0
    document = json.loads(out.read_text())
    assert document["rank_keys"] == ["mismatches_worst", "age"]
    assert document["rank_bands"] == [90, 10]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--rank", "p10,size"), "no key is called 'size'"),
        (("--rank", "absent.toml"), "No such file"),
        (("--bands", "10,90"), "fall"),
        (("--bands", "many"), "could not convert"),
    ],
)
def test_a_rule_that_cannot_be_followed(
    run: Run, registry: Path, options: tuple[str, ...], reason: str
) -> None:
    code, _, error = run(*SEARCH, *options)
    assert code == 2 and reason in " ".join(error.replace("│", " ").split())
