"""Imported frequency sets: one Parquet file each, and the one in use."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from data.frequencies import DEMO_FREQUENCIES, read_frequencies
from data.nomenclature import DEMO_RELEASE
from matching.errors import InputFileError
from matching.haplotypes import FrequencySet
from matching.loci import Locus


@dataclass(frozen=True)
class FrequencyCard:
    """What is known of an imported set; `total` is the sum of its frequencies, as published."""

    name: str
    population: str
    loci: tuple[str, ...]
    n_haplotypes: int
    total: float
    source: str
    sha256: str
    active: bool


@dataclass(frozen=True)
class FrequencyFolder:
    """The imported sets below `root`."""

    root: Path

    def import_file(
        self, source: Path, population: str | None, name: str | None, needed: Sequence[Locus] = ()
    ) -> FrequencyCard:
        """Read a file, store one population of it and put it in use.

        Raises `InputFileError`, also where the file holds several populations and none is named,
        or lacks a locus of `needed`, without which no search could use it.
        """
        frequencies = choose_population(source, read_frequencies(str(source)), population)
        missing = [locus.value for locus in needed if locus not in frequencies.loci]
        if missing:
            raise InputFileError(
                f"{source} does not carry {', '.join(missing)}, which P(10/10) needs; "
                "give a set that does"
            )
        chosen = name or frequencies.population
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", chosen):
            raise InputFileError(
                f"{chosen[:64]!r} is no name for a frequency set; give one of letters and digits "
                "with --name"
            )
        columns: dict[str, Any] = {
            locus.value: pa.array(np.array(names, dtype=object)[frequencies.haplotypes[:, i]])
            for i, (locus, names) in enumerate(
                zip(frequencies.loci, frequencies.names, strict=True)
            )
        }
        note = {
            "population": frequencies.population,
            "source": source.name,
            "sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        }
        table = pa.table(columns | {"frequency": frequencies.frequencies})
        with replacing(self.root / f"{chosen}.parquet") as temporary:
            pq.write_table(
                table.replace_schema_metadata({"graftmatch": json.dumps(note)}), temporary
            )
        with replacing(self.root / "active.json") as temporary:
            temporary.write_text(json.dumps({"name": chosen}), encoding="utf-8")
        return self._card(chosen)

    def cards(self) -> tuple[FrequencyCard, ...]:
        """The imported sets by name."""
        if not self.root.is_dir():
            return ()
        names = sorted(path.stem for path in self.root.glob("*.parquet") if path.name[0] != ".")
        return tuple(self._card(name) for name in names)

    def active(self) -> tuple[str, FrequencySet] | None:
        """Label and content of the set in use, None where there is none.

        Raises `InputFileError` where it is damaged.
        """
        name = self._active_name()
        if name is None:
            return None
        (frequencies,) = read_frequencies(str(self.root / f"{name}.parquet"))
        return f"{name}@{self._card(name).sha256[:8]}", frequencies

    def active_for(self, release: str) -> tuple[str, FrequencySet] | None:
        """The set in use, or the embedded one where none is and the release is the demo."""
        active = self.active()
        if active is None and release == DEMO_RELEASE:
            (frequencies,) = read_frequencies(DEMO_FREQUENCIES)
            return DEMO_FREQUENCIES, frequencies
        return active

    def _active_name(self) -> str | None:
        path = self.root / "active.json"
        if not path.exists():
            return None
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputFileError(f"{path} is damaged; import the frequencies again") from error

    def _card(self, name: str) -> FrequencyCard:
        path = self.root / f"{name}.parquet"
        try:
            table = pq.read_table(path)
            note = json.loads(table.schema.metadata[b"graftmatch"])
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise InputFileError(f"{path} is damaged; import the frequencies again") from error
        return FrequencyCard(
            name,
            note["population"],
            tuple(locus.value for locus in Locus if locus.value in table.column_names),
            len(table),
            float(np.sum(table["frequency"].to_numpy())),
            note["source"],
            note["sha256"],
            name == self._active_name(),
        )


def choose_population(
    source: Path | str, sets: tuple[FrequencySet, ...], population: str | None
) -> FrequencySet:
    """The only set of a file, or the one of a population. Raises `InputFileError`."""
    known = {frequencies.population: frequencies for frequencies in sets}
    if population is None and len(known) == 1:
        return sets[0]
    if population not in known:
        raise InputFileError(
            f"{source} holds {', '.join(sorted(known))}; choose one with --population"
        )
    return known[population]
