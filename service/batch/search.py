"""The search of one chunk of patients, and what its answers depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from data.donor_files import Person
from data.index import StoredIndex, has_masses
from data.models import model_label
from data.registry import Registry
from matching.haplotypes import FrequencySet, Resolution
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from service.batch.columns import candidate_schema, candidate_table
from service.batch.results import chunk_table
from service.criteria import criteria_json
from service.imputation import imputer_of
from service.results import result_table
from service.search import SearchSettings, search_people

# Patients between two checkpoints: a few seconds of work on a large registry.
CHUNK = 20


@dataclass(frozen=True)
class BatchSearch:
    """What a search needs besides patients; fields as in `search_people`."""

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    store: Registry
    index: StoredIndex
    frequencies: tuple[str, FrequencySet] | None
    model: RiskModel
    settings: SearchSettings

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the candidates with what the allocation says of them."""
        return candidate_schema(self.model, self.settings.rule)

    def run(self, people: Sequence[Person], progress: Callable[[int], object]) -> pa.Table:
        """The best candidates of some patients, with the rest of `chunk_table`."""
        results = search_people(
            people,
            self.nomenclature,
            self.proteins,
            self.store,
            self.index,
            self.frequencies,
            self.model,
            self.settings,
            progress,
        )
        return chunk_table(
            candidate_table(result_table(results, {}), self.schema),
            results.found,
            {name: matches.notes for name, matches in results.matches.items() if matches.notes},
        )

    @property
    def provenance(self) -> dict[str, object]:
        """What an answer depends on besides the typings, as in `SearchResults`."""
        return {
            "release": self.nomenclature.release,
            "index": self.index.version,
            "frequency_set": "" if self.frequencies is None else self.frequencies[0],
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
            "the release": self.nomenclature.fingerprint,
            "the index": self.index.version,
            "the masses of the index": self._masses,
            "the frequency set": "" if self.frequencies is None else self.frequencies[0],
            "the risk model": model_label(self.model),
        }

    @property
    def _masses(self) -> str:
        # With them a probability is the same but for its last digits.
        if self.frequencies is None:
            return "none"
        imputer = imputer_of(
            self.frequencies[1], self.nomenclature, self.settings.nulls, Resolution.P_GROUP
        )
        return "there" if has_masses(self.index, imputer) else "none"


def chunks_of(people: Sequence[Person]) -> list[Sequence[Person]]:
    """The patients of each chunk."""
    return [people[start : start + CHUNK] for start in range(0, len(people), CHUNK)]
