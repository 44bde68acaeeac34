"""A running server takes up an import and another frequency set, all at once."""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from data.frequency_store import FrequencyFolder
from data.index import MassSets
from data.nomenclature import DEMO_RELEASE
from data.registry import ImportSummary, Registry
from matching.nomenclature import Nomenclature
from matching.typed_pairs import FIVE
from service.config import Settings
from service.observability import metrics
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.snapshot import load_snapshot
from tests.service.serving import PATIENT, running, stub_of

SEARCH = pb.SearchDonorsRequest(patient=PATIENT, batch_size=1)


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture
def folder(tmp_path: Path, demo: Nomenclature) -> Path:
    """A home folder with two donors."""
    imported(tmp_path, demo, ["D1", "D2"])
    return tmp_path


def imported(home: Path, demo: Nomenclature, names: list[str], typing: str = PATIENT) -> None:
    file = home / "donors.csv"
    file.write_text("id,gl\n" + "".join(f"{name},{typing}\n" for name in names))
    Registry(home / "registry").import_file(file, demo, home / "rejects")


def donors_of(stub: Any) -> tuple[str, list[str]]:
    """The index of an answer, the same in all its messages, and who was found."""
    batches = list(stub.SearchDonors(SEARCH))
    (index,) = {batch.provenance.index for batch in batches}
    found = sorted(candidate.donor for batch in batches for candidate in batch.candidates)
    assert {batch.found for batch in batches} == {len(found)}
    return index, found


def test_an_import_during_searches_is_taken_up(folder: Path, demo: Nomenclature) -> None:
    snapshot = load_snapshot(Settings(home=folder), DEMO_RELEASE)
    states = {snapshot.index_version: ["D1", "D2"]}
    done = threading.Event()

    def searches(stub: Any) -> list[tuple[str, list[str]]]:
        answers = []
        while not done.is_set():
            answers.append(donors_of(stub))
        return answers

    with (
        running(snapshot, reload_seconds=0.05) as address,
        grpc.insecure_channel(address) as channel,
        ThreadPoolExecutor(2) as pool,
    ):
        stub = stub_of(channel)
        under_way = [pool.submit(searches, stub) for _ in range(2)]
        try:
            for number in range(3, 7):
                names = [f"D{n}" for n in range(1, number + 1)]
                imported(folder, demo, names)
                states[Registry(folder / "registry").version()] = names
                eventually(lambda: donors_of(stub)[0] == list(states)[-1])
            # One changes so that it is found no more.
            imported(folder, demo, ["D1"], PATIENT.replace("A*02:01", "A*03:01"))
            states[Registry(folder / "registry").version()] = names[1:]
            eventually(lambda: donors_of(stub)[0] == list(states)[-1])
        finally:
            done.set()
        answers = [answer for one in under_way for answer in one.result()]
    assert len(states) == 6 and len(answers) > 6
    # No search sees a part of an import.
    assert all(found == states[index] for index, found in answers)


def test_the_first_import_is_taken_up(tmp_path: Path, demo: Nomenclature) -> None:
    snapshot = load_snapshot(Settings(home=tmp_path), DEMO_RELEASE)
    with (
        running(snapshot, reload_seconds=0.05) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = stub_of(channel)
        with pytest.raises(grpc.RpcError) as refused:
            donors_of(stub)
        assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        imported(tmp_path, demo, ["D1"])
        typing = pb.ParseTypingRequest(typing=PATIENT)
        eventually(lambda: stub.ParseTyping(typing).provenance.index != "")
        assert donors_of(stub)[1] == ["D1"]


def test_masses_that_are_computed_later_are_taken_up(folder: Path, demo: Nomenclature) -> None:
    snapshot = load_snapshot(Settings(home=folder), DEMO_RELEASE)
    assert snapshot.sets is not None
    with (
        running(snapshot, reload_seconds=0.05) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = stub_of(channel)
        (before,) = stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT))
        assert before.missing_masses == before.found == 2
        Registry(folder / "registry").fill_masses(demo, snapshot.sets.masses)

        def now() -> Any:
            (answer,) = stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT))
            return answer

        eventually(lambda: now().missing_masses == 0)
        found = [answer.candidates[0].comparison.p10 for answer in (before, now())]
        assert found[1] == pytest.approx(found[0]) and found[0] > 0


def test_an_import_is_taken_up_with_its_masses(
    folder: Path, demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Searches find the donors of before until then, but not for ever."""
    snapshot = load_snapshot(Settings(home=folder), DEMO_RELEASE)
    assert snapshot.sets is not None
    sets, registry = snapshot.sets.masses, Registry(folder / "registry")
    registry.fill_masses(demo, sets)
    indexed, may_end = threading.Event(), threading.Event()

    def masses(_: ImportSummary) -> MassSets:
        indexed.set()
        assert may_end.wait(60)
        return sets

    def importing(names: list[str]) -> None:
        file = folder / "more.csv"
        file.write_text("id,gl\n" + "".join(f"{name},{PATIENT}\n" for name in names))
        registry.import_file(file, demo, folder / "rejects", masses=masses)

    looked: list[bool] = []

    def is_being_completed(*asked: Any) -> bool:
        looked.append(found := asks(*asked))
        return found

    asks = Registry.is_being_completed
    monkeypatch.setattr(Registry, "is_being_completed", is_being_completed)
    with (
        running(load_snapshot(Settings(home=folder), DEMO_RELEASE), reload_seconds=0.02) as address,
        grpc.insecure_channel(address) as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        stub = stub_of(channel)

        def now() -> tuple[int, int]:
            (answer,) = stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT))
            return answer.found, answer.missing_masses

        eventually(lambda: now() == (2, 0))
        under_way = pool.submit(importing, ["D3"])
        try:
            assert indexed.wait(60)
            assert len(registry.index(demo)) == 3
            eventually(lambda: len(looked) > 3)
            assert all(looked) and now() == (2, 0)
        finally:
            may_end.set()
        under_way.result()
        eventually(lambda: now()[0] == 3)
        assert now() == (3, 0)
        indexed.clear()
        may_end.clear()
        monkeypatch.setattr("data.registry.registry.PATIENCE_SECONDS", 0.2)
        under_way = pool.submit(importing, ["D4", "D5"])
        try:
            assert indexed.wait(60)
            eventually(lambda: now() == (5, 5))
        finally:
            may_end.set()
        under_way.result()
        eventually(lambda: now() == (5, 0))


def test_a_server_that_starts_while_masses_are_made_takes_them_up(
    folder: Path, demo: Nomenclature
) -> None:
    """Until then it finds the new donors without."""
    registry = Registry(folder / "registry")
    sets = load_snapshot(Settings(home=folder), DEMO_RELEASE).sets
    assert sets is not None
    registry.fill_masses(demo, sets.masses)
    indexed, may_end = threading.Event(), threading.Event()

    def masses(_: ImportSummary) -> MassSets:
        indexed.set()
        assert may_end.wait(60)
        return sets.masses

    file = folder / "more.csv"
    file.write_text(f"id,gl\nD3,{PATIENT}\n")
    with ThreadPoolExecutor(1) as pool:
        under_way = pool.submit(registry.import_file, file, demo, folder / "rejects", masses=masses)
        try:
            assert indexed.wait(60)
            snapshot = load_snapshot(Settings(home=folder), DEMO_RELEASE)
            with (
                running(snapshot, reload_seconds=0.05) as address,
                grpc.insecure_channel(address) as channel,
            ):
                stub = stub_of(channel)

                def now() -> tuple[int, int]:
                    (answer,) = stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT))
                    return answer.found, answer.missing_masses

                assert now()[0] == 3 and now()[1] > 0
                may_end.set()
                under_way.result()
                eventually(lambda: now() == (3, 0))
        finally:
            may_end.set()


def test_another_frequency_set_is_taken_up_and_a_damaged_one_is_not(
    folder: Path, demo: Nomenclature
) -> None:
    snapshot = load_snapshot(Settings(home=folder), DEMO_RELEASE)
    sets = FrequencyFolder(Settings(home=folder).frequencies)
    file = folder / "frequencies.csv"
    file.write_text(
        "A,C,B,DRB1,DQB1,frequency\n"
        "A*01:01,C*07:01,B*08:01,DRB1*03:01,DQB1*02:01,0.5\n"
        "A*02:01,C*05:01,B*44:02,DRB1*04:01,DQB1*03:01,0.5\n"
    )
    pair = pb.ScorePairRequest(patient=PATIENT, donor=PATIENT)
    with (
        running(snapshot, reload_seconds=0.05) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = stub_of(channel)
        assert stub.ScorePair(pair).provenance.frequency_set == "demo"
        card = sets.import_file(file, None, "ours", demo, datetime.date(2026, 1, 1), FIVE)
        eventually(lambda: stub.ScorePair(pair).provenance.frequency_set == card.label)
        assert stub.ScorePair(pair).comparison.p10 == pytest.approx(1)
        failures = metrics.RELOAD_FAILURES._value.get()
        (sets.root / "active.json").write_text("{")
        eventually(lambda: metrics.RELOAD_FAILURES._value.get() > failures)
        assert stub.ScorePair(pair).provenance.frequency_set == card.label
        (sets.root / "active.json").unlink()
        eventually(lambda: stub.ScorePair(pair).provenance.frequency_set == "demo")
