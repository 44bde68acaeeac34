"""How often an available 10/10 donor is found: the typing plan against the top of the ranked list.

Both have the same budget. The registry is simulated and its truth known; availability is drawn from
the prior, many times. The list gives each patient an equal number of requests, from its top, and a
donor whom several patients ask for counts for all of them.

python -m benchmarks.typing_plan [--donors N] [--patients N] [--draws N] [--seed N]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.machine import machine
from data.nomenclature import ReferenceFolder
from matching.genotypes import Genotype, encode
from matching.loci import parse_loci
from matching.nomenclature import Nomenclature
from matching.typings import parse_typing
from service.cli import app
from service.config import Settings
from service.typing_plan import availability_of, plan_requests

FIVE = parse_loci("A,B,C,DRB1,DQB1")
BUDGETS = (1, 2, 3, 5)


def candidates_of(folder: Path, donors: int, patients: int, frequencies: str, seed: int) -> None:
    """Simulate, import, search: writes people/ and out/ into the folder."""
    os.environ["GRAFTMATCH_HOME"] = str(folder / "home")
    people = folder / "people"
    with contextlib.redirect_stdout(sys.stderr):
        size = ("--donors", donors, "--patients", patients, "--seed", seed)
        for command in (
            ("registry", "simulate", *size, "--frequencies", frequencies, "--out", people),
            ("registry", "import", people / "donors.csv"),
            ("batch", people / "patients.csv", "--as-of", "2026-01-01", "--out", folder / "out"),
        ):
            app([*map(str, command), "--release", "demo"], standalone_mode=False)


def true_genotypes(path: Path, release: Nomenclature) -> dict[str, Genotype]:
    """By identifier, from the haplotypes that the simulation drew."""
    found = {}
    for row in pd.read_parquet(path).to_dict(orient="records"):
        genes = [dict(_genes(str(row[f"haplotype_{n}"]))) for n in (1, 2)]
        text = "^".join(f"{genes[0][x.value]}+{genes[1][x.value]}" for x in FIVE)
        found[str(row["id"])] = encode(parse_typing(text), release)
    return found


def _genes(haplotype: str) -> list[tuple[str, str]]:
    return [(name.partition("*")[0], name) for name in haplotype.split("~")]


def is_match(one: Genotype, other: Genotype) -> bool:
    """10/10: at each of five loci both P groups are shared, in one order or the other."""
    for locus in FIVE:
        a, b = one.loci[locus], other.loci[locus]
        assert a is not None and b is not None
        straight = set(a.first) & set(b.first) and set(a.second) & set(b.second)
        crossed = set(a.first) & set(b.second) and set(a.second) & set(b.first)
        if not (straight or crossed):
            return False
    return True


def found_share(
    requests: pd.DataFrame, available: npt.NDArray[np.bool_], donors: pd.Index, n_patients: int
) -> float:
    """Mean share of patients for whom a request finds an available 10/10 donor, over draws."""
    good = requests[requests["truth"]]
    at = donors.get_indexer(pd.Index(good["donor"]))
    total = 0
    for _, rows in pd.Series(at, index=good["patient"].to_numpy()).groupby(level=0):
        total += int(available[:, rows.to_numpy()].any(axis=1).sum())
    return total / (len(available) * n_patients)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=20_000)
    parser.add_argument("--patients", type=int, default=200)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--frequencies", default="demo")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        candidates_of(
            folder, arguments.donors, arguments.patients, arguments.frequencies, arguments.seed
        )
        release = ReferenceFolder(Settings().reference).open("demo")
        table = pd.read_parquet(folder / "out/candidates.parquet")
        patients = true_genotypes(folder / "people/patients_truth.parquet", release)
        donors = true_genotypes(folder / "people/donors_truth.parquet", release)
    table["truth"] = [
        is_match(patients[p], donors[d])
        for p, d in zip(table["patient"], table["donor"], strict=True)
    ]
    table["availability"] = availability_of(table, None)
    single = table.drop_duplicates("donor")
    names = pd.Index(single["donor"])
    rng = np.random.default_rng(arguments.seed)
    rates = single["availability"].to_numpy()
    available = rng.random((arguments.draws, len(single))) < rates
    most = found_share(table, available, names, arguments.patients)
    result = {
        **machine(),
        "donors": arguments.donors,
        "patients": arguments.patients,
        "draws": arguments.draws,
        "pairs": len(table),
        "mean_p10": round(float(table["p10"].mean()), 4),
        "true_10_of_10": round(float(table.loc[table["p10"].notna(), "truth"].mean()), 4),
        "all_donors_asked": round(most, 4),
        "budgets": [],
    }
    for each in BUDGETS:
        plan = plan_requests(table, each * arguments.patients)
        chosen = plan.table.merge(table[["patient", "donor", "truth"]], on=["patient", "donor"])
        top = table[table["rank"] <= each]
        result["budgets"].append(
            {
                "requests": each * arguments.patients,
                "plan_made": len(chosen),
                "list_made": len(top),
                "plan_expected": round(plan.plan.value / arguments.patients, 4),
                "plan_found": round(found_share(chosen, available, names, arguments.patients), 4),
                "list_found": round(found_share(top, available, names, arguments.patients), 4),
            }
        )
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
