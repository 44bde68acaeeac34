"""Import and search of a simulated registry, beside a plain numpy scan in the same run.

python benchmarks/search.py --donors N --patients M --frequencies DIRECTORY --max-mismatches K
  [--release 3.58.0 | --release-folder FOLDER] [--json]

DIRECTORY holds one file of frequencies a population; `demo` is the embedded set. Patients are typed
at two fields. Times are milliseconds: of the count search over five loci, of the same scan by
numpy, and of reading the searched columns once, which memory bandwidth bounds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

# So that the file can also be run by its path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import machine, peak_memory_mib
from data.frequencies import DEMO_FREQUENCIES, read_frequencies
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from data.registry import RecordReader, Registry
from data.synthetic import simulate
from matching.donor_index import DonorIndex
from matching.genotypes import Genotype, encode
from matching.haplotypes import FrequencySet
from matching.kernels import COUNT_BEST
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.search import Criteria, compare_locus, find_donors
from matching.typings import typing_of
from service.config import Settings

FIVE = parse_loci("A,B,C,DRB1,DQB1")
# The numpy scan is slow, and its time differs little between patients.
N_SCANS = 20

T = TypeVar("T")


def plain_columns(index: DonorIndex) -> dict[Locus, npt.NDArray[np.uint32]]:
    """The searched columns as the scan reads them: one array of entries a locus."""
    (segment,) = index.segments
    rows = np.arange(len(segment), dtype=np.int64)
    return {locus: segment.entries(rows, locus) for locus in FIVE}


def tables_of(index: DonorIndex, patient: Genotype) -> dict[Locus, npt.NDArray[np.uint8]]:
    """Mismatches of every genotype, compared one by one and not by the search's own short way."""
    (segment,) = index.segments
    return {
        locus: 2
        - compare_locus(
            patient.loci[locus], segment.books[locus], np.arange(len(segment.books[locus]))
        )[:, COUNT_BEST]
        for locus in FIVE
    }


def numpy_scan(
    columns: dict[Locus, npt.NDArray[np.uint32]],
    tables: dict[Locus, npt.NDArray[np.uint8]],
    limit: int,
) -> int:
    """The same count by numpy alone: table look-ups of every donor."""
    total = sum(tables[locus][column] for locus, column in columns.items())
    return int(np.count_nonzero(total <= limit))


def timed(
    action: Callable[[T], int], cases: Iterable[T]
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Milliseconds and answer for each case; the first is run once before, to warm up."""
    times: list[float] = []
    answers: list[int] = []
    for case in cases:
        if not times:
            action(case)
        start = time.perf_counter()
        answers.append(action(case))
        times.append(1000 * (time.perf_counter() - start))
    return np.array(times), answers


def frequency_sets(source: str) -> list[FrequencySet]:
    """The sets of a folder's files, or of one file."""
    path = Path(source)
    paths = sorted(path.iterdir()) if path.is_dir() else [source]
    return [found for one in paths for found in read_frequencies(str(one))]


def open_release(arguments: argparse.Namespace, folder: Path) -> Nomenclature:
    """The release that is asked for, by default the newest that is installed."""
    if arguments.release_folder is not None:
        reference = ReferenceFolder(folder / "reference")
        reference.install(arguments.release or "3.58.0", str(arguments.release_folder))
        return reference.open(reference.latest())
    reference = ReferenceFolder(Settings().reference)
    demo = arguments.frequencies == DEMO_FREQUENCIES
    return reference.open(arguments.release or (DEMO_RELEASE if demo else reference.latest()))


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=200_000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--max-mismatches", type=int, default=1)
    parser.add_argument("--frequencies", default=DEMO_FREQUENCIES)
    parser.add_argument("--release")
    parser.add_argument("--release-folder", type=Path, help="install the release from here")
    parser.add_argument("--json", action="store_true", help="print in one line")
    arguments = parser.parse_args()
    criteria = Criteria(FIVE, arguments.max_mismatches)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        release = open_release(arguments, folder)
        people = folder / "people"
        simulate(
            people,
            frequency_sets(arguments.frequencies),
            release,
            arguments.donors,
            arguments.patients,
            1,
        )
        registry = Registry(folder / "registry")
        start = time.perf_counter()
        registry.import_file(people / "donors.csv", release, folder / "rejects.csv")
        import_seconds = time.perf_counter() - start
        imported_mib = peak_memory_mib()
        start = time.perf_counter()
        stored = registry.index(release)
        open_seconds = time.perf_counter() - start
        patients = [
            encode(typing_of(person.written), release)
            for person in RecordReader(release).people(people / "patients.csv")
        ]
        index = stored.donors
        ours, found = timed(lambda p: len(find_donors(index, p, criteria)), patients)
        rss_mib = current_memory_mib()
        columns = plain_columns(index)
        plain, expected = timed(
            lambda tables: numpy_scan(columns, tables, arguments.max_mismatches),
            (tables_of(index, patient) for patient in patients[:N_SCANS]),
        )
        if found[:N_SCANS] != expected:
            raise SystemExit("the search and the numpy scan disagree")
        passes, _ = timed(
            lambda _: sum(int(column.max()) for column in columns.values()), patients[:N_SCANS]
        )
        size = sum(path.stat().st_size for path in stored.root.rglob("*") if path.is_file())
    result = {
        **machine(),
        "donors": arguments.donors,
        "patients": len(patients),
        "max_mismatches": arguments.max_mismatches,
        "release": release.release,
        "import_seconds": round(import_seconds, 2),
        "import_mib": imported_mib,
        "open_seconds": round(open_seconds, 3),
        "searches_per_second": round(1000 / ours.mean(), 1),
        "p50_ms": round(float(np.percentile(ours, 50)), 2),
        "p99_ms": round(float(np.percentile(ours, 99)), 2),
        "max_ms": round(float(ours.max()), 2),
        "candidates_p50": float(np.median(found)),
        "numpy_scan_ms": round(float(np.percentile(plain, 50)), 2),
        "one_pass_ms": round(float(np.percentile(passes, 50)), 2),
        "index_bytes_per_donor": round(size / arguments.donors, 1),
        "rss_mib": rss_mib,
    }
    print(json.dumps(result, indent=None if arguments.json else 1))


def current_memory_mib() -> float:
    """Resident size of this process now, mapped files included."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
