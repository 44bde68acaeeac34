"""Prediction, batch, allocation and risk from the command line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.service.conftest import Run

PATIENT = "A*01:01+A*02:01^B*08:01+B*07:02^C*07:01+C*07:02^DRB1*03:01+DRB1*15:01"
PATIENT += "^DQB1*02:01+DQB1*06:02"
COLUMNS = ["patient", "donor", "p_a", "p_b", "p_c", "p_drb1", "p_dqb1", "p10", "p9", "p8"]


def test_frequency_sets(run: Run, tmp_path: Path) -> None:
    assert "no frequency set is imported" in run("frequencies", "show")[1]
    file = tmp_path / "two.csv"
    file.write_text(
        "haplotype,population,frequency\n"
        "A*01:01~C*07:01~B*08:01~DRB1*03:01~DQB1*02:01,X,0.6\n"
        "A*02:01~C*07:02~B*07:02~DRB1*15:01~DQB1*06:02,X,0.3999\n"
        "A*02:01~C*07:02~B*07:02~DRB1*15:01~DQB1*06:02,Y,1\n"
    )
    code, _, error = run("frequencies", "import", file)
    assert code == 1 and "choose one with --population" in error
    code, printed, _ = run("frequencies", "import", file, "--population", "X")
    assert code == 0 and printed.startswith("* X: population X, 2 haplotypes")
    assert "sum 0.999900" in printed
    code, printed, _ = run("frequencies", "import", file, "--population", "Y", "--name", "other")
    assert code == 0
    shown = run("frequencies", "show")[1].splitlines()
    assert [line[:7] for line in shown] == ["  X: po", "* other"]
    code, _, error = run("frequencies", "import", file, "--population", "X", "--name", "../x")
    assert code == 1 and "is no name for a frequency set" in error
    file.write_text("haplotype,population,frequency\nA*01:01~B*08:01,X,1\n")
    code, printed, error = run("frequencies", "import", file, "--name", "short")
    assert code == 0 and "does not carry C, DRB1, DQB1" in error
    assert [line[:7] for line in run("frequencies", "show")[1].splitlines()] == [
        "  X: po",
        "* other",
        "  short",
    ]
    printed = run("frequencies", "show", "--population", "Z", "--registry", "R")[1]
    assert printed.startswith("chosen by: the set in use\n* other: ")
    assert run("frequencies", "show", "--population", "X")[1].splitlines()[1].startswith("  X: ")
    file.write_text("haplotype,population,frequency\nA*01:01,X,-1\n")
    code, _, error = run("frequencies", "import", file)
    assert code == 1 and "frequency '-1'" in error and error.count("\n") == 1


def test_predict_on_the_demo(run: Run, registry: Path, tmp_path: Path) -> None:
    out = tmp_path / "pairs.parquet"
    code, printed, _ = run(
        *("predict", "--release", "demo", "--frequencies", "demo", "--out", out),
        *("--patients", registry / "patients.csv", "--donors", registry / "donors.csv"),
    )
    assert code == 0 and "pairs of 4 patients" in printed
    pairs = pd.read_parquet(out)
    assert pairs.columns.tolist() == COLUMNS and len(pairs) > 0
    total = pairs[["p10", "p9", "p8"]].sum(axis=1)
    assert total.gt(0.0005).all() and total.le(1 + 1e-9).all()
    assert pairs[COLUMNS[2:]].ge(0).all().all()


def test_who_cannot_be_predicted_is_listed_and_not_a_mismatch(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "one.csv"
    file.write_text(
        "haplotype,population,frequency\nA*01:01~C*07:01~B*08:01~DRB1*03:01~DQB1*02:01,X,1\n"
    )
    donors = tmp_path / "donors.txt"
    donors.write_text("D1%A*01:01+A*01:01\nD2%A*02:01+A*02:01\nD3%A*02:01\n")
    patients = tmp_path / "patients.txt"
    patients.write_text("P1%A*01:01+A*01:01\n")
    out = tmp_path / "pairs.parquet"
    code, printed, error = run(
        *("predict", "--release", "demo", "--frequencies", file, "--out", out),
        *("--patients", patients, "--donors", donors),
    )
    assert code == 3 and "1 pairs of 1 patients and 1 donors" in printed
    assert "1 people have no prediction (unknown, not 0)" in error
    unknown = pd.read_csv(tmp_path / "pairs.parquet.unknown.csv")
    assert unknown[["role", "id"]].to_numpy().tolist() == [["donor", "D2"]]
    assert (tmp_path / "pairs.parquet.donors.rejects.csv").exists()
    short = tmp_path / "short.csv"
    short.write_text("haplotype,population,frequency\nA*01:01~B*08:01,X,1\n")
    code, _, error = run(
        *("predict", "--release", "demo", "--frequencies", short, "--out", out),
        *("--patients", patients, "--donors", donors),
    )
    assert code == 1 and "does not carry C, DRB1, DQB1" in error


def test_match_shows_probabilities_risk_and_the_allocated_donor(
    run: Run, registry: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found.csv"
    search = ("match", "--release", "demo", "--patients", registry / "patients.csv")
    assert run(*search, "--out", out)[0] == 0
    found = pd.read_csv(out)
    assert found["p10"].notna().mean() > 0.9
    certain = found["mismatches_worst"].eq(0) & found["p10"].notna()
    assert certain.any() and np.allclose(found.loc[certain, "p10"], 1)
    never = found["mismatches_best"].gt(0) & found["p10"].notna()
    assert np.allclose(found.loc[never, "p10"], 0)
    assert found["risk_agvhd_3_4"].between(0, 1).all()
    assert (found["risk_agvhd_3_4_low"] < found["risk_agvhd_3_4_high"]).all()
    assert found["model"].str.startswith("literature-2@").all()
    assert found["frequency_set"].eq("demo").all()
    mine = found[found["allocated_to"] == found["patient"]]
    assert len(mine) > 0 and mine["donor"].is_unique and mine["patient"].is_unique
    code, printed, _ = run(*search)
    assert code == 0 and "allocated" in printed and "risk model literature" in printed
    code, printed, _ = run("match", "--release", "demo", "--patient", PATIENT, "--limit", 2)
    assert code == 0 and "aGVHD III-IV" in printed and "P 10/10" in printed


def test_batch_and_allocate(run: Run, registry: Path, tmp_path: Path) -> None:
    batch = ("batch", registry / "patients.csv", "--release", "demo", "--as-of", "2026-01-01")
    for name in ("one", "two"):
        code, printed, _ = run(*batch, "--out", tmp_path / name, "--max-mismatches", 2)
        assert code == 0 and "optimal" in printed
    for file in ("candidates.parquet", "allocation.parquet", "summary.json"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    candidates = pd.read_parquet(tmp_path / "one/candidates.parquet")
    allocation = pd.read_parquet(tmp_path / "one/allocation.parquet")
    summary = json.loads((tmp_path / "one/summary.json").read_text())
    given = allocation.loc[allocation["allocated"] != "", "allocated"]
    assert given.is_unique and summary["allocated"] == len(given) > 0
    assert summary["objective"] == summary["bound"] == allocation["utility"].sum()
    mine = candidates["allocated_to"] == candidates["patient"]
    assert sorted(candidates.loc[mine, "donor"]) == sorted(given)
    assert (summary["release"], summary["frequency_set"]) == ("demo", "demo")
    code, printed, _ = run(
        "allocate", tmp_path / "one/candidates.parquet", "--out", tmp_path / "again.parquet"
    )
    again = pd.read_parquet(tmp_path / "again.parquet").set_index("patient")["allocated"]
    assert code == 0 and again.to_dict() == {
        k: v
        for k, v in allocation.set_index("patient")["allocated"].items()
        if k in set(candidates["patient"])
    }


def test_two_patients_one_donor(run: Run, tmp_path: Path) -> None:
    donors = tmp_path / "donors.csv"
    donors.write_text(f"id,age_years,gl\nD1,25,{PATIENT}\n")
    assert run("registry", "import", donors, "--release", "demo")[0] == 0
    patients = tmp_path / "patients.txt"
    patients.write_text(
        f"P1%{PATIENT}\nP2%{PATIENT}\nP3%A*11:01+A*11:01^B*35:01+B*35:01\nP4%A*01:01\n"
    )
    code, _, error = run("batch", patients, "--release", "demo", "--out", tmp_path / "out")
    assert code == 3 and "rejects.csv" in error
    allocation = pd.read_parquet(tmp_path / "out/allocation.parquet").set_index("patient")
    assert allocation["allocated"].to_dict() == {"P1": "D1", "P2": "", "P3": ""}
    assert allocation["reason"].to_dict() == {
        "P1": "",
        "P2": "best candidate given to another patient",
        "P3": "no candidate",
    }
    assert allocation["best_given_to"].to_dict() == {"P1": "", "P2": "P1", "P3": ""}


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (None, "cannot read candidates"),
        ({"donor": ["D1"]}, "no column 'patient'"),
        ({"patient": ["P1"], "donor": ["D1"]}, "lack the columns p10"),
    ],
)
def test_candidates_that_are_refused(
    run: Run, tmp_path: Path, content: dict[str, list[str]] | None, match: str
) -> None:
    path = tmp_path / "candidates.parquet"
    if content is None:
        path.write_text("nonsense")
    else:
        pd.DataFrame(content).to_parquet(path)
    code, printed, error = run("allocate", path, "--out", tmp_path / "x.parquet")
    assert (code, printed) == (1, "") and match in error and error.count("\n") == 1
    assert not (tmp_path / "x.parquet").exists()


def test_an_empty_allocation_is_an_answer(run: Run, tmp_path: Path) -> None:
    columns = ["patient", "donor", "p10", "p9", "mismatches_best", "age_years", "dpb1_tce"]
    pd.DataFrame({name: [] for name in columns}).to_parquet(tmp_path / "none.parquet")
    out = tmp_path / "x.parquet"
    code, printed, _ = run("allocate", tmp_path / "none.parquet", "--out", out)
    assert code == 0 and printed.startswith("0 patients, 0 allocated: optimal, utility 0")
    assert len(pd.read_parquet(out)) == 0


def test_the_exercise_as_a_batch(
    run: Run, shared: Path, release_3580: Path, tmp_path: Path
) -> None:
    """WMDA exercise 3 from text: every patient, allocation included, and prediction by file."""
    assert run("reference", "install", "3.58.0", "--from", release_3580)[0] == 0
    frequencies = shared / "mvt3/haplotype_frequencies.csv"
    assert run("frequencies", "import", frequencies)[0] == 0
    assert run("registry", "import", shared / "mvt3/don.gl.txt.gz")[0] == 0
    patients = shared / "mvt3/pat.gl.txt.gz"
    code, printed, _ = run(
        "batch", patients, "--null-imputation", "partner", "--out", tmp_path / "out"
    )
    assert code == 0 and printed.startswith("1,000 patients") and "optimal" in printed
    candidates = pd.read_parquet(tmp_path / "out/candidates.parquet")
    assert candidates["p10"].notna().all()
    mine = candidates["allocated_to"] == candidates["patient"]
    assert mine.any() and candidates.loc[mine, "donor"].is_unique
    with gzip.open(shared / "mvt3/don.gl.txt.gz", "rt") as lines:
        few = tmp_path / "donors.txt"
        few.write_text("".join(line for line, _ in zip(lines, range(200), strict=False)))
    code, printed, _ = run(
        *("predict", "--patients", patients, "--donors", few, "--frequencies", frequencies),
        *("--null-imputation", "partner", "--resolution", "two-field"),
        *("--out", tmp_path / "pairs.parquet"),
    )
    assert code == 0
    pairs = pd.read_parquet(tmp_path / "pairs.parquet").set_index(["patient", "donor"])
    expected = pd.read_parquet(shared / "mvt3/expected_p000001_p000500.parquet")
    expected = expected[expected["donor"].le("D000200")].set_index(["patient", "donor"])
    half = pairs[pairs.index.get_level_values(0) <= "P000500"]
    assert half.index.equals(expected.index)
    assert np.abs(half.to_numpy() - expected[half.columns].to_numpy()).max() < 1e-9
