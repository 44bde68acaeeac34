"""Files of haplotype frequencies -> `FrequencySet`, one a population.

Formats: CSV with the columns haplotype, population, frequency (or hap, pop, freq), haplotypes
written ``A*01:01~C*07:01~...``; Parquet or CSV with one column a locus and ``frequency``, the
population being the name of the file. Genes that are not matched on are left out, and haplotypes
that are the same without them are added up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from matching.errors import InputFileError
from matching.haplotypes import FrequencySet
from matching.loci import LOCI, Locus

DEMO_FREQUENCIES = "demo"
MAX_SUM = 1.0001
_SHORT = {"hap": "haplotype", "pop": "population", "freq": "frequency"}


def read_frequencies(source: str) -> tuple[FrequencySet, ...]:
    """The sets of a file, or of the embedded synthetic one for `demo`.

    Raises `InputFileError` naming the file, the record and the value.
    """
    if source == DEMO_FREQUENCIES:
        path = Path(__file__).parent / "reference" / "haplotypes.csv"
    else:
        path = Path(source)
    table = _read_table(path)
    frequencies = pd.to_numeric(table["frequency"], errors="coerce")
    wrong = ~((frequencies >= 0) & (frequencies <= 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = str(table["frequency"].iloc[row])
        raise InputFileError(
            f"{path}, record {row + 1}: frequency {value!r} is not a number from 0 to 1; "
            "correct it, nothing was used"
        )
    table = table.assign(frequency=frequencies.astype(np.float64))
    return tuple(
        _frequency_set(path, str(population), rows)
        for population, rows in table.groupby("population", sort=False, observed=True)
    )


def _read_table(path: Path) -> pd.DataFrame:
    """Columns population, frequency and one a matched locus."""
    try:
        if path.suffix == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputFileError(f"cannot read frequencies from {path}: {error}") from error
    table = table.rename(columns=_SHORT)
    if "frequency" not in table:
        raise InputFileError(f"{path}: column 'frequency' is missing")
    if table.empty:
        raise InputFileError(f"{path} holds no haplotypes")
    if "population" not in table:
        table["population"] = path.stem
    if "haplotype" in table:
        alleles = table["haplotype"].str.split("~", expand=True)
        genes = [str(name).partition("*")[0] for name in alleles.iloc[0]]
        for gene, column in zip(genes, alleles.columns, strict=True):
            wrong = ~alleles[column].str.startswith(f"{gene}*").fillna(False).astype(bool)
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                raise InputFileError(
                    f"{path}, record {row + 1}: haplotype {table['haplotype'].iloc[row]!r} does "
                    f"not hold the genes of the first one ({'~'.join(genes)}) in that order"
                )
        table = table.assign(**dict(zip(genes, (alleles[c] for c in alleles.columns), strict=True)))
    if not any(locus.value in table for locus in LOCI):
        raise InputFileError(
            f"{path}: neither a column 'haplotype' nor a column of a matched locus "
            f"({', '.join(locus.value for locus in LOCI)})"
        )
    return table


def _frequency_set(path: Path, population: str, rows: pd.DataFrame) -> FrequencySet:
    loci = tuple(Locus(name) for name in (locus.value for locus in LOCI) if name in rows)
    columns = [locus.value for locus in loci]
    summed = rows.groupby(columns, sort=False, observed=True)["frequency"].sum().reset_index()
    total = float(summed["frequency"].sum())
    if total > MAX_SUM:
        raise InputFileError(
            f"{path}, population {population}: frequencies sum to {total:.6f}, above {MAX_SUM}"
        )
    if total == 0:
        raise InputFileError(f"{path}, population {population}: all frequencies are 0")
    codes, names = [], []
    for column in columns:
        code, values = pd.factorize(summed[column].astype(object))
        codes.append(code.astype(np.int32))
        names.append(tuple(str(value) for value in values))
    return FrequencySet(
        population,
        loci,
        tuple(names),
        np.stack(codes, axis=1),
        summed["frequency"].to_numpy(np.float64),
    )
