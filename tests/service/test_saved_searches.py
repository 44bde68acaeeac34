"""Searches that are saved and run again, through changes of the registry."""

from __future__ import annotations

import csv
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from data.registry import ImportRequest, Mode, Registry
from data.saved_searches import SavedFolder
from matching.errors import InputFileError
from matching.nomenclature import Nomenclature
from service.cli.saved import kept_location
from tests.service.conftest import Run

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)
SEARCH = ("match", "--patient", PATIENT, "--release", "demo", "--max-mismatches", 3)


def repeated(run: Run) -> Any:
    code, printed, error = run("match", "--repeat", "smith", "--format", "json")
    assert code == 0, error
    return json.loads(printed)


def found(run: Run) -> list[str]:
    document = json.loads(run(*SEARCH, "--format", "json")[1])
    return [donor["donor"] for donor in document["patients"][0]["donors"]]


def replaced(home: Path, rows: list[dict[str, str]], release: Nomenclature) -> None:
    """The donors of the rows take the place of all others."""
    path = home / "after.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    request = ImportRequest(Mode.FULL, allow_deletions=True)
    summary = Registry(home / "registry").import_file(
        path, release, home / "rejects", request=request
    )
    assert summary.rejects_file is None


def test_a_saved_search_says_what_is_new_changed_and_gone(
    run: Run, registry: Path, tmp_path: Path, demo: Nomenclature
) -> None:
    code, _, error = run(*SEARCH, "--save", "smith")
    before = found(run)
    assert code == 0 and f"saved as smith: {len(before)} donors" in error
    file = tmp_path / "home/searches/smith.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert run("match", "--saved")[1] == "smith\n"
    same = repeated(run)
    assert (same["new"], same["changed"], same["gone"]) == (0, 0, 0)
    assert same["found"] == len(before) and same["donors"] == [] and same["notes"] == []

    with (registry / "donors.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    by_id = {row["id"]: row for row in rows}
    gone, changed, left = before[0], before[1], before[2]
    unlike = next(row for row in rows if row["id"] not in before)
    facts = {"sex": "male" if by_id[changed]["sex"] != "male" else "female"}
    typing = {key: value for key, value in unlike.items() if key not in ("id", "sex", "cmv")}
    after = [
        *(row for row in rows if row["id"] not in (gone, changed, left)),
        by_id[changed] | facts,
        by_id[left] | typing,
        by_id[before[3]] | {"id": "ANEW"},
    ]
    replaced(tmp_path / "home", after, demo)
    now = repeated(run)
    kinds = {one["donor"]: one for one in now["donors"]}
    assert {donor: one["kind"] for donor, one in kinds.items()} == {
        "ANEW": "new",
        changed: "changed",
        gone: "gone",
        left: "gone",
    }
    assert kinds["ANEW"]["reasons"] == ["new in the registry"]
    assert kinds["ANEW"]["rank"] == found(run).index("ANEW") + 1
    was, becomes = by_id[changed]["sex"] or "unknown", facts["sex"]
    assert kinds[changed]["reasons"] == ["updated in the registry", f"sex {was} -> {becomes}"]
    assert kinds[gone]["reasons"] == ["deleted from the registry"]
    assert kinds[left]["reasons"] == ["updated in the registry, no longer within the criteria"]
    assert now["found"] == len(before) - 1 == len(found(run))
    # That run is the last one now.
    again = repeated(run)
    assert again["donors"] == []
    code, printed, _ = run("match", "--repeat", "smith")
    assert code == 0 and "0 new, 0 changed, 0 gone" in printed


def test_what_else_changed_is_noted(run: Run, registry: Path, tmp_path: Path) -> None:
    assert run(*SEARCH, "--save", "smith")[0] == 0
    file = tmp_path / "home/searches/smith.json"
    content = json.loads(file.read_text())
    first = next(iter(content["last"]["donors"]))
    content["last"]["donors"][first]["p10"] = 0.5
    content["last"]["provenance"]["frequency set"] = ""
    content["last"]["store"] = "ffffffff"
    file.write_text(json.dumps(content))
    now = repeated(run)
    assert [one["donor"] for one in now["donors"]] == [first] and now["changed"] == 1
    assert now["donors"][0]["reasons"][0].startswith("p10 0.5 -> ")
    assert any("the frequency set was none and is" in note for note in now["notes"])
    assert any("another one" in note for note in now["notes"])


def test_the_address_of_a_registry_is_not_kept(run: Run, registry: Path, tmp_path: Path) -> None:
    folder = tmp_path / "home/registry"
    assert run(*SEARCH, "--registry", folder, "--save", "smith")[0] == 0
    file = tmp_path / "home/searches/smith.json"
    content = json.loads(file.read_text())
    assert content["settings"]["registry"] == str(folder)
    assert kept_location("postgresql://user:secret@host/donors") == ""
    content["settings"]["registry"] = ""
    file.write_text(json.dumps(content))
    code, _, error = run("match", "--repeat", "smith")
    assert code == 1 and "give --registry" in error
    code, printed, _ = run("match", "--repeat", "smith", "--registry", folder)
    assert code == 0 and "0 new, 0 changed, 0 gone" in printed


def test_names_are_checked(run: Run, registry: Path, tmp_path: Path) -> None:
    assert run(*SEARCH, "--save", "smith")[0] == 0
    for arguments, reason in (
        ((*SEARCH, "--save", "smith"), "already saved as smith"),
        ((*SEARCH, "--save", "../smith"), "no name for a search"),
        (("match", "--repeat", "jones"), "no search is saved as jones; saved: smith"),
        (("match", "--forget", "jones"), "no search is saved as jones"),
    ):
        code, _, error = run(*arguments)
        assert code == 1 and reason in error
    for options in (("--saved",), ("--repeat", "smith")):
        assert run(*SEARCH, *options)[0] == 2
    assert run(*SEARCH, "--save", "jones", "--page-size", 5)[0] == 2
    file = tmp_path / "home/searches/smith.json"
    for damage in ("", "{}", '{"schema": 9}', "[1]"):
        file.write_text(damage)
        code, _, error = run("match", "--repeat", "smith")
        assert code == 1 and "search and save again" in error
    assert run("match", "--forget", "smith")[:2] == (0, "smith removed\n")
    assert run("match", "--saved")[1] == ""


def test_a_saved_search_keeps_its_report(
    run: Run, registry: Path, beads_file: Path, tmp_path: Path
) -> None:
    asked = (*SEARCH, "--antibodies", beads_file, "--exclude-positive")
    code, printed, error = run(*asked, "--format", "json")
    assert code == 0, error
    donors = [one["donor"] for one in json.loads(printed)["patients"][0]["donors"]]
    code, _, error = run(*asked, "--save", "smith")
    assert code == 0 and f"saved as smith: {len(donors)} donors" in error
    assert 10 < len(donors) < len(found(run))
    beads_file.unlink()
    same = repeated(run)
    assert same["found"] == len(donors) and same["donors"] == []
    assert any("donors are left out as positive" in note for note in same["notes"])
    assert any("against the patient's own type" in note for note in same["notes"])
    keep = ("--keep-donor", f"{donors[0]}=none other")
    assert run(*asked, *keep, "--save", "jones")[0] == 2
    file = tmp_path / "home/searches/smith.json"
    content = json.loads(file.read_text())
    stored = content["settings"]["antibodies"]
    for damage in ({}, {**stored, "beads": [{"target": "A2"}]}, {**stored, "mfi_cut_off": 0}):
        content["settings"]["antibodies"] = damage
        file.write_text(json.dumps(content))
        code, _, error = run("match", "--repeat", "smith")
        assert code == 1 and "search and save again" in error
    # One that was saved before there were reports.
    del content["settings"]["antibodies"]
    file.write_text(json.dumps(content))
    assert repeated(run)["new"] == len(found(run)) - len(donors)


def test_a_folder_without_searches_holds_none(tmp_path: Path) -> None:
    folder = SavedFolder(tmp_path / "absent")
    assert folder.names() == []
    with pytest.raises(InputFileError, match="saved: none"):
        folder.read("smith")
