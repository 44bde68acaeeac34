"""The search of one chunk of patients, and what its answers depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from data.donor_files import Person
from data.models import model_label
from matching.risk import RiskModel
from service.batch.columns import candidate_schema, candidate_table
from service.batch.results import chunk_table
from service.criteria import criteria_json
from service.results import result_table
from service.search import DonorSearch, SearchSettings, search_people

# Patients between two checkpoints: a few seconds of work on a large registry.
CHUNK = 20


@dataclass(frozen=True)
class BatchSearch:
    """What a search needs besides patients; fields as in `search_people`."""

    search: DonorSearch
    model: RiskModel
    settings: SearchSettings

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the candidates with what the allocation says of them."""
        return candidate_schema(self.model, self.settings.rule)

    def run(self, people: Sequence[Person], progress: Callable[[int], object]) -> pa.Table:
        """The best candidates of some patients, with the rest of `chunk_table`."""
        results = search_people(people, self.search, self.model, self.settings, progress)
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
            "frequency_set": self._frequency_set,
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
            "the release": self.search.nomenclature.fingerprint,
            "the index": self.search.index.version,
            "the masses of the index": self._masses,
            "the frequency set": self._frequency_set,
            "the risk model": model_label(self.model),
        }

    @property
    def _masses(self) -> str:
        # With them a probability is the same but for its last digits.
        masses = self.search.masses
        if masses is None:
            return "none"
        there = [segment is not None for segment in masses.segments]
        return f"{sum(there)} of {len(there)} segments under {masses.sets.key}"

    @property
    def _frequency_set(self) -> str:
        return "" if self.search.sets is None else self.search.sets.label


def chunks_of(people: Sequence[Person]) -> list[Sequence[Person]]:
    """The patients of each chunk."""
    return [people[start : start + CHUNK] for start in range(0, len(people), CHUNK)]
