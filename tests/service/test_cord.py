"""Cord blood units from the command line: rules, doses, grafts of two, mothers, strata."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.service.conftest import Run

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)
SEARCH = ("match", "--patient", PATIENT, "--release", "demo", "--as-of", "2026-01-01")
WEIGHT = ("--patient-facts", "weight_kg=70")


def found(run: Run, out: Path, *options: object) -> pd.DataFrame:
    code, _, error = run(*SEARCH, *options, "--out", out)
    assert code == 0, error
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


@pytest.mark.parametrize(
    ("rule", "plain"),
    [
        (("--cord-rule", "8"), ("--loci", "A,B,C,DRB1", "--max-mismatches", 3)),
        (
            ("--cord-rule", "6", "--max-mismatches", "1"),
            ("--loci", "A,B,DRB1", "--level", "A=antigen,B=antigen", "--max-mismatches", 1),
        ),
    ],
)
def test_a_rule_is_criteria_by_name(
    run: Run, units: pd.DataFrame, tmp_path: Path, rule: tuple[str, ...], plain: tuple[object, ...]
) -> None:
    named = found(run, tmp_path / "named.csv", *rule, *WEIGHT)
    spelled = found(run, tmp_path / "plain.csv", *plain, "--donor-type", "cord")
    assert set(named["donor"]) == set(spelled["donor"]) and len(named) > 10
    assert (named["type"] == "cord").all()
    ordered = pd.DataFrame(
        {
            "mismatches": named["rank_mismatches_counted"],
            "tnc": -np.floor(named["tnc_1e7"] / 70 / 0.5),
            "cd34": -np.floor(named["cd34_1e6"] / 70 / 0.05),
        }
    ).fillna(np.inf)
    keys = list(ordered.itertuples(index=False, name=None))
    assert keys == sorted(keys)
    at_best = 70 * named["rank_tnc"].str.extract(r"at least ([\d.]+)")[0].astype(float)
    known = at_best.notna()
    assert (named["rank_tnc"][~known] == "unknown").all() and known.sum() > 5
    assert (at_best[known] <= named["tnc_1e7"][known]).all()
    assert (named["tnc_1e7"][known] < at_best[known] + 0.5 * 70).all()


def test_pairs_of_units(run: Run, units: pd.DataFrame, tmp_path: Path) -> None:
    singles = found(run, tmp_path / "single.csv", "--cord-rule", "6", *WEIGHT).set_index("donor")
    options = ("--donor-type", "cord", "--double", "--min-unit-tnc", 1.2, "--min-tnc", 3, *WEIGHT)
    pairs = found(run, tmp_path / "pairs.csv", *options, "--page-size", 10_000)
    tnc, cd34 = singles["tnc_1e7"] / 70, singles["cd34_1e6"] / 70
    counted = singles["rank_mismatches_counted"]
    expected = {
        frozenset(pair)
        for pair in itertools.combinations(singles.index, 2)
        if not tnc[list(pair)].isna().any()
        and tnc[list(pair)].min() >= 1.2
        and tnc[list(pair)].sum() >= 3
    }
    both = [frozenset(pair) for pair in zip(pairs["unit_1"], pairs["unit_2"], strict=True)]
    assert len(set(both)) == len(both) > 20 and set(both) < expected
    order = []
    for row in pairs.to_dict(orient="records"):
        names = [row["unit_1"], row["unit_2"]]
        assert [row["mismatches_1"], row["mismatches_2"]] == counted[names].tolist()
        assert row["mismatches_between"] <= 2
        assert row["tnc_1e7_per_kg"] == pytest.approx(tnc[names].sum())
        dose = cd34[names].sum(skipna=False)
        order.append(
            (
                counted[names].max(),
                counted[names].min(),
                -np.floor(tnc[names].sum() / 0.5 + 1e-6),
                np.inf if np.isnan(dose) else -np.floor(dose / 0.05 + 1e-6),
                row["mismatches_between"],
                *sorted(names),
            )
        )
    assert order == sorted(order)
    # More is allowed between the units, and all that meet the dose are there.
    wide = found(
        *(run, tmp_path / "wide.csv", *options, "--page-size", 10_000),
        *("--max-mismatches-between", 6),
    )
    assert {frozenset(p) for p in zip(wide["unit_1"], wide["unit_2"], strict=True)} == expected


def test_pages_of_pairs_are_the_whole(run: Run, units: pd.DataFrame, tmp_path: Path) -> None:
    options = ("--double", "--cord-rule", "8", "--min-tnc", 3, "--min-unit-tnc", 1, *WEIGHT)
    whole = found(run, tmp_path / "whole.csv", *options, "--page-size", 10_000)
    assert len(whole) > 80
    parts, token = [], tuple[str, ...]()
    while True:
        out = tmp_path / "page.csv"
        code, _, error = run(*SEARCH, *options, "--page-size", 40, *token, "--out", out)
        assert code == 0, error
        parts.append(pd.read_csv(out, keep_default_na=False, na_values=[""]))
        if "next page" not in error:
            break
        token = ("--page", error.split("--page ")[1].split()[0])
    joined = pd.concat(parts, ignore_index=True)
    pd.testing.assert_frame_equal(joined, whole, check_dtype=False)
    code, _, error = run(*SEARCH, "--double", "--page-size", 7, *token, *WEIGHT)
    assert code == 1 and "the criteria changed" in error


def test_pairs_on_the_screen_and_as_json(run: Run, units: pd.DataFrame, tmp_path: Path) -> None:
    code, printed, error = run(*SEARCH, "--double", "--min-tnc", 3, *WEIGHT, "--limit", 3)
    assert code == 0 and "together at least 3 x 10^7" in printed, error
    assert "units without a count" in printed and "next page: --page" in error
    out = tmp_path / "pairs.json"
    assert run(*SEARCH, "--double", *WEIGHT, "--out", out, "--min-unit-cd34", 0.03)[0] == 0
    document = json.loads(out.read_text())
    assert document["double"]["min_tnc"] == 3.5 and document["double"]["min_unit_cd34"] == 0.03
    assert document["pairs"] and document["units_without_count"] > 0
    assert all(pair["cd34_1e6_per_kg_1"] >= 0.03 for pair in document["pairs"])


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--double",), 1, "give weight_kg, or --patient-facts weight_kg=70"),
        (("--double", "--donor-type", "adult"), 2, "for cord units alone"),
        (("--double", "--no-potential", *WEIGHT), 2, "does not go with --no-potential"),
        (("--cord-rule", "6", "--loci", "A"), 2, "does not go with --loci"),
        (("--cord-rule", "7"), 2, "'7' is not one of"),
        (("--min-unit-tnc", 1), 2, "only with --double"),
        (("--strata", "adult,cord,adult"), 2, "each once"),
        (("--strata", "adult", "--donor-type", "cord"), 2, "one of --strata and --donor-type"),
        (("--strata", "adult", "--double"), 2, "holds single units"),
        (("--strata", "adult", "--page-size", 5), 2, "pages are of one type"),
    ],
)
def test_options_that_do_not_go_together(
    run: Run, registry: Path, options: tuple[object, ...], code: int, reason: str
) -> None:
    ended, _, error = run(*SEARCH, *options)
    assert ended == code and reason in " ".join(error.replace("│", " ").split())


def test_a_batch_by_a_rule(run: Run, units: pd.DataFrame, registry: Path, tmp_path: Path) -> None:
    out = tmp_path / "batch"
    code, _, error = run(
        *("batch", registry / "patients.csv", "--out", out, "--release", "demo"),
        *("--cord-rule", "6", "--max-mismatches", 2, "--best", 5),
    )
    assert code == 0, error
    table = pd.read_parquet(out / "candidates.parquet")
    assert (table["type"] == "cord").all() and len(table) > 5
    assert table.groupby("patient").size().max() <= 5
    assert table["rank_mismatches_counted"].astype(int).max() <= 2
    assert json.loads((out / "summary.json").read_text())["antigen_loci"] == ["A", "B"]


def test_a_dose_as_a_key_is_unknown_without_a_weight(
    run: Run, units: pd.DataFrame, tmp_path: Path
) -> None:
    table = found(run, tmp_path / "found.csv", "--rank", "tnc", "--max-mismatches", 4)
    assert set(table["rank_tnc"]) == {"no cord unit", "unknown"}


def test_mothers_of_units(run: Run, tmp_path: Path) -> None:
    """A*02:01 of the patient is what the unit did not inherit from its mother, or is not."""
    rest = "^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01"
    mothers = {
        "CU1": f"A*01:01+A*02:01{rest}",
        "CU2": f"A*01:01+A*03:01{rest}",
        "CU3": f"A*02:01+A*24:02{rest}",
        "CU4": "",
    }
    units = pd.DataFrame(
        {
            "id": mothers.keys(),
            "type": "cord",
            "gl": f"A*01:01+A*03:01{rest}",
            "mother_gl": mothers.values(),
            "tnc_1e7": [150, 160, 170, 180],
        }
    )
    units.to_csv(tmp_path / "units.csv", index=False)
    assert run("registry", "import", tmp_path / "units.csv", "--release", "demo")[0] == 0
    keys = ("--cord-rule", "8", "--rank", "mismatches_counted,nima,tnc")
    table = found(run, tmp_path / "found.csv", *keys, *WEIGHT)
    assert table["donor"].tolist() == ["CU1", "CU4", "CU3", "CU2"]
    assert table["rank_nima"].tolist() == [
        *("no mismatch, or matched", "unknown or potential", "unknown or potential"),
        "not matched",
    ]
    texts = ["A matched", "A unknown", "A not the mother", "A not matched"]
    assert table["nima"].tolist() == texts
    code, printed, _ = run(*SEARCH, "--cord-rule", "8", *WEIGHT)
    assert code == 0 and "maternal" in printed and printed.count("7/8") == 4
    pairs = found(run, tmp_path / "pairs.csv", "--double", "--min-tnc", 3, *WEIGHT)
    told: dict[str, str] = {}
    for n in (1, 2):
        told |= dict(zip(pairs[f"unit_{n}"], pairs[f"nima_{n}"], strict=True))
    assert told == dict(zip(table["donor"], texts, strict=True))
