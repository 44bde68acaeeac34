"""The donor store and its index: nothing lost, nothing half."""

from __future__ import annotations

import csv
import datetime
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from data.index import StoredIndex
from data.nomenclature import ReferenceFolder
from data.registry import ImportSummary, Registry
from matching.errors import InputFileError, OutputError, StoreError
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from tests.conftest import PROJECT
from tests.data.release_texts import release_texts, write_release

ROWS = [
    ("D3", "A*01:01+A*02:01^B*07:02+B*08:01^MICA*001+MICA*002"),
    ("D1", "A*01:01+A*01:01^B*07:02+B*08:01"),
    ("D2", "A*02:01:01G+A*03:01/A*11:01^DPB1*04:01+DPB1*03:01"),
]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{identifier}%{gl}\n" for identifier, gl in rows))
    return path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def load(
    registry: Registry, demo: Nomenclature, tmp_path: Path, rows: list[tuple[str, str]]
) -> ImportSummary:
    path = write(tmp_path / "donors.txt", rows)
    return registry.import_file(path, demo, tmp_path / "rejects.csv")


def identifiers(index: StoredIndex) -> list[str]:
    return index.ids(np.arange(len(index)))


def counts(summary: ImportSummary) -> tuple[int, ...]:
    parts = (summary.new, summary.updated, summary.unchanged, summary.deleted, summary.rejected)
    assert summary.read == sum(parts)
    return (summary.new, summary.updated, summary.unchanged, summary.rejected)


def test_import_again_and_update(registry: Registry, demo: Nomenclature, tmp_path: Path) -> None:
    assert counts(load(registry, demo, tmp_path, ROWS)) == (3, 0, 0, 0)
    first = registry.index(demo)
    assert identifiers(first) == ["D1", "D2", "D3"]
    assert counts(load(registry, demo, tmp_path, ROWS)) == (0, 0, 3, 0)
    assert registry.index(demo).version == first.version
    changed = [("D1", "A*03:01+A*03:01"), ("D4", ROWS[0][1])]
    assert counts(load(registry, demo, tmp_path, changed)) == (1, 1, 0, 0)
    second = registry.index(demo)
    assert second.version != first.version and registry.count() == 4
    assert identifiers(second) == ["D1", "D2", "D3", "D4"]
    # The first index is still readable by a search that opened it.
    assert len(first.donors) == 3 and identifiers(first)[0] == "D1"
    assert len(list((registry.root / "index").iterdir())) == 1
    assert registry.typings(["D1", "D3", "D9"]) == {"D1": "A*03:01+A*03:01", "D3": ROWS[0][1]}


def test_rejects_have_a_reason_and_the_rest_goes_on(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    rows = [
        *ROWS,
        ("D1", "A*02:01+A*02:01"),
        ("D5", "A*01:01"),
        ("D6", "A*99:99+A*01:01"),
        ("", "A*01:01+A*01:01"),
        ("D7", "MICA*001+MICA*002"),
        ("D8", "A*01:AB+A*01:01"),
    ]
    summary = load(registry, demo, tmp_path, rows)
    assert counts(summary) == (3, 0, 0, 6)
    assert summary.rejects_file == tmp_path / "rejects.csv"
    with (tmp_path / "rejects.csv").open(newline="") as file:
        rejects = list(csv.DictReader(file))
    assert [(r["record"], r["id"]) for r in rejects] == [
        *(("4", "D1"), ("5", "D5"), ("6", "D6"), ("7", ""), ("8", "D7"), ("9", "D8")),
    ]
    for reject, reason in zip(
        rejects,
        (
            "duplicate of record 2",
            "only one of two",
            "demo",
            "missing",
            "no locus is typed",
            "demo",
        ),
        strict=True,
    ):
        assert reason in reject["reason"]


def test_a_refused_file_changes_nothing(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    load(registry, demo, tmp_path, ROWS)
    before = registry.index(demo).version
    path = tmp_path / "broken.csv"
    for content, error in (("", InputFileError), ("id,gl,x\nD9,y,z\n", InputFileError)):
        path.write_text(content)
        with pytest.raises(error):
            registry.import_file(path, demo, tmp_path / "r.csv")
    path.write_text("id,gl\nD9,nonsense\n")
    with pytest.raises(OutputError, match="cannot write"):
        registry.import_file(path, demo, tmp_path / "donors.txt" / "r.csv")
    assert registry.index(demo).version == before and registry.count() == 3
    assert not (tmp_path / "r.csv").exists()


def test_nothing_imported_yet(registry: Registry, demo: Nomenclature) -> None:
    for action in (registry.count, lambda: registry.index(demo), lambda: registry.typings(["D1"])):
        with pytest.raises(StoreError, match="graftmatch registry import FILE"):
            action()


def test_a_lost_or_damaged_index_is_built_anew(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    load(registry, demo, tmp_path, ROWS)
    for name in ("manifest.json", "segment-*/columns.bin", "segment-*/segment.json"):
        (path,) = registry.index(demo).root.glob(name)
        path.write_bytes(b"")
        assert identifiers(registry.index(demo)) == ["D1", "D2", "D3"]


def test_another_release_encodes_the_stored_typings_anew(
    registry: Registry, tmp_path: Path
) -> None:
    reference = ReferenceFolder(tmp_path / "reference")
    releases = []
    for number in ("9.1.0", "9.2.0"):
        texts = release_texts(number)
        if number == "9.2.0":
            texts = {
                name: text.replace("A*;01:02;", "A*;01:77;")
                .replace("A*01:02", "A*01:77")
                .replace("identical", "gone")
                .replace("01:03;20200101;20210101;01:02", "01:03;20200101;20210101;")
                for name, text in texts.items()
            }
        source = write_release(tmp_path / number, texts)
        reference.install(number, str(source))
        releases.append(reference.open(number))
    rows = [("D1", "A*01:01+A*01:01"), ("D2", "A*01:02+A*01:01")]
    load(registry, releases[0], tmp_path, rows)
    assert identifiers(registry.index(releases[0])) == ["D1", "D2"]
    newer = registry.index(releases[1])
    assert identifiers(newer) == ["D1"] and newer.n_unreadable == 1
    assert "D2" in newer.unreadable.read_text() and "9.2.0" in newer.unreadable.read_text()
    assert identifiers(registry.index(releases[0])) == ["D1", "D2"]


def test_followed_names_are_reported(
    registry: Registry, nomenclature: Nomenclature, tmp_path: Path
) -> None:
    rows = [("D1", "A*11:53+A*01:01"), ("D2", "A*11:53/A*24:329+A*01:01")]
    summary = load(registry, nomenclature, tmp_path, rows)
    assert summary.notes == (
        "A*11:53 is deleted in 3.58.0, identical to A*11:02:01:01",
        "A*24:329 read as A*24:329Q",
    )


def test_ages(registry: Registry, demo: Nomenclature, tmp_path: Path) -> None:
    path = tmp_path / "donors.csv"
    path.write_text(
        "id,birth_date,age_years,a\n"
        "D1,2000-02-29,,01:01+01:01\nD2,,40,01:01+01:01\nD3,,,01:01+01:01\n"
        "D4,1990-06-15,,01:01+01:01\n"
    )
    registry.import_file(path, demo, tmp_path / "r.csv")
    index = registry.index(demo)
    for day, expected in (
        ((2026, 2, 28), [25, 40, np.nan, 35]),
        ((2026, 3, 1), [26, 40, np.nan, 35]),
        ((2026, 6, 14), [26, 40, np.nan, 35]),
        ((2026, 6, 15), [26, 40, np.nan, 36]),
    ):
        ages = index.ages(datetime.date(*day), np.arange(4))
        assert np.array_equal(ages, np.array(expected, dtype=float), equal_nan=True)


def test_untyped_null_and_ambiguous_stay_apart(
    registry: Registry, demo: Nomenclature, tmp_path: Path
) -> None:
    rows = [
        ("D1", "B*07:02+B*07:02"),
        ("D2", "A*01:01+A*24:09N"),
        ("D3", "A*01:01/A*02:01+A*01:01"),
    ]
    load(registry, demo, tmp_path, rows)
    index = registry.index(demo).donors
    untyped, null, ambiguous = (index.genotype(row, Locus.A) for row in range(3))
    assert untyped is None and null is not None and ambiguous is not None
    assert null.linked and null.first == null.second and len(null.first) == 1
    assert not ambiguous.linked and len(ambiguous.first) == 2


def test_a_second_writer_is_told_to_wait(
    registry: Registry, demo: Nomenclature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(registry, demo, tmp_path, ROWS)
    monkeypatch.setattr("data.registry.databases.BUSY_SECONDS", 0.1)
    other = sqlite3.connect(registry.root / "donors.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another import is writing"):
        load(registry, demo, tmp_path, [("D9", ROWS[0][1])])
    # Reading goes on beside a writer.
    assert registry.count() == 3 and len(registry.index(demo).donors) == 3
    other.execute("ROLLBACK")
    other.close()
    assert counts(load(registry, demo, tmp_path, [("D9", ROWS[0][1])])) == (1, 0, 0, 0)


def test_a_file_that_is_no_store(registry: Registry, demo: Nomenclature, tmp_path: Path) -> None:
    registry.root.mkdir()
    (registry.root / "donors.sqlite").write_text("this is no database, but text long enough")
    with pytest.raises(StoreError, match="not a database"):
        load(registry, demo, tmp_path, ROWS)


IMPORT = """
import sys
from pathlib import Path
from data.nomenclature import ReferenceFolder
from data.registry import Registry
root = Path(sys.argv[1])
demo = ReferenceFolder(root / "reference").open("demo")
Registry(root / "registry").import_file(Path(sys.argv[2]), demo, root / "rejects.csv")
"""


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2, 0.3, 0.45, 0.6])
def test_an_import_that_is_killed_leaves_the_state_before(
    registry: Registry, demo: Nomenclature, tmp_path: Path, delay: float
) -> None:
    load(registry, demo, tmp_path, ROWS)
    before = registry.index(demo).version
    many = write(tmp_path / "many.txt", [(f"N{i}", ROWS[i % 3][1]) for i in range(30_000)])
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    process = subprocess.Popen(
        [sys.executable, "-c", IMPORT, str(tmp_path), str(many)], env=environment
    )
    wal = registry.root / "donors.sqlite-wal"
    deadline = time.monotonic() + 30
    while not wal.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    index = registry.index(demo)
    assert (len(index.donors), registry.count()) in ((3, 3), (30_003, 30_003))
    assert (index.version == before) == (len(index.donors) == 3)
    registry.import_file(many, demo, tmp_path / "r.csv")
    assert len(registry.index(demo).donors) == registry.count() == 30_003


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
    load(registry, demo, tmp_path, ROWS)
    before = registry.index(demo).version
    many = write(tmp_path / "many.txt", [(f"N{i}", ROWS[0][1]) for i in range(60_000)])
    with pytest.raises((StoreError, OutputError), match=r"disk is full|No space left"):
        registry.import_file(many, demo, tmp_path / "r.csv")
    assert registry.index(demo).version == before and registry.count() == 3
    (left,) = (registry.root / "index").iterdir()
    assert left.name.startswith(before.partition("-")[0])
    reference = ReferenceFolder(small_disk / "reference")
    source = write_release(tmp_path / "source", release_texts())
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(b"x" * 4_000_000)
    with pytest.raises(OutputError, match="No space left"):
        reference.install("9.1.0", str(source))
    assert not reference.root.exists() or list(reference.root.iterdir()) == []
