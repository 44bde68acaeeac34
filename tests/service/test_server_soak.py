"""Ten minutes at 80 % of what the server can do: memory and times stay as they are."""

from __future__ import annotations

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from tests.service.serving import PATIENT, stub_of
from tests.service.test_server_workers import Served, eventually, served

__all__ = ["served"]

SECONDS, WARM_SECONDS = 600, 120
CLIENTS, CONNECTIONS = 4, 32
SHARE = 0.8


def rss_kib(served: Served) -> int:
    """Of all workers together, without files that are mapped."""
    status = [Path(f"/proc/{pid}/status").read_text() for pid in served.workers()]
    return sum(int(n) for text in status for n in re.findall(r"RssAnon:\s+(\d+)", text))


# Of typings that were never sent before.
NEW = itertools.count()


@pytest.fixture
def stubs(served: Served) -> Iterator[list[Any]]:
    """Of many connections, so that each worker gets about half of the calls; a thousand in an order
    that has nothing to do with which call it is."""
    with ExitStack() as stack:
        channels = [
            stack.enter_context(grpc.insecure_channel(served.address, (("connection", i),)))
            for i in range(CONNECTIONS)
        ]
        drawn = random.Random(1).choices([stub_of(channel) for channel in channels], k=1000)
        yield drawn


def load(stubs: Sequence[Any], seconds: float, per_second: float) -> list[tuple[float, float]]:
    """When each call was due, and how long after it was answered; as fast as can be for inf.

    Clients take the next call each, so that the same calls are made however fast they are.
    """
    numbers = itertools.count()

    def client(_: int) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        end = begun + seconds
        while time.monotonic() < end:
            n = next(numbers)
            # Nothing is due before now where calls follow each other.
            due = time.monotonic() if per_second == np.inf else begun + n / per_second
            if due >= end:
                break
            time.sleep(max(due - time.monotonic(), 0.0))
            stub, new = stubs[n % len(stubs)], next(NEW)
            # Typings that recur and typings that do not.
            donor = PATIENT if n % 2 else f"{PATIENT}^MICA*{new}+MICA*{new}"
            if n % 10 == 0:
                list(stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=2)))
            else:
                stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=donor))
            found.append((due - begun, time.monotonic() - due))
        return found

    begun = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        return [one for part in pool.map(client, range(CLIENTS)) for one in part]


@pytest.mark.slow
def test_memory_and_times_stay_as_they_are(
    served: Served, stubs: list[Any], record_property: Callable[[str, object], None]
) -> None:
    eventually(lambda: served.serving() == 2)
    load(stubs, 5, np.inf)
    capacity = len(load(stubs, 10, np.inf)) / 10
    load(stubs, WARM_SECONDS, SHARE * capacity)
    before = rss_kib(served)
    timed = load(stubs, SECONDS - WARM_SECONDS, SHARE * capacity)
    after = rss_kib(served)
    made = len(timed) / (SECONDS - WARM_SECONDS)
    due, took = np.array(timed).T
    is_late = due >= due.mean()
    halves = [float(np.percentile(took[half], 99)) for half in (~is_late, is_late)]
    record_property(
        "shown",
        f"soak: {made:.0f} calls a second, {SHARE * capacity:.0f} being due, memory "
        f"{before // 1024} to {after // 1024} MiB, p99 {1000 * halves[0]:.1f} and "
        f"{1000 * halves[1]:.1f} ms",
    )
    assert len(served.workers()) == 2
    # What was due was done.
    assert made > 0.99 * SHARE * capacity
    assert after < 1.05 * before
    assert halves[1] < 2 * halves[0] + 0.01
