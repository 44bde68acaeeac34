"""How likely each way of transmission is, and the alleles of founder haplotypes under it.

Two models of the founders' haplotypes. Equal weights: at every locus by itself, each allele that
some typing of the family admits, and any other one, is equally likely. Frequencies: a haplotype
has its frequency over the loci that the set carries, and equal weights hold at the others. In both
each chromosome of a parent is passed on with probability 1/2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from math import prod

import networkx as nx
import numpy as np
import numpy.typing as npt

from matching.errors import TooAmbiguousError, TypingError
from matching.family.alleles import OTHER, FamilyLocus
from matching.family.segregation import Factor, Segregation
from matching.haplotypes import FrequencySet
from matching.nomenclature import Nomenclature
from matching.typings import ABSENT_GENE

UNKNOWN = -1
# No class of the family's typings: explains nothing.
_NO_CLASS = -2
MAX_WORLDS = 100_000
# Classes of haplotypes at some loci, by (locus, haplotype).
Carried = Mapping[tuple[int, int], int]
# Possible classes of some haplotypes at some loci, and their weights.
World = tuple[Carried, float]


class HaplotypeFrequencies:
    """Frequencies of haplotypes of classes of a family's alleles.

    `frequencies`: (n_haplotypes,) float64 of the haplotypes of the set. A name of the set that
    stands for alleles of several classes explains nothing, as does one that the release cannot
    read. `columns`: positions of the carried loci in the family's.
    """

    def __init__(
        self,
        carried: FrequencySet,
        frequencies: npt.NDArray[np.float64],
        loci: Sequence[FamilyLocus],
        nomenclature: Nomenclature,
    ) -> None:
        self.columns = tuple(i for i, one in enumerate(loci) if one.locus in carried.loci)
        rows = np.zeros((len(frequencies), len(self.columns)), dtype=np.int64)
        for column, i in enumerate(self.columns):
            own = carried.loci.index(loci[i].locus)
            classes = [_class_of(name, loci[i], nomenclature) for name in carried.names[own]]
            rows[:, column] = np.array(classes)[carried.haplotypes[:, own]]
        self._rows, group = np.unique(rows, axis=0, return_inverse=True)
        # A founder haplotype that nothing tells of is one of the set, so these sum to 1.
        shares = frequencies / frequencies.sum()
        self._sums = np.bincount(group.ravel(), shares, minlength=len(self._rows))
        self._known: dict[tuple[int, ...], float] = {}

    def of(self, classes: tuple[int, ...]) -> float:
        """The frequency of haplotypes with the given classes at `columns`; `UNKNOWN` is any."""
        known = self._known.get(classes)
        if known is None:
            fits = np.ones(len(self._rows), dtype=bool)
            for column, number in enumerate(classes):
                if number != UNKNOWN:
                    fits &= self._rows[:, column] == number
            known = self._known[classes] = float(self._sums[fits].sum())
        return known


def _class_of(name: str, locus: FamilyLocus, nomenclature: Nomenclature) -> int:
    if name == ABSENT_GENE:
        alleles = {ABSENT_GENE}
    else:
        try:
            rows = nomenclature.expressing(nomenclature.read(name).alleles)
        except TypingError:
            return _NO_CLASS
        alleles = {nomenclature.alleles[i].p_group or nomenclature.alleles[i].name for i in rows}
    other = locus.class_of[OTHER]
    classes = {locus.class_of.get(allele, other) for allele in alleles}
    return classes.pop() if len(classes) == 1 else _NO_CLASS


class Weights:
    """Weights of the ways of a family; `frequencies`: None for equal weights."""

    def __init__(self, segregation: Segregation, frequencies: HaplotypeFrequencies | None) -> None:
        self._segregation, self._frequencies = segregation, frequencies
        joint = frequencies.columns if frequencies else ()
        self._alone = tuple(i for i in range(len(segregation.loci)) if i not in joint)
        self._of_factor: dict[tuple[int, Factor], float] = {}
        self._of_component: dict[frozenset[tuple[int, Factor]], tuple[World, ...]] = {}

    def of(self, states: tuple[int, ...]) -> float:
        """Weight of one way of transmission with these states."""
        found = prod(
            self._factor_weight(i, factor)
            for i in self._alone
            for factor in self._segregation.states[states[i]]
        )
        for component in self._components(states):
            found *= sum(weight for _, weight in self._worlds(component))
        return found

    def possible(self, states: tuple[int, ...], haplotypes: Iterable[int]) -> list[list[World]]:
        """What founder haplotypes may carry, in parts that are independent of each other.

        In each part the weights sum to 1. A haplotype that no typing tells of is in none.
        """
        asked = frozenset(haplotypes)
        found: list[list[World]] = []
        for i in self._alone:
            shares = self._segregation.loci[i].shares
            for owners, rows in self._segregation.states[states[i]]:
                if asked.isdisjoint(owners):
                    continue
                worlds: list[World] = [
                    (
                        {(i, owner): c for owner, c in zip(owners, row, strict=True)},
                        prod(shares[c] for c in row),
                    )
                    for row in rows
                ]
                found.append(_projected(worlds, asked))
        for component in self._components(states):
            if any(not asked.isdisjoint(factor[0]) for _, factor in component):
                found.append(_projected(self._worlds(component), asked))
        return found

    def _factor_weight(self, i: int, factor: Factor) -> float:
        known = self._of_factor.get((i, factor))
        if known is None:
            shares = self._segregation.loci[i].shares
            known = sum(prod(shares[number] for number in row) for row in factor[1])
            self._of_factor[i, factor] = known
        return known

    def _components(self, states: tuple[int, ...]) -> list[frozenset[tuple[int, Factor]]]:
        """The factors at the loci of the set, those of common haplotypes together."""
        if self._frequencies is None:
            return []
        factors = [
            (i, factor)
            for i in self._frequencies.columns
            for factor in self._segregation.states[states[i]]
        ]
        graph = nx.Graph()
        for _, (owners, _) in factors:
            nx.add_path(graph, owners)
        return [
            frozenset(one for one in factors if one[1][0][0] in together)
            for together in nx.connected_components(graph)
        ]

    def _worlds(self, component: frozenset[tuple[int, Factor]]) -> tuple[World, ...]:
        known = self._of_component.get(component)
        if known is None:
            known = self._of_component[component] = self._listed(component)
        return known

    def _listed(self, component: frozenset[tuple[int, Factor]]) -> tuple[World, ...]:
        assert self._frequencies is not None
        columns = self._frequencies.columns
        worlds: list[dict[tuple[int, int], int]] = [{}]
        weights: list[float] = [1.0]
        ordered = sorted(component, key=lambda one: (len(one[1][1]), one[0], one[1][0]))
        for i, (owners, rows) in ordered:
            further = []
            weights = []
            for world in worlds:
                for row in rows:
                    extended = {
                        **world,
                        **{(i, owner): c for owner, c in zip(owners, row, strict=True)},
                    }
                    weight = self._weight(extended, columns)
                    if weight > 0:
                        further.append(extended)
                        weights.append(weight)
            worlds = further
            if len(worlds) > MAX_WORLDS:
                raise TooAmbiguousError(
                    f"the founders of the family may have more than {MAX_WORLDS:,} sets of "
                    "haplotypes; type them more exactly, or do without frequencies"
                )
        return tuple(zip(worlds, weights, strict=True))

    def _weight(self, world: Carried, columns: Sequence[int]) -> float:
        assert self._frequencies is not None
        haplotypes = {haplotype for _, haplotype in world}
        return prod(
            self._frequencies.of(tuple(world.get((i, h), UNKNOWN) for i in columns))
            for h in sorted(haplotypes)
        )


def _projected(worlds: Iterable[World], asked: frozenset[int]) -> list[World]:
    """Worlds of the asked haplotypes alone, with weights that sum to 1 unless all are 0."""
    summed: defaultdict[tuple[tuple[tuple[int, int], int], ...], float] = defaultdict(float)
    for world, weight in worlds:
        summed[tuple(sorted(item for item in world.items() if item[0][1] in asked))] += weight
    total = sum(summed.values()) or 1.0
    return [(dict(world), weight / total) for world, weight in summed.items()]
