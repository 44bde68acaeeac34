"""Match probabilities of typings too ambiguous to pair their genotypes, exact all the same.

One side is taken genotype by genotype, the other's haplotypes are summed by class: by the position
of the typing that they explain and, at each locus, by which token of the genotype they carry. So
the work grows with the genotypes of one side and the haplotypes of the other, and never with the
pairs of genotypes. The probability of each number of mismatches, and of tokens that the other
side lacks, is a sum of products of what is there: nothing is cut or subtracted.

Where two haplotypes of a class could both be the typed null of a position, either is with half the
weight; an enumeration takes the one that the set lists first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching.haplotypes import ExplainingClasses, Imputer, NullImputation, cut_pairs
from matching.imputation_kernels import ABSENT
from matching.probability.class_kernels import NO_GENE, NULL, match_by_class
from matching.probability.prediction import Prediction

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
# Haplotype pairs of the first side, and steps of the kernel, between two calls of `between`.
_PAIRS = 20_000
_STEPS = 5_000_000


@dataclass(frozen=True)
class _Tree:
    """A person's haplotypes over some loci as `match_by_class` takes them."""

    following: Codes
    tokens: Codes
    kinds: npt.NDArray[np.uint8]
    weights: Floats
    pairs: Ints
    null_sides: npt.NDArray[np.uint8]


@dataclass
class HaplotypeSums:
    """The haplotypes that explain a typing, to be summed by class against genotypes.

    `between`: called between parts of the work; what it raises ends it.
    """

    imputer: Imputer
    found: ExplainingClasses
    between: Callable[[], object] = lambda: None

    def against(self, codes: Codes) -> tuple[Floats, Floats, Floats]:
        """Of genotypes, codes (n, n_loci), each with this person: (n, 2 n_loci + 1) the
        probability of each number of mismatches and of tokens that the person lacks, and
        (n, n_loci, 3) of 0, 1 and 2 matches at each locus."""
        n_loci = codes.shape[1]
        distinct = [np.unique(column, return_inverse=True) for column in codes.T]
        order = sorted(range(n_loci), key=lambda locus: len(distinct[locus][0]))
        ranks = [distinct[locus][1] for locus in order]
        by_prefix = np.lexsort(ranks[::-1])
        ranked = np.stack(ranks, axis=1)[by_prefix]
        changed = np.zeros(len(codes), dtype=np.int64)
        changed[1:] = (ranked[1:] != ranked[:-1]).argmax(axis=1)
        total, lacking = self._matched(codes[by_prefix], tuple(order), changed)
        back = np.argsort(by_prefix)
        by_locus = np.empty((len(codes), n_loci, 3))
        for locus, (found, at) in enumerate(distinct):
            here = np.zeros((len(found), n_loci), dtype=np.int32)
            here[:, locus] = found
            alone, _ = self._matched(here, (locus,), np.zeros(len(found), dtype=np.int64))
            by_locus[:, locus] = alone[at.ravel(), ::-1]
        return total[back], lacking[back], by_locus

    def _matched(
        self, codes: Codes, order: tuple[int, ...], changed: Ints
    ) -> tuple[Floats, Floats]:
        """Mismatches and tokens lacked over the loci of `order`, of sorted genotypes."""
        tree = self._tree(order)
        tokens = np.stack([self.imputer.genotypes(c)[codes[:, c]] for c in order], axis=1)
        total, lacking = (np.zeros((len(codes), 2 * len(order) + 1)) for _ in range(2))
        first, most = 0, max(1, _STEPS // (len(order) * len(tree.weights)))
        while first < len(codes):
            self.between()
            some, steps = slice(first, first + most), np.zeros(1, dtype=np.int64)
            starting = changed[some].copy()
            starting[0] = 0
            match_by_class(
                np.ascontiguousarray(tokens[some]), starting, tree.following, tree.tokens,
                tree.kinds, tree.weights, tree.pairs, tree.null_sides, total[some], lacking[some],
                steps,
            )  # fmt: skip
            first += most
            # As many genotypes as would have taken the steps that are allowed.
            most = max(1, min(4 * most, most * _STEPS // max(int(steps[0]), 1)))
        return total / self.found.mass, lacking / self.found.mass

    @cached_property
    def _held(self) -> tuple[Codes, npt.NDArray[np.uint8], Ints, Floats]:
        """Tokens, kinds (n, n_loci), class and frequency (n,) of the haplotypes."""
        found, columns = self.found, range(len(self.imputer.frequencies.loci))
        names = found.haplotypes.rows[found.rows]
        tokens = np.stack([self.imputer.name_tokens(c)[names[:, c]] for c in columns], axis=1)
        kinds = np.where(tokens == ABSENT, NO_GENE, 0).astype(np.uint8)
        if self.imputer.nulls is NullImputation.PARTNER:
            nulls = [self.imputer.null_names(c)[names[:, c]] for c in columns]
            kinds[np.stack(nulls, axis=1) == 1] = NULL
        classes = np.repeat(np.arange(len(found.held)), np.diff(found.bounds))
        return tokens, kinds, classes, found.haplotypes.frequencies[found.rows]

    @cached_property
    def _null_sides(self) -> npt.NDArray[np.uint8]:
        """`ExplainingClasses.null_sides` where typed nulls count."""
        sides = self.found.null_sides
        return sides if self.imputer.nulls is NullImputation.TYPED else np.zeros_like(sides)

    @cached_property
    def _trees(self) -> dict[tuple[int, ...], _Tree]:
        return {}

    def _tree(self, order: tuple[int, ...]) -> _Tree:
        """The haplotypes sorted by class and then by the loci of `order`, the last one first."""
        if order not in self._trees:
            tokens, kinds, classes, frequencies = self._held
            letters = tokens[:, order].astype(np.int64) * 3 + kinds[:, order]
            keys = np.concatenate([classes[:, None], letters[:, ::-1]], axis=1)
            by_key = np.lexsort(keys.T[::-1])
            keys = keys[by_key]
            differs = np.ones(keys.shape, dtype=bool)
            differs[1:] = keys[1:] != keys[:-1]
            # Node of each haplotype at each depth, depth 0 last.
            nodes = np.cumsum(np.logical_or.accumulate(differs, axis=1), axis=0) - 1
            n_loci, n_roots = len(order), int(nodes[-1, -1]) + 1
            following, here = (np.zeros((n_loci, n_roots), dtype=np.int32) for _ in range(2))
            for depth in range(n_loci):
                own = nodes[:, n_loci - depth]
                following[depth, own] = nodes[:, n_loci - depth - 1]
                here[depth, own] = keys[:, n_loci - depth]
            self._trees[order] = _Tree(
                following,
                here // 3,
                (here % 3).astype(np.uint8),
                np.bincount(nodes[:, -1], frequencies[by_key]),
                self.found.pairs,
                np.ascontiguousarray(self._null_sides[:, order]),
            )
        return self._trees[order]


def predict_by_class(
    imputer: Imputer,
    patient: ExplainingClasses,
    donor: ExplainingClasses,
    directions: bool = False,
    between: Callable[[], object] = lambda: None,
) -> Prediction:
    """One patient and one donor, both explained by haplotypes of the imputer, of any ambiguity.

    The side with fewer haplotype pairs is taken genotype by genotype; of more than 20 million the
    lightest are cut, and the share `dropped`. `directions`: also GvH and HvG, for which each side
    is taken so once; else NaN. `between`: as in `HaplotypeSums`.
    """
    is_patient_first = patient.n_pairs <= donor.n_pairs
    sides = (patient, donor) if is_patient_first else (donor, patient)
    total, lacking, by_locus, dropped = _summed(imputer, *sides, between)
    other = np.full_like(lacking, np.nan)
    if directions:
        _, other, _, cut = _summed(imputer, *sides[::-1], between)
        dropped = max(dropped, cut)
    else:
        lacking[:] = np.nan
    gvh, hvg = (lacking, other) if is_patient_first else (other, lacking)
    return Prediction(
        np.zeros(1, dtype=np.int64), total[None], by_locus[None], gvh[None], hvg[None],
        np.array([dropped]),
    )  # fmt: skip


def _summed(
    imputer: Imputer,
    listed: ExplainingClasses,
    summed: ExplainingClasses,
    between: Callable[[], object],
) -> tuple[Floats, Floats, Floats, float]:
    """`HaplotypeSums.against` over all genotypes of a side, and the dropped share of it."""
    sums = HaplotypeSums(imputer, summed, between)
    n_loci = len(imputer.frequencies.loci)
    total, lacking = np.zeros(2 * n_loci + 1), np.zeros(2 * n_loci + 1)
    by_locus = np.zeros((n_loci, 3))
    listed, least, _, dropped = cut_pairs(listed, 0.0)
    for part in listed.parts(_PAIRS):
        between()
        codes, weights = imputer.genotypes_of(part, least)
        if not len(weights):
            continue
        weights /= listed.mass
        found = sums.against(codes)
        total += weights @ found[0]
        lacking += weights @ found[1]
        by_locus += np.tensordot(weights, found[2], 1)
    return total, lacking, by_locus, dropped
