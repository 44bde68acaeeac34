"""The engines of batch beside each other: threads of one process, and local workers of Dask.

python -m benchmarks.engines PATIENTS [--release NAME] [--chunks N] [--shards N] [--threads N]

Searches the registry of GRAFTMATCH_HOME. Start-up is not counted: each worker has opened everything
and searched for the first patients before. Both engines must give the same. Processor time is that
of the command, of the scheduler in it, and of the workers, and depends less on what else runs.
"""

from __future__ import annotations

import argparse
import datetime
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa

from benchmarks.machine import machine
from data.donor_files import AS_WRITTEN
from data.nomenclature import ReferenceFolder
from data.registry import RecordReader
from matching.haplotypes import NullImputation
from matching.search import Criteria
from matching.typed_pairs import FIVE
from service.batch.cluster import Asked, Place, cluster, on_cluster
from service.batch.engine import in_threads
from service.batch.search import BatchSearch, chunks_of, load_search, sources_of
from service.config import Settings
from service.search import SearchSettings

Tables = Iterator[tuple[int, pa.Table]]


def timed(
    run: Callable[[list[int]], Tables], chunks: int, processor: Callable[[], float]
) -> tuple[dict[str, float], dict[int, pa.Table]]:
    """Seconds for all chunks, after the first ones were searched for nothing, and the answers."""
    dict(run(list(range(min(chunks, 4)))))
    start, before = time.perf_counter(), processor()
    found = dict(run(list(range(chunks))))
    wall, used = time.perf_counter() - start, processor() - before
    return {"seconds": round(wall, 2), "processor_seconds": round(used, 2)}, found


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("patients", type=Path)
    parser.add_argument("--release")
    parser.add_argument("--chunks", type=int, default=50)
    parser.add_argument("--shards", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--max-mismatches", type=int, default=1)
    arguments = parser.parse_args()
    home = Settings()
    folder = ReferenceFolder(home.reference)
    nomenclature = folder.open(arguments.release or folder.latest())
    asked = SearchSettings(
        Criteria(FIVE, arguments.max_mismatches), datetime.date(2026, 1, 1), size=100
    )
    search = BatchSearch(*load_search(home, None, nomenclature, NullImputation.TYPED), asked)
    chunks = chunks_of(list(RecordReader(nomenclature, AS_WRITTEN).people(arguments.patients)))
    chunks = chunks[: arguments.chunks]
    by_threads, local = timed(
        lambda left: in_threads(
            left, lambda n, told: search.run(chunks[n], told), arguments.threads, lambda _: None
        ),
        len(chunks),
        time.process_time,
    )
    place = Place(
        home.home.resolve(),
        str(Path(home.registry_place(None)).resolve()),
        nomenclature.release,
        tuple(sources_of(search.search, search.model).items()),
    )
    with cluster(None, arguments.threads) as client:
        by_dask, found = timed(
            lambda left: on_cluster(
                client, place, Asked(asked), chunks, left, arguments.shards, lambda _: None
            ),
            len(chunks),
            lambda: time.process_time() + sum(client.run(time.process_time).values()),
        )
    if any(not found[n].equals(table) for n, table in local.items()):
        raise SystemExit("the engines disagree")
    result = {
        **machine(),
        "donors": len(search.search.index),
        "patients": sum(map(len, chunks)),
        "local": by_threads,
        "dask": by_dask,
        "ratio": round(by_dask["seconds"] / by_threads["seconds"], 2),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
