"""Match prediction for many patients and donors: pairs on threads, results to files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from matching.haplotypes import HaplotypePairs, Imputer
from matching.loci import Locus
from matching.probability import (
    DonorTable,
    ExactPairs,
    PairTable,
    Prediction,
    locus_grades,
    whole_percents,
)
from matching.typings import Written
from service.imputation import ImputedPeople

# Patients whose results are written at once.
_BLOCK = 256
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

    def values(self, found: Prediction, shared: Floats | None) -> Floats:
        """The numbers of the pairs of a patient, (n_pairs, n_names)."""
        n = len(found.donors)
        parts = [found.p_two, found.p_mismatches]
        if self.full:
            parts += [found.p_locus.reshape(n, -1), found.p_total, found.p_gvh, found.p_hvg]
        if shared is not None:
            parts.append(shared)
        if self.full or self.dropped:
            parts.append(found.dropped[:, None])
        return np.hstack(parts)


def predictions(
    imputer: Imputer, patients: ImputedPeople, donors: ImputedPeople, above: float
) -> Iterator[tuple[str, Prediction]]:
    """The prediction of every patient, in order, with the donors above the minimum."""
    table = DonorTable(imputer, donors.imputed)
    # Made here once and not by every thread.
    _ = table.index
    imputed = patients.imputed

    def one(row: int) -> Prediction:
        first, last = imputed.offsets[row : row + 2]
        patient = imputed.codes[first:last], imputed.weights[first:last]
        return table.predict(patient, table.near(patient, above), float(imputed.dropped[row]))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(patients.names, pool.map(one, range(len(patients.names))), strict=True)


@dataclass
class SharedHaplotypes:
    """Whole haplotypes in common, of patients and donors by identifier."""

    imputer: Imputer
    patients: Mapping[str, HaplotypePairs]
    donors: Sequence[HaplotypePairs]

    @cached_property
    def _table(self) -> PairTable:
        return PairTable.of(self.imputer, self.donors)

    def of(self, patient: str, donors: npt.NDArray[np.int64]) -> Floats:
        """P(0, 1, 2 in common), (n, 3); NaN where a side is recombined, so has no such pair."""
        pairs = self.patients[patient]
        found = self._table.shared(pairs, donors)
        unknown = np.array([not self.donors[d].mass for d in donors.tolist()], dtype=bool)
        found[unknown | (not pairs.mass)] = np.nan
        return found


def write_predictions(
    path: Path,
    results: Iterator[tuple[str, Prediction]],
    patients: ImputedPeople,
    donors: ImputedPeople,
    columns: Columns,
    shared: SharedHaplotypes | None = None,
) -> int:
    """Write the kept pairs as Parquet, all or nothing; returns their number.

    Columns: patient, donor, those of `columns`, and recombined ("", patient, donor or both). Raises
    `OutputError`.
    """
    fields = [("patient", pa.string()), ("donor", pa.string())]
    fields += [(name, pa.float64()) for name in columns.names]
    fields += [("recombined", pa.string())] if columns.recombined else []
    schema = pa.schema(fields)
    known = pa.array(donors.names, pa.string())
    written = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while block := list(islice(results, _BLOCK)):
            counts = [len(found.donors) for _, found in block]
            names = pa.array([name for name, _ in block], pa.string())
            values = np.vstack(
                [
                    columns.values(f, shared.of(p, f.donors) if shared and columns.shared else None)
                    for p, f in block
                ]
            )
            patient = names.take(pa.array(np.repeat(np.arange(len(block)), counts)))
            donor = known.take(pa.array(np.concatenate([f.donors for _, f in block])))
            arrays = [patient, donor, *map(pa.array, np.ascontiguousarray(values.T))]
            if columns.recombined:
                arrays.append(pa.array(_who_recombined(block, patients, donors), pa.string()))
            writer.write_table(pa.table(arrays, schema=schema))
            written += sum(counts)
    return written


def _who_recombined(
    block: Sequence[tuple[str, Prediction]], patients: ImputedPeople, donors: ImputedPeople
) -> list[str]:
    texts = {(False, False): "", (True, False): "patient", (False, True): "donor"}
    return [
        texts.get((patient in patients.recombined, donors.names[d] in donors.recombined), "both")
        for patient, found in block
        for d in found.donors.tolist()
    ]


def write_study(
    path: Path,
    results: Iterator[tuple[str, Prediction]],
    donors: tuple[str, ...],
    imputer: Imputer,
    typings: tuple[Mapping[str, Written], Mapping[str, Written]],
    exact: bool,
) -> int:
    """Write the kept pairs as lines of the WMDA study, all or nothing; returns their number.

    ``patient;donor;`` then for A, C, B, DRB1, DQB1 the grade (A certain, P possible, M excluded)
    and P(two matches), then P(9/10) and P(10/10), in whole percents, rounded half up; exactly where
    the half decides and `exact` (all under the frequencies of the set). Raises `OutputError`.
    """
    pairs = ExactPairs(imputer)
    loci = imputer.frequencies.loci
    order = sorted(range(len(loci)), key=lambda i: _STUDY.index(loci[i].value))
    written = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for patient, found in results:
            values = np.hstack([found.p_two[:, order], found.p_total[:, [1, 0]]])
            known: dict[int, tuple[list[Fraction], list[Fraction]] | None] = {}

            def true(column: int, rows: npt.NDArray[np.int64]) -> Callable[[int], Fraction | None]:
                def at(row: int) -> Fraction | None:
                    donor = int(rows[row])
                    if donor not in known:  # noqa: B023 (called before the next patient)
                        mine, theirs = typings[0][patient], typings[1][donors[donor]]  # noqa: B023
                        known[donor] = pairs.predict(mine, theirs) if exact else None  # noqa: B023
                    both = known[donor]  # noqa: B023
                    if both is None:
                        return None
                    total, two = both
                    return (
                        two[order[column]]
                        if column < len(order)
                        else [total[1], total[0]][column - len(order)]
                    )

                return at

            percents = np.stack(
                [
                    whole_percents(values[:, c], true(c, found.donors))
                    for c in range(values.shape[1])
                ],
                axis=1,
            )
            grades = locus_grades(values[:, : len(order)])
            for d, grade, percent in zip(found.donors, grades, percents.tolist(), strict=True):
                cells = [f"{g};{p}" for g, p in zip(grade, percent[: len(order)], strict=True)]
                tail = map(str, percent[len(order) :])
                file.write(";".join([patient, donors[d], *cells, *tail]) + "\n")
            written += len(found.donors)
    return written
