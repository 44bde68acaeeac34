"""The client: what it calls, when it tries again, pages and tables."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from service.client import Client, columns_frame, connect, frame, pages
from service.client.calls import Streamed, Unary
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.pb.graftmatch.v1 import jobs_pb2, registry_pb2
from service.security.access import ACCESS
from service.security.caller import Role
from service.snapshot import Snapshot
from tests.conftest import PROJECT
from tests.service.certificates import authority, signed
from tests.service.serving import PATIENT, running
from tests.service.test_server_tokens import made

TYPING = pb.ParseTypingRequest(typing="A*01:01+A*02:01")
SEARCH = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=3)


@pytest.fixture
def client(address: str) -> Iterator[Client]:
    with connect(address, insecure=True) as opened:
        yield opened


def test_every_call_is_there() -> None:
    made = {m.name for m in vars(Client).values() if isinstance(m, (Unary, Streamed))}
    assert made | {"ImportDonors"} == set(ACCESS)
    for name, method in vars(Client).items():
        if isinstance(method, (Unary, Streamed)):
            assert name == re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower()


def test_pages_are_the_stream_and_tables_have_its_candidates(client: Client) -> None:
    whole = [c for answer in client.search_donors(SEARCH) for c in answer.candidates]
    assert len(whole) > 5
    paged = pb.SearchDonorsRequest(page_size=2, batch_size=1)
    paged.MergeFrom(SEARCH)
    answers: list[pb.SearchDonorsResponse] = list(pages(client.search_donors, paged))
    assert [c for answer in answers for c in answer.candidates] == whole
    assert not paged.page_token
    table = frame(whole)
    assert table["donor"].tolist() == [c.donor for c in whole]
    assert table["comparison.p10"].tolist() == [c.comparison.p10 for c in whole]
    assert set(table["comparison.probability_status"]) == {"PROBABILITY_STATUS_COMPUTED"}
    streamed = client.stream_candidates(pb.StreamCandidatesRequest(search=SEARCH))
    columns = columns_frame(answer.candidates for answer in streamed)
    assert columns["rank"].tolist() == table["rank"].tolist()
    assert columns["donors"].tolist() == table["donor"].tolist()
    assert columns["sex"].tolist() == table["facts.sex"].tolist()
    assert columns["mismatches_best"].tolist() == table["comparison.mismatches.best"].tolist()
    assert columns["p10"].tolist() == table["comparison.p10"].tolist()
    at_b = [c.comparison.loci[2].matches.best for c in whole]
    assert columns["B.matches_best"].tolist() == at_b
    assert frame([]).empty and columns_frame([]).empty


class Failing:
    """A server that fails so many times, and then answers; what it was asked."""

    def __init__(self, failures: int, code: grpc.StatusCode, retry_seconds: float | None) -> None:
        self.failures, self.code, self.retry_seconds = failures, code, retry_seconds
        self.asked: list[bytes] = []
        self.times: list[float] = []

    def service(self, details: Any) -> Any:
        if details.method.startswith("/grpc.health."):
            return None
        if details.method.endswith(("SearchDonors", "StreamCandidates")):
            return grpc.unary_stream_rpc_method_handler(self.stream)
        return grpc.unary_unary_rpc_method_handler(self.answer)

    def answer(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        self.asked.append(request)
        self.times.append(time.monotonic())
        if len(self.asked) <= self.failures:
            self.fail(context)
        return b""

    def stream(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        self.asked.append(request)
        yield b""
        self.fail(context)

    def fail(self, context: grpc.ServicerContext) -> None:
        status = status_pb2.Status(code=code_pb2.Code.Value(self.code.name))
        if self.retry_seconds is not None:
            delay = duration_pb2.Duration(nanos=int(1e9 * self.retry_seconds))
            detail = any_pb2.Any()
            detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
            status.details.append(detail)
        context.abort_with_status(rpc_status.to_status(status))


def test_calls_go_to_the_servers_that_say_that_they_answer() -> None:
    servers, asked = [], [Failing(0, grpc.StatusCode.OK, None) for _ in range(2)]
    states = [health.HealthServicer() for _ in asked]
    addresses = []
    for one, state in zip(asked, states, strict=True):
        server = grpc.server(ThreadPoolExecutor(4))
        health_pb2_grpc.add_HealthServicer_to_server(state, server)
        server.add_generic_rpc_handlers((one,))
        addresses.append(f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}")
        servers.append(server)
        server.start()
    answers, begins = (
        health_pb2.HealthCheckResponse.SERVING,
        health_pb2.HealthCheckResponse.NOT_SERVING,
    )
    try:
        states[0].set("", begins)
        states[1].set("", answers)
        with connect(f"ipv4:{','.join(addresses)}", insecure=True) as client:

            def goes_to() -> list[int]:
                """How many of twenty calls each server has."""
                before = [len(one.asked) for one in asked]
                for _ in range(20):
                    client.parse_typing(TYPING)
                return [len(one.asked) - n for one, n in zip(asked, before, strict=True)]

            assert goes_to() == [0, 20]
            states[0].set("", answers)
            eventually(lambda: goes_to() == [10, 10])
            # Whoever ends says so before it does.
            states[1].set("", begins)
            eventually(lambda: goes_to() == [20, 0])
    finally:
        for server in servers:
            server.stop(None).wait()


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until


@contextmanager
def failing(
    failures: int, code: grpc.StatusCode, retry_seconds: float | None = None, **options: Any
) -> Iterator[tuple[Failing, Client]]:
    made = Failing(failures, code, retry_seconds)
    server = grpc.server(ThreadPoolExecutor(2), handlers=(made,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with connect(f"127.0.0.1:{port}", insecure=True, **options) as client:
            yield made, client
    finally:
        server.stop(None).wait()


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    code: grpc.StatusCode = refused.value.code()
    return code


UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_server_that_is_away_is_asked_again() -> None:
    with failing(2, UNAVAILABLE) as (server, client):
        client.parse_typing(TYPING)
        assert server.asked == [TYPING.SerializeToString()] * 3
    with failing(9, UNAVAILABLE, tries=3) as (server, client):
        assert code_of(lambda: client.parse_typing(TYPING)) is UNAVAILABLE
        assert len(server.asked) == 3
    with failing(10**6, UNAVAILABLE, tries=10**6, seconds=1) as (server, client):
        begun = time.monotonic()
        code = code_of(lambda: client.parse_typing(TYPING))
        assert code in (UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        assert len(server.asked) > 2 and time.monotonic() - begun < 5


def test_what_changes_something_is_repeated_only_under_one_identifier() -> None:
    deletion = registry_pb2.DeleteDonorRequest(name="donors/1")
    with failing(1, UNAVAILABLE) as (server, client):
        client.delete_donor(deletion)
        first, second = map(registry_pb2.DeleteDonorRequest.FromString, server.asked)
        assert first == second and len(first.request_id) == 36 and first.name == "donors/1"
        assert not deletion.request_id
    with failing(1, UNAVAILABLE) as (server, client):
        assert code_of(lambda: client.delete_job(jobs_pb2.DeleteJobRequest())) is UNAVAILABLE
        assert len(server.asked) == 1


def test_a_server_with_too_much_to_do_says_when() -> None:
    with failing(1, EXHAUSTED, 0.3) as (server, client):
        client.parse_typing(TYPING)
        assert len(server.asked) == 2 and server.times[1] - server.times[0] > 0.28
    # A message that is too large stays so.
    with failing(1, EXHAUSTED) as (server, client):
        assert code_of(lambda: client.parse_typing(TYPING)) is EXHAUSTED
        assert len(server.asked) == 1


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL])
def test_other_failures_are_final(code: grpc.StatusCode) -> None:
    with failing(1, code) as (server, client):
        assert code_of(lambda: client.parse_typing(TYPING)) is code
        assert len(server.asked) == 1


def test_a_stream_that_has_begun_is_not_begun_again() -> None:
    with failing(1, UNAVAILABLE) as (server, client):
        answers = client.search_donors(SEARCH)
        next(answers)
        assert code_of(lambda: next(answers)) is UNAVAILABLE
        assert len(server.asked) == 1


def test_tls_and_a_token(snapshot: Snapshot, tmp_path: Path) -> None:
    ours = authority(tmp_path, "ours")
    server = signed(tmp_path, "server", ours)
    token, lines = made("site", Role.SEARCH)
    (tmp_path / "tokens.toml").write_text(lines)
    settings = {
        "tls_cert": server.cert,
        "tls_key": server.key,
        "tokens": tmp_path / "tokens.toml",
    }
    with running(snapshot, **settings) as address:
        place = address.replace("127.0.0.1", "localhost")
        with connect(place, token=token, ca=ours.cert) as client:
            assert client.parse_typing(TYPING).canonical == TYPING.typing
        with connect(place, ca=ours.cert) as stranger:
            code = code_of(lambda: stranger.parse_typing(TYPING))
            assert code is grpc.StatusCode.UNAUTHENTICATED


def test_the_example_says_in_one_line_that_there_is_no_server() -> None:
    ended = subprocess.run(
        [sys.executable, PROJECT / "examples/client.py", "127.0.0.1:1"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.startswith("127.0.0.1:1: UNAVAILABLE: ")
    assert ended.stderr.count("\n") == 1
