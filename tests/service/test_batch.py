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
    assert "it would without A" in unknown["reason"][0]


def test_a_set_of_few_loci_predicts_over_these(run: Run, tmp_path: Path) -> None:
    """All, both directions, shared haplotypes and percents of a pair that is easily counted."""
    file = tmp_path / "short.csv"
    file.write_text(
        "haplotype,population,frequency\n"
        "A*01:01~B*08:01,X,0.5\nA*02:01~B*07:02,X,0.25\nA*01:01~B*07:02,X,0.25\n"
    )
    donors = tmp_path / "donors.txt"
    donors.write_text("D1%A*01:01+A*01:01\nD2%A*02:01+A*02:01\n")
    patients = tmp_path / "patients.txt"
    patients.write_text("P1%A*01:01+A*01:01^B*08:01+B*07:02\n")
    people = ("--release", "demo", "--patients", patients, "--donors", donors)
    out = tmp_path / "pairs.parquet"
    asked = ("predict", "--frequencies", file, "--out", out, "--min-probability", 0)
    assert run(*asked, *people, "--full", "--haplotypes")[0] == 0
    pair = pd.read_parquet(out).set_index("donor").loc["D1"]
    # The donor is 08:01+08:01 with 4/9, 08:01+07:02 with 4/9 and 07:02+07:02 with 1/9.
    expected = {"p4": 4 / 9, "p3": 5 / 9, "p2": 0, "p_a_2": 1, "p_b_1": 5 / 9, "p_gvh_1": 5 / 9}
    expected |= {"p_hvg_0": 1, "p_mismatches_1": 5 / 9, "p_shared_2": 4 / 9, "p_shared_1": 5 / 9}
    for name, value in expected.items():
        assert pair[name] == pytest.approx(value), name
    study = tmp_path / "study.txt"
    assert run(*asked[:3], "--out", study, *people, "--format", "wmda")[0] == 0
    assert study.read_text().splitlines() == ["P1;D1;A;100;P;44;56;44"]
    code, _, error = run(*asked, *people, "--loci", "A,C")
    assert code == 1 and "does not carry C" in error
    code, _, error = run(*asked[:3], "--out", study, *people, "--format", "wmda", "--full")
    assert code == 2 and "has no room" in error


def test_impute_writes_genotypes_and_pairs_by_population(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "sets.csv"
    file.write_text(
        "haplotype,population,frequency\n"
        "A*01:01~B*08:01,X,0.5\nA*02:01~B*07:02,X,0.5\n"
        "A*01:01~B*08:01,Y,0.25\nA*01:01~B*07:02,Y,0.75\n"
    )
    people = tmp_path / "people.csv"
    people.write_text(
        "id,ancestry,a,b\nx,X,A*01:01+A*01:01,\ny,Y,A*01:01+A*01:01,\n"
        "xy,X+Y,A*01:01+A*01:01,\nz,Z,A*01:01+A*01:01,\nw,X,A*02:01+A*02:01,B*08:01+B*08:01\n"
    )
    asked = ("impute", people, "--release", "demo", "--frequencies", file, "--by-ancestry")
    out = tmp_path / "genotypes.csv"
    code, printed, error = run(*asked, "--out", out)
    assert code == 0 and printed.startswith("7 genotypes of 3 people written")
    assert "note: 1 people under X=0.5+Y=0.5" in error
    found = pd.read_csv(out, keep_default_na=False)
    assert found.columns.tolist() == ["id", "a", "b", "probability", "dropped", "recombined"]
    of_y = found[found["id"] == "y"]
    assert of_y["b"].tolist() == [
        "B*07:02P+B*07:02P",
        "B*08:01P+B*07:02P",
        "B*08:01P+B*08:01P",
    ]
    assert np.allclose(of_y["probability"], [9 / 16, 6 / 16, 1 / 16])
    reasons = pd.read_csv(tmp_path / "genotypes.csv.unknown.csv").set_index("id")["reason"]
    assert "ancestry 'Z' is none of X, Y" in reasons["z"]
    assert "it would without A or without B" in reasons["w"]
    code, printed, error = run(*asked, "--population", "Y", "--recombine", "--out", out)
    assert code == 0 and "of 5 people" in printed and "1 people are explained by recomb" in error
    found = pd.read_csv(out, keep_default_na=False)
    assert found.groupby("id")["recombined"].first().to_dict() == {
        **dict.fromkeys(("x", "y", "xy", "z"), ""),
        "w": "A|B",
    }
    code, printed, _ = run(
        *asked, "--haplotypes", "--populations", "--out", tmp_path / "pairs.parquet"
    )
    pairs = pd.read_parquet(tmp_path / "pairs.parquet")
    mixed = pairs[pairs["id"] == "xy"].set_index(
        ["haplotype_1", "population_1", "haplotype_2", "population_2"]
    )["probability"]
    # A*01:01~B*08:01 has 1/4 from X and 1/8 from Y, A*01:01~B*07:02 3/8 from Y.
    both = ("A*01:01~B*08:01", "X", "A*01:01~B*08:01", "Y")
    assert mixed[both] == pytest.approx(2 * 1 / 4 * 1 / 8 / (6 / 8) ** 2)
    assert mixed.sum() == pytest.approx(1) and len(mixed) == 6
    shares = ("--population", "X=0.5,Y=0.5")
    code, _, _ = run(*asked[:-1], *shares, "--haplotypes", "--out", tmp_path / "plain.parquet")
    plain = pd.read_parquet(tmp_path / "plain.parquet")
    assert np.allclose(plain[plain["id"] == "z"]["probability"], [1 / 2, 1 / 4, 1 / 4])
    for wrong, match in (
        (("--population", "X=much"), "is no POPULATION=SHARE"),
        (("--population", "Q"), "choose one with --population"),
        (("--population", "X=-1,Y=2"), "not at least 0"),
    ):
        code, _, error = run(*asked[:-1], *wrong, "--out", out)
        assert code == 1 and match in error


def test_estimated_frequencies_can_be_imported(run: Run, tmp_path: Path) -> None:
    people = tmp_path / "people.txt"
    people.write_text("1%A*01:01+A*02:01^B*08:01+B*07:02\n2%A*01:01+A*01:01^B*08:01+B*08:01\n")
    out = tmp_path / "set.csv"
    asked = ("frequencies", "estimate", people, "--release", "demo", "--out", out)
    code, printed, _ = run(*asked, "--loci", "A,B", "--population", "OURS")
    assert code == 0 and "haplotypes from 2 people after" in printed and "converged" in printed
    steps = pd.read_csv(tmp_path / "set.csv.iterations.csv")
    assert steps["log_likelihood"].diff().iloc[1:].ge(-1e-12).all()
    assert pd.read_csv(out)["frequency"].sum() == pytest.approx(1)
    code, printed, _ = run("frequencies", "import", out, "--release", "demo")
    assert code == 0 and "OURS: population OURS" in printed
    code, _, error = run(*asked, "--loci", "A,C")
    assert code == 1 and "nobody is typed well enough" in error


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
    assert found["model"].str.startswith("literature-3@").all()
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
    assert [level["reached"] for level in summary["levels"]] == [len(given), summary["objective"]]
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


def candidates_file(path: Path, rows: list[tuple[str, str, float]], **columns: list[str]) -> Path:
    """Pairs with a P(10/10) each; all else is equal."""
    table = pd.DataFrame(rows, columns=["patient", "donor", "p10"]).assign(
        p9=0.0, mismatches_best=0, age_years=30.0, dpb1_tce="match", **columns
    )
    table.to_parquet(path)
    return path


def test_urgency_status_capacity_and_yesterday(run: Run, tmp_path: Path) -> None:
    rows = [("P1", "D1", 0.9), ("P1", "D2", 0.8), ("P2", "D1", 0.8), ("P3", "D3", 0.7)]
    rows += [("P4", "D4", 0.9)]
    path = candidates_file(
        tmp_path / "c.parquet",
        rows,
        status=["available"] * 4 + ["reserved"],
        registry=["R1", "R1", "R1", "R2", "R2"],
    )
    recipients = tmp_path / "recipients.csv"
    recipients.write_text(
        "patient,urgency,centre,deadline,ancestry,previous\n"
        "P1,1,X,2026-01-05,EUR,D2\nP2,3,Y,,AFR,\nP3,,X,2026-02-01,,\nother,1,X,,,\n"
    )
    out = tmp_path / "out.parquet"
    call = ("allocate", path, "--out", out, "--recipients", recipients, "--as-of", "2026-01-01")
    code, printed, _ = run(*call, "--one-more", "D1")
    assert code == 0 and "recipients served: 3; best 3, bound 3, gap 0.00 %, floor 3" in printed
    assert "recipients who keep yesterday's donor: 1" in printed
    assert "one more donor like D1: recipients served +0, urgency-weighted utility +100" in printed
    table = pd.read_parquet(out).set_index("patient")
    assert table["allocated"].to_dict() == {"P1": "D2", "P2": "D1", "P3": "D3", "P4": ""}
    assert table.loc["P4", "reason"] == "not available"
    assert table["swap_cost"].isna().to_dict() == dict.fromkeys(("P1", "P2", "P3"), False) | {
        "P4": True
    }
    capacities = tmp_path / "capacities.csv"
    capacities.write_text("kind,name,most\ncentre,X,1\nregistry,R1,1\nlaboratory,L,2\n")
    code, printed, _ = run(*call, "--capacities", capacities, "--weeks", 1)
    table = pd.read_parquet(out).set_index("patient")
    assert code == 0 and table["allocated"].to_dict() == {
        "P1": "",
        "P2": "D1",
        "P3": "D3",
        "P4": "",
    }
    assert table.loc["P1", "reason"] == "given to another patient"
    assert run(*call, "--capacities", capacities, "--fairness", 0, "--give-up", "0,0")[0] == 0
    assert run(*call, "--points", "p10=0,p9=0,risk=0,mismatch=0,dpb1=0,year=0")[0] == 0
    assert set(pd.read_parquet(out)["utility"]) == {0, 1}


@pytest.mark.parametrize(
    ("option", "content", "match"),
    [
        ("recipients", "name\nP1\n", "has no column 'patient'"),
        ("recipients", "patient,shoe\nP1,3\n", "column 'shoe' is none of patient, urgency"),
        ("recipients", "patient\nP1\nP1\n", "patient 'P1' has two rows"),
        ("recipients", "patient,urgency\nP1,high\n", "urgency of patient 'P1': 'high' is no int"),
        ("recipients", "patient,deadline\nP1,soon\n", "'soon' is no YYYY-MM-DD day"),
        ("capacities", "kind,name,most\nroom,X,1\n", "kind 'room' is none of centre"),
        ("capacities", "kind,name,most\ncentre,X,-1\n", "most of centre 'X': '-1'"),
        ("capacities", "kind,name,most\ncentre,X,1\ncentre,X,2\n", "give each name once"),
        ("one-more", "", "is no candidate of any patient"),
        ("fairness", "", "share of fairness to give up"),
    ],
)
def test_what_an_allocation_refuses(
    run: Run, tmp_path: Path, option: str, content: str, match: str
) -> None:
    path = candidates_file(tmp_path / "c.parquet", [("P1", "D1", 0.9)])
    given: object = tmp_path / "given.csv"
    (tmp_path / "given.csv").write_text(content)
    if option == "fairness":
        given = 2
    code, _, error = run("allocate", path, "--out", tmp_path / "x.parquet", f"--{option}", given)
    assert code == 1 and match in error and error.count("\n") == 1


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
        "P2": "given to another patient",
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
    assert code == 0 and "1,000 patients" in printed and "optimal" in printed
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
