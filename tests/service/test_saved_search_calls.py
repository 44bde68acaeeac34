"""Saved searches over a real channel."""

from __future__ import annotations

import csv
import json
import stat
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from data.nomenclature import DEMO_RELEASE
from data.registry import ImportRequest, Mode, Registry
from matching.nomenclature import Nomenclature
from service import saved_search_servicer
from service.config import Settings
from service.convert import LIMITS
from service.pb.graftmatch.v1 import graftmatch_pb2, saved_searches_pb2, saved_searches_pb2_grpc
from service.snapshot import Snapshot, load_snapshot
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running
from tests.service.test_jobs import refusal

pb = saved_searches_pb2
SEARCH = graftmatch_pb2.SearchDonorsRequest(
    patient=PATIENT,
    max_mismatches=3,
    as_of="2026-11-27",
    patient_facts=graftmatch_pb2.PatientFacts(sex="male", weight_kg=60),
)
SMITH = pb.CreateSavedSearchRequest(saved_search_id="smith", search=SEARCH)
RUN = pb.RunSavedSearchRequest(name="savedSearches/smith", as_of="2026-11-27")


def searches_of(channel: grpc.Channel) -> Any:
    make: Any = saved_searches_pb2_grpc.SavedSearchServiceStub
    return make(channel)


@pytest.fixture
def served(registry: Path, tmp_path: Path) -> Snapshot:
    return load_snapshot(Settings(home=tmp_path / "home"), DEMO_RELEASE)


@pytest.fixture
def searches(served: Snapshot) -> Iterator[Any]:
    with (
        running(served, reload_seconds=0.1) as address,
        grpc.insecure_channel(address) as channel,
    ):
        yield searches_of(channel)


def test_a_search_is_saved_told_listed_and_deleted(
    searches: Any, served: Snapshot, tmp_path: Path, run: Run
) -> None:
    made = searches.CreateSavedSearch(SMITH).saved_search
    assert made.name == "savedSearches/smith" and made.found > 20
    assert made.provenance.index == served.index_version
    assert made.provenance.frequency_set == served.frequency_set
    assert searches.GetSavedSearch(pb.GetSavedSearchRequest(name=made.name)).saved_search == made
    (answer,) = searches.RunSavedSearch(RUN)
    assert (answer.new, answer.changed, answer.gone) == (0, 0, 0) and not answer.differences
    assert answer.saved_search == made and answer.since == "2026-11-27"
    file = tmp_path / "home/searches/smith.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # The same one as at the command line.
    assert run("match", "--saved") == (0, "smith\n", "")
    for name in ("jones", "adams"):
        other = pb.CreateSavedSearchRequest(saved_search_id=name, search=SEARCH)
        searches.CreateSavedSearch(other)
    first = searches.ListSavedSearches(pb.ListSavedSearchesRequest(page_size=2))
    assert [one.name for one in first.saved_searches] == [
        "savedSearches/adams",
        "savedSearches/jones",
    ]
    token = first.next_page_token
    second = searches.ListSavedSearches(pb.ListSavedSearchesRequest(page_size=2, page_token=token))
    assert [one.name for one in second.saved_searches] == [made.name] and not second.next_page_token
    searches.DeleteSavedSearch(pb.DeleteSavedSearchRequest(name=made.name))
    assert refusal(lambda: list(searches.RunSavedSearch(RUN)))[0] == "NOT_FOUND"


def test_what_is_new_and_gone(
    searches: Any, registry: Path, tmp_path: Path, demo: Nomenclature
) -> None:
    searches.CreateSavedSearch(SMITH)
    with (registry / "donors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    path = tmp_path / "after.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows([*rows[:150], {**rows[0], "id": "N1"}])
    store = Registry(tmp_path / "home/registry")
    request = ImportRequest(Mode.FULL, allow_deletions=True)
    store.import_file(path, demo, tmp_path / "rejects", request=request)
    state = store.index(demo).version
    keeping = pb.RunSavedSearchRequest(name=RUN.name, as_of=RUN.as_of, keep_last=True)
    for _ in range(600):
        (answer,) = searches.RunSavedSearch(keeping)
        if answer.saved_search.provenance.index == state:
            break
    assert answer.gone > 5 and answer.changed == 0
    kinds = [one.kind for one in answer.differences]
    assert kinds == sorted(kinds) and kinds.count(pb.DIFFERENCE_KIND_GONE) == answer.gone
    gone = answer.differences[-1]
    assert gone.rank == 0 and list(gone.reasons) == ["deleted from the registry"]
    new = [one for one in answer.differences if one.kind == pb.DIFFERENCE_KIND_NEW]
    assert {(one.donor, *one.reasons) for one in new} <= {("N1", "new in the registry")}
    # The same once more, since the last run was kept; then nothing.
    assert next(iter(searches.RunSavedSearch(RUN))) == answer
    (after,) = searches.RunSavedSearch(RUN)
    assert (after.new, after.gone) == (0, 0)


def test_refused_searches(searches: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for identifier in ("", "a/b", ".x", "-x", "x" * 65):
        request = pb.CreateSavedSearchRequest(saved_search_id=identifier, search=SEARCH)
        code, found = refusal(partial(searches.CreateSavedSearch, request))
        assert (code, list(found)) == ("INVALID_ARGUMENT", ["saved_search_id"])
    search = graftmatch_pb2.SearchDonorsRequest
    for asked, field in (
        (search(patient="A*01"), "search.patient"),
        (search(patient=PATIENT, limit=3), "search.limit"),
        (search(patient=PATIENT, batch_size=3), "search.batch_size"),
        (search(patient=PATIENT, without_probabilities=True), "search.without_probabilities"),
    ):
        request = pb.CreateSavedSearchRequest(saved_search_id="x", search=asked)
        code, found = refusal(partial(searches.CreateSavedSearch, request))
        assert (code, list(found)) == ("INVALID_ARGUMENT", [field])
    few = replace(LIMITS, saved_donors=3)
    monkeypatch.setattr(saved_search_servicer, "LIMITS", few)
    code, found = refusal(lambda: searches.CreateSavedSearch(SMITH))
    assert code == "INVALID_ARGUMENT" and "at most 3 can be kept" in found["search"]
    monkeypatch.setattr(saved_search_servicer, "LIMITS", replace(LIMITS, saved_searches=1))
    searches.CreateSavedSearch(SMITH)
    assert refusal(lambda: searches.CreateSavedSearch(SMITH))[0] == "ALREADY_EXISTS"
    other = pb.CreateSavedSearchRequest(saved_search_id="jones", search=SEARCH)
    assert refusal(lambda: searches.CreateSavedSearch(other))[0] == "RESOURCE_EXHAUSTED"
    bad_day = pb.RunSavedSearchRequest(name=RUN.name, as_of="today")
    assert refusal(lambda: list(searches.RunSavedSearch(bad_day)))[1].keys() == {"as_of"}
    file = tmp_path / "home/searches/smith.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "settings": {}}))
    assert refusal(lambda: list(searches.RunSavedSearch(RUN)))[0] == "FAILED_PRECONDITION"
    file.write_text("{")
    code, _ = refusal(lambda: searches.GetSavedSearch(pb.GetSavedSearchRequest(name=RUN.name)))
    assert code == "FAILED_PRECONDITION"
