"""Writers that are killed: nothing acknowledged is lost, nothing half is seen, the next one ends.

Each is killed before the steps that change a file or a database, and at random moments.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.frequencies import read_frequencies
from data.index import open_index, open_masses, update_index
from data.index.updating import MAX_SEGMENTS
from data.registry import ImportRequest, Mode, Registry
from data.saved_searches import Run, SavedFolder, SavedSearch
from data.synthetic import simulate
from matching.errors import InputFileError
from matching.nomenclature import Nomenclature
from tests.data.index_source import MemoryStore
from tests.data.indexed import identifiers, rows, stored, write
from tests.data.killing import duration_of, kill_after, kill_before, steps_of
from tests.data.test_index import content, donor, filled
from tests.data.test_masses import embedded

A1, A2 = "A*01:01+A*01:01", "A*02:01+A*02:01"
ALL = ImportRequest(Mode.FULL, allow_deletions=True)

# Revisions of `store` before and after an update of the index.
UPDATES = {
    "build": (0, 1),
    "extension": (1, 2),
    "merging": (MAX_SEGMENTS, MAX_SEGMENTS + 1),
    "rebuild": (MAX_SEGMENTS + 1, MAX_SEGMENTS + 2),
}


@pytest.fixture(autouse=True)
def patient_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting is not what is tested, so that a busy machine fails nothing."""
    monkeypatch.setattr("data.registry.databases.BUSY_SECONDS", 120.0)


def chosen(steps: list[str], many: bool) -> list[int]:
    """Numbers of all steps, or of ten of those that are no writing of arrays; from 1."""
    assert {"posix.fsync", "posix.replace", "posix.chmod", "TextIOWrapper.write"} <= set(steps)
    if many:
        return list(range(1, len(steps) + 1))
    others = [n for n, name in enumerate(steps, 1) if name != "BufferedWriter.write"]
    return [others[i] for i in np.linspace(0, len(others) - 1, 10).astype(int)]


def store(revision: int) -> MemoryStore:
    """100 donors; each revision adds or changes one, the 4th deletes one, the last changes many."""
    found = filled(100)
    for step in range(2, revision + 1):
        rng = random.Random(step)
        names = [f"N{step}" if step % 2 else f"D{step:04}"]
        if step == MAX_SEGMENTS + 2:
            names = rng.sample(sorted(found.present), 40)
        gone = {"D0050": None} if step == 4 else {}
        found.change({**{name: donor(rng) for name in names}, **gone})
    return found


class Updates:
    """Updates of an index that are killed."""

    def __init__(self, kind: str, demo: Nomenclature, folder: Path) -> None:
        before, after = UPDATES[kind]
        self.demo, self.store, self.before, self.root = demo, store(after), before, folder / "index"
        self.unharmed = folder / "before"
        for revision in range(1, before + 1):
            update_index(self.unharmed, store(revision), demo)
        self.contents = {
            revision: content(update_index(folder / f"whole{revision}", store(revision), demo))
            for revision in {before, after} - {0}
        }
        self.prepare()
        n_before = self.n_segments()
        self.update()
        n_after = self.n_segments()
        assert (n_before, n_after) == {
            "build": (0, 1),
            "extension": (1, 2),
            "merging": (MAX_SEGMENTS, 2),
            "rebuild": (2, 1),
        }[kind]

    def n_segments(self) -> int:
        return len(list(self.root.glob("segment-*")))

    def update(self) -> None:
        update_index(self.root, self.store, self.demo)

    def prepare(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        if self.before:
            shutil.copytree(self.unharmed, self.root)

    def check(self, acknowledged: bool) -> int:
        """The index is that of before or after; the revision that was found."""
        index = open_index(self.root, self.demo)
        revision = 0 if index is None else index.revision
        assert revision == self.store.revision or (revision == self.before and not acknowledged)
        if index is not None:
            assert content(index) == self.contents[revision]
        index = update_index(self.root, self.store, self.demo)
        assert content(index) == self.contents[self.store.revision]
        # What a killed one left is gone.
        assert {path.name for path in self.root.iterdir()} == index.manifest.files
        return revision

    def kill_at_steps(self, many: bool) -> None:
        self.prepare()
        steps = steps_of(self.update)
        found = []
        for step in chosen(steps, many):
            self.prepare()
            found.append(self.check(acknowledged=kill_before(self.update, step)))
        # Before the manifest is renamed nothing has happened, from then on everything.
        assert found == sorted(found)
        assert set(found) == {self.before, self.store.revision}

    def kill_at_random(self, times: int) -> None:
        rng = random.Random(times)
        self.prepare()
        duration = duration_of(self.update)
        for _ in range(times):
            self.prepare()
            self.check(acknowledged=kill_after(self.update, rng.uniform(0, 1.1 * duration)))


@pytest.fixture(params=UPDATES)
def updates(request: pytest.FixtureRequest, demo: Nomenclature, tmp_path: Path) -> Updates:
    return Updates(request.param, demo, tmp_path)


def test_updates_of_an_index_that_are_killed(updates: Updates) -> None:
    updates.kill_at_steps(many=False)
    updates.kill_at_random(10)


@pytest.mark.slow
def test_many_updates_of_an_index_that_are_killed(updates: Updates) -> None:
    updates.kill_at_steps(many=True)
    updates.kill_at_random(50)


class Imports:
    """Imports that are killed, of one full file and the other in turn."""

    def __init__(self, registry: Registry, demo: Nomenclature, home: Path, n_donors: int) -> None:
        self.registry, self.demo, self.home, self.turn = registry, demo, home, 0
        shift = n_donors // 4
        self.files = [
            write(
                home / f"{k}.txt",
                [(f"N{i:04}", (A1, A2)[(i + k) % 2]) for i in range(k * shift, n_donors)],
            )
            for k in range(2)
        ]
        # Donors are new, then come back.
        for path in (*self.files, self.files[0]):
            self.read(path)

    def read(self, path: Path) -> None:
        self.registry.import_file(path, self.demo, self.home / "rejects.csv", request=ALL)

    def next(self) -> None:
        self.read(self.files[1 - self.turn])

    def check(self, acknowledged: bool) -> bool:
        """The registry is that of before or after; which."""
        before, after = (
            dict(line.strip().split("%") for line in self.files[k].open())
            for k in (self.turn, 1 - self.turn)
        )
        found = stored(self.registry)
        assert found == after or (found == before and not acknowledged)
        index = self.registry.index(self.demo)
        assert identifiers(index) in (sorted(before), sorted(after))
        self.next()
        assert stored(self.registry) == after
        index = self.registry.index(self.demo)
        assert identifiers(index) == sorted(after)
        with self.registry.opened() as source:
            assert index.revision == source.revision
        self.turn = 1 - self.turn
        return found == after

    def kill_at_steps(self, many: bool) -> None:
        steps = steps_of(self.next)
        self.turn = 1 - self.turn
        found = []
        for step in chosen(steps, many):
            found.append(self.check(acknowledged=kill_before(self.next, step)))
        assert set(found) == {False, True}

    def kill_at_random(self, times: int) -> None:
        rng = random.Random(times)
        duration = duration_of(self.next)
        self.turn = 1 - self.turn
        for _ in range(times):
            self.check(acknowledged=kill_after(self.next, rng.uniform(0, 1.1 * duration)))


def test_imports_that_are_killed(registry: Registry, demo: Nomenclature, tmp_path: Path) -> None:
    Imports(registry, demo, tmp_path, 20).kill_at_steps(many=False)
    Imports(registry, demo, tmp_path, 2_000).kill_at_random(10)


@pytest.mark.slow
def test_many_imports_that_are_killed(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    Imports(registry, demo, tmp_path, 20).kill_at_steps(many=True)
    Imports(registry, demo, tmp_path, 2_000).kill_at_random(50)


def kill_first_imports(
    registries: Callable[[], Registry], demo: Nomenclature, home: Path, many: bool
) -> None:
    path = write(home / "donors.txt", [("D1", A1), ("D2", A2)])

    def action(registry: Registry) -> Callable[[], object]:
        return lambda: registry.import_file(path, demo, home / "rejects.csv")

    for step in chosen(steps_of(action(registries())), many):
        registry = registries()
        acknowledged = kill_before(action(registry), step)
        if acknowledged or registry.holds_donors():
            assert stored(registry) == {"D1": A1, "D2": A2}
        action(registry)()
        assert stored(registry) == {"D1": A1, "D2": A2}
        assert identifiers(registry.index(demo)) == ["D1", "D2"]


def test_first_imports_that_are_killed(
    registries: Callable[[], Registry], demo: Nomenclature, tmp_path: Path
) -> None:
    kill_first_imports(registries, demo, tmp_path, many=False)


@pytest.mark.slow
def test_every_first_import_that_is_killed(
    registries: Callable[[], Registry], demo: Nomenclature, tmp_path: Path
) -> None:
    kill_first_imports(registries, demo, tmp_path, many=True)


def kill_masses(demo: Nomenclature, home: Path, many: bool, times: int) -> None:
    simulate(home / "people", read_frequencies("demo"), demo, 100, 1, 5)
    registry, sets = Registry(home / "registry"), embedded(demo).masses
    registry.import_file(home / "people/donors.csv", demo, home / "rejects.csv")
    whole = registry.fill_masses(demo, sets)
    every_row = rows(whole.index)
    expected = whole.of(every_row)
    (segment,) = whole.index.root.glob("segment-*")

    def fill() -> object:
        return registry.fill_masses(demo, sets)

    def prepare() -> None:
        (folder,) = segment.glob("masses-*")
        shutil.rmtree(folder)

    def check(acknowledged: bool) -> None:
        found = open_masses(whole.index, sets)
        assert found.is_complete or not acknowledged
        for masses in (found, registry.fill_masses(demo, sets)):
            if masses.is_complete:
                of = masses.of(every_row)
                assert np.array_equal(of.total, expected.total, equal_nan=True)
                assert np.array_equal(of.codes, expected.codes) and not of.missing.any()
        assert masses.is_complete
        # What a killed one left is gone.
        assert len([path for path in segment.iterdir() if path.is_dir()]) == 1

    prepare()
    steps = steps_of(fill)
    for step in chosen(steps, many):
        prepare()
        check(acknowledged=kill_before(fill, step))
    prepare()
    rng, duration = random.Random(times), duration_of(fill)
    for _ in range(times):
        prepare()
        check(acknowledged=kill_after(fill, rng.uniform(0, 1.1 * duration)))


def test_masses_that_are_killed(demo: Nomenclature, tmp_path: Path) -> None:
    kill_masses(demo, tmp_path, many=False, times=10)


@pytest.mark.slow
def test_many_masses_that_are_killed(demo: Nomenclature, tmp_path: Path) -> None:
    kill_masses(demo, tmp_path, many=True, times=50)


def saved(day: str) -> SavedSearch:
    found: Mapping[str, Mapping[str, Any]] = {f"D{i}": {"rank": i} for i in range(2_000)}
    return SavedSearch(A1, {}, {}, Run(day, "store", 1, {}, found))


def test_saved_searches_that_are_killed(tmp_path: Path) -> None:
    folder = SavedFolder(tmp_path)
    old, new = saved("2026-01-01"), saved("2026-01-02")
    folder.write("mine", old)

    def save() -> None:
        folder.write("mine", new)

    for step in chosen(steps_of(save), True):
        folder.write("mine", old)
        kill_before(save, step)
        assert folder.names() == ["mine"] and folder.read("mine") in (old, new)
        folder.write("mine", new)
        assert folder.read("mine") == new
    assert len(list(tmp_path.iterdir())) > 1
    folder.remove("mine")
    # A patient's typing does not stay in a file that a killed one left.
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputFileError, match="no search is saved"):
        folder.read("mine")
