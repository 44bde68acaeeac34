"""The chunks of a batch, searched by the workers of a Dask cluster.

Each worker opens release, index, frequency sets and model from files, by their path. A shard is a
range of rows of the index; every patient is searched in every shard, and of what two shards found
the best is kept, in a tree. What can be among the best is decided by keys that each donor has for
itself; the ranking, in which a donor's risk counts against that of the others, comes once, at the
end. So the answer is that of one machine.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from distributed import Client, Future, KilledWorker, LocalCluster, as_completed
from distributed.client import FutureCancelledError

from data.donor_files import Person
from data.nomenclature import ReferenceFolder
from matching.antibodies import Bead, CutOffs, Names, Profile, PublicEpitopes
from matching.donor_index import DonorIndex
from matching.errors import GraftmatchError, StoreError
from matching.family import HaploidenticalRule
from matching.genotypes import encode
from matching.haplotypes import NullImputation
from matching.pipeline import Matches
from matching.risk import RiskModel
from matching.search import Candidates
from matching.sequences import Domains
from matching.typings import Typing, typing_of
from service.batch.search import BatchSearch, load_search, sources_of
from service.config import Settings
from service.masses import CandidateProbabilities, Outcome
from service.ranking import Ranker
from service.relatives import Families
from service.search import AntibodyUse, DonorSearch, SearchSettings, results_of, wanted_of

CONNECT_SECONDS = 10
# Chunks that a worker has before it, so that none waits for the next.
CHUNKS_AT_ONCE = 2
# Keys that every donor has for itself and that cost little.
_OWN_KEYS = ("antibody", "p10", "p9", "mismatches_best", "mismatches_worst", "tce", "age")
# Where one candidate has no probability for these reasons, none has.
_OF_ALL = (Outcome.PATIENT_UNREPRESENTED, Outcome.NO_FREQUENCY_SET, Outcome.NOT_REQUESTED)


@dataclass(frozen=True)
class Place:
    """Where workers find what they search with, and in what state; nothing of it is sent.

    `home`, `registry`: as in `Settings`. `sources`: see `BatchSearch.sources`.
    """

    home: Path
    registry: str
    release: str
    sources: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Asked:
    """What is asked of every patient, as it is sent to workers; the fields as in `BatchSearch`.

    `beads`: of the reports of antibodies, by patient, of which workers make profiles.
    """

    settings: SearchSettings
    strata: Mapping[str, SearchSettings | HaploidenticalRule] | None = None
    beads: Mapping[str, tuple[Bead, ...]] = field(default_factory=dict)
    own_type: Mapping[str, Sequence[str]] = field(default_factory=dict)
    judged: Mapping[str, Any] | None = None
    families: Families | None = None

    @classmethod
    def of(cls, search: BatchSearch) -> Asked:
        """What a search asks."""
        beads = {
            patient: tuple(read.bead for read in use.profile.beads)
            for patient, use in search.reports.items()
        }
        return cls(
            *(search.settings, search.strata, beads, search.own_type, search.judged),
            search.families,
        )

    def of_patients(self, people: Sequence[Person]) -> Asked:
        """The same without what is of other patients."""
        names = {person.id for person in people}
        families = self.families
        if families is not None:
            families = Families(
                {name: one for name, one in families.results.items() if name in names},
                {name: one for name, one in families.reasons.items() if name in names},
            )
        return replace(
            self,
            beads={name: one for name, one in self.beads.items() if name in names},
            own_type={name: one for name, one in self.own_type.items() if name in names},
            families=families,
        )

    def search(self, place: Place) -> BatchSearch:
        """The same search on a worker."""
        uses: dict[str, AntibodyUse] = {}
        if self.judged is not None and self.beads:
            rules = self.judged
            cut_offs = CutOffs(rules["mfi_cut_off"], rules["cumulative_mfi_cut_off"])
            names, epitopes = _judging(place, self.settings.nulls)
            for patient, beads in self.beads.items():
                profile = Profile(names, epitopes, beads, cut_offs)
                uses[patient] = AntibodyUse(profile, rules["exclude"], rules["overrides"])
        return BatchSearch(
            *_opened(place, self.settings.nulls),
            self.settings,
            strata=self.strata,
            reports=uses,
            own_type=self.own_type,
            judged=self.judged,
            families=self.families,
        )


@dataclass(frozen=True)
class Part:
    """What is left of a patient's candidates: rows of the index, ascending; `found` there were,
    without those who were `excluded` for antibodies."""

    rows: npt.NDArray[np.int64]
    probabilities: CandidateProbabilities
    found: int
    excluded: tuple[str, ...]


# By stratum, "" where there are none, a part for each patient.
_Parts = Mapping[str, Sequence[Part]]


@dataclass(frozen=True)
class _Chunk:
    """What every task of a chunk of patients is given."""

    place: Place
    asked: Asked
    people: Sequence[Person]

    def find(self, shard: int, n_shards: int) -> _Parts:
        """What each patient finds in one of several shards."""
        search = self.asked.search(self.place)
        donors = _shard(self.place, self.asked.settings.nulls, shard, n_shards)
        return {
            name: [_found(search, settings, person, donors) for person in self.people]
            for name, settings in search.registry.items()
        }

    def merge(self, *shards: _Parts) -> _Parts:
        """The best of what several shards found, which are in the order of their rows."""
        search = self.asked.search(self.place)
        return {
            name: [
                _best(search, settings, person, _joined(parts))
                for person, *parts in zip(
                    self.people, *(shard[name] for shard in shards), strict=True
                )
            ]
            for name, settings in search.registry.items()
        }

    def finish(self, parts: _Parts) -> pa.Table:
        """The ranked candidates, as `BatchSearch.run` gives them."""
        search = self.asked.search(self.place)
        registry = {}
        for name, settings in search.registry.items():
            pages = {}
            for person, part in zip(self.people, parts[name], strict=True):
                patient, use = typing_of(person.written), search.reports.get(person.id)
                page = search.search.ranked(
                    *(patient, person.facts, search.model, settings),
                    *(_matches(search, settings, patient, part), part.probabilities),
                    None if use is None else use.profile,
                )
                pages[person.id] = replace(page, found=part.found, excluded=part.excluded)
            registry[name] = results_of(pages, search.search, search.model, settings)
        return search.table(self.people, registry)


def _found(
    search: BatchSearch, settings: SearchSettings, person: Person, donors: DonorIndex
) -> Part:
    found, probable = search.search.candidates(
        *(typing_of(person.written), person.facts, settings),
        wanted=wanted_of(person, settings),
        donors=donors,
    )
    use = search.reports.get(person.id)
    excluded: tuple[str, ...] = ()
    if use is not None and use.exclude:
        kept, excluded = search.search.without_positive(found, use)
        found, probable = found.take(kept), probable.take(kept)
    part = Part(found.candidates.rows, probable, len(found), excluded)
    return _best(search, settings, person, part)


def _best(search: BatchSearch, settings: SearchSettings, person: Person, part: Part) -> Part:
    """The candidates that may be among the best, whatever others there are."""
    size, rule, probable = settings.size, settings.rule, part.probabilities
    own = next((i for i, key in enumerate(rule.keys) if key not in _OWN_KEYS), len(rule.keys))
    # Whether the keys are those with or without probabilities, all candidates decide together.
    known = bool(np.isfinite(probable.p[:, :2]).any())
    known |= bool(np.isin(probable.outcomes, _OF_ALL).any())
    if size is None or size >= len(part.rows) or not own or not known:
        return part
    patient, use = typing_of(person.written), search.reports.get(person.id)
    inner = search.search
    ranker = Ranker(
        replace(rule, keys=rule.keys[:own]),
        inner.index,
        settings.as_of,
        search.model,
        inner.leaders,
        settings.criteria,
        inner.mothers,
        None if use is None else use.profile,
    )
    found = _matches(search, settings, patient, part)
    ranking = ranker.rank(patient, person.facts, found, probable.p[:, :2])
    tied = (ranking.values == ranking.values[size - 1]).all(axis=1)
    kept = np.sort(ranking.order[: np.flatnonzero(tied)[-1] + 1])
    return replace(part, rows=part.rows[kept], probabilities=probable.take(kept))


def _matches(search: BatchSearch, settings: SearchSettings, patient: Typing, part: Part) -> Matches:
    genotype = encode(patient, search.search.nomenclature)
    donors, loci = search.search.index.donors, tuple(settings.criteria.loci)
    return Matches(Candidates(donors, genotype, loci, part.rows), genotype.notes)


def _joined(parts: Sequence[Part]) -> Part:
    probable = [part.probabilities for part in parts]
    return Part(
        np.concatenate([part.rows for part in parts]),
        CandidateProbabilities(
            np.concatenate([one.p for one in probable]),
            np.concatenate([one.outcomes for one in probable]),
            max(one.dropped for one in probable),
            np.concatenate([one.missing for one in probable]),
        ),
        sum(part.found for part in parts),
        tuple(name for part in parts for name in part.excluded),
    )


@cache
def _opened(place: Place, nulls: NullImputation) -> tuple[DonorSearch, RiskModel]:
    """Everything of a place, opened once in a process. Raises `StoreError` for another state."""
    home = Settings(home=place.home, registry=place.registry)
    nomenclature = ReferenceFolder(home.reference).open(place.release)
    opened = load_search(home, None, nomenclature, nulls)
    here = sources_of(*opened)
    if changed := [name for name, value in place.sources if here[name] != value]:
        raise StoreError(
            f"on a worker {', '.join(changed)} of {place.home} are not those of the batch; give "
            "all machines the same folder"
        )
    return opened


@cache
def _judging(place: Place, nulls: NullImputation) -> tuple[Names, PublicEpitopes]:
    """What profiles of antibodies are made with, once in a process."""
    nomenclature = _opened(place, nulls)[0].nomenclature
    proteins = ReferenceFolder(Settings(home=place.home).reference).proteins(place.release)
    return Names(nomenclature), PublicEpitopes(Domains(nomenclature, proteins))


@cache
def _shard(place: Place, nulls: NullImputation, shard: int, n_shards: int) -> DonorIndex:
    return _opened(place, nulls)[0].index.donors.shard(shard, n_shards)


@contextmanager
def cluster(scheduler: str | None, workers: int) -> Iterator[Client]:
    """A client of a scheduler, or of worker processes on this machine.

    Raises `GraftmatchError` where there is no scheduler or no worker, and where the block fails as
    these die.
    """
    try:
        with ExitStack() as stack:
            if scheduler is None:
                # The numeric kernels have threads of their own.
                here = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    # Without one a server of the scheduler takes a fixed port, for all to reach.
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
                client = Client(stack.enter_context(here))
            else:
                client = _connected(scheduler)
            stack.enter_context(client)
            if not client.scheduler_info(n_workers=-1)["workers"]:
                raise GraftmatchError(
                    "the scheduler has no workers; start some, then run the command again"
                )
            yield client
    except KilledWorker as error:
        raise GraftmatchError(
            f"workers died again and again at the same task: {error}; give them more memory, or "
            "to a batch more shards with --shards, then run the command again"
        ) from error
    except FutureCancelledError as error:
        raise GraftmatchError(
            f"the scheduler at {scheduler} has gone: start it, then run the command again"
        ) from error


def _connected(scheduler: str) -> Client:
    try:
        return Client(scheduler, timeout=CONNECT_SECONDS)
    except OSError as error:
        raise GraftmatchError(
            f"no scheduler answers at {scheduler}: {error}; start one, or leave out --scheduler"
        ) from error


def on_cluster(
    client: Client,
    place: Place,
    asked: Asked,
    chunks: Sequence[Sequence[Person]],
    left: Iterable[int],
    n_shards: int | None,
    progress: Callable[[int], object],
) -> Iterator[tuple[int, pa.Table]]:
    """Chunks and their candidates as they get done, as `in_threads` gives them.

    `left`: numbers of the chunks to search. `n_shards`: by default one for each machine, whose
    workers read the same files. A task whose worker dies is done again by another one.
    """
    known = client.scheduler_info(n_workers=-1)["workers"]
    workers = sorted(known, key=lambda address: (known[address]["host"], address))
    n_shards = n_shards or len({worker["host"] for worker in known.values()})
    waiting = iter(left)
    running: dict[Future[Any], int] = {}

    def begin(n: int) -> list[Future[Any]]:
        begun = []
        for number in islice(waiting, n):
            people = chunks[number]
            chunk = _Chunk(place, asked.of_patients(people), people)
            begun.append(_submitted(client, chunk, n_shards, workers))
            running[begun[-1]] = number
        return begun

    done = as_completed(begin(CHUNKS_AT_ONCE * len(workers)))
    try:
        for future in done:
            number = running.pop(future)
            table = future.result()
            done.update(begin(1))
            progress(len(chunks[number]))
            yield number, table
    finally:
        client.cancel(list(running))


def _submitted(client: Client, chunk: _Chunk, n_shards: int, workers: Sequence[str]) -> Future[Any]:
    """The tasks of a chunk: its shards, and of two parts the best, until one is left.

    `workers`: those of a machine beside each other.
    """
    parts = [
        client.submit(
            chunk.find,
            *(shard, n_shards),
            # Each shard has workers that opened it before, and others need not do it.
            workers=_share(workers, shard, n_shards),
            allow_other_workers=True,
            pure=False,
        )
        for shard in range(n_shards)
    ]
    while len(parts) > 1:
        pairs = (parts[i : i + 2] for i in range(0, len(parts), 2))
        parts = [
            client.submit(chunk.merge, *pair, pure=False) if len(pair) == 2 else pair[0]
            for pair in pairs
        ]
    return client.submit(chunk.finish, parts[0], pure=False)


def _share(workers: Sequence[str], shard: int, n_shards: int) -> Sequence[str]:
    """The workers of one of several shards: one, or its part of them where they are more."""
    first, end = (len(workers) * i // n_shards for i in (shard, shard + 1))
    return workers[first : max(end, first + 1)]
