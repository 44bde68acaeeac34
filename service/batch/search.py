"""The search of one chunk of patients, and what its answers depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from data.donor_files import Person
from data.frequency_store import FrequencyFolder
from data.index import open_masses
from data.models import active_model, model_label
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.errors import OutputError
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from service.batch.columns import candidate_schema, candidate_table
from service.batch.results import chunk_table
from service.config import Settings
from service.criteria import criteria_json
from service.frequency_sets import SearchSets
from service.masses import UNLIMITED, GenotypeLimits
from service.results import SearchResults, result_table
from service.search import DonorSearch, SearchSettings, search_people

# Patients between two checkpoints: a few seconds of work on a large registry.
CHUNK = 20


@dataclass(frozen=True)
class BatchSearch:
    """What a search needs besides patients. `limits`: beyond which nothing is predicted."""

    search: DonorSearch
    model: RiskModel
    settings: SearchSettings
    limits: GenotypeLimits = UNLIMITED

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the candidates with what the allocation says of them."""
        return candidate_schema(self.model, self.settings.rule)

    def run(self, people: Sequence[Person], progress: Callable[[int], object]) -> pa.Table:
        """The best candidates of some patients, with the rest of `chunk_table`."""
        found = search_people(people, self.search, self.model, self.settings, progress, self.limits)
        return self.table(found)

    def table(self, results: SearchResults) -> pa.Table:
        """Results as `run` gives them."""
        return chunk_table(
            candidate_table(result_table(results, {}), self.schema),
            results.found,
            {name: matches.notes for name, matches in results.matches.items() if matches.notes},
        )

    @property
    def provenance(self) -> dict[str, object]:
        """What an answer depends on besides the typings, as in `SearchResults`."""
        return {
            "release": self.search.nomenclature.release,
            "index": self.search.index.version,
            "frequency_set": self._label,
            "model": model_label(self.model),
            **criteria_json(self.settings.criteria, self.settings.donors),
            "as_of": self.settings.as_of.isoformat(),
            "rank_keys": list(self.settings.rule.keys),
            "rank_bands": list(self.settings.rule.bands),
            "best": self.settings.size,
        }

    @property
    def state(self) -> dict[str, str]:
        """What the candidates depend on besides the patients, one text a part."""
        asked = self.settings
        return {
            "the criteria": json.dumps(
                [criteria_json(asked.criteria, asked.donors), asked.nulls.value]
            ),
            "the ranking": repr(asked.rule),
            "the number of donors a patient": str(asked.size),
            **sources_of(self.search, self.model),
        }

    @property
    def _label(self) -> str:
        return "" if self.search.sets is None else self.search.sets.label


def load_search(
    home: Settings,
    registry: str | None,
    nomenclature: Nomenclature,
    nulls: NullImputation,
    progress: Callable[[int], object] = lambda _: None,
) -> tuple[DonorSearch, RiskModel]:
    """With all that is in use in a home folder. Masses that are missing are computed first: that
    takes less time than to predict donors in pairs for many patients. `progress` is given the
    number of donors done. Raises `StoreError`, `InputFileError` and `ModelError`.
    """
    store = Registry.at(home.registry_place(registry), home.home)
    sets = SearchSets.load(FrequencyFolder(home.frequencies), nomenclature, nulls)
    index = store.index(nomenclature)
    if sets is not None and not open_masses(index, sets.masses).is_complete:
        # Where nothing can be written, all is the same and slower.
        with suppress(OutputError):
            index = store.fill_masses(nomenclature, sets.masses, progress).index
    proteins = ReferenceFolder(home.reference).proteins(nomenclature.release)
    search = DonorSearch.of(nomenclature, proteins, store, index, sets)
    return search, active_model(home.models)


def sources_of(search: DonorSearch, model: RiskModel) -> dict[str, str]:
    """The files that answers depend on, as in `BatchSearch.state`."""
    # With masses a probability is the same but for its last digits.
    masses = () if search.masses is None else search.masses.segments
    return {
        "the release": search.nomenclature.fingerprint,
        "the index": search.index.version,
        "the masses of the index": "".join("-" if one is None else "+" for one in masses),
        "the frequency sets": "" if search.sets is None else search.sets.label,
        "the choice among the frequency sets": "" if search.sets is None else search.sets.rule,
        "the risk model": model_label(model),
    }


def chunks_of(people: Sequence[Person]) -> list[Sequence[Person]]:
    """The patients of each chunk."""
    return [people[start : start + CHUNK] for start in range(0, len(people), CHUNK)]
