"""Haplotype frequencies from a registry's own typings, by expectation-maximisation.

Excoffier and Slatkin 1995, Mol Biol Evol 12:921. Haplotypes are named by P group; a null by its two
fields. Whoever has few explanations adds all of them to the candidates; whoever has many, or an
untyped locus, is explained by the candidates of the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from matching.haplotypes import (
    FrequencySet,
    Imputer,
    NullImputation,
    Resolution,
    merge_haplotypes,
)
from matching.loci import Locus
from matching.nomenclature import Nomenclature, two_fields
from matching.typings import ABSENT_GENE, Form, Position, Typing

# Explanations of one person that are followed, before and after the candidates are known.
MAX_OWN_PAIRS = 4_096
MAX_PAIRS = 100_000
# Frequencies below this are left out of the result.
LEAST = 1e-9

Floats = npt.NDArray[np.float64]
_Sides = tuple[tuple[str, ...], tuple[str, ...]]


@dataclass(frozen=True)
class Estimate:
    """Frequencies, largest first, and how they were reached.

    `log_likelihood`: of all people used, after each iteration, never falling; `converged`: the last
    gain was below the tolerance. `used`: people; `left_out`: how many were not, by reason.
    """

    frequencies: FrequencySet
    log_likelihood: tuple[float, ...]
    converged: bool
    used: int
    left_out: dict[str, int]


def estimate(
    typings: Iterable[Typing],
    loci: Sequence[Locus],
    nomenclature: Nomenclature,
    population: str,
    tolerance: float = 1e-7,
    max_iterations: int = 1000,
    progress: Callable[[int], object] = lambda _: None,
) -> Estimate:
    """Frequencies over `loci` from people's typings.

    Stops where an iteration gains less than `tolerance` in log likelihood a person. Raises
    `TypingError` for a name that the release cannot read, and `ValueError` where nobody can be
    used.
    """
    people: dict[str, Typing] = {}
    counts: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for typing in typings:
        if any(typing.loci[locus] is not None for locus in loci):
            people.setdefault(typing.text, typing)
            counts[typing.text] += 1
        else:
            left_out["none of the loci is typed"] += 1
    candidates = _candidates(people.values(), loci, nomenclature, population)
    imputer = Imputer(candidates, nomenclature, NullImputation.TYPED, Resolution.P_GROUP)
    left, right, owner = [], [], []
    times: list[int] = []
    for text, typing in people.items():
        n_pairs = imputer.count(typing)
        if not 0 < n_pairs <= MAX_PAIRS:
            reason = "too ambiguous" if n_pairs else "no candidate explains the typing"
            left_out[reason] += counts[text]
            continue
        pairs = imputer.pairs(typing)
        left.append(pairs.left)
        right.append(pairs.right)
        owner.append(np.full(n_pairs, len(times)))
        times.append(counts[text])
    if not times:
        raise ValueError("nobody's typing can be used to estimate frequencies")
    frequencies, likelihoods, converged = _maximise(
        np.concatenate(left), np.concatenate(right), np.concatenate(owner),
        np.array(times, dtype=np.float64), len(candidates.frequencies), tolerance,
        max_iterations, progress,
    )  # fmt: skip
    kept = np.flatnonzero(frequencies >= LEAST)
    kept = kept[np.argsort(-frequencies[kept], kind="stable")]
    found = FrequencySet(
        population, candidates.loci, candidates.names, candidates.haplotypes[kept],
        frequencies[kept],
    )  # fmt: skip
    return Estimate(found, likelihoods, converged, sum(times), dict(left_out))


def _maximise(
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
    owner: npt.NDArray[np.int64],
    times: Floats,
    n: int,
    tolerance: float,
    max_iterations: int,
    progress: Callable[[int], object],
) -> tuple[Floats, tuple[float, ...], bool]:
    """Frequencies (n,), log likelihoods and whether they converged.

    left, right, owner: (n_pairs,) haplotypes and typing of each pair; times: (n_typings,) people.
    """
    total = float(times.sum())
    twice = np.where(left == right, 1.0, 2.0)
    # Every explanation of a person is as likely at first.
    share = 1.0 / np.bincount(owner)[owner]
    likelihoods: list[float] = []
    while True:
        expected = share * times[owner]
        sums = np.bincount(left, expected, n) + np.bincount(right, expected, n)
        frequencies = np.asarray(sums / (2 * total))
        weights = frequencies[left] * frequencies[right] * twice
        masses = np.bincount(owner, weights)
        likelihoods.append(float((times * np.log(masses)).sum()))
        progress(len(likelihoods))
        share = weights / masses[owner]
        if len(likelihoods) > 1 and likelihoods[-1] - likelihoods[-2] < tolerance * total:
            return frequencies, tuple(likelihoods), True
        if len(likelihoods) >= max_iterations:
            return frequencies, tuple(likelihoods), False


def _candidates(
    people: Iterable[Typing], loci: Sequence[Locus], nomenclature: Nomenclature, population: str
) -> FrequencySet:
    """Every haplotype of the people whose explanations can be listed, with equal frequencies."""
    codes: list[dict[str, int]] = [{} for _ in loci]
    read: dict[Position, tuple[str, ...]] = {}
    found: dict[tuple[int, ...], None] = {}
    for typing in people:
        sides = [_sides(typing, locus, read, nomenclature) for locus in loci]
        if any(not options for options in sides):
            continue
        size = 1
        for options in sides:
            size *= sum(len(first) + len(second) for first, second in options)
        if size > 2 * MAX_OWN_PAIRS:
            continue
        # Each haplotype takes one of the names of one position at every locus.
        names = [dict.fromkeys(n for side in o for part in side for n in part) for o in sides]
        for haplotype in product(*names):
            found[tuple(c.setdefault(n, len(c)) for c, n in zip(codes, haplotype, strict=True))] = (
                None
            )
    if not found:
        raise ValueError("nobody is typed well enough at all loci to begin from")
    rows = np.array(list(found), dtype=np.int32)
    haplotypes, _ = merge_haplotypes(rows, np.ones(len(rows)))
    even = np.full(len(haplotypes), 1 / len(haplotypes))
    return FrequencySet(population, tuple(loci), tuple(map(tuple, codes)), haplotypes, even)


def _sides(
    typing: Typing, locus: Locus, read: dict[Position, tuple[str, ...]], nomenclature: Nomenclature
) -> list[_Sides]:
    """The names at both positions of every genotype of a list; nothing where one may be any."""
    written = typing.loci[locus]
    if written is None:
        return []
    found = []
    for pair in written.alternatives:
        for position in pair:
            if position not in read:
                read[position] = _names(position, nomenclature)
        if not all(read[position] for position in pair):
            return []
        found.append((read[pair[0]], read[pair[1]]))
    return found


def _names(position: Position, nomenclature: Nomenclature) -> tuple[str, ...]:
    """P groups, or two fields of a null, that a position stands for; nothing for any or new."""
    if position.form is Form.ABSENT:
        return (ABSENT_GENE,)
    if position.form in (Form.NEW, Form.UNTYPED):
        return ()
    read = [i for name in position.names for i in nomenclature.read(name).alleles]
    alleles = [nomenclature.alleles[i] for i in nomenclature.expressing(read)]
    if not nomenclature.complete:
        # A demo sample reads no names of groups: the first allele of the group stands for it.
        first = {a.p_group: a.name for a in reversed(nomenclature.alleles)}
        return tuple(dict.fromkeys(first[a.p_group] if a.p_group else a.name for a in alleles))
    return tuple(dict.fromkeys(a.p_group or f"{two_fields(a.name)}N" for a in alleles))
