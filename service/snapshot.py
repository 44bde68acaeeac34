"""What a running server reads: loaded once, never changed; a promoted model makes a new one."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from data.frequency_store import FrequencyCard, FrequencyFolder
from data.models import ModelsVersion, active_model, active_version, model_label
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from matching.risk import RiskModel
from service.antibodies import ReportReader
from service.config import Settings
from service.frequency_sets import SearchSets
from service.pair_risks import PairRisks
from service.pair_scores import PairScorer
from service.requests import RequestFolder
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
    `pairs`: scores pairs by their typings. `reports`: reads antibody reports.
    `registry`: the store of donors. `sets`: the frequencies of searches, None where no set is in
    use. `search`: None where nothing was imported. `model_label` names the version of the model.
    `home`: the home folder that all of this is from. `models_version`: state of its models then.
    `requests`: of calls that change something.
    `frequencies`, `cards`: the folder that the sets are from, and what it held then.
    """

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    releases: Releases
    registry: Registry
    sets: SearchSets | None
    pairs: PairScorer
    reports: ReportReader
    search: DonorSearch | None
    model: RiskModel
    model_label: str
    home: Settings
    models_version: ModelsVersion
    frequencies: FrequencyFolder
    requests: RequestFolder
    cards: tuple[FrequencyCard, ...]

    @cached_property
    def pair_risks(self) -> PairRisks:
        """Risks of single pairs by the model."""
        return PairRisks(self.model)

    @cached_property
    def models_folder(self) -> Path:
        """The folder of models, asked at every call."""
        return self.home.models

    @property
    def index_version(self) -> str:
        """State of the registry, "" where nothing was imported."""
        return "" if self.search is None else self.search.index.version

    @property
    def described(self) -> str:
        """What is served, for people."""
        return (
            f"release {self.nomenclature.release}, index {self.index_version or 'empty'}, "
            f"frequencies {self.frequency_set or 'none'}, model {self.model_label}"
        )

    @property
    def frequency_set(self) -> str:
        """Names and contents of the sets, "" where there is none."""
        return "" if self.sets is None else self.sets.label


def with_model_in_use(snapshot: Snapshot) -> Snapshot:
    """The snapshot with the model that is in use now; the same one if nothing was promoted since.

    Raises `ModelError` where the model in use cannot be read.
    """
    version = active_version(snapshot.models_folder)
    if version == snapshot.models_version:
        return snapshot
    model = active_model(snapshot.models_folder)
    return replace(snapshot, model=model, model_label=model_label(model), models_version=version)


def changed_data(snapshot: Snapshot) -> dict[str, Any]:
    """Fields of the snapshot for donors and frequencies that are others now, read; {} if none.

    An index that is behind the store, as after an import on another machine, is brought up to date.
    While somebody on this one makes an index with its masses, the donors before stay.
    Raises `StoreError`, `OutputError` and `InputFileError`.
    """
    search, sets, pairs = snapshot.search, snapshot.sets, snapshot.pairs
    registry, nomenclature = snapshot.registry, snapshot.nomenclature
    index = None if search is None else search.index
    if registry.version() not in ("", snapshot.index_version):
        since = 0 if index is None else index.revision
        if not registry.is_being_completed(nomenclature, since):
            index = registry.update_index(nomenclature)
    cards = snapshot.frequencies.choice().cards
    if cards == snapshot.cards:
        cards = snapshot.cards
    else:
        sets = SearchSets.load(snapshot.frequencies, nomenclature, NullImputation.TYPED)
        pairs = PairScorer(nomenclature, snapshot.proteins, sets)
    same = search is not None and index is search.index and sets is snapshot.sets
    if index is not None and not (same and _has_masses(search)):
        found = DonorSearch.of(nomenclature, snapshot.proteins, registry, index, sets)
        # Masses are written after the index.
        if not same or _has_masses(found):
            search = found
            search.prepare()
    now = {"search": search, "sets": sets, "pairs": pairs, "cards": cards}
    return {name: value for name, value in now.items() if value is not getattr(snapshot, name)}


def _has_masses(search: DonorSearch | None) -> bool:
    """Whether nothing is left that may still be written."""
    return search is None or search.masses is None or search.masses.is_complete


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
    frequencies = FrequencyFolder(settings.frequencies)
    # Before the sets are read, so that an import in between is seen later.
    cards = frequencies.choice().cards
    is_searched = store.holds_donors()

    def read_sets() -> SearchSets | None:
        sets = SearchSets.load(frequencies, nomenclature, NullImputation.TYPED)
        if sets is not None and is_searched:
            sets.prepare()
        return sets

    # Both are mostly reading, checking and sorting, which leave the interpreter to each other.
    with ThreadPoolExecutor(1) as beside:
        reading = beside.submit(read_sets)
        proteins = folder.proteins(nomenclature.release)
        # In this thread, since it is made here where there is none, which an interrupt ends.
        index = store.index(nomenclature) if is_searched else None
        # Before the model is read, so that a promotion in between is seen at the next call.
        version = active_version(settings.models)
        model = active_model(settings.models)
        sets = reading.result()
    search = None
    if index is not None:
        search = DonorSearch.of(nomenclature, proteins, store, index, sets)
    return Snapshot(
        nomenclature,
        proteins,
        Releases(folder, nomenclature),
        store,
        sets,
        PairScorer(nomenclature, proteins, sets),
        ReportReader.of(nomenclature, proteins),
        search,
        model,
        model_label(model),
        settings,
        version,
        frequencies,
        RequestFolder(settings.requests),
        cards,
    )
