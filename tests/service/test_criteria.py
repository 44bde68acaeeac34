"""Criteria of a search from the command line, against a plain reading of the whole result."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from matching.loci import Locus
from matching.search import Criteria, Direction
from service.criteria import criteria_json, criteria_of
from tests.service.conftest import Run

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)
SEARCH = ("match", "--patient", PATIENT, "--release", "demo", "--as-of", "2026-01-01")


def found(run: Run, out: Path, *options: object) -> pd.DataFrame:
    code, _, error = run(*SEARCH, "--max-mismatches", 6, *options, "--out", out)
    assert code == 0, error
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


CRITERIA: list[tuple[tuple[str, ...], Callable[[Any], Any]]] = [
    (
        ("--max-mismatches-at", "A=0,DRB1=1"),
        lambda t: (t.a_count_best == 2) & (t.drb1_count_best >= 1),
    ),
    (("--no-potential",), lambda t: t.mismatches_worst <= 6),
    (("--donor-type", "cord"), lambda t: t.type == "cord"),
    (("--sex", "male"), lambda t: (t.sex == "male") | t.sex.isna()),
    (("--sex", "male", "--require-known"), lambda t: t.sex == "male"),
    (("--cmv", "negative"), lambda t: (t.cmv == "negative") | t.cmv.isna()),
    (("--abo", "A,O"), lambda t: t.abo.isin(["A", "O"]) | t.abo.isna()),
    (
        ("--age", "20-40"),
        lambda t: (t.type == "cord") | t.age_years.between(20, 40) | t.age_years.isna(),
    ),
    (("--age", "-30"), lambda t: (t.type == "cord") | ~(t.age_years > 30)),
    (("--status", "reserved"), lambda t: t.type == "none of all"),
]


@pytest.mark.parametrize(("options", "kept"), CRITERIA)
def test_donors_that_meet_the_criteria(
    run: Run, registry: Path, tmp_path: Path, options: tuple[str, ...], kept: Callable[[Any], Any]
) -> None:
    whole = found(run, tmp_path / "whole.csv")
    some = found(run, tmp_path / "some.csv", *options)
    expected = whole[kept(whole)]
    assert some["donor"].tolist() == expected["donor"].tolist()
    assert len(whole) > 20 and (options[0] == "--status" or len(some) > 0)


@pytest.mark.parametrize(("direction", "column"), [("gvh", "gvh_best"), ("hvg", "hvg_best")])
def test_mismatches_of_one_direction(
    run: Run, registry: Path, tmp_path: Path, direction: str, column: str
) -> None:
    # GvH and HvG are at most the mismatches, so that a wide search holds all of a narrow one.
    code, _, error = run(*SEARCH, "--max-mismatches", 10, "--out", tmp_path / "whole.csv")
    assert code == 0, error
    whole = pd.read_csv(tmp_path / "whole.csv")
    code, _, error = run(
        *SEARCH, "--max-mismatches", 2, "--direction", direction, "--out", tmp_path / "some.csv"
    )
    assert code == 0, error
    some = pd.read_csv(tmp_path / "some.csv")
    assert set(some["donor"]) == set(whole.loc[whole[column] <= 2, "donor"]) != set()


def test_criteria_stand_in_the_answer_and_in_a_saved_search(
    run: Run, registry: Path, tmp_path: Path
) -> None:
    options = (
        *("--max-mismatches-at", "B=1", "--direction", "gvh", "--donor-type", "adult"),
        *("--age", "20-", "--patient-facts", "sex=male,age_years=40,weight_kg=70"),
    )
    out = tmp_path / "found.json"
    assert run(*SEARCH, *options, "--save", "smith", "--out", out)[0] == 0
    document = json.loads(out.read_text())
    assert document["max_mismatches_at"] == {"B": 1} and document["direction"] == "GvH"
    assert document["donors"] == {"types": ["adult"], "min_age_years": 20}
    code, printed, error = run(
        "match", "--repeat", "smith", "--format", "json", "--as-of", "2026-01-01"
    )
    assert code == 0, error
    answer = json.loads(printed)
    assert answer["donors"] == []
    assert answer["found"] == len(document["patients"][0]["donors"]) > 0


def test_criteria_come_back_from_json() -> None:
    criteria = Criteria(
        (Locus.A, Locus.B), 3, {Locus.A: 1}, Direction.HVG, frozenset([Locus.B]), False
    )
    donors = {"types": ["cord"], "min_tnc_1e7_per_kg": 2.5}
    content = json.loads(json.dumps(criteria_json(criteria, donors)))
    assert criteria_of(content) == (criteria, donors)


@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        (("--max-mismatches-at", "A=3"), 2, "limit of locus A is 3"),
        (("--max-mismatches-at", "A"), 2, "no list such as A=1"),
        (("--max-mismatches-at", "A=1,A=2"), 2, "names something twice"),
        (("--max-mismatches-at", "DPB1=1"), 2, "is not searched"),
        (("--max-mismatches-at", "Q=1"), 2, "not a matched locus"),
        (("--level", "A=protein"), 2, "is no level"),
        (("--direction", "up"), 2, "both"),
        (("--age", "30"), 2, "no range such as 18-35"),
        (("--age", "a-b"), 2, "no range such as 18-35"),
        (("--sex", "m"), 2, "none of male, female"),
        (("--status", "gone"), 2, "none of available"),
        (("--require-known",), 2, "nothing is asked"),
        (("--patient-facts", "size=1"), 2, "'size' is none of"),
        (("--patient-facts", "sex=m"), 2, "none of male, female"),
        (("--patient-facts", "weight_kg=0"), 2, "not in 1 to 500"),
        (("--min-tnc", "2.5"), 1, "needs the weight of the patient"),
    ],
)
def test_criteria_that_cannot_be(
    run: Run, registry: Path, options: tuple[str, ...], code: int, reason: str
) -> None:
    ended, _, error = run(*SEARCH, *options)
    assert ended == code and reason in " ".join(error.replace("│", " ").split())


def test_a_dose_is_that_of_the_patient(run: Run, registry: Path, tmp_path: Path) -> None:
    facts = ("--patient-facts", "weight_kg=70")
    some = found(run, tmp_path / "some.csv", "--min-tnc", 2.5, "--require-known", *facts)
    whole = found(run, tmp_path / "whole.csv", *facts)
    # No unit of the simulation has a count, and adult donors have no dose.
    assert "tnc_1e7" not in whole or whole["tnc_1e7"].isna().all()
    assert set(some["donor"]) == set(whole.loc[whole["type"] == "adult", "donor"])
