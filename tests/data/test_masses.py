"""Masses beside the segments of an index: written once, for the sets, and gone with the index."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data.donor_files import Person
from data.frequencies import read_frequencies
from data.frequency_store import FrequencyFolder
from data.index import (
    MIXED,
    DamagedIndexError,
    IndexMasses,
    MassSets,
    StoredIndex,
    fill_masses,
    open_masses,
    update_index,
)
from data.registry import ImportSummary, Registry
from data.synthetic import simulate
from matching.errors import StoreError
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.nomenclature import Nomenclature
from matching.probability import predict
from matching.typings import Typing, parse_typing, split_gl
from service.ancestry import FIVE, IMPORTED, Ancestries, ancestries
from service.frequency_sets import SearchSets
from service.imputation import impute_by_ancestry
from service.masses import CandidateProbabilities, Outcome, candidate_probabilities
from tests.data.index_source import MemoryStore
from tests.data.indexed import rows

N_DONORS = 1500
PATIENT = "A*02:01+A*01:01^B*07:02+B*08:01^DRB1*15:01+DRB1*03:01"
DAY = datetime.date(2026, 1, 1)


def embedded(demo: Nomenclature, nulls: NullImputation = NullImputation.TYPED) -> SearchSets:
    """The embedded set alone."""
    found = SearchSets.load(FrequencyFolder(Path("nowhere")), demo, nulls)
    assert found is not None
    return found


def changed(source: FrequencySet, population: str, registry: str, seed: int) -> FrequencySet:
    """Most haplotypes of a set, with other frequencies."""
    rng = np.random.default_rng(seed)
    kept = rng.random(len(source.frequencies)) < 0.8
    values = source.frequencies[kept] * rng.uniform(0.1, 1, kept.sum())
    return replace(
        source,
        population=population,
        registry=registry,
        haplotypes=source.haplotypes[kept],
        frequencies=values / values.sum(),
    )


@pytest.fixture
def folder(tmp_path: Path, demo: Nomenclature) -> FrequencyFolder:
    """Sets of a population, of a population and registry, of a registry, and the one in use."""
    (source,) = read_frequencies("demo")
    found = FrequencyFolder(tmp_path / "frequencies")
    labels = [("P", ""), ("P", "SIMULATED"), ("Q", ""), ("global", "ELSE"), ("W", "")]
    for seed, (population, registry) in enumerate(labels):
        one = changed(source, population, registry, seed)
        found.store(one, f"{population}{registry}", demo, DAY, "made up", f"{seed:064}", FIVE)
    return found


def several(folder: FrequencyFolder, demo: Nomenclature) -> SearchSets:
    """Those sets."""
    found = SearchSets.load(folder, demo, NullImputation.TYPED)
    assert found is not None
    return found


@pytest.fixture
def registry(demo: Nomenclature, tmp_path: Path) -> Registry:
    """Simulated donors of several ancestries, and one whose loci are in phase."""
    (source,) = read_frequencies("demo")
    people = [replace(source, population=name) for name in ("P", "Q", "P+Q", "unheard of")]
    simulate(tmp_path / "people", people, demo, N_DONORS, 1, 5)
    found = Registry(tmp_path / "registry")
    found.import_file(tmp_path / "people/donors.csv", demo, tmp_path / "rejects.csv")
    add(found, demo, tmp_path, "PHASED,A*02:01~B*07:02+A*01:01~B*08:01^DRB1*15:01+DRB1*03:01,Q,")
    elsewhere = "ELSE,A*02:01+A*01:01^B*07:02+B*08:01,unheard of,ELSE"
    add(found, demo, tmp_path, elsewhere, "OTHER,A*02:01+A*01:01^B*07:02+B*08:01,P,OTHER")
    return found


def add(registry: Registry, demo: Nomenclature, folder: Path, *records: str) -> None:
    path = folder / f"more{len(list(folder.iterdir()))}.csv"
    path.write_text("\n".join(["id,gl,ancestry,registry", *records]) + "\n")
    summary = registry.import_file(path, demo, folder / "rejects.csv")
    assert summary.new + summary.updated == len(records)


def in_pairs(
    registry: Registry, index: StoredIndex, under: Ancestries, nulls: NullImputation
) -> npt.NDArray[np.float64]:
    """P(0, 1, 2 mismatches) of every donor, as `predict` has it."""
    every = rows(index)
    facts = index.facts(every).to_dict(orient="records")
    texts = registry.typings(index.ids(every))
    donors = [
        Person(str(i), {str(k): v for k, v in one.items()}, split_gl(texts[name]))
        for i, (one, name) in enumerate(zip(facts, index.ids(every), strict=True))
    ]
    patient = Person("patient", {"ancestry": "P", "registry": "SIMULATED"}, split_gl(PATIENT))
    imputer = Imputer(under.populations.shared, index.nomenclature, nulls, Resolution.P_GROUP)
    mine = impute_by_ancestry(imputer, [patient], under)
    theirs = impute_by_ancestry(imputer, donors, under)
    expected = np.full((len(donors), 3), np.nan)
    found = predict(imputer, (mine.imputed.codes, mine.imputed.weights), theirs.imputed)
    expected[np.array(theirs.names, dtype=np.int64)] = found.p_mismatches
    return expected


def all_typings(
    registry: Registry, index: StoredIndex, wanted: npt.NDArray[np.int64]
) -> list[Typing]:
    names = index.ids(wanted)
    texts = registry.typings(names)
    return [parse_typing(texts[name]) for name in names]


def probabilities(
    registry: Registry,
    sets: SearchSets,
    masses: IndexMasses,
    asked: list[int],
    patient: str = PATIENT,
) -> CandidateProbabilities:
    """Of every donor; `asked` gets the rows whose typing was asked for."""

    def typings_of(wanted: npt.NDArray[np.int64]) -> list[Typing]:
        asked.extend(wanted.tolist())
        return all_typings(registry, masses.index, wanted)

    prior = sets.prior("P", "SIMULATED")
    typing, every = parse_typing(patient), rows(masses.index)
    return candidate_probabilities(sets, masses, typing, prior, every, typings_of, 2)


def check(
    registry: Registry, sets: SearchSets, masses: IndexMasses, under: Ancestries
) -> npt.NDArray[np.float64]:
    """Equal to pairwise prediction, which is asked for few; returns the probabilities."""
    asked: list[int] = []
    index, every = masses.index, rows(masses.index)
    found = probabilities(registry, sets, masses, asked)
    expected = in_pairs(registry, index, under, sets.nulls)
    assert found.p == pytest.approx(expected, rel=1e-9, abs=0, nan_ok=True)
    assert (expected > 0).sum() > 50 and found.dropped == 0
    (phased,) = np.flatnonzero(np.array(index.ids(every)) == "PHASED")
    assert every[phased] in asked and found.p[phased, 0] > 0
    assert not found.missing.any()
    mixed = set(every[masses.of(every).sets == MIXED].tolist())
    assert mixed <= set(asked) and 0 < len(set(asked) - mixed) < len(every) / 10
    return found.p


def test_what_is_left_out_of_an_ambiguous_patient_is_said(
    registry: Registry, demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets = embedded(demo)
    masses = registry.fill_masses(demo, sets.masses)
    patient = "A*02:01+A*01:01"
    whole = probabilities(registry, sets, masses, [], patient)
    monkeypatch.setattr("service.masses.MANY_GENOTYPES", 1)
    monkeypatch.setattr("service.masses.LEFT_OUT", 0.2)
    cut = probabilities(registry, sets, masses, [], patient)
    assert whole.dropped == 0 < cut.dropped <= 0.2
    lost = whole.p - cut.p
    assert np.nanmax(lost) > 0
    assert np.nanmin(lost) > -1e-12 and np.nanmax(lost) < cut.dropped + 1e-12
    assert np.array_equal(np.isnan(whole.p), np.isnan(cut.p))


def test_masses_of_a_registry_equal_pairwise_prediction_through_its_changes(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    sets = embedded(demo)
    under = sets.under
    before = open_masses(registry.index(demo), sets.masses)
    assert not before.is_complete and before.of(rows(before.index)).missing.all()
    done: list[int] = []
    check(registry, sets, registry.fill_masses(demo, sets.masses, done.append), under)
    assert done == sorted(done) and done[-1] == N_DONORS + 3

    # A donor that changes and one that comes lie in a segment of their own.
    add(
        registry,
        demo,
        tmp_path,
        "NEW1,A*02:01+A*01:01^B*07:02+B*08:01,,",
        "D00000003,A*01:01+A*01:01,,",
    )
    stale = open_masses(registry.index(demo), sets.masses)
    assert not stale.is_complete
    every = rows(stale.index)
    missing = stale.of(every).missing
    assert sorted(np.array(stale.index.ids(every))[missing]) == ["D00000003", "NEW1"]
    partly = probabilities(registry, sets, stale, [])
    expected = in_pairs(registry, stale.index, under, sets.nulls)
    assert partly.p == pytest.approx(expected, rel=1e-9, abs=0, nan_ok=True)
    assert np.array_equal(partly.missing, missing)
    filled = registry.fill_masses(demo, sets.masses)
    assert filled.is_complete
    check(registry, sets, filled, under)
    # They are read back by others, and other options have masses of their own.
    again = embedded(demo)
    check(registry, again, open_masses(registry.index(demo), again.masses), under)
    partner = embedded(demo, NullImputation.PARTNER)
    assert set(open_masses(registry.index(demo), partner.masses).segments) == {None}
    check(registry, partner, registry.fill_masses(demo, partner.masses), partner.under)
    assert open_masses(registry.index(demo), sets.masses).is_complete


def test_each_donor_has_masses_under_the_set_of_its_own(
    registry: Registry, demo: Nomenclature, folder: FrequencyFolder
) -> None:
    sets = several(folder, demo)
    assert sets.label.startswith("W@") and sets.label.count("+") == 4
    # The same choice as `predict --by-ancestry --frequencies imported` makes.
    under = ancestries(IMPORTED, None, True, None, folder)
    masses = registry.fill_masses(demo, sets.masses)
    found = check(registry, sets, masses, under)
    every = rows(masses.index)
    numbers = masses.of(every).sets
    by_name = dict(zip(masses.index.ids(every), numbers.tolist(), strict=True))
    labels = sets.masses.labels
    assert labels[by_name["ELSE"]] == "globalELSE" and labels[by_name["OTHER"]] == "P"
    assert {labels[n] for n in numbers if n != MIXED} == set(labels)
    assert 0.2 < (numbers == MIXED).mean() < 0.3
    # Another set in use is another choice, and takes the place of the one before.
    (folder.root / "active.json").write_text(json.dumps({"name": "Q"}))
    other = several(folder, demo)
    assert not open_masses(masses.index, other.masses).is_complete
    changed_p = check(registry, other, registry.fill_masses(demo, other.masses), ancestries(
        IMPORTED, None, True, None, folder
    ))  # fmt: skip
    assert not np.array_equal(found, changed_p, equal_nan=True)
    assert not open_masses(masses.index, sets.masses).is_complete


def test_an_import_fills_in_the_masses_behind_the_counts(
    registry: Registry, demo: Nomenclature, tmp_path: Path, folder: FrequencyFolder
) -> None:
    sets = several(folder, demo)
    path = tmp_path / "people/donors.csv"
    seen: list[bool] = []

    def searchable(summary: ImportSummary) -> MassSets:
        index = registry.index(demo)
        assert len(index.donors) == N_DONORS + 3 and summary.read == N_DONORS
        seen.append(open_masses(index, sets.masses).is_complete)
        return sets.masses

    # Nothing is new in the file, and the masses were missing all the same.
    registry.import_file(path, demo, tmp_path / "rejects.csv", masses=searchable)
    assert seen == [False] and open_masses(registry.index(demo), sets.masses).is_complete
    fresh = Registry(tmp_path / "fresh")
    fresh.import_file(path, demo, tmp_path / "rejects.csv", masses=lambda _: sets.masses)
    found = open_masses(fresh.index(demo), sets.masses)
    assert found.is_complete
    # The typings that the import still held give the same as those of the store.
    every = rows(found.index)
    names = found.index.ids(every)
    of_name = dict(zip(registry.index(demo).ids(rows(registry.index(demo))), open_masses(
        registry.index(demo), sets.masses
    ).of(rows(registry.index(demo))).total, strict=True))  # fmt: skip
    expected = [of_name[name] for name in names]
    assert found.of(every).total == pytest.approx(expected, rel=1e-12, nan_ok=True)


def test_masses_belong_to_the_state_of_the_index(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    index = registry.index(demo)
    add(registry, demo, tmp_path, "NEW1,A*02:01+A*01:01,,")
    with registry.opened() as source, pytest.raises(StoreError, match="up to date"):
        fill_masses(index, source, embedded(demo).masses)


def test_a_damaged_file_is_named(registry: Registry, demo: Nomenclature) -> None:
    sets = embedded(demo).masses
    masses = registry.fill_masses(demo, sets)
    (file,) = (masses.index.root / masses.index.manifest.segments[0].name).glob("masses-*/*.bin")
    content = file.read_bytes()
    file.write_bytes(content[:-8])
    with pytest.raises(DamagedIndexError, match=r"columns\.bin"):
        open_masses(masses.index, sets)
    file.write_bytes(b"\xff" * len(content))
    with pytest.raises(DamagedIndexError, match="consistent"):
        open_masses(masses.index, sets)


def test_a_patient_whom_the_set_does_not_represent_is_unknown(
    registry: Registry, demo: Nomenclature
) -> None:
    sets = embedded(demo)
    masses = registry.fill_masses(demo, sets.masses)
    every = rows(masses.index)
    patient = parse_typing("A*NEW+A*01:01")
    found = candidate_probabilities(sets, masses, patient, sets.prior("", ""), every, lambda _: [])
    assert np.isnan(found.p).all() and not found.missing.any()
    assert set(found.outcomes) == {Outcome.PATIENT_UNREPRESENTED}


def test_donors_that_cannot_be_read_keep_nobody_from_having_masses(
    demo: Nomenclature, tmp_path: Path
) -> None:
    """As those whose names the release does not have, when a registry goes on to it."""
    readable = {"a": "A*01:01+A*02:01"}
    store = MemoryStore().change({"D1": readable, "D2": {"a": "A*99:99+A*01:01"}})
    index = update_index(tmp_path / "index", store, demo)
    assert (len(index), index.n_unreadable) == (1, 1)
    sets = embedded(demo).masses
    found = fill_masses(index, store, sets).of(rows(index))
    assert found.total[0] > 0 and not found.missing[0]
    only = MemoryStore().change({"D1": readable})
    alone = update_index(tmp_path / "alone", only, demo)
    assert fill_masses(alone, only, sets).of(rows(alone)).total.tolist() == found.total.tolist()
