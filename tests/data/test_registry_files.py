"""A registry that runs full, is read-only, or comes from an earlier version."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.errors import OutputError, StoreError
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from tests.conftest import PROJECT
from tests.data.indexed import identifiers, rows
from tests.data.release_texts import release_texts, write_release

A1, A2 = "A*01:01+A*01:01", "A*02:01+A*02:01"


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{identifier}%{gl}\n" for identifier, gl in rows))
    return path


def stored(registry: Registry) -> dict[str, str]:
    """Typings of all donors."""
    with registry.opened() as source:
        ids = [i for batch in source.donors() for i in batch["id"].to_pylist()]
        return source.typings(ids)


IMPORT = """
import sys
from pathlib import Path
from data.nomenclature import ReferenceFolder
from data.registry import Registry
home = Path(sys.argv[1])
demo = ReferenceFolder(home / "reference").open("demo")
Registry.at(sys.argv[2], home).import_file(Path(sys.argv[3]), demo, home / "rejects.csv")
"""


def test_an_importer_with_readers(registry: Registry, demo: Nomenclature, tmp_path: Path) -> None:
    """Readers see all donors with one typing or all with the other one."""
    names = [f"N{i:03}" for i in range(200)]
    files = [
        write(tmp_path / f"{k}.txt", [(i, gl) for i in names]) for k, gl in enumerate((A1, A2))
    ]
    registry.import_file(files[0], demo, tmp_path / "r.csv")
    stop = threading.Event()
    torn: list[object] = []
    reads = [0] * 4

    def read(reader: int) -> None:
        while not stop.is_set():
            try:
                found = set(stored(registry).values())
                index = registry.index(demo)
                typed = {index.donors.genotype(int(row), Locus.A) for row in rows(index)}
            except Exception as error:
                torn.append(error)
                return
            if len(found) != 1 or len(typed) != 1 or identifiers(index) != names:
                torn.append((found, typed))
            reads[reader] += 1

    threads = [threading.Thread(target=read, args=(reader,)) for reader in range(4)]
    for thread in threads:
        thread.start()
    for k in range(1, 9):
        summary = registry.import_file(files[k % 2], demo, tmp_path / "r.csv")
        assert summary.updated == 200
    stop.set()
    for thread in threads:
        thread.join()
    assert not torn and min(reads) > 0


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
    subprocess.run(["umount", str(folder)], check=True)


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
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * 4_000_000)
    with pytest.raises(OutputError, match="No space left"):
        reference.install("9.1.0", str(source))
    assert not reference.root.exists() or list(reference.root.iterdir()) == []
    filler.unlink()
    assert registry.import_file(few, demo, tmp_path / "r.csv").unchanged == 2


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, 500_000))
"""


def test_a_file_that_may_not_grow(demo: Nomenclature, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    few = write(tmp_path / "few.txt", [("D1", A1), ("D2", A2)])
    registry.import_file(few, demo, tmp_path / "r.csv")
    many = write(tmp_path / "many.txt", [(f"N{i}", A1) for i in range(30_000)])
    process = subprocess.run(
        [sys.executable, "-c", LIMITED + IMPORT, tmp_path, registry.location, many],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert "StoreError" in process.stderr and "the disk is full" in process.stderr
    assert "nothing was changed" in process.stderr
    assert stored(registry) == {"D1": A1, "D2": A2}
    assert registry.import_file(many, demo, tmp_path / "r.csv").new == 30_000


def test_a_read_only_disk(small_disk: Path, demo: Nomenclature, tmp_path: Path) -> None:
    registry = Registry(small_disk / "registry")
    few = write(tmp_path / "few.txt", [("D1", A1)])
    registry.import_file(few, demo, tmp_path / "r.csv")
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    other = write(tmp_path / "other.txt", [("D2", A1)])
    with pytest.raises(StoreError, match="cannot be written here"):
        registry.import_file(other, demo, tmp_path / "r.csv")
    with pytest.raises(StoreError, match="cannot create"):
        Registry(small_disk / "new").import_file(other, demo, tmp_path / "r.csv")
    # Searches go on.
    assert stored(registry) == {"D1": A1} and identifiers(registry.index(demo)) == ["D1"]
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    assert registry.import_file(other, demo, tmp_path / "r.csv").new == 1


def test_a_file_that_is_no_store(demo: Nomenclature, tmp_path: Path) -> None:
    folder = tmp_path / "registry"
    folder.mkdir()
    (folder / "donors.sqlite").write_text("this is no database, but text long enough")
    few = write(tmp_path / "few.txt", [("D1", A1)])
    with pytest.raises(StoreError, match="not a database"):
        Registry(folder).import_file(few, demo, tmp_path / "r.csv")


# As written by the version before schema 3.
SCHEMA_2 = """
CREATE TABLE donors (
    id TEXT NOT NULL, type TEXT, birth_date TEXT, age_years FLOAT, sex TEXT, cmv TEXT, abo TEXT,
    rh TEXT, weight_kg FLOAT, ancestry TEXT, registry TEXT, a TEXT, c TEXT, b TEXT, drb345 TEXT,
    drb1 TEXT, dqa1 TEXT, dqb1 TEXT, dpa1 TEXT, dpb1 TEXT, carried TEXT NOT NULL,
    phase TEXT NOT NULL, typing_release TEXT NOT NULL, PRIMARY KEY (id)
) WITHOUT ROWID;
CREATE TABLE meta ("key" TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY ("key"));
INSERT INTO meta VALUES ('schema', '2'), ('state', '0123456789ab');
"""


def schema_2(folder: Path, *rows: tuple[object, ...]) -> Registry:
    (folder / "index/0123456789ab-demo-abc").mkdir(parents=True)
    connection = sqlite3.connect(folder / "donors.sqlite")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA_2)
    connection.executemany(f"INSERT INTO donors VALUES ({','.join('?' * 23)})", rows)
    connection.commit()
    connection.close()
    return Registry(folder)


def test_a_store_of_schema_2_is_brought_up_to_date(demo: Nomenclature, tmp_path: Path) -> None:
    carried = "MICA*001+MICA*002"
    registry = schema_2(
        tmp_path / "registry",
        ("D2", "cord", None, 34.0, "male", *(None,) * 6, A2, *(None,) * 8, "", "", ""),
        ("D1", "adult", *(None,) * 8, "R", A1, *(None,) * 8, carried, "", "3.44.0"),
    )
    index = registry.index(demo)
    assert identifiers(index) == ["D1", "D2"] and index.version.endswith("-1")
    assert not (tmp_path / "registry/index/0123456789ab-demo-abc").exists()
    with registry.opened() as source:
        records = [source.record(i) for i in ("D1", "D2")]
    assert records[0] is not None and records[1] is not None
    assert records[0]["present"] == {
        "type": "adult",
        "registry": "R",
        "status": "available",
        "added": 1,
        "revision": 1,
        "typing": f"{A1}^MICA*001+MICA*002",
        "typing_release": "3.44.0",
    }
    assert records[1]["present"]["age_years"] == 34 and records[1]["present"]["type"] == "cord"
    assert records[1]["history"] == [
        {"kind": "new", "revision": 1, "imported_at": None, "file": None}
    ]
    update = write(tmp_path / "update.txt", [("D1", f"{A1}^MICA*001+MICA*002"), ("D3", A1)])
    summary = registry.import_file(update, demo, tmp_path / "r.csv")
    # The registry and the release of D1 are no longer stated.
    assert (summary.new, summary.updated) == (1, 1)


def test_an_empty_store_of_schema_2(demo: Nomenclature, tmp_path: Path) -> None:
    registry = schema_2(tmp_path / "registry")
    with pytest.raises(StoreError, match="no donors"):
        registry.index(demo)
    assert registry.count() == 0


def test_an_import_that_brings_a_store_up_to_date(demo: Nomenclature, tmp_path: Path) -> None:
    registry = schema_2(tmp_path / "registry")
    few = write(tmp_path / "few.txt", [("D1", A1)])
    assert registry.import_file(few, demo, tmp_path / "r.csv").new == 1
    assert stored(registry) == {"D1": A1}
