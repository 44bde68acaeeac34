"""The service under load, beside a trivial call of the same server in the same run.

python benchmarks/service.py --donors N [--workers W] [--seconds S] [--frequencies DIRECTORY]
  [--release 3.58.0 | --release-folder FOLDER] [--home HOME --registry FOLDER] [--json]

Starts `graftmatch serve` in processes of its own over a registry of N simulated donors, or over
one that is there, and calls it from this process, so both share the machine. Frequencies are one
file a population, by default those of the demonstration; with --home those that are imported there.

Closed loops keep so many calls in flight; the open loop sends at fixed times, and a call's time
runs from when it was due. Pairs are of 20 patients and the donors that a search finds for them (at
most three mismatches, the first 1,000), with their facts, each pair once, after 4,000 other pairs.
`known` is of 1,000 of these again, which every process has seen; `new_donors` is of one patient
with donors as they are in the file; `h2load` is that program with one pair, where it is installed.
Searches are of all patients in turn, at most one mismatch, first page of 100; the streams are of
the first 100,000 donors of one patient, by rows and by columns. Every answer is read whole, but
decoded only where it is counted. Whether all calls ended with OK is told by the server's own
metrics. Times are milliseconds, `ratio` is the throughput by that of the trivial call (health) with
32 in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import csv
import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
import numpy as np
from grpc_health.v1 import health_pb2

# So that the file can also be run by its path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.h2load import h2load, installed
from benchmarks.machine import machine
from benchmarks.search import frequency_sets, import_donors, open_release, search_sets
from data.donor_files import LOCUS_COLUMNS
from data.frequencies import DEMO_FREQUENCIES
from data.frequency_store import FrequencyFolder
from data.nomenclature import DEMO_RELEASE
from data.registry import Registry
from data.synthetic import simulate
from matching.errors import GraftmatchError
from service.config import Settings
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.pb.graftmatch.v1 import graftmatch_pb2_grpc, registry_pb2, registry_pb2_grpc
from service.server.listening import reserved

SERVICE = pb.DESCRIPTOR.services_by_name["GraftMatchService"].full_name
HEALTH = "/grpc.health.v1.Health/Check"
COMMAND = "from service.cli import main; main()"
CONNECTIONS = 16
IN_FLIGHT, SEARCHES_IN_FLIGHT = 32, 8
OPEN_LOOP_PER_SECOND = 500
PATIENTS, PAIR_PATIENTS, DONORS, WARM_PAIRS, KNOWN_PAIRS = 100, 20, 1_000, 4_000, 1_000
PAGE, STREAM = 100, 100_000
# Typed by first fields, with two loci missing.
AMBIGUOUS = "A*02:XX+A*24:XX^B*40:XX+B*35:XX^DRB1*13:XX+DRB1*11:XX"
ALLOCATED = 10_000
STOPPED_AFTER = (0.1, 0.2, 0.4, 0.7, 1.0)
LOOK_SECONDS = 0.005

T = TypeVar("T")
Call = Callable[[bytes], Awaitable[Any]]


@dataclass(frozen=True)
class Served:
    """A server in processes of its own."""

    process: subprocess.Popen[str]
    address: str
    metrics_port: int
    ready_seconds: float

    def calls(self) -> dict[tuple[str, str], int]:
        """How many calls have ended, by method and status."""
        url = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            text = answer.read().decode()
        pattern = r'^graftmatch_calls_total{code="(\w+)",rpc="(\w+)"} (\S+)$'
        return {(rpc, code): int(float(n)) for code, rpc, n in re.findall(pattern, text, re.M)}

    def memory_mib(self) -> dict[str, float]:
        """Of all its processes together, what they share counted once: all, and without files."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        sizes = {"all_mib": 0.0, "private_mib": 0.0}
        for one in [str(pid), *children]:
            rollup = Path(f"/proc/{one}/smaps_rollup").read_text(encoding="utf-8")
            found = {k: int(v) / 1024 for k, v in re.findall(r"^(\w+):\s+(\d+) kB$", rollup, re.M)}
            sizes["all_mib"] += found["Pss"]
            sizes["private_mib"] += found["Pss_Anon"]
        return {name: round(size, 1) for name, size in sizes.items()}


@contextlib.contextmanager
def served(home: Path, registry: str, release: str, workers: int, folder: Path) -> Iterator[Served]:
    """A server that answers."""
    with reserved("127.0.0.1", 0) as port:
        metrics_port = port
    command = [
        *(sys.executable, "-c", COMMAND, "serve", "--release", release, "--registry", registry),
        *("--port", "0", "--workers", str(workers), "--metrics-port", str(metrics_port)),
    ]
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "GRAFTMATCH_HOME": str(home), "PYTHONPATH": root}
    # Not a pipe, which would be full after some calls.
    with (folder / "log").open("w") as log:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("serving on"):
                raise SystemExit((folder / "log").read_text())
            ready = time.perf_counter() - start
            yield Served(process, line.split()[2], metrics_port, ready)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate()


class Load:
    """Calls over several connections, which the kernel spreads over the worker processes."""

    def __init__(self, channels: Sequence[grpc.aio.Channel]) -> None:
        self._channels = channels

    def unary(self, method: str) -> Call:
        """A call of bytes with one answer."""
        calls = itertools.cycle([channel.unary_unary(method) for channel in self._channels])
        return lambda request: next(calls)(request)

    def stream(self, method: str) -> Call:
        """A call of bytes with a stream of answers, which are returned."""
        calls = itertools.cycle([channel.unary_stream(method) for channel in self._channels])

        async def whole(request: bytes) -> list[bytes]:
            return [answer async for answer in next(calls)(request)]

        return whole


@contextlib.asynccontextmanager
async def load(address: str) -> AsyncIterator[Load]:
    """Connections that are open."""
    # Arguments that differ keep gRPC from sharing one connection.
    options = (("grpc.max_receive_message_length", -1),)
    channels = [
        grpc.aio.insecure_channel(address, (*options, ("benchmark.number", i)))
        for i in range(CONNECTIONS)
    ]
    try:
        await asyncio.gather(*(channel.channel_ready() for channel in channels))
        yield Load(channels)
    finally:
        await asyncio.gather(*(channel.close() for channel in channels))


async def closed_loop(
    call: Call, requests: Iterator[bytes], in_flight: int, seconds: float
) -> tuple[list[float], float]:
    """Seconds of each call, and of all."""
    times: list[float] = []
    start = time.perf_counter()

    async def one() -> None:
        while (begun := time.perf_counter()) < start + seconds:
            await call(next(requests))
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(one() for _ in range(in_flight)))
    return times, time.perf_counter() - start


async def open_loop(
    call: Call, requests: Iterator[bytes], per_second: float, seconds: float
) -> tuple[list[float], float]:
    """Seconds of each call from when it was due, and of all."""
    times: list[float] = []
    start = time.perf_counter() + 0.01

    async def one(due: float) -> None:
        try:
            await call(next(requests))
        except grpc.aio.AioRpcError as error:
            # A machine that is too slow refuses; the statuses at the end tell how often.
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
        times.append(time.perf_counter() - due)

    async with asyncio.TaskGroup() as group:
        for i in range(int(per_second * seconds)):
            due = start + i / per_second
            if (wait := due - time.perf_counter()) > 0:
                await asyncio.sleep(wait)
            group.create_task(one(due))
    return times, time.perf_counter() - start


def figures(times: list[float], seconds: float) -> dict[str, float]:
    """Throughput and percentiles."""
    p50, p99, most = np.percentile(1000 * np.array(times), [50, 99, 100])
    return {
        "calls": len(times),
        "per_second": round(len(times) / seconds, 1),
        "p50_ms": round(float(p50), 2),
        "p99_ms": round(float(p99), 2),
        "max_ms": round(float(most), 2),
    }


def people(path: Path, count: int) -> list[dict[str, str]]:
    """The first records of a file of simulated people."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(itertools.islice(csv.DictReader(file), count))


def typing_of(record: dict[str, str]) -> str:
    """The typing of a record as a GL string."""
    return "^".join(record[name] for name in LOCUS_COLUMNS if record[name])


def facts(kind: Callable[..., T], record: dict[str, str], names: Sequence[str]) -> T:
    """Facts of a person as a message."""
    known: dict[str, Any] = {name: record[name] for name in names}
    if record["age_years"]:
        known["age_years"] = int(record["age_years"])
    return kind(**known)


def patient_facts(record: dict[str, str]) -> pb.PatientFacts:
    """Facts of a patient."""
    return facts(pb.PatientFacts, record, ("sex", "cmv", "abo", "ancestry", "registry"))


def donor_facts(record: dict[str, str]) -> pb.DonorFacts:
    """Facts of a donor."""
    return facts(pb.DonorFacts, record, ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry"))


def pair(patient: dict[str, str], donor: dict[str, str]) -> bytes:
    """A pair to score, with probabilities and risks."""
    request = pb.ScorePairRequest(
        patient=typing_of(patient),
        donor=typing_of(donor),
        patient_facts=patient_facts(patient),
        donor_facts=donor_facts(donor),
    )
    return bytes(request.SerializeToString())


def pairs(found: list[tuple[dict[str, str], dict[str, str]]]) -> Iterator[bytes]:
    """All pairs in an order by chance that is always the same."""
    drawn = list(found)
    random.Random(1).shuffle(drawn)
    return (pair(*one) for one in drawn)


async def found_pairs(
    search: Call, patients: list[dict[str, str]], file: Path
) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Patients and donors that are found for them."""
    asked: dict[str, Any] = {"max_mismatches": 3, "limit": DONORS, "without_probabilities": True}
    wanted: dict[str, list[dict[str, str]]] = {}
    for patient, request in zip(patients, searches(patients, **asked), strict=False):
        for answer in await search(request):
            for candidate in pb.SearchDonorsResponse.FromString(answer).candidates:
                wanted.setdefault(candidate.donor, []).append(patient)
    with file.open(encoding="utf-8", newline="") as lines:
        return [
            (patient, donor)
            for donor in csv.DictReader(lines)
            for patient in wanted.get(donor["id"], ())
        ]


def searches(patients: list[dict[str, str]], **asked: Any) -> Iterator[bytes]:
    """A search of each patient, again and again."""
    made = [
        pb.SearchDonorsRequest(
            patient=typing_of(patient), patient_facts=patient_facts(patient), **asked
        ).SerializeToString()
        for patient in patients
    ]
    return itertools.cycle(made)


async def measure(server: Served, folder: Path, seconds: float) -> dict[str, Any]:
    """All figures of calls."""
    result: dict[str, Any] = {}
    patients = people(folder / "patients.csv", PATIENTS)
    new = people(folder / "donors.csv", int(200 * seconds))
    async with load(server.address) as client:
        trivial = client.unary(HEALTH)
        health = itertools.repeat(health_pb2.HealthCheckRequest().SerializeToString())
        await closed_loop(trivial, health, IN_FLIGHT, 0.5)
        result["trivial"] = figures(*await closed_loop(trivial, health, IN_FLIGHT, seconds))

        score = client.unary(f"/{SERVICE}/ScorePair")
        search = client.stream(f"/{SERVICE}/SearchDonors")
        drawn = await found_pairs(search, patients[:PAIR_PATIENTS], folder / "donors.csv")
        result["pairs"] = len(drawn)
        requests = pairs(drawn)
        warm = list(itertools.islice(requests, WARM_PAIRS))
        await all_of(score, iter(warm), IN_FLIGHT)
        result["score_pair"] = figures(*await closed_loop(score, requests, IN_FLIGHT, seconds))
        result["score_pair_open_loop"] = figures(
            *await open_loop(score, requests, OPEN_LOOP_PER_SECOND, seconds)
        )
        known = warm[:KNOWN_PAIRS]
        # Over every connection, so that every process has seen them.
        await all_of(score, (one for one in known for _ in range(CONNECTIONS)), IN_FLIGHT)
        again = itertools.cycle(known)
        result["score_pair_known"] = figures(*await closed_loop(score, again, IN_FLIGHT, seconds))
        result["score_pair_known_open_loop"] = figures(
            *await open_loop(score, again, OPEN_LOOP_PER_SECOND, seconds)
        )
        fresh = (pair(patients[0], donor) for donor in new)
        result["score_pair_new_donors"] = figures(*await all_of(score, fresh, IN_FLIGHT))

        requests = searches(patients, max_mismatches=1, page_size=PAGE)
        await closed_loop(search, requests, SEARCHES_IN_FLIGHT, seconds)
        result["search_page"] = figures(
            *await closed_loop(search, requests, SEARCHES_IN_FLIGHT, seconds)
        )
        result |= await stream(client, patients[0])
    for name in ("score_pair", "score_pair_known", "search_page"):
        ratio = result[name]["per_second"] / result["trivial"]["per_second"]
        result[name]["ratio"] = round(ratio, 4)
    return result


async def all_of(
    call: Call, requests: Iterator[bytes], in_flight: int
) -> tuple[list[float], float]:
    """Seconds of each call, and of all, for requests that end."""
    times: list[float] = []
    start = time.perf_counter()

    async def one() -> None:
        for request in requests:
            begun = time.perf_counter()
            await call(request)
            times.append(time.perf_counter() - begun)

    await asyncio.gather(*(one() for _ in range(in_flight)))
    return times, time.perf_counter() - start


def processor_seconds(pid: int) -> dict[int, float]:
    """Of the threads of a process and its descendants that live."""
    spent: dict[int, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        # They may end meanwhile.
        with contextlib.suppress(OSError):
            spent[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
            for child in (task / "children").read_text().split():
                spent |= processor_seconds(int(child))
    return spent


async def stop_ms(server: Served, call: Callable[[], Any]) -> float:
    """Processor time, at most, that the server spends once a call is cancelled, until it has rested
    for 0.3 s: what it does anyway in that time is some milliseconds."""
    pid, most = server.process.pid, 0.0
    for after in STOPPED_AFTER:
        calling = call()
        await asyncio.sleep(after)
        calling.cancel()
        spent, computed, total = processor_seconds(pid), time.perf_counter(), 0.0
        while (now := time.perf_counter()) < computed + 0.3:
            await asyncio.sleep(LOOK_SECONDS)
            before, spent = spent, processor_seconds(pid)
            last = sum(seconds - before.get(task, 0.0) for task, seconds in spent.items())
            total += last
            if last > LOOK_SECONDS / 2:
                computed = now
        most = max(most, total)
    return round(1000 * most, 1)


async def stopped(server: Served, file: Path) -> dict[str, float]:
    """`stop_ms` of calls that take seconds. Nothing is imported: the file is sent to be checked."""
    ambiguous = pb.SearchDonorsRequest(patient=AMBIGUOUS, max_mismatches=3, limit=100)
    many = pb.SearchDonorsRequest(patient=AMBIGUOUS, max_mismatches=10, limit=STREAM)
    many.without_probabilities = True
    numbers = list(range(ALLOCATED))
    drawn = random.Random(1)
    allocation = pb.AllocateDonorsRequest(
        patients=map(str, numbers),
        donors=map(str, numbers),
        edges=[
            pb.Edge(patient=patient, donor=donor, utility=drawn.randrange(1, 1000))
            for patient in numbers
            for donor in drawn.sample(numbers, 10)
        ],
    )
    with file.open("rb") as lines:
        data = b"".join(lines.readlines(30_000_000))
    options = registry_pb2.ImportOptions(validate_only=True)
    parts = [
        registry_pb2.ImportDonorsRequest(options=options),
        *(
            registry_pb2.ImportDonorsRequest(data=data[i : i + 2**20])
            for i in range(0, len(data), 2**20)
        ),
    ]
    async with grpc.aio.insecure_channel(server.address) as channel:
        make: Any = graftmatch_pb2_grpc.GraftMatchServiceStub
        stub = make(channel)
        make = registry_pb2_grpc.RegistryServiceStub
        registry = make(channel)

        def read(answers: Any) -> Any:
            async def whole() -> None:
                async for _ in answers:
                    pass

            return asyncio.create_task(whole())

        calls: dict[str, Callable[[], Any]] = {
            "SearchDonors": lambda: read(stub.SearchDonors(ambiguous)),
            "StreamCandidates": lambda: read(
                stub.StreamCandidates(pb.StreamCandidatesRequest(search=many))
            ),
            "ScorePair": lambda: stub.ScorePair(
                pb.ScorePairRequest(patient=AMBIGUOUS, donor=AMBIGUOUS)
            ),
            "ScorePairs": lambda: stub.ScorePairs(
                pb.ScorePairsRequest(patients=[AMBIGUOUS] * 20, donors=[AMBIGUOUS] * 20)
            ),
            "AllocateDonors": lambda: stub.AllocateDonors(allocation),
            "ImportDonors": lambda: registry.ImportDonors(iter(parts)),
        }
        return {name: await stop_ms(server, call) for name, call in calls.items()}


async def stream(client: Load, patient: dict[str, str]) -> dict[str, Any]:
    """Many donors of one patient in one call, as fast as it was in three: row by row, and column
    by column."""
    search = pb.SearchDonorsRequest(
        patient=typing_of(patient),
        patient_facts=patient_facts(patient),
        max_mismatches=10,
        limit=STREAM,
        batch_size=1000,
        without_probabilities=True,
    )
    columns = pb.StreamCandidatesRequest(search=search).SerializeToString()
    result: dict[str, Any] = {}
    for name, method, request in (
        ("stream", "SearchDonors", search.SerializeToString()),
        ("stream_columns", "StreamCandidates", columns),
    ):
        call, best, donors = client.stream(f"/{SERVICE}/{method}"), np.inf, 0
        for _ in range(3):
            start = time.perf_counter()
            answers = await call(request)
            best = min(best, time.perf_counter() - start)
        if name == "stream":
            donors = sum(len(pb.SearchDonorsResponse.FromString(a).candidates) for a in answers)
        else:
            found = map(pb.StreamCandidatesResponse.FromString, answers)
            donors = sum(len(answer.candidates.donors) for answer in found)
        result[name] = {"donors": donors, "seconds": round(best, 3)}
    return result


def by_h2load(
    server: Served, people_folder: Path, folder: Path, seconds: float
) -> dict[str, Any] | str:
    """The trivial call and one pair, again and again, of a load generator that costs little."""
    if not installed():
        return "h2load is not installed"
    patient, donor = (people(people_folder / name, 1)[0] for name in ("patients.csv", "donors.csv"))
    score, one = f"http://{server.address}/{SERVICE}/ScorePair", pair(patient, donor)
    check = health_pb2.HealthCheckRequest().SerializeToString()
    trivial = h2load(f"http://{server.address}{HEALTH}", check, folder, seconds, IN_FLIGHT)
    scored = h2load(score, one, folder, seconds, IN_FLIGHT)
    rate = OPEN_LOOP_PER_SECOND
    return {
        "trivial": trivial,
        "score_pair": {
            **scored,
            "ratio": round(scored["per_second"] / trivial["per_second"], 4),
        },
        "score_pair_open_loop": h2load(score, one, folder, seconds, rate, rate),
    }


def statuses(server: Served) -> dict[str, Any]:
    """Calls by method and status, and whether all ended with OK."""
    ended = {f"{rpc} {code}": n for (rpc, code), n in server.calls().items() if n}
    return {"all_ok": all(name.endswith(" OK") for name in ended), "ended": ended}


def prepared(arguments: argparse.Namespace, folder: Path) -> tuple[Path, str, str, Path]:
    """Home, registry, release and people, made first where they are not given."""
    if arguments.home is not None:
        settings = Settings(home=arguments.home)
        return settings.home, str(arguments.registry), arguments.release, arguments.people
    home = folder / "home"
    release, reference = open_release(arguments, home)
    if arguments.release_folder is None and reference.root.is_dir():
        home.mkdir(exist_ok=True)
        (home / "reference").symlink_to(reference.root, target_is_directory=True)
    sets = frequency_sets(arguments.frequencies)
    simulate(folder / "people", sets, release, arguments.donors, PATIENTS, 1)
    ready = search_sets(sets, release, FrequencyFolder(home / "frequencies"))
    registry = Registry.at(home / "registry", home)
    import_donors(registry, folder / "people/donors.csv", release, ready)
    return home, str(home / "registry"), release.release, folder / "people"


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--frequencies", default=DEMO_FREQUENCIES)
    parser.add_argument("--release")
    parser.add_argument("--release-folder", type=Path, help="install the release from here")
    parser.add_argument("--home", type=Path, help="serve this, with --registry and --people")
    parser.add_argument("--registry", help="of the home's release, with masses")
    parser.add_argument("--people", type=Path, help="folder that its donors.csv was simulated in")
    parser.add_argument("--json", action="store_true", help="print in one line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            home, registry, release, simulated = prepared(arguments, folder)
        except GraftmatchError as error:
            raise SystemExit(str(error)) from error
        result: dict[str, Any] = {**machine(), "release": release, "workers": arguments.workers}
        with served(home, registry, release, arguments.workers, folder) as server:
            result["ready_seconds"] = round(server.ready_seconds, 2)
            result |= asyncio.run(measure(server, simulated, arguments.seconds))
            result["h2load"] = by_h2load(server, simulated, folder, arguments.seconds)
            result["server"] = server.memory_mib()
            result["statuses"] = statuses(server)
            if release != DEMO_RELEASE:
                file = simulated / "donors.csv"
                result["stop_ms"] = asyncio.run(stopped(server, file))
        result["load_after"] = round(os.getloadavg()[0], 2)
    print(json.dumps(result, indent=None if arguments.json else 1))


if __name__ == "__main__":
    main()
