"""Changes of the registry while processes of the server are killed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import threading
import time
import uuid
from pathlib import Path

import grpc
import pytest

from data.registry import Registry
from service.pb.graftmatch.v1 import registry_pb2 as pb
from tests.service.test_server_registry import new, parts, registry_of
from tests.service.test_server_workers import Served, served

__all__ = ["served"]
FILES, DONORS = 4, 2000


@pytest.fixture
def home(home: Path, tmp_path: Path) -> Path:
    """A copy, which is changed."""
    folder = tmp_path / "home"
    shutil.copytree(home, folder)
    return folder


def persistent(address: str, number: int, request_id: str) -> pb.ImportDonorsResponse:
    """The answer to an import that is asked for until there is one."""
    data = new(*(f"F{number}-{i}" for i in range(DONORS)))
    until = time.monotonic() + 180
    while True:
        with grpc.insecure_channel(address, (("attempt", str(uuid.uuid4())),)) as channel:
            try:
                answer: pb.ImportDonorsResponse = registry_of(channel).ImportDonors(
                    parts(data, request_id=request_id), timeout=60
                )
                return answer
            except grpc.RpcError as error:
                # A process that is gone, another one that writes, the call before still there.
                if error.code().name not in ("UNAVAILABLE", "ABORTED"):
                    raise
        assert time.monotonic() < until
        time.sleep(0.2)


@pytest.mark.slow
def test_imports_are_done_once_though_processes_are_killed(served: Served, home: Path) -> None:
    ids = [str(uuid.uuid4()) for _ in range(FILES)]
    chance = random.Random(1)

    def kill() -> None:
        for worker in served.workers():
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)

    answers = []
    for i, request_id in enumerate(ids):
        # While it is sent, read, written or indexed, as chance has it.
        killer = threading.Timer(chance.uniform(0.1, 1.5), kill)
        killer.start()
        answers.append(persistent(served.address, i, request_id))
        killer.join()
    for answer in answers:
        # Unchanged: it was killed after the change and before the answer.
        assert answer.read == DONORS == answer.new + answer.unchanged
    with Registry(home / "registry").opened() as source:
        assert source.count() == 300 + FILES * DONORS
        for i in range(FILES):
            record = source.record(f"F{i}-0")
            assert record is not None
            assert [step["kind"] for step in record["history"]] == ["new"]
        assert source.revision == 1 + FILES
    assert [persistent(served.address, i, ids[i]) for i in range(FILES)] == answers
