"""The virtual crossmatch of a whole registry, and of candidates with imputed genotypes.

The report has a bead of each of the commonest alleles of the frequency sets in use, pairs of DQ and
DP, Bw4 and Bw6, with MFI at random; release, sets and registry are those of GRAFTMATCH_HOME.

Prints the limits beside what was measured.

python -m benchmarks.antibodies [--registry PLACE] [--reports N] [--candidates N] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter

import numpy as np

from benchmarks.machine import machine
from data.donor_files import Person
from data.frequency_store import FrequencyFolder
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.antibodies import Bead, CutOffs, Names, Profile, PublicEpitopes, registry_answers
from matching.haplotypes import FrequencySet, NullImputation
from matching.loci import Locus
from matching.sequences import Domains
from matching.typings import split_gl
from service.antibodies import crossmatched
from service.config import Settings
from service.frequency_sets import SearchSets

# For 10 million donors, and for 1,000 candidates.
LIMIT_S = 1.0
# Beads of each locus, about as many as single-antigen kits hold.
N_BEADS = {Locus.A: 31, Locus.B: 50, Locus.C: 16, Locus.DRB1: 32}
PAIRS = (
    *("DQB1*02:01/DQA1*05:01", "DQB1*02:02/DQA1*02:01", "DQB1*02:01/DQA1*03:01"),
    *("DQB1*03:01/DQA1*05:05", "DQB1*03:01/DQA1*03:01", "DQB1*03:01/DQA1*02:01"),
    *("DQB1*03:02/DQA1*03:01", "DQB1*03:03/DQA1*02:01", "DQB1*03:03/DQA1*03:01"),
    *("DQB1*04:02/DQA1*04:01", "DQB1*04:01/DQA1*03:03", "DQB1*05:01/DQA1*01:01"),
    *("DQB1*05:02/DQA1*01:02", "DQB1*05:03/DQA1*01:01", "DQB1*06:01/DQA1*01:03"),
    *("DQB1*06:02/DQA1*01:02", "DQB1*06:03/DQA1*01:03", "DQB1*06:04/DQA1*01:02"),
    *("DPB1*04:01/DPA1*01:03", "DPB1*04:02/DPA1*01:03", "DPB1*02:01/DPA1*01:03"),
    *("DPB1*01:01/DPA1*02:01", "DPB1*03:01/DPA1*01:03", "DPB1*05:01/DPA1*02:02"),
)


def beads(frequencies: FrequencySet, rng: np.random.Generator) -> list[Bead]:
    """A report: one bead in five is positive."""
    names = ["Bw4", "Bw6", "DRB3*01:01", "DRB3*02:02", "DRB4*01:03", "DRB5*01:01", *PAIRS]
    for locus, n in N_BEADS.items():
        column = frequencies.loci.index(locus)
        weights: Counter[str] = Counter()
        for name, weight in zip(
            frequencies.haplotypes[:, column].tolist(), frequencies.frequencies, strict=True
        ):
            weights[frequencies.names[column][name]] += weight
        names += [name for name, _ in weights.most_common(n)]
    found = []
    for row, name in enumerate(names, 1):
        target, _, partner = name.partition("/")
        mfi = float(rng.uniform(1000, 15_000) if rng.random() < 0.2 else rng.uniform(0, 900))
        found.append(Bead(target, partner, mfi, None, "2026-01-02", "kit", row))
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--registry", default=None)
    parser.add_argument("--reports", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    settings = Settings()
    folder = ReferenceFolder(settings.reference)
    nomenclature = folder.open(folder.latest())
    proteins = folder.proteins(nomenclature.release)
    store = Registry.at(settings.registry_place(arguments.registry), settings.home)
    index = store.index(nomenclature)
    sets = SearchSets.load(
        FrequencyFolder(settings.frequencies), nomenclature, NullImputation.TYPED
    )
    if sets is None:
        raise SystemExit("no frequency set is in use; import one")
    rng = np.random.default_rng(arguments.seed)
    rows = np.sort(rng.choice(len(index), min(arguments.candidates, len(index)), replace=False))
    typings = store.typings(index.ids(rows))
    facts = index.facts(rows).to_dict(orient="records")
    people = [
        Person(name, {str(k): v for k, v in fact.items()}, split_gl(typings[name]))
        for name, fact in zip(index.ids(rows), facts, strict=True)
    ]
    names, epitopes = Names(nomenclature), PublicEpitopes(Domains(nomenclature, proteins))
    whole, candidates, counts = [], [], {}
    processor: list[tuple[float, float]] = []
    for _ in range(arguments.reports):
        reported = beads(sets.under.populations.shared, rng)
        begun, used = time.perf_counter(), time.process_time()
        profile = Profile(names, epitopes, reported, CutOffs())
        counts = registry_answers(index.donors, profile).count()
        whole.append(time.perf_counter() - begun)
        begun, between = time.perf_counter(), time.process_time()
        found = crossmatched(people, profile, sets)
        candidates.append(time.perf_counter() - begun)
        processor.append((between - used, time.process_time() - between))
    imputed = sum(bool(one.imputed) for one in found)
    result = {
        "donors": len(index),
        "beads": len(reported),
        "registry_first_s": round(whole[0], 3),
        "registry_median_s": round(float(np.median(whole[1:] or whole)), 3),
        "registry_processor_s": round(float(np.median([one for one, _ in processor])), 3),
        "registry_limit_s": LIMIT_S,
        "candidates": len(people),
        "imputed": imputed,
        "candidates_first_s": round(candidates[0], 3),
        "candidates_median_s": round(float(np.median(candidates[1:] or candidates)), 3),
        "candidates_processor_s": round(float(np.median([one for _, one in processor])), 3),
        "candidates_limit_s": LIMIT_S,
        "counts": counts,
        **machine(),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
