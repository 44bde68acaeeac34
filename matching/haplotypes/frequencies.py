"""Haplotype frequencies of one population, and of several over the same haplotypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.loci import Locus

_MOST_KEYS = 2**62


@dataclass(frozen=True)
class FrequencySet:
    """Haplotypes over `loci` and their frequencies, as published.

    `names`: the allele names of each locus of `loci`, in the order of first appearance.
    `haplotypes`: (n_haplotypes, n_loci) int32 positions in `names`.
    `frequencies`: (n_haplotypes,) float64 in [0, 1], with a sum of at most 1.0001: what is
    missing to 1 is haplotypes that were too rare to list.
    `registry`: whose donors it describes, "" for any.
    """

    population: str
    loci: tuple[Locus, ...]
    names: tuple[tuple[str, ...], ...]
    haplotypes: npt.NDArray[np.int32]
    frequencies: npt.NDArray[np.float64]
    registry: str = ""

    def over(self, loci: Sequence[Locus]) -> FrequencySet:
        """The marginal haplotypes over some of the loci, in the given order.

        Raises `ValueError` naming a locus that the set does not carry.
        """
        columns = self.columns(loci)
        kept, summed = merge_haplotypes(self.haplotypes[:, columns], self.frequencies)
        names = tuple(self.names[column] for column in columns)
        return FrequencySet(self.population, tuple(loci), names, kept, summed, self.registry)

    def columns(self, loci: Sequence[Locus]) -> list[int]:
        """Where loci are. Raises `ValueError` naming one that the set does not carry."""
        missing = [locus.value for locus in loci if locus not in self.loci]
        if missing:
            raise ValueError(f"the set of {self.population} does not carry {', '.join(missing)}")
        return [self.loci.index(locus) for locus in loci]


@dataclass(frozen=True)
class Populations:
    """Several populations over the same loci, names and haplotypes.

    `shared`: all haplotypes of all of them, with the mean frequencies. `frequencies`:
    (n_populations, n_haplotypes) float64, those of `labels`, 0 where one lacks a haplotype.
    """

    labels: tuple[str, ...]
    shared: FrequencySet
    frequencies: npt.NDArray[np.float64]

    @classmethod
    def of(cls, sets: Sequence[FrequencySet], loci: Sequence[Locus] | None = None) -> Populations:
        """Sets brought together over some loci, by default those that all carry.

        Raises `ValueError` where no locus is common to all, one that is named is not carried by
        all, or a population comes twice.
        """
        labels = tuple(found.population for found in sets)
        if len(set(labels)) < len(labels):
            raise ValueError(f"a population comes twice among {', '.join(labels)}")
        if loci is None:
            loci = tuple(locus for locus in sets[0].loci if all(locus in s.loci for s in sets))
        if not loci:
            raise ValueError(f"no locus is carried by all of {', '.join(labels)}")
        columns = [found.columns(loci) for found in sets]
        names: list[tuple[str, ...]] = []
        merged = []
        for column in range(len(loci)):
            theirs = [
                (found.names[at[column]], found.haplotypes[:, at[column]])
                for found, at in zip(sets, columns, strict=True)
            ]
            met = dict.fromkeys(name for of_set, _ in theirs for name in of_set)
            known = {name: i for i, name in enumerate(met)}
            names.append(tuple(known))
            merged.append(
                np.concatenate(
                    [
                        np.array([known[name] for name in of_set], np.int32)[codes]
                        for of_set, codes in theirs
                    ]
                )
            )
        rows = np.stack(merged, axis=1)
        first, group = distinct_rows(rows)
        owner = np.repeat(np.arange(len(sets)), [len(found.frequencies) for found in sets])
        values = np.zeros((len(sets), len(first)))
        np.add.at(values, (owner, group), np.concatenate([found.frequencies for found in sets]))
        shared = FrequencySet(
            "+".join(labels), tuple(loci), tuple(names), rows[first], values.mean(axis=0)
        )
        return cls(labels, shared, values)

    def mixture(self, prior: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """Frequencies (n_haplotypes,) where each haplotype comes from its own population.

        `prior`: the share of each population, at least 0, of any sum above 0. Raises `ValueError`
        naming a population that is not there or a share that is none.
        """
        shares = self.shares(prior)
        (held,) = np.nonzero(shares)
        if len(held) == 1:
            return np.asarray(self.frequencies[held[0]])
        return np.asarray(shares @ self.frequencies)

    def shares(self, prior: Mapping[str, float]) -> npt.NDArray[np.float64]:
        """`prior` as (n_populations,) float64 summing to 1. Raises as `mixture`."""
        for label, share in prior.items():
            if label not in self.labels:
                raise ValueError(f"population {label!r} is none of {', '.join(self.labels)}")
            if not 0 <= share < float("inf"):
                raise ValueError(f"the share {share} of population {label} is not at least 0")
        weights = np.array([prior.get(label, 0.0) for label in self.labels])
        if not weights.sum() > 0:
            raise ValueError("the shares of the populations sum to 0")
        return np.asarray(weights / weights.sum())


def merge_haplotypes(
    haplotypes: npt.NDArray[np.int32], frequencies: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64]]:
    """The distinct rows of (n, n_loci), in the order of first appearance, and their sums."""
    first, group = distinct_rows(haplotypes)
    summed = np.bincount(group, frequencies, minlength=len(first))
    return haplotypes[first], np.asarray(summed, dtype=np.float64)


def distinct_rows(
    rows: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each distinct row appears first, ascending, and which of them every row is."""
    group, size = np.zeros(len(rows), dtype=np.int64), 1
    for column in rows.T:
        span = int(column.max(initial=0)) + 1
        if size * span > _MOST_KEYS:
            # Renumbered, so that the product cannot overflow.
            _, group = np.unique(group, return_inverse=True)
            size = int(group.max(initial=0)) + 1
        group, size = group * span + column, size * span
    _, first, group = np.unique(group, return_index=True, return_inverse=True)
    is_first = np.zeros(len(rows), dtype=bool)
    is_first[first] = True
    rank = np.cumsum(is_first) - 1
    return np.flatnonzero(is_first), rank[first[group]]
