"""Writers and readers of a registry at once: every answer is that of one committed state."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path

import numpy as np
import pytest

from data.index import MassSets, open_masses
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from data.registry import ImportRequest, ImportSummary, Mode, Registry, databases
from matching.errors import StoreError
from matching.genotypes import encode
from matching.loci import parse_loci
from matching.nomenclature import Nomenclature
from matching.search import Criteria, find_donors
from matching.typings import parse_typing
from tests.data.indexed import identifiers, rows, stored, write
from tests.data.test_masses import embedded
from tests.oracles.criteria import by_group, is_found, mismatches
from tests.processes import CONTEXT

A1, A2 = "A*01:01+A*01:01", "A*02:01+A*02:01"
PATIENT = "A*01:01+A*02:01^B*07:02+B*08:01"
CRITERIA = Criteria(parse_loci("A,B"), 1)
IMPORTS = 4
ALL = ImportRequest(Mode.FULL, allow_deletions=True)
# Waiting is not what is tested, so that a busy machine fails nothing.
PATIENCE = 120.0
Answer = list[tuple[str, int]]


@pytest.fixture(autouse=True)
def patient_writers(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in processes that are started."""
    monkeypatch.setattr(databases, "BUSY_SECONDS", PATIENCE)


def begun() -> Nomenclature:
    """The release of a process that was started: that of this one has been worked with."""
    databases.BUSY_SECONDS = PATIENCE
    return ReferenceFolder(Path("nowhere")).open(DEMO_RELEASE)


def states(folder: Path) -> list[Path]:
    """Two files that differ in the typing of most donors and in who is there."""
    names = ("A*01:01", "A*02:01", "A*03:01", "A*11:01")
    rng = np.random.default_rng(1)
    files = []
    for k in range(2):
        donors = [
            (
                f"N{i:03}",
                f"{'+'.join(rng.choice(names, 2))}^B*07:02+{('B*07:02', 'B*08:01')[(i + k) % 2]}",
            )
            for i in range(40 * k, 200 + 20 * k)
        ]
        files.append(write(folder / f"{k}.txt", donors))
    return files


def brute_force(path: Path, demo: Nomenclature) -> Answer:
    """Who is found among the donors of a file, with the number of mismatches."""
    patient = encode(parse_typing(PATIENT), demo)
    found = []
    for line in path.read_text().split():
        identifier, gl = line.split("%")
        donor = encode(parse_typing(gl), demo)
        if is_found(patient, donor, CRITERIA, by_group):
            of_loci = (
                mismatches(patient.loci[locus], donor.loci[locus], CRITERIA, by_group)
                for locus in CRITERIA.loci
            )
            found.append((identifier, sum(of_loci)))
    return sorted(found)


def search(registry: Registry, demo: Nomenclature) -> tuple[int, Answer]:
    """Revision that was searched, and who was found."""
    index = registry.index(demo)
    patient = encode(parse_typing(PATIENT), demo)
    found = find_donors(index.donors, patient, CRITERIA)
    counts = found.mismatches_best.tolist()
    return index.revision, sorted(zip(index.ids(found.rows), counts, strict=True))


def read(
    registry: Registry, demo: Nomenclature, expected: list[Answer], stop: Event
) -> tuple[list[int], str]:
    """Search and look into the store until told to stop; revisions seen, and what was wrong."""
    seen: list[int] = []
    while not stop.is_set() or not seen:
        try:
            revision, found = search(registry, demo)
            with registry.opened() as source:
                of_store = source.revision
                typings = source.typings([name for name, _ in found])
        except Exception as error:
            return seen, repr(error)
        if found != expected[revision % 2] or revision < max(seen, default=1):
            return seen, f"revision {revision} after {seen}: {found}"
        # The store is never behind its index, and all of it is of one state.
        if of_store < revision or (of_store == revision and len(typings) != len(found)):
            return seen, f"the store at {of_store} beside an index at {revision}"
        seen.append(revision)
    return seen, ""


def read_in_threads(
    n_threads: int,
    registry: Registry,
    expected: list[Answer],
    stop: Event,
    answer: Connection,
) -> None:
    demo = begun()
    with ThreadPoolExecutor(n_threads) as threads:
        readers = [threads.submit(read, registry, demo, expected, stop) for _ in range(n_threads)]
        answer.send([reader.result() for reader in readers])


def test_an_importer_with_twenty_readers(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    """Each answer is the brute force's on one of the committed states, none older than before."""
    files = states(tmp_path)
    # Odd revisions are those of the second file.
    expected = [brute_force(path, demo) for path in files]
    assert len(expected[0]) > 20 and len(expected[1]) > 20 and expected[0] != expected[1]

    def importing(revision: int) -> None:
        summary = registry.import_file(
            files[revision % 2], demo, tmp_path / "rejects.csv", request=ALL
        )
        assert summary.updated > 50 or revision == 1
        assert summary.absent == 0 or revision > 1

    importing(1)
    stop = CONTEXT.Event()
    processes, answers = [], []
    for _ in range(4):
        answer, sender = CONTEXT.Pipe(duplex=False)
        process = CONTEXT.Process(
            target=read_in_threads, args=(3, registry, expected, stop, sender)
        )
        process.start()
        sender.close()
        processes.append(process)
        answers.append(answer)
    own, sender = CONTEXT.Pipe(duplex=False)
    here = threading.Thread(target=read_in_threads, args=(8, registry, expected, stop, sender))
    here.start()
    try:
        for revision in range(2, 2 + IMPORTS):
            importing(revision)
    finally:
        stop.set()
        found = [one for answer in (*answers, own) for one in answer.recv()]
        here.join()
        for process in processes:
            process.join()
    assert len(found) == 20
    assert [wrong for _, wrong in found if wrong] == []
    # Readers went on while the index was swapped.
    assert len({revision for seen, _ in found for revision in seen}) > 1


def wait_and(start: Barrier, action: Callable[[Nomenclature], object]) -> None:
    demo = begun()
    start.wait()
    action(demo)


def at_once(*actions: Callable[[Nomenclature], object]) -> None:
    """Do actions in processes of their own that start together."""
    start = CONTEXT.Barrier(len(actions))
    processes = [CONTEXT.Process(target=wait_and, args=(start, action)) for action in actions]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * len(actions)


def import_into(
    registry: Registry,
    file: Path,
    demo: Nomenclature,
    masses: Callable[[ImportSummary], MassSets | None] = lambda _: None,
) -> None:
    registry.import_file(file, demo, file.with_suffix(".rejects"), masses=masses)


def fill_masses(registry: Registry, demo: Nomenclature) -> None:
    registry.fill_masses(demo, embedded(demo).masses)


def test_importers_at_once(registry: Registry, demo: Nomenclature, tmp_path: Path) -> None:
    """One waits for the other, also where the store is not there yet."""
    names = "XYZ"
    files = {
        name: write(tmp_path / name, [(f"{name}{i:03}", A1) for i in range(100)]) for name in names
    }

    def importing(name: str) -> Callable[[Nomenclature], object]:
        return partial(import_into, registry, files[name])

    at_once(*map(importing, names))
    everyone = [f"{name}{i:03}" for name in names for i in range(100)]
    assert sorted(stored(registry)) == everyone
    with registry.opened() as source:
        assert source.revision == 3
    assert identifiers(registry.index(demo)) == everyone
    # Of two with the same donors the later one finds them there.
    write(files["X"], [(f"X{i:03}", A2) for i in range(100)])
    at_once(importing("X"), importing("X"))
    with registry.opened() as source:
        assert source.revision == 4
        assert [change.kind for change in source.changes(3)] == ["updated"] * 100
    assert identifiers(registry.index(demo)) == everyone


def test_a_writer_waits_for_another_that_has_just_made_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite refuses at once to change the kind of log of a file that somebody writes."""
    store = databases.Sqlite(tmp_path / "donors.sqlite")
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(store.create)
        with pytest.raises(TimeoutError):
            writing.result(0.2)
        monkeypatch.setattr(databases, "BUSY_SECONDS", 0.0)
        with pytest.raises(StoreError, match="another import is writing"):
            store.create()
        other.execute("COMMIT")
        writing.result()
    other.close()
    with store.session():
        pass


def test_updates_and_masses_at_once(demo: Nomenclature, tmp_path: Path) -> None:
    registry, sets = Registry(tmp_path / "registry"), embedded(demo).masses
    for k, path in enumerate(states(tmp_path)):
        registry.import_file(path, demo, tmp_path / "rejects.csv")
        shutil.rmtree(tmp_path / "registry/index")

        fill, update = partial(fill_masses, registry), registry.update_index
        at_once(update, fill, update, fill)
        masses = open_masses(registry.index(demo), sets)
        assert masses.is_complete and len(masses.index) == 200 + 20 * k
        assert not masses.of(rows(masses.index)).missing.any()


def import_until_told(registry: Registry, file: Path, tell: Connection, hold: Event) -> None:
    """Import a file, and wait where its index is there and its masses are not."""
    demo = begun()

    def masses(_: ImportSummary) -> MassSets:
        tell.send("indexed")
        hold.wait()
        return embedded(demo).masses

    import_into(registry, file, demo, masses)


def test_an_index_is_being_completed_until_its_masses_are_there_or_its_importer_is_killed(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    sets = embedded(demo).masses
    first, second = states(tmp_path)[:2]
    registry.import_file(first, demo, tmp_path / "rejects.csv", masses=lambda _: sets)
    assert not registry.is_being_completed(demo, 0)
    for killed in (True, False):
        told, tell = CONTEXT.Pipe(duplex=False)
        hold = CONTEXT.Event()
        process = CONTEXT.Process(target=import_until_told, args=(registry, second, tell, hold))
        process.start()
        told.recv()
        assert len(registry.index(demo)) == 220
        # The second time nothing is new, so nobody waits.
        assert registry.is_being_completed(demo, 1) == killed
        if killed:
            process.kill()
        else:
            hold.set()
        process.join()
        assert not registry.is_being_completed(demo, 1)
        assert open_masses(registry.index(demo), sets).is_complete != killed
