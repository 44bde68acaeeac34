"""Batches of strata, relatives and antibodies: the rows of match, after interruptions too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from data.models import active_model
from matching.rank import RankRule
from service.batch.checkpoints import Checkpoints
from service.batch.columns import (
    ANTIBODY_COLUMNS,
    MATERNAL_COLUMNS,
    RELATIVE_COLUMNS,
    STRATUM_COLUMNS,
    candidate_schema,
)
from tests.conftest import PROJECT
from tests.service.conftest import Run
from tests.service.test_batch_runs import batch_of, contents

# Of the patients, whom antibodies are reported of and who has relatives.
REPORTED, RELATED = ("P00000001", "P00000005"), ("P00000001", "P00000002")


class Everything(NamedTuple):
    """Files of a batch; half of the donors are cord units."""

    patients: Path
    antibodies: Path
    family: Path

    def options(self, *more: object) -> list[object]:
        return [
            *("--strata", "related,cord,adult", "--family", self.family),
            *("--antibodies", self.antibodies, "--max-mismatches", 3, *more),
        ]


@pytest.fixture
def everything(run: Run, patients: Path, tmp_path: Path) -> Everything:
    donors = pd.read_csv(patients.parent / "donors.csv", dtype=str, keep_default_na=False)
    cord = np.arange(len(donors)) % 2 == 0
    donors["type"] = np.where(cord, "cord", "adult")
    donors.loc[cord, ["age_years", "weight_kg"]] = ""
    donors["tnc_1e7"] = np.where(cord, "150", "")
    donors.to_csv(tmp_path / "units.csv", index=False)
    assert run("registry", "import", tmp_path / "units.csv", "--release", "demo")[0] == 0
    antibodies = tmp_path / "antibodies.csv"
    lines = ["patient,antigen_or_allele,mfi,date"]
    for patient in REPORTED:
        beads = {"A*02:01": 9000, "A*01:01": 100, "A*03:01": 50, "A*24:02": 3000}
        lines += [f"{patient},{name},{mfi},2026-01-31" for name, mfi in beads.items()]
    antibodies.write_text("\n".join(lines) + "\n")
    typed = pd.read_csv(patients, dtype=str, keep_default_na=False)
    own = typed.set_index("id")
    loci = [name for name in ("a", "b", "c", "drb1", "dqb1") if name in typed]
    rows = []
    for patient in RELATED:
        typing = own.loc[patient, loci].to_dict()
        rows += [
            {"id": f"{patient}-F", "sex": "male"},
            {"id": f"{patient}-M", "sex": "female"},
            {"id": patient, "father": f"{patient}-F", "mother": f"{patient}-M"},
            {"id": f"{patient}-S", "father": f"{patient}-F", "mother": f"{patient}-M", **typing},
        ]
    family = tmp_path / "family.csv"
    columns = ["id", "father", "mother", "sex", *loci]
    pd.DataFrame(rows, columns=columns).fillna("").to_csv(family, index=False)
    return Everything(patients, antibodies, family)


def test_a_batch_has_the_rows_of_match(run: Run, everything: Everything, tmp_path: Path) -> None:
    out = tmp_path / "batch"
    code, _, error = run(*batch_of(everything.patients, out, *everything.options("--best", 3)))
    assert code == 0, error
    found = pd.read_parquet(out / "candidates.parquet")
    listed = tmp_path / "list.csv"
    code, _, error = run(
        *("match", "--patients", everything.patients, "--release", "demo", "--as-of", "2026-01-01"),
        *(*everything.options(), "--out", listed),
    )
    assert code == 0, error
    match = pd.read_csv(listed, keep_default_na=False, na_values=[""])
    match = match[match["rank"] <= 3]
    key = ["patient", "stratum", "rank"]
    one, other = (table.sort_values(key).reset_index(drop=True) for table in (found, match))
    assert len(one) > 100 and set(one["stratum"]) == {"related", "cord", "adult"}
    for column in (
        *(*key, "donor", "mismatches_best", "class", "p_identical", "relationship", "nima"),
        *("antibody_answer", "antibody_evidence", "risk_agvhd_2_4", "risk_not_told", "p10"),
        *("rank_antibody", "ranked_below_previous_for", "age_years", "haplotypes"),
    ):
        expected = other[column] if column in other else pd.Series([np.nan] * len(other))
        left, right = (
            values.astype(object).where(values.notna() & (values != ""), None)
            for values in (one[column], expected)
        )
        if pd.api.types.is_float_dtype(one[column]):
            np.testing.assert_allclose(one[column], expected.astype(float))
        else:
            assert left.tolist() == right.tolist(), column
    # Patient by patient, the strata in their order, and places over all of them.
    assert found["patient"].is_monotonic_increasing
    order = found["stratum"].map({"related": 0, "cord": 1, "adult": 2})
    for _, part in found.groupby("patient"):
        assert part["place"].tolist() == list(range(1, len(part) + 1))
        assert order[part.index].is_monotonic_increasing
    risk = found["risk_agvhd_2_4"]
    lowest = risk.groupby(found["patient"]).transform("min")
    np.testing.assert_allclose(found["risk_agvhd_2_4_difference"], risk - lowest, atol=1e-12)
    allocation = pd.read_parquet(out / "allocation.parquet").set_index("patient")
    firsts = found[found["place"] == 1].set_index("patient")["donor"].to_dict()
    assert allocation["first"].to_dict() == {p: firsts.get(p, "") for p in allocation.index}
    assert firsts["P00000001"] == "P00000001-S"
    with_report = found["patient"].isin(REPORTED)
    assert (found["antibody_answer"][~with_report] == "no report").all()
    told = pd.read_csv(out / "antibodies.csv").set_index("patient")
    assert set(told.index) == set(REPORTED) and (told["donors_of_registry"] == 300).all()
    counts = told[["negative", "not_assessable", "open", "positive"]]
    assert (counts.sum(axis=1) == 300).all() and (told["positive"] > 0).all()
    summary = json.loads((out / "summary.json").read_text())
    assert list(summary["strata"]) == ["related", "cord", "adult"]
    assert summary["antibodies"]["mfi_cut_off"] == 1000
    families = json.loads((out / "families.json").read_text())
    assert set(families) == set(RELATED) and families["P00000001"]["svg"].startswith("<svg")
    notes = pd.read_csv(out / "notes.csv")
    assert (notes["note"] == "no relatives: not in the file of families").sum() == 22


def test_left_out_and_going_on(
    run: Run, everything: Everything, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = everything.options("--exclude-positive", "--best", 5, "--format", "csv")
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(*batch_of(everything.patients, whole, *options))[0] == 0
    found = pd.read_csv(whole / "candidates.csv", keep_default_na=False)
    assert "positive" not in set(found["antibody_answer"])
    excluded = pd.read_csv(whole / "excluded.csv")
    assert set(excluded["patient"]) <= set(REPORTED) and len(excluded) > 1
    assert not set(zip(excluded["patient"], excluded["donor"], strict=True)) & set(
        zip(found["patient"], found["donor"], strict=True)
    )
    write = Checkpoints.write

    def stop(self: Checkpoints, chunk: int, table: pa.Table) -> None:
        write(self, chunk, table)
        if chunk >= 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Checkpoints, "write", stop)
        assert run(*batch_of(everything.patients, parts, *options))[0] == 130
    for path, what in (
        (everything.antibodies, "the report of antibodies"),
        (everything.family, "the families"),
    ):
        text = path.read_text()
        path.write_text(text + "\n")
        code, _, error = run(*batch_of(everything.patients, parts, *options, "--resume"))
        assert code == 1 and f"{what} changed" in error
        path.write_text(text)
    code, _, error = run(*batch_of(everything.patients, parts, *options, "--resume"))
    assert code == 0, error
    assert contents(parts) == contents(whole)


def test_antibodies_without_strata_and_mothers(
    run: Run, everything: Everything, tmp_path: Path
) -> None:
    out = tmp_path / "batch"
    code, _, error = run(
        *batch_of(
            everything.patients,
            out,
            *("--antibodies", everything.antibodies, "--cord-rule", 6, "--format", "jsonl"),
        )
    )
    assert code == 0, error
    found = pd.read_json(out / "candidates.jsonl", lines=True)
    assert found["nima"].notna().any() and set(found["type"]) == {"cord"}
    reported = found[found["patient"].isin(REPORTED)]
    places = reported["antibody_answer"].map({"negative": 0, "not assessable": 1, "positive": 2})
    for _, part in places.groupby(reported["patient"]):
        assert part.is_monotonic_increasing and part.nunique() > 1


def test_the_report_of_a_rejected_patient_spoils_nothing(
    run: Run, everything: Everything, tmp_path: Path
) -> None:
    lines = everything.patients.read_text().splitlines()
    column = next(i for i, name in enumerate(lines[0].split(",")) if name.strip('"') == "a")
    wrong = lines[1].split(",")
    wrong[column] = "A*99:99+A*01:01"
    file, out = tmp_path / "some.csv", tmp_path / "batch"
    file.write_text("\n".join([lines[0], ",".join(wrong), *lines[2:6]]) + "\n")
    options = ("--antibodies", everything.antibodies, "--max-mismatches", 3)
    code, _, error = run(*batch_of(file, out, *options))
    assert code == 3, error
    assert pd.read_csv(out / "rejects.csv")["id"].tolist() == [REPORTED[0]]
    assert pd.read_csv(out / "antibodies.csv")["patient"].tolist() == [REPORTED[1]]
    # One without a name may be of the patient who is rejected.
    file.write_text("\n".join([lines[0], ",".join(wrong), lines[2]]) + "\n")
    report = tmp_path / "unacceptable.txt"
    report.write_text("A*02:01\n")
    for command in (
        batch_of(file, tmp_path / "other", "--antibodies", report),
        ("match", "--patients", file, "--release", "demo", "--antibodies", report),
        ("crossmatch", file, "--release", "demo", "--antibodies", report),
    ):
        code, _, error = run(*command)
        assert code == 1 and "2 patients, and some lines" in error, error


def test_the_page_of_columns() -> None:
    text = (PROJECT / "docs/batch.md").read_text()
    every = (*STRATUM_COLUMNS, *RELATIVE_COLUMNS, *MATERNAL_COLUMNS, *ANTIBODY_COLUMNS)
    schema = candidate_schema(active_model(PROJECT / "none"), [RankRule()], every)
    for name, _ in every:
        assert f"`{name}`" in text, name
        assert name in schema.names
