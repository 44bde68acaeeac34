"""The search of one chunk of patients, and what its answers depend on."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pandas as pd
import pyarrow as pa

from data.donor_files import Person
from data.frequency_store import FrequencyFolder
from data.index import open_masses
from data.models import active_model, model_label
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.antibodies import CutOffs, registry_answers
from matching.errors import OutputError
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from service.antibody_columns import NO_REPORT, antibody_columns, antibody_table
from service.batch.columns import (
    ANTIBODY_COLUMNS,
    MATERNAL_COLUMNS,
    RELATIVE_COLUMNS,
    STRATUM_COLUMNS,
    candidate_schema,
    candidate_table,
)
from service.batch.results import ANTIBODIES, EXCLUDED, NOTES, chunk_table
from service.config import Settings
from service.criteria import criteria_json
from service.family_page import family_picture
from service.frequency_sets import SearchSets
from service.masses import UNLIMITED, GenotypeLimits
from service.relatives import RELATED, Families
from service.results import SearchResults, result_table
from service.search import AntibodyUse, DonorSearch, SearchSettings, search_people
from service.strata import Asked, donor_list
from service.strata_tables import strata_table

# Patients between two checkpoints: a few seconds of work on a large registry.
CHUNK = 20


@dataclass(frozen=True)
class BatchSearch:
    """What a search needs besides patients. `limits`: beyond which nothing is predicted.

    `strata`: of one list of several types of donors (`service.strata`), of each the best
    `settings.size`; None where donors are those of `settings`. `reports`: of antibodies, by
    patient, with `own_type`, warnings; `judged`: by what rules, None where antibodies are not asked
    about (`judged_by`). `families`: of patients, where relatives are asked for.
    """

    search: DonorSearch
    model: RiskModel
    settings: SearchSettings
    limits: GenotypeLimits = UNLIMITED
    strata: Mapping[str, Asked] | None = None
    reports: Mapping[str, AntibodyUse] = field(default_factory=dict)
    own_type: Mapping[str, Sequence[str]] = field(default_factory=dict)
    judged: Mapping[str, Any] | None = None
    families: Families | None = None

    @cached_property
    def registry(self) -> dict[str, SearchSettings]:
        """What is asked of the registry, by stratum, "" where there are none."""
        strata: Mapping[str, Asked] = {"": self.settings} if self.strata is None else self.strata
        return {name: one for name, one in strata.items() if isinstance(one, SearchSettings)}

    @cached_property
    def schema(self) -> pa.Schema:
        """Of the candidates with what the allocation says of them."""
        strata = self.strata or {}
        asked = self.registry.values()
        more = (
            *(STRATUM_COLUMNS if strata else ()),
            *(RELATIVE_COLUMNS if RELATED.keys() & strata.keys() else ()),
            *(MATERNAL_COLUMNS if any(one.maternal for one in asked) else ()),
            *(() if self.judged is None else ANTIBODY_COLUMNS),
        )
        return candidate_schema(self.model, [one.rule for one in asked], more)

    def run(self, people: Sequence[Person], progress: Callable[[int], object]) -> pa.Table:
        """The best candidates of some patients, with the rest of `chunk_table`."""
        last = list(self.registry)[-1:]
        registry = {
            name: search_people(
                *(people, self.search, self.model, asked),
                # A patient is done when all strata are.
                progress if [name] == last else lambda _: progress(0),
                self.limits,
                self.reports,
            )
            for name, asked in self.registry.items()
        }
        found = self.table(people, registry)
        progress(len(people))
        return found

    def table(self, people: Sequence[Person], registry: Mapping[str, SearchResults]) -> pa.Table:
        """What was found in the registry, by stratum, as `run` gives it."""
        if self.strata is None:
            return self._searched(registry[""])
        found = donor_list(
            *(people, self.search, self.model, self.strata, registry, self.reports),
            *(self.families, self.settings.size),
        )
        typings = self._typings(registry.values())
        table = strata_table(found, typings, self.search.sets)
        place = (table.groupby("patient").cumcount() + 1).rename("place")
        table = pd.concat([table, place], axis="columns")
        order = {patient: number for number, patient in enumerate(found.patients)}
        table = table.sort_values("patient", key=lambda names: names.map(order), kind="stable")
        counts = {
            patient: sum(one.found[patient] for one in registry.values())
            + sum(of[patient].found for of in found.related.values() if patient in of)
            for patient in found.patients
        }
        excluded = {
            patient: [donor for name in self.strata for donor in found.excluded(name, patient)]
            for patient in found.patients
        }
        families = {} if self.families is None else self.families.results
        return chunk_table(
            candidate_table(self._judged(table), self.schema),
            counts,
            self._told(found.notes, excluded),
            {
                patient: family_picture(families[patient])
                for patient in found.patients
                if patient in families
            },
        )

    def _searched(self, results: SearchResults) -> pa.Table:
        table = result_table(results, {})
        if self.reports:
            typings = self._typings([results])
            more = antibody_columns(results, typings, self.reports, self.search.sets)
            table = pd.concat([table, more], axis="columns")
        notes = {name: matches.notes for name, matches in results.matches.items()}
        return chunk_table(
            candidate_table(self._judged(table), self.schema),
            results.found,
            self._told(notes, results.excluded),
            {},
        )

    def _judged(self, table: pd.DataFrame) -> pd.DataFrame:
        """With what antibodies say where none of these patients has a report."""
        if self.judged is None or self.reports:
            return table
        return pd.concat([table, antibody_table([NO_REPORT] * len(table))], axis="columns")

    def _typings(self, found: Iterable[SearchResults]) -> dict[str, str]:
        """Those of all candidates, where antibodies are asked about."""
        if not self.reports:
            return {}
        rows = [m.candidates.rows for one in found for m in one.matches.values()]
        index = self.search.index
        return self.search.registry.typings(sorted({i for r in rows for i in index.ids(r)}))

    def _told(
        self, notes: Mapping[str, Sequence[str]], excluded: Mapping[str, Sequence[str]]
    ) -> dict[str, list[tuple[object, ...]]]:
        """Rows of `TOLD`."""
        antibodies: list[tuple[object, ...]] = []
        of_report: list[tuple[object, ...]] = []
        for patient in notes:
            if patient not in self.reports:
                continue
            profile = self.reports[patient].profile
            of_report += [(patient, note) for note in profile.notes]
            answers = registry_answers(self.search.index.donors, profile)
            counts = answers.count()
            names = ("negative", "not_assessable", "open", "positive")
            own = " | ".join(self.own_type.get(patient, ()))
            left_out = len(excluded.get(patient, ()))
            antibodies.append(
                (patient, len(answers.low), *(counts[name] for name in names), left_out, own)
            )
        return {
            NOTES: [(name, note) for name, all_ in notes.items() for note in all_] + of_report,
            EXCLUDED: [(name, donor) for name, all_ in excluded.items() for donor in all_],
            ANTIBODIES: antibodies,
        }

    @property
    def provenance(self) -> dict[str, object]:
        """What an answer depends on besides the typings, as in `SearchResults`."""
        return {
            "release": self.search.nomenclature.release,
            "index": self.search.index.version,
            "frequency_set": self._label,
            "model": model_label(self.model),
            **(
                _asked_json(self.settings)
                if self.strata is None
                else criteria_json(self.settings.criteria, self.settings.donors)
            ),
            "as_of": self.settings.as_of.isoformat(),
            "best": self.settings.size,
            **({} if self.strata is None else {"strata": self._strata_json}),
            **({} if self.judged is None else {"antibodies": dict(self.judged)}),
        }

    @property
    def _strata_json(self) -> dict[str, object]:
        """By stratum, in their order, what is asked."""
        return {
            name: _asked_json(asked)
            if isinstance(asked, SearchSettings)
            else {"rank_keys": list(asked.keys)}
            for name, asked in (self.strata or {}).items()
        }

    @property
    def _strata_state(self) -> str:
        """All that strata ask, with their rules in full."""
        strata = (self.strata or {}).values()
        rules = [repr(one.rule if isinstance(one, SearchSettings) else one) for one in strata]
        return json.dumps([self._strata_json, rules])

    @property
    def state(self) -> dict[str, str]:
        """What the candidates depend on besides the patients, one text a part."""
        asked = self.settings
        return {
            "the criteria": json.dumps(
                [criteria_json(asked.criteria, asked.donors), asked.nulls.value]
            ),
            "the ranking": repr(asked.rule),
            **({} if self.strata is None else {"the strata": self._strata_state}),
            **({} if self.judged is None else {"the rules of antibodies": json.dumps(self.judged)}),
            "the number of donors a patient": str(asked.size),
            **sources_of(self.search, self.model),
        }

    @property
    def _label(self) -> str:
        return "" if self.search.sets is None else self.search.sets.label


def judged_by(cut_offs: CutOffs, exclude: bool, overrides: Mapping[str, str]) -> dict[str, Any]:
    """The rules by which antibodies are judged, as values of JSON."""
    return {
        "mfi_cut_off": cut_offs.mfi,
        "cumulative_mfi_cut_off": cut_offs.cumulative,
        "exclude": exclude,
        "overrides": dict(overrides),
    }


def _asked_json(settings: SearchSettings) -> dict[str, object]:
    return {
        **criteria_json(settings.criteria, settings.donors),
        "rank_keys": list(settings.rule.keys),
        "rank_bands": list(settings.rule.bands),
    }


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
