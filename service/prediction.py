"""Match prediction for many patients and donors: imputation first, then pairs on threads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from matching.errors import InputFileError, TooAmbiguousError
from matching.haplotypes import FrequencySet, ImputedGenotypes, Imputer, NullImputation, Resolution
from matching.loci import parse_loci
from matching.nomenclature import Nomenclature
from matching.probability import DonorTable, Prediction
from matching.typings import Typing, Written

# The loci of P(10/10), in the order of the columns of a result.
FIVE = tuple(
    sorted(parse_loci("A,B,C,DRB1,DQB1"), key=lambda locus: "A B C DRB1 DQB1".find(locus.value))
)
# Patients whose results are written at once.
_BLOCK = 256
COLUMNS = (*(f"p_{locus.value.lower()}" for locus in FIVE), "p10", "p9", "p8")


def imputer_of(
    frequencies: FrequencySet,
    nomenclature: Nomenclature,
    nulls: NullImputation,
    resolution: Resolution,
) -> Imputer:
    """An imputer over the five loci of P(10/10).

    Raises `InputFileError` where the set does not carry them all.
    """
    try:
        return Imputer(frequencies.over(FIVE), nomenclature, nulls, resolution)
    except ValueError as error:
        raise InputFileError(f"{error}, which P(10/10) needs; choose another set") from error


def impute_people(
    imputer: Imputer, typings: Mapping[str, Typing | Written]
) -> tuple[tuple[str, ...], ImputedGenotypes, dict[str, str]]:
    """Who could be imputed, their genotypes, and a reason for everyone who could not."""
    problems: dict[str, str] = {}
    try:
        imputed = imputer.impute(typings.values(), threads=os.cpu_count() or 1)
        readable = list(typings)
    except TooAmbiguousError:
        for name, typing in typings.items():
            try:
                imputer.mass(typing)
            except TooAmbiguousError as error:
                problems[name] = str(error)
        readable = [name for name in typings if name not in problems]
        imputed = imputer.impute(typings[name] for name in readable)
    for row in np.flatnonzero(imputed.mass == 0).tolist():
        problems[readable[row]] = unrepresented(imputer, typings[readable[row]])
    represented = np.flatnonzero(imputed.mass > 0)
    if len(represented) < len(imputed):
        imputed = imputed.take(represented)
    return tuple(readable[row] for row in represented.tolist()), imputed, problems


def unrepresented(imputer: Imputer, typing: Typing | Written) -> str:
    """Why a typing has no explanation, with the loci at fault."""
    reason = "unrepresented: no haplotype pair of the set explains the typing"
    faults = [" and ".join(locus.value for locus in loci) for loci in imputer.faults(typing)]
    return f"{reason}; it would without {' or without '.join(faults)}" if faults else reason


def predictions(
    imputer: Imputer,
    patients: tuple[tuple[str, ...], ImputedGenotypes],
    donors: ImputedGenotypes,
    above: float,
) -> Iterator[tuple[str, Prediction]]:
    """The prediction of every patient, in order, with the donors above the minimum."""
    table = DonorTable(imputer, donors)
    _ = table.index
    names, imputed = patients

    def one(row: int) -> Prediction:
        first, last = imputed.offsets[row : row + 2]
        patient = imputed.codes[first:last], imputed.weights[first:last]
        return table.predict(patient, table.near(patient, above), float(imputed.dropped[row]))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(names, pool.map(one, range(len(names))), strict=True)


def write_predictions(
    path: Path, results: Iterator[tuple[str, Prediction]], donors: tuple[str, ...]
) -> int:
    """Write the kept pairs as Parquet, all or nothing; returns their number.

    Columns: patient, donor, `COLUMNS`. Raises `OutputError`.
    """
    schema = pa.schema(
        [("patient", pa.string()), ("donor", pa.string()), *((c, pa.float64()) for c in COLUMNS)]
    )
    known = pa.array(donors, pa.string())
    written = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while block := list(islice(results, _BLOCK)):
            counts = [len(found.donors) for _, found in block]
            patients = pa.array([name for name, _ in block], pa.string())
            rows = pa.array(np.repeat(np.arange(len(block)), counts))
            values = np.vstack([np.hstack([f.p_two, f.p_mismatches]) for _, f in block])
            donor = known.take(pa.array(np.concatenate([f.donors for _, f in block])))
            columns = [pa.array(np.ascontiguousarray(column)) for column in values.T]
            writer.write_table(pa.table([patients.take(rows), donor, *columns], schema=schema))
            written += sum(counts)
    return written
