"""Genotypes x genotypes -> probabilities of matches (rule R16)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from functools import cached_property
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from matching import prediction_kernels as kernels
from matching.haplotypes import ImputedGenotypes, Imputer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
# Genotypes of donors that one thread takes at once.
_CHUNK = 100_000


@dataclass(frozen=True)
class NearPairs:
    """Pairs of a patient and a donor that may have at most two mismatches in all.

    `patients`, `donors`: (n,) int64 positions, ascending. `p_mismatches`: (n, 3) float64, the
    probability of 0, 1 and 2 mismatches in all. `p_locus`: (n, n_loci, 3), of 0, 1 and 2 matches at
    each locus. `dropped`: (n,), the share of the pairs of genotypes that imputation cut: each true
    probability p lies in [p, p + dropped].
    """

    patients: Ints
    donors: Ints
    p_mismatches: Floats
    p_locus: Floats
    dropped: Floats

    @property
    def p_two(self) -> Floats:
        """(n, n_loci), the probability of two matches at each locus."""
        return self.p_locus[:, :, 2]

    def of_patient(self, patient: int) -> NearPairs:
        """Those of one patient."""
        return self.take(np.arange(*np.searchsorted(self.patients, [patient, patient + 1])))

    def take(self, rows: Ints) -> NearPairs:
        """The given pairs."""
        return NearPairs(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def of(cls, patients: Ints, found: Prediction) -> NearPairs:
        """Those of patients with the donors of a prediction, one each."""
        return cls(patients, found.donors, found.p_mismatches, found.p_locus, found.dropped)


@dataclass(frozen=True)
class Prediction:
    """One patient against some donors, over the loci of the set.

    `donors`: (n,) int64 positions. `p_total`: (n, 2 n_loci + 1) float64, the probability of each
    number of mismatches from 0 on. `p_gvh`, `p_hvg`: (n, 2 n_loci + 1), of each number of the
    patient's groups that the donor lacks and of the donor's that the patient lacks (rule R20).
    `p_locus`, `dropped`: as in `NearPairs`.
    """

    donors: Ints
    p_total: Floats
    p_locus: Floats
    p_gvh: Floats
    p_hvg: Floats
    dropped: Floats

    def take(self, rows: Ints) -> Prediction:
        """Those of the given rows."""
        return Prediction(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def p_mismatches(self) -> Floats:
        """(n, 3), the probability of 0, 1 and 2 mismatches in all."""
        return self.p_total[:, :3]

    @property
    def p_two(self) -> Floats:
        """(n, n_loci), the probability of two matches at each locus."""
        return self.p_locus[:, :, 2]


@dataclass
class DonorTable:
    """Imputed donors made ready to be predicted against many patients."""

    imputer: Imputer
    donors: ImputedGenotypes
    _by_locus: list[tuple[Ints, Codes, Floats]] = field(init=False)

    def __post_init__(self) -> None:
        self._by_locus = self._genotypes_of_loci(self.donors)

    def near(self, patients: ImputedGenotypes, above: float, threads: int = 1) -> NearPairs:
        """Pairs with P(at most 2 mismatches) > above >= 0."""
        if patients.codes.shape[1] < 3:
            return self._all_pairs(patients, above)
        tokens, starts = self.imputer.token_pairs
        blocks = _blocks(patients.codes.shape[1])
        # Four slots a genotype keep most chains at one.
        size = 1 << max(8, (4 * len(patients.codes)).bit_length())
        first, following = kernels.chains_by_pair(patients.codes, blocks, size)
        owner = np.repeat(np.arange(len(patients)), np.diff(patients.offsets))

        def chunk(bounds: tuple[int, int]) -> tuple[Ints, Ints, Floats]:
            found: tuple[Ints, Ints, Floats] = kernels.near_pairs(
                patients.codes, patients.weights, owner, len(patients), blocks, first, following,
                self.donors.codes, self.donors.weights, self.donors.offsets, *bounds, starts,
                tokens, above,
            )  # fmt: skip
            return found

        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(chunk, self._chunks()))
        mine = np.concatenate([np.empty(0, np.int64), *(part[0] for part in parts)])
        theirs = np.concatenate([np.empty(0, np.int64), *(part[1] for part in parts)])
        found = np.concatenate([np.empty((0, 3)), *(part[2] for part in parts)])
        order = np.lexsort((theirs, mine))
        return self._near_pairs(patients, mine[order], theirs[order], found[order], threads)

    def _chunks(self) -> Iterator[tuple[int, int]]:
        """First and end of donors that a thread takes at once."""
        offsets = self.donors.offsets
        marks = np.arange(0, offsets[-1] + _CHUNK, _CHUNK)
        bounds = np.unique(np.searchsorted(offsets, marks).clip(max=len(self.donors))).tolist()
        return pairwise(bounds)

    def _all_pairs(self, patients: ImputedGenotypes, above: float) -> NearPairs:
        """`near` over one or two loci, where no locus has to match."""
        everyone = np.arange(len(self.donors), dtype=np.int64)
        mine, theirs, found = [], [], []
        for patient in range(len(patients)):
            rows = slice(*patients.offsets[patient : patient + 2].tolist())
            total = self.predict((patients.codes[rows], patients.weights[rows]), everyone)
            kept = np.flatnonzero(total.p_mismatches.sum(axis=1) > above)
            mine.append(np.full(len(kept), patient))
            theirs.append(kept)
            found.append(total.p_mismatches[kept])
        none = np.empty(0, np.int64)
        return self._near_pairs(
            patients, np.concatenate([none, *mine]), np.concatenate([none, *theirs]),
            np.concatenate([np.empty((0, 3)), *found]), 1,
        )  # fmt: skip

    def _near_pairs(
        self, patients: ImputedGenotypes, mine: Ints, theirs: Ints, found: Floats, threads: int
    ) -> NearPairs:
        by_locus = self._locus_counts(patients, mine, theirs, threads)
        cut = 1 - (1 - patients.dropped[mine]) * (1 - self.donors.dropped[theirs])
        return NearPairs(mine, theirs, found, by_locus, cut)

    def _genotypes_of_loci(self, people: ImputedGenotypes) -> list[tuple[Ints, Codes, Floats]]:
        """Of each locus offsets, codes and weights of everyone's genotypes at it."""
        return [
            kernels.genotypes_of_locus(
                people.codes[:, column], people.weights, people.offsets,
                np.zeros(len(self.imputer.genotypes(column)), dtype=np.int64),
            )
            for column in range(people.codes.shape[1])
        ]  # fmt: skip

    def _locus_counts(
        self, patients: ImputedGenotypes, mine: Ints, theirs: Ints, threads: int
    ) -> Floats:
        """P(0, 1, 2 matches) at each locus of pairs, (n, n_loci, 3)."""
        out = np.zeros((len(mine), patients.codes.shape[1], 3))
        own = self._genotypes_of_loci(patients)

        def add(column: int) -> None:
            kernels.add_locus_counts(
                *own[column], *self._by_locus[column], mine, theirs,
                self.imputer.genotypes(column), column, out,
            )  # fmt: skip

        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(add, range(len(own))))
        return out

    @cached_property
    def _known(self) -> tuple[Codes, Ints, Codes]:
        """The genotypes as positions in those that donors have at a locus, where each locus starts
        among these, and these as tokens."""
        columns, tokens = [], []
        for column, codes in enumerate(self.donors.codes.T):
            genotypes = self.imputer.genotypes(column)
            present = np.zeros(len(genotypes), dtype=np.int32)
            present[codes] = 1
            known = np.flatnonzero(present)
            present[known] = np.arange(len(known), dtype=np.int32)
            columns.append(present[codes])
            tokens.append(genotypes[known])
        starts = np.concatenate([[0], np.cumsum([len(known) for known in tokens])])
        codes = np.ascontiguousarray(np.stack(columns, axis=1))
        return codes, starts.astype(np.int64), np.concatenate(tokens)

    def predict(
        self, patient: tuple[Codes, Floats], donors: Ints, dropped: float = 0.0
    ) -> Prediction:
        """Probabilities against some donors; NaN where a side is unrepresented.

        `dropped`: the share of the patient's mass that was cut.
        """
        codes, weights = patient
        n, n_loci = len(donors), codes.shape[1]
        total, gvh, hvg = (np.zeros((n, 2 * n_loci + 1)) for _ in range(3))
        genotypes = map(self.imputer.genotypes, range(n_loci))
        columns = zip(genotypes, codes.T, strict=True)
        tokens = np.stack([pairs[column] for pairs, column in columns], axis=1)
        known, starts, known_tokens = self._known
        kernels.add_distributions(
            tokens, weights, known, self.donors.weights, self.donors.offsets, donors, starts,
            known_tokens, total, gvh, hvg,
        )  # fmt: skip
        whole = ImputedGenotypes(
            np.array([0, len(weights)]), codes, weights, np.ones(1), np.array([dropped])
        )
        by_locus = self._locus_counts(whole, np.zeros(n, dtype=np.int64), donors, 1)
        unknown = self.donors.mass[donors] == 0 if len(weights) else np.ones(n, dtype=bool)
        for values in (total, by_locus, gvh, hvg):
            values[unknown] = np.nan
        cut = 1 - (1 - dropped) * (1 - self.donors.dropped[donors])
        return Prediction(donors, total, by_locus, gvh, hvg, cut)


def _blocks(n_loci: int) -> npt.NDArray[np.int64]:
    """Pairs of loci, (n, 2), of which one matches wholly where two mismatches are the most.

    At least n_loci - 2 loci match wholly. Dealt out to n_loci - 3 hands, two of them meet in one;
    loci that are close on the chromosome go to different hands, since they tell least together. Of
    three loci one is enough.

    >>> _blocks(5).tolist()
    [[0, 2], [0, 4], [2, 4], [1, 3]]
    """
    if n_loci == 3:
        return np.array([[0, 0], [1, 1], [2, 2]])
    hands = [range(hand, n_loci, n_loci - 3) for hand in range(n_loci - 3)]
    return np.array([pair for hand in hands for pair in combinations(hand, 2)], dtype=np.int64)


def predict(
    imputer: Imputer, patient: tuple[Codes, Floats], donors: ImputedGenotypes
) -> Prediction:
    """Probabilities against every donor.

    `patient`: codes and weights of `Imputer.impute_one`. Both sides come from the same imputer.
    A donor or patient who is unrepresented (mass 0) has probabilities of NaN: unknown is no
    mismatch.
    """
    dropped = max(0.0, 1.0 - float(patient[1].sum())) if len(patient[1]) else 0.0
    everyone = np.arange(len(donors), dtype=np.int64)
    cut = dropped if dropped > _ROUNDING else 0.0
    return DonorTable(imputer, donors).predict(patient, everyone, cut)


# What the weights of a person can miss to 1 without anything being cut.
_ROUNDING = 1e-9
