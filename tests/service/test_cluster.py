"""A batch on a Dask cluster of two workers on this machine: the same results as on threads."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pyarrow as pa
import pytest
from distributed import Client

from data.donor_files import RecordReader
from data.family import read_family
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from matching.antibodies import CutOffs
from matching.cord import CordRule
from matching.errors import GraftmatchError
from matching.haplotypes import NullImputation
from matching.loci import parse_loci
from matching.rank import DEFAULT_KEYS, RankRule
from matching.search import Criteria
from service.antibodies import AntibodyReports, ReportReader
from service.batch import cluster as batch_cluster
from service.batch import search as batch_search
from service.batch.checkpoints import Checkpoints
from service.batch.cluster import Asked, Place, cluster, on_cluster
from service.batch.search import BatchSearch, chunks_of, judged_by, load_search, sources_of
from service.config import Settings
from service.relatives import Families
from service.search import AntibodyUse, SearchSettings
from service.strata import strata_settings
from tests.service.conftest import Run
from tests.service.test_batch_list import Everything, everything  # noqa: F401
from tests.service.test_batch_runs import DAY, batch_of, contents


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with cluster(None, 2) as found:
        yield found


def same(one: dict[int, pa.Table], other: dict[int, pa.Table]) -> bool:
    return one.keys() == other.keys() and all(
        one[n].equals(other[n], check_metadata=True) for n in one
    )


def test_shards_find_what_one_index_does(
    run: Run, patients: Path, client: Client, tmp_path: Path
) -> None:
    home = Settings(home=tmp_path / "home")
    nomenclature = ReferenceFolder(home.reference).open(DEMO_RELEASE)
    loaded = load_search(home, None, nomenclature, NullImputation.TYPED)
    chunks = chunks_of(list(RecordReader(nomenclature).people(patients)))[:2]
    sources = tuple(sources_of(*loaded).items())
    place = Place(home.home, str(home.registry_place(None)), DEMO_RELEASE, sources)
    criteria = Criteria(parse_loci("A,B,C,DRB1,DQB1"), 3)
    for keys in (DEFAULT_KEYS, ("tce", "mismatches_best"), ("risk", "p10"), ("p10", "age", "risk")):
        settings = SearchSettings(criteria, DAY, rule=RankRule(keys), size=5)
        search = BatchSearch(*loaded, settings)
        expected = {n: search.run(chunk, print) for n, chunk in enumerate(chunks)}
        assert sum(table.num_rows for table in expected.values()) > 20
        told: list[int] = []
        for n_shards in (1, 2, 7):
            found = on_cluster(
                *(client, place, Asked.of(search), chunks, range(2), n_shards), told.append
            )
            assert same(dict(found), expected), (keys, n_shards)
        assert sum(told) == 3 * sum(map(len, chunks))


def test_shards_find_the_same_list(
    run: Run,
    everything: Everything,  # noqa: F811
    client: Client,
    tmp_path: Path,
) -> None:
    """Strata, antibodies that exclude, and relatives; of a chunk nobody has a report."""
    home = Settings(home=tmp_path / "home")
    nomenclature = ReferenceFolder(home.reference).open(DEMO_RELEASE)
    loaded = load_search(home, None, nomenclature, NullImputation.TYPED)
    chunks = chunks_of(list(RecordReader(nomenclature).people(everything.patients)))[:3]
    people = [person for chunk in chunks for person in chunk]
    sources = tuple(sources_of(*loaded).items())
    place = Place(home.home, str(home.registry_place(None)), DEMO_RELEASE, sources)
    settings = SearchSettings(Criteria(parse_loci("A,B,C,DRB1,DQB1"), 3), DAY, size=4)
    proteins = ReferenceFolder(home.reference).proteins(DEMO_RELEASE)
    pedigree = read_family(everything.family, nomenclature).pedigree
    loci = tuple(settings.criteria.loci)
    reader = ReportReader.of(nomenclature, proteins)
    reports = AntibodyReports.read(everything.antibodies, reader, CutOffs())
    search = BatchSearch(
        *loaded,
        settings,
        strata=strata_settings(["related", "cord", "adult"], settings, CordRule.SIX, {}, True),
        reports={p: AntibodyUse(one, exclude=True) for p, one in reports.profiles.items()},
        judged=judged_by(CutOffs(), True, {}),
        families=Families.of(people, pedigree, nomenclature, proteins, loci, DAY),
    )
    expected = {n: search.run(chunk, lambda _: None) for n, chunk in enumerate(chunks)}
    asked = Asked.of(search)
    for n_shards in (1, 3):
        found = on_cluster(client, place, asked, chunks, range(3), n_shards, lambda _: None)
        assert same(dict(found), expected), n_shards


def test_a_worker_that_is_killed(
    run: Run, patients: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: Client
) -> None:
    """The batch by the command, and a worker that dies after the first chunk."""
    monkeypatch.setattr(batch_search, "CHUNK", 2)
    assert run(*batch_of(patients, tmp_path / "threads"))[0] == 0
    assert client.scheduler is not None
    pids = client.run(os.getpid)
    killed: list[int] = []
    before = Checkpoints.write

    def write(self: Checkpoints, chunk: int, table: pa.Table) -> None:
        before(self, chunk, table)
        if not killed:
            killed.append(min(pids.values()))
            os.kill(killed[0], signal.SIGKILL)

    monkeypatch.setattr(Checkpoints, "write", write)
    asked = ("--engine", "dask", "--scheduler", client.scheduler.address, "--shards", 3)
    code, _, error = run(*batch_of(patients, tmp_path / "dask", *asked))
    assert code == 0, error
    assert killed and killed[0] not in client.run(os.getpid).values()
    assert contents(tmp_path / "dask") == contents(tmp_path / "threads")


def test_workers_with_another_state_and_no_scheduler_are_refused(
    run: Run, patients: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Settings(home=tmp_path / "home")
    place = Place(
        tmp_path / "home", str(home.registry_place(None)), DEMO_RELEASE, (("the index", "x"),)
    )
    settings = SearchSettings(Criteria(parse_loci("A"), 0), DAY, size=5)
    nomenclature = ReferenceFolder(home.reference).open(DEMO_RELEASE)
    chunks = chunks_of(list(RecordReader(nomenclature).people(patients)))[:1]
    with pytest.raises(Exception, match=r"the index of .* are not those of the batch"):
        list(on_cluster(client, place, Asked(settings), chunks, [0], 1, print))
    monkeypatch.setattr(batch_cluster, "CONNECT_SECONDS", 1)
    asked = ("--engine", "dask", "--scheduler", "tcp://127.0.0.1:1")
    code, _, error = run(*batch_of(patients, tmp_path / "out", *asked))
    assert code == 1 and "no scheduler answers at tcp://127.0.0.1:1" in error


def test_a_scheduler_that_dies_is_told_of(client: Client) -> None:
    program = """
import time
from distributed import LocalCluster

if __name__ == "__main__":
    here = LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    )
    print(here.scheduler_address, flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    address = process.stdout.readline().strip()

    def work() -> None:
        with cluster(address, 1) as here:
            future = here.submit(time.sleep, 600)
            process.kill()
            future.result()

    try:
        with (
            dask.config.set({"distributed.comm.timeouts.connect": "1s"}),
            pytest.raises(GraftmatchError, match=f"the scheduler at {address} has gone"),
        ):
            work()
    finally:
        process.kill()
        process.wait()
    assert client.scheduler is not None
    # What goes wrong elsewhere is not blamed on it.
    with (
        pytest.raises(OSError, match="no space"),
        cluster(client.scheduler.address, 1),
    ):
        raise OSError("no space")


def test_training_on_workers_gives_the_same_files(run: Run, client: Client, tmp_path: Path) -> None:
    cohort = tmp_path / "cohort.csv"
    assert run("risk", "simulate", "--out", cohort, "--transplants", 400)[0] == 0
    asked = (
        *("risk", "train", "--cohort", cohort, "--outcome", "cgvhd", "--group", "centre"),
        *("--folds", 3, "--name", "m", "--no-challenger"),
    )
    assert client.scheduler is not None
    dask = ("--engine", "dask", "--scheduler", client.scheduler.address)
    before = tasks_done(client)
    assert run(*asked, "--out", tmp_path / "local")[0] == 0 and tasks_done(client) == before
    assert run(*asked, "--out", tmp_path / "dask", *dask)[0] == 0
    assert tasks_done(client) > before
    assert contents(tmp_path / "dask") == contents(tmp_path / "local")


def tasks_done(client: Client) -> int:
    """How many tasks of joblib the workers of a client have done so far."""

    def done(dask_scheduler: Any) -> int:
        log = [entry[:3] for entry in dask_scheduler.transition_log]
        return sum(key.startswith("batch_of") and end == "memory" for key, _, end in log)

    return int(client.run_on_scheduler(done))
