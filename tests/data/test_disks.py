"""Disks that are full or read-only: one clear error, nothing half, and the next run completes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from data.frequencies import read_frequencies
from data.index import open_masses
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from data.saved_searches import SavedFolder
from data.synthetic import simulate
from matching.errors import OutputError, StoreError
from matching.nomenclature import Nomenclature
from tests.data.conftest import new_schema, unprivileged_user
from tests.data.indexed import identifiers, rows, stored, write
from tests.data.release_texts import release_texts, write_release
from tests.data.test_killed import saved
from tests.data.test_masses import embedded

A1, A2 = "A*01:01+A*01:01", "A*02:01+A*02:01"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a full disk needs the right to mount a tmpfs")
    yield folder
    # Mapped files of the index may still be open.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def only_free(disk: Path, n_bytes: int) -> Iterator[None]:
    """Fill a disk but for some bytes."""
    filler = disk / "filler"
    found = os.statvfs(disk)
    filler.write_bytes(bytes(max(0, found.f_bavail * found.f_frsize - n_bytes)))
    yield
    filler.unlink()


@contextmanager
def read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)


def refusal(action: Callable[[], object]) -> str:
    """The error that an action ends with, or nothing."""
    try:
        action()
    except (StoreError, OutputError) as error:
        return str(error)
    return ""


def test_a_store_on_a_disk_that_runs_full_anywhere(
    small_disk: Path, demo: Nomenclature, tmp_path: Path
) -> None:
    registry = Registry(small_disk / "registry")
    registry.import_file(write(tmp_path / "few.txt", [("D1", A1)]), demo, tmp_path / "r.csv")
    path = tmp_path / "many.txt"

    def importing() -> object:
        return registry.import_file(path, demo, tmp_path / "r.csv")

    refused, kept = 0, 0
    for n, free in enumerate(range(0, 600_000, 40_000)):
        before = stored(registry)
        after = before | {f"N{i}": (A1, A2)[n % 2] for i in range(200)}
        write(path, [(name, gl) for name, gl in after.items() if name != "D1"])
        with only_free(small_disk, free):
            error = refusal(importing)
        assert not error or "disk is full" in error or "No space left" in error
        is_kept = "are stored, but not searchable" in error
        assert not error or is_kept or "nothing was changed" in error
        kept += is_kept
        refused += bool(error) and not is_kept
        assert stored(registry) == (before if error and not is_kept else after)
        assert identifiers(registry.index(demo)) == sorted(before if error else after)
        registry.import_file(path, demo, tmp_path / "r.csv")
        index = registry.index(demo)
        assert stored(registry) == after and identifiers(index) == sorted(after)
        assert {path.name for path in index.root.iterdir()} == index.manifest.files
    assert refused and kept and not error


def test_a_full_disk(small_disk: Path, demo: Nomenclature, tmp_path: Path) -> None:
    registry = Registry(small_disk / "registry")
    few = write(tmp_path / "few.txt", [("D1", A1), ("D2", A2)])
    registry.import_file(few, demo, tmp_path / "r.csv")
    before = registry.index(demo).version
    many = write(tmp_path / "many.txt", [(f"N{i}", A1) for i in range(60_000)])
    with pytest.raises(StoreError, match="disk is full"):
        registry.import_file(many, demo, tmp_path / "r.csv")
    assert registry.index(demo).version == before
    assert stored(registry) == {"D1": A1, "D2": A2}
    reference = ReferenceFolder(small_disk / "reference")
    source = write_release(tmp_path / "source", release_texts())
    with only_free(small_disk, 0), pytest.raises(OutputError, match="No space left"):
        reference.install("9.1.0", str(source))
    assert not reference.root.exists() or list(reference.root.iterdir()) == []
    assert registry.import_file(few, demo, tmp_path / "r.csv").unchanged == 2


def import_limited(registry: Registry, path: Path, demo: Nomenclature, answer: Connection) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
    answer.send(refusal(lambda: registry.import_file(path, demo, path.with_suffix(".rejects"))))


def test_a_file_that_may_not_grow(demo: Nomenclature, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    few = write(tmp_path / "few.txt", [("D1", A1), ("D2", A2)])
    registry.import_file(few, demo, tmp_path / "r.csv")
    many = write(tmp_path / "many.txt", [(f"N{i}", A1) for i in range(30_000)])
    context = multiprocessing.get_context("fork")
    answer, sender = context.Pipe(duplex=False)
    process = context.Process(target=import_limited, args=(registry, many, demo, sender))
    process.start()
    sender.close()
    message = answer.recv()
    process.join()
    assert "the disk is full" in message and "nothing was changed" in message
    assert stored(registry) == {"D1": A1, "D2": A2}
    assert registry.import_file(many, demo, tmp_path / "r.csv").new == 30_000


def test_a_read_only_disk(small_disk: Path, demo: Nomenclature, tmp_path: Path) -> None:
    registry = Registry(small_disk / "registry")
    few = write(tmp_path / "few.txt", [("D1", A1)])
    registry.import_file(few, demo, tmp_path / "r.csv")
    other = write(tmp_path / "other.txt", [("D2", A1)])
    with read_only(small_disk):
        with pytest.raises(StoreError, match="cannot be written here"):
            registry.import_file(other, demo, tmp_path / "r.csv")
        with pytest.raises(StoreError, match="cannot create"):
            Registry(small_disk / "new").import_file(other, demo, tmp_path / "r.csv")
        # Searches go on.
        assert stored(registry) == {"D1": A1} and identifiers(registry.index(demo)) == ["D1"]
    assert registry.import_file(other, demo, tmp_path / "r.csv").new == 1


def index_elsewhere(folder: Path, disk: Path) -> Registry:
    """A registry whose index lies on another disk than its store."""
    (disk / "index").mkdir()
    folder.mkdir()
    (folder / "index").symlink_to(disk / "index")
    return Registry(folder)


def test_an_index_on_a_disk_that_runs_full_anywhere(
    small_disk: Path, demo: Nomenclature, tmp_path: Path
) -> None:
    registry = index_elsewhere(tmp_path / "registry", small_disk)
    donors = {f"N{i}": A1 for i in range(200)}
    path = write(tmp_path / "donors.txt", donors.items())

    def importing() -> object:
        return registry.import_file(path, demo, tmp_path / "r.csv")

    importing()
    outcomes = []
    for n, free in enumerate(range(0, 240_000, 16_000)):
        before = dict(donors)
        # Now and then so many change that all is built anew.
        donors |= {f"N{i}": (A1, A2)[n % 2] for i in range(100 if n % 4 == 3 else 3)}
        donors[f"M{n}"] = A1
        write(path, donors.items())
        with only_free(small_disk, free):
            error = refusal(importing)
            assert not error or ("No space left" in error and "registry index" in error)
            assert stored(registry) == donors
            assert identifiers(registry.index(demo)) == sorted(before if error else donors)
        outcomes.append(not error)
        index = registry.update_index(demo)
        assert identifiers(index) == sorted(donors)
        assert {path.name for path in index.root.iterdir()} == index.manifest.files
    assert not outcomes[0] and outcomes[-1]


def test_masses_on_a_disk_that_runs_full_anywhere(
    small_disk: Path, demo: Nomenclature, tmp_path: Path
) -> None:
    registry, sets = index_elsewhere(tmp_path / "registry", small_disk), embedded(demo).masses
    simulate(tmp_path / "people", read_frequencies("demo"), demo, 1_500, 1, 5)
    registry.import_file(tmp_path / "people/donors.csv", demo, tmp_path / "r.csv")
    whole = registry.fill_masses(demo, sets)
    every_row = rows(whole.index)
    expected = whole.of(every_row)
    (segment,) = whole.index.root.glob("segment-*")
    outcomes = []
    for free in range(0, 60_000, 4_000):
        (folder,) = segment.glob("masses-*")
        shutil.rmtree(folder)
        with only_free(small_disk, free):
            error = refusal(lambda: registry.fill_masses(demo, sets))
            assert not error or "No space left" in error
            assert open_masses(whole.index, sets).is_complete == (not error)
        outcomes.append(not error)
        of = registry.fill_masses(demo, sets).of(every_row)
        assert np.array_equal(of.total, expected.total, equal_nan=True)
        assert np.array_equal(of.codes, expected.codes) and not of.missing.any()
    assert not outcomes[0] and outcomes[-1]


def test_an_index_and_masses_on_a_read_only_disk(
    small_disk: Path, demo: Nomenclature, tmp_path: Path
) -> None:
    registry, sets = index_elsewhere(tmp_path / "registry", small_disk), embedded(demo).masses
    donors = write(tmp_path / "few.txt", [("D1", A1), ("D2", A2)])
    with read_only(small_disk):
        with pytest.raises(OutputError, match=r"are stored, but .* Read-only"):
            registry.import_file(donors, demo, tmp_path / "r.csv")
        with pytest.raises(OutputError, match="Read-only"):
            registry.index(demo)
    index = registry.index(demo)
    with read_only(small_disk):
        # An index that is up to date needs no writing.
        assert identifiers(registry.update_index(demo)) == ["D1", "D2"]
        with pytest.raises(OutputError, match="Read-only"):
            registry.fill_masses(demo, sets)
        assert not open_masses(index, sets).is_complete
    assert registry.fill_masses(demo, sets).is_complete
    with read_only(small_disk):
        assert open_masses(index, sets).is_complete
        assert identifiers(registry.index(demo)) == ["D1", "D2"]


def test_saved_searches_on_a_full_and_on_a_read_only_disk(small_disk: Path) -> None:
    folder = SavedFolder(small_disk / "searches")
    old, new = saved("2026-01-01"), saved("2026-01-02")
    folder.write("mine", old)
    with only_free(small_disk, 0), pytest.raises(OutputError, match="No space left"):
        folder.write("mine", new)
    assert folder.read("mine") == old and len(list(folder.root.iterdir())) == 1
    with read_only(small_disk):
        actions: tuple[Callable[[], None], ...] = (
            lambda: folder.write("mine", new),
            lambda: folder.write("other", new),
            lambda: folder.remove("mine"),
        )
        for action in actions:
            with pytest.raises(OutputError, match="Read-only"):
                action()
        assert folder.read("mine") == old
    folder.write("mine", new)
    assert folder.read("mine") == new


def test_a_database_that_is_full_or_read_only(
    small_disk: Path, postgres_server: str, demo: Nomenclature, tmp_path: Path
) -> None:
    registry = Registry.at(new_schema(postgres_server), tmp_path)
    registry.import_file(write(tmp_path / "few.txt", [("D1", A1)]), demo, tmp_path / "r.csv")
    many = write(tmp_path / "many.txt", [(f"N{i}", A1) for i in range(30_000)])
    with tablespace(postgres_server, small_disk) as small:
        for option, message in (
            (f"temp_tablespaces%3D{small}", "the disk is full"),
            ("default_transaction_read_only%3Don", "the database is read-only"),
        ):
            limited = Registry.at(f"{registry.location}%20-c{option}", tmp_path)
            with pytest.raises(StoreError, match=f"{message}.*nothing was changed"):
                limited.import_file(many, demo, tmp_path / "r.csv")
            assert stored(limited) == {"D1": A1} and identifiers(limited.index(demo)) == ["D1"]
    assert registry.import_file(many, demo, tmp_path / "r.csv").new == 30_000


@contextmanager
def tablespace(server: str, disk: Path) -> Iterator[str]:
    """A place for tables of a server on another disk."""
    for folder in (disk, *disk.parents):
        if Path(tempfile.gettempdir()) in folder.parents:
            folder.chmod(0o755)
    shutil.chown(disk, unprivileged_user())
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{disk}'")
        yield "small"
        connection.exec_driver_sql("DROP TABLESPACE small")
    engine.dispose()


def test_masses_that_an_import_cannot_write(
    demo: Nomenclature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, sets = Registry(tmp_path / "registry"), embedded(demo).masses
    path = write(tmp_path / "few.txt", [("D1", A1)])

    def full(*_: object) -> None:
        raise OutputError("cannot write masses: No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("data.registry.registry.fill_masses", full)
        with pytest.raises(OutputError, match=r"are stored, but without masses until .* masses"):
            registry.import_file(path, demo, tmp_path / "r.csv", masses=lambda _: sets)
    assert identifiers(registry.index(demo)) == ["D1"]
    registry.import_file(path, demo, tmp_path / "r.csv", masses=lambda _: sets)
    assert open_masses(registry.index(demo), sets).is_complete
