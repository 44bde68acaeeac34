"""Predicted against observed rates of matches, on simulated people whose truth is known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.synthetic import MIX, PATIENT_MIX, Population, Profile, draw_people, population_of
from matching.haplotypes import FrequencySet, ImputedGenotypes, Imputer, NullImputation, Resolution
from matching.loci import LOCI, Locus
from matching.masses import Entries, MassTables
from matching.nomenclature import Nomenclature
from matching.prediction_kernels import NOTHING
from matching.probability import DonorTable
from matching.typings import parse_typing
from service.imputed_tables import haplotype_texts

Floats = npt.NDArray[np.float64]
# Pairs are counted between these predicted probabilities.
EDGES = (0.0, 0.01, 0.03, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97, 0.99, 1.01)
# Two sides of the normal distribution that leave 0.1 %.
_Z = 3.2905
# A and B alone, from exact names to families and antigens.
A_AND_B = tuple(Profile(p.name, p.share, frozenset({Locus.A, Locus.B}), p.odds) for p in MIX)


@dataclass(frozen=True)
class Bin:
    """Pairs of similar predicted probability: mean prediction, observed rate, and the half width of
    the 99.9 % interval of their difference, clustered by patient."""

    pairs: int
    predicted: float
    observed: float
    half_width: float

    @property
    def is_calibrated(self) -> bool:
        return abs(self.predicted - self.observed) <= max(0.02, self.half_width)


@dataclass
class Tally:
    """Of each bin and patient: pairs, and sums of predictions and of observations."""

    n_patients: int
    sums: Floats = field(init=False)

    def __post_init__(self) -> None:
        self.sums = np.zeros((len(EDGES) - 1, self.n_patients, 3))

    def add(
        self, patient: int, predicted: Floats, observed: npt.NDArray[np.bool_], n_without: int
    ) -> None:
        """Pairs of one patient, and how many more have neither a chance nor a match."""
        self.sums[0, patient, 0] += n_without
        at = np.searchsorted(EDGES, predicted, side="right") - 1
        for column, values in enumerate((None, predicted, observed)):
            self.sums[:, patient, column] += np.bincount(at, values, minlength=len(EDGES) - 1)

    def bins(self, least: int) -> list[Bin]:
        """Bins of at least so many pairs, from the highest on; neighbours are put together, but
        those with hardly a chance stay apart as long as the others are enough for one bin."""
        parts: list[Floats] = []
        for sums in self.sums[:0:-1]:
            if parts and parts[-1][:, 0].sum() < least:
                parts[-1] = parts[-1] + sums
            else:
                parts.append(sums)
        if len(parts) > 1 and parts[-1][:, 0].sum() < least:
            last = parts.pop()
            parts[-1] = parts[-1] + last
        if parts[-1][:, 0].sum() < least:
            return [_bin(parts[-1] + self.sums[0])]
        return [_bin(part) for part in (*parts, self.sums[0])][::-1]


def _bin(sums: Floats) -> Bin:
    seen = sums[sums[:, 0] > 0]
    pairs = seen[:, 0].sum()
    differences = seen[:, 2] - seen[:, 1]
    # Of clusters: the differences of patients are independent, those within one are not.
    centred = differences - seen[:, 0] * differences.sum() / pairs
    variance = (centred**2).sum() / pairs**2 * len(seen) / max(1, len(seen) - 1)
    return Bin(
        int(pairs), seen[:, 1].sum() / pairs, seen[:, 2].sum() / pairs, _Z * float(variance**0.5)
    )  # fmt: skip


@dataclass(frozen=True)
class Calibration:
    """Of P(10/10) and P(9/10), and the share of the pairs that have no prediction."""

    exact: Tally
    one_mismatch: Tally
    unknown: float


def calibrate(
    frequencies: FrequencySet,
    release: Nomenclature,
    n_donors: int,
    n_patients: int,
    seed: int,
    mix: Sequence[Profile] = MIX,
    patient_mix: Sequence[Profile] = PATIENT_MIX,
    n_drawn: int = 0,
    in_pairs: bool = False,
) -> Calibration:
    """Draw people from a set, mask their typings, predict them under the set, and compare.

    With `n_drawn` patients drawn, those with the most frequent haplotypes are kept, so that enough
    pairs match. By masses, or `in_pairs`.
    """
    imputer = Imputer(frequencies, release, NullImputation.TYPED, Resolution.P_GROUP)
    source = population_of(frequencies, release)
    donors = _People.drawn(imputer, source, mix, n_donors, (seed, 0))
    patients = _People.drawn(imputer, source, patient_mix, max(n_patients, n_drawn), (seed, 1))
    if n_drawn:
        patients = patients.most_frequent(frequencies.frequencies, n_patients)
    tallies = Tally(n_patients), Tally(n_patients)
    n_unknown = 0
    found = _in_pairs if in_pairs else _by_masses
    truth = DonorTable(imputer, donors.truth).near(patients.truth, 0.0, 2)
    for patient, p in enumerate(found(imputer, patients, donors)):
        near = truth.of_patient(patient)
        seen = np.zeros_like(p, dtype=bool)
        seen[near.donors] = near.p_mismatches[:, :2] > 0
        unknown = np.isnan(p[:, 0])
        n_unknown += int(unknown.sum())
        for count, tally in enumerate(tallies):
            shown = np.flatnonzero((p[:, count] > 0) | (seen[:, count] & ~unknown))
            n_without = len(p) - int(unknown.sum()) - len(shown)
            tally.add(patient, p[shown, count], seen[shown, count], n_without)
    return Calibration(*tallies, n_unknown / (n_donors * n_patients))


@dataclass(frozen=True)
class _People:
    """Typings as drawn, `rows`: (n, 2) the true haplotypes, `truth`: their genotypes."""

    texts: Mapping[Locus, Sequence[str]]
    rows: npt.NDArray[np.int64]
    truth: ImputedGenotypes

    @classmethod
    def drawn(
        cls,
        imputer: Imputer,
        source: Population,
        mix: Sequence[Profile],
        n: int,
        seed: tuple[int, int],
    ) -> _People:
        names = [str(i) for i in range(n)]
        people, truth = draw_people(np.random.default_rng(seed), names, mix, [source])
        known = pa.array(haplotype_texts(imputer.frequencies), pa.string())
        rows = np.stack(
            [pc.index_in(truth[side], known).to_numpy() for side in ("haplotype_1", "haplotype_2")],
            axis=1,
        ).astype(np.int64)
        texts = {
            locus: people[locus.value.lower()].fill_null("").to_pylist()
            for locus in imputer.frequencies.loci
        }
        return cls(texts, rows, _expressed(imputer, rows))

    def most_frequent(self, frequencies: Floats, n: int) -> _People:
        """The n distinct people with the most frequent haplotypes."""
        _, distinct = np.unique(np.sort(self.rows, axis=1), axis=0, return_index=True)
        weights = frequencies[self.rows[distinct]].prod(axis=1)
        kept = distinct[np.argsort(-weights, kind="stable")[:n]]
        texts = {locus: [column[i] for i in kept] for locus, column in self.texts.items()}
        return _People(texts, self.rows[kept], self.truth.take(kept))

    def typings(self) -> Iterator[str]:
        """Each one's typing as a GL string."""
        for row in zip(*(self.texts[locus] for locus in LOCI if locus in self.texts), strict=True):
            yield "^".join(filter(None, row))


def _expressed(imputer: Imputer, rows: npt.NDArray[np.int64]) -> ImputedGenotypes:
    """What the match count sees of known haplotypes: a null takes its partner's (rule R3)."""
    tokens = imputer.haplotype_tokens()[rows].transpose(0, 2, 1)
    names = zip(imputer.frequencies.names, imputer.frequencies.haplotypes.T, strict=True)
    null = np.stack([np.char.endswith(np.array(n), "N")[c] for n, c in names], axis=1)
    null = null[rows].transpose(0, 2, 1)
    tokens = np.where(null, tokens[:, :, ::-1], tokens)
    tokens = np.where(null.all(axis=2, keepdims=True), NOTHING, tokens)
    low, high = tokens.min(axis=2), tokens.max(axis=2)
    n = len(rows)
    codes = np.ascontiguousarray(low + high * (high + 1) // 2, dtype=np.int32)
    return ImputedGenotypes(np.arange(n + 1), codes, np.ones(n), np.ones(n), np.zeros(n))


def _by_masses(imputer: Imputer, patients: _People, donors: _People) -> Iterator[Floats]:
    """P(0, 1 mismatches) of every donor, (n_donors, 2), of one patient after another."""
    tables = MassTables(imputer)
    of_loci = tables.locus_entries()
    columns = [
        of.encode(donors.texts[locus]) for locus, of in zip(tables.loci, of_loci, strict=True)
    ]
    entries, codes = Entries.of([of.table() for of in of_loci]), np.stack(columns, axis=1)
    order = np.lexsort(codes.T[::-1])
    total = np.empty(len(codes))
    total[order] = tables.total_masses(entries, codes[order], 2)
    for text in patients.typings():
        genotypes, weights, _ = imputer.impute_one(parse_typing(text))
        patient = tables.patient(imputer, genotypes, weights)
        yield tables.search(patient, entries, codes, total, 1, 0.0, 2).p


def _in_pairs(imputer: Imputer, patients: _People, donors: _People) -> Iterator[Floats]:
    """As `_by_masses`, with donors imputed."""
    imputed = imputer.impute(map(parse_typing, donors.typings()))
    table = DonorTable(imputer, imputed)
    everyone = np.arange(len(imputed))
    for text in patients.typings():
        genotypes, weights, _ = imputer.impute_one(parse_typing(text))
        yield table.predict((genotypes, weights), everyone).p_mismatches[:, :2]
