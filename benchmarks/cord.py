"""Pairs of cord blood units of a simulated registry, beside all pairs by numpy in the same run.

python benchmarks/cord.py --units N --patients M --frequencies DIRECTORY
  [--release 3.58.0 | --release-folder FOLDER] [--registry FOLDER] [--json]

DIRECTORY, --release and --registry are as in benchmarks/search.py; the units are donors simulated
there with counts of cells: nucleated ones log-normal about 125 x 10^7, CD34+ ones about 4 x 10^6,
a fifth without. A search is all of it: the units that match, the join, and the first page of 100
with doses, reasons and identifiers, of patients of 40 to 100 kg; what is asked is the default.
Times are milliseconds, by rule: of the whole; and by the rule of eight that of comparing all pairs
by numpy, for some patients with at most 1,500 units, whose number of pairs is compared.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

# So that the file can also be run by its path.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.machine import machine, peak_memory_mib
from benchmarks.search import AS_OF, PAGE, frequency_sets, open_release, percentiles, timed
from data.donor_files import Person
from data.frequencies import DEMO_FREQUENCIES
from data.registry import RecordReader, Registry
from data.synthetic import simulate
from matching.cord import CordRule, DoubleRule, cord_criteria
from matching.errors import GraftmatchError
from matching.genotypes import encode
from matching.kernels import COUNT_BEST
from matching.search import compare_locus, find_donors
from matching.typings import typing_of
from service.cord import doses_per_kg
from service.double import find_pairs
from service.search import DonorSearch, SearchSettings

MOST_FOR_NUMPY = 1_500
N_NUMPY = 3


def write_units(source: Path, target: Path) -> None:
    """Simulated donors as cord units with counts."""
    text = pa_csv.ConvertOptions(strings_can_be_null=True)
    donors = pa_csv.read_csv(source, convert_options=text)
    rng, n = np.random.default_rng(7), len(donors)
    tnc = np.exp(rng.normal(np.log(125), 0.4, n)).clip(30, 600).round(1)
    cd34 = np.exp(rng.normal(np.log(4), 0.7, n)).clip(0.2, 60).round(2)
    units = donors.drop_columns(["type", "age_years", "weight_kg"])
    units = units.append_column("type", pa.array(["cord"] * n))
    units = units.append_column("tnc_1e7", pa.array(tnc))
    units = units.append_column("cd34_1e6", pa.array(cd34, mask=rng.random(n) < 0.2))
    pa_csv.write_csv(units, target)


def number_by_numpy(search: DonorSearch, person: Person, cord_rule: CordRule) -> int:
    """How many pairs there are, by comparing every unit with all that come after it, where units
    match by P groups."""
    criteria, index = cord_criteria(cord_rule), search.index
    rule = DoubleRule(criteria.max_mismatches)
    patient = encode(typing_of(person.written), search.nomenclature)
    rows = find_donors(index.donors, patient, criteria).rows
    (segment,) = index.donors.segments
    tnc = doses_per_kg(index, rows, float(person.facts["weight_kg"] or 0))["tnc"]
    rows, tnc = rows[tnc >= rule.min_unit_tnc], tnc[tnc >= rule.min_unit_tnc]
    entries = {locus: segment.entries(rows, locus).astype(np.int64) for locus in criteria.loci}
    total = 0
    for i in range(len(rows)):
        later = slice(i + 1, None)
        within = tnc[i] + tnc[later] >= rule.min_tnc
        apart = np.zeros(within.sum(), dtype=np.int64)
        for locus, of_locus in entries.items():
            distinct, place = np.unique(of_locus[later][within], return_inverse=True)
            genotype = index.donors.genotype(int(rows[i]), locus)
            table = 2 - compare_locus(genotype, segment.books[locus], distinct)[:, COUNT_BEST]
            apart += table[place]
        total += int((apart <= rule.max_mismatches).sum())
    return total


def measure(search: DonorSearch, people: list[Person], cord_rule: CordRule) -> dict[str, Any]:
    """Figures of one rule."""
    criteria = cord_criteria(cord_rule)
    rule = DoubleRule(criteria.max_mismatches)
    settings = SearchSettings(criteria, AS_OF, donors={"types": ["cord"]})
    units: list[int] = []

    def page(person: Person) -> int:
        found = find_pairs(person, search, settings, rule, 0, PAGE)
        units.append(found.n_units)
        return len(found.table)

    times, pairs = timed(page, people)
    of_person = units[1:]
    result = {
        **percentiles("", times),
        "units_p50": float(np.median(of_person)),
        "units_max": max(of_person),
        "patients_without_pair": pairs.count(0),
    }
    if cord_rule is CordRule.EIGHT:
        few = [i for i, n in enumerate(of_person) if n <= MOST_FOR_NUMPY][:N_NUMPY]
        plain, expected = timed(
            lambda person: number_by_numpy(search, person, cord_rule), [people[i] for i in few]
        )
        if [min(n, PAGE) for n in expected] != [pairs[i] for i in few]:
            raise SystemExit("the join and numpy disagree")
        result["numpy_p50_ms"] = round(float(np.median(plain)), 2)
    return {f"rule_{cord_rule.value}_{name}": value for name, value in result.items()}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=50_000)
    parser.add_argument("--patients", type=int, default=50)
    parser.add_argument("--frequencies", default=DEMO_FREQUENCIES)
    parser.add_argument("--release")
    parser.add_argument("--release-folder", type=Path, help="install the release from here")
    parser.add_argument("--registry", help="search this one instead of importing --units")
    parser.add_argument("--json", action="store_true", help="print in one line")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            release, _ = open_release(arguments, folder)
        except GraftmatchError as error:
            raise SystemExit(str(error)) from error
        sets = frequency_sets(arguments.frequencies)
        n_units = 1 if arguments.registry else arguments.units
        simulate(folder / "people", sets, release, n_units, arguments.patients, 1)
        registry = Registry.at(arguments.registry or folder / "registry", folder)
        if not arguments.registry:
            write_units(folder / "people/donors.csv", folder / "units.csv")
            registry.import_file(folder / "units.csv", release, folder / "rejects.csv")
        start = time.perf_counter()
        search = DonorSearch.of(release, {}, registry, registry.index(release), None)
        result = {**machine(), "units": len(search.index), "patients": arguments.patients}
        result["open_seconds"] = round(time.perf_counter() - start, 3)
        people = list(RecordReader(release).people(folder / "people/patients.csv"))
        weights = np.random.default_rng(1).uniform(40, 100, len(people))
        people = [
            replace(person, facts={**person.facts, "weight_kg": float(weight)})
            for person, weight in zip(people, weights, strict=True)
        ]
        for cord_rule in CordRule:
            result |= measure(search, people, cord_rule)
        result["peak_mib"] = peak_memory_mib()
    print(json.dumps(result, indent=None if arguments.json else 1))


if __name__ == "__main__":
    main()
