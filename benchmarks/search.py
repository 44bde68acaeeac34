"""Import and search of a simulated registry, beside a plain numpy scan in the same run.

python -m benchmarks.search [--donors N] [--patients N] [--max-mismatches K] [--frequencies F,...]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.machine import machine, peak_memory_mib
from data.frequencies import read_frequencies
from data.nomenclature import ReferenceFolder
from data.registry import RecordReader, Registry
from data.synthetic import simulate
from matching import kernels
from matching.genotypes import DonorIndex, Genotype, encode
from matching.loci import Locus, parse_loci
from matching.search import find_donors
from matching.typings import typing_of
from service.config import Settings

FIVE = parse_loci("A,B,C,DRB1,DQB1")


def numpy_scan(index: DonorIndex, patient: Genotype, limit: int) -> int:
    """The same count by numpy alone: table look-ups of every donor, locus by locus."""
    total = np.zeros(len(index), dtype=np.uint8)
    for locus in FIVE:
        total += 2 - counts(index, patient, locus)[index.codes[:, locus.position]]
    return int((total <= limit).sum())


def counts(index: DonorIndex, patient: Genotype, locus: Locus) -> np.ndarray:
    """R2 counts of every entry of a book."""
    book, typed = index.books[locus], patient.loci[locus]
    out = np.full(len(book), 2, dtype=np.uint8)
    if typed is not None:
        first, second = (np.array(side, dtype=np.int32) for side in (typed.first, typed.second))
        kernels.best_counts(first, second, book.offsets, book.groups, out)
    return out


def timed(action: object, patients: list[Genotype]) -> tuple[np.ndarray, list[int]]:
    """Milliseconds and answer for each patient; the first is run once before, to warm up."""
    assert callable(action)
    action(patients[0])
    times, answers = [], []
    for patient in patients:
        start = time.perf_counter()
        answers.append(int(action(patient)))
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times), answers


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=200_000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--max-mismatches", type=int, default=1)
    parser.add_argument("--frequencies", default="demo")
    parser.add_argument("--release", default="demo")
    arguments = parser.parse_args()
    limit = arguments.max_mismatches
    release = ReferenceFolder(Settings().reference).open(arguments.release)
    sets = [s for source in arguments.frequencies.split(",") for s in read_frequencies(source)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        people = folder / "people"
        simulate(people, sets, release, arguments.donors, arguments.patients, 1)
        registry = Registry(folder / "registry")
        start = time.perf_counter()
        registry.import_file(people / "donors.csv", release, folder / "rejects.csv")
        import_seconds = time.perf_counter() - start
        start = time.perf_counter()
        stored = registry.index(release)
        open_seconds = time.perf_counter() - start
        patients = [
            encode(typing_of(person.written), release)
            for person in RecordReader(release).people(people / "patients.csv")
        ]
        index = stored.donors
        ours, found = timed(lambda p: len(find_donors(index, p, FIVE, limit)), patients)
        plain, expected = timed(lambda p: numpy_scan(index, p, limit), patients)
        if found != expected:
            raise SystemExit("the search and the numpy scan disagree")
        size = sum(path.stat().st_size for path in stored.folder.iterdir())
    result = {
        **machine(),
        "donors": arguments.donors,
        "max_mismatches": limit,
        "import_seconds": round(import_seconds, 2),
        "open_seconds": round(open_seconds, 3),
        "searches_per_second": round(1000 / ours.mean(), 1),
        "p50_ms": round(float(np.percentile(ours, 50)), 2),
        "p99_ms": round(float(np.percentile(ours, 99)), 2),
        "max_ms": round(float(ours.max()), 2),
        "candidates_p50": float(pd.Series(found).median()),
        "numpy_scan_ms": round(float(np.percentile(plain, 50)), 2),
        "index_bytes_per_donor": round(size / arguments.donors, 1),
        "rss_mib": peak_memory_mib(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
