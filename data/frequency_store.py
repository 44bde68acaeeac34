"""Imported frequency sets: one Parquet file each, and the one in use."""

from __future__ import annotations

import csv
import datetime
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data.files import replacing
from data.frequencies import DEMO_FREQUENCIES, GLOBAL, frequencies_path, read_frequencies
from data.nomenclature import DEMO_RELEASE
from matching.errors import InputFileError, TypingError
from matching.haplotypes import FrequencySet
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.typings import ABSENT_GENE


@dataclass(frozen=True)
class FrequencyCard:
    """What is known of an imported set.

    `total`: the sum of its frequencies, as published. `coverage`: the sum over the haplotypes that
    `release`, the one at import, can read; the others are `n_unmapped`, listed in the file
    `<name>.unmapped.csv`. `release` is "" where none was installed. `imported`: the day,
    YYYY-MM-DD. `registry`: "" for any.
    """

    name: str
    population: str
    registry: str
    loci: tuple[str, ...]
    n_haplotypes: int
    total: float
    coverage: float
    n_unmapped: int
    release: str
    source: str
    sha256: str
    imported: str
    active: bool = False

    @property
    def label(self) -> str:
        """Name and content of the set, as results carry it."""
        return f"{self.name}@{self.sha256[:8]}"


IN_USE = "the set in use"


@dataclass(frozen=True)
class FrequencyChoice:
    """Which of some imported sets is for whom."""

    cards: tuple[FrequencyCard, ...]

    @property
    def active(self) -> FrequencyCard | None:
        """The one in use."""
        return next((card for card in self.cards if card.active), None)

    def best_for(self, population: str, registry: str) -> tuple[FrequencyCard, str]:
        """The set for people of a population and a registry ("" unknown), and why it is that one.

        In this order: of the population and the registry; of the population and any registry; of
        the registry and everyone in it (population `GLOBAL`); the one in use. Raises
        `InputFileError` where there is none.
        """
        steps = (
            ("population and registry", (population, registry)),
            ("population, any registry", (population, "")),
            ("registry, any population", (GLOBAL, registry)),
        )
        for reason, wanted in steps:
            for card in self.cards:
                if "" not in wanted[:1] and (card.population, card.registry) == wanted:
                    return card, reason
        if self.active is not None:
            return self.active, IN_USE
        raise InputFileError(
            f"no imported set fits population {population!r} and registry {registry!r} and none is "
            "in use; run: graftmatch frequencies import FILE"
        )


@dataclass(frozen=True)
class FrequencyFolder:
    """The imported sets below `root`."""

    root: Path

    def import_file(
        self,
        source: Path,
        population: str | None,
        name: str | None,
        nomenclature: Nomenclature | None,
        day: datetime.date,
        needed: Sequence[Locus] = (),
    ) -> FrequencyCard:
        """Read a file, or the embedded one for `demo`, and store one population of it; put it in
        use if it carries `needed`.

        Haplotypes with a name that the release cannot read are kept, explain nothing under it, and
        are listed in `<name>.unmapped.csv` beside the set. Raises `InputFileError`, also where the
        file holds several populations and none is named, or the release reads none of its
        haplotypes.
        """
        found = choose_population(source, read_frequencies(str(source)), population)
        path = frequencies_path(str(source))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return self.store(found, name, nomenclature, day, path.name, digest, needed)

    def store(
        self,
        frequencies: FrequencySet,
        name: str | None,
        nomenclature: Nomenclature | None,
        day: datetime.date,
        source: str,
        sha256: str,
        needed: Sequence[Locus] = (),
    ) -> FrequencyCard:
        """Store a set; otherwise as `import_file`. `sha256`: of what it was made from."""
        chosen = name or frequencies.population
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", chosen):
            raise InputFileError(
                f"{chosen[:64]!r} is no name for a frequency set; give one of letters and digits "
                "with --name"
            )
        reasons = {} if nomenclature is None else unmapped_haplotypes(frequencies, nomenclature)
        release = "" if nomenclature is None else nomenclature.release
        unmapped = np.zeros(len(frequencies.frequencies), dtype=bool)
        unmapped[list(reasons)] = True
        if unmapped.all():
            raise InputFileError(
                f"{source}: release {release} reads none of the haplotypes of "
                f"{frequencies.population}: {next(iter(reasons.values()))}"
            )
        values = frequencies.frequencies
        card = FrequencyCard(
            chosen,
            frequencies.population,
            frequencies.registry,
            tuple(locus.value for locus in frequencies.loci),
            len(values),
            float(values.sum()),
            float(values[~unmapped].sum()),
            len(reasons),
            release,
            source,
            sha256,
            day.isoformat(),
        )
        _write_unmapped(self.unmapped_file(chosen), frequencies, reasons)
        columns: dict[str, Any] = dict(zip(card.loci, _texts(frequencies), strict=True))
        table = pa.table(columns | {"frequency": values})
        note = {key: value for key, value in asdict(card).items() if key not in ("name", "active")}
        with replacing(self.root / f"{chosen}.parquet") as temporary:
            pq.write_table(
                table.replace_schema_metadata({"graftmatch": json.dumps(note)}), temporary
            )
        if all(locus in frequencies.loci for locus in needed):
            with replacing(self.root / "active.json") as temporary:
                temporary.write_text(json.dumps({"name": chosen}), encoding="utf-8")
        return self._card(chosen)

    def unmapped_file(self, name: str) -> Path:
        """Where the haplotypes are listed that the release at import could not read."""
        return self.root / f"{name}.unmapped.csv"

    def cards(self) -> tuple[FrequencyCard, ...]:
        """The imported sets by name."""
        if not self.root.is_dir():
            return ()
        names = sorted(path.stem for path in self.root.glob("*.parquet") if path.name[0] != ".")
        return tuple(self._card(name) for name in names)

    def open(self, name: str) -> FrequencySet:
        """An imported set. Raises `InputFileError` where it is missing or damaged."""
        card = self._card(name)
        try:
            loci = tuple(Locus(value) for value in card.loci)
            path = self.root / f"{name}.parquet"
            with pq.ParquetFile(path, read_dictionary=list(card.loci)) as file:
                table = file.read()
            encoded = [table[locus.value].combine_chunks() for locus in loci]
            codes = [np.asarray(column.indices, dtype=np.int32) for column in encoded]
            return FrequencySet(
                card.population,
                loci,
                tuple(tuple(column.dictionary.to_pylist()) for column in encoded),
                np.stack(codes, axis=1),
                table["frequency"].to_numpy(),
                card.registry,
            )
        except (OSError, ValueError, KeyError, pa.ArrowException) as error:
            raise InputFileError(_damaged(self.root / f"{name}.parquet")) from error

    def active(self) -> tuple[str, FrequencySet] | None:
        """Label and content of the set in use, None where there is none.

        Raises `InputFileError` where it is damaged.
        """
        name = self._active_name()
        return None if name is None else (self._card(name).label, self.open(name))

    def active_for(self, release: str) -> tuple[str, FrequencySet] | None:
        """The set in use, or the embedded one where none is and the release is the demo."""
        active = self.active()
        if active is None and release == DEMO_RELEASE:
            (frequencies,) = read_frequencies(DEMO_FREQUENCIES)
            return DEMO_FREQUENCIES, frequencies
        return active

    def choice(self, needed: Sequence[Locus] = ()) -> FrequencyChoice:
        """Which of the imported sets that carry some loci are for whom."""
        names = {locus.value for locus in needed}
        return FrequencyChoice(tuple(card for card in self.cards() if names <= set(card.loci)))

    def _active_name(self) -> str | None:
        path = self.root / "active.json"
        if not path.exists():
            return None
        try:
            return str(json.loads(path.read_text(encoding="utf-8"))["name"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputFileError(_damaged(path)) from error

    def _card(self, name: str) -> FrequencyCard:
        path = self.root / f"{name}.parquet"
        try:
            note = json.loads(pq.read_schema(path).metadata[b"graftmatch"])
            note["loci"] = tuple(note["loci"])
            return FrequencyCard(name=name, active=name == self._active_name(), **note)
        except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
            raise InputFileError(_damaged(path)) from error


def _damaged(path: Path) -> str:
    return f"{path} is damaged; import the frequencies again"


def _texts(frequencies: FrequencySet) -> list[npt.NDArray[np.object_]]:
    """The names of every haplotype, one array a locus."""
    pairs = zip(frequencies.names, frequencies.haplotypes.T, strict=True)
    return [np.array(names, dtype=object)[codes] for names, codes in pairs]


def unmapped_haplotypes(frequencies: FrequencySet, nomenclature: Nomenclature) -> dict[int, str]:
    """Rows of the haplotypes with a name that the release cannot read, each with the reason."""
    reasons: dict[int, str] = {}
    for column, names in enumerate(frequencies.names):
        problems: Mapping[int, str] = {
            i: problem for i, name in enumerate(names) if (problem := _problem(name, nomenclature))
        }
        codes = frequencies.haplotypes[:, column]
        for row in np.flatnonzero(np.isin(codes, list(problems))).tolist():
            reasons.setdefault(row, problems[int(codes[row])])
    return dict(sorted(reasons.items()))


def _problem(name: str, nomenclature: Nomenclature) -> str:
    if name == ABSENT_GENE:
        return ""
    try:
        nomenclature.read(name)
    except TypingError as error:
        return str(error)
    return ""


def _write_unmapped(path: Path, frequencies: FrequencySet, reasons: Mapping[int, str]) -> None:
    """The unmapped haplotypes, largest first; no file where there are none."""
    path.unlink(missing_ok=True)
    if not reasons:
        return
    texts = _texts(frequencies)
    order = sorted(reasons, key=lambda row: (-frequencies.frequencies[row], row))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("haplotype", "frequency", "reason"))
        for row in order:
            haplotype = "~".join(text[row] for text in texts)
            writer.writerow((haplotype, repr(float(frequencies.frequencies[row])), reasons[row]))


def choose_population(
    source: Path | str, sets: tuple[FrequencySet, ...], population: str | None
) -> FrequencySet:
    """The only set of a file, or the one of a population, `POPULATION@REGISTRY` where a file holds
    it for several registries. Raises `InputFileError`."""
    if population is None and len(sets) == 1:
        return sets[0]
    known = {f"{found.population}@{found.registry}".rstrip("@"): found for found in sets}
    chosen = known.get(population or "")
    if chosen is None:
        same = [found for found in sets if found.population == population]
        chosen = same[0] if len(same) == 1 else None
    if chosen is None:
        raise InputFileError(
            f"{source} holds {', '.join(sorted(known))}; choose one with --population"
        )
    return chosen
