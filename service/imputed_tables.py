"""Imputed people as tables and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from matching.haplotypes import FrequencySet, HaplotypePairs, Imputer, Populations
from service.ancestry import Ancestries, Prior
from service.imputation import ImputedPeople


def genotype_table(imputer: Imputer, people: ImputedPeople) -> pa.Table:
    """Genotypes of people, each one's heaviest first: id, a column a locus, probability, dropped
    (the share of the person's mass that was cut) and recombined."""
    imputed = people.imputed
    owner = np.repeat(np.arange(len(imputed)), np.diff(imputed.offsets))
    order = np.lexsort((-imputed.weights, owner))
    columns: dict[str, pa.Array] = {"id": pa.array(people.names, pa.string()).take(owner[order])}
    for column, locus in enumerate(imputer.frequencies.loci):
        names = [name or "null" for name in imputer.token_names(column)]
        used, at = np.unique(imputed.codes[order, column], return_inverse=True)
        pairs = imputer.genotypes(column)[used]
        texts = pa.array([f"{names[a]}+{names[b]}" for a, b in pairs.tolist()], pa.string())
        columns[locus.value.lower()] = texts.take(at)
    blocks = pa.array([people.recombined.get(name, "") for name in people.names], pa.string())
    return pa.table(
        columns
        | {
            "probability": imputed.weights[order],
            "dropped": imputed.dropped[owner],
            "recombined": blocks.take(owner),
        }
    )


def haplotype_texts(frequencies: FrequencySet) -> list[str]:
    """The haplotypes of a set as text."""
    columns = [
        np.array(names, dtype=object)[codes]
        for names, codes in zip(frequencies.names, frequencies.haplotypes.T, strict=True)
    ]
    return ["~".join(row) for row in zip(*columns, strict=True)]


def pair_table(
    imputer: Imputer,
    people: Mapping[str, HaplotypePairs],
    under: Ancestries,
    priors: Mapping[str, Prior],
    by_population: bool,
) -> pa.Table:
    """Haplotype pairs of people, each one's heaviest first: id, haplotype_1, haplotype_2,
    probability and dropped; `by_population`: also which population each comes from."""
    texts = pa.array(haplotype_texts(imputer.frequencies), pa.string())
    frames = []
    for name, pairs in people.items():
        left, right, weights = pairs.left, pairs.right, pairs.weights
        frame: dict[str, Any] = {"left": left, "right": right, "probability": weights}
        if by_population:
            frame = _by_population(under.populations, dict(priors[name]), pairs)
        frames.append(pd.DataFrame(frame).assign(id=name, dropped=pairs.dropped))
    columns = ["id", "left", "right", "probability", "dropped"]
    table = pd.concat(frames) if frames else pd.DataFrame(columns=columns)
    found = {
        "id": pa.array(table["id"], pa.string()),
        "haplotype_1": texts.take(pa.array(table["left"], pa.int64())),
        "haplotype_2": texts.take(pa.array(table["right"], pa.int64())),
    }
    if by_population and frames:
        labels = pa.array(under.populations.labels, pa.string())
        for side in ("1", "2"):
            found[f"population_{side}"] = labels.take(pa.array(table[f"population_{side}"]))
    probability = pa.array(table["probability"], pa.float64())
    dropped = pa.array(table["dropped"], pa.float64())
    return pa.table(found | {"probability": probability, "dropped": dropped})


def _by_population(
    populations: Populations, prior: Mapping[str, float], pairs: HaplotypePairs
) -> dict[str, Any]:
    """The pairs taken apart by the populations that both haplotypes may come from."""
    shares = populations.shares(prior)
    weighted = shares[:, None] * populations.frequencies
    total = weighted.sum(axis=0)
    left, right = weighted[:, pairs.left], weighted[:, pairs.right]
    whole = total[pairs.left] * total[pairs.right]
    parts = left[:, None, :] * right[None, :, :] / whole * pairs.weights
    p, q, row = np.nonzero(parts)
    # Of two equal haplotypes the populations have no order: both orders are one row.
    same = pairs.left[row] == pairs.right[row]
    kept = ~same | (p <= q)
    values = parts[p, q, row] * np.where(same & (p < q), 2.0, 1.0)
    p, q, row, values = p[kept], q[kept], row[kept], values[kept]
    order = np.lexsort((q, p, row, -values))
    return {
        "left": pairs.left[row[order]],
        "right": pairs.right[row[order]],
        "population_1": p[order],
        "population_2": q[order],
        "probability": values[order],
    }


def write_table(path: Path, table: pa.Table) -> None:
    """A table as Parquet, or CSV where the path says so. Raises `OutputError`."""
    with replacing(path) as temporary:
        if path.suffix == ".csv":
            table.to_pandas().to_csv(temporary, index=False)
        else:
            pq.write_table(table, temporary)
