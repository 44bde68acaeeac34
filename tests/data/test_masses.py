"""Masses beside the segments of an index: written once, for each set, and gone with the index."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from data.frequencies import read_frequencies
from data.index import DamagedIndexError, IndexMasses, StoredIndex, fill_masses, open_masses
from data.registry import Registry
from data.synthetic import simulate
from matching.errors import StoreError
from matching.haplotypes import Imputer, NullImputation, Resolution
from matching.masses import MassTables
from matching.nomenclature import Nomenclature
from matching.probability import predict
from matching.typings import Typing, parse_typing
from service.ancestry import FIVE
from service.imputation import impute_people
from service.masses import candidate_probabilities
from tests.data.indexed import rows

N_DONORS = 1500
PATIENT = "A*02:01+A*01:01^B*07:02+B*08:01^DRB1*15:01+DRB1*03:01"


def tables_of(demo: Nomenclature, nulls: NullImputation = NullImputation.TYPED) -> MassTables:
    (source,) = read_frequencies("demo")
    return MassTables(Imputer(source.over(FIVE), demo, nulls, Resolution.P_GROUP))


@pytest.fixture
def registry(demo: Nomenclature, tmp_path: Path) -> Registry:
    """Simulated donors, and one whose loci are in phase."""
    simulate(tmp_path / "people", read_frequencies("demo"), demo, N_DONORS, 1, 5)
    found = Registry(tmp_path / "registry")
    found.import_file(tmp_path / "people/donors.csv", demo, tmp_path / "rejects.csv")
    add(found, demo, tmp_path, "PHASED,A*02:01~B*07:02+A*01:01~B*08:01^DRB1*15:01+DRB1*03:01")
    return found


def add(registry: Registry, demo: Nomenclature, folder: Path, *records: str) -> None:
    path = folder / f"more{len(list(folder.iterdir()))}.csv"
    path.write_text("\n".join(["id,gl", *records]) + "\n")
    summary = registry.import_file(path, demo, folder / "rejects.csv")
    assert summary.new + summary.updated == len(records)


def in_pairs(registry: Registry, index: StoredIndex, imputer: Imputer) -> npt.NDArray[np.float64]:
    """P(0, 1, 2 mismatches) of every donor, as pairwise prediction has it."""
    typings = dict(enumerate(all_typings(registry, index, rows(index))))
    known, donors, _ = impute_people(imputer, {str(i): t for i, t in typings.items()})
    expected = np.full((len(typings), 3), np.nan)
    patient = imputer.impute_one(parse_typing(PATIENT))[:2]
    found = predict(imputer, patient, donors)
    expected[np.array(known, dtype=np.int64)] = found.p_mismatches
    return expected


def all_typings(
    registry: Registry, index: StoredIndex, wanted: npt.NDArray[np.int64]
) -> list[Typing]:
    names = index.ids(wanted)
    texts = registry.typings(names)
    return [parse_typing(texts[name]) for name in names]


def check(registry: Registry, masses: IndexMasses) -> None:
    """Equal to pairwise prediction, which is asked for few."""
    index, asked = masses.index, []

    def typings_of(wanted: npt.NDArray[np.int64]) -> list[Typing]:
        asked.extend(wanted.tolist())
        return all_typings(registry, index, wanted)

    every = rows(index)
    found = candidate_probabilities(
        masses.tables.imputer, masses, parse_typing(PATIENT), every, typings_of, 2
    )
    expected = in_pairs(registry, index, masses.tables.imputer)
    assert found.p == pytest.approx(expected, rel=1e-9, abs=0, nan_ok=True)
    assert (expected > 0).sum() > 50 and found.dropped == 0
    assert 0 < len(asked) < len(every) / 10
    (phased,) = np.flatnonzero(np.array(index.ids(every)) == "PHASED")
    assert every[phased] in asked and found.p[phased, 0] > 0
    assert not found.missing.any()


def test_masses_of_a_registry_equal_pairwise_prediction_through_its_changes(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    tables = tables_of(demo)
    before = open_masses(registry.index(demo), tables)
    assert not before.is_complete and before.of(rows(before.index)).missing.all()
    done: list[int] = []
    check(registry, registry.fill_masses(demo, tables, done.append))
    assert done == sorted(done) and done[-1] == N_DONORS + 1

    # A donor that changes and one that comes lie in a segment of their own.
    add(
        registry,
        demo,
        tmp_path,
        "NEW1,A*02:01+A*01:01^B*07:02+B*08:01",
        "D00000003,A*01:01+A*01:01",
    )
    stale = open_masses(registry.index(demo), tables_of(demo))
    assert not stale.is_complete
    every = rows(stale.index)
    missing = stale.of(every).missing
    assert sorted(np.array(stale.index.ids(every))[missing]) == ["D00000003", "NEW1"]
    partly = candidate_probabilities(
        stale.tables.imputer,
        stale,
        parse_typing(PATIENT),
        every,
        lambda wanted: all_typings(registry, stale.index, wanted),
        2,
    )
    expected = in_pairs(registry, stale.index, stale.tables.imputer)
    assert partly.p == pytest.approx(expected, rel=1e-9, abs=0, nan_ok=True)
    assert np.array_equal(partly.missing, missing)
    filled = registry.fill_masses(demo, tables)
    assert filled.is_complete
    check(registry, filled)
    # They are read back by other tables, and other options have masses of their own.
    check(registry, open_masses(registry.index(demo), tables_of(demo)))
    partner = tables_of(demo, NullImputation.PARTNER)
    assert set(open_masses(registry.index(demo), partner).segments) == {None}
    check(registry, registry.fill_masses(demo, partner))


def test_masses_belong_to_the_state_of_the_index(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    index = registry.index(demo)
    add(registry, demo, tmp_path, "NEW1,A*02:01+A*01:01")
    with registry.opened() as source, pytest.raises(StoreError, match="up to date"):
        fill_masses(index, source, tables_of(demo))


def test_a_damaged_file_is_named(registry: Registry, demo: Nomenclature) -> None:
    tables = tables_of(demo)
    masses = registry.fill_masses(demo, tables)
    (file,) = (masses.index.root / masses.index.manifest.segments[0].name).glob("masses-*/*.bin")
    content = file.read_bytes()
    file.write_bytes(content[:-8])
    with pytest.raises(DamagedIndexError, match=r"columns\.bin"):
        open_masses(masses.index, tables)
    file.write_bytes(b"\xff" * len(content))
    with pytest.raises(DamagedIndexError, match="do not agree"):
        open_masses(masses.index, tables)


def test_a_patient_whom_the_set_does_not_represent_is_unknown(
    registry: Registry, demo: Nomenclature
) -> None:
    masses = registry.fill_masses(demo, tables_of(demo))
    every = rows(masses.index)
    patient = parse_typing("A*NEW+A*01:01")
    found = candidate_probabilities(masses.tables.imputer, masses, patient, every, lambda _: [])
    assert np.isnan(found.p).all() and not found.missing.any()
