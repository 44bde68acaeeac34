"""Stores of an earlier version, and files that are none."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from data.registry import Registry
from matching.errors import StoreError
from matching.nomenclature import Nomenclature
from tests.data.indexed import identifiers, stored, write

A1, A2 = "A*01:01+A*01:01", "A*02:01+A*02:01"


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
