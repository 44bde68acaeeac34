"""graftmatch family: what it prints, writes and draws."""

from __future__ import annotations

import csv
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from matching.family import Member, Pedigree
from service.family import percent
from service.family_page import generations, places
from tests.service.conftest import Run

ROWS = """id,father,mother,sex,birth_date,gl
F,,,M,1960-03-01,A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01
M,,,F,1962-03-01,A*03:01+A*24:02^B*07:02+B*35:01^C*07:02+C*04:01^DRB1*15:01+DRB1*01:01
P<b>,F,M,M,1990-03-01,A*01:01+A*03:01^B*08:01+B*07:02^C*07:01+C*07:02^DRB1*03:01+DRB1*15:01
S1,F,M,F,1992-03-01,A*01:01+A*24:02^B*08:01+B*35:01^C*07:01+C*04:01^DRB1*03:01+DRB1*01:01
S2,F,M,M,1995-03-01,A*01:01+A*03:01^B*08:01+B*07:02^C*07:01+C*07:02^DRB1*04:01+DRB1*15:01
S3,F,M,M,1997-03-01,A*01:01+A*03:01/A*24:02^B*08:01+B*07:02^C*07:01+C*07:02^DRB1*03:01+DRB1*15:01
"""
PATIENT = "P<b>"
EXAMPLE = Path(__file__).parents[2] / "examples/family.csv"


@pytest.fixture
def family(tmp_path: Path) -> Path:
    path = tmp_path / "family.csv"
    path.write_text(ROWS, encoding="utf-8")
    return path


def test_the_table_the_json_and_the_picture(run: Run, family: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "o.json", tmp_path / "o.html"
    code, printed, errors = run(
        *("family", family, "--patient", PATIENT, "--release", "demo", "--as-of", "2026-01-01"),
        *("--out", out, "--picture", picture),
    )
    assert (code, errors) == (0, "")
    assert "S2 has a recombination of father F's haplotypes between B and DRB1" in printed
    assert re.search(r"1 +│ S3 +│ sibling +│ HLA-identical +│ a \(paternal\)", printed)
    found = json.loads(out.read_text(encoding="utf-8"))
    ranked = [one["relative"] for one in found["relatives"]]
    assert ranked[0] == "S3" and set(ranked) == {"F", "M", "S1", "S2", "S3"}
    assert found["weighting"] == "equal weights" and found["release"] == "demo"
    assert found["haplotypes"]["a"]["alleles"]["DRB1"] == "03:01P"
    assert found["members"]["S2"]["paternal"] == ["a", "a", "a", "b"]
    assert found["members"]["S3"]["refined"]["A"]["refined"] == "A*01:01+A*03:01"
    one = next(one for one in found["relatives"] if one["relative"] == "S1")
    assert one["nima"] == pytest.approx(1) and one["class"] == "haploidentical"
    assert one["ranked_below_previous_for"]
    page = picture.read_text(encoding="utf-8")
    assert "<b>" not in page and "P&lt;b&gt;" in page and "<script" not in page
    svg = ElementTree.fromstring(page[page.index("<svg") : page.index("</svg>") + 6])
    letters = [
        t.text for t in svg.iter("{http://www.w3.org/2000/svg}text") if t.get("class") == "letter"
    ]
    # Four loci and two chromosomes of six people.
    assert len(letters) == 48 and set(letters) == {"a", "b", "c", "d"}


def test_csv_holds_one_row_a_relative(run: Run, family: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.csv"
    code, _, _ = run(
        *("family", family, "--patient", PATIENT, "--release", "demo", "--frequencies", "demo"),
        *("--out", out),
    )
    assert code == 0
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert rows[0]["relative"] == "S3" and rows[0]["class"] == "HLA-identical"
    for row in rows:
        assert sum(float(v) for name, v in row.items() if name.startswith("p_")) == pytest.approx(1)


def test_a_rule_file_changes_the_order(run: Run, family: Path, tmp_path: Path) -> None:
    rule, out = tmp_path / "rule.toml", tmp_path / "o.json"
    rule.write_text('keys = ["nima", "age"]', encoding="utf-8")
    arguments = ("family", family, "--patient", PATIENT, "--release", "demo", "--out", out)
    assert run(*arguments, "--rule", rule)[0] == 0
    found = json.loads(out.read_text(encoding="utf-8"))
    assert [one["relative"] for one in found["relatives"]][:2] == ["S1", "M"]
    assert "van Rood" in found["rule"]["sources"]["nima"]
    rule.write_text('keys = ["fame"]', encoding="utf-8")
    code, _, errors = run(*arguments, "--rule", rule)
    assert code == 1 and "no key is called 'fame'" in errors and len(errors.splitlines()) == 1


def test_the_example_of_the_documentation(run: Run, tmp_path: Path) -> None:
    picture = tmp_path / "family.html"
    code, printed, errors = run(
        *("family", EXAMPLE, "--patient", "P", "--release", "demo", "--frequencies", "demo"),
        *("--picture", picture),
    )
    assert (code, errors) == (0, "")
    assert "S2 has a recombination of father F's haplotypes between B and DRB1" in printed
    assert picture.exists()


def test_refusals_are_one_line(run: Run, family: Path, tmp_path: Path) -> None:
    arguments = ("family", family, "--release", "demo")
    code, _, errors = run(*arguments, "--patient", "X")
    assert code == 1 and "patient 'X' is not in the family" in errors
    assert len(errors.splitlines()) == 1
    assert run(*arguments, "--patient", PATIENT, "--out", tmp_path / "o.txt")[0] == 2
    assert run(*arguments, "--patient", PATIENT, "--picture", tmp_path / "o.png")[0] == 2


def test_partners_stand_beside_each_other_below_their_parents() -> None:
    family = Pedigree.of(
        [
            *(Member(name) for name in ("GF", "GM", "M", "W")),
            *(Member(name, "GF", "GM") for name in ("F", "U")),
            *(Member(name, "F", "M") for name in ("P", "S")),
            Member("K", "P", "W"),
        ]
    )
    expected = {"GF": 0, "GM": 0, "M": 1, "F": 1, "U": 1, "P": 2, "S": 2, "W": 2, "K": 3}
    assert generations(family) == expected
    slots = places(family)
    assert len(set(slots.values())) == len(slots)
    assert abs(slots["F"][0] - slots["M"][0]) == abs(slots["P"][0] - slots["W"][0]) == 1


def test_only_what_is_certain_reads_as_certain() -> None:
    texts = [percent(p) for p in (0.0, 1e-5, 0.25, 0.99996, 1.0)]
    assert texts == ["0.0 %", "<0.1 %", "25.0 %", ">99.9 %", "100.0 %"]
