"""Match prediction of every patient against every donor of an exercise, from text to Parquet.

python -m benchmarks.prediction [--folder F] [--cold]; by default WMDA exercise 3 below
GRAFTMATCH_SHARED, without it a simulated one from the demo set.

`fresh`: the command `predict` in a process of its own, with the kernels compiled before; `cold`:
the same with nothing compiled. `warm`: the same work in this process, release and kernels loaded.
`plain`: every genotype of some patients against every genotype of every donor, already imputed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from benchmarks.machine import machine
from data.donor_files import RecordReader
from data.frequencies import read_frequencies
from data.frequency_store import FrequencyFolder
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from data.synthetic import simulate
from matching.haplotypes import MOST_LISTED, Imputer, NullImputation, Resolution
from matching.kernels import kernel
from matching.nomenclature import Nomenclature
from matching.prediction_kernels import token_mismatches
from service.ancestry import ancestries
from service.imputation import Explanations, ImputedPeople, impute_by_ancestry
from service.prediction import Columns, predictions, write_predictions

MIN_PROBABILITY = 0.0005
PLAIN_PATIENTS = 100
COMMAND = "from service.cli import main; main()"


@dataclass(frozen=True)
class Exercise:
    """Files of people and frequencies, and the options they are meant for."""

    home: Path
    release: Nomenclature
    patients: Path
    donors: Path
    frequencies: str
    resolution: Resolution

    @classmethod
    def of(cls, folder: Path, home: Path) -> Exercise:
        """The exercise below a folder, or a simulated one; releases are installed below `home`."""
        reference = ReferenceFolder(home / "reference")
        if (folder / "mvt3").is_dir():
            reference.install("3.58.0", str(folder / "imgt/3580"))
            files = folder / "mvt3/pat.gl.txt.gz", folder / "mvt3/don.gl.txt.gz"
            source = str(folder / "mvt3/haplotype_frequencies.csv")
            release = reference.open("3.58.0")
            return cls(home, release, files[0], files[1], source, Resolution.TWO_FIELD)
        release, people = reference.open(DEMO_RELEASE), home / "people"
        simulate(people, read_frequencies("demo"), release, 10_000, 100, 1)
        files = people / "patients.csv", people / "donors.csv"
        return cls(home, release, files[0], files[1], "demo", Resolution.P_GROUP)

    def command(self, environment: Mapping[str, str]) -> dict[str, float]:
        """Seconds, of the clock and of processors, and peak MiB of the command in a process."""
        words = ["predict", "--patients", self.patients, "--donors", self.donors]
        words += ["--frequencies", self.frequencies, "--release", self.release.release]
        words += ["--null-imputation", "partner", "--resolution", self.resolution.value]
        words += ["--out", self.home / "fresh.parquet"]
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", COMMAND, *map(str, words)],
            env={**os.environ, "GRAFTMATCH_HOME": str(self.home), **environment},
            cwd=Path(__file__).parents[1],
            check=True,
            capture_output=True,
        )
        seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {
            "seconds": round(seconds, 2),
            "processor_seconds": round(busy, 2),
            # Of the largest child so far.
            "peak_mib": round(after.ru_maxrss / 1024, 1),
        }

    def in_process(self) -> tuple[dict[str, float], Imputer, ImputedPeople, ImputedPeople]:
        """Seconds of each part of the same work here, and what was imputed."""
        start = time.perf_counter()
        under = ancestries(self.frequencies, None, False, None, FrequencyFolder(self.home))
        options = (NullImputation.PARTNER, self.resolution)
        imputer = Imputer(under.populations.shared, self.release, *options)
        people = [list(RecordReader(self.release).people(p)) for p in (self.patients, self.donors)]
        read = time.perf_counter()
        sides = [
            Explanations(
                imputer,
                under,
                {person.id: person.written for person in group},
                impute_by_ancestry(imputer, group, under, most=MOST_LISTED),
            )
            for group in people
        ]
        mine, theirs = (side.people for side in sides)
        known = time.perf_counter()
        results = predictions(sides[0], sides[1], MIN_PROBABILITY, False)
        columns = Columns(imputer.frequencies.loci)
        write_predictions(self.home / "warm.parquet", results, mine, theirs, columns)
        done = time.perf_counter()
        seconds = {"read": read - start, "impute": known - read, "predict": done - known}
        seconds["all"] = done - start
        return {name: round(s, 2) for name, s in seconds.items()}, imputer, mine, theirs


def plain(imputer: Imputer, patients: ImputedPeople, donors: ImputedPeople) -> dict[str, Any]:
    """The first patients by plain enumeration."""
    n = min(PLAIN_PATIENTS, len(patients.names))
    mine, theirs = patients.imputed.take(np.arange(n)), donors.imputed
    tokens, starts = imputer.token_pairs
    out = np.zeros((n, len(theirs), 3))
    start = time.perf_counter()
    enumerate_pairs(
        mine.codes, mine.weights, mine.offsets, theirs.codes, theirs.weights, theirs.offsets,
        starts, tokens, out,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    return {
        "patients": n,
        "seconds": round(seconds, 2),
        "seconds_for_all": round(seconds * len(patients.imputed.codes) / len(mine.codes), 1),
        "pairs_kept": int((out.sum(axis=2) > MIN_PROBABILITY).sum()),
    }


_SIGNATURE = (
    "void(int32[:,::1], float64[::1], int64[::1], int32[:,::1], float64[::1], int64[::1],"
    "int64[::1], int32[:,::1], float64[:,:,::1])"
)


@kernel(_SIGNATURE)
def enumerate_pairs(
    mine: npt.NDArray[np.int32],
    my_weights: npt.NDArray[np.float64],
    my_offsets: npt.NDArray[np.int64],
    theirs: npt.NDArray[np.int32],
    weights: npt.NDArray[np.float64],
    offsets: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    tokens: npt.NDArray[np.int32],
    out: npt.NDArray[np.float64],
) -> None:
    """P(0, 1, 2 mismatches) of every patient and donor, (n_patients, n_donors, 3)."""
    for patient in range(len(my_offsets) - 1):
        for donor in range(len(offsets) - 1):
            for g in range(my_offsets[patient], my_offsets[patient + 1]):
                for h in range(offsets[donor], offsets[donor + 1]):
                    count = 0
                    for locus in range(mine.shape[1]):
                        p = starts[locus] + mine[g, locus]
                        d = starts[locus] + theirs[h, locus]
                        count += token_mismatches(
                            np.int64(tokens[p, 0]), np.int64(tokens[p, 1]),
                            np.int64(tokens[d, 0]), np.int64(tokens[d, 1]),
                        )  # fmt: skip
                        if count > 2:
                            break
                    if count <= 2:
                        out[patient, donor, count] += my_weights[g] * weights[h]


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    shared = Path(os.environ.get("GRAFTMATCH_SHARED", "../shared"))
    parser.add_argument("--folder", type=Path, default=shared)
    parser.add_argument("--cold", action="store_true", help="also with nothing compiled")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        exercise = Exercise.of(arguments.folder, Path(name))
        result: dict[str, Any] = machine()
        # Whatever is not compiled yet is compiled now.
        exercise.command({})
        result["fresh"] = exercise.command({})
        exercise.in_process()
        warm, imputer, mine, theirs = exercise.in_process()
        kept = pq.read_table(exercise.home / "warm.parquet")
        result["warm_seconds"] = warm
        if arguments.cold:
            empty = {"NUMBA_CACHE_DIR": str(Path(name) / "kernels")}
            result["cold"] = exercise.command(empty)
        result["plain"] = plain(imputer, mine, theirs)
        firsts = set(mine.names[: result["plain"]["patients"]])
        result |= {
            "patients": len(mine.names),
            "donors": len(theirs.names),
            "donor_genotypes": len(theirs.imputed.weights),
            "pairs_kept": len(kept),
            "pairs_kept_of_the_plain_patients": sum(
                patient in firsts for patient in kept["patient"].to_pylist()
            ),
        }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
