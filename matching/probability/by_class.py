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
from matching.probability.prediction import Prediction

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int32]
Ints = npt.NDArray[np.int64]
# Beyond so many pairs of haplotype pairs the haplotypes of one side are summed by class.
MOST_IN_PAIRS = 5_000_000
# Haplotype pairs of the first side, and steps of the kernel, between two calls of `between`.
_PAIRS = 10_000
_STEPS = 1_000_000
# Haplotype pairs of one side times haplotypes of the other: a minute or two.
_MOST_WORK = 150_000_000_000


@dataclass(frozen=True)
class _Tree:
    """A person's haplotypes over some loci as `class_kernels.match_by_class` takes them."""

    following: Codes
    tokens: Codes
    kinds: npt.NDArray[np.uint8]
    weights: Floats
    pairs: Ints
    null_sides: npt.NDArray[np.uint8]


@dataclass
class HaplotypeSums:
    """The haplotypes that explain a typing, to be summed by class against genotypes.

    One object serves any number of calls and threads.
    """

    imputer: Imputer
    found: ExplainingClasses

    def against(
        self, codes: Codes, with_lacking: bool, between: Callable[[], object] = lambda: None
    ) -> tuple[Floats, Floats, Floats]:
        """Of genotypes, codes (n, n_loci), each with this person: (n, 2 n_loci + 1) the
        probability of each number of mismatches and of tokens that the person lacks (only if
        asked for), and (n, n_loci, 3) of 0, 1 and 2 matches at each locus.

        `between`: called between parts of the work; what it raises ends it."""
        n_loci = codes.shape[1]
        distinct = [np.unique(column, return_inverse=True) for column in codes.T]
        # Loci where the genotypes are one leave the fewest haplotypes apart for all others.
        order = sorted(self.widest, key=lambda locus: len(distinct[locus][0]) > 1)
        ranks = [distinct[locus][1] for locus in order]
        by_prefix = np.lexsort(ranks[::-1])
        ranked = np.stack(ranks, axis=1)[by_prefix]
        changed = np.zeros(len(codes), dtype=np.int64)
        changed[1:] = (ranked[1:] != ranked[:-1]).argmax(axis=1)
        total, lacking = self._matched(
            codes[by_prefix], tuple(order), changed, with_lacking, between
        )
        back = np.argsort(by_prefix)
        by_locus = np.empty((len(codes), n_loci, 3))
        for locus, (found, at) in enumerate(distinct):
            here = np.zeros((len(found), n_loci), dtype=np.int32)
            here[:, locus] = found
            starts = np.zeros(len(found), dtype=np.int64)
            alone, _ = self._matched(here, (locus,), starts, False, between)
            by_locus[:, locus] = alone[at.ravel(), ::-1]
        return total[back], lacking[back], by_locus

    def _matched(
        self,
        codes: Codes,
        order: tuple[int, ...],
        changed: Ints,
        with_lacking: bool,
        between: Callable[[], object],
    ) -> tuple[Floats, Floats]:
        """Mismatches and tokens lacked over the loci of `order`, of sorted genotypes."""
        # Compiled only where somebody is so ambiguous.
        from matching.probability import class_kernels as kernels

        tree = self._tree(order)
        tokens = np.stack([self.imputer.genotypes(c)[codes[:, c]] for c in order], axis=1)
        total, lacking = (np.zeros((len(codes), 2 * len(order) + 1)) for _ in range(2))
        first, most = 0, max(1, _STEPS // (len(order) * len(tree.weights)))
        while first < len(codes):
            between()
            some, steps = slice(first, first + most), np.zeros(1, dtype=np.int64)
            starting = changed[some].copy()
            starting[0] = 0
            kernels.match_by_class(
                np.ascontiguousarray(tokens[some]), starting, tree.following, tree.tokens,
                tree.kinds, tree.weights, tree.pairs, tree.null_sides, with_lacking, total[some],
                lacking[some], steps,
            )  # fmt: skip
            first += most
            # As many genotypes as would have taken the steps that are allowed.
            most = max(1, min(4 * most, most * _STEPS // max(int(steps[0]), 1)))
        return total / self.found.mass, lacking / self.found.mass

    @cached_property
    def widest(self) -> tuple[int, ...]:
        """The loci by the number of distinct tokens there, most first: genotypes that follow each
        other in this order of their loci share the most work."""
        counts = [len(np.unique(column)) for column in self._held[0].T]
        return tuple(sorted(range(len(counts)), key=lambda locus: -counts[locus]))

    @cached_property
    def _held(self) -> tuple[Codes, npt.NDArray[np.uint8], Ints, Floats]:
        """Tokens, kinds (n, n_loci), class and frequency (n,) of the haplotypes."""
        from matching.probability.class_kernels import NO_GENE, NULL

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
                np.asarray(np.bincount(nodes[:, -1], frequencies[by_key]), dtype=np.float64),
                self.found.pairs,
                np.ascontiguousarray(self._null_sides[:, order]),
            )
        return self._trees[order]


def predict_by_class(
    patient: HaplotypeSums,
    donor: HaplotypeSums,
    most: float = 0,
    between: Callable[[], object] = lambda: None,
) -> Prediction:
    """One patient and one donor of the same imputer, of any ambiguity.

    The side with fewer haplotype pairs is taken genotype by genotype; of more than 20 million, or
    of fewer where the other has very many haplotypes, the lightest are cut, and the share
    `dropped`. GvH needs the patient taken so, HvG the donor: they are NaN for a side with more than
    `most` haplotype pairs. `between`: as in `HaplotypeSums.against`.
    """
    is_patient_first = patient.found.n_pairs <= donor.found.n_pairs
    one, other = (patient, donor) if is_patient_first else (donor, patient)
    with_lacking = one.found.n_pairs <= most
    total, lacking, by_locus, dropped = _summed(one.found, other, with_lacking, between)
    of_other = np.full_like(lacking, np.nan)
    if other.found.n_pairs <= most:
        _, of_other, _, cut = _summed(other.found, one, True, between)
        dropped = max(dropped, cut)
    gvh, hvg = (lacking, of_other) if is_patient_first else (of_other, lacking)
    return Prediction(
        np.zeros(1, dtype=np.int64), total[None], by_locus[None], gvh[None], hvg[None],
        np.array([dropped]),
    )  # fmt: skip


def _summed(
    listed: ExplainingClasses,
    sums: HaplotypeSums,
    with_lacking: bool,
    between: Callable[[], object],
) -> tuple[Floats, Floats, Floats, float]:
    """`HaplotypeSums.against` over all genotypes of a side, and the dropped share of it."""
    n_loci = len(sums.imputer.frequencies.loci)
    total = np.zeros(2 * n_loci + 1)
    lacking = np.full_like(total, 0.0 if with_lacking else np.nan)
    by_locus = np.zeros((n_loci, 3))
    most = _MOST_WORK // len(sums.found.rows)
    listed, least, _, dropped = cut_pairs(listed, 0.0, most)
    if not dropped:
        listed = listed.sorted_by(sums.widest)
    for part in listed.parts(_PAIRS, least):
        between()
        codes, weights = sums.imputer.genotypes_of(part, least)
        if not len(weights):
            continue
        weights /= listed.mass
        found = sums.against(codes, with_lacking, between)
        total += weights @ found[0]
        lacking += weights @ found[1]
        by_locus += np.tensordot(weights, found[2], 1)
    return total, lacking, by_locus, dropped
