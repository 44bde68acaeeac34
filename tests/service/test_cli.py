"""The command line as a user meets it, on the embedded demo and on the shared exercise."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from service.config import Settings
from tests.data.release_texts import release_texts, write_release
from tests.service.conftest import Run

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)


def test_every_command_but_the_reference_needs_a_release(run: Run, tmp_path: Path) -> None:
    for arguments in (
        ("registry", "import", tmp_path / "x.csv"),
        ("registry", "show"),
        ("match", "--patient", PATIENT),
        ("registry", "simulate", "--donors", 1, "--frequencies", "demo", "--seed", 1, "--out", "x"),
    ):
        code, printed, error = run(*arguments)
        assert (code, printed) == (1, "")
        assert error.count("\n") == 1 and "graftmatch reference install 3.58.0" in error
    code, printed, _ = run("reference", "list")
    assert code == 0 and "graftmatch reference install" in printed


def test_the_reference_commands(run: Run, tmp_path: Path) -> None:
    source = write_release(tmp_path / "source", release_texts())
    code, printed, _ = run("reference", "install", "9.1.0", "--from", source)
    assert code == 0 and printed.startswith("9.1.0: 18 alleles")
    assert run("reference", "list")[1].startswith("9.1.0: 18 alleles")
    for path in (tmp_path / "home/reference/9.1.0").iterdir():
        path.write_bytes(b"")
    code, _, error = run("match", "--patient", PATIENT)
    assert code == 1 and "release 9.1.0 is damaged" in error and error.count("\n") == 1
    assert run("reference", "remove", "9.1.0")[0] == 0
    code, _, error = run("reference", "remove", "9.1.0")
    assert code == 1 and "not installed" in error
    code, _, error = run("reference", "install", "9.1.0", "--from", tmp_path / "absent")
    assert code == 1 and "is no folder" in error


def test_one_patient_as_a_table(run: Run, registry: Path) -> None:
    code, printed, error = run(
        "match", "--patient", PATIENT, "--release", "demo", "--limit", 3, "--max-mismatches", 2
    )
    assert (code, error) == (0, "")
    assert "donors within 2 mismatches" in printed and "below the one above for" in printed
    assert "release demo" in printed and "not a medical device" in printed
    assert sum(line.startswith("│") for line in printed.splitlines()) == 3


def test_machine_formats_agree(run: Run, registry: Path, tmp_path: Path) -> None:
    search = ("match", "--patients", registry / "patients.csv", "--release", "demo")
    files = {form: tmp_path / f"found.{form}" for form in ("json", "csv", "parquet")}
    for file in files.values():
        code, printed, _ = run(*search, "--out", file)
        assert code == 0 and "written to" in printed
    csv = pd.read_csv(files["csv"])
    parquet = pd.read_parquet(files["parquet"])
    document = json.loads(files["json"].read_text())
    assert csv.columns.tolist() == parquet.columns.tolist() and len(csv) == len(parquet) > 0
    rows = [
        {"patient": patient["patient"], **donor}
        for patient in document["patients"]
        for donor in patient["donors"]
    ]
    columns = ["patient", "rank", "donor", "mismatches_best", "gvh_worst", "a_position_1"]
    for table in (parquet, pd.DataFrame(rows)):
        assert table[columns].to_numpy().tolist() == csv[columns].to_numpy().tolist()
    assert (document["release"], document["max_mismatches"]) == ("demo", 1)
    note = json.loads(pq.read_schema(files["parquet"]).metadata[b"graftmatch"])
    assert note["index"] == document["index"] == csv["index"].unique().item()
    assert csv.groupby("patient")["rank"].apply(list).map(lambda r: r == sorted(r)).all()
    assert csv["typing"].str.contains(r"A\*").all()
    streamed = run(*search, "--format", "csv")[1]
    assert streamed.encode() == files["csv"].read_bytes()
    assert json.loads(run(*search, "--format", "json")[1]) == document
    code, printed, _ = run(*search, "--limit", 2)
    assert code == 0 and "4 patients" in printed and "2 of 4 patients shown" in printed


def test_a_search_twice_is_the_same(run: Run, registry: Path) -> None:
    search = ("match", "--patient", PATIENT, "--release", "demo", "--format", "csv")
    assert run(*search) == run(*search)


@pytest.mark.parametrize(
    ("arguments", "code", "match"),
    [
        (("--patient", "A*01:01+A*99:99"), 1, "not complete in the demo reference"),
        (("--patient", "A*01:01"), 1, "only one of two positions"),
        (("--patient", ""), 1, "no locus"),
        (("--patient", "A*01:XX+A*01:01"), 1, "not complete in the demo reference"),
        ((), 2, "give either --patient"),
        (("--patient", PATIENT, "--patients", "x"), 2, "give either --patient"),
        (("--patient", PATIENT, "--loci", "A,X"), 2, "'X' is not a matched locus"),
        (("--patient", PATIENT, "--format", "xml"), 2, "none of table"),
        (("--patient", PATIENT, "--format", "parquet"), 2, "parquet needs --out"),
        (("--patient", PATIENT, "--out", "x.csv", "--format", "table"), 2, "goes to the screen"),
        (("--patient", PATIENT, "--as-of", "today"), 2, "YYYY-MM-DD"),
        (("--patient", PATIENT, "--max-mismatches", "-1"), 2, "max-mismatches"),
        (("--patients", "absent.csv"), 1, "cannot read absent.csv"),
        (("--patient", PATIENT, "--out", "/proc/none/x.csv"), 1, "cannot write"),
    ],
)
def test_what_is_refused(
    run: Run, registry: Path, arguments: tuple[str, ...], code: int, match: str
) -> None:
    ended, printed, error = run("match", "--release", "demo", *arguments)
    assert (ended, printed) == (code, "")
    # Usage errors stand in a box that may break lines.
    assert match in " ".join(error.replace("│", " ").split())
    if code == 1:
        assert error.count("\n") == 1 and error.startswith("error: ")


def test_rejected_patients_are_written_and_counted(
    run: Run, registry: Path, tmp_path: Path
) -> None:
    patients = tmp_path / "patients.txt"
    patients.write_text(f"P1%{PATIENT}\nP2%A*01:01\nP1%{PATIENT}\n")
    out = tmp_path / "found.csv"
    code, printed, error = run("match", "--patients", patients, "--release", "demo", "--out", out)
    assert code == 3 and "1 patients" in printed and "rejected records" in error
    rejects = (tmp_path / "found.csv.rejects.csv").read_text()
    assert "only one of two positions" in rejects and "duplicate of record 1" in rejects
    assert set(pd.read_csv(out)["patient"]) == {"P1"}


def test_rejected_donors(run: Run, tmp_path: Path) -> None:
    donors = tmp_path / "donors.csv"
    donors.write_text(f"id,gl\nD1,{PATIENT}\nD2,A*01:01\n")
    code, printed, error = run("registry", "import", donors, "--release", "demo")
    assert code == 3 and "new 1" in printed and "rejected 1" in printed
    assert "donors.csv.rejects.csv" in error
    code, printed, _ = run("registry", "show", "--release", "demo")
    assert code == 0 and printed.startswith("1 donors stored")
    code, printed, error = run("registry", "import", tmp_path / "absent", "--release", "demo")
    assert (code, printed) == (1, "") and "cannot read" in error


def test_no_control_characters_reach_the_terminal(run: Run, registry: Path) -> None:
    code, _, error = run("match", "--release", "demo", "--patient", "A*01:01\x1b[31m\n+A*02:01")
    assert code == 1 and "\x1b" not in error and error.count("\n") == 1


def test_simulate_does_not_overwrite_a_folder_of_others(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/precious.txt").write_text("keep")
    code, _, error = run(
        *("registry", "simulate", "--release", "demo", "--donors", 1, "--frequencies", "demo"),
        *("--seed", 1, "--out", tmp_path / "mine"),
    )
    assert code == 2 and "no simulated registry" in error
    assert (tmp_path / "mine/precious.txt").read_text() == "keep"


def test_the_installed_command_says_what_it_is() -> None:
    command = Path(sys.executable).parent / "graftmatch"
    printed = subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "not a medical device" in " ".join(printed.split())
    for name in ("reference", "registry", "match"):
        assert name in printed


def test_the_exercise_by_the_documented_command(
    run: Run, shared: Path, release_3580: Path, tmp_path: Path
) -> None:
    assert run("reference", "install", "3.58.0", "--from", release_3580)[0] == 0
    code, printed, _ = run("registry", "import", shared / "mvt3/don.gl.txt.gz")
    assert code == 0 and "new 10,000" in printed and "rejected 0" in printed
    out = tmp_path / "found.parquet"
    code, printed, _ = run("match", "--patients", shared / "mvt3/pat.gl.txt.gz", "--out", out)
    assert code == 0 and "for 1,000 patients" in printed
    table = pd.read_parquet(out)
    with gzip.open(shared / "mvt3/pat.gl.txt.gz", "rt") as lines:
        patients = [line.partition("%")[0] for line in lines]
    assert set(table["patient"]) <= set(patients) and table["patient"].nunique() > 900
    assert table["mismatches_best"].le(1).all()
    assert (table["mismatches_worst"] >= table["mismatches_best"]).all()


def test_masses_of_the_registry_change_no_result(run: Run, registry: Path, tmp_path: Path) -> None:
    patients = ("match", "--patients", registry / "patients.csv", "--release", "demo")
    donors = ("registry", "import", registry / "donors.csv", "--release", "demo")
    bare = ("--registry", tmp_path / "bare")

    def found(name: str, *where: object) -> pd.DataFrame:
        out = tmp_path / f"{name}.parquet"
        assert run(*patients, *where, "--max-mismatches", 2, "--out", out)[0] == 0
        return pd.read_parquet(out).drop(columns="index")

    def missing(*where: object) -> list[int]:
        code, printed, _ = run(*patients, *where, "--format", "json")
        assert code == 0
        listed = json.loads(printed)["patients"]
        assert all(one["dropped"] == 0 for one in listed)
        return [one["missing_masses"] for one in listed]

    # The import of the fixture has computed them.
    assert set(missing()) == {0}
    code, printed, _ = run(*donors, *bare, "--no-masses")
    assert code == 0 and "new 300" in printed
    before = found("pairs", *bare)
    assert (before["p9"] > 0).any() and max(missing(*bare)) > 0
    code, printed, _ = run("match", "--patient", "A*02:01+A*01:01", "--release", "demo", *bare)
    assert code == 0 and "candidates are not computed yet" in printed
    code, printed, _ = run("registry", "masses", "--release", "demo", *bare)
    assert code == 0 and printed.startswith("masses of 300 donors under demo (release demo, index ")
    for where in (bare, ()):
        pd.testing.assert_frame_equal(found("masses", *where), before, rtol=1e-9)
    code, printed, _ = run("match", "--patient", "A*02:01+A*01:01", "--release", "demo", *bare)
    assert code == 0 and "not computed" not in printed and set(missing(*bare)) == {0}
    # A further import of the same file changes nothing and fills in what is missing.
    other = ("--registry", tmp_path / "other")
    assert run(*donors, *other, "--no-masses")[0] == 0 and max(missing(*other)) > 0
    code, printed, _ = run(*donors, *other)
    assert code == 0 and "unchanged 300" in printed and set(missing(*other)) == {0}
    code, printed, error = run("registry", "masses", "--release", "3.99.0")
    assert code == 1 and not printed and "3.99.0" in error


def test_registry_commands(run: Run, tmp_path: Path) -> None:
    donors = tmp_path / "donors.csv"
    gl = "A*01:01+A*02:01"
    donors.write_text(f"id,registry,gl\nD1,R,{gl}\nD2,R,{gl}\n")
    given = ("registry", "import", donors, "--release", "demo")
    code, printed, error = run(*given, "--validate-only")
    assert code == 0 and "new 2" in printed and "nothing was changed" in printed
    assert run("registry", "get", "D1")[0] == 1
    assert run(*given)[:2] == (
        *(0, "read 2 = new 2 + updated 0 + unchanged 0 + deleted 0 + rejected 0 (release demo)\n"),
    )
    donors.write_text(f"id,registry,status,gl\nD1,R,TU,{gl}\n")
    code, printed, error = run(*given, "--mode", "full")
    assert code == 1 and "would delete 1 of 2 donors" in error
    code, printed, error = run(*given, "--mode", "check")
    assert code == 0 and "1 stored donors are not in the file" in printed
    assert (tmp_path / "donors.csv.differences.csv").read_text().splitlines() == [
        *("id,difference,fields", "D1,differs,status", "D2,not in the file,"),
    ]
    code, printed, error = run(*given, "--mode", "full", "--allow-deletions")
    assert code == 0 and "updated 1" in printed and "1 donors that the file" in printed
    code, printed, error = run("registry", "show", "--release", "demo")
    assert "1 donors stored" in printed and "1 adult\n1 temporarily_unavailable\n" in printed
    code, printed, error = run("registry", "get", "D2")
    record = json.loads(printed)
    assert record["present"] is None
    assert [step["kind"] for step in record["history"]] == ["new", "deleted"]
    code, printed, error = run("registry", "get", "D9")
    assert code == 1 and "no donor 'D9'" in error
    code, printed, error = run("registry", "index", "--release", "demo")
    assert code == 0 and "1 donors searchable under release demo" in printed


def test_an_address_that_is_none(run: Run) -> None:
    code, _, error = run(
        *("registry", "show", "--release", "demo"),
        *("--registry", "postgresql://u:secret@127.0.0.1:1/x"),
    )
    assert code == 1 and "refused" in error and "secret" not in error


def test_what_the_system_refuses_is_one_clear_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, error = run("registry", "show", "--release", "demo", "--registry", "9" * 5000)
    assert code == 1 and error.startswith("error: 999") and "name too long" in error.lower()
    assert error.count("\n") == 1
    (tmp_path / "log.key").write_text("ab" * 32)
    code, _, error = run("audit", tmp_path / "log", "--record", "D\udcff")
    assert code == 1 and error.startswith("error: text cannot be written as utf-8")
    # An empty variable is as one that is not set.
    monkeypatch.setenv("GRAFTMATCH_HOME", "")
    assert Settings().home == Path.home() / ".graftmatch"
