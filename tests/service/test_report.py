"""The report: what is embedded, what is said to be absent, and what is refused."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from matching.loci import LOCI
from service.batch.output import TableFormat, table_file
from service.pairs import risk_columns
from service.report import read_results, report_content, report_page
from tests.service.conftest import Run
from tests.service.report_results import (
    ANCESTRY,
    HOSTILE,
    PATIENTS,
    candidates,
    write_batch,
    write_parquet,
)


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    return write_batch(tmp_path / "batch")


def embedded(file: Path) -> dict[str, Any]:
    """The content of a report, found as the page finds it."""
    found = re.findall(r'<script type="([^"]*)" id="content">([^<]*)</script>', file.read_text())
    ((kind, text),) = found
    data = text if kind == "application/json" else gzip.decompress(base64.b64decode(text))
    content: dict[str, Any] = json.loads(data)
    return content


def column(content: dict[str, Any], name: str) -> list[Any]:
    given = content["rows"][name]
    return [None if code < 0 else given["levels"][code] for code in given["codes"]]


def known(values: pd.Series) -> list[Any]:
    return [None if pd.isna(value) or value == "" else value for value in values]


@pytest.mark.parametrize("plain", [(), ("--plain",)])
def test_what_is_embedded_equals_the_results(run: Run, batch: Path, plain: tuple[str, ...]) -> None:
    out = batch / "report.html"
    code, printed, error = run(
        "report", batch, "--plan", batch / "requests.csv", "--out", out, *plain
    )
    assert code == 0 and printed.startswith("4 patients, 17 of 17 donors, ")
    assert error == "not in it: Typings of donors, Facts of donors\n"
    content, table = embedded(out), candidates()
    assert content["patients"]["id"] == list(PATIENTS)
    assert content["patients"]["starts"] == [0, 12, 15, 17, 17]
    for name in ("rank", "donor", "p10", "p9", "dpb1_tce", "type", "sex", "cmv", "abo", "rh"):
        assert column(content, name) == pytest.approx(known(table[name])), name
    for name in ("ancestry", "registry", "status", "age_years", "ranked_below_previous_for"):
        assert column(content, name) == known(table[name]), name
    for name, parts in {
        "mismatches": ("mismatches_best", "mismatches_worst"),
        "gvh": ("gvh_best", "gvh_worst"),
        "hvg": ("hvg_best", "hvg_worst"),
        "risk_agvhd_3_4": risk_columns("agvhd_3_4"),
        "risk_cgvhd": risk_columns("cgvhd")[:3],
        **{
            f"locus_{locus.value}": tuple(
                f"{locus.value.lower()}_{name}"
                for name in (
                    *("position_1", "position_2", "count_best", "count_worst"),
                    *("gvh_best", "gvh_worst", "hvg_best", "hvg_worst"),
                )
            )
            for locus in LOCI
        },
    }.items():
        for i, part in enumerate(parts):
            values = [row[i] for row in column(content, name)]
            assert values == pytest.approx(known(table[part]), abs=1e-6), part
    recipient = {"D401": "0001", HOSTILE: HOSTILE}
    assert column(content, "allocated_to") == [recipient.get(d) for d in table["donor"]]
    leaders = column(content, "leader")
    assert leaders[:2] == ["no B mismatch", "B may match"] and leaders[8] == "matched, shared M"
    assert [locus["name"] for locus in content["loci"]][:5] == ["A", "C", "B", "DRB1", "DQB1"]
    assert [locus["searched"] for locus in content["loci"]] == [True] * 5 + [False] * 4
    assert content["rejects"]["id"]["levels"] == [HOSTILE]
    assert content["allocation"]["columns"]["swap_cost"]["codes"][1] == -1
    assert content["patients"]["found"] == [12, 40, 2, 0]
    assert content["notes"]["patient"]["levels"] == ["0001"]
    assert content["plan"]["donor"]["levels"] == ["D401", "D411"]
    stated = dict(content["provenance"])
    assert stated["Release of IPD-IMGT/HLA"] == "3.58.0" and stated["Day of ages"] == "2026-01-01"
    assert stated["Donor index"] == "abc-1" and stated["Frequency set"] == "CAU"
    assert (
        stated["Most mismatches at best"] == "2; A 1" and stated["Asked of donors"] == "types adult"
    )


def test_the_figures_of_a_patient_are_those_of_all_its_donors(batch: Path) -> None:
    results = read_results(batch, plan=batch / "requests.csv")
    content, table = report_content(results, 3), candidates()
    # D401, D402 and D411 are named by a plan; D400 is the best.
    assert column(content, "donor") == [
        *("D400", "D401", "D402", "D411", "D200", "D201", "D202", "D7200", HOSTILE)
    ]
    assert column(content, "rank") == [1, 2, 3, 12, 1, 2, 3, 1, 2]
    patients = content["patients"]
    assert patients["first_ranks"] == [3, 3, 2, 0] and patients["candidates"] == [12, 3, 2, 0]
    assert patients["at"] == [[4, 4, 4], [3, 0, 0], [2, 0, 0], [0, 0, 0]]
    assert patients["unknown_p"] == [0, 3, 0, 0]
    assert patients["best_p10"] == [1.0, None, 1.0, None]
    of_first = table[table["patient"] == "0001"]
    # Where the results state no difference, it is that to the lowest of all, embedded or not.
    lowest = of_first["risk_cgvhd"].min()
    for risk, _, _, difference, *interval in column(content, "risk_cgvhd")[:4]:
        assert difference == pytest.approx(risk - lowest, abs=1e-6) and interval == [None, None]
    everyone = report_content(results, 100)
    fails = 1.0
    for p, available, status in zip(
        of_first["p10"], column(everyone, "availability"), of_first["status"], strict=False
    ):
        assert (available == 0) == (status == "reserved")
        fails *= 1 - p * available
    assert patients["fails"][0] == pytest.approx(fails, abs=1e-9)
    assert patients["fails"][1] is None and patients["fails"][3] is None
    # What the plan states of a donor stands instead of the prior.
    assert column(everyone, "availability")[1] == 0.5


def test_many_uncertain_donors_are_no_certainty(tmp_path: Path) -> None:
    n = 3000
    table = pd.DataFrame({"patient": "P", "rank": np.arange(1, n + 1), "p10": 0.9, "p9": 0.1})
    table = table.assign(donor=[f"D{i}" for i in range(n)], mismatches_best=0, mismatches_worst=0)
    fails = report_content(
        read_results(write_parquet(table, tmp_path / "many.parquet")), 10
    )["patients"]["fails"]  # fmt: skip
    assert 0 < fails[0] < 1e-300


def test_a_sum_of_weights_may_miss_a_certainty_by_its_last_digit(batch: Path) -> None:
    table = candidates()
    table.loc[0, ["p10", "p9"]] = [1 + 4e-16, -3e-17]
    write_parquet(table, batch / "candidates.parquet")
    content = report_content(read_results(batch), 100)
    assert column(content, "p10")[0] == 1 and column(content, "p9")[0] == 0


def test_every_form_of_candidates_says_the_same(batch: Path, tmp_path: Path) -> None:
    first = report_content(read_results(batch), 100)
    for suffix in (".csv", ".jsonl"):
        folder = write_batch(tmp_path / suffix)
        for name in ("candidates", "allocation"):
            parquet = folder / f"{name}.parquet"
            table = pq.read_table(parquet)
            form = TableFormat(suffix.removeprefix("."))
            with table_file(parquet.with_suffix(suffix), table.schema, form) as write:
                write(table)
            parquet.unlink()
        found = report_content(read_results(folder), 100)
        assert found["rows"].keys() == first["rows"].keys()
        for name in first["rows"]:
            if not name.startswith("risk_"):
                assert column(found, name) == column(first, name), (suffix, name)
        assert {**found, "rows": 0} == {**first, "rows": 0}


def test_the_same_results_give_the_same_bytes(batch: Path) -> None:
    pages = [report_page(report_content(read_results(batch), 100)) for _ in range(2)]
    assert pages[0] == pages[1]


def test_what_is_absent_is_told(run: Run, tmp_path: Path) -> None:
    table = candidates()[["patient", "rank", "donor", "mismatches_best", "mismatches_worst"]]
    file = tmp_path / "few.csv"
    table.to_csv(file, index=False)
    out = tmp_path / "new" / "report.html"
    code, _, error = run("report", file, "--out", out)
    assert code == 0
    told = error.removeprefix("not in it: ").strip().split(", ")
    assert (
        told
        == [what for what, _ in embedded(out)["absent"]]
        == [
            *("Allocation", "Patients without donors", "Typing plan", "Rejected records"),
            *(
                "Match probabilities",
                "Predicted risks",
                "Match grid",
                "DPB1 epitopes",
                "HLA-B leader",
            ),
            *("Typings of donors", "Facts of donors", "Criteria of the search"),
        ]
    )
    content = embedded(out)
    assert set(dict(content["provenance"]).values()) == {"not stated"}
    assert content["allocation"] is None and content["plan"] is None and content["rejects"] is None


def test_a_patient_of_the_file_alone_keeps_whom_its_donors_go_to(tmp_path: Path) -> None:
    table = candidates().assign(allocated_to=lambda t: t["patient"].where(t["rank"] == 1, ""))
    content = report_content(read_results(write_parquet(table, tmp_path / "x.parquet")), 100)
    assert [name or None for name in column(content, "allocated_to")] == [
        patient if rank == 1 else None
        for patient, rank in zip(table["patient"], table["rank"], strict=True)
    ]


def test_texts_of_a_file_cannot_become_part_of_the_page(run: Run, batch: Path) -> None:
    for plain in ((), ("--plain",)):
        out = batch / "report.html"
        assert run("report", batch, "--out", out, *plain)[0] == 0
        text = out.read_text()
        assert text.count("<script") == text.lower().count("</script>") == 2
        for hostile in (HOSTILE, ANCESTRY, "<img", "<!--", "\u2028", "\u202e"):
            assert hostile not in text
        assert ANCESTRY in column(embedded(out), "ancestry")


def test_the_page_forbids_itself_everything_else(batch: Path) -> None:
    text = report_page(report_content(read_results(batch), 100))
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; script-src 'sha256-") and "unsafe" not in policy
    # Namespaces of SVG are names, never asked for.
    assert set(re.findall(r"\w+://[^\s\"'`]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)


Damage = Callable[[Path], object]


def _changed(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    return lambda batch: write_parquet(change(candidates()), batch / "candidates.parquet")


def _texts(name: str, text: str) -> Damage:
    return lambda batch: (batch / name).write_text(text)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda b: (b / "candidates.parquet").unlink(), "holds none of candidates.parquet"),
        (_texts("candidates.parquet", ""), "cannot read candidates from"),
        (_texts("candidates.parquet", "no parquet"), "cannot read candidates from"),
        (lambda b: (b / "summary.json").unlink(), "its batch did not end; run it with --resume"),
        (_texts("summary.json", "{"), "summary.json is not JSON"),
        (_texts("summary.json", "[]"), "no object"),
        (_texts("summary.json", '{"index": "other-2"}'), "give the files of one run"),
        (_texts("allocation.parquet", "x"), "cannot read an allocation"),
        (
            lambda b: pd.DataFrame({"patient": ["P"]}).to_parquet(b / "allocation.parquet"),
            "lacks the columns allocated, second",
        ),
        (_texts("rejects.csv", "record,what\n1,x\n"), "column 'what' is none of"),
        (_changed(lambda t: t.drop(columns="donor")), "lacks the columns donor; give what match"),
        (_changed(lambda t: t.assign(donor=None)), "column donor is blank in row 1"),
        (_changed(lambda t: t.assign(rank=1)), "patient '0001', donor 'D401': the same rank"),
        (_changed(lambda t: pd.concat([t, t])), "the same donor comes twice"),
        (
            _changed(lambda t: t.assign(rank=t["rank"] - 0.5)),
            "rank 0.5 is not a whole number from 1",
        ),
        (_changed(lambda t: t.assign(p10=1.5)), "p10 1.5 is not a number from 0 to 1"),
        (_changed(lambda t: t.assign(p9="many")), "column p9 is not a number"),
        (_changed(lambda t: t.assign(a_position_1="X")), "a_position_1 'X' is none of M P A -"),
        (_changed(lambda t: t.assign(b_count_best=3)), "b_count_best 3 is not a whole number"),
    ],
)
def test_bad_results_are_refused_in_one_line(
    run: Run, batch: Path, damage: Damage, said: str
) -> None:
    damage(batch)
    out = batch / "report.html"
    code, printed, error = run("report", batch, "--out", out)
    assert (code, printed) == (1, "") and error.startswith("error: ")
    assert said in error and error.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("x.txt", "patient", "neither a folder of batch nor a file that ends in .parquet"),
        ("x.csv", "", "cannot read candidates from"),
        ("x.csv", "a,b\n1,2\n", "lacks the columns patient, rank, donor"),
        ("x.csv", "patient,rank,donor,mismatches_best,mismatches_worst\n", "holds no donor"),
        ("x.csv", "patient,rank,donor,mismatches_best,mismatches_worst\nP,one,D,0,0\n", "one"),
        ("x.jsonl", "", "is not JSON"),
        ("x.jsonl", "[1]\n", "no object"),
        ("x.jsonl", '{"patient":"P"}\n', "lacks the columns rank, donor"),
    ],
)
def test_a_file_of_something_else_is_refused(
    run: Run, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    code, _, error = run("report", tmp_path / name, "--out", tmp_path / "report.html")
    assert code == 1 and said in error and error.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_files_that_are_not_there_or_not_writable(run: Run, batch: Path) -> None:
    out = batch / "report.html"
    code, _, error = run("report", batch / "none.parquet", "--out", out)
    assert code == 1 and "none.parquet" in error and error.count("\n") == 1
    code, _, error = run("report", batch, "--plan", batch / "none.csv", "--out", out)
    assert code == 1 and "cannot read" in error and error.count("\n") == 1
    (batch / "requests.csv").write_text(
        "order,patient,donor,p10,p9,availability,gain\n1,P,D,x,0,1,1\n"
    )
    code, _, error = run("report", batch, "--plan", batch / "requests.csv", "--out", out)
    assert code == 1 and "p10 'x' of patient 'P' is no number" in error
    code, _, error = run("report", batch, "--out", batch / "summary.json" / "report.html")
    assert code == 1 and "cannot write" in error and error.count("\n") == 1


def test_a_report_of_batch_and_of_match(run: Run, registry: Path, tmp_path: Path) -> None:
    asked = ("--release", "demo", "--as-of", "2026-01-01")
    out, html = tmp_path / "batch", tmp_path / "report.html"
    assert run("batch", registry / "patients.csv", "--out", out, *asked)[0] == 0
    plan = tmp_path / "requests.csv"
    assert run("typing-plan", out / "candidates.parquet", "--budget", 3, "--out", plan)[0] == 0
    assert run("report", out, "--plan", plan, "--out", html)[0] == 0
    content, written = embedded(html), pd.read_parquet(out / "candidates.parquet")
    assert sum(content["patients"]["candidates"]) == len(written)
    assert (
        content["patients"]["id"] == pd.read_parquet(out / "allocation.parquet")["patient"].tolist()
    )
    assert dict(content["provenance"])["Donor index"] == written["index"].iloc[0]
    assert len(content["plan"]["order"]["codes"]) == len(pd.read_csv(plan)) > 0
    found = tmp_path / "found.parquet"
    call = ("match", "--patients", registry / "patients.csv", "--details", "--out", found)
    assert run(*call, *asked)[0] == 0
    assert run("report", found, "--out", html)[0] == 0
    content = embedded(html)
    assert column(content, "typing")[0] == pd.read_parquet(found)["typing"].iloc[0]
    assert "leader_genotype" in content["details"]
