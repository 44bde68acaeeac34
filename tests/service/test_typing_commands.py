"""Typings on the command line: explain, diff, score, details and the reading options."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from data.nomenclature import ReferenceFolder
from tests.conftest import release_folder
from tests.service.conftest import Run

PATIENT = "A*01:01+A*02:01^B*44:02+B*08:01^DPB1*04:01+DPB1*03:01"
DONOR = "A*01:01+A*02:06^B*44:03+B*08:01^DPB1*04:01+DPB1*02:01"


@pytest.fixture(scope="module")
def both(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 3.44.0 and 3.58.0 side by side."""
    folder = tmp_path_factory.mktemp("both")
    for release in ("3.44.0", "3.58.0"):
        source = release_folder(shared, release.replace(".", ""))
        ReferenceFolder(folder).install(release, str(source))
    return folder


@pytest.fixture
def installed(run: Run, both: Path, tmp_path: Path) -> Run:
    """A home with both."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home/reference").symlink_to(both)
    return run


def test_explain(installed: Run) -> None:
    code, printed, error = installed(
        "typing", "explain", "A*01:01+A*0105N^B16+B*07:02", "--to", "G"
    )
    assert (code, error) == (0, "")
    for text in (
        "allelic",
        "serological",
        "A1 (unambiguous",
        "identical to A*01:04",
        "A*01:01:01G",
    ):
        assert text in printed, text
    assert "release 3.58.0" in printed and "not a medical device" in printed
    code, printed, _ = installed(
        "typing", "explain", "hla#3.44.0#HLA-A*43:XX", "--format", "json", "--to", "lgx"
    )
    answer = json.loads(printed)
    assert code == 0 and answer["release"] == "3.44.0" and answer["reduced"] == "HLA-A*43:01"
    assert answer["loci"][0]["genotypes"][0][0]["resolution"] == "high"
    # A named release is overruled by the option.
    _, printed, _ = installed(
        *("typing", "explain", "hla#3.44.0#A*43:XX", "--to", "lgx", "--release", "3.58.0")
    )
    assert "lgx: A*43:01/A*43:03" in printed and "typed under 3.44.0" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("typing", "explain", "A*01:01+"), "only one of two positions"),
        (("typing", "explain", "A*01:01+A*99:99"), "unknown in release 3.58.0"),
        (("typing", "explain", "hla#3.1.0#A*01:01"), "release 3.1.0 is not installed"),
        (("typing", "explain", "A*24:329", "--strict"), "A*24:329Q"),
        (("typing", "explain", "A*01:AB"), "reference install-mac FILE"),
        (("reference", "diff", "3.44.0", "3.1.0", "A*01:01"), "3.1.0 is not installed"),
        (("score", "--patient", "A*01:01", "--donor", DONOR), "only one of two positions"),
    ],
)
def test_what_is_refused(installed: Run, arguments: tuple[str, ...], message: str) -> None:
    code, printed, error = installed(*arguments)
    assert (code, printed) == (1, "") and error.count("\n") == 1 and message in error


def test_diff(installed: Run) -> None:
    code, printed, _ = installed("reference", "diff", "3.44.0", "3.58.0", "DPB1*13:01/548:01")
    assert code == 0 and "TCE groups" in printed and "2/3" in printed
    code, printed, _ = installed("reference", "diff", "3.58.0", "3.58.0", "A*01:01+A*02:01")
    assert code == 0 and "the same way" in printed


def test_score(installed: Run) -> None:
    code, printed, error = installed("score", "--patient", PATIENT, "--donor", DONOR)
    assert (code, error) == (0, "")
    for text in ("GDna", "1: 9 F/Y", "1: 156 D/L", "leader-matched", "non-permissive GvH"):
        assert text in printed, text
    code, printed, _ = installed(
        *("score", "--patient", PATIENT, "--donor", DONOR, "--loci", "A,B", "--format", "json")
    )
    answer = json.loads(printed)
    assert code == 0 and answer["mismatches_best"] == answer["mismatches_worst"] == 2
    assert answer["overall_category"] == "Mismatch"
    assert answer["dpb1_expression"]["outcome"] == "unfavourable"
    (position,) = (locus["positions"][1] for locus in answer["loci"] if locus["locus"] == "A")
    assert position["differences"] == ["9 F/Y"] and position["antigen_match"] is True


def test_details_of_a_search(run: Run, registry: Path, tmp_path: Path) -> None:
    search = ("match", "--patients", registry / "patients.csv", "--release", "demo")
    assert run(*search, "--details", "--out", tmp_path / "d.csv")[0] == 0
    assert run(*search, "--out", tmp_path / "plain.csv")[0] == 0
    with_details, plain = pd.read_csv(tmp_path / "d.csv"), pd.read_csv(tmp_path / "plain.csv")
    assert with_details[list(plain.columns)].equals(plain) and len(plain) > 0
    surely = with_details["a_position_1"].eq("A")
    assert surely.any() and with_details.loc[surely, "a_grade_1"].ne("Mismatch").all()
    assert with_details.loc[with_details["mismatches_best"] > 0, "category"].eq("Mismatch").all()
    assert with_details["leader_from_family"].all()


def test_reading_options(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "donors.csv"
    file.write_text("id,a,b\nD1,A*01:01+,B*07:02+B*08:01\nD2,A*01:01+A*02:01,B*07:02+B*08:01\n")
    code, printed, _ = run("registry", "import", file, "--release", "demo")
    assert code == 3 and "new 1" in printed and "rejected 1" in printed
    code, printed, _ = run(
        "registry", "import", file, "--release", "demo", "--blank-second", "homozygous"
    )
    assert code == 0 and "new 1" in printed and "unchanged 1" in printed
    code, printed, _ = run(
        *("match", "--patient", "A*01:01^B*07:02+B*08:01", "--blank-second", "homozygous"),
        *("--release", "demo", "--loci", "A,B", "--format", "csv"),
    )
    assert code == 0 and "D1" in printed and "A*01:01+A*01:01" in printed


def test_strict_import_and_disagreeing_drb345(installed: Run, tmp_path: Path) -> None:
    file = tmp_path / "donors.csv"
    file.write_text(
        "id,a,drb1,drb3,drb4\n"
        "D1,A*24:329+A*02:01,,,\n"
        "D2,A*01:01+A*02:01,DRB1*03:01+DRB1*01:01,,01:01+01:01\n"
        "D3,A*01:01+A*02:01,DRB1*03:01+DRB1*04:01,01:01,01:01\n"
    )
    code, printed, error = installed("registry", "import", file, "--strict")
    assert code == 3 and "new 2" in printed and "rejected 1" in printed
    assert "DRB3/4/5 of 1 records" in error
    assert "A*24:329Q" in (tmp_path / "donors.csv.rejects.csv").read_text()
    code, printed, error = installed("registry", "import", file)
    assert code == 0 and "new 1" in printed and "A*24:329 read as A*24:329Q" in error
