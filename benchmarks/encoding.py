"""Typings to P groups, beside py-ard in the same run.

python -m benchmarks.encoding [--donors N]; needs the shared material (GRAFTMATCH_SHARED).

py-ard answers from a database that was built before and is opened again, with an empty cache. The
limits: as many alleles a second as py-ard one at a time, 20 times as many on the path of arrays,
and 20 s for the typings of a million donors.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.machine import machine, peak_memory_mib
from data.frequencies import read_frequencies
from data.mac import install_codes
from data.nomenclature import ReferenceFolder
from data.synthetic import CHUNK, MIX, draw_people, population_of
from matching.genotypes import book_builders
from matching.loci import LOCI, parse_loci
from matching.nomenclature import Nomenclature
from matching.reduction import Level, p_group_codes_of, reduce_name

SIX = parse_loci("A,C,B,DRB345,DRB1,DQB1")


def pyard_reduction(imgt: Path, folder: Path) -> Callable[[Sequence[str]], list[str]]:
    """`redux` of py-ard at level P on release 3.58.0, without the network."""
    tree = folder / "tree"
    (tree / "Latest/allelelist").mkdir(parents=True)
    (tree / "3580").symlink_to(imgt.resolve())
    (tree / "Latest/Allelelist.txt").symlink_to((imgt / "Allelelist.txt").resolve())
    (tree / "Latest/allelelist/Allelelist.3580.txt").symlink_to((imgt / "Allelelist.txt").resolve())
    os.environ["IMGT_HLA_URL"] = f"{tree.resolve().as_uri()}/"
    with contextlib.redirect_stdout(io.StringIO()):
        import pyard
        import pyard.db

        pyard.db.get_imgt_db_versions = lambda: ["3580"]
        for _ in ("build", "open again"):
            ard = pyard.init("3580", data_dir=str(folder / "pyard"), load_mac=False)

    def redux(names: Sequence[str]) -> list[str]:
        # The caches belong to the class.
        type(ard).redux.cache_clear()
        type(ard)._redux_allele.cache_clear()
        return [ard.redux(name, "P") for name in names]

    return redux


def per_second(action: Callable[[Sequence[str]], object], names: Sequence[str]) -> int:
    """Names a second, the median of five runs over all of them."""
    seconds = []
    for _ in range(5):
        gc.collect()
        start = time.perf_counter()
        action(names)
        seconds.append(time.perf_counter() - start)
    return round(len(names) / statistics.median(seconds))


def columns(shared: Path, release: Nomenclature, n_donors: int) -> Iterable[dict[str, list[str]]]:
    """Typings of simulated donors by locus, a chunk at a time."""
    populations = [
        population_of(frequencies, release)
        for name in ("CAU", "AFA", "API", "HIS", "NAM")
        for frequencies in read_frequencies(str(shared / f"populations/{name}.parquet"))
    ]
    for start in range(0, n_donors, CHUNK):
        size = min(CHUNK, n_donors - start)
        people, _ = draw_people(np.random.default_rng([1, start]), [""] * size, MIX, populations)
        columns = {locus.value: people.column(locus.value.lower()) for locus in SIX}
        yield {name: column.fill_null("").to_pylist() for name, column in columns.items()}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=1_000_000)
    n_donors = parser.parse_args().donors
    shared = Path(os.environ.get("GRAFTMATCH_SHARED", "../shared"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        redux = pyard_reduction(shared / "imgt/3580", folder)
        reference = ReferenceFolder(folder / "reference")
        reference.install("3.58.0", str(shared / "imgt/3580"))
        install_codes(shared / "mac/mac_subset.csv", reference.root)
        release = reference.open("3.58.0")
        matched = tuple(f"{gene}*" for locus in LOCI for gene in locus.genes)
        names = [a.name for a in release.alleles if a.name.startswith(matched)]
        theirs = per_second(redux, names)
        # Tables of the release are built on first use and kept while it is open.
        reduce_name("A*01:01", Level.P, release)
        p_group_codes_of(pa.array(names[:1]), release)
        single = per_second(lambda names: [reduce_name(n, Level.P, release) for n in names], names)
        array = pa.array(names)
        bulk = per_second(lambda _: p_group_codes_of(array, release), names)
        builders = book_builders(release)
        seconds, texts, bad = 0.0, 0, 0
        for chunk in columns(shared, release, n_donors):
            start = time.perf_counter()
            for locus in SIX:
                bad += len(builders[locus].encode_all(chunk[locus.value])[1])
            seconds += time.perf_counter() - start
            texts += sum(text != "" for column in chunk.values() for text in column)
        distinct = sum(len(builder.entries) for builder in builders.values())
    result = {
        **machine(),
        "alleles": len(names),
        "pyard_per_second": theirs,
        "one_at_a_time_per_second": single,
        "one_at_a_time_over_pyard": round(single / theirs, 1),
        "arrays_per_second": bulk,
        "arrays_over_pyard": round(bulk / theirs, 1),
        "donors": n_donors,
        "typed_loci": texts,
        "distinct_genotypes": distinct,
        "unreadable": bad,
        "encode_seconds": round(seconds, 2),
        "encode_limit_seconds": 20,
        "rss_mib": peak_memory_mib(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
