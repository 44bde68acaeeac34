"""Work in processes of their own: answers, errors, and an end when nobody waits."""

from __future__ import annotations

import multiprocessing
import operator
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from data.index import open_masses
from data.nomenclature import DEMO_RELEASE
from matching.errors import TypingError
from matching.typings import split_gl
from service import registry_servicer, servicers
from service.apart import apart, goes_on
from service.calls import CURRENT, Call, CallEndedError
from service.config import Settings
from service.cores import ALLOWED, keep_to_share
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.pb.graftmatch.v1 import registry_pb2, registry_pb2_grpc
from service.security.caller import ANYONE
from service.snapshot import Snapshot, load_snapshot
from service.status import RequestError
from tests.service.serving import running, stub_of
from tests.service.test_server_load import eventually


@pytest.fixture
def call() -> Iterator[Call]:
    made = Call("AllocateDonors", "0", ANYONE)
    outside = CURRENT.set(made)
    yield made
    CURRENT.reset(outside)


def request(n: int, per_patient: int) -> pb.AllocateDonorsRequest:
    rng = np.random.default_rng(1)
    edges = [
        pb.Edge(patient=patient, donor=donor, utility=int(rng.integers(1, 1000)))
        for patient in range(n)
        for donor in rng.choice(n, per_patient, replace=False).tolist()
    ]
    names = [str(i) for i in range(n)]
    return pb.AllocateDonorsRequest(patients=names, donors=names, edges=edges)


def test_what_an_allocation_imports_is_there_before() -> None:
    imported = apart(eval, "list(__import__('sys').modules)")
    names = {"networkx", "ortools.graph.python.min_cost_flow", "ortools.sat.python.cp_model"}
    assert names | {"scipy.optimize"} <= set(imported)


def test_it_gives_what_the_function_returns_or_raises() -> None:
    assert apart(operator.add, [1], [2]) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        apart(operator.truediv, 1, 0)
    with pytest.raises(ChildProcessError, match="ended with 3"):
        apart(os._exit, 3)
    # Also an error that is made of more than its text.
    with pytest.raises(TypingError) as here:
        split_gl("A*01:01+A*02:01^A*01:01+A*02:01")
    with pytest.raises(type(here.value)) as there:
        apart(split_gl, "A*01:01+A*02:01^A*01:01+A*02:01")
    assert str(there.value) == str(here.value) and vars(there.value) == vars(here.value)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one core cannot be shared out")
def test_it_works_on_all_cores_beside_a_thread_that_keeps_to_its_share() -> None:
    found = []

    def kept() -> None:
        keep_to_share(1, 2)
        found.append((os.sched_getaffinity(0), apart(os.sched_getaffinity, 0)))

    thread = threading.Thread(target=kept)
    thread.start()
    thread.join()
    assert found == [({*ALLOWED[1::2]}, {*ALLOWED})]


def test_it_ends_with_the_call(call: Call) -> None:
    def end() -> None:
        eventually(lambda: len(multiprocessing.active_children()) == 1)
        call.ended = True

    ending = threading.Thread(target=end)
    ending.start()
    with pytest.raises(CallEndedError):
        apart(time.sleep, 3600)
    ending.join()
    assert multiprocessing.active_children() == []


def going_on(folder: Path) -> str:
    goes_on()
    (folder / "begun").touch()
    while not (folder / "end").exists():
        time.sleep(0.01)
    return "stored"


def test_it_does_not_end_with_the_call_once_it_goes_on(call: Call, tmp_path: Path) -> None:
    def end() -> None:
        eventually((tmp_path / "begun").exists)
        call.ended = True
        time.sleep(0.1)
        (tmp_path / "end").touch()

    ending = threading.Thread(target=end)
    ending.start()
    assert apart(going_on, tmp_path) == "stored"
    ending.join()


def test_an_import_in_another_process_is_the_same(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = []
    rows = (home / "simulated/donors.csv").read_text() + "X1,,,,,,,,,,A*99:99+A*01:01\n"
    for here in (True, False):
        monkeypatch.setattr(registry_servicer, "IMPORTED_HERE", len(rows) if here else 100)
        served = load_snapshot(Settings(home=tmp_path / str(here)), DEMO_RELEASE)
        with running(served) as address, grpc.insecure_channel(address) as channel:
            make: Any = registry_pb2_grpc.RegistryServiceStub
            stub = make(channel)
            parts = [
                registry_pb2.ImportDonorsRequest(options=registry_pb2.ImportOptions()),
                registry_pb2.ImportDonorsRequest(data=rows.encode()),
            ]
            answer = stub.ImportDonors(iter(parts))
            index = served.registry.index(served.nomenclature)
            assert served.sets is not None
            masses = open_masses(index, served.sets.masses)
            parts[1] = registry_pb2.ImportDonorsRequest(data=bytes(200))
            with pytest.raises(grpc.RpcError) as refused:
                stub.ImportDonors(iter(parts))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            answers.append(
                (answer.new, list(answer.rejects), masses.n_missing, refused.value.details())
            )
    assert answers[0] == answers[1]
    new, rejects, missing, reason = answers[0]
    assert (new, len(rejects), missing) == (300, 1, 0) and "the file" in reason


def test_a_large_allocation_is_the_same_in_another_process(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(60, 40)
    assert len(asked.edges) > servicers.ALLOCATED_HERE
    elsewhere = servicers.allocate_answer(snapshot, asked)
    monkeypatch.setattr(servicers, "ALLOCATED_HERE", len(asked.edges))
    monkeypatch.setattr(servicers, "apart", None)
    assert servicers.allocate_answer(snapshot, asked) == elsewhere


def test_a_large_request_that_is_wrong_is_refused_alike(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = request(60, 40)
    asked.edges[7].utility = 0
    asked.edges[9].donor = 60
    told = []
    for most in (0, len(asked.edges)):
        monkeypatch.setattr(servicers, "ALLOCATED_HERE", most)
        with pytest.raises(RequestError) as refused:
            servicers.allocate_answer(snapshot, asked)
        told.append((str(refused.value), refused.value.violations))
    assert told[0] == told[1]
    assert [one.field for one in told[0][1]] == ["edges[9].donor", "edges[7].utility"]


def test_a_large_allocation_that_nobody_waits_for_ends(snapshot: Snapshot) -> None:
    """Its process is killed in the middle of a flow, which would go on for seconds."""
    asked = request(6_000, 40)
    with (
        running(snapshot, threads=1) as address,
        grpc.insecure_channel(address) as channel,
    ):
        called = stub_of(channel).AllocateDonors.future(asked)
        eventually(lambda: len(multiprocessing.active_children()) == 1)
        called.cancel()
        eventually(lambda: multiprocessing.active_children() == [])
        stub_of(channel).ParseTyping(pb.ParseTypingRequest(typing="A*01:01+A*02:01"), timeout=60)
