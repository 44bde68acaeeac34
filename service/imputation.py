"""People under their frequencies: who is imputed with what, and a reason for who is not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from data.donor_files import Person
from data.files import replacing
from data.frequencies import GLOBAL, read_sources
from data.frequency_store import IN_USE, FrequencyChoice, FrequencyFolder, choose_population
from matching.errors import InputFileError, TooAmbiguousError
from matching.haplotypes import (
    FrequencySet,
    HaplotypePairs,
    ImputedGenotypes,
    Imputer,
    NullImputation,
    Populations,
    Resolution,
    recombinations,
)
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.typings import Typing, Written

# In place of a file: the sets that were imported.
IMPORTED = "imported"
_ORDER = ["A", "B", "C", "DRB345", "DRB1", "DQA1", "DQB1", "DPA1", "DPB1"]
# The loci of P(10/10), in the order of the columns of a result.
FIVE = tuple(sorted(parse_loci("A,B,C,DRB1,DQB1"), key=lambda locus: _ORDER.index(locus.value)))
Prior = tuple[tuple[str, float], ...]


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
    imputer: Imputer, typings: Mapping[str, Typing | Written], precision: float = 0.0
) -> tuple[tuple[str, ...], ImputedGenotypes, dict[str, str]]:
    """Who could be imputed, their genotypes, and a reason for everyone who could not."""
    found = _impute(imputer, typings, None, precision)
    return found.names, found.imputed, found.problems


@dataclass(frozen=True)
class ImputedPeople:
    """People in the order in which they were given, those left out who could not be imputed.

    `problems`: why, by identifier. `recombined`: the blocks of loci whose parts were put together,
    of those whom no haplotype pair of the set explains. `priors`: of each of `names`.
    """

    names: tuple[str, ...]
    imputed: ImputedGenotypes
    problems: dict[str, str]
    recombined: dict[str, str]
    priors: Mapping[str, Prior]


def _impute(
    imputer: Imputer,
    typings: Mapping[str, Typing | Written],
    frequencies: np.ndarray[tuple[int], np.dtype[np.float64]] | None,
    precision: float,
) -> ImputedPeople:
    problems: dict[str, str] = {}
    readable = list(typings)
    try:
        imputed = imputer.impute(typings.values(), frequencies, precision, os.cpu_count() or 1)
    except TooAmbiguousError:
        for name, typing in typings.items():
            try:
                imputer.mass(typing, frequencies)
            except TooAmbiguousError as error:
                problems[name] = str(error)
        readable = [name for name in typings if name not in problems]
        imputed = imputer.impute((typings[name] for name in readable), frequencies, precision)
    for row in np.flatnonzero(imputed.mass == 0).tolist():
        name = readable[row]
        problems[name] = _unrepresented(imputer.faults(typings[name], frequencies))
    represented = np.flatnonzero(imputed.mass > 0)
    if len(represented) < len(imputed):
        imputed = imputed.take(represented)
    names = tuple(readable[row] for row in represented.tolist())
    return ImputedPeople(names, imputed, problems, {}, {})


def _unrepresented(faults: tuple[tuple[Locus, ...], ...]) -> str:
    """Why a typing has no explanation, with the loci at fault."""
    reason = "unrepresented: no haplotype pair of the set explains the typing"
    texts = [" and ".join(locus.value for locus in loci) for loci in faults]
    return f"{reason}; it would without {' or without '.join(texts)}" if texts else reason


@dataclass(frozen=True)
class Ancestries:
    """The populations that people are imputed under, and which of them a person belongs to.

    `default`: the prior of people without a known ancestry, empty where there is none. `choice`:
    of the imported sets, where these are the populations; otherwise their labels are `POPULATION`
    or `POPULATION@REGISTRY`.
    """

    populations: Populations
    default: Prior
    by_ancestry: bool
    choice: FrequencyChoice | None = None

    def prior(self, ancestry: str, registry: str) -> Prior | None:
        """Shares of the populations that haplotypes of people of an ancestry and a registry, ""
        where unknown, come from; None where unknown.

        An ancestry of several populations, as `CAU+AFA`, has them in equal shares.
        """
        if not self.by_ancestry:
            return self.default
        labels = [self._label(part.strip(), registry) for part in ancestry.split("+")]
        counts = Counter(label for label in labels if label is not None)
        if counts.total() < len(labels):
            return self.default or None
        return tuple((label, n / len(labels)) for label, n in sorted(counts.items()))

    def prior_of(self, person: Person) -> Prior | None:
        """`prior` of a person."""
        return self.prior(*(str(person.facts.get(name) or "") for name in ("ancestry", "registry")))

    def _label(self, population: str, registry: str) -> str | None:
        if self.choice is not None:
            card, why = self.choice.best_for(population, registry)
            return card.name if why != IN_USE or not self.default else None
        for label in (f"{population}@{registry}", population, f"{GLOBAL}@{registry}", GLOBAL):
            if population and label in self.populations.labels:
                return label
        return None


def ancestries(
    source: str,
    population: str | None,
    by_ancestry: bool,
    loci: str | None,
    folder: FrequencyFolder,
) -> Ancestries:
    """The populations of a source: frequency files, `demo` or `IMPORTED`.

    `population`: one of them, or shares of several as `CAU=0.7,AFA=0.3`. `loci`: by default those
    of P(10/10) that all carry. Raises `InputFileError`.
    """
    choice = folder.choice() if source == IMPORTED else None
    if choice is not None:
        sets = open_sets(folder, choice)
        if not sets:
            raise InputFileError("no frequency set is imported")
    else:
        sets = read_sources(source)
        sets = tuple(replace(found, population=_label_of(found)) for found in sets)
    default: dict[str, float] = {}
    if population is not None or not by_ancestry:
        for name, share in _shares(population):
            found = choose_population(source, sets, name)
            default[found.population] = default.get(found.population, 0.0) + share
    used = sets if by_ancestry else tuple(s for s in sets if s.population in default)
    wanted = FIVE if loci is None else parse_loci(loci)
    carried = [locus for locus in wanted if all(locus in found.loci for found in used)]
    if not carried or (loci is not None and len(carried) < len(wanted)):
        missing = [locus.value for locus in wanted if locus not in carried]
        raise InputFileError(f"{source} does not carry {', '.join(missing)}; choose another set")
    carried.sort(key=lambda locus: _ORDER.index(locus.value))
    try:
        together = Populations.of([found.over(carried) for found in used])
        together.mixture(default or {together.labels[0]: 1.0})
    except ValueError as error:
        raise InputFileError(f"{source}: {error}") from error
    prior = tuple(sorted(default.items()))
    return Ancestries(together, prior, by_ancestry, choice)


def open_sets(folder: FrequencyFolder, choice: FrequencyChoice) -> tuple[FrequencySet, ...]:
    """The sets of a choice, as populations by their names."""
    names = [card.name for card in choice.cards]
    return tuple(replace(folder.open(name), population=name, registry="") for name in names)


def _label_of(found: FrequencySet) -> str:
    return f"{found.population}@{found.registry}".rstrip("@")


def _shares(text: str | None) -> list[tuple[str | None, float]]:
    """Populations and their shares: `CAU=0.7,AFA=0.3`, `CAU` alone or nothing."""
    if text is None:
        return [(None, 1.0)]
    found: list[tuple[str | None, float]] = []
    for part in text.split(","):
        name, equals, share = part.partition("=")
        try:
            found.append((name.strip(), float(share) if equals else 1.0))
        except ValueError as error:
            raise InputFileError(
                f"--population: {part.strip()!r} is no POPULATION=SHARE"
            ) from error
    return found


def impute_by_ancestry(
    imputer: Imputer,
    people: Sequence[Person],
    under: Ancestries,
    precision: float = 0.0,
    recombine: bool = False,
) -> ImputedPeople:
    """People imputed each under their own populations; `recombine` those whom none explains."""
    priors: dict[str, Prior] = {}
    problems: dict[str, str] = {}
    for person in people:
        prior = under.prior_of(person)
        if prior is None:
            problems[person.id] = (
                f"no frequencies: ancestry {person.facts.get('ancestry')!r} is none of "
                f"{', '.join(under.populations.labels)}; name others with --population"
            )
        else:
            priors[person.id] = prior
    written = {person.id: person.written for person in people if person.id in priors}
    parts = []
    for prior in sorted(set(priors.values())):
        group = {name: typing for name, typing in written.items() if priors[name] == prior}
        parts.append(_impute(imputer, group, under.populations.mixture(dict(prior)), precision))
    problems |= {name: why for part in parts for name, why in part.problems.items()}
    recombined: dict[str, str] = {}
    if recombine:
        extra = _recombine(imputer, under, written, priors, problems)
        parts.append(extra)
        recombined = extra.recombined
    together = _together(imputer, parts)
    row = {name: i for i, name in enumerate(n for part in parts for n in part.names)}
    names = tuple(person.id for person in people if person.id in row)
    order = np.array([row[name] for name in names], dtype=np.int64)
    if len(parts) > 1:
        together = together.take(order)
    return ImputedPeople(names, together, problems, recombined, priors)


def _together(imputer: Imputer, parts: Sequence[ImputedPeople]) -> ImputedGenotypes:
    if len(parts) == 1:
        return parts[0].imputed
    found = [part.imputed for part in parts] or [imputer.impute(())]
    counts = np.concatenate([np.diff(one.offsets) for one in found])
    return ImputedGenotypes(
        np.concatenate([[0], np.cumsum(counts)]),
        np.concatenate([one.codes for one in found]),
        np.concatenate([one.weights for one in found]),
        np.concatenate([one.mass for one in found]),
        np.concatenate([one.dropped for one in found]),
    )


def _recombine(
    imputer: Imputer,
    under: Ancestries,
    written: Mapping[str, Written],
    priors: Mapping[str, Prior],
    problems: dict[str, str],
) -> ImputedPeople:
    """Those of `problems` whom recombined haplotypes explain; they are taken out of it."""
    names, recombined, found = [], {}, []
    for name in [n for n, why in problems.items() if why.startswith("unrepresented")]:
        if written[name].phase:
            continue
        frequencies = under.populations.mixture(dict(priors[name]))
        for blocks in recombinations(imputer.frequencies.loci):
            try:
                codes, weights, mass = imputer.recombined(written[name], blocks, frequencies)
            except TooAmbiguousError as error:
                problems[name] = f"{problems[name]}; {error}"
                break
            if mass:
                names.append(name)
                found.append((codes, weights, mass))
                texts = ("~".join(locus.value for locus in block) for block in blocks)
                recombined[name] = "|".join(texts)
                del problems[name]
                break
    n_loci = len(imputer.frequencies.loci)
    counts = [len(weights) for _, weights, _ in found]
    imputed = ImputedGenotypes(
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        np.concatenate([np.empty((0, n_loci), np.int32), *(codes for codes, _, _ in found)]),
        np.concatenate([np.empty(0), *(weights for _, weights, _ in found)]),
        np.array([mass for _, _, mass in found], dtype=np.float64),
        np.zeros(len(found)),
    )
    return ImputedPeople(tuple(names), imputed, {}, recombined, {})


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


def notes_on(under: Ancestries, groups: Iterable[ImputedPeople]) -> list[str]:
    """How many people were imputed under which populations, one line each, most first."""
    counts = Counter(prior for group in groups for prior in group.priors.values())
    if len(under.populations.labels) == 1:
        return []
    return [
        f"{n:,} people under {'+'.join(f'{label}={share:g}' for label, share in prior)}"
        for prior, n in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]
