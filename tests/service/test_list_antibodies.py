"""Antibodies in lists of several types of donors and in pairs of cord units."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.service.conftest import Run
from tests.service.test_cord import SEARCH, WEIGHT, found
from tests.service.test_strata import FAMILY, family, listed  # noqa: F401

# A alone is tested. A*03:01 is of the patient of the example family, and of some relatives.
REPORT = """antigen_or_allele,mfi,date,kit
A*24:02,9000,2026-01-31,LSA I
A*01:01,100,2026-01-31,LSA I
A*02:01,4000,2026-01-31,LSA I
A*03:01,150,2026-01-31,LSA I
A*29:02,80,2026-01-31,LSA I
"""
PLACE = {"negative": 0, "not assessable": 1, "positive": 2}


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "antibodies.csv"
    path.write_text(REPORT)
    return path


def crossmatches(run: Run, report: Path, donors: pd.DataFrame, folder: Path) -> dict[str, str]:
    """The answers of `graftmatch crossmatch` for typings (columns `id` and `gl`)."""
    file, out = folder / "typed.csv", folder / "crossmatches.csv"
    donors.to_csv(file, index=False)
    arguments = ("crossmatch", "--antibodies", report, "--donors", file, "--release", "demo")
    assert run(*arguments, "--out", out)[0] == 0
    table = pd.read_csv(out)
    return dict(zip(table["donor"], table["answer"], strict=True))


def test_every_stratum_is_flagged_and_ordered(
    run: Run,
    units: pd.DataFrame,
    family: Path,  # noqa: F811
    report: Path,
    tmp_path: Path,
) -> None:
    options = ("--strata", "related,cord,adult", "--family", family, "--antibodies", report)
    table = listed(run, tmp_path / "list.csv", *options, "--max-mismatches", 4)
    typed = table[["donor", "typing"]].rename(columns={"donor": "id", "typing": "gl"})
    expected = crossmatches(run, report, typed.dropna(), tmp_path)
    known = table[table["typing"].notna()]
    assert known["antibody_answer"].tolist() == [expected[name] for name in known["donor"]]
    counts = known.groupby("stratum")["antibody_answer"].nunique()
    assert counts.min() > 1 and set(known["antibody_answer"]) == set(PLACE)
    # Those whom the typing leaves open stand between the others.
    for _, part in table.groupby("stratum"):
        places = part["antibody_answer"].map(PLACE).to_numpy()
        assert (np.diff(places) >= 0).all()
    positive = table[table["antibody_answer"] == "positive"]
    related = positive[positive["stratum"] == "related"]
    assert "S1" in set(related["donor"])
    assert positive["antibody_evidence"].str.contains("MFI").all()

    out = tmp_path / "kept.json"
    code, _, error = run(
        *("match", "--patient-id", "P", "--patient", _patient(), "--patient-facts", "weight_kg=70"),
        *("--release", "demo", "--as-of", "2026-01-01", *options, "--max-mismatches", 4),
        *("--exclude-positive", "--keep-donor", "S1=desensitised", "--out", out),
    )
    assert code == 0, error
    assert f"{len(positive) - 1} candidates are left out" in error and "S1 is kept" in error
    document = json.loads(out.read_text())
    assert document["antibodies"]["overrides"] == {"S1": "desensitised"}
    assert set(document["antibodies"]["excluded"]["P"]) == {*positive["donor"]} - {"S1"}
    for stratum in document["strata"]:
        before = table[table["stratum"] == stratum["stratum"]]
        kept = before[(before["antibody_answer"] != "positive") | (before["donor"] == "S1")]
        donors = stratum["patients"][0]["donors"]
        assert {one["donor"] for one in donors} == set(kept["donor"])
        assert set(stratum["excluded"]["P"]) == {*before["donor"]} - {*kept["donor"]}
    code, printed, _ = run(
        *("match", "--patient-id", "P", "--patient", _patient(), "--release", "demo", *options)
    )
    assert code == 0 and printed.count("antib.") >= 6 and "virtual crossmatch" in printed


def _patient() -> str:
    rows = pd.read_csv(FAMILY, dtype=str).set_index("id")["gl"].to_dict()
    return str(rows["P"])


def test_pairs_of_units_with_a_positive_one(
    run: Run,
    units: pd.DataFrame,
    report: Path,
    tmp_path: Path,
) -> None:
    report.write_text(REPORT.replace("4000", "40").replace("150", "1500"))
    rule = ("--cord-rule", 6, "--max-mismatches", 3, *WEIGHT)
    plain = (*rule, "--double", "--min-unit-tnc", 1.5, "--min-tnc", 4.5, "--page-size", 10_000)
    before = found(run, tmp_path / "before.csv", *plain)
    pairs = found(run, tmp_path / "pairs.csv", *plain, "--antibodies", report)
    singles = found(run, tmp_path / "single.csv", *rule).set_index("donor")
    typed = singles.reset_index()[["donor", "typing"]].set_axis(["id", "gl"], axis=1)
    answers = {k: PLACE[v] for k, v in crossmatches(run, report, typed, tmp_path).items()}
    assert len(pairs) == len(before) > 30
    counted, tnc, cd34 = (
        singles[name] for name in ("rank_mismatches_counted", "tnc_1e7", "cd34_1e6")
    )
    order, reasons = [], []
    for row in pairs.to_dict(orient="records"):
        names = [row["unit_1"], row["unit_2"]]
        graded = sorted([(answers[name], int(counted[name])) for name in names], reverse=True)
        assert [PLACE[row[f"antibody_answer_{n}"]] for n in (1, 2)] == [answers[n] for n in names]
        assert PLACE[row["antibody_answer"]] == max(answers[name] for name in names)
        dose = cd34[names].sum(skipna=False) / 70
        order.append(
            (
                *itertools.chain.from_iterable(graded),
                -np.floor(tnc[names].sum() / 70 / 0.5 + 1e-6),
                np.inf if np.isnan(dose) else -np.floor(dose / 0.05 + 1e-6),
                row["mismatches_between"],
                *sorted(names),
            )
        )
        reasons.append(row["ranked_below_previous_for"])
    assert order == sorted(order) and len({one[0] for one in order}) == 3
    for one, other, why in zip(order, order[1:], reasons[1:], strict=False):
        place = next(i for i in range(9) if one[i] != other[i])
        assert ("virtual crossmatch" in why) == (place in (0, 2))
    kept = found(
        *(run, tmp_path / "kept.csv", *plain, "--antibodies", report, "--exclude-positive")
    )
    assert set(zip(kept["unit_1"], kept["unit_2"], strict=True)) == {
        pair
        for pair in zip(pairs["unit_1"], pairs["unit_2"], strict=True)
        if max(answers[name] for name in pair) < 2
    }
    out = tmp_path / "pairs.json"
    assert run(*SEARCH, *plain, "--antibodies", report, "--exclude-positive", "--out", out)[0] == 0
    document = json.loads(out.read_text())
    assert document["risk"] is None and "no factor for a second one" in document["risk_not_told"]
    excluded = {name for name, place in answers.items() if place == 2}
    assert set(document["antibodies"]["excluded"]["patient"]) == excluded
    code, printed, _ = run(*SEARCH, *plain[:-1], 5, "--antibodies", report)
    assert code == 0 and "antib." in printed and "no risk is told of two units" in printed


def test_pages_of_a_search_with_antibodies(
    run: Run,
    units: pd.DataFrame,
    report: Path,
    tmp_path: Path,
) -> None:
    options = ("--antibodies", report, "--exclude-positive", "--max-mismatches", 4)
    whole = found(run, tmp_path / "whole.csv", *options)
    parts, token = [], tuple[str, ...]()
    while True:
        out = tmp_path / "page.csv"
        code, _, error = run(*SEARCH, *options, "--page-size", 15, *token, "--out", out)
        assert code == 0, error
        parts.append(pd.read_csv(out, keep_default_na=False, na_values=[""]))
        if "next page" not in error:
            break
        token = ("--page", error.split("--page ")[1].split()[0])
    assert len(parts) > 2
    assert pd.concat(parts)["donor"].tolist() == whole["donor"].tolist()
    report.write_text(REPORT.replace("4000", "400"))
    code, _, error = run(*SEARCH, *options, "--page-size", 15, *token)
    assert code == 1 and "changed" in error


def test_details_of_every_stratum(
    run: Run,
    units: pd.DataFrame,
    family: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    options = ("--strata", "related,adult", "--family", family)
    table = listed(run, tmp_path / "list.csv", *options, "--details", "--haplotypes")
    adults = found(
        *(run, tmp_path / "adults.csv", "--donor-type", "adult", "--details"),
        *("--patient", _patient()),
    )
    own = table[table["stratum"] == "adult"].reset_index(drop=True)
    for column in ("category", "a_grade_1", "drb1_category", "b_residues_2"):
        pd.testing.assert_series_equal(own[column], adults[column], check_dtype=False)
    assert own["p_shared_0"].notna().any()
    related = table.set_index("donor")
    assert related["a_category"]["S4"] == "allele match" or related["a_grade_1"]["S4"]
