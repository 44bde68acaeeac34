"""What a running server reads: loaded once, never changed; a promoted model makes a new one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from data.frequency_store import FrequencyFolder
from data.index import StoredIndex
from data.models import ModelsVersion, active_model, active_version, model_label
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from service.config import Settings
from service.imputation import imputer_of


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
    `index`: None where nothing was imported. `registry`: the store behind it, which only the
    reported typings of candidates are read from; it may be newer than the index.
    `frequencies`: None where no set is in use. `frequency_set` and `model_label` name the versions.
    `models`, `models_version`: the folder that the model is from, and its state then.
    `frequency_sets`: the folder that the frequencies are from.
    """

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    releases: Releases
    registry: Registry
    index: StoredIndex | None
    frequency_set: str
    frequencies: FrequencySet | None
    model: RiskModel
    model_label: str
    models: Path
    models_version: ModelsVersion
    frequency_sets: FrequencyFolder

    @property
    def index_version(self) -> str:
        """State of the registry, "" where nothing was imported."""
        return "" if self.index is None else self.index.version

    @property
    def described(self) -> str:
        """What is served, for people."""
        return (
            f"release {self.nomenclature.release}, index {self.index_version or 'empty'}, "
            f"frequencies {self.frequency_set or 'none'}, model {self.model_label}"
        )

    def imputer(self) -> Imputer | None:
        """A new imputer, for one call and one thread; None without frequencies.

        It is not shared, since it remembers every typing that it has read.
        """
        if self.frequencies is None:
            return None
        return imputer_of(
            self.frequencies, self.nomenclature, NullImputation.TYPED, Resolution.P_GROUP
        )


def with_model_in_use(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the model that is in use now; the same one if nothing was promoted since.

    Raises `ModelError` where the model in use cannot be read.
    """
    version = active_version(snapshot.models)
    if version == snapshot.models_version:
        return snapshot
    model = active_model(snapshot.models)
    return replace(snapshot, model=model, model_label=model_label(model), models_version=version)


def changed_data(snapshot: Snapshot) -> dict[str, Any]:
    """Fields of the snapshot for donors and frequencies that are others now, read; {} if none.

    An index that is behind the store, as after an import on another machine, is brought up to date.
    Raises `StoreError`, `OutputError` and `InputFileError`.
    """
    changes: dict[str, Any] = {}
    if snapshot.registry.version() not in ("", snapshot.index_version):
        changes["index"] = snapshot.registry.update_index(snapshot.nomenclature)
    release = snapshot.nomenclature.release
    if snapshot.frequency_sets.label_for(release) != snapshot.frequency_set:
        label, frequencies = snapshot.frequency_sets.active_for(release) or ("", None)
        changes |= {"frequency_set": label, "frequencies": frequencies}
    if changes:
        # So that a set that cannot be used is known now and not at the first search.
        replace(snapshot, **changes).imputer()
    return changes


def load_snapshot(
    settings: Settings, release: str | None = None, registry: str | Path | None = None
) -> Snapshot:
    """Everything that is in use in a home folder; the newest release if none is named.

    Raises `NomenclatureError`, `StoreError`, `InputFileError` (frequencies that are damaged or lack
    a locus of P(10/10)) and `ModelError`.
    """
    folder = ReferenceFolder(settings.reference)
    nomenclature = folder.open(release or folder.latest())
    store = settings.open_registry(registry)
    sets = FrequencyFolder(settings.frequencies)
    active = sets.active_for(nomenclature.release)
    label, frequencies = active or ("", None)
    # Before the model is read, so that a promotion in between is seen at the next call.
    version = active_version(settings.models)
    model = active_model(settings.models)
    snapshot = Snapshot(
        nomenclature,
        folder.proteins(nomenclature.release),
        Releases(folder, nomenclature),
        store,
        store.index(nomenclature) if store.holds_donors() else None,
        label,
        frequencies,
        model,
        model_label(model),
        settings.models,
        version,
        sets,
    )
    # So that a set that cannot be used is known now and not at the first search.
    snapshot.imputer()
    return snapshot
