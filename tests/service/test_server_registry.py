"""The donors of the registry over a real channel: every call, and every way in which it can end."""

from __future__ import annotations

import contextlib
import datetime
import gzip
import json
import multiprocessing
import shutil
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

from data.frequencies import read_frequencies
from data.nomenclature import DEMO_RELEASE
from data.registry import Registry, databases
from data.synthetic import simulate
from matching.nomenclature import Nomenclature
from service import registry_servicer
from service.calls import Call
from service.config import Settings
from service.convert.names import DONORS, donor_name, identifier_of
from service.convert.requests import Limits
from service.observability import metrics
from service.pb.graftmatch.v1 import graftmatch_pb2
from service.pb.graftmatch.v1 import registry_pb2 as pb
from service.pb.graftmatch.v1.registry_pb2_grpc import RegistryServiceStub
from service.requests import RequestFolder
from service.security.audit import audit_key, record_hash
from service.security.caller import ANYONE, Role
from service.snapshot import Snapshot, load_snapshot
from service.status import RequestError
from tests.service.serving import PATIENT, running, stub_of
from tests.service.test_server_load import eventually
from tests.service.test_server_tokens import made

N = 300


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, demo: Nomenclature) -> Path:
    """A home folder with a simulated registry, to be copied, and `donors.csv`."""
    home = tmp_path_factory.mktemp("home")
    simulate(home / "simulated", read_frequencies("demo"), demo, N, 2, seed=1)
    shutil.copy(home / "simulated" / "donors.csv", home)
    Registry(home / "registry").import_file(home / "donors.csv", demo, home / "rejects")
    return home


@pytest.fixture
def home(imported: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    shutil.copytree(imported, folder)
    return folder


def loaded(home: Path) -> Snapshot:
    return load_snapshot(Settings(home=home), DEMO_RELEASE)


@pytest.fixture
def channel(home: Path) -> Iterator[grpc.Channel]:
    with (
        running(loaded(home), reload_seconds=0.05) as address,
        grpc.insecure_channel(address) as opened,
    ):
        yield opened


def registry_of(channel: grpc.Channel) -> Any:
    make: Any = RegistryServiceStub
    return make(channel)


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return registry_of(channel)


def parts(*data: bytes, **options: Any) -> Iterator[pb.ImportDonorsRequest]:
    yield pb.ImportDonorsRequest(options=pb.ImportOptions(**options))
    for one in data:
        yield pb.ImportDonorsRequest(data=one)


def csv_of(*rows: str) -> bytes:
    return "\n".join(["id,gl,change,registry", *rows, ""]).encode()


def new(*ids: str) -> bytes:
    return csv_of(*(f"{one},{PATIENT},,R" for one in ids))


def counts(answer: Any) -> tuple[int, ...]:
    names = ("read", "new", "updated", "unchanged", "deleted", "rejected")
    return tuple(getattr(answer, name) for name in names)


def refused(call: Callable[[], object]) -> tuple[str, str]:
    """Name and text of the status of a call."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code().name, error.value.details()


def violations(call: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT, error.value.details()
    (detail,) = rpc_status.from_call(error.value).details
    bad = error_details_pb2.BadRequest()
    assert detail.Unpack(bad)
    return {violation.field: violation.description for violation in bad.field_violations}


def found_by_search(channel: grpc.Channel) -> set[str]:
    request = graftmatch_pb2.SearchDonorsRequest(patient=PATIENT)
    return {c.donor for batch in stub_of(channel).SearchDonors(request) for c in batch.candidates}


def test_an_import_is_in_the_registry_and_then_in_searches(
    stub: Any, channel: grpc.Channel, home: Path
) -> None:
    assert stub.GetStatistics(pb.GetStatisticsRequest()).missing_masses == N
    whole = new("NEW-1", "NEW-2") + b"BAD,A*01:01,,R\nNEW-1," + PATIENT.encode() + b",,R\n"
    # Parts of any size.
    answer = stub.ImportDonors(parts(*(whole[i : i + 7] for i in range(0, len(whole), 7)), b""))
    assert counts(answer) == (4, 2, 0, 0, 0, 2)
    assert [(one.record, one.donor) for one in answer.rejects] == [(4, "BAD"), (5, "NEW-1")]
    assert "only one of two positions" in answer.rejects[0].reason
    assert answer.revision == 2 and answer.provenance.release == "demo"
    assert answer.provenance.index == Registry(home / "registry").version()
    assert answer.provenance.frequency_set == "demo" and answer.provenance.model
    eventually(lambda: {"NEW-1", "NEW-2"} <= found_by_search(channel))
    # Masses come with an import, also those that were missing.
    eventually(lambda: not stub.GetStatistics(pb.GetStatisticsRequest()).missing_masses)
    statistics = stub.GetStatistics(pb.GetStatisticsRequest())
    assert (statistics.stored, statistics.searchable) == (N + 2, N + 2)
    assert (statistics.revision, statistics.index_revision) == (2, 2)
    assert statistics.by_registry["R"] == 2
    for by in (statistics.by_type, statistics.by_status, statistics.by_registry):
        assert sum(by.values()) == N + 2
    # The same again changes nothing.
    again = stub.ImportDonors(parts(new("NEW-1", "NEW-2")))
    assert counts(again) == (2, 0, 0, 2, 0, 0) and again.revision == 2


def test_the_format_is_told_from_the_content(stub: Any, imported: Path) -> None:
    text = f"GLTEXT%{PATIENT}\n".encode()
    for sent in (text, gzip.compress(text), gzip.compress(new("ZIPPED"))):
        assert stub.ImportDonors(parts(sent)).read == 1
    whole = (imported / "donors.csv").read_bytes()
    answer = stub.ImportDonors(parts(whole, mode=pb.IMPORT_MODE_CHECK))
    assert counts(answer) == (N, 0, 0, N, 0, 0)


def test_modes_of_an_import(stub: Any) -> None:
    stub.ImportDonors(parts(new(*(f"X{i}" for i in range(10)))))
    rest = new(*(f"X{i}" for i in range(9)))
    answer = stub.ImportDonors(parts(rest, mode=pb.IMPORT_MODE_CHECK))
    assert (answer.absent, answer.revision) == (1, 2)
    assert [(d.donor, d.difference) for d in answer.differences] == [("X9", "not in the file")]
    changed = rest.replace(b"A*02:01", b"A*03:01", 1)
    (one, *_) = stub.ImportDonors(parts(changed, mode=pb.IMPORT_MODE_CHECK)).differences
    assert (one.donor, one.difference, list(one.fields)) == ("X0", "differs", ["a"])
    answer = stub.ImportDonors(parts(rest, mode=pb.IMPORT_MODE_FULL, validate_only=True))
    assert (answer.absent, answer.revision) == (1, 2)
    answer = stub.ImportDonors(parts(rest, mode=pb.IMPORT_MODE_FULL))
    assert (answer.absent, answer.revision) == (1, 3)
    few = new("X0")
    found = violations(lambda: stub.ImportDonors(parts(few, mode=pb.IMPORT_MODE_FULL)))
    assert list(found) == ["data"] and "the file would delete 8 of 9" in found["data"]
    answer = stub.ImportDonors(parts(few, mode=pb.IMPORT_MODE_FULL, allow_deletions=True))
    assert (answer.absent, answer.revision) == (8, 4)
    blank = csv_of(f"B,{PATIENT.replace('A*01:01+A*02:01', 'A*01:01+')},,R")
    assert stub.ImportDonors(parts(blank)).rejected == 1
    assert stub.ImportDonors(parts(blank, blank_second_homozygous=True)).new == 1


@pytest.mark.parametrize(
    ("sent", "field", "reason"),
    [
        ([], "options", "first message"),
        ([pb.ImportDonorsRequest(data=b"id,gl\n")], "options", "first message"),
        (list(parts(b"x"))[:1] * 2, "data", "every message but the first"),
        ([*parts(b"x"), pb.ImportDonorsRequest()], "data", "every message but the first"),
        (list(parts()), "data", "nothing of a file"),
        (list(parts(b"", b"")), "data", "nothing of a file"),
        (list(parts(b"id,name\n1,x\n")), "data", "the file: unknown column 'name'"),
        (list(parts(b"id,gl\n")), "data", "the file holds a header and no record"),
        (list(parts(b"\x00\x01\x02")), "data", "neither text in UTF-8 nor Parquet"),
        (list(parts(b"PAR1 and no more")), "data", "the file is damaged"),
        (list(parts(b"\x1f\x8b and no more")), "data", "the file is damaged"),
        (list(parts(new("X"), mode=9)), "options.mode", "none that this server knows"),
        (list(parts(new("X"), release="3.1.0")), "options.release", "not installed"),
        (list(parts(new("X"), release="../demo")), "options.release", "not installed"),
        (list(parts(new("X"), request_id="1")), "options.request_id", "a UUID"),
    ],
)
def test_an_import_that_cannot_be(stub: Any, sent: list[Any], field: str, reason: str) -> None:
    found = violations(lambda: stub.ImportDonors(iter(sent)))
    assert list(found) == [field] and reason in found[field]
    assert "/" not in found[field].replace("../demo", "")
    assert stub.GetStatistics(pb.GetStatisticsRequest()).revision == 1


def test_a_file_that_is_too_large(
    stub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(registry_servicer, "LIMITS", Limits(import_bytes=1000))
    sent: list[int] = []

    def many() -> Iterator[pb.ImportDonorsRequest]:
        for part in parts(*([b"x" * 600] * 1000)):
            sent.append(1)
            yield part

    assert violations(lambda: stub.ImportDonors(many())) == {"data": "more than 1,000 bytes"}
    eventually(lambda: not list(tmp_path.glob("graftmatch-*")))
    assert len(sent) < 1000


def test_a_part_is_asked_for_when_the_one_before_is_written(
    stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server holds a few parts and not the file."""
    opened, n_sent, n_written = threading.Event(), 0, 0
    add = registry_servicer.Upload.add

    def slow(upload: registry_servicer.Upload, data: bytes) -> None:
        nonlocal n_written
        assert opened.wait(20)
        n_written += 1
        add(upload, data)

    def many() -> Iterator[pb.ImportDonorsRequest]:
        nonlocal n_sent
        for part in parts(*([b"x" * 2**20] * 40)):
            n_sent += 1
            yield part

    monkeypatch.setattr(registry_servicer.Upload, "add", slow)
    call = stub.ImportDonors.future(many())
    eventually(lambda: n_sent > 2)
    settled = -1
    while settled != n_sent:
        settled = n_sent
        time.sleep(0.3)
    assert n_sent < 20 and n_written == 0
    opened.set()
    assert "the file" in violations(call.result)["data"]
    assert n_sent == 41 and n_written == 40


def test_the_same_request_again(stub: Any, home: Path) -> None:
    request_id = str(uuid.uuid4())
    options = {"request_id": request_id}
    first = stub.ImportDonors(parts(new("X1", "X2"), **options))
    assert first.new == 2
    name = donor_name("X1")
    deletion = pb.DeleteDonorRequest(name=name, request_id=str(uuid.uuid4()))
    deleted = stub.DeleteDonor(deletion)
    # Though the donor is gone by now, neither is done again.
    assert stub.ImportDonors(parts(new("X1", "X2"), **options)) == first
    assert stub.DeleteDonor(deletion) == deleted
    assert stub.GetDonor(pb.GetDonorRequest(name=name)).donor == pb.Donor()
    assert Registry(home / "registry").version().endswith("-3")
    for other in (
        lambda: stub.ImportDonors(parts(new("X3"), **options)),
        lambda: stub.ImportDonors(parts(new("X1", "X2"), strict=True, **options)),
        lambda: stub.DeleteDonor(
            pb.DeleteDonorRequest(name=donor_name("X2"), request_id=request_id)
        ),
    ):
        assert violations(other) == {"request_id": "was used for another request; make a new one"}


def test_a_request_that_is_under_way(stub: Any, home: Path) -> None:
    """In another process; those of one wait for each other."""
    request_id = str(uuid.uuid4())
    entered, opened = threading.Event(), threading.Event()

    def work() -> pb.ImportDonorsResponse:
        entered.set()
        assert opened.wait(20)
        raise ZeroDivisionError

    def other() -> None:
        call = Call("ImportDonors", "abcd", ANYONE)
        with contextlib.suppress(ZeroDivisionError):
            RequestFolder(home / "requests").once(
                call, request_id, b"", pb.ImportDonorsResponse.FromString, work
            )

    thread = threading.Thread(target=other)
    thread.start()
    assert entered.wait(20)
    try:
        code, told = refused(lambda: stub.ImportDonors(parts(new("X"), request_id=request_id)))
        assert code == "ABORTED" and "under way" in told
        request = pb.DeleteDonorRequest(name="donors/X", request_id=request_id)
        assert refused(lambda: stub.DeleteDonor(request))[0] == "ABORTED"
    finally:
        opened.set()
        thread.join()
    first, second = (
        stub.ImportDonors.future(parts(new("X"), request_id=request_id)) for _ in range(2)
    )
    assert first.result(timeout=20) == second.result(timeout=20)
    assert first.result().new == 1


def test_a_donor_and_its_history(stub: Any) -> None:
    row = "id,gl,type,birth_date,sex,cmv,tnc_1e7,typing_date,reported_at,registry"
    born = datetime.date.today().replace(year=datetime.date.today().year - 30, day=1)
    values = "male,positive,,2024-01-02,2025-01-01T00:00:00Z,R/Ä"
    odd = 'a/b ä%2F"x'
    quoted = '"' + odd.replace('"', '""') + '"'

    def file(typing: str, time: str = "2025-01-01") -> bytes:
        line = f"{quoted},{typing},adult,{born},{values}".replace("2025-01-01", time)
        return f"{row}\n{line}\n".encode()

    assert stub.ImportDonors(parts(file(PATIENT))).new == 1
    other = PATIENT.replace("A*02:01", "A*03:01")
    assert stub.ImportDonors(parts(file(other, "2025-02-02"))).updated == 1
    name = donor_name(odd)
    assert name == "donors/a%2Fb%20%C3%A4%252F%22x"
    answer = stub.GetDonor(pb.GetDonorRequest(name=name))
    donor = answer.donor
    assert sorted(donor.typing.split("^")) == sorted(other.split("^"))
    assert (donor.name, donor.identifier) == (name, odd)
    assert (donor.facts.age_years, donor.facts.sex, donor.facts.cmv) == (30, "male", "positive")
    assert (donor.facts.registry, donor.status, donor.typing_date) == (
        *("R/Ä", "available", "2024-01-02"),
    )
    assert not donor.HasField("tnc_1e7") and donor.facts.type == "adult"
    assert donor.reported_time.ToJsonString() == "2025-02-02T00:00:00Z"
    assert (donor.added_revision, donor.revision) == (2, 3)
    assert str(born) not in str(answer)
    assert [(step.kind, step.revision) for step in answer.history] == [("new", 2), ("updated", 3)]
    former = answer.history[1].former
    assert sorted(former.typing.split("^")) == sorted(PATIENT.split("^"))
    assert not answer.history[0].HasField("former")
    assert answer.history[1].file and answer.history[1].import_time.seconds > 1_700_000_000
    assert answer.provenance.release == "demo"
    deleted = stub.DeleteDonor(pb.DeleteDonorRequest(name=name))
    assert deleted.revision == 4 and deleted.provenance.index.endswith("-4")
    gone = stub.GetDonor(pb.GetDonorRequest(name=name))
    assert not gone.HasField("donor")
    assert [step.kind for step in gone.history] == ["new", "updated", "deleted"]
    assert gone.history[2].former == donor


def test_a_deleted_donor_is_found_no_more(stub: Any, channel: grpc.Channel) -> None:
    stub.ImportDonors(parts(new("X1", "X2")))
    eventually(lambda: {"X1", "X2"} <= found_by_search(channel))
    stub.DeleteDonor(pb.DeleteDonorRequest(name="donors/X1"))
    eventually(lambda: "X1" not in found_by_search(channel))
    assert "X2" in found_by_search(channel)


def test_donors_that_are_not_there(stub: Any) -> None:
    for call, make in (
        (stub.GetDonor, pb.GetDonorRequest),
        (stub.DeleteDonor, pb.DeleteDonorRequest),
    ):
        code, told = refused(partial(call, make(name="donors/nobody")))
        assert code == "NOT_FOUND" and "ever" in told
        for name in (
            "",
            "donors/",
            "x",
            "donors/a/b",
            "donors/%",
            "donors/%zz",
            "donors/%ff",
            "donors/%00",
        ):
            found = violations(partial(call, make(name=name)))
            assert list(found) == ["name"], name
    stub.ImportDonors(parts(new("X1")))
    request = pb.DeleteDonorRequest(name="donors/X1")
    stub.DeleteDonor(request)
    assert refused(lambda: stub.DeleteDonor(request)) == (
        *("NOT_FOUND", "the donor was deleted before"),
    )
    with_id = pb.DeleteDonorRequest(name="donors/X1", request_id="x")
    assert list(violations(lambda: stub.DeleteDonor(with_id))) == ["request_id"]


def test_donors_are_listed_page_by_page(stub: Any) -> None:
    def pages(size: int) -> Iterator[list[Any]]:
        token = ""
        while True:
            request = pb.ListDonorsRequest(page_size=size, page_token=token)
            answer = stub.ListDonors(request)
            assert answer.provenance.release == "demo"
            yield list(answer.donors)
            token = answer.next_page_token
            if not token:
                return

    (whole,) = pages(1000)
    ids = [donor.identifier for donor in whole]
    assert len(ids) == N and ids == sorted(ids, key=str.encode)
    for size in (7, 150, 300):
        found = list(pages(size))
        assert [donor for page in found for donor in page] == whole
        assert [len(page) for page in found[:-1]] == [size] * (len(found) - 1)
    assert [len(page) for page in pages(0)] == [100, 100, 100]
    first = stub.ListDonors(pb.ListDonorsRequest(page_size=2))
    # A list goes on though donors come and go.
    stub.DeleteDonor(pb.DeleteDonorRequest(name=first.donors[1].name))
    following = pb.ListDonorsRequest(page_size=2, page_token=first.next_page_token)
    assert [d.identifier for d in stub.ListDonors(following).donors] == ids[2:4]
    for fields in ({"page_size": 1001}, {"page_token": "x"}):
        found_ = violations(partial(stub.ListDonors, pb.ListDonorsRequest(**fields)))
        assert list(found_) == list(fields)
    assert stub.GetDonor(pb.GetDonorRequest(name=whole[5].name)).donor == whole[5]


def test_a_registry_without_donors(tmp_path: Path) -> None:
    settings = {"reload_seconds": 0.05}
    with running(loaded(tmp_path), **settings) as name, grpc.insecure_channel(name) as channel:
        stub = registry_of(channel)
        assert not stub.ListDonors(pb.ListDonorsRequest()).donors
        statistics = stub.GetStatistics(pb.GetStatisticsRequest())
        assert (statistics.stored, statistics.revision, statistics.searchable) == (0, 0, 0)
        get, delete = (
            make(name="donors/X") for make in (pb.GetDonorRequest, pb.DeleteDonorRequest)
        )
        assert refused(lambda: stub.GetDonor(get))[0] == "NOT_FOUND"
        assert refused(lambda: stub.DeleteDonor(delete))[0] == "NOT_FOUND"
        assert stub.ImportDonors(parts(new("X"), validate_only=True)).revision == 0
        assert stub.ImportDonors(parts(new("X"))).revision == 1
        eventually(lambda: _searchable(stub))
        assert found_by_search(channel) == {"X"}


def _searchable(stub: Any) -> bool:
    return bool(stub.GetStatistics(pb.GetStatisticsRequest()).searchable)


def test_a_registry_that_somebody_else_writes(
    stub: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "BUSY_SECONDS", 0.05)
    other = sqlite3.connect(home / "registry" / "donors.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    request_id = str(uuid.uuid4())
    try:
        code, told = refused(lambda: stub.ImportDonors(parts(new("X"), request_id=request_id)))
        assert code == "UNAVAILABLE" and str(home) not in told
        donor = stub.ListDonors(pb.ListDonorsRequest(page_size=1)).donors[0]
        request = pb.DeleteDonorRequest(name=donor.name, request_id=str(uuid.uuid4()))
        assert refused(lambda: stub.DeleteDonor(request))[0] == "UNAVAILABLE"
    finally:
        other.close()
    # What failed is done when it is asked for again.
    assert stub.ImportDonors(parts(new("X"), request_id=request_id)).new == 1
    assert stub.DeleteDonor(request).revision == 3


def test_a_client_that_goes_away_changes_nothing(
    stub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, home: Path
) -> None:
    """While it sends, and while the server reads the file."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    hanging = threading.Event()

    def half() -> Iterator[pb.ImportDonorsRequest]:
        yield from parts(new("X"))
        hanging.wait(20)

    call = stub.ImportDonors.future(half())
    eventually(lambda: bool(list(tmp_path.glob("graftmatch-*/[!.]*"))))
    call.cancel()
    eventually(lambda: not list(tmp_path.glob("graftmatch-*")))
    hanging.set()
    reading, gone, stopped = threading.Event(), threading.Event(), threading.Event()
    stop = registry_servicer._stop

    def slow(done: object) -> None:
        reading.set()
        assert gone.wait(20)
        try:
            stop(done)
        finally:
            stopped.set()

    monkeypatch.setattr(registry_servicer, "_stop", slow)
    call = stub.ImportDonors.future(parts(new("X")))
    assert reading.wait(20)
    call.cancel()
    # The server hears of it.
    eventually(lambda: stub.GetStatistics(pb.GetStatisticsRequest()).stored == N)
    eventually(lambda: _in_flight() == 0)
    gone.set()
    assert stopped.wait(20)
    eventually(lambda: not list(tmp_path.glob("graftmatch-*")))
    assert stub.GetStatistics(pb.GetStatisticsRequest()).revision == 1
    monkeypatch.undo()
    assert stub.ImportDonors(parts(new("X"))).new == 1


def _in_flight() -> float:
    return float(metrics.IN_FLIGHT._value.get())


def is_being_written(home: Path) -> bool:
    """Whether somebody is in the middle of a change of the store, and not only opens it."""
    other = sqlite3.connect(home / "registry/donors.sqlite", timeout=0.1, isolation_level=None)
    with contextlib.closing(other):
        try:
            other.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
    return False


def test_a_large_import_that_is_cancelled_midway_is_as_if_it_had_never_been(
    stub: Any, channel: grpc.Channel, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is in a process of its own, in the middle of its transaction. Then it is repeated."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = new(*(f"X{i:05}" for i in range(60_000)))
    assert len(data) > registry_servicer.IMPORTED_HERE
    request_id = str(uuid.uuid4())

    def sent() -> Iterator[pb.ImportDonorsRequest]:
        pieces = (data[i : i + 2**20] for i in range(0, len(data), 2**20))
        return parts(*pieces, request_id=request_id)

    found = found_by_search(channel)
    call = stub.ImportDonors.future(sent())
    eventually(lambda: is_being_written(home))
    assert len(multiprocessing.active_children()) == 1
    call.cancel()
    eventually(lambda: multiprocessing.active_children() == [])
    eventually(lambda: not list(tmp_path.glob("graftmatch-*")))
    assert not is_being_written(home)
    statistics = stub.GetStatistics(pb.GetStatisticsRequest())
    assert (statistics.stored, statistics.revision, statistics.searchable) == (N, 1, N)
    assert found_by_search(channel) == found
    assert list((home / "requests").iterdir()) == []
    answer = stub.ImportDonors(sent())
    assert counts(answer) == (60_000, 60_000, 0, 0, 0, 0) and answer.revision == 2
    assert stub.ImportDonors(sent()) == answer
    eventually(lambda: stub.GetStatistics(pb.GetStatisticsRequest()).searchable == N + 60_000)
    assert multiprocessing.active_children() == []


def test_a_client_that_goes_away_while_its_import_waits_for_another(
    stub: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    reading, opened = threading.Event(), threading.Event()

    def slow(_: object) -> None:
        reading.set()
        assert opened.wait(20)

    monkeypatch.setattr(registry_servicer, "_stop", slow)
    first = stub.ImportDonors.future(parts(new("X")))
    assert reading.wait(20)
    second = stub.ImportDonors.future(parts(new("Y")))
    eventually(lambda: len(list(tmp_path.glob("graftmatch-*/[!.]*"))) == 2)
    eventually(lambda: _in_flight() == 2)
    second.cancel()
    eventually(lambda: len(list(tmp_path.glob("graftmatch-*"))) == 1)
    opened.set()
    assert first.result(timeout=20).new == 1
    eventually(lambda: not list(tmp_path.glob("graftmatch-*")))
    assert stub.GetStatistics(pb.GetStatisticsRequest()).stored == N + 1


def test_a_client_that_stops_sending(home: Path) -> None:
    hanging = threading.Event()

    def half() -> Iterator[pb.ImportDonorsRequest]:
        yield from parts(new("X"))
        hanging.wait(20)

    settings = {"stall_seconds": 0.2}
    with running(loaded(home), **settings) as address, grpc.insecure_channel(address) as channel:
        code, _ = refused(lambda: registry_of(channel).ImportDonors(half()))
        assert code == "CANCELLED"
        hanging.set()


def test_roles_sites_and_the_audit_log(home: Path, tmp_path: Path) -> None:
    importer, searcher, analyst, other = (
        made("centre-1", Role.IMPORT),
        made("centre-1", Role.SEARCH),
        made("centre-1", Role.ANALYST),
        made("centre-2", Role.IMPORT),
    )
    tokens, log = tmp_path / "tokens.toml", tmp_path / "audit.jsonl"
    tokens.write_text("".join(lines for _, lines in (importer, searcher, analyst, other)))
    settings = {"tokens": tokens, "audit_log": log}
    request_id = str(uuid.uuid4())

    def sent() -> Iterator[pb.ImportDonorsRequest]:
        return parts(new("X1", "X2") + b"BAD,x,,R\n", request_id=request_id)

    with running(loaded(home), **settings) as address, grpc.insecure_channel(address) as channel:
        stub = registry_of(channel)

        def by(who: tuple[str, str] | None, call: Any, request: Any) -> Any:
            metadata = None if who is None else (("authorization", f"Bearer {who[0]}"),)
            return call(request, metadata=metadata, timeout=20)

        for who, code in (
            (None, "UNAUTHENTICATED"),
            (searcher, "PERMISSION_DENIED"),
            (analyst, "PERMISSION_DENIED"),
        ):
            assert refused(partial(by, who, stub.ImportDonors, sent()))[0] == code
            request = pb.DeleteDonorRequest(name="donors/X1")
            assert refused(partial(by, who, stub.DeleteDonor, request))[0] == code
        first = by(importer, stub.ImportDonors, sent())
        assert counts(first) == (3, 2, 0, 0, 0, 1)
        assert by(importer, stub.ImportDonors, sent()) == first
        # Another site's request of that id is another request.
        assert counts(by(other, stub.ImportDonors, sent())) == (3, 0, 0, 2, 0, 1)
        get = pb.GetDonorRequest(name="donors/X1")
        page = by(searcher, stub.ListDonors, pb.ListDonorsRequest(page_size=3))
        for who in (importer, searcher):
            assert by(who, stub.GetDonor, get).donor.identifier == "X1"
        assert refused(partial(by, analyst, stub.GetDonor, get))[0] == "PERMISSION_DENIED"
        assert by(analyst, stub.GetStatistics, pb.GetStatisticsRequest()).stored == N + 2
        by(importer, stub.DeleteDonor, pb.DeleteDonorRequest(name="donors/X2"))
    key = audit_key(tmp_path / "audit.jsonl.key")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    told = {
        rpc: [line["records"] for line in lines if line["rpc"] == rpc and "records" in line]
        for rpc in ("ImportDonors", "GetDonor", "ListDonors", "DeleteDonor", "GetStatistics")
    }
    assert told == {
        "ImportDonors": [[record_hash(key, "BAD")]] * 3,
        "GetDonor": [[record_hash(key, "X1")]] * 2,
        "ListDonors": [[record_hash(key, donor.identifier) for donor in page.donors]],
        "DeleteDonor": [[record_hash(key, "X2")]],
        "GetStatistics": [],
    }
    outcomes = {(line["rpc"], line["outcome"]) for line in lines if "outcome" in line}
    assert ("ImportDonors", "OK") in outcomes and ("ImportDonors", "PERMISSION_DENIED") in outcomes
    assert "X1" not in log.read_text() and "BAD" not in log.read_text()


@given(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=200))
def test_every_identifier_has_a_name(identifier: str) -> None:
    try:
        name = donor_name(identifier)
    except UnicodeEncodeError:
        return
    assert name.isascii() and name.count("/") == 1 and " " not in name
    assert identifier_of(name, DONORS) == identifier


@given(st.text())
def test_every_text_is_a_name_or_refused(text: str) -> None:
    for name in (text, DONORS + text):
        try:
            identifier = identifier_of(name, DONORS)
        except RequestError as error:
            assert [one.field for one in error.violations] == ["name"]  # noqa: PT017
        else:
            assert identifier_of(donor_name(identifier), DONORS) == identifier
