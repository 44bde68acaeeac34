"""What a running server reads: loaded once, never changed; a promoted model makes a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from data.frequency_store import FrequencyFolder
from data.models import ModelsVersion, active_model, active_version, model_label
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from service.config import Settings
from service.frequency_sets import SearchSets
from service.search import DonorSearch


@dataclass
class Releases:
    """The installed releases, opened when they are first asked for; `current` is in use."""

    folder: ReferenceFolder
    current: Nomenclature
    _opened: dict[str, Nomenclature] = field(init=False, repr=False, default_factory=dict)

    def of(self, release: str) -> Nomenclature:
        """A release, the one in use for "". Raises `NomenclatureError`."""
        if release in ("", self.current.release):
            return self.current
        if release not in self._opened:
            self._opened[release] = self.folder.open(release)
        return self._opened[release]


@dataclass(frozen=True)
class Snapshot:
    """Release, donors, frequencies and model of a server.

    `proteins`: protein sequences of the release by allele name, empty where there are none.
    `sets`: the frequencies of searches, None where no set is in use. `search`: None where nothing
    was imported. `model_label` names the version of the model.
    `models`, `models_version`: the folder that the model is from, and its state then.
    """

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    releases: Releases
    sets: SearchSets | None
    search: DonorSearch | None
    model: RiskModel
    model_label: str
    models: Path
    models_version: ModelsVersion

    @property
    def index_version(self) -> str:
        """State of the registry, "" where nothing was imported."""
        return "" if self.search is None else self.search.index.version

    @property
    def frequency_set(self) -> str:
        """Names and contents of the sets, "" where there is none."""
        return "" if self.sets is None else self.sets.label


def with_model_in_use(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the model that is in use now; the same one if nothing was promoted since.

    Raises `ModelError` where the model in use cannot be read.
    """
    version = active_version(snapshot.models)
    if version == snapshot.models_version:
        return snapshot
    model = active_model(snapshot.models)
    return replace(snapshot, model=model, model_label=model_label(model), models_version=version)


def load_snapshot(
    settings: Settings, release: str | None = None, registry: str | Path | None = None
) -> Snapshot:
    """Everything that is in use in a home folder; the newest release if none is named.

    Raises `NomenclatureError`, `StoreError`, `InputFileError` (frequencies that are damaged or lack
    a locus of P(10/10)) and `ModelError`.
    """
    folder = ReferenceFolder(settings.reference)
    nomenclature = folder.open(release or folder.latest())
    store = Registry.at(settings.registry_place(registry), settings.home)
    sets = SearchSets.load(
        FrequencyFolder(settings.frequencies), nomenclature, NullImputation.TYPED
    )
    proteins = folder.proteins(nomenclature.release)
    search = None
    if store.holds_donors():
        index = store.index(nomenclature)
        search = DonorSearch.of(nomenclature, proteins, store, index, sets)
    # Before the model is read, so that a promotion in between is seen at the next call.
    version = active_version(settings.models)
    model = active_model(settings.models)
    return Snapshot(
        nomenclature,
        proteins,
        Releases(folder, nomenclature),
        sets,
        search,
        model,
        model_label(model),
        settings.models,
        version,
    )
