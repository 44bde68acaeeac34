"""Total masses a second, and probabilities of the candidates of a search, by number of donors.

python -m benchmarks.masses [--donors N] [--patients M] [--ambiguous M]; donors are simulated
in equal shares from the sets of GRAFTMATCH_SHARED/populations, each imputed under its own set,
without them from the demo set. Patients are of one of these populations.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.machine import machine, peak_memory_mib
from data.frequencies import read_frequencies
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from data.synthetic import CHUNK, MIX, Population, Profile, draw_people, population_of
from matching.errors import TooAmbiguousError
from matching.genotypes import BookBuilder, encode
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.kernels import COUNT_BEST
from matching.loci import Locus
from matching.masses import Entries, LocusEntries, MassTables
from matching.nomenclature import Nomenclature
from matching.search import compare_locus
from matching.typings import Typing, parse_typing
from service.ancestry import FIVE

Change = Callable[[dict[Locus, str]], dict[Locus, str]]

THREADS = 2
PRECISION = 0.001

_EXACT = (Profile("two-field", 1.0, frozenset(FIVE), (1, 0, 0, 0, 0, 0, 0, 0)),)
_INTERMEDIATE = (Profile("intermediate", 1.0, frozenset(FIVE), MIX[1].odds),)


@dataclass
class Donors:
    """The simulated donors of one population."""

    tables: MassTables
    population: Population
    entries: Entries
    codes: npt.NDArray[np.int32]
    books: npt.NDArray[np.uint32]
    total: npt.NDArray[np.float64]


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=1_000_000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--ambiguous", type=int, default=5, help="patients of each ambiguous kind")
    options = parser.parse_args()
    shared = Path(os.environ.get("GRAFTMATCH_SHARED", "../shared"))
    with tempfile.TemporaryDirectory() as name:
        release, sets = reference(shared, Path(name))
        result = {**machine(), **measure(release, sets, options), "rss_mib": peak_memory_mib()}
    print(json.dumps(result, indent=1))


def reference(shared: Path, folder: Path) -> tuple[Nomenclature, list[FrequencySet]]:
    """A release and sets over the five loci."""
    found = ReferenceFolder(folder / "reference")
    files = sorted((shared / "populations").glob("*.parquet"))
    if not files:
        return found.open(DEMO_RELEASE), [s.over(FIVE) for s in read_frequencies("demo")]
    found.install("3.58.0", str(shared / "imgt/3580"))
    sets = [one.over(FIVE) for path in files for one in read_frequencies(str(path))]
    # The largest first: the figures of masses are for it.
    sets.sort(key=lambda one: -len(one.frequencies))
    return found.open("3.58.0"), sets


def measure(
    release: Nomenclature, sets: Sequence[FrequencySet], options: argparse.Namespace
) -> dict[str, Any]:
    """All figures."""
    start = time.perf_counter()
    tables = [
        MassTables(Imputer(one, release, NullImputation.TYPED, Resolution.P_GROUP)) for one in sets
    ]
    for one in tables:
        one.prepare()
    prepared = time.perf_counter() - start
    populations = [population_of(one, release) for one in sets]
    result: dict[str, Any] = {
        "donors": options.donors,
        "prepare_seconds_a_set": round(prepared / len(sets), 2),
    }
    for label, typed in (("two_field", _EXACT), ("mix", MIX)):
        result[f"masses_a_second_{label}"] = masses_a_second(tables[0], populations[0], typed)
    builders = {locus: BookBuilder(locus, release) for locus in FIVE}
    start = time.perf_counter()
    donors = [
        draw_donors(i, one, tables[i], options.donors // len(sets), builders)
        for i, one in enumerate(populations)
    ]
    result["draw_and_sum_seconds"] = round(time.perf_counter() - start, 1)
    kinds: tuple[tuple[str, int, Sequence[Profile], Change], ...] = (
        ("exact", options.patients, _EXACT, lambda texts: texts),
        ("intermediate", options.ambiguous, _INTERMEDIATE, lambda texts: texts),
        ("no_c_dqb1", options.ambiguous, _EXACT, without_c_dqb1),
        ("xx_a_b", options.ambiguous, _EXACT, with_families),
    )
    for max_mismatches in (1, 2):
        for kind, count, mix, change in kinds:
            figures = search_times(donors, builders, release, count, mix, change, max_mismatches)
            label = f"{kind}_{max_mismatches}_mismatches"
            result |= {f"{label}_{key}": value for key, value in figures.items()}
    return result


def masses_a_second(tables: MassTables, source: Population, mix: Sequence[Profile]) -> int:
    """Distinct typings summed a second, on `THREADS` threads."""
    loci = tables.locus_entries()
    texts = _draw(np.random.default_rng(1), 200_000, mix, source)
    codes = np.unique(_encode(texts, loci), axis=0)
    entries = Entries.of([of.table() for of in loci])
    tables.total_masses(entries, codes[:1000])
    start = time.perf_counter()
    tables.total_masses(entries, codes, THREADS)
    return round(len(codes) / (time.perf_counter() - start))


def _draw(
    rng: np.random.Generator, n: int, mix: Sequence[Profile], source: Population
) -> dict[Locus, list[str]]:
    people, _ = draw_people(rng, [str(i) for i in range(n)], mix, [source])
    return {locus: people[locus.value.lower()].fill_null("").to_pylist() for locus in FIVE}


def _encode(
    texts: Mapping[Locus, Sequence[str]], loci: Sequence[LocusEntries]
) -> npt.NDArray[np.int32]:
    return np.stack([of.encode(texts[at]) for at, of in zip(FIVE, loci, strict=True)], axis=1)


def draw_donors(
    number: int,
    source: Population,
    tables: MassTables,
    count: int,
    builders: dict[Locus, BookBuilder],
) -> Donors:
    """Donors of a population, their book codes and their total masses."""
    codes, books, loci = [], [], tables.locus_entries()
    for start in range(0, count, CHUNK):
        rng = np.random.default_rng([7, number, start])
        texts = _draw(rng, min(CHUNK, count - start), MIX, source)
        codes.append(_encode(texts, loci))
        books.append(
            np.stack([builders[at].encode_all(texts[at])[0] for at in FIVE], axis=1).astype(
                np.uint32
            )
        )
    every = np.concatenate(codes)
    distinct, at = np.unique(every, axis=0, return_inverse=True)
    entries = Entries.of([of.table() for of in loci])
    total = tables.total_masses(entries, distinct, THREADS)[at.ravel()]
    return Donors(tables, source, entries, every, np.concatenate(books), total)


def without_c_dqb1(texts: dict[Locus, str]) -> dict[Locus, str]:
    """A patient typed at A, B and DRB1 alone."""
    return {locus: text for locus, text in texts.items() if locus not in (Locus.C, Locus.DQB1)}


def with_families(texts: dict[Locus, str]) -> dict[Locus, str]:
    """A patient typed by first fields alone at A and B."""

    def family(text: str) -> str:
        return "+".join(f"{name.partition(':')[0]}:XX" for name in text.split("+"))

    loose = (Locus.A, Locus.B)
    return {locus: family(text) if locus in loose else text for locus, text in texts.items()}


def search_times(
    donors: Sequence[Donors],
    builders: dict[Locus, BookBuilder],
    release: Nomenclature,
    count: int,
    mix: Sequence[Profile],
    change: Change,
    max_mismatches: int,
) -> dict[str, Any]:
    """Times of the probabilities of all candidates of a patient, all sets together, in ms."""
    books = {locus: builders[locus].book() for locus in FIVE}
    times, cpu, found, genotypes, imputed_in = [], [], [], [], []
    rng = np.random.default_rng(11)
    for number in range(count):
        own = donors[number % len(donors)]
        drawn = _draw(rng, 1, mix, own.population)
        texts = change({locus: written[0] for locus, written in drawn.items()})
        typing = parse_typing("^".join(texts.values()))
        start = time.perf_counter()
        try:
            codes, weights, _ = own.tables.imputer.impute_one(typing)
        except TooAmbiguousError:
            continue
        imputed_in.append(time.perf_counter() - start)
        genotypes.append(len(weights))
        chosen = candidates(donors, books, typing, release, max_mismatches)
        start, start_cpu = time.perf_counter(), time.process_time()
        for one, rows in zip(donors, chosen, strict=True):
            patient = one.tables.patient(own.tables.imputer, codes, weights)
            one.tables.search(
                patient, one.entries, one.codes[rows], one.total[rows], max_mismatches,
                PRECISION if len(weights) > 1 else 0.0, THREADS,
            )  # fmt: skip
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
        found.append(sum(map(len, chosen)))
    if not times:
        return {}
    ms = np.array(times) * 1000
    return {
        "p50_ms": round(float(np.percentile(ms, 50)), 2),
        "p99_ms": round(float(np.percentile(ms, 99)), 2),
        "max_ms": round(float(ms.max()), 2),
        # Of all threads: what is left of the times where others use the machine.
        "cpu_p50_ms": round(1000 * float(np.percentile(cpu, 50)), 2),
        "cpu_p99_ms": round(1000 * float(np.percentile(cpu, 99)), 2),
        "candidates_p50": int(np.percentile(found, 50)),
        "candidates_max": max(found),
        "genotypes_max": max(genotypes),
        "impute_max_ms": round(1000 * max(imputed_in), 1),
    }


def candidates(
    donors: Sequence[Donors],
    books: dict[Locus, Any],
    typing: Typing,
    release: Nomenclature,
    max_mismatches: int,
) -> list[npt.NDArray[np.int64]]:
    """Rows of every population with at most so many best-case mismatches."""
    patient = encode(typing, release)
    mismatches = [
        2 - compare_locus(patient.loci[locus], books[locus], np.arange(len(books[locus])))
        for locus in FIVE
    ]
    rows = []
    for one in donors:
        total = np.zeros(len(one.books), dtype=np.uint8)
        for column, table in enumerate(mismatches):
            total += np.ascontiguousarray(table[:, COUNT_BEST])[one.books[:, column]]
        rows.append(np.flatnonzero(total <= max_mismatches))
    return rows


if __name__ == "__main__":
    main()
