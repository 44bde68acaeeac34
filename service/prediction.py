"""Match prediction for many patients and donors: pairs on threads, results to files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from matching.haplotypes import MAX_PAIRS, ImputedGenotypes, Imputer
from matching.loci import Locus
from matching.probability import (
    MOST_IN_PAIRS,
    CarriedHaplotypes,
    DonorTable,
    ExactPairs,
    HaplotypeSums,
    NearPairs,
    Prediction,
    locus_grades,
    predict_by_class,
    whole_percents,
)
from matching.typings import Written
from service.imputation import Explanations, ImputedPeople

# Patients, and genotypes of theirs, that are predicted and written at once.
_PATIENTS = 500
_GENOTYPES = 200_000
# The study prints its grades in this order.
_STUDY = ["A", "C", "B", "DRB345", "DRB1", "DQA1", "DQB1", "DPA1", "DPB1"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Columns:
    """What a result holds of every pair besides both identifiers.

    By default P(two matches) at each locus and of 0, 1 and 2 mismatches, as p10, p9 and p8 over
    five loci. `full`: also each number of mismatches, of matches at each locus, of GvH and HvG, and
    the dropped share. `shared`: of 0, 1 and 2 whole haplotypes in common. `dropped`, `recombined`:
    these columns.
    """

    loci: tuple[Locus, ...]
    full: bool = False
    shared: bool = False
    dropped: bool = False
    recombined: bool = False

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of numbers, in order."""
        loci, n = [locus.value.lower() for locus in self.loci], 2 * len(self.loci)
        names = [f"p_{locus}" for locus in loci] + [f"p{n - k}" for k in range(3)]
        if self.full:
            names += [f"p_{locus}_{count}" for locus in loci for count in range(3)]
            for what in ("mismatches", "gvh", "hvg"):
                names += [f"p_{what}_{k}" for k in range(n + 1)]
        if self.shared:
            names += [f"p_shared_{k}" for k in range(3)]
        return (*names, "dropped") if self.full or self.dropped else tuple(names)

    def values(self, found: PredictedPairs, shared: Floats | None) -> Floats:
        """The numbers of pairs, (n_pairs, n_names)."""
        near, n = found.near, len(found.near.donors)
        parts = [near.p_two, near.p_mismatches]
        for whole in found.whole:
            parts += [near.p_locus.reshape(n, -1), whole.p_total, whole.p_gvh, whole.p_hvg]
        if shared is not None:
            parts.append(shared)
        if self.full or self.dropped:
            parts.append(near.dropped[:, None])
        return np.hstack(parts)


@dataclass(frozen=True)
class PredictedPairs:
    """Predictions of some patients one after another, patients as positions among all.

    `whole`: one, or none where only the smallest numbers of mismatches were asked for. `end`: how
    many patients are done with these.
    """

    near: NearPairs
    whole: tuple[Prediction, ...]
    end: int


def predictions(
    patients: Explanations, donors: Explanations, above: float, full: bool
) -> Iterator[PredictedPairs]:
    """The prediction of every patient, in order, with the donors above the minimum.

    Both sides are imputed by the same imputer. Pairs with someone whose genotypes are not listed
    are predicted by class.
    """
    imputed, table = patients.people.imputed, DonorTable(donors.imputer, donors.people.imputed)
    threads = os.cpu_count() or 1
    sizes = [np.diff(people.imputed.offsets) for people in (patients.people, donors.people)]
    unlisted = np.flatnonzero(sizes[1] == 0)
    by_class = _ByClass(patients, donors, full)
    with ThreadPoolExecutor(threads) as pool:
        for rows in _patients_at_once(imputed):
            near = table.near(imputed.take(rows), above, threads)
            near = replace(near, patients=rows[near.patients])
            others = [
                (row, donor)
                for row in rows.tolist()
                for donor in (unlisted if sizes[0][row] else np.arange(len(sizes[1]))).tolist()
            ]
            if full:
                is_many = sizes[0][near.patients] * sizes[1][near.donors] > MOST_IN_PAIRS
                many = near.take(np.flatnonzero(is_many))
                others += zip(many.patients.tolist(), many.donors.tolist(), strict=True)
                near = near.take(np.flatnonzero(~is_many))

            def one(row: int, near: NearPairs = near) -> Prediction:
                first, last = imputed.offsets[row : row + 2]
                patient = imputed.codes[first:last], imputed.weights[first:last]
                return table.predict(patient, near.of_patient(row).donors)

            whole = list(pool.map(one, rows.tolist() if full else []))
            if others:
                mine, found = by_class.predict(others, above, pool)
                near = _joined([near, *(NearPairs.of(mine, one) for one in found)])
                order = np.lexsort((near.donors, near.patients))
                near = near.take(order)
                whole = [_joined([*whole, *found]).take(order)] if full else []
            predicted = (_joined(whole),) if whole else ()
            yield PredictedPairs(near, predicted, int(rows[-1]) + 1)


@dataclass
class _ByClass:
    """Pairs predicted by class. Haplotypes of donors whose genotypes are not listed are kept."""

    patients: Explanations
    donors: Explanations
    full: bool
    _donors: dict[int, HaplotypeSums] = field(init=False, default_factory=dict)

    def predict(
        self, pairs: Sequence[tuple[int, int]], above: float, pool: Executor
    ) -> tuple[npt.NDArray[np.int64], list[Prediction]]:
        """Of pairs of positions those above the minimum: patients, and one prediction or none."""
        mine = {row: self._sums(self.patients, row) for row in {row for row, _ in pairs}}
        theirs = dict(self._donors)
        for donor in {donor for _, donor in pairs}.difference(theirs):
            theirs[donor] = self._sums(self.donors, donor)
            if not self.donors.people.is_listed[donor]:
                self._donors[donor] = theirs[donor]

        def one(pair: tuple[int, int]) -> Prediction:
            most = MAX_PAIRS if self.full else 0
            found = predict_by_class(mine[pair[0]], theirs[pair[1]], most)
            return replace(found, donors=np.array(pair[1:], dtype=np.int64))

        found = list(pool.map(one, pairs))
        kept = [i for i, values in enumerate(found) if values.p_mismatches.sum() > above]
        rows = np.array([pairs[i][0] for i in kept], dtype=np.int64)
        return rows, [_joined([found[i] for i in kept])] if kept else []

    @staticmethod
    def _sums(people: Explanations, row: int) -> HaplotypeSums:
        return HaplotypeSums(people.imputer, people.of(row))


def _patients_at_once(imputed: ImputedGenotypes) -> Iterator[npt.NDArray[np.int64]]:
    """Rows of patients with at most `_GENOTYPES` in all, or of one, and at most `_PATIENTS`."""
    first = 0
    while first < len(imputed):
        end = (
            int(np.searchsorted(imputed.offsets, imputed.offsets[first] + _GENOTYPES, "right")) - 1
        )
        end = min(max(end, first + 1), first + _PATIENTS, len(imputed))
        yield np.arange(first, end)
        first = end


Pairs = TypeVar("Pairs", NearPairs, Prediction)


def _joined(parts: Sequence[Pairs]) -> Pairs:
    """One after another."""
    names = [field.name for field in fields(parts[0])]
    values = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
    return type(parts[0])(*values)


@dataclass
class SharedHaplotypes:
    """Whole haplotypes in common, of patients and donors by position."""

    patients: Explanations
    donors: Explanations

    @cached_property
    def _carried(self) -> tuple[list[CarriedHaplotypes | None], list[CarriedHaplotypes | None]]:
        return _carried(self.patients), _carried(self.donors)

    def of(self, near: NearPairs) -> Floats:
        """P(0, 1, 2 in common), (n, 3); NaN where a side is recombined, so has no such pair."""
        mine, theirs = self._carried
        found = np.full((len(near.donors), 3), np.nan)
        for row, pair in enumerate(zip(near.patients.tolist(), near.donors.tolist(), strict=True)):
            patient, donor = mine[pair[0]], theirs[pair[1]]
            if patient is not None and donor is not None:
                patient.shared_with(donor, found[row])
        return found


def _carried(people: Explanations) -> list[CarriedHaplotypes | None]:
    recombined = people.people.recombined
    return [
        None
        if name in recombined
        else CarriedHaplotypes.of(people.imputer.distinct_haplotypes, people.of(row))
        for row, name in enumerate(people.people.names)
    ]


def write_predictions(
    path: Path,
    results: Iterator[PredictedPairs],
    patients: ImputedPeople,
    donors: ImputedPeople,
    columns: Columns,
    shared: SharedHaplotypes | None = None,
) -> int:
    """Write the kept pairs as Parquet, all or nothing; returns their number.

    Columns: patient, donor, those of `columns`, and recombined ("", patient, donor or both). Raises
    `OutputError`.
    """
    schema = pa.schema(
        [(name, pa.string()) for name in ("patient", "donor")]
        + [(name, pa.float64()) for name in columns.names]
        + ([("recombined", pa.string())] if columns.recombined else [])
    )
    names = [pa.array(people.names, pa.string()) for people in (patients, donors)]
    written = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for found in results:
            near = found.near
            in_common = shared.of(near) if shared and columns.shared else None
            values = columns.values(found, in_common)
            arrays = [names[0].take(pa.array(near.patients)), names[1].take(pa.array(near.donors))]
            arrays += map(pa.array, np.ascontiguousarray(values.T))
            if columns.recombined:
                arrays.append(pa.array(_who_recombined(near, patients, donors), pa.string()))
            writer.write_table(pa.table(arrays, schema=schema))
            written += len(near.donors)
    return written


def _who_recombined(near: NearPairs, patients: ImputedPeople, donors: ImputedPeople) -> list[str]:
    texts = {(False, False): "", (True, False): "patient", (False, True): "donor"}
    sides = [
        [people.names[row] in people.recombined for row in rows.tolist()]
        for people, rows in ((patients, near.patients), (donors, near.donors))
    ]
    return [texts.get(both, "both") for both in zip(*sides, strict=True)]


def write_study(
    path: Path,
    results: Iterator[PredictedPairs],
    names: tuple[Sequence[str], Sequence[str]],
    imputer: Imputer,
    typings: tuple[Mapping[str, Written], Mapping[str, Written]],
    exact: bool,
) -> int:
    """Write the kept pairs as lines of the WMDA study, all or nothing; returns their number.

    ``patient;donor;`` then for A, C, B, DRB1, DQB1 the grade (A certain, P possible, M excluded)
    and P(two matches), then P(9/10) and P(10/10), in whole percents, rounded half up; exactly where
    the half decides and `exact` (all under the frequencies of the set). `names`: of patients and
    donors. Raises `OutputError`.
    """
    pairs = ExactPairs(imputer)
    loci = imputer.frequencies.loci
    order = sorted(range(len(loci)), key=lambda i: _STUDY.index(loci[i].value))

    # A pair may have halves in several columns.
    @lru_cache(maxsize=10_000)
    def true(patient: str, donor: str) -> list[Fraction] | None:
        found = pairs.predict(typings[0][patient], typings[1][donor]) if exact else None
        return found and [*(found[1][i] for i in order), found[0][1], found[0][0]]

    def value(who: Sequence[tuple[str, str]], column: int, row: int) -> Fraction | None:
        values = true(*who[row])
        return values[column] if values else None

    written = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for result in results:
            near = result.near
            rows = zip(near.patients.tolist(), near.donors.tolist(), strict=True)
            who = [(names[0][patient], names[1][donor]) for patient, donor in rows]
            values = np.hstack([near.p_two[:, order], near.p_mismatches[:, [1, 0]]])
            percents = [
                whole_percents(column, partial(value, who, c)).tolist()
                for c, column in enumerate(values.T)
            ]
            grades = locus_grades(values[:, : len(order)])
            for pair, grade, percent in zip(who, grades, zip(*percents, strict=True), strict=True):
                cells = [f"{g};{p}" for g, p in zip(grade, percent, strict=False)]
                tail = map(str, percent[len(order) :])
                file.write(";".join([*pair, *cells, *tail]) + "\n")
            written += len(who)
    return written
