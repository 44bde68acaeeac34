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
from service.pb.graftmatch.v1 import registry_pb2
from service.snapshot import load_snapshot
from tests.data.conftest import new_schema, postgres_server, restart_postgres
from tests.service.serving import PATIENT, running, stub_of
from tests.service.test_server_registry import new, parts, registry_of

__all__ = ["postgres_server"]
REQUEST_ID = "0123abcd-0000-4111-8222-333344445555"
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


@pytest.mark.slow
def test_donors_of_one_server_are_those_of_the_other(postgres_server: str, tmp_path: Path) -> None:
    place = new_schema(postgres_server)
    homes = [Settings(home=tmp_path / name, registry=place) for name in ("one", "other")]
    snapshots = [load_snapshot(home, DEMO_RELEASE) for home in homes]
    # One after the other: gRPC does not bear two event loops at work in one process.
    with running(snapshots[0]) as address, grpc.insecure_channel(address) as channel:
        stub = registry_of(channel)
        answer = stub.ImportDonors(parts(new("D1", "D/2", "D3")))
        assert (answer.new, answer.revision) == (3, 1)
        wanted = registry_pb2.DeleteDonorRequest(name="donors/D3", request_id=REQUEST_ID)
        deleted = stub.DeleteDonor(wanted)
        assert deleted.revision == 2 and stub.DeleteDonor(wanted) == deleted
    with (
        running(snapshots[1], reload_seconds=0.1) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = registry_of(channel)
        listed = stub.ListDonors(registry_pb2.ListDonorsRequest())
        assert [donor.name for donor in listed.donors] == ["donors/D%2F2", "donors/D1"]
        gone = stub.GetDonor(registry_pb2.GetDonorRequest(name="donors/D3"))
        assert [step.kind for step in gone.history] == ["new", "deleted"]
        eventually(lambda: found(stub_of(channel)) == ["D/2", "D1"])
        statistics = stub.GetStatistics(registry_pb2.GetStatisticsRequest())
        assert (statistics.stored, statistics.searchable, statistics.revision) == (2, 2, 2)
        # Its masses were computed in the home of the other one.
        assert statistics.missing_masses == 2
        # Homes of their own do not know each other's requests.
        with pytest.raises(grpc.RpcError) as refused:
            stub.DeleteDonor(wanted)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
