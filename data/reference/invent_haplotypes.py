"""Invent the demo haplotype frequencies: `python -m data.reference.invent_haplotypes`.

The frequencies describe no population. The allele combinations resemble
well-known conserved haplotypes so that the demo shows linkage. The frequencies
are integers (millionths) until they are printed, so they sum to exactly 1.
"""

import os
import random
from decimal import Decimal
from pathlib import Path

SEED = 20241009
N_HAPLOTYPES = 150
POPULATION = "synthetic"
OUTPUT = Path(__file__).with_name("haplotypes.csv")

MILLION = 1_000_000

# (A, C~B, DRB1~DQB1), most frequent first.
CONSERVED = [
    ("A*01:01", "C*07:01~B*08:01", "DRB1*03:01~DQB1*02:01"),
    ("A*03:01", "C*07:02~B*07:02", "DRB1*15:01~DQB1*06:02"),
    ("A*02:01", "C*05:01~B*44:02", "DRB1*04:01~DQB1*03:01"),
    ("A*29:02", "C*16:01~B*44:03", "DRB1*07:01~DQB1*02:02"),
    ("A*02:01", "C*03:04~B*40:01", "DRB1*13:02~DQB1*06:04"),
    ("A*03:01", "C*04:01~B*35:01", "DRB1*01:01~DQB1*05:01"),
    ("A*02:01", "C*03:03~B*15:01", "DRB1*04:01~DQB1*03:02"),
    ("A*01:01", "C*06:02~B*57:01", "DRB1*07:01~DQB1*03:03"),
    ("A*24:02", "C*15:02~B*51:01", "DRB1*11:01~DQB1*03:01"),
    ("A*23:01", "C*04:09N~B*44:03", "DRB1*07:01~DQB1*02:02"),
    ("A*33:03", "C*07:18~B*58:01", "DRB1*13:02~DQB1*06:04"),
    ("A*26:01", "C*04:01~B*35:01", "DRB1*14:01~DQB1*05:03"),
    ("A*11:01", "C*15:02~B*51:01", "DRB1*14:54~DQB1*05:03"),
    ("A*68:01", "C*05:01~B*44:02", "DRB1*13:01~DQB1*06:03"),
    ("A*25:02", "C*07:02~B*07:02", "DRB1*15:01~DQB1*06:02"),
]

DPB1_WEIGHTS = {
    "DPB1*04:01": 40,
    "DPB1*02:01": 15,
    "DPB1*04:02": 12,
    "DPB1*03:01": 10,
    "DPB1*01:01": 8,
    "DPB1*14:01": 5,
    "DPB1*10:01": 5,
    "DPB1*17:01": 5,
}


def draw_haplotype(rng: random.Random) -> str:
    """A conserved haplotype, recombined between A, C~B and DRB1~DQB1 in part of the draws."""
    weights = range(len(CONSERVED), 0, -1)
    a, cb, drdq = rng.choices(CONSERVED, weights)[0]
    if rng.randrange(100) < 40:
        a = rng.choices(CONSERVED, weights)[0][0]
    if rng.randrange(100) < 40:
        drdq = rng.choices(CONSERVED, weights)[0][2]
    dpb1 = rng.choices(list(DPB1_WEIGHTS), list(DPB1_WEIGHTS.values()))[0]
    return "~".join((a, cb, drdq, dpb1))


def invent_haplotypes(rng: random.Random) -> str:
    """The text of haplotypes.csv: distinct haplotypes, Zipf-like frequencies that sum to 1."""
    # A dict keeps the order of insertion: the conserved haplotypes get the highest ranks.
    haplotypes = dict.fromkeys("~".join((*blocks, "DPB1*04:01")) for blocks in CONSERVED)
    while len(haplotypes) < N_HAPLOTYPES:
        haplotypes[draw_haplotype(rng)] = None

    weights = [rng.randrange(500, 1500) * MILLION // rank for rank in range(1, N_HAPLOTYPES + 1)]
    millionths = [weight * MILLION // sum(weights) for weight in weights]
    millionths[0] += MILLION - sum(millionths)

    rows = sorted(zip(haplotypes, millionths, strict=True), key=lambda row: (-row[1], row[0]))
    lines = [f"{name},{POPULATION},{Decimal(count) / MILLION:.6f}" for name, count in rows]
    return "\n".join(["haplotype,population,frequency", *lines, ""])


def main() -> None:
    temporary = OUTPUT.with_name(OUTPUT.name + ".tmp")
    temporary.write_text(invent_haplotypes(random.Random(SEED)), encoding="utf-8", newline="\n")
    os.replace(temporary, OUTPUT)


if __name__ == "__main__":
    main()
