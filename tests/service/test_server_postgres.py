"""A server on a PostgreSQL that others import into, and that is restarted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest

from data.nomenclature import DEMO_RELEASE
from data.registry import Registry
from matching.nomenclature import Nomenclature
from service.config import Settings
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.snapshot import load_snapshot
from tests.data.conftest import new_schema, postgres_server, restart_postgres
from tests.service.serving import PATIENT, running, stub_of

__all__ = ["postgres_server"]
SEARCH = pb.SearchDonorsRequest(patient=PATIENT)


def eventually(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


def found(stub: Any) -> list[str]:
    """Who is found; a code where nobody can be."""
    try:
        return sorted(c.donor for batch in stub.SearchDonors(SEARCH) for c in batch.candidates)
    except grpc.RpcError as error:
        return [error.code().name]


@pytest.mark.slow
def test_an_import_on_another_machine_and_a_restart(
    postgres_server: str,
    tmp_path: Path,
    demo: Nomenclature,
) -> None:
    place = new_schema(postgres_server)
    settings = [Settings(home=tmp_path / name, registry=place) for name in ("one", "other")]

    def imported(*names: str) -> None:
        file = tmp_path / "donors.csv"
        file.write_text("id,gl\n" + "".join(f"{name},{PATIENT}\n" for name in names))
        Registry.at(place, settings[0].home).import_file(file, demo, tmp_path / "rejects")

    imported("D1")
    snapshot = load_snapshot(settings[1], DEMO_RELEASE)
    with (
        running(snapshot, reload_seconds=0.1) as address,
        grpc.insecure_channel(address) as channel,
        ThreadPoolExecutor(2) as pool,
    ):
        stub = stub_of(channel)
        assert found(stub) == ["D1"]
        imported("D2")
        eventually(lambda: found(stub) == ["D1", "D2"])
        done = threading.Event()

        def searches() -> set[tuple[str, ...]]:
            answers = set()
            while not done.is_set():
                answers.add(tuple(found(stub)))
            return answers

        under_way = [pool.submit(searches) for _ in range(2)]
        restart_postgres(postgres_server)
        done.set()
        for answers in under_way:
            assert answers.result() <= {("D1", "D2"), ("UNAVAILABLE",)}
        imported("D3")
        eventually(lambda: found(stub) == ["D1", "D2", "D3"])
