"""Files of haplotype frequencies -> `FrequencySet`, one a population and registry.

Formats, plain or gzipped:

- CSV with the columns haplotype, population, registry and frequency (or hap, pop, freq), haplotypes
  written ``A*01:01~C*07:01~...``; only haplotype and frequency are necessary.
- The same as the files of GRIM are: ``Haplo,Count,Freq``, one population a file.
- CSV or Parquet with one column a locus and ``frequency``.
- The JSON of Atlas: ``nomenclatureVersion``, ``donPool``, ``ethn``, ``frequencies``.

A population that is not named is the file's name up to its first dot. Genes that are not matched
on are left out, and haplotypes that are the same without them are added up.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from matching.errors import InputFileError, TypingError
from matching.haplotypes import FrequencySet, merge_haplotypes
from matching.loci import LOCI, LOCUS_OF_GENE, Locus
from matching.typings import Form, parse_position

DEMO_FREQUENCIES = "demo"
# The population of a set that is meant for everyone.
GLOBAL = "global"
MAX_SUM = 1.0001
_COLUMNS = {
    "haplo": "haplotype",
    "hap": "haplotype",
    "pop": "population",
    "freq": "frequency",
    "haplotype": "haplotype",
    "population": "population",
    "registry": "registry",
    "frequency": "frequency",
    "count": "count",
}
_SINGLE = (Form.ALLELE, Form.OLD_NAME, Form.G_GROUP, Form.P_GROUP, Form.SMALL_G, Form.ABSENT)


def frequencies_path(source: str) -> Path:
    """The file of a source, or the embedded one for `demo`."""
    if source == DEMO_FREQUENCIES:
        return Path(__file__).parent / "reference" / "haplotypes.csv"
    return Path(source)


def read_frequencies(source: str) -> tuple[FrequencySet, ...]:
    """The sets of a file, or of the embedded synthetic one for `demo`.

    Raises `InputFileError` naming the file, the record and the value: a frequency that is no
    number from 0 to 1, a sum above `MAX_SUM` or of 0, a haplotype that comes twice, a name that is
    no single allele or group.
    """
    path = frequencies_path(source)
    try:
        if path.suffixes[:1] == [".json"] or path.name.endswith(".json.gz"):
            return _read_json(path)
        table = _read_table(path)
    except (OSError, EOFError, ValueError, UnicodeError) as error:
        raise InputFileError(f"cannot read frequencies from {path}: {error}") from error
    return _sets_of(path, table)


def read_sources(text: str) -> tuple[FrequencySet, ...]:
    """The sets of several files, named with commas between them. Raises `InputFileError`."""
    sets = tuple(found for part in text.split(",") for found in read_frequencies(part.strip()))
    labels = [(found.population, found.registry) for found in sets]
    for population, registry in labels:
        if labels.count((population, registry)) > 1:
            raise InputFileError(
                f"{text}: population {population} comes twice"
                f"{f' for registry {registry}' if registry else ''}; leave one out"
            )
    return sets


def _read_table(path: Path) -> pd.DataFrame:
    """Columns population, registry, frequency and one a gene."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table = table.rename(columns=lambda name: _COLUMNS.get(str(name).strip().lower(), str(name)))
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise InputFileError(f"{path}: column {twice[0]!r} comes twice; remove one")
    if "frequency" not in table:
        raise InputFileError(f"{path}: column 'frequency' is missing")
    if table.empty:
        raise InputFileError(f"{path} holds no haplotypes")
    if "population" not in table:
        table["population"] = path.name.partition(".")[0]
    if "registry" not in table:
        table["registry"] = ""
    if "haplotype" in table:
        table = _split_haplotypes(path, table)
    return table


def _split_haplotypes(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """One column a gene from the column `haplotype`."""
    alleles = table["haplotype"].str.split("~", expand=True)
    genes = [_gene_of(name) for name in alleles.iloc[0]]
    columns = {}
    for gene, column in zip(genes, alleles.columns, strict=True):
        values = alleles[column]
        same = {name: _gene_of(name) == gene for name in values.unique()}
        wrong = ~values.map(same).astype(bool)
        if wrong.any() or not gene or gene in columns:
            row = int(np.flatnonzero(wrong)[0]) if wrong.any() else 0
            raise InputFileError(
                f"{path}, record {row + 1}: haplotype {table['haplotype'].iloc[row]!r} does "
                f"not hold the genes of the first one ({'~'.join(filter(None, genes))}) in order"
            )
        columns[gene] = values
    return table.drop(columns="haplotype").assign(**columns)


def _gene_of(name: object) -> str:
    """The locus of a written name, or its gene where that is not matched on; "" for no name."""
    if not isinstance(name, str):
        return ""
    gene = name.strip().removeprefix("HLA-").partition("*")[0]
    return LOCUS_OF_GENE[gene].value if gene in LOCUS_OF_GENE else gene


def _read_json(path: Path) -> tuple[FrequencySet, ...]:
    data = path.read_bytes()
    content = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    records = content.get("frequencies") if isinstance(content, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputFileError(f"{path}: 'frequencies' is no list of records")
    if not records:
        raise InputFileError(f"{path} holds no haplotypes")
    table = pd.DataFrame([{str(k).upper(): v for k, v in record.items()} for record in records])
    if "FREQUENCY" not in table:
        raise InputFileError(f"{path}: 'frequency' is missing")
    table = table.rename(columns={"FREQUENCY": "frequency"})
    sets: list[FrequencySet] = []
    for population in _listed(path, content, "ethn") or (GLOBAL,):
        for registry in _listed(path, content, "donPool") or ("",):
            labelled = table.assign(population=population, registry=registry)
            sets += _sets_of(path, labelled)
    return tuple(sets)


def _listed(path: Path, content: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """A value that may be one, a list or null."""
    value = content.get(field)
    if value is None or value == "":
        return ()
    values = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int) for one in values):
        raise InputFileError(f"{path}: {field!r} is {value!r}, not a code or a list of codes")
    return tuple(dict.fromkeys(str(one) for one in values))


def _sets_of(path: Path, table: pd.DataFrame) -> tuple[FrequencySet, ...]:
    genes = {_gene_of(f"{column}*"): str(column) for column in table.columns}
    loci = tuple(locus for locus in LOCI if locus.value in genes)
    if not loci:
        raise InputFileError(
            f"{path}: neither a column 'haplotype' nor a column of a matched locus "
            f"({', '.join(locus.value for locus in LOCI)})"
        )
    frequencies = pd.to_numeric(table["frequency"], errors="coerce")
    wrong = ~((frequencies >= 0) & (frequencies <= 1))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        value = str(table["frequency"].iloc[row])
        raise InputFileError(
            f"{path}, record {row + 1}: frequency {value!r} is not a number from 0 to 1; "
            "correct it, nothing was used"
        )
    _refuse_duplicates(path, table)
    codes, names = zip(
        *(_names_of(path, table[genes[locus.value]], locus) for locus in loci), strict=True
    )
    haplotypes = np.stack(codes, axis=1)
    labels = table.groupby(["population", "registry"], sort=False, observed=True).indices
    values = frequencies.to_numpy(np.float64)
    return tuple(
        _frequency_set(path, key, loci, names, haplotypes[rows], values[rows])
        for key, rows in labels.items()
    )


def _refuse_duplicates(path: Path, table: pd.DataFrame) -> None:
    """What a second line of the same haplotype means is not certain, so it is refused."""
    columns = [name for name in table.columns if name not in ("frequency", "count")]
    twice = table.duplicated(columns)
    if twice.any():
        row = int(np.flatnonzero(twice)[0])
        same = (table[columns] == table[columns].iloc[row]).all(axis=1)
        raise InputFileError(
            f"{path}, record {row + 1}: the haplotype is that of record "
            f"{int(np.flatnonzero(same)[0]) + 1}; add their frequencies up or remove one, nothing "
            "was used"
        )


def _names_of(
    path: Path, column: pd.Series[Any], locus: Locus
) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
    """Codes (n,) and names of a column, the names as this package writes them."""
    codes, values = pd.factorize(column.astype(object), use_na_sentinel=False)
    names: list[str] = []
    for i, value in enumerate(values):
        try:
            position = parse_position(locus.value, value if isinstance(value, str) else "")
            problem = "" if position.form in _SINGLE else f"is {position.form.value}"
        except TypingError as error:
            problem = error.reason
        if problem:
            row = int(np.flatnonzero(codes == i)[0])
            raise InputFileError(
                f"{path}, record {row + 1}: {locus.value} {str(value)[:60]!r} {problem}; a "
                "haplotype holds one allele or group at each locus, DRBX*NNNN for no DRB3/4/5"
            )
        names.append(position.names[0])
    distinct = {name: i for i, name in enumerate(dict.fromkeys(names))}
    renumbered = np.array([distinct[name] for name in names], dtype=np.int32)
    return renumbered[codes], tuple(distinct)


def _frequency_set(
    path: Path,
    label: Any,
    loci: tuple[Locus, ...],
    names: tuple[tuple[str, ...], ...],
    haplotypes: npt.NDArray[np.int32],
    frequencies: npt.NDArray[np.float64],
) -> FrequencySet:
    """One population of a file, with the names that it uses, in the order of appearance."""
    population, registry = map(str, label)
    whose = f"population {population}{f' of registry {registry}' if registry else ''}"
    total = float(frequencies.sum())
    if total > MAX_SUM:
        raise InputFileError(
            f"{path}, {whose}: frequencies sum to {total:.6f}, above {MAX_SUM}; nothing was used"
        )
    if total == 0:
        raise InputFileError(f"{path}, {whose}: all frequencies are 0; nothing was used")
    used: list[tuple[str, ...]] = []
    columns = []
    for column, known in zip(haplotypes.T, names, strict=True):
        codes, present = pd.factorize(column)
        columns.append(codes.astype(np.int32))
        used.append(tuple(known[i] for i in present))
    merged, summed = merge_haplotypes(np.stack(columns, axis=1), frequencies)
    return FrequencySet(population, loci, tuple(used), merged, summed, registry)
