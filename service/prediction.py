"""Match prediction for many patients and donors: imputation first, then pairs on threads."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from matching.errors import InputFileError, TooAmbiguousError
from matching.haplotypes import FrequencySet, ImputedGenotypes, Imputer, NullImputation, Resolution
from matching.loci import parse_loci
from matching.nomenclature import Nomenclature
from matching.probability import Prediction, predict
from matching.typings import Typing

# The loci of P(10/10), in the order of the columns of a result.
FIVE = tuple(
    sorted(parse_loci("A,B,C,DRB1,DQB1"), key=lambda locus: "A B C DRB1 DQB1".find(locus.value))
)
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
    imputer: Imputer, typings: Mapping[str, Typing]
) -> tuple[tuple[str, ...], ImputedGenotypes, dict[str, str]]:
    """Who could be imputed, their genotypes, and a reason for everyone who could not."""
    problems: dict[str, str] = {}
    for name, typing in typings.items():
        try:
            if not imputer.impute_one(typing)[2]:
                problems[name] = "unrepresented: no haplotype pair of the set explains the typing"
        except TooAmbiguousError as error:
            problems[name] = str(error)
    kept = tuple(name for name in typings if name not in problems)
    return kept, imputer.impute(typings[name] for name in kept), problems


def predictions(
    imputer: Imputer,
    typings: Mapping[str, Typing],
    donors: ImputedGenotypes,
    above: float,
) -> Iterator[tuple[str, Prediction]]:
    """The prediction of every patient, in order; patients must have been imputed before."""

    def one(typing: Typing) -> Prediction:
        return predict(imputer, imputer.impute_one(typing)[:2], donors, above)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from zip(typings, pool.map(one, typings.values()), strict=True)


def write_predictions(
    path: Path, results: Iterator[tuple[str, Prediction]], donors: tuple[str, ...]
) -> int:
    """Write the kept pairs as Parquet, all or nothing; returns their number.

    Columns: patient, donor, `COLUMNS`. Raises `OutputError`.
    """
    schema = pa.schema(
        [("patient", pa.string()), ("donor", pa.string()), *((c, pa.float64()) for c in COLUMNS)]
    )
    names = np.array(donors, dtype=object)
    written = 0
    with replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        for patient, found in results:
            values = np.hstack([found.p_two, found.p_mismatches])
            columns = [pa.array(values[:, i]) for i in range(values.shape[1])]
            patients = pa.array([patient] * len(found.donors), pa.string())
            donor = pa.array(names[found.donors], pa.string())
            if len(found.donors):
                writer.write_table(pa.table([patients, donor, *columns], schema=schema))
            written += len(found.donors)
    return written
