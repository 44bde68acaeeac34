"""The frequency sets of searches: whose each is, made ready once."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from data.frequency_store import FrequencyChoice, FrequencyFolder
from data.index import MassSets
from matching.errors import InputFileError
from matching.family import FounderFrequencies
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Populations, Resolution
from matching.masses import MassTables
from matching.nomenclature import Nomenclature
from service.ancestry import FIVE, Ancestries, Prior, open_sets

# An imputer remembers what the typings that it has read admit: worth keeping, but not for ever.
_CALLS = 100
# Shares of the sets whose founders are remembered.
_FOUNDERS = 4


@dataclass(frozen=True, eq=False)
class SearchSets:
    """The sets that carry the loci of P(10/10), under one release.

    Everyone is imputed under the set of their own ancestry and registry, patients and donors alike,
    as `under` says. One object serves any number of searches and threads; what is costly of a set
    is made ready when it is first needed. `label`: names and contents of the sets, the one in use
    first; `rule`: what the choice among them depends on.
    """

    label: str
    rule: str
    under: Ancestries
    nomenclature: Nomenclature
    nulls: NullImputation

    @classmethod
    def load(
        cls, folder: FrequencyFolder, nomenclature: Nomenclature, nulls: NullImputation
    ) -> SearchSets | None:
        """The imported sets; the embedded one where none is in use and the release is the demo;
        None where there is none. Raises `InputFileError`."""
        cards = folder.choice().cards
        if not any(card.active for card in cards):
            embedded = folder.active_for(nomenclature.release)
            if embedded is None:
                return None
            label, found = embedded
            populations = _over_five([found])
            prior = ((populations.labels[0], 1.0),)
            return cls(label, "", Ancestries(populations, prior, False), nomenclature, nulls)
        needed = {locus.value for locus in FIVE}
        used = FrequencyChoice(tuple(c for c in cards if c.active or needed <= set(c.loci)))
        under = Ancestries(_over_five(open_sets(folder, used)), (), True, used)
        shown = sorted(used.cards, key=lambda card: not card.active)
        rule = json.dumps([(c.name, c.population, c.registry, c.active) for c in used.cards])
        return cls("+".join(card.label for card in shown), rule, under, nomenclature, nulls)

    def under_nulls(self, nulls: NullImputation) -> SearchSets:
        """The same sets with nulls that mean something else, made once."""
        if nulls is self.nulls:
            return self
        return self._other_nulls.setdefault(nulls, replace(self, nulls=nulls))

    @cached_property
    def _other_nulls(self) -> dict[NullImputation, SearchSets]:
        return {}

    def prior(self, ancestry: str, registry: str) -> Prior:
        """The sets, and their shares, of people of an ancestry and a registry, "" if unknown."""
        found = self._known_prior(ancestry, registry)
        # Whoever has no set of their own has the one in use.
        assert found is not None
        return found

    @cached_property
    def _known_prior(self) -> Callable[[str, str], Prior | None]:
        return lru_cache(maxsize=10_000)(self.under.prior)

    def prior_of(self, facts: Mapping[str, Any]) -> Prior:
        """`prior` of a person with some facts."""
        return self.prior(*(str(facts.get(name) or "") for name in ("ancestry", "registry")))

    def founders(self, prior: Prior) -> FounderFrequencies:
        """The haplotypes of the founders of a family of these shares of the sets."""
        return self._known_founders(prior)

    @cached_property
    def _known_founders(self) -> Callable[[Prior], FounderFrequencies]:
        return lru_cache(maxsize=_FOUNDERS)(self._founders_of)

    def _founders_of(self, prior: Prior) -> FounderFrequencies:
        populations = self.under.populations
        mixture = populations.mixture(dict(prior))
        return FounderFrequencies(populations.shared, mixture, self.nomenclature)

    @cached_property
    def shared_imputer(self) -> Imputer:
        """An imputer over the haplotypes of all sets, for what needs no memory of its own."""
        shared = self.under.populations.shared
        return Imputer(shared, self.nomenclature, self.nulls, Resolution.P_GROUP)

    @cached_property
    def _of_thread(self) -> threading.local:
        return threading.local()

    def imputer(self) -> Imputer:
        """An imputer over the haplotypes of all sets, for one call, which stays in its thread."""
        mine = self._of_thread
        if getattr(mine, "calls_left", 0) == 0:
            mine.imputer, mine.calls_left = self.shared_imputer.fresh(), _CALLS
        mine.calls_left -= 1
        found: Imputer = mine.imputer
        return found

    @property
    def distinct_haplotypes(self) -> npt.NDArray[np.int64]:
        """As of `Imputer`, made once for all imputers."""
        return self.shared_imputer.distinct_haplotypes

    def prepare(self) -> None:
        """Make ready at once what searches would make ready when they first need it."""
        for tables in self.masses.tables:
            tables.prepare()

    @cached_property
    def masses(self) -> MassSets:
        """What total masses are computed and looked up with."""
        populations = self.under.populations
        tables = tuple(
            MassTables(self.shared_imputer, values) for values in populations.frequencies
        )
        return MassSets(populations.labels, tables, self.prior, self.rule)


def _over_five(sets: Sequence[FrequencySet]) -> Populations:
    try:
        return Populations.of(sets, FIVE)
    except ValueError as error:
        raise InputFileError(f"{error}, which P(10/10) needs; choose another set") from error
