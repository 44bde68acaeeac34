"""A family of twelve with one ambiguous typing: how long its analysis takes.

Four grandparents, their two children, and six grandchildren, of whom one is typed by first fields
alone. Founder haplotypes are drawn from a frequency set; nobody recombines. Reading of the file and
drawing are beside the time, since they are done once.

python -m benchmarks.family --release 3.58.0 --frequencies FILE [--families N] [--seed N]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence

import numpy as np

from benchmarks.machine import machine
from data.frequencies import read_frequencies
from data.nomenclature import ReferenceFolder
from matching.family import FounderFrequencies, Member, Pedigree, analyse
from matching.loci import LOCI, parse_loci
from matching.nomenclature import Nomenclature, split_name
from matching.typings import parse_typing
from service.config import Settings

FIVE = parse_loci("A,B,C,DRB1,DQB1")
PARENTS = {
    **dict.fromkeys(("GF1", "GM1", "GF2", "GM2"), ("", "")),
    "F": ("GF1", "GM1"),
    "M": ("GF2", "GM2"),
    **{f"C{i}": ("F", "M") for i in range(1, 7)},
}
AMBIGUOUS = "C2"


def family_of(
    rng: np.random.Generator, names: Sequence[Sequence[str]], draw: Callable[[], int]
) -> Pedigree:
    """Twelve people of drawn haplotypes; `names`: of each haplotype, at each locus."""
    pairs: dict[str, tuple[Sequence[str], Sequence[str]]] = {}
    members = []
    for name, parents in PARENTS.items():
        sides = [
            pairs[parent][int(rng.integers(2))] if parent else names[draw()] for parent in parents
        ]
        pairs[name] = sides[0], sides[1]
        texts = [
            f"{_shown(name, first)}+{_shown(name, second)}"
            for first, second in zip(*sides, strict=True)
        ]
        members.append(Member(name, *parents, typing=parse_typing("^".join(texts))))
    return Pedigree.of(members)


def _shown(name: str, allele: str) -> str:
    if name != AMBIGUOUS or allele.startswith("DRBX"):
        return allele
    gene, fields, _ = split_name(allele)
    return f"{gene}*{fields[0]}:XX"


def milliseconds(
    families: Sequence[Pedigree],
    nomenclature: Nomenclature,
    frequencies: FounderFrequencies | None,
) -> dict[str, float]:
    """Wall and processor time of the analysis of each family with C1 as the patient."""
    wall, processor = [], []
    for pedigree in families:
        start = time.perf_counter(), time.process_time()
        analyse(pedigree, "C1", nomenclature, FIVE, frequencies)
        wall.append(1000 * (time.perf_counter() - start[0]))
        processor.append(1000 * (time.process_time() - start[1]))
    # The first one opens what the release holds.
    return {
        "first": round(wall[0], 1),
        "p50": round(float(np.median(wall[1:])), 1),
        "p99": round(float(np.percentile(wall[1:], 99)), 1),
        "processor_p50": round(float(np.median(processor[1:])), 1),
        "processor_p99": round(float(np.percentile(processor[1:], 99)), 1),
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--release", default="3.58.0")
    parser.add_argument("--frequencies", default="demo")
    parser.add_argument("--families", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    nomenclature = ReferenceFolder(Settings().reference).open(arguments.release)
    found = read_frequencies(arguments.frequencies)[0]
    found = found.over([locus for locus in LOCI if locus in found.loci])
    rng = np.random.default_rng(arguments.seed)
    names = [
        [found.names[column][i] for column, i in enumerate(row)]
        for row in found.haplotypes.tolist()
    ]
    shares = found.frequencies / found.frequencies.sum()
    families = [
        family_of(rng, names, lambda: int(rng.choice(len(shares), p=shares)))
        for _ in range(arguments.families)
    ]
    result = {
        **machine(),
        "release": arguments.release,
        "loci": [locus.value for locus in found.loci],
        "haplotypes": len(names),
        "families": arguments.families,
        "equal_weights_ms": milliseconds(families, nomenclature, None),
        "frequencies_ms": milliseconds(
            families, nomenclature, FounderFrequencies(found, found.frequencies, nomenclature)
        ),
    }
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
