"""People under their frequencies: who is imputed with what, and a reason for who is not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from data.donor_files import Person
from matching.errors import TooAmbiguousError
from matching.haplotypes import (
    ExplainingClasses,
    ImputedGenotypes,
    Imputer,
    recombinations,
)
from matching.loci import Locus
from matching.typings import Typing, Written
from service.ancestry import Ancestries, Prior

# What problems of people begin with whom the set does not explain.
UNREPRESENTED = "unrepresented"


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

    @property
    def is_listed(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Whether the genotypes of each are listed; otherwise only what explains them is known."""
        return np.diff(self.imputed.offsets) > 0


@dataclass(frozen=True)
class Explanations:
    """What explains imputed people, by their positions. `written`: their typings."""

    imputer: Imputer
    under: Ancestries
    written: Mapping[str, Written]
    people: ImputedPeople

    def of(self, row: int) -> ExplainingClasses:
        """The haplotypes, recombined ones where the set's explain nothing."""
        name = self.people.names[row]
        frequencies = self.under.populations.mixture(dict(self.people.priors[name]))
        cuts = self.people.recombined.get(name)
        if cuts is None:
            return self.imputer.explain(self.written[name], frequencies)
        blocks = [[Locus(locus) for locus in block.split("~")] for block in cuts.split("|")]
        return self.imputer.recombine(self.written[name], blocks, frequencies)


def _impute(
    imputer: Imputer,
    typings: Mapping[str, Typing | Written],
    frequencies: np.ndarray[tuple[int], np.dtype[np.float64]] | None,
    precision: float,
    most: int | None,
) -> ImputedPeople:
    problems: dict[str, str] = {}
    readable = list(typings)
    threads = os.cpu_count() or 1
    try:
        imputed = imputer.impute(typings.values(), frequencies, precision, threads, most)
    except TooAmbiguousError:
        for name, typing in typings.items():
            try:
                imputer.mass(typing, frequencies)
            except TooAmbiguousError as error:
                problems[name] = str(error)
        readable = [name for name in typings if name not in problems]
        kept = (typings[name] for name in readable)
        imputed = imputer.impute(kept, frequencies, precision, threads, most)
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
    reason = f"{UNREPRESENTED}: no haplotype pair of the set explains the typing"
    texts = [" and ".join(locus.value for locus in loci) for loci in faults]
    return f"{reason}; it would without {' or without '.join(texts)}" if texts else reason


def _priors(people: Sequence[Person], under: Ancestries) -> tuple[dict[str, Prior], dict[str, str]]:
    """The populations of people, and why of those who have none, by identifier."""
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
    return priors, problems


def explain_by_ancestry(
    imputer: Imputer, people: Sequence[Person], under: Ancestries
) -> Iterator[ExplainingClasses | str]:
    """What explains people, each under their own populations, or why nothing does.

    Nobody's haplotype pairs are listed, however many these are.
    """
    priors, problems = _priors(people, under)
    mixtures = {prior: under.populations.mixture(dict(prior)) for prior in set(priors.values())}
    for person in people:
        if person.id in problems:
            yield problems[person.id]
            continue
        frequencies = mixtures[priors[person.id]]
        try:
            explained = imputer.explain(person.written, frequencies)
        except TooAmbiguousError as error:
            yield str(error)
            continue
        if explained.mass > 0:
            yield explained
        else:
            yield _unrepresented(imputer.faults(person.written, frequencies))


def impute_by_ancestry(
    imputer: Imputer,
    people: Sequence[Person],
    under: Ancestries,
    precision: float = 0.0,
    recombine: bool = False,
    most: int | None = None,
) -> ImputedPeople:
    """People imputed each under their own populations; `recombine` those whom none explains.

    `most`: the genotypes of people with more haplotype pairs are not listed.
    """
    priors, problems = _priors(people, under)
    written = {person.id: person.written for person in people if person.id in priors}
    parts = []
    for prior in sorted(set(priors.values())):
        group = {name: typing for name, typing in written.items() if priors[name] == prior}
        frequencies = under.populations.mixture(dict(prior))
        parts.append(_impute(imputer, group, frequencies, precision, most))
    problems |= {name: why for part in parts for name, why in part.problems.items()}
    recombined: dict[str, str] = {}
    if recombine:
        extra = _recombine(imputer, under, written, priors, problems, most)
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
    most: int | None,
) -> ImputedPeople:
    """Those of `problems` whom recombined haplotypes explain; they are taken out of it."""
    names, recombined, found = [], {}, []
    for name in [n for n, why in problems.items() if why.startswith(UNREPRESENTED)]:
        if written[name].phase:
            continue
        frequencies = under.populations.mixture(dict(priors[name]))
        for blocks in recombinations(imputer.frequencies.loci):
            try:
                explained = imputer.recombine(written[name], blocks, frequencies)
            except TooAmbiguousError as error:
                problems[name] = f"{problems[name]}; {error}"
                break
            if explained.mass:
                names.append(name)
                found.append(imputer.list_genotypes(explained, most=most))
                texts = ("~".join(locus.value for locus in block) for block in blocks)
                recombined[name] = "|".join(texts)
                del problems[name]
                break
    imputed = ImputedGenotypes.of(found, len(imputer.frequencies.loci))
    return ImputedPeople(tuple(names), imputed, {}, recombined, {})


def notes_on(under: Ancestries, groups: Iterable[ImputedPeople]) -> list[str]:
    """How many people were imputed under which populations, one line each, most first."""
    counts = Counter(prior for group in groups for prior in group.priors.values())
    if len(under.populations.labels) == 1:
        return []
    return [
        f"{n:,} people under {'+'.join(f'{label}={share:g}' for label, share in prior)}"
        for prior, n in sorted(counts.items(), key=lambda one: (-one[1], one[0]))
    ]
