"""Several processes on one port: one killed under load, all ended together."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from matching.errors import StoreError
from service.cores import ALLOWED
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.pb.graftmatch.v1 import jobs_pb2
from service.server import serve
from service.server.listening import reserved
from service.server_settings import serve_settings
from service.snapshot import Snapshot
from tests.conftest import PROJECT
from tests.service.certificates import authority, signed
from tests.service.conftest import Run
from tests.service.serving import PATIENT, stub_of
from tests.service.test_jobs import jobs_of, results

COMMAND = "from service.cli import main; main()"
PAIR = pb.ScorePairRequest(patient=PATIENT, donor=PATIENT)


@dataclass
class Served:
    """A server in processes of its own."""

    process: subprocess.Popen[str]
    address: str
    metrics_port: int
    log: Path

    def workers(self) -> list[int]:
        """The processes that answer."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        # One that has died and is not yet seen to has no command.
        return [int(child) for child in children if _command(child)]

    def metrics(self) -> str:
        """Of all of them together."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
        return text

    def serving(self) -> float:
        """How many of them say that they answer."""
        return sum(map(float, re.findall(r"^graftmatch_serving{.*} (.*)$", self.metrics(), re.M)))


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def eventually(holds: Callable[[], bool]) -> None:
    # Long, for a machine that is busy with other things.
    until = time.monotonic() + 180
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture
def served(home: Path, tmp_path: Path) -> Iterator[Served]:
    with serving_at(home, tmp_path) as found:
        yield found


@contextlib.contextmanager
def serving_at(home: Path, tmp_path: Path) -> Iterator[Served]:
    """Two workers for a home folder."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("there is no /proc to find worker processes in")
    with reserved("127.0.0.1", 0) as port:
        metrics_port = port
    log = tmp_path / "audit.jsonl"
    # Not a pipe, which would be full after some calls.
    errors = (tmp_path / "stderr").open("a")
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", COMMAND, "serve", "--release", "demo", "--port", "0"),
            *("--workers", "2", "--metrics-port", str(metrics_port), "--audit-log", str(log)),
        ],
        cwd=PROJECT,
        env={**os.environ, "GRAFTMATCH_HOME": str(home), "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
    )
    errors.close()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("serving on 127.0.0.1:"), (tmp_path / "stderr").read_text()
        yield Served(process, line.split()[2], metrics_port, log)
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                process.send_signal(number)
                process.communicate(timeout=20)


def test_a_worker_that_is_killed_under_load_is_replaced(served: Served) -> None:
    eventually(lambda: served.serving() == 2)
    first, second = served.workers()
    done = threading.Event()
    acknowledged: list[str] = []

    def client(number: int) -> set[str]:
        """Calls until told to stop, on a new connection after a failure; how it failed."""
        failures: set[str] = set()
        n = 0
        while not done.is_set():
            with grpc.insecure_channel(served.address, (("client", number),)) as channel:
                stub = stub_of(channel)
                try:
                    while not done.is_set():
                        n += 1
                        request_id = f"{number:04x}-{n:08x}"
                        stub.ScorePair(PAIR, metadata=(("x-request-id", request_id),))
                        acknowledged.append(request_id)
                except grpc.RpcError as error:
                    failures.add(error.code().name)
        return failures

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, number) for number in range(4)]
        try:
            eventually(lambda: len(acknowledged) > 50)
            os.kill(first, signal.SIGKILL)
            before = len(acknowledged)
            # The other one serves on, and there are two again.
            eventually(lambda: len(acknowledged) > before + 50)
            eventually(lambda: served.serving() == 2 and len(served.workers()) == 2)
            after = len(acknowledged)
            eventually(lambda: len(acknowledged) > after + 20)
        finally:
            done.set()
        # What was under way at the worker that was killed may be tried again elsewhere.
        assert {code for one in clients for code in one.result()} <= {"UNAVAILABLE"}
    assert first not in served.workers() and second in served.workers()
    served.process.send_signal(signal.SIGTERM)
    out, _ = served.process.communicate(timeout=60)
    assert (served.process.returncode, out) == (0, "")
    err = (served.log.parent / "stderr").read_text()
    died = [json.loads(line)["event"] for line in err.splitlines() if "has died" in line]
    assert died == [f"worker {first} has died (-9) and is replaced"]
    # What was acknowledged is written down.
    written = {json.loads(line)["request_id"] for line in served.log.read_text().splitlines()}
    assert written >= set(acknowledged)


def test_metrics_of_several_workers_tell_when_the_certificate_ends(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = signed(tmp_path, "server", authority(tmp_path, "ours"))
    monkeypatch.setenv("GRAFTMATCH_SERVE_TLS_CERT", str(ours.cert))
    monkeypatch.setenv("GRAFTMATCH_SERVE_TLS_KEY", str(ours.key))
    with serving_at(home, tmp_path) as served:
        told = re.findall(r"^graftmatch_certificate_expires_seconds (.*)$", served.metrics(), re.M)
    assert list(map(float, told)) == [
        datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC).timestamp()
    ]


@pytest.mark.slow
@pytest.mark.skipif(len(ALLOWED) < 2, reason="one core cannot be shared out")
def test_workers_share_the_cores_out(served: Served) -> None:
    eventually(lambda: served.serving() == 2)
    shares = [os.sched_getaffinity(pid) for pid in served.workers()]
    assert shares[0].isdisjoint(shares[1]) and shares[0] | shares[1] == {*ALLOWED}


def forked_from(worker: int) -> list[int]:
    """What a worker forks processes for large calls from."""
    return [
        int(child)
        for task in Path(f"/proc/{worker}/task").iterdir()
        for child in (task / "children").read_text().split()
        if b"forkserver" in _command(child)
    ]


def test_workers_end_with_their_supervisor_and_what_they_leave_goes_at_the_next_start(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = tmp_path / "graftmatch-notes"
    other.mkdir()
    with serving_at(home, tmp_path) as served:
        workers = served.workers()
        assert len(workers) == 2
        # It is there before the first large call.
        eventually(lambda: all(len(forked_from(worker)) == 1 for worker in workers))
        processes = [*workers, *(pid for worker in workers for pid in forked_from(worker))]
        (metrics,) = (path for path in tmp_path.glob("graftmatch-*") if path != other)
        assert any(metrics.glob("*.db"))
        start_in_vain()
        assert any(metrics.glob("*.db"))
        served.process.kill()
        eventually(lambda: all(not _command(str(pid)) for pid in processes))
    assert metrics.exists()
    start_in_vain()
    assert not metrics.exists() and other.exists()


def start_in_vain() -> None:
    """A server of this process whose data cannot be read."""

    def load() -> Snapshot:
        raise StoreError("there are none")

    with pytest.raises(StoreError):
        serve(serve_settings(port=0), load)


@pytest.mark.slow
def test_workers_that_cannot_start_are_one_clear_line(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, "serve", "--port", "0", "--workers", "2"],
        cwd=PROJECT,
        env={**os.environ, "GRAFTMATCH_HOME": str(tmp_path), "PYTHONPATH": str(PROJECT)}
        | {"GRAFTMATCH_SERVE_DRAIN_SECONDS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert ended.returncode == 1 and ended.stdout == ""
    assert ended.stderr.count("\n") == 1 and ended.stderr.startswith("error: ")


def working_on(job: Path, workers: list[int]) -> int | None:
    """The process that holds the lock of a job; None where none does."""
    for worker in workers:
        for link in Path(f"/proc/{worker}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(link) == str(job / "lock"):
                    return worker
    return None


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_is_done_by_another(
    run: Run, patients: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    lines = patients.read_text().splitlines()
    many = tmp_path / "many.csv"
    rows = [f"{n}-{line}" for n in range(20) for line in lines[1:]]
    many.write_text("\n".join([lines[0], *rows]) + "\n")
    reports = tmp_path / "reports.csv"
    names = [row.split(",")[0] for row in rows[::3]]
    beads = [f"{name},A*{allele},9000" for name in names for allele in ("01:01", "24:02")]
    reports.write_text("\n".join(["patient,antigen_or_allele,mfi", *beads]) + "\n")
    request = jobs_pb2.SubmitJobRequest(
        search=pb.SearchDonorsRequest(max_mismatches=1, limit=5, as_of="2026-11-27"),
        file=many.read_bytes(),
        format=jobs_pb2.JOB_FORMAT_CSV,
        antibodies=jobs_pb2.JobAntibodies(file=reports.read_bytes(), exclude_positive=True),
    )
    with serving_at(home, tmp_path) as served, grpc.insecure_channel(served.address) as channel:
        jobs = jobs_of(channel)
        name = jobs.SubmitJob(request, wait_for_ready=True).job.name
        folder = (home / "jobs/_" / name.removeprefix("jobs/")).resolve()
        eventually(lambda: any(folder.glob("results/checkpoints/[0-9]*")))
        worker = working_on(folder, served.workers())
        assert worker is not None
        os.kill(worker, signal.SIGKILL)

        def told() -> jobs_pb2.Job | None:
            with contextlib.suppress(grpc.RpcError):
                job: jobs_pb2.Job = jobs.GetJob(jobs_pb2.GetJobRequest(name=name)).job
                return job
            # The connection was that of the worker.
            return None

        eventually(lambda: (job := told()) is not None and job.HasField("end_time"))
        job = told()
        assert job is not None
        assert (job.state, job.done) == (jobs_pb2.JOB_STATE_SUCCEEDED, len(rows)), job.error
        progress = json.loads((folder / "progress.json").read_text())
        assert progress["before"] > 0
        files = {
            "candidates.csv": jobs_pb2.JOB_FILE_CANDIDATES,
            "excluded.csv": jobs_pb2.JOB_FILE_EXCLUDED,
        }
        found = {of: results(jobs, name, number) for of, number in files.items()}
    out = tmp_path / "out"
    code, _, error = run(
        *("batch", many, "--out", out, "--release", "demo", "--format", "csv", "--best", 5),
        *("--as-of", "2026-11-27", "--antibodies", reports, "--exclude-positive"),
    )
    assert code == 0, error
    assert found == {of: (out / of).read_bytes() for of in files}


_SERVE = """
import os
import sys
from pathlib import Path
from service.config import Settings
from service.server import serve
from service.server_settings import serve_settings

def load():
    from service.snapshot import load_snapshot
    print("reads", flush=True)
    try:
        if sys.argv[2] != "":
            os.read(0, 1)
    except KeyboardInterrupt:
        # As a module whose initialisation is interrupted.
        if sys.argv[2] == "importing":
            raise ImportError("initialization failed") from None
        raise
    return load_snapshot(Settings(home=Path(sys.argv[1])), "demo")

settings = serve_settings(port=0, workers=int(sys.argv[3]))
serve(settings, load, lambda port, _: print(port, flush=True))
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    ("when", "workers"), [("reading", 1), ("reading", 3), ("importing", 3), ("serving", 3)]
)
def test_the_data_are_read_once_and_workers_end_at_a_signal(
    home: Path, number: int, when: str, workers: int
) -> None:
    """While they are read, too: nobody waits for that."""
    asked = (str(home), "" if when == "serving" else when, str(workers))
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, *asked],
        cwd=PROJECT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "reads\n"
        if when == "serving":
            with grpc.insecure_channel(f"127.0.0.1:{int(server.stdout.readline())}") as channel:
                stub_of(channel).ScorePair(PAIR)
        server.send_signal(number)
        out, err = server.communicate(timeout=60)
        assert (server.returncode, out, err) == (0, "ended\n", "")
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        server.wait()
