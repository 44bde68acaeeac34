"""Import and search of a simulated registry, beside a plain numpy scan in the same run.

python benchmarks/search.py --donors N --patients M --frequencies DIRECTORY --max-mismatches K
  [--release 3.58.0 | --release-folder FOLDER] [--registry FOLDER] [--json]

DIRECTORY holds one file of frequencies a population; `demo` is the embedded set. Without a release
the newest one is used that is installed in GRAFTMATCH_HOME, and where none is, that of the shared
material in GRAFTMATCH_SHARED. --registry searches one that is there,
of donors simulated from the same frequencies, whose masses were computed under them.

Patients are typed at two fields and searched over five loci. A search is all of it: every candidate
with P(10/10) and P(9/10), with P(8/10) where two mismatches are allowed, ranked by the default
rule; and the first page of 100, with match counts, directions and letters at nine loci, DPB1
category, leader, risks with intervals, facts and identifiers. Times are milliseconds: `p50_ms` and
so on of this, `count_*` of the count search alone, then of the same count by numpy, and of reading
the searched columns once, which memory bandwidth bounds. `import_seconds` includes the masses,
`searchable_seconds` is when counts can be searched.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

# So that the file can also be run by its path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import machine, peak_memory_mib
from data.donor_files import INDEXED_FACTS, Person
from data.frequencies import DEMO_FREQUENCIES, read_frequencies
from data.frequency_store import FrequencyFolder
from data.literature import literature_model
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from data.registry import RecordReader, Registry
from data.synthetic import simulate
from matching.donor_index import DonorIndex
from matching.errors import GraftmatchError, ReleaseNotInstalledError
from matching.genotypes import Genotype, encode
from matching.haplotypes import FrequencySet, NullImputation
from matching.kernels import COUNT_BEST
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from matching.search import Criteria, compare_locus, find_donors
from matching.typings import typing_of
from service.config import Settings
from service.frequency_sets import SearchSets
from service.search import DonorSearch, SearchSettings

FIVE = parse_loci("A,B,C,DRB1,DQB1")
PAGE = 100
AS_OF = datetime.date(2026, 1, 1)
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


def open_release(
    arguments: argparse.Namespace, folder: Path
) -> tuple[Nomenclature, ReferenceFolder]:
    """The release that is asked for, by default the newest that is installed."""
    reference, source = ReferenceFolder(Settings().reference), arguments.release_folder
    if source is None and arguments.frequencies == DEMO_FREQUENCIES:
        return reference.open(arguments.release or DEMO_RELEASE), reference
    if source is None:
        try:
            return reference.open(arguments.release or reference.latest()), reference
        except ReleaseNotInstalledError:
            if arguments.release or "GRAFTMATCH_SHARED" not in os.environ:
                raise
            source = Path(os.environ["GRAFTMATCH_SHARED"]) / "imgt/3580"
    reference = ReferenceFolder(folder / "reference")
    reference.install(arguments.release or "3.58.0", str(source))
    return reference.open(reference.latest()), reference


def search_sets(
    sets: list[FrequencySet], release: Nomenclature, folder: FrequencyFolder
) -> SearchSets:
    """The sets as a home folder holds them, one a population, the last of them in use."""
    for one in sets:
        folder.store(one, None, release, AS_OF, one.population, "", FIVE)
    found = SearchSets.load(folder, release, NullImputation.TYPED)
    if found is None:
        raise SystemExit("no frequency set carries A, B, C, DRB1 and DQB1")
    return found


def import_donors(
    registry: Registry, file: Path, release: Nomenclature, sets: SearchSets
) -> dict[str, float]:
    """Import a file, with its masses."""
    start = time.perf_counter()
    searchable = []

    def masses(_: object) -> Any:
        searchable.append(time.perf_counter() - start)
        return sets.masses

    registry.import_file(file, release, file.with_name("rejects.csv"), masses=masses)
    return {
        "import_seconds": round(time.perf_counter() - start, 2),
        "searchable_seconds": round(searchable[0], 2),
        "import_mib": peak_memory_mib(),
    }


def whole_search(
    search: DonorSearch, person: Person, model: RiskModel, settings: SearchSettings
) -> int:
    """Search, and make everything of the page that is shown; the number of candidates."""
    page = search.page(typing_of(person.written), person.facts, model, settings)
    candidates = page.matches.candidates
    shown = [candidates.compared, page.matches.tce, page.ranking.reasons]
    shown.append(search.index.ids(candidates.rows))
    shown += [search.index.distinct(fact, candidates.rows) for fact in INDEXED_FACTS]
    return page.found


def percentiles(prefix: str, times: npt.NDArray[np.float64]) -> dict[str, float]:
    """Median, 99 % and largest."""
    found = zip(("p50", "p99", "max"), np.percentile(times, [50, 99, 100]), strict=True)
    return {f"{prefix}{name}_ms": round(float(value), 2) for name, value in found}


def measure(
    search: DonorSearch, people: list[Person], max_mismatches: int, opened: float
) -> dict[str, Any]:
    """All figures of searches."""
    criteria = Criteria(FIVE, max_mismatches)
    settings = SearchSettings(criteria, AS_OF, size=PAGE)
    patients = [encode(typing_of(person.written), search.nomenclature) for person in people]
    index, model = search.index.donors, literature_model()
    start = time.perf_counter()
    # As the service does before it answers.
    search.prepare()
    whole_search(search, people[0], model, settings)
    first = time.perf_counter() - start
    times, found = timed(lambda person: whole_search(search, person, model, settings), people)
    counts, counted = timed(lambda p: len(find_donors(index, p, criteria)), patients)
    rss_mib = current_memory_mib()
    if found != counted:
        raise SystemExit("the search and the count search disagree")
    columns = plain_columns(index)
    plain, expected = timed(
        lambda tables: numpy_scan(columns, tables, max_mismatches),
        (tables_of(index, patient) for patient in patients[:N_SCANS]),
    )
    if found[:N_SCANS] != expected:
        raise SystemExit("the search and the numpy scan disagree")
    passes, _ = timed(
        lambda _: sum(int(column.max()) for column in columns.values()), patients[:N_SCANS]
    )
    root = search.index.root
    size = sum(path.stat().st_size for path in root.rglob("*") if path.is_file())
    masses = sum(p.stat().st_size for p in root.glob("*/masses-*/*") if p.is_file())
    return {
        "donors": len(index),
        "patients": len(people),
        "max_mismatches": max_mismatches,
        "release": search.nomenclature.release,
        "open_seconds": round(opened, 3),
        "first_search_seconds": round(first, 2),
        **percentiles("", times),
        **percentiles("count_", counts),
        "candidates_p50": float(np.median(found)),
        "numpy_scan_ms": round(float(np.percentile(plain, 50)), 2),
        "one_pass_ms": round(float(np.percentile(passes, 50)), 2),
        "index_bytes_per_donor": round((size - masses) / len(index), 1),
        "masses_bytes_per_donor": round(masses / len(index), 1),
        "rss_mib": rss_mib,
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=200_000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--max-mismatches", type=int, default=1)
    parser.add_argument("--frequencies", default=DEMO_FREQUENCIES)
    parser.add_argument("--release")
    parser.add_argument("--release-folder", type=Path, help="install the release from here")
    parser.add_argument("--registry", help="search this one instead of importing --donors")
    parser.add_argument("--json", action="store_true", help="print in one line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            release, reference = open_release(arguments, folder)
        except GraftmatchError as error:
            raise SystemExit(str(error)) from error
        sets = frequency_sets(arguments.frequencies)
        n_donors = 1 if arguments.registry else arguments.donors
        simulate(folder / "people", sets, release, n_donors, arguments.patients, 1)
        ready = search_sets(sets, release, FrequencyFolder(folder / "frequencies"))
        registry = Registry.at(arguments.registry or folder / "registry", folder)
        result: dict[str, Any] = dict(machine())
        if not arguments.registry:
            result |= import_donors(registry, folder / "people/donors.csv", release, ready)
        start = time.perf_counter()
        index = registry.index(release)
        opened = time.perf_counter() - start
        proteins = reference.proteins(release.release)
        search = DonorSearch.of(release, proteins, registry, index, ready)
        if search.masses is None or not search.masses.is_complete:
            raise SystemExit(
                "the registry has no masses under these frequencies, the last of them in use: "
                "import them in this order, then run graftmatch registry masses"
            )
        people = list(RecordReader(release).people(folder / "people/patients.csv"))
        result |= measure(search, people, arguments.max_mismatches, opened)
    print(json.dumps(result, indent=None if arguments.json else 1))


def current_memory_mib() -> float:
    """Resident size of this process now, mapped files included."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


if __name__ == "__main__":
    main()
