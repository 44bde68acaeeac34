"""Estimated frequencies against a plain EM, and against the truth of simulated registries."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from data.frequencies import read_frequencies
from matching import estimation
from matching.estimation import estimate
from matching.haplotypes import FrequencySet
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.typings import Typing, parse_typing
from tests.matching.test_imputation import NAMES, RELEASE
from tests.oracles import estimation as oracle

LOCI = parse_loci("A,C,B")


def texts(found: FrequencySet) -> dict[tuple[str, ...], float]:
    rows = (tuple(n[i] for n, i in zip(found.names, h, strict=True)) for h in found.haplotypes)
    return dict(zip(rows, found.frequencies.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(6))
def test_small_registries_equal_the_plain_algorithm(seed: int) -> None:
    rng = random.Random(seed)
    pool = {gene: [n for n in NAMES[gene] if not n.endswith("N")] for gene in "ACB"}

    def position(gene: str) -> set[str]:
        return set(rng.sample(pool[gene], rng.choice((1, 1, 1, 2))))

    people = [tuple((position(g), position(g)) for g in "ACB") for _ in range(25)]
    typings = [
        parse_typing("^".join("+".join("/".join(sorted(s)) for s in locus) for locus in person))
        for person in people
    ]
    found = estimate(typings, LOCI, RELEASE, "test", tolerance=0.0, max_iterations=30)
    expected, likelihoods = oracle.estimate(people, len(found.log_likelihood))
    assert np.allclose(found.log_likelihood, likelihoods, rtol=1e-12)
    ours = texts(found.frequencies)
    assert found.used == 25 and found.left_out == {}
    for haplotype, frequency in expected.items():
        assert ours.get(haplotype, 0.0) == pytest.approx(frequency, abs=1e-9)


def simulated(frequencies: FrequencySet, n: int, seed: int) -> list[Typing]:
    """People with two haplotypes each; at every locus half of the strings hold a further name."""
    rng = np.random.default_rng(seed)
    weights = frequencies.frequencies / frequencies.frequencies.sum()
    chosen = rng.choice(len(weights), (n, 2), p=weights)
    further = rng.random((n, len(frequencies.loci), 2)) < 0.25
    parts = []
    for column, names in enumerate(frequencies.names):
        pick = rng.integers(len(names), size=(n, 2))
        parts.append((names, frequencies.haplotypes[chosen, column], pick, further[:, column]))
    return [
        parse_typing(
            "^".join(
                "+".join(
                    names[own[p, s]]
                    + (f"/{names[pick[p, s]]}" if more[p, s] and pick[p, s] != own[p, s] else "")
                    for s in range(2)
                )
                for names, own, pick, more in parts
            )
        )
        for p in range(n)
    ]


def distance(found: FrequencySet, truth: FrequencySet, nomenclature: Nomenclature) -> float:
    """Total variation distance, names of the truth taken to their P groups."""

    def group(name: str) -> str:
        return nomenclature.alleles[nomenclature.read(name).alleles[0]].p_group or name

    true: dict[tuple[str, ...], float] = {}
    for names, frequency in texts(truth).items():
        key = tuple(map(group, names))
        true[key] = true.get(key, 0.0) + frequency / float(truth.frequencies.sum())
    ours: dict[tuple[str, ...], float] = {}
    for names, frequency in texts(found).items():
        key = tuple(map(group, names))
        ours[key] = ours.get(key, 0.0) + frequency
    return sum(abs(ours.get(h, 0.0) - true.get(h, 0.0)) for h in {*ours, *true}) / 2


@pytest.mark.parametrize(
    "sizes", [(1_000, 10_000), pytest.param((10_000, 100_000), marks=pytest.mark.slow)]
)
def test_the_truth_is_approached(
    demo: Nomenclature, sizes: tuple[int, int], record_property: Callable[[str, object], None]
) -> None:
    (full,) = read_frequencies("demo")
    truth = full.over(parse_loci("A,C,B,DRB1,DQB1"))
    distances = []
    for n in sizes:
        found = estimate(simulated(truth, n, 1), truth.loci, demo, "test")
        assert found.converged and found.used == n
        gains = [b - a for a, b in pairwise(found.log_likelihood)]
        assert min(gains) >= -1e-9 * abs(found.log_likelihood[-1])
        distances.append(distance(found.frequencies, truth, demo))
        shown = f"EM from {n:,} people: total variation distance {distances[-1]:.4f}"
        record_property("shown", shown)
    assert distances[1] < distances[0] < 0.2


def test_who_cannot_be_used_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimation, "MAX_PAIRS", 3)
    good = ["A*01:01+A*01:01^C*01:01+C*01:01^B*01:01+B*01:01"] * 3
    good += ["A*01:02+A*02:01^C*01:01+C*01:01^B*01:01+B*01:01"]
    typings = [*good, "A*01:03N+A*01:03N", "DRB1*01:01+DRB1*01:01", "C*01:01+C*01:01"]
    found = estimate(map(parse_typing, typings), LOCI, RELEASE, "test")
    assert found.used == 4
    assert found.left_out == {
        "none of the loci is typed": 1,
        "no candidate explains the typing": 1,
        "too ambiguous": 1,
    }
    assert texts(found.frequencies)["A*01:01", "C*01:01", "B*01:01"] == pytest.approx(3 / 4)
    with pytest.raises(ValueError, match="nobody is typed well enough"):
        estimate([parse_typing("A*01:01+A*01:01")], [Locus.A, Locus.B], RELEASE, "test")
