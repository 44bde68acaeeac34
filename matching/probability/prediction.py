"""Genotypes x genotypes -> probabilities of matches (rule R16)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from matching import prediction_kernels as kernels
from matching.haplotypes import ImputedGenotypes, Imputer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
# So many loci rule a pair out unless it is fully matched at one of them.
_INDEXED = 3


@dataclass(frozen=True)
class Prediction:
    """One patient against some donors, over the loci of the set.

    `donors`: (n,) int64 positions. `p_total`: (n, 2 n_loci + 1) float64, the probability of each
    number of mismatches from 0 on. `p_locus`: (n, n_loci, 3), of 0, 1 and 2 matches at each locus.
    `p_gvh`, `p_hvg`: (n, 2 n_loci + 1), of each number of the patient's groups that the donor lacks
    and of the donor's that the patient lacks (rule R20). `dropped`: (n,), the share of the pairs of
    genotypes that imputation cut: each true probability p lies in [p, p + dropped].
    """

    donors: Ints
    p_total: Floats
    p_locus: Floats
    p_gvh: Floats
    p_hvg: Floats
    dropped: Floats

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
    _known: list[Codes] = field(init=False)
    # Genotypes as positions in those that donors have at the locus, and these as tokens.
    _codes: Codes = field(init=False)
    _starts: Ints = field(init=False)
    _tokens: Codes = field(init=False)

    def __post_init__(self) -> None:
        self._known, columns, tokens = [], [], []
        for column, codes in enumerate(self.donors.codes.T):
            genotypes = self.imputer.genotypes(column)
            present = np.zeros(len(genotypes), dtype=np.int32)
            present[codes] = 1
            known = np.flatnonzero(present).astype(np.int32)
            present[known] = np.arange(len(known), dtype=np.int32)
            self._known.append(known)
            columns.append(present[codes])
            tokens.append(genotypes[known])
        self._codes = np.ascontiguousarray(np.stack(columns, axis=1))
        self._tokens = np.concatenate(tokens)
        self._starts = np.concatenate([[0], np.cumsum([len(known) for known in self._known])])

    @cached_property
    def _donor_of(self) -> Ints:
        return np.repeat(np.arange(len(self.donors)), np.diff(self.donors.offsets))

    @cached_property
    def index(self) -> tuple[Ints, Ints, npt.NDArray[np.int64], Ints, npt.NDArray[np.int32]]:
        """The genotypes sorted at the loci that rule most donors out, as `near_donors` takes it.

        Ask for it once before threads share this table.
        """
        by_code = [
            kernels.rows_by_code(column, len(known))
            for column, known in zip(self._codes.T, self._known, strict=True)
        ]
        # The loci at which fewest genotypes are alike: the sum of squares of their numbers.
        alike = [float((np.diff(offsets).astype(np.float64) ** 2).sum()) for _, offsets in by_code]
        chosen = sorted(np.argsort(alike, kind="stable")[:_INDEXED].tolist())
        sizes = [len(by_code[column][1]) for column in chosen]
        assert self._donor_of is not None
        return (
            np.array(chosen, dtype=np.int64),
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.stack([by_code[column][0] for column in chosen]),
            np.concatenate([by_code[column][1] for column in chosen]),
            np.stack([self._codes[by_code[column][0]] for column in chosen]),
        )

    def near(self, patient: tuple[Codes, Floats], above: float) -> Ints:
        """Donors with P(at most 2 mismatches) > above >= 0, ascending."""
        codes, weights = patient
        if codes.shape[1] < _INDEXED:
            found = self.predict(patient, np.arange(len(self.donors), dtype=np.int64))
            kept: Ints = found.donors[found.p_mismatches.sum(axis=1) > above]
            return kept
        mine = np.empty(codes.shape, dtype=np.int64)
        for column, known in enumerate(self._known):
            own = codes[:, column]
            at = np.searchsorted(known, own).clip(max=max(len(known) - 1, 0))
            # Code 0 is a genotype that expresses nothing and matches nothing.
            there = (known[at] == own) & (own > 0) if len(known) else np.zeros(len(own), bool)
            mine[:, column] = np.where(there, at, -1)
        chosen, code_starts, rows, code_offsets, sorted_codes = self.index
        near: Ints = kernels.near_donors(
            self._patient(codes), weights, mine, sorted_codes, self.donors.weights,
            self._donor_of, len(self.donors), chosen, code_starts, rows, code_offsets,
            self._starts, self._tokens, above,
        )  # fmt: skip
        return near

    def _patient(self, codes: Codes) -> Codes:
        """Tokens of genotypes, (n, n_loci, 2)."""
        genotypes = map(self.imputer.genotypes, range(codes.shape[1]))
        columns = zip(genotypes, codes.T, strict=True)
        return np.stack([pairs[column] for pairs, column in columns], axis=1)

    def predict(
        self, patient: tuple[Codes, Floats], donors: Ints, dropped: float = 0.0
    ) -> Prediction:
        """Probabilities against some donors; NaN where a side is unrepresented.

        `dropped`: the share of the patient's mass that was cut.
        """
        codes, weights = patient
        n, n_loci = len(donors), len(self.imputer.frequencies.loci)
        total, gvh, hvg = (np.zeros((n, 2 * n_loci + 1)) for _ in range(3))
        by_locus = np.zeros((n, n_loci, 3))
        kernels.add_distributions(
            self._patient(codes), weights, self._codes, self.donors.weights, self.donors.offsets,
            donors, self._starts, self._tokens, total, by_locus, gvh, hvg,
        )  # fmt: skip
        unknown = self.donors.mass[donors] == 0 if len(weights) else np.ones(n, dtype=bool)
        for values in (total, by_locus, gvh, hvg):
            values[unknown] = np.nan
        cut = 1 - (1 - dropped) * (1 - self.donors.dropped[donors])
        return Prediction(donors, total, by_locus, gvh, hvg, cut)


def predict(
    imputer: Imputer,
    patient: tuple[Codes, Floats],
    donors: ImputedGenotypes,
    above: float = -1.0,
) -> Prediction:
    """Probabilities against every donor whose sum over 0 to 2 mismatches exceeds `above`.

    `patient`: codes and weights of `Imputer.impute_one`. Both sides come from the same imputer.
    A donor or patient who is unrepresented (mass 0) has probabilities of NaN if `above` is
    negative, and is left out otherwise: unknown is no mismatch.
    """
    table = DonorTable(imputer, donors)
    dropped = max(0.0, 1.0 - float(patient[1].sum())) if len(patient[1]) else 0.0
    everyone = np.arange(len(donors) if above < 0 else 0, dtype=np.int64)
    chosen = everyone if above < 0 or not len(patient[1]) else table.near(patient, above)
    return table.predict(patient, chosen, dropped if dropped > _ROUNDING else 0.0)


# What the weights of a person can miss to 1 without anything being cut.
_ROUNDING = 1e-9
