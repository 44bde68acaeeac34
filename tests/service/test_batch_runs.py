"""Batches: what they write, and how they go on after any end."""

from __future__ import annotations

import datetime
import json
import random
import re
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.models import active_model
from matching.loci import LOCI
from matching.rank import RankRule
from service import cli
from service.batch import search as batch_search
from service.batch.columns import allocation_schema, candidate_schema
from service.batch.run_log import RUN_LOG
from service.cli.batch import EXIT_INTERRUPTED
from service.search import search_people
from tests.conftest import PROJECT
from tests.data.killing import duration_of, kill_after
from tests.service.conftest import PATIENTS, Run

CUT_OFF = '{"time": "20'
DAY = datetime.date(2026, 1, 1)


def batch_of(patients: Path, out: Path, *options: object) -> tuple[object, ...]:
    asked = ("--release", "demo", "--as-of", DAY, "--max-mismatches", 2, "--best", 5)
    return ("batch", patients, "--out", out, *asked, *options)


def contents(folder: Path) -> dict[str, bytes]:
    """All files but the log of the runs, which tells of times."""
    files = (p for p in folder.rglob("*") if p.is_file() and p != folder / RUN_LOG)
    return {str(p.relative_to(folder)): p.read_bytes() for p in files}


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log of the runs, those but the one that was cut off."""
    lines = (folder / RUN_LOG).read_text().splitlines()
    return [json.loads(line) for line in lines if line != CUT_OFF]


def test_the_same_on_one_thread_and_on_three(run: Run, patients: Path, tmp_path: Path) -> None:
    for threads in (1, 3):
        code, printed, error = run(
            *batch_of(patients, tmp_path / str(threads), "--threads", threads)
        )
        assert code == 0 and f"{PATIENTS} patients" in printed and not error
    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert set(contents(tmp_path / "1")) == {
        *("candidates.parquet", "allocation.parquet", "summary.json", "state.json"),
    }
    summary = json.loads((tmp_path / "1/summary.json").read_text())
    found = pd.read_parquet(tmp_path / "1/candidates.parquet")
    allocation = pd.read_parquet(tmp_path / "1/allocation.parquet")
    assert found.groupby("patient").size().max() == 5
    assert summary["candidates"] == len(found) < summary["found"] == allocation["found"].sum()
    assert (summary["patients"], summary["best"]) == (PATIENTS, 5)


def test_the_donors_of_match_under_all_its_criteria(
    run: Run, patients: Path, tmp_path: Path
) -> None:
    asked = ["--max-mismatches-at", "A=1,B=1", "--direction", "gvh", "--level", "DQB1=antigen"]
    asked += (
        "--age",
        "18-45",
        "--sex",
        "male,female",
        "--cmv",
        "negative",
        "--rank",
        "p10,tce,age",
    )
    out = tmp_path / "found.parquet"
    match = ("match", "--patients", patients, "--release", "demo", "--as-of", "2026-01-01")
    assert run(*match, "--max-mismatches", 2, *asked, "--out", out)[0] == 0
    expected = pd.read_parquet(out)
    expected = expected[expected["rank"] <= 5].reset_index(drop=True)
    assert run(*batch_of(patients, tmp_path / "out", *asked))[0] == 0
    found = pd.read_parquet(tmp_path / "out/candidates.parquet")
    # What the allocation says and differences to the best depend on all candidates.
    searched = [
        name
        for name in expected.columns
        if name in found and "alloc" not in name and "_difference" not in name
    ]
    searched.remove("not_first_for")
    assert set(expected.columns) - set(found.columns) == {"typing"} and len(expected)
    for name in searched:
        one, other = (t[name].astype(object).where(t[name].notna()) for t in (found, expected))
        pd.testing.assert_series_equal(one, other)


def test_differences_of_risks(run: Run, patients: Path, tmp_path: Path) -> None:
    assert run(*batch_of(patients, tmp_path / "out", "--best", 50))[0] == 0
    found = pd.read_parquet(tmp_path / "out/candidates.parquet")
    name = "risk_agvhd_3_4"
    above = found[f"{name}_difference"]
    lowest = found.groupby("patient")[name].transform("min")
    pd.testing.assert_series_equal(above, found[name] - lowest, check_names=False, atol=1e-12)
    low, high = found[f"{name}_difference_low"], found[f"{name}_difference_high"]
    assert ((low <= above) & (above <= high)).all() and above.max() > 0.02
    # What both have in common cancels, so a difference is known better than the two risks apart.
    apart = found[f"{name}_high"] - found[f"{name}_low"]
    assert (high - low)[above > 0.01].mean() < apart[above > 0.01].mean()


def test_a_batch_that_is_there_is_neither_overwritten_nor_mixed(
    run: Run, patients: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(*batch_of(patients, out))[0] == 0
    before = contents(out)
    code, _, error = run(*batch_of(patients, out))
    assert code == 1 and "holds a batch already; go on with it by --resume" in error
    code, printed, _ = run(*batch_of(patients, out, "--resume"))
    assert code == 0 and "is complete" in printed
    changed = tmp_path / "changed.csv"
    changed.write_text(patients.read_text().replace("male", "female", 1))
    recipients = tmp_path / "recipients.csv"
    recipients.write_text("patient,urgency\nP00000001,9\n")
    for options, what in (
        (("--max-mismatches", 1), "the criteria"),
        (("--best", 6), "the number of donors a patient"),
        (("--as-of", "2026-01-02"), "the day"),
        (("--rank", "age"), "the ranking"),
        (("--format", "csv"), "the format"),
        (("--recipients", recipients), "the recipients"),
        (("--points", "p10=1"), "the allocation"),
        (("--strict",), "how patients are read"),
    ):
        code, _, error = run(*batch_of(patients, out, "--resume", *options))
        assert code == 1 and f"with something else: {what} changed since" in error, what
    code, _, error = run(*batch_of(changed, out, "--resume"))
    assert code == 1 and "the patients changed since" in error
    donors = tmp_path / "more.csv"
    donors.write_text("id,gl\nNEW,A*01:01+A*02:01\n")
    assert run("registry", "import", donors, "--release", "demo")[0] == 0
    code, _, error = run(*batch_of(patients, out, "--resume"))
    assert code == 1 and "the index changed since" in error
    assert contents(out) == before
    code, _, error = run(*batch_of(patients, tmp_path))
    assert code == 1 and "holds other files" in error


def test_an_interrupted_batch_goes_on(
    run: Run, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(*batch_of(patients, tmp_path / "whole"))[0] == 0
    out, calls = tmp_path / "out", iter(range(100))

    def interrupted(*arguments: object, **named: object) -> object:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return search_people(*arguments, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(batch_search, "search_people", interrupted)
        code, _, error = run(*batch_of(patients, out, "--threads", 1))
    assert code == EXIT_INTERRUPTED == 130
    told = re.search("stopped: ([0-9]+ of 24 patients) are done and kept .* --resume to go", error)
    # What was done and not written yet when the interruption came is done again.
    assert told is not None and told.group(1) in ("9 of 24 patients", "12 of 24 patients")
    assert not (out / "summary.json").exists()
    with (out / RUN_LOG).open("a") as cut:
        cut.write(CUT_OFF)
    code, _, error = run(*batch_of(patients, out, "--resume", "--threads", 2))
    assert code == 0 and f"{told.group(1)} were done before" in error
    assert contents(out) == contents(tmp_path / "whole")
    assert CUT_OFF in (out / RUN_LOG).read_text().splitlines()
    log = log_of(out)
    second = next(i for i, line in enumerate(log) if line.get("resumed"))
    assert [line["event"] for line in (log[0], log[second - 1])] == ["started", "stopped"]
    assert log[second - 1]["reason"] == "KeyboardInterrupt"
    assert (log[0]["patients"], log[0]["engine"], log[second]["threads"]) == (24, "local", 2)
    done = int(told.group(1).split()[0])
    assert log[second - 2]["done"] == log[second + 1]["done"] == done
    summary = json.loads((out / "summary.json").read_text())
    assert log[-1]["event"] == "ended" and log[-2]["done"] == log[-2]["of"] == 24
    assert all(log[-1][name] == summary[name] for name in ("candidates", "allocated", "status"))
    assert "P0000" not in (out / RUN_LOG).read_text()


def test_a_batch_goes_on_with_its_day(run: Run, patients: Path, tmp_path: Path) -> None:
    begun = [o for o in batch_of(patients, tmp_path / "out") if o not in ("--as-of", DAY)]
    assert run(*batch_of(patients, tmp_path / "out"))[0] == 0
    code, printed, _ = run(*begun, "--resume")
    assert code == 0 and "is complete" in printed


def killed_at(run: Run, patients: Path, tmp_path: Path, n: int) -> Iterator[Path]:
    """Kill a batch at n random moments of its time, go on, and give the results."""

    def begin(out: Path, *options: str) -> None:
        sys.argv = ["graftmatch", *map(str, batch_of(patients, out, *options))]
        cli.main()

    seconds = duration_of(lambda: begin(tmp_path / "whole"))
    moments = random.Random(1)
    for i in range(n):
        out = tmp_path / f"killed-{i}"
        for _ in range(2):
            kill_after(partial(begin, out, "--resume"), moments.uniform(0, seconds))
        code, _, error = run(*batch_of(patients, out, "--resume"))
        assert code == 0, error
        yield out


@pytest.mark.parametrize("n", [2, pytest.param(10, marks=pytest.mark.slow)])
def test_killed_at_random_moments(run: Run, patients: Path, tmp_path: Path, n: int) -> None:
    for out in killed_at(run, patients, tmp_path, n):
        assert contents(out) == contents(tmp_path / "whole")
        shutil.rmtree(out)


def test_formats_hold_the_same(run: Run, patients: Path, tmp_path: Path) -> None:
    for form in ("parquet", "csv", "jsonl"):
        assert run(*batch_of(patients, tmp_path / form, "--format", form))[0] == 0
    for name in ("candidates", "allocation"):
        expected = pq.ParquetFile(tmp_path / f"parquet/{name}.parquet").read()
        lines = (tmp_path / f"jsonl/{name}.jsonl").read_text().splitlines()
        assert [json.loads(line) for line in lines] == expected.to_pylist()
        of_csv = pd.read_csv(tmp_path / f"csv/{name}.csv", keep_default_na=False, dtype=str)
        assert of_csv.columns.tolist() == expected.column_names and len(of_csv) == len(expected)
        for column in expected.column_names:
            for text, value in zip(of_csv[column], expected[column].to_pylist(), strict=True):
                if isinstance(value, list):
                    assert text == ";".join(value)
                elif isinstance(value, float):
                    assert float(text) == value
                else:
                    assert text == ("" if value is None else str(value)), column


def test_patients_who_cannot_be_searched_for_are_rejected(
    run: Run, patients: Path, tmp_path: Path
) -> None:
    file = tmp_path / "few.csv"
    gl = "A*01:01+A*02:01"
    file.write_text(f"id,weight_kg,gl\nP1,70,{gl}\nP2,,{gl}\nP3,70,A*01:01\n")
    code, printed, error = run(*batch_of(file, tmp_path / "out", "--min-tnc", 2.5))
    assert code == 3 and "1 patients" in printed and "rejects.csv" in error
    rejects = pd.read_csv(tmp_path / "out/rejects.csv").set_index("id")["reason"]
    assert "one of two positions" in rejects["P3"] and "give weight_kg" in rejects["P2"]
    assert json.loads((tmp_path / "out/summary.json").read_text())["rejected_records"] == 2


def test_notes_of_patients_are_kept(run: Run, patients: Path, tmp_path: Path) -> None:
    file = tmp_path / "empty.txt"
    file.write_text("P1%A*01:01+A*02:01^B*99:01+B*99:01\n")
    code, printed, _ = run(*batch_of(file, tmp_path / "out"))
    assert code == 3 and "0 patients" in printed
    assert len(pd.read_parquet(tmp_path / "out/candidates.parquet")) == 0


def documented(name: str) -> dict[str, tuple[str, str]]:
    """Columns of a table of docs/batch.md with type and range, `<locus>` and the like filled in."""
    text = (PROJECT / "docs/batch.md").read_text()
    section = text[text.index(f"### {name}") :].split("\n### ")[0].split("\n## ")[0]
    model, rule = active_model(PROJECT / "none"), RankRule()
    values = {
        "<locus>": [locus.value.lower() for locus in LOCI],
        "<outcome>": [outcome.name for outcome in model.outcomes],
        "<key>": list(dict.fromkeys((*rule.applied(True), *rule.applied(False)))),
    }
    found = {}
    for line in re.findall(r"^\| (`.*)\|$", section, re.MULTILINE):
        names, kind, limits, *_ = (cell.strip() for cell in line.split(" | "))
        for column in re.findall(r"`([^`]+)`", names):
            place = re.search("<[a-z]+>", column)
            for value in values[place.group()] if place else [""]:
                found[re.sub("<[a-z]+>", value, column)] = (kind, limits)
    return found


def test_the_schema_page(run: Run, patients: Path, tmp_path: Path) -> None:
    assert run(*batch_of(patients, tmp_path / "out"))[0] == 0
    names = {"string": "text", "list<item: string>": "texts"}
    for name, schema in (
        ("candidates", candidate_schema(active_model(PROJECT / "none"), [RankRule()])),
        ("allocation", allocation_schema()),
    ):
        pages = documented(name)
        table = pq.ParquetFile(tmp_path / f"out/{name}.parquet").read()
        assert table.schema.remove_metadata() == schema.remove_metadata()
        types = {f.name: names.get(str(f.type), str(f.type)) for f in schema}
        assert {column: kind for column, (kind, _) in pages.items()} == types
        for column, (_, limits) in pages.items():
            known = table.column(column).drop_null()
            if bounds := re.fullmatch(r"(-?[0-9.]+) to ([0-9.]+)", limits):
                low, high = map(float, bounds.groups())
                assert all(low <= value <= high for value in known.to_pylist()), column
            elif limits and limits != "any":
                allowed = {text.strip("`") for text in limits.split(", ")}
                assert set(known.to_pylist()) <= allowed | {""}, column
    assert pa.types.is_string(allocation_schema().field("patient").type)
