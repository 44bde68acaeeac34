"""Match prediction of every patient against every donor of an exercise.

python -m benchmarks.prediction [--folder F]; by default WMDA exercise 3 below GRAFTMATCH_SHARED,
without it a simulated one from the demo set. The limit is a plain enumeration in numba: 30 s for
the 10 million pairs of the exercise, measured on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine, peak_memory_mib
from data.donor_files import Person, RecordReader
from data.frequencies import read_frequencies
from data.frequency_store import FrequencyFolder
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from data.synthetic import simulate
from matching.haplotypes import Imputer, NullImputation, Resolution
from matching.nomenclature import Nomenclature
from service.imputation import ancestries, impute_by_ancestry
from service.prediction import Columns, predictions, write_predictions


def people_of(release: Nomenclature, path: Path) -> list[Person]:
    """The people of a file."""
    return list(RecordReader(release).people(path))


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("GRAFTMATCH_SHARED", "../shared"))
    parser.add_argument("--folder", type=Path, default=shared)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as name:
        reference = ReferenceFolder(Path(name) / "reference")
        if (folder / "mvt3").is_dir():
            reference.install("3.58.0", str(folder / "imgt/3580"))
            release = reference.open("3.58.0")
            source = str(folder / "mvt3/haplotype_frequencies.csv")
            patients, donors = folder / "mvt3/pat.gl.txt.gz", folder / "mvt3/don.gl.txt.gz"
            resolution = Resolution.TWO_FIELD
        else:
            release, source = reference.open(DEMO_RELEASE), "demo"
            people = Path(name) / "people"
            simulate(people, read_frequencies("demo"), release, 10_000, 100, 1)
            patients, donors = people / "patients.csv", people / "donors.csv"
            resolution = Resolution.P_GROUP
        under = ancestries(source, None, False, None, FrequencyFolder(Path(name)))
        imputer = Imputer(under.populations.shared, release, NullImputation.PARTNER, resolution)
        start = time.perf_counter()
        wanted, offered = people_of(release, patients), people_of(release, donors)
        read = time.perf_counter()
        mine = impute_by_ancestry(imputer, wanted, under)
        theirs = impute_by_ancestry(imputer, offered, under)
        known = time.perf_counter()
        results = predictions(imputer, mine, theirs, 0.0005, False)
        columns = Columns(imputer.frequencies.loci)
        found = write_predictions(Path(name) / "out.parquet", results, mine, theirs, columns)
        done = time.perf_counter()
    result = {
        **machine(),
        "patients": len(wanted),
        "donors": len(offered),
        "pairs_kept": found,
        "donor_genotypes": len(theirs.imputed.weights),
        "read_seconds": round(read - start, 2),
        "impute_seconds": round(known - read, 2),
        "predict_seconds": round(done - known, 2),
        "pairs_per_second": round(len(mine.names) * len(theirs.names) / (done - known)),
        "rss_mib": peak_memory_mib(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
