"""Risk from the command line: cohort to model to use, and every refusal."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.models import find_model
from tests.service.conftest import Run


@pytest.fixture
def cohort(run: Run, tmp_path: Path) -> Path:
    path = tmp_path / "cohort.csv"
    code, printed, _ = run("risk", "simulate", "--out", path, "--transplants", 400)
    assert code == 0 and "synthetic" in printed
    return path


@pytest.fixture
def model(run: Run, cohort: Path, tmp_path: Path) -> Path:
    out = tmp_path / "ours"
    code, printed, _ = run(
        *("risk", "train", "--cohort", cohort, "--outcome", "cgvhd", "--group", "centre"),
        *("--out", out, "--folds", 3, "--no-challenger"),
    )
    assert code == 0 and "model ours@" in printed
    return out


def test_a_model_from_cohort_to_use_and_back(
    run: Run, cohort: Path, model: Path, tmp_path: Path
) -> None:
    asked = ("risk", "predict", "--set", "donor_age_years=45", "--set", "sex_match=F-M", "--json")
    literature = json.loads(run(*asked)[1])
    assert literature["model"].startswith("literature-3@")
    for answer in literature["outcomes"].values():
        assert 0 < answer["low"] < answer["probability"] < answer["high"] < 1
        log_odds = answer["intercept"] + sum(row["log_odds"] for row in answer["factors"])
        assert answer["probability"] == pytest.approx(1 / (1 + np.exp(-log_odds)))

    code, _, error = run("risk", "promote", model)
    assert code == 1 and "no evaluation on data that it has not seen" in error
    # The file that it was fitted on does not count.
    code, printed, _ = run("risk", "evaluate", "--model", model, "--cohort", cohort, "--json")
    assert code == 0 and "optimistic" in json.loads(printed)["outcomes"]["cgvhd"]["how"]
    assert "no evaluation on data" in run("risk", "promote", model)[2]

    other = tmp_path / "other.csv"
    run("risk", "simulate", "--out", other, "--transplants", 600, "--seed", 3)
    evaluate = ("risk", "evaluate", "--model", model, "--cohort", other)
    code, printed, _ = run(*evaluate, "--recalibrate", "intercept", "--json")
    found = json.loads(printed)["outcomes"]["cgvhd"]
    assert code == 0 and found["recalibration_shift"] != 0
    low, high = found["observed_expected_ci"]
    assert low < 1 < high and found["n"] == 300
    assert "calibration_slope" in run(*evaluate)[1]
    assert "not compared with the model in use" in run("risk", "promote", model)[2]

    code, printed, _ = run("risk", "compare", model, "current", "--cohort", other)
    assert code == 0 and "log_loss" in printed
    code, printed, _ = run("risk", "promote", model)
    assert code == 0 and "model ours@" in printed
    assert json.loads(run(*asked)[1])["model"].startswith("ours@")
    shown = run("risk", "show")[1]
    assert "27. **Usability.**" in shown and "On other.csv" in shown
    assert json.loads(run("risk", "show", "--json")[1])["name"] == "ours"
    assert "literature-3@" in run("risk", "rollback")[1]
    assert json.loads(run(*asked)[1])["model"].startswith("literature-3@")
    assert "ours@" in run("risk", "rollback")[1]


def test_outcomes_that_cannot_be_trained_are_left_out_and_named(
    run: Run, cohort: Path, tmp_path: Path
) -> None:
    table = pd.read_csv(cohort, dtype=str)
    table["nrm_status"], table["nrm_days"] = ["1"] * 5 + ["0"] * (len(table) - 5), "500"
    table.loc[:4, "nrm_days"] = "100"
    path, out = tmp_path / "few.csv", tmp_path / "few"
    table[[name for name in table if not str(name).startswith("agvhd")]].to_csv(path, index=False)
    asked = ("risk", "train", "--cohort", path, "--out", out, "--folds", 3, "--no-challenger")
    code, printed, _ = run(*asked, "--json")
    document = json.loads(printed)
    assert code == 0 and list(document["outcomes"]) == ["cgvhd"]
    assert "5 patients with the event by day 365, a model needs 10" in document["left_out"]["nrm"]
    assert "Not trained: cohort" in (out / "card.md").read_text(encoding="utf-8")
    # Asked for by name it is refused.
    code, _, error = run(*asked, "--outcome", "nrm")
    assert code == 1 and "a model needs 10" in error


def test_models_evaluated_on_one_file_are_compared_without_it(
    run: Run, cohort: Path, model: Path, tmp_path: Path
) -> None:
    code, _, error = run("risk", "compare", model, "literature")
    assert code == 1 and "were not evaluated on one file" in error
    again = tmp_path / "again"
    run(
        *("risk", "train", "--cohort", cohort, "--outcome", "cgvhd", "--seed", 2),
        *("--out", again, "--folds", 3, "--no-challenger"),
    )
    for folder in (model, again):
        assert run("risk", "evaluate", "--model", folder, "--cohort", cohort)[0] == 0
    code, printed, _ = run("risk", "compare", model, again, "--json")
    rows = json.loads(printed)["differences"]
    assert code == 0 and {row["measure"] for row in rows} == {"auc", "brier", "log_loss"}


def test_donors_of_a_patient_beside_each_other(run: Run, tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "patient": ["p1", "p1", "p1", "p2"],
            "donor": ["d1", "d2", "d3", "d4"],
            "donor_type": ["sibling", "unrelated", "unrelated", "autologous"],
            "donor_age_years": ["50", "22", "", "40"],
            "dpb1_tce": ["match", "", "non-permissive GvH", ""],
            "graft_source": ["PB", "PB", "PB", "PB"],
        }
    )
    path, out = tmp_path / "donors.csv", tmp_path / "out.json"
    table.to_csv(path, index=False)
    code, printed, _ = run("risk", "predict", path, "--out", out)
    assert code == 0 and "4 donors" in printed
    document: Any = json.loads(out.read_text())
    first, second = document["patients"]
    assert (first["patient"], second["patient"]) == ("p1", "p2")
    risks = [donor["outcomes"]["agvhd_3_4"] for donor in first["donors"]]
    best = min(risks, key=lambda r: r["probability"])
    for answer in risks:
        gap = answer["probability"] - best["probability"]
        assert answer["difference"] == pytest.approx(gap)
        assert answer["best"] == (answer is best)
        assert answer["difference_low"] <= answer["difference"] <= answer["difference_high"]
        total = answer["intercept"] + sum(row["log_odds"] for row in answer["factors"])
        assert answer["probability"] == pytest.approx(1 / (1 + np.exp(-total)))
    assert "if_dpb1_were" not in risks[0] and "if_dpb1_were" not in risks[2]
    alternatives = risks[1]["if_dpb1_were"]
    assert set(alternatives) == {
        *("match", "permissive", "non-permissive GvH", "non-permissive HvG"),
    }
    assert (
        alternatives["match"]["probability"]
        < alternatives["permissive"]["probability"]
        < alternatives["non-permissive GvH"]["probability"]
    )
    own = second["donors"][0]["outcomes"]["cgvhd"]
    assert own["applicable"] is False and own["probability"] is None
    printed = run("risk", "predict", path)[1]
    assert "not applicable" in printed and "to the best" in printed


def test_a_level_that_the_model_never_saw_is_flagged_and_counted(
    run: Run, model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "donors.csv"
    path.write_text("donor_type,age_years\nhaploidentical,40\nsibling,40\n")
    code, printed, _ = run("risk", "predict", path, "--model", model, "--json")
    document = json.loads(printed)
    assert code == 0
    assert document["unseen"] == [
        "cgvhd, donor_type: haploidentical: never seen by the model, 1 rows"
    ]
    notes = [
        {row["factor"]: row["note"] for row in donor["outcomes"]["cgvhd"]["factors"]}
        for donor in document["patients"][0]["donors"]
    ]
    assert notes[0]["donor_type"].startswith("never seen") and not notes[1]["donor_type"]
    assert notes[0]["graft_source"].startswith("unknown")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("risk", "predict", "--set", "shoe_size=43"), "is no factor"),
        (("risk", "predict", "--set", "sex_match=X"), "none of M-M"),
        (("risk", "predict", "--set", "age_years=200"), "not from 0 to 110"),
        (("risk", "promote", "abcdef12"), "no model 'abcdef12'"),
        (("risk", "rollback"), "no model to go back to"),
        (("risk", "train", "--cohort", "absent.csv", "--out", "x"), "absent.csv"),
        (("risk", "show", "absent"), "no model 'absent'"),
    ],
)
def test_errors(run: Run, arguments: tuple[str, ...], match: str) -> None:
    code, printed, error = run(*arguments)
    assert (code, printed) == (1, "") and match in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.assign(age_years="130"), "gives age_years 130, not from 0 to 110"),
        (lambda t: t.assign(hctci="9"), "'9' is none of"),
        (lambda t: t.assign(donor_type="cousin"), "'cousin' is none of"),
        (lambda t: t.assign(cgvhd_days="-3"), "gives days -3, not from 0"),
        (lambda t: t.assign(cgvhd_status="3"), "'3' is none of 0, 1, 2"),
        (lambda t: t.assign(cgvhd_status="0"), "the outcome is the same for all 400 patients"),
        (lambda t: t.assign(ST2="7"), "column 'ST2' is not known"),
        (
            lambda t: t.assign(cgvhd_status=["1"] * 9 + ["0"] * 391, cgvhd_days="300").assign(
                cgvhd_days=["300"] * 9 + ["900"] * 391
            ),
            "9 patients with the event by day 365, a model needs 10",
        ),
    ],
)
def test_bad_cohorts_are_refused(
    run: Run, cohort: Path, tmp_path: Path, change: Any, match: str
) -> None:
    table = change(pd.read_csv(cohort, dtype=str, keep_default_na=False))
    table.to_csv(cohort, index=False)
    code, printed, error = run(
        *("risk", "train", "--cohort", cohort, "--outcome", "cgvhd", "--out", tmp_path / "m"),
    )
    assert (code, printed) == (1, "") and match in error
    assert not (tmp_path / "m").exists()


def test_what_was_recorded_after_the_transplant_cannot_predict(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "donors.csv"
    for column in ("ST2", "ANC_recovery", "cgvhd_status", "surv"):
        path.write_text(f"age_years,{column}\n40,1\n")
        code, _, error = run("risk", "predict", path)
        assert code == 1 and f"column '{column}' is recorded after the transplant" in error
    path.write_text("patient,age_years\na,1\nb,2\na,3\n")
    assert "do not stand together" in run("risk", "predict", path)[2]


def test_a_tampered_model_or_a_pickle_is_refused(run: Run, cohort: Path, model: Path) -> None:
    path = model / "model.json"
    good = path.read_text()
    for bad, match in (
        (good.replace('"name": "ours"', '"name": "evil"', 1).encode(), "changed or damaged"),
        (good.replace('"schema": 2', '"schema": 9', 1).encode(), "has schema 9"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94.", "pickles are never read"),
    ):
        path.write_bytes(bad)
        code, _, error = run("risk", "evaluate", "--model", model, "--cohort", cohort)
        assert code == 1 and match in error


def test_the_published_cohort_by_the_command_of_the_handbook(
    run: Run, shared: Path, tmp_path: Path
) -> None:
    path = Path(os.environ.get("GRAFTMATCH_DS1302", shared / "cohorts/cibmtr_ds1302.csv"))
    out = tmp_path / "m"
    code, printed, _ = run(
        *("risk", "train", "--cohort", path, "--mapping", "data/mappings/ds1302.yaml"),
        *("--outcome", "cgvhd", "--group", "center", "--out", out, "--folds", 3),
        *("--no-challenger", "--json"),
    )
    found = json.loads(printed)["outcomes"]["cgvhd"]
    assert code == 0 and 0.57 < found["auc"] < 0.65 and found["auc_ci"][1] < 0.70
    assert set(found["by"]) == {"sex", "age_group", "ancestry"}
    assert set(found["by"]["ancestry"]) == {"Asian", "Black", "White"}
    assert find_model(tmp_path, str(out))[0].outcomes[0].name == "cgvhd"


def test_small_cohorts_say_plainly_where_they_show_nothing(run: Run, shared: Path) -> None:
    for file, mapping in (
        ("kmsurv_bmt.csv", "kmsurv_bmt"),
        ("uci_bone_marrow_children.csv", "uci_bone_marrow_children"),
    ):
        code, printed, _ = run(
            *("risk", "evaluate", "--model", "literature"),
            *("--cohort", shared / "cohorts" / file, "--mapping", mapping),
        )
        assert code == 0
        assert "nothing is shown by this file" in printed
