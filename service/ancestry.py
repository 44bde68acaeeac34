"""The populations that people are imputed under, and which of them a person belongs to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from data.donor_files import Person
from data.frequencies import GLOBAL, read_sources
from data.frequency_store import IN_USE, FrequencyChoice, FrequencyFolder, choose_population
from matching.errors import InputFileError
from matching.haplotypes import FrequencySet, Populations
from matching.loci import parse_loci

# In place of a file: the sets that were imported.
IMPORTED = "imported"
_ORDER = ["A", "B", "C", "DRB345", "DRB1", "DQA1", "DQB1", "DPA1", "DPB1"]
# The loci of P(10/10), in the order of the columns of a result.
FIVE = tuple(sorted(parse_loci("A,B,C,DRB1,DQB1"), key=lambda locus: _ORDER.index(locus.value)))
Prior = tuple[tuple[str, float], ...]


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
        together = Populations.of(used, carried)
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
