"""A server with too much to do, without data yet, or about to end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from matching.allocate import Effort, constrained
from service import calls, planning, search, servicers
from service.calls import CallEndedError
from service.observability import metrics
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security import access
from service.security.access import SERVICES
from service.snapshot import Snapshot
from tests.matching.test_allocate_levels import crowded_problem
from tests.service.serving import PATIENT, running, started, stub_of

TYPING = pb.ParseTypingRequest(typing="A*01:01+A*02:01")
SEARCH = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=10)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class Gate:
    """Computations of `ParseTyping` wait at it until it is opened."""

    def __init__(self) -> None:
        self.entered, self.opened = threading.Semaphore(0), threading.Event()

    def wait(self, *_: object) -> pb.ParseTypingResponse:
        self.entered.release()
        assert self.opened.wait(20)
        return pb.ParseTypingResponse()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    monkeypatch.setattr(servicers, "parse_typing_answer", made.wait)
    yield made
    made.opened.set()


def ended(rpc: str, code: str) -> float:
    return float(metrics.CALLS.labels(rpc, code)._value.get())


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_more_calls_than_the_server_takes_are_told_when_to_try_again(
    snapshot: Snapshot, gate: Gate
) -> None:
    settings = {"max_calls": 3, "threads": 1}
    with running(snapshot, **settings) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        waiting = [stub.ParseTyping.future(TYPING)]
        assert gate.entered.acquire(timeout=20)
        waiting += [stub.ParseTyping.future(TYPING) for _ in range(2)]
        eventually(lambda: metrics.IN_FLIGHT._value.get() == 3)
        eventually(lambda: metrics.WAITING._value.get() == 2)
        for _ in range(50):
            with pytest.raises(grpc.RpcError) as refused:
                stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=PATIENT))
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            (detail,) = rpc_status.from_call(refused.value).details
            retry = error_details_pb2.RetryInfo()
            assert detail.Unpack(retry)
            assert 0.1 <= retry.retry_delay.ToTimedelta().total_seconds() <= 30
        health = health_pb2_grpc.HealthStub(channel)
        assert health.Check(health_pb2.HealthCheckRequest()).status == SERVING
        # One that gives up leaves the queue.
        waiting[2].cancel()
        eventually(lambda: metrics.IN_FLIGHT._value.get() == 2)
        eventually(lambda: metrics.WAITING._value.get() == 1)
        gate.opened.set()
        for call in waiting[:2]:
            call.result(timeout=20)
        stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=PATIENT))
        eventually(lambda: metrics.IN_FLIGHT._value.get() == 0)
    assert metrics.WAITING._value.get() == 0


def test_calls_that_come_faster_than_they_are_looked_at_are_told_when_to_try_again(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gRPC by itself drops calls beyond a thousand, which clients are told as CANCELLED."""
    entered, opened = threading.Event(), threading.Event()

    def held_up(*arguments: Any) -> None:
        entered.set()
        assert opened.wait(60)
        access.check_role(*arguments)

    monkeypatch.setattr("service.server.interceptor.check_role", held_up)
    with running(snapshot, max_calls=250) as address, contextlib.ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.insecure_channel(address, (("test.number", i),)))
            for i in range(8)
        ]
        waiting = [stub_of(channels[0]).ParseTyping.future(TYPING)]
        assert entered.wait(60)
        for channel in channels:
            waiting += [stub_of(channel).ParseTyping.future(TYPING) for _ in range(300)]
        # Most of them have come by then, and none is looked at.
        time.sleep(1)
        opened.set()
        codes = {call.code() for call in waiting}
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert grpc.StatusCode.OK in codes


@pytest.mark.parametrize("code", ["CANCELLED", "DEADLINE_EXCEEDED"])
def test_work_that_nobody_waits_for_stops(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    """At the next donor, whether the caller has gone or its time is up."""
    begun, gone, stopped = threading.Event(), threading.Event(), threading.Event()
    donors: list[object] = []
    unchanged = search.DonorSearch._unchanged

    def slow(*arguments: Any) -> Any:
        donors.append(arguments)
        if len(donors) == 3:
            begun.set()
            assert gone.wait(20)
        return unchanged(*arguments)

    def noted() -> None:
        try:
            checkpoint()
        except CallEndedError:
            stopped.set()
            raise

    checkpoint = calls.checkpoint
    monkeypatch.setattr(search.DonorSearch, "_unchanged", slow)
    monkeypatch.setattr(calls, "checkpoint", noted)

    def given_up() -> float:
        # The clocks of both ends decide which it is.
        return ended("SearchDonors", "CANCELLED") + ended("SearchDonors", "DEADLINE_EXCEEDED")

    before = given_up()
    with running(snapshot) as address, grpc.insecure_channel(address) as channel:
        stream = stub_of(channel).SearchDonors(SEARCH, timeout=1 if code[0] == "D" else 60)
        assert begun.wait(20)
        if code == "CANCELLED":
            stream.cancel()
        with pytest.raises(grpc.RpcError) as refused:
            next(stream)
        assert refused.value.code().name == code
        eventually(lambda: given_up() == before + 1)
        gone.set()
        assert stopped.wait(20)
    assert len(donors) == 3


def test_a_solver_run_that_nobody_waits_for_stops(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The only thread that computes is free again, though the solver would go on for hours."""
    monkeypatch.setattr(planning, "Effort", partial(Effort, work=1e6))
    problem = crowded_problem()
    edges = zip(
        *(column.tolist() for column in (problem.patient, problem.donor, problem.utility)),
        strict=True,
    )
    request = pb.AllocateDonorsRequest(
        patients=problem.patients,
        donors=problem.donors,
        edges=[pb.Edge(patient=p, donor=d, utility=u) for p, d, u in edges],
        limits=[
            pb.AllocationLimit(
                name=one.name, most=one.most, patients=one.patients, donors=one.donors
            )
            for one in problem.limits
        ],
    )
    solving = threading.Event()
    solve = constrained._solved

    def noted(*arguments: Any) -> Any:
        solving.set()
        return solve(*arguments)

    monkeypatch.setattr(constrained, "_solved", noted)
    with (
        running(snapshot, threads=1) as address,
        grpc.insecure_channel(address) as channel,
    ):
        call = stub_of(channel).AllocateDonors.future(request)
        assert solving.wait(60)
        call.cancel()
        stub_of(channel).ParseTyping(TYPING, timeout=60)


def test_a_stream_that_its_client_does_not_read_ends(snapshot: Snapshot) -> None:
    request = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=10, batch_size=1)
    before = ended("SearchDonors", "CANCELLED")
    options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1024))
    with (
        running(snapshot, stall_seconds=0.3, max_calls=1) as address,
        grpc.insecure_channel(address, options) as slow,
        grpc.insecure_channel(address) as other,
    ):
        stream = stub_of(slow).SearchDonors(request)
        next(stream)
        eventually(lambda: ended("SearchDonors", "CANCELLED") == before + 1)
        # There is room for others again, and the slow one learns that it has not got everything.
        assert len(list(stub_of(other).SearchDonors(request))) > 100
        with pytest.raises(grpc.RpcError):
            list(stream)


def test_it_listens_at_once_and_answers_when_its_data_are_read(snapshot: Snapshot) -> None:
    read = threading.Event()

    def load() -> Snapshot:
        assert read.wait(20)
        return snapshot

    with started(load) as server, grpc.insecure_channel(server.address) as channel:
        stub, health = stub_of(channel), health_pb2_grpc.HealthStub(channel)
        for service in ("", *SERVICES):
            request = health_pb2.HealthCheckRequest(service=service)
            checked = health.Check(request, wait_for_ready=True, timeout=20)
            assert checked.status == NOT_SERVING
        with pytest.raises(grpc.RpcError) as refused:
            stub.ParseTyping(TYPING)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        watch = health.Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == NOT_SERVING
        read.set()
        assert next(watch).status == SERVING
        assert stub.ParseTyping(TYPING).provenance.release == "demo"


def test_one_that_is_told_to_end_while_it_reads_ends(snapshot: Snapshot) -> None:
    read = threading.Event()

    def load() -> Snapshot:
        read.wait(60)
        return snapshot

    with started(load) as server:
        server.stop()
    # It has ended before.
    read.set()


def test_calls_under_way_are_answered_before_the_end(snapshot: Snapshot, gate: Gate) -> None:
    with (
        started(lambda: snapshot, drain_seconds=20) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        watch = health_pb2_grpc.HealthStub(channel).Watch(
            health_pb2.HealthCheckRequest(), wait_for_ready=True
        )
        while next(watch).status != SERVING:
            pass
        under_way = stub_of(channel).ParseTyping.future(TYPING)
        assert gate.entered.acquire(timeout=20)
        server.stop()
        assert next(watch).status == NOT_SERVING
        with grpc.insecure_channel(server.address) as late, pytest.raises(grpc.RpcError) as refused:
            stub_of(late).ParseTyping(TYPING)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        gate.opened.set()
        under_way.result(timeout=20)


def test_watches_and_calls_without_a_message_keep_nobody_out(snapshot: Snapshot) -> None:
    """They never end by themselves, and watches are anyone's."""
    with contextlib.ExitStack() as stack:
        address = stack.enter_context(running(snapshot, max_calls=1))
        others = [
            stack.enter_context(grpc.insecure_channel(address, (("number", i),))) for i in range(2)
        ]
        watches = [
            health_pb2_grpc.HealthStub(other).Watch(health_pb2.HealthCheckRequest())
            for other in others
            for _ in range(60)
        ]
        for watch in watches:
            assert next(watch).status == SERVING
        closed = threading.Event()
        stack.callback(closed.set)

        def nothing() -> Iterator[bytes]:
            closed.wait(20)
            yield from ()

        method = f"/{access.SERVICE_OF['ParseTyping']}/ParseTyping"
        silent = [other.stream_unary(method).future(nothing()) for other in others for _ in "12345"]
        channel = stack.enter_context(grpc.insecure_channel(address))
        assert stub_of(channel).ParseTyping(TYPING).provenance.release == "demo"
        for one in (*watches, *silent):
            one.cancel()
