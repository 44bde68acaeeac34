"""Calls that change something are done once, whoever asks again and whatever was killed."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.calls import Call
from service.pb.graftmatch.v1.registry_pb2 import DeleteDonorResponse
from service.requests import KEPT_SECONDS, RequestFolder, check_request_id
from service.security.caller import Caller
from service.status import RequestError, UnderWayError, Violation

ID = "0123abcd-0000-4111-8222-333344445555"


def call(site: str = "centre-1", rpc: str = "DeleteDonor") -> Call:
    return Call(rpc, "abcd", Caller(site, "t", frozenset()))


class Counter:
    """Work that tells how often it was done."""

    def __init__(self) -> None:
        self.n = 0

    def __call__(self) -> DeleteDonorResponse:
        self.n += 1
        return DeleteDonorResponse(revision=self.n)


def once(
    folder: RequestFolder, work: Counter, of: Call | None = None, asked: bytes = b"x", id_: str = ID
) -> int:
    answer = folder.once(of or call(), id_, asked, DeleteDonorResponse.FromString, work)
    return int(answer.revision)


@pytest.fixture
def folder(tmp_path: Path) -> RequestFolder:
    return RequestFolder(tmp_path / "requests")


def test_the_same_request_is_answered_again_and_not_done(
    folder: RequestFolder, tmp_path: Path
) -> None:
    work = Counter()
    assert [once(folder, work) for _ in range(3)] == [1, 1, 1]
    # After a restart, and however the id is written.
    again = RequestFolder(tmp_path / "requests")
    assert once(again, work, id_=ID.upper()) == 1 and work.n == 1
    # Another site's is another request; so is another id, and none at all.
    assert once(folder, work, call("centre-2")) == 2
    assert once(folder, work, id_=ID.replace("a", "b")) == 3
    assert [once(folder, work, id_="") for _ in range(2)] == [4, 5]
    for path in folder.root.iterdir():
        assert path.stat().st_mode & 0o777 == 0o600 and ID not in path.name


def test_an_id_is_for_one_request(folder: RequestFolder) -> None:
    work = Counter()
    once(folder, work)
    for of, asked in ((call(), b"y"), (call(rpc="ImportDonors"), b"x")):
        with pytest.raises(RequestError) as refused:
            once(folder, work, of, asked)
        assert refused.value.violations[0].field == "request_id"
    assert work.n == 1


def test_what_failed_is_done_again(folder: RequestFolder) -> None:
    def fails() -> DeleteDonorResponse:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        folder.once(call(), ID, b"x", DeleteDonorResponse.FromString, fails)
    assert not list(folder.root.iterdir())
    assert once(folder, Counter(), asked=b"y") == 1


def test_half_an_answer_is_none(folder: RequestFolder) -> None:
    work = Counter()
    once(folder, work)
    (path,) = folder.root.iterdir()
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        assert once(folder, work) == work.n
    assert work.n == 1 + len(whole)


def test_one_of_many_at_once_does_it(folder: RequestFolder) -> None:
    work = Counter()

    def ask(_: int) -> int:
        while True:
            try:
                return once(folder, work)
            except UnderWayError:
                time.sleep(0.001)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(ask, range(100))) == {1}
    assert work.n == 1


def _wait_for_ever(root: Path, began: Connection) -> None:
    def work() -> DeleteDonorResponse:
        began.send("")
        time.sleep(60)
        raise AssertionError

    RequestFolder(root).once(call(), ID, b"x", DeleteDonorResponse.FromString, work)


def test_a_killed_server_leaves_nothing_locked(folder: RequestFolder) -> None:
    mine, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=partial(_wait_for_ever, folder.root, theirs))
    process.start()
    assert mine.poll(60)
    with pytest.raises(UnderWayError, match="under way"):
        once(folder, Counter())
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert once(folder, Counter()) == 1


def test_answers_are_forgotten_after_their_time(folder: RequestFolder) -> None:
    work = Counter()
    once(folder, work)
    (path,) = folder.root.iterdir()
    other = ID.replace("a", "b")
    for age, kept in ((KEPT_SECONDS - 60, True), (KEPT_SECONDS + 60, False)):
        then = time.time() - age
        os.utime(path, (then, then))
        once(RequestFolder(folder.root), work, id_=other)
        assert path.exists() is kept


def test_an_id_is_a_uuid() -> None:
    found: list[Violation] = []
    check_request_id("", found)
    check_request_id(ID, found)
    assert not found
    for text in ("x", ID[:-1], ID + "0", f"{{{ID}}}", ID.replace("-", ""), f"{ID}\n"):
        check_request_id(text, found)
        assert found.pop().field == "request_id", text


@given(st.binary(max_size=100), st.binary(max_size=10))
def test_any_answer_is_kept_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, token: bytes, asked: bytes
) -> None:
    folder = RequestFolder(tmp_path_factory.mktemp("requests"))
    answer = DeleteDonorResponse()
    answer.provenance.release = token.hex() + "\n\x00é"
    read = DeleteDonorResponse.FromString
    assert folder.once(call(), ID, asked, read, lambda: answer) == answer
    assert folder.once(call(), ID, asked, read, DeleteDonorResponse) == answer
