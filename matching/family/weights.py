"""How likely each way of transmission is, and the alleles of founder haplotypes under it.

Two models of the founders' haplotypes. Equal weights: at every locus by itself, each allele that
some typing of the family admits, and any other one, is equally likely. Frequencies: a haplotype
has its frequency over the loci that the set carries, and equal weights hold at the others. In both
each chromosome of a parent is passed on with probability 1/2.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf, log, prod

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
# Factors at some loci that have haplotypes in common, each with the position of its locus.
Component = frozenset[tuple[int, Factor]]
# Possible classes of some haplotypes at some loci, and their weights.
World = tuple[Carried, float]


class FounderFrequencies:
    """Frequencies of a set under a release, made ready once for any number of families.

    `frequencies`: (n_haplotypes,) float64 of the haplotypes of `carried`, of any sum above 0.
    """

    def __init__(
        self,
        carried: FrequencySet,
        frequencies: npt.NDArray[np.float64],
        nomenclature: Nomenclature,
    ) -> None:
        self.carried = carried
        # A founder haplotype that nothing tells of is one of the set, so these sum to 1.
        self.shares = frequencies / frequencies.sum()
        self.alleles = tuple(
            tuple(_alleles_of(name, nomenclature) for name in names) for names in carried.names
        )
        # Of each locus the haplotypes in the order of their names, and where each name starts.
        self.by_name = tuple(
            (
                np.argsort(column, kind="stable"),
                np.concatenate([[0], np.cumsum(np.bincount(column, minlength=len(names)))]),
            )
            for column, names in zip(carried.haplotypes.T, carried.names, strict=True)
        )


def _alleles_of(name: str, nomenclature: Nomenclature) -> frozenset[str]:
    """The alleles of a name of a set, none where the release cannot read it."""
    if name == ABSENT_GENE:
        return frozenset({ABSENT_GENE})
    try:
        rows = nomenclature.expressing(nomenclature.read(name).alleles)
    except TypingError:
        return frozenset()
    return frozenset(nomenclature.alleles[i].p_group or nomenclature.alleles[i].name for i in rows)


class HaplotypeFrequencies:
    """Frequencies of haplotypes of classes of a family's alleles.

    A name of the set that stands for alleles of several classes explains nothing at its locus, as
    does one that the release cannot read. `columns`: positions of the carried loci in the family's.
    """

    def __init__(self, founders: FounderFrequencies, loci: Sequence[FamilyLocus]) -> None:
        carried = founders.carried
        self.columns = tuple(i for i, one in enumerate(loci) if one.locus in carried.loci)
        self._founders = founders
        self._own = tuple(carried.loci.index(loci[i].locus) for i in self.columns)
        # The class of each name of the set at the carried loci.
        self._classes = [
            np.array([_class_of(alleles, loci[i]) for alleles in founders.alleles[own]])
            for i, own in zip(self.columns, self._own, strict=True)
        ]
        self._rows: dict[tuple[int, int], npt.NDArray[np.int64]] = {}
        self._known: dict[tuple[int, ...], float] = {}

    def of(self, classes: tuple[int, ...]) -> float:
        """The frequency of haplotypes with the given classes at `columns`; `UNKNOWN` is any."""
        known = self._known.get(classes)
        if known is None:
            asked = [(i, number) for i, number in enumerate(classes) if number != UNKNOWN]
            rows = min((self._with(*one) for one in asked), key=len)
            for i, number in asked:
                names = self._founders.carried.haplotypes[rows, self._own[i]]
                rows = rows[self._classes[i][names] == number]
            known = self._known[classes] = float(self._founders.shares[rows].sum())
        return known

    def _with(self, i: int, number: int) -> npt.NDArray[np.int64]:
        """The haplotypes of a class at a locus."""
        rows = self._rows.get((i, number))
        if rows is None:
            order, starts = self._founders.by_name[self._own[i]]
            names = np.flatnonzero(self._classes[i] == number).tolist()
            parts = [order[starts[name] : starts[name + 1]] for name in names]
            rows = self._rows[i, number] = np.concatenate([order[:0], *parts])
        return rows


def _class_of(alleles: frozenset[str], locus: FamilyLocus) -> int:
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
        self._asked: dict[tuple[Component, frozenset[int]], list[World]] = {}
        self._of_states: dict[tuple[int, ...], list[Component]] = {}
        self._of_component: dict[Component, tuple[World, ...]] = {}

    def log_of(self, states: tuple[int, ...]) -> float:
        """Logarithm of the weight of one way of transmission with these states; -inf where the
        frequencies rule it out."""
        found = sum(
            log(self._factor_weight(i, factor))
            for i in self._alone
            for factor in self._segregation.states[states[i]]
        )
        for component in self._components(states):
            weight = sum(weight for _, weight in self._worlds(component))
            found += log(weight) if weight > 0 else -inf
        return found

    def possible(self, states: tuple[int, ...], haplotypes: Iterable[int]) -> list[list[World]]:
        """What founder haplotypes may carry, in parts that are independent of each other.

        In each part the weights sum to 1. A haplotype that no typing tells of is in none.
        """
        asked = frozenset(haplotypes)
        found: list[list[World]] = []
        for i in self._alone:
            for factor in self._segregation.states[states[i]]:
                if own := asked.intersection(factor[0]):
                    found.append(self._of_asked(frozenset({(i, factor)}), own, joint=False))
        for component in self._components(states):
            if own := asked & _owners(component):
                found.append(self._of_asked(component, own, joint=True))
        return found

    def _of_asked(self, factors: Component, asked: frozenset[int], joint: bool) -> list[World]:
        """Worlds of the asked haplotypes alone, with weights that sum to 1 unless all are 0."""
        known = self._asked.get((factors, asked))
        if known is None:
            worlds = self._worlds(factors) if joint else self._alone_worlds(*next(iter(factors)))
            known = self._asked[factors, asked] = _projected(worlds, asked)
        return known

    def _alone_worlds(self, i: int, factor: Factor) -> Iterator[World]:
        shares = self._segregation.loci[i].shares
        for row in factor[1]:
            carried = {(i, owner): c for owner, c in zip(factor[0], row, strict=True)}
            yield carried, prod(shares[c] for c in row)

    def _factor_weight(self, i: int, factor: Factor) -> float:
        known = self._of_factor.get((i, factor))
        if known is None:
            shares = self._segregation.loci[i].shares
            known = sum(prod(shares[number] for number in row) for row in factor[1])
            self._of_factor[i, factor] = known
        return known

    def _components(self, states: tuple[int, ...]) -> list[Component]:
        """The factors at the loci of the set, those of common haplotypes together."""
        if self._frequencies is None:
            return []
        key = tuple(states[i] for i in self._frequencies.columns)
        known = self._of_states.get(key)
        if known is None:
            known = self._of_states[key] = self._connected(states, self._frequencies.columns)
        return known

    def _connected(self, states: tuple[int, ...], columns: Iterable[int]) -> list[Component]:
        # As in `comparison`.
        import networkx as nx

        factors = [(i, factor) for i in columns for factor in self._segregation.states[states[i]]]
        graph = nx.Graph()
        for _, (owners, _) in factors:
            nx.add_path(graph, owners)
        return [
            frozenset(one for one in factors if one[1][0][0] in together)
            for together in nx.connected_components(graph)
        ]

    def _worlds(self, component: Component) -> tuple[World, ...]:
        known = self._of_component.get(component)
        if known is None:
            known = self._of_component[component] = self._listed(component)
        return known

    def _listed(self, component: Component) -> tuple[World, ...]:
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


def _owners(component: Component) -> frozenset[int]:
    return frozenset(owner for _, (owners, _) in component for owner in owners)


def _projected(worlds: Iterable[World], asked: frozenset[int]) -> list[World]:
    """Worlds of the asked haplotypes alone, with weights that sum to 1 unless all are 0."""
    summed: defaultdict[tuple[tuple[tuple[int, int], int], ...], float] = defaultdict(float)
    for world, weight in worlds:
        summed[tuple(sorted(item for item in world.items() if item[0][1] in asked))] += weight
    total = sum(summed.values()) or 1.0
    return [(dict(world), weight / total) for world, weight in summed.items()]
