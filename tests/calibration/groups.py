"""The people of the calibration at full size, and its plot.

python -m tests.calibration.groups [--donors N] [--patients N] [--groups A,B] [--plot FILE.svg]
prints every bin and writes the plot. Needs GRAFTMATCH_SHARED (populations and release 3.58.0).
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from data.frequencies import read_frequencies
from data.nomenclature import ReferenceFolder
from data.synthetic import MIX
from matching.haplotypes import FrequencySet, Populations
from matching.nomenclature import Nomenclature
from service.ancestry import FIVE
from tests.calibration.simulation import A_AND_B, Bin, Calibration, calibrate

N_DONORS, N_PATIENTS = 200_000, 200
LEAST_PAIRS = 10_000
POPULATIONS = ("CAU", "AFA", "API", "HIS", "NAM")
# Each of a person's haplotypes comes from either population with even odds.
MIXED = ("CAU", "AFA")
GROUPS = (*POPULATIONS, "mixed", "A and B only")


def calibrate_group(
    shared: Path, release: Nomenclature, group: str, n_donors: int, n_patients: int
) -> Calibration:
    """One of `GROUPS`: a population, mixed ancestry, or typings of A and B of the first one."""
    frequencies = _set_of(shared, group)
    mix = A_AND_B if group == "A and B only" else MIX
    drawn = 40 * n_patients
    return calibrate(frequencies, release, n_donors, n_patients, 1, mix, n_drawn=drawn)


def _set_of(shared: Path, group: str) -> FrequencySet:
    wanted = MIXED if group == "mixed" else (group if group in POPULATIONS else POPULATIONS[0],)
    sets = []
    for name in wanted:
        (found,) = read_frequencies(str(shared / f"populations/{name}.parquet"))
        sets.append(found.over(FIVE))
    if len(sets) == 1:
        return sets[0]
    together = Populations.of(sets)
    return replace(together.shared, frequencies=together.mixture(dict.fromkeys(wanted, 0.5)))


def bins_of(found: Calibration, least: int = LEAST_PAIRS) -> dict[str, list[Bin]]:
    """The bins of P(10/10) and P(9/10)."""
    return {"P(10/10)": found.exact.bins(least), "P(9/10)": found.one_mismatch.bins(least)}


def plot(path: Path, groups: Mapping[str, Mapping[str, Sequence[Bin]]]) -> None:
    """Predicted against observed rates of all groups, as SVG; the bars are 99.9 % intervals."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams |= {"svg.hashsalt": "graftmatch", "svg.fonttype": "none"}
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 4), sharex=True, sharey=True)
    for axis, what in zip(axes, ("P(10/10)", "P(9/10)"), strict=True):
        axis.plot([0, 1], [0, 1], color="grey", linewidth=0.5)
        for name, bins in groups.items():
            axis.errorbar(
                [one.predicted for one in bins[what]],
                [one.observed for one in bins[what]],
                [one.half_width for one in bins[what]],
                fmt="o", markersize=3, linewidth=0.8, label=name,
            )  # fmt: skip
        axis.set_title(what)
        axis.set_xlabel("predicted")
    axes[0].set_ylabel("observed")
    axes[0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})


def main() -> None:
    """Print the bins of the groups, and plot them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--donors", type=int, default=N_DONORS)
    parser.add_argument("--patients", type=int, default=N_PATIENTS)
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--plot", type=Path)
    wanted = parser.parse_args()
    shared = Path(os.environ["GRAFTMATCH_SHARED"])
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = ReferenceFolder(Path(name))
        folder.install("3.58.0", str(shared / "imgt/3580"))
        release = folder.open("3.58.0")
        for group in wanted.groups.split(","):
            counted = calibrate_group(shared, release, group, wanted.donors, wanted.patients)
            found[group] = bins_of(counted)
            for what, bins in found[group].items():
                for one in bins:
                    print(
                        f"{group:13} {what:8} {one.pairs:>11,} pairs, predicted "
                        f"{one.predicted:.4f}, observed {one.observed:.4f} +- {one.half_width:.4f}",
                        "" if one.is_calibrated else "NOT CALIBRATED",
                        flush=True,
                    )
    if wanted.plot is not None:
        plot(wanted.plot, found)


if __name__ == "__main__":
    main()
