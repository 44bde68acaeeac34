"""The donor store and its index: nothing lost, nothing half."""

from __future__ import annotations

import csv
import datetime
import shutil
from pathlib import Path

import numpy as np
import pytest

from data.donor_files import INDEXED
from data.nomenclature import ReferenceFolder
from data.registry import ADD_OR_UPDATE, ImportRequest, ImportSummary, Mode, Registry
from data.registry.schema import put
from matching.errors import InputFileError, OutputError, StoreError
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from tests.data.indexed import identifiers
from tests.data.release_texts import release_texts, write_release

ROWS = [
    ("D3", "A*01:01+A*02:01^B*07:02+B*08:01^MICA*001+MICA*002"),
    ("D1", "A*01:01+A*01:01^B*07:02+B*08:01"),
    ("D2", "A*02:01:01G+A*03:01/A*11:01^DPB1*04:01+DPB1*03:01"),
]


def write(path: Path, rows: list[tuple[str, str]]) -> Path:
    path.write_text("".join(f"{identifier}%{gl}\n" for identifier, gl in rows))
    return path


def load(
    registry: Registry, demo: Nomenclature, tmp_path: Path, rows: list[tuple[str, str]]
) -> ImportSummary:
    path = write(tmp_path / "donors.txt", rows)
    return registry.import_file(path, demo, tmp_path / "rejects.csv")


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
    assert len(list(first.root.parent.iterdir())) == 1
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


def test_an_older_store_beside_a_newer_index(demo: Nomenclature, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    store, backup = tmp_path / "registry/donors.sqlite", tmp_path / "backup"
    load(registry, demo, tmp_path, ROWS)
    shutil.copy(store, backup)

    def restored() -> Registry:
        for path in store.parent.glob("donors.sqlite*"):
            path.unlink()
        shutil.copy(backup, store)
        return registry

    load(registry, demo, tmp_path, [("D4", ROWS[0][1])])
    assert identifiers(registry.index(demo)) == ["D1", "D2", "D3", "D4"]
    assert identifiers(restored().index(demo)) == ["D1", "D2", "D3"]
    load(registry, demo, tmp_path, [("D4", ROWS[0][1])])
    # As many revisions as the index has, and others.
    load(restored(), demo, tmp_path, [("D5", ROWS[0][1]), ("D1", ROWS[0][1])])
    assert identifiers(registry.index(demo)) == ["D1", "D2", "D3", "D5"]


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


class Files:
    """Imports of CSV files with given columns into one registry."""

    def __init__(self, registry: Registry, demo: Nomenclature, folder: Path) -> None:
        self.registry, self.demo, self.folder = registry, demo, folder
        self.path = folder / "donors.csv"

    def __call__(
        self, columns: str, *rows: str, request: ImportRequest = ADD_OR_UPDATE
    ) -> ImportSummary:
        self.path.write_text("\n".join([columns, *rows, ""]))
        summary = self.registry.import_file(
            self.path, self.demo, self.folder / "rejects.csv", request=request
        )
        counts(summary)
        return summary

    def rejects(self) -> list[tuple[str, str]]:
        with (self.folder / "rejects.csv").open(newline="") as file:
            return [(row["id"], row["reason"]) for row in csv.DictReader(file)]

    def state(self) -> dict[str, object]:
        """Everything that the store knows of donors D1 to D9."""
        with self.registry.opened() as source:
            found = {f"D{i}": source.record(f"D{i}") for i in range(1, 10)}
            return {**found, "count": source.count(), "revision": source.revision}


@pytest.fixture
def files(registry: Registry, demo: Nomenclature, tmp_path: Path) -> Files:
    return Files(registry, demo, tmp_path)


A1, A2 = "A*01:01+A*01:01", "A*02:01+A*02:01"


def summed(summary: ImportSummary) -> dict[str, int]:
    names = ("new", "updated", "unchanged", "deleted", "rejected", "older", "absent")
    return {name: value for name in names if (value := getattr(summary, name))}


def test_new_update_delete_and_either(files: Files) -> None:
    assert summed(files("id,gl,change", f"D1,{A1},N", f"D2,{A1},", f"D3,{A1},nu")) == {"new": 3}
    second = ("id,gl,change", f"D1,{A2},U", "D2,,D", f"D3,{A2},N", f"D4,{A2},U", "D5,,D")
    assert summed(files(*second)) == {"updated": 1, "deleted": 1, "rejected": 2, "unchanged": 1}
    (one, two) = files.rejects()
    assert one[0] == "D3" and "already stored and different" in one[1]
    assert two[0] == "D4" and "not stored" in two[1]
    assert identifiers(files.registry.index(files.demo)) == ["D1", "D3"]
    before = files.state()
    # The same file again changes nothing, not even the history.
    assert summed(files(*second)) == {"unchanged": 3, "rejected": 2}
    assert files.state() == before


def test_the_history_of_a_donor(files: Files) -> None:
    files("id,sex,gl", f"D1,F,{A1}")
    files("id,sex,gl,reported_at", f"D1,M,{A1},2026-01-02T03:04:05+01:00")
    files("id,gl,change", "D1,,D")
    files("id,gl", f"D1,{A2}")
    with files.registry.opened() as source:
        record = source.record("D1")
        assert source.record("D2") is None
    assert record is not None
    assert [(step["kind"], step["revision"]) for step in record["history"]] == [
        *(("new", 1), ("updated", 2), ("deleted", 3), ("new", 4)),
    ]
    assert all(step["file"] == "donors.csv" and step["imported_at"] for step in record["history"])
    assert record["history"][1]["reported_at"] == "2026-01-02T02:04:05Z"
    assert record["history"][1]["former"]["sex"] == "female"
    assert record["history"][2]["former"]["sex"] == "male"
    assert record["history"][2]["former"]["reported_at"] == "2026-01-02T02:04:05Z"
    assert record["present"]["typing"] == A2 and record["present"]["revision"] == 4


def test_donors_are_listed_in_the_order_of_their_bytes(files: Files) -> None:
    ids = ["a/1", "a", "Z", "\u00c4", "B", "\U0001f9ec", "\uffee"]
    files("id,gl,registry", *(f"{one},{A1},{'R' if one == 'Z' else ''}" for one in ids))
    with files.registry.opened() as source:
        listed: list[str] = []
        while page := source.shown_after(listed[-1] if listed else "", 2):
            assert len(page) <= 2
            for identifier, donor in page:
                record = source.record(identifier)
                assert record is not None and record["present"] == donor
                listed.append(identifier)
        assert source.counts("registry") == {"": 6, "R": 1}
    assert listed == sorted(ids, key=str.encode)


def test_what_changed_after_a_revision(files: Files) -> None:
    files("id,gl", f"D1,{A1}", f"D2,{A1}", f"D3,{A1}")
    files("id,gl,change", f"D1,{A2},", "D2,,D", f"D4,{A1},", f"D5,{A1},")
    files("id,gl,change", f"D2,{A2},", "D3,,D", "D4,,D", f"D5,{A2},")

    def changes(after: int) -> list[tuple[str, str]]:
        with files.registry.opened() as source:
            found = [(change.id, change.kind) for change in source.changes(after)]
            touched = ["D1", "D2", "D3", "D4", "D5"]
            assert source.changed_ids(after) == [[], touched[1:], touched, touched][3 - after]
            present = [i for batch in source.changed(after) for i in batch["id"].to_pylist()]
            assert present == [i for i, kind in found if kind != "deleted"]
        return found

    assert changes(3) == []
    assert changes(2) == [("D2", "new"), ("D3", "deleted"), ("D4", "deleted"), ("D5", "updated")]
    assert changes(1) == [("D1", "updated"), ("D2", "updated"), ("D3", "deleted"), ("D5", "new")]
    assert changes(0) == [("D1", "new"), ("D2", "new"), ("D5", "new")]


def test_older_records_change_nothing(files: Files) -> None:
    header = "id,gl,change,reported_at"
    files(header, f"D1,{A1},,2026-03-01", f"D2,{A1},,2026-03-01", "D3,,D,2026-03-01")
    older = files(
        *(header, f"D1,{A2},,2026-02-01", "D2,,D,2026-02-28T23:59:59Z", f"D3,{A1},,2026-02-01"),
    )
    assert summed(older) == {"unchanged": 3, "older": 3}
    assert files.registry.typings(["D1", "D2", "D3"]) == {"D1": A1, "D2": A1}
    # The same content reported later moves the time on.
    assert summed(files(header, f"D1,{A1},,2026-05-01")) == {"unchanged": 1}
    assert summed(files(header, f"D1,{A2},,2026-04-01")) == {"unchanged": 1, "older": 1}
    assert summed(files(header, f"D1,{A2},,2026-06-01")) == {"updated": 1}
    # A deletion is remembered; only a later record brings the donor back.
    assert summed(files(header, "D2,,D,2026-04-01")) == {"deleted": 1}
    assert summed(files(header, f"D2,{A2},,2026-03-15")) == {"unchanged": 1, "older": 1}
    assert summed(files(header, f"D2,{A2},,2026-04-02")) == {"new": 1}
    # A record without time is as new as what is stored.
    assert summed(files("id,gl", f"D1,{A1}")) == {"updated": 1}
    assert summed(files(header, f"D1,{A2},,2026-05-31")) == {"unchanged": 1, "older": 1}


@pytest.mark.parametrize("seed", range(3))
def test_records_in_any_order_end_in_the_same_state(
    files: Files, seed: int, demo: Nomenclature
) -> None:
    rng = np.random.default_rng(seed)
    records = []
    for i in range(1, 6):
        for day in rng.choice(np.arange(1, 29), size=4, replace=False).tolist():
            change = rng.choice(["D", ""])
            gl = rng.choice([A1, A2, f"{A1}^B*07:02+B*07:02"])
            records.append((f"D{i}", day, f"D{i},{gl},{change},2026-01-{day:02}T00:00:00"))
    expected = {}
    for identifier, _, line in sorted(records, key=lambda r: (r[0], r[1])):
        _, gl, change, _ = line.split(",")
        expected[identifier] = None if change == "D" else gl
    for k in rng.permutation(len(records)).tolist():
        files("id,gl,change,reported_at", records[k][2])
    found = files.registry.typings(expected)
    assert found == {i: gl for i, gl in expected.items() if gl is not None}
    assert files.registry.count() == len(found)


FULL = ImportRequest(Mode.FULL)
FULL_ALLOWED = ImportRequest(Mode.FULL, allow_deletions=True)


def test_a_full_file_deletes_who_is_not_in_it(files: Files) -> None:
    many = [f"E{i:02},X,{A1}" for i in range(20)]
    files("id,registry,gl", f"D1,X,{A1}", f"D2,Y,{A1}", f"D3,,{A1}", *many)
    full = ("id,registry,gl", f"E00,X,{A2}", "E01,X,nonsense", *many[2:])
    assert summed(files(*full, request=FULL)) == {
        "updated": 1,
        "unchanged": 18,
        "rejected": 1,
        "absent": 1,
    }
    # A refused record is in the file, and the other registries are not concerned.
    assert files.registry.typings(["D1", "D2", "D3", "E01"]).keys() == {"D2", "D3", "E01"}
    before = files.state()
    assert summed(files(*full, request=FULL)) == {"unchanged": 19, "rejected": 1}
    assert files.state() == before
    with files.registry.opened() as source:
        record = source.record("D1")
    assert record is not None and record["present"] is None
    assert [step["kind"] for step in record["history"]] == ["new", "deleted"]


def test_a_full_file_that_would_delete_many_is_refused(files: Files) -> None:
    many = [f"E{i:02},{A1}" for i in range(20)]
    files("id,gl", *many)
    before = files.state()
    with pytest.raises(InputFileError, match="would delete 3 of 20 donors, more than 10%"):
        files("id,gl", f"D1,{A1}", *many[3:], request=FULL)
    with pytest.raises(InputFileError, match=r"1 records of .* have no readable identifier"):
        files("id,gl", f",{A1}", *many[1:], request=FULL)
    assert files.state() == before
    assert summed(files("id,gl", *many[2:], request=FULL)) == {"unchanged": 18, "absent": 2}
    assert summed(files("id,gl", many[5], request=FULL_ALLOWED)) == {"unchanged": 1, "absent": 17}
    assert identifiers(files.registry.index(files.demo)) == ["E05"]


def test_check_and_validation_change_nothing(files: Files, tmp_path: Path) -> None:
    check = ImportRequest(Mode.CHECK, differences=tmp_path / "differences.csv")
    assert summed(files("id,gl", f"D1,{A1}", request=check)) == {"new": 1}
    with pytest.raises(StoreError, match="no donors in"):
        files.registry.count()
    files("id,sex,gl", f"D1,F,{A1}", f"D2,F,{A1}", f"D3,F,{A1}", f"D4,F,{A1}")
    before = files.state()
    checked = files(
        *("id,sex,gl,change", f"D1,F,{A1},N", f"D2,M,{A2},", f"D9,F,{A1},U", "D4,,,D", "D8,,x,"),
        request=check,
    )
    assert summed(checked) == {
        "new": 1,
        "updated": 1,
        "unchanged": 1,
        "deleted": 1,
        "rejected": 1,
        "absent": 1,
    }
    assert (tmp_path / "differences.csv").read_text().splitlines() == [
        *("id,difference,fields", "D2,differs,sex a", "D9,not stored,", "D4,deleted in the file,"),
        "D3,not in the file,",
    ]
    validated = files(
        *("id,gl", f"D1,{A2}", f"D5,{A2}", "D6,nonsense"),
        request=ImportRequest(validate_only=True),
    )
    assert summed(validated) == {"new": 1, "updated": 1, "rejected": 1}
    assert files.rejects()[0][0] == "D6"
    with pytest.raises(InputFileError, match="would delete"):
        files("id,gl", f"D1,{A2}", request=ImportRequest(Mode.FULL, validate_only=True))
    assert files.state() == before


def test_duplicates_over_batches_and_in_any_order(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("data.donor_files.batches.BATCH", 7)
    ids = [f"E{i:03}" for i in range(50)]
    order = np.random.default_rng(0).permutation(50).tolist()
    rows = [f"{ids[i]},{A1}" for i in order]
    rows[40:40] = [f"{ids[order[3]]},{A2}", f"{ids[order[39]]},{A2}"]
    assert summed(files("id,gl", *rows)) == {"new": 50, "rejected": 2}
    assert [(i, "duplicate of record" in reason) for i, reason in files.rejects()] == [
        *((ids[order[3]], True), (ids[order[39]], True)),
    ]
    assert "record 5 " in files.rejects()[0][1]
    assert identifiers(files.registry.index(files.demo)) == ids
    assert set(files.registry.typings(ids).values()) == {A1}
    assert summed(files("id,gl", *rows)) == {"unchanged": 50, "rejected": 2}


def test_files_of_new_donors_alone_end_as_any_others(
    demo: Nomenclature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deletion of nobody makes every batch be looked at record by record."""
    monkeypatch.setattr("data.donor_files.batches.BATCH", 4)
    rng = np.random.default_rng(7)
    texts = [A1, A2, "A*01:01+A*02:01", "A*02:01~B*07:02+A*01:01~B*08:01", "A*99:99+A*01:01", ""]
    rows = [
        f"D{i},{rng.choice(texts)},{rng.choice(['R', 'S', ''])},{rng.choice(['cord', ''])},"
        f"{rng.choice(['2026-01-01T00:00:00Z', ''])},{rng.choice(['N', 'NU', ''])}"
        for i in rng.permutation(9) + 1
    ]
    states = []
    for name, extra in (("new", []), ("any", ["D0,,,,,D"])):
        folder = tmp_path / name
        folder.mkdir()
        found = Files(Registry(folder / "registry"), demo, folder)
        # The deletion stands in front of every batch of four.
        lines = [line for i in range(0, 9, 3) for line in [*extra, *rows[i : i + 3]]]
        counted = summed(found("id,gl,registry,type,reported_at,change", *lines))
        index = found.registry.index(demo)
        every = np.arange(len(index.donors))
        facts = index.facts(every).astype(object).where(index.facts(every).notna(), None)
        content = [index.ids(every), facts.to_numpy().tolist()]
        states.append((counted["new"], found.state(), content, index.n_unreadable))
        assert counted["new"] + counted["rejected"] - len(extra) * 2 == 9
    for _, state, _, _ in states:
        for record in state.values():
            if isinstance(record, dict):
                record["history"] = [(step["kind"], step["revision"]) for step in record["history"]]
    assert states[0] == states[1]


def test_every_fact_comes_back(files: Files) -> None:
    facts = {
        "type": "cord",
        "birth_date": "2020-02-01",
        "sex": "male",
        "cmv": "negative",
        "abo": "AB",
        "rh": "negative",
        "weight_kg": "3.5",
        "ancestry": "x,y",
        "registry": "R",
        "grid": "999101234567890CS23",
        "status": "reserved",
        "tnc_1e7": "150.5",
        "cd34_1e6": "4",
        "volume_ml": "25",
        "mother_gl": A1,
        "typing_date": "2020-02-02",
    }
    gl = "hla#3.44.0#A*01:01~B*07:02+A*02:01~B*08:01^MICA*001+MICA*002"
    quoted = ",".join(f'"{value}"' for value in (*facts.values(), gl))
    files(",".join(["id", *facts, "gl"]), f"D1,{quoted}")
    with files.registry.opened() as source:
        record = source.record("D1")
        (batch,) = source.donors()
    assert record is not None
    present = record["present"]
    assert {name: str(present[name]).removesuffix(".0") for name in facts} == facts
    assert present["typing"] == gl.rpartition("#")[2] and present["typing_release"] == "3.44.0"
    (row,) = batch.to_pylist()
    assert batch.schema == INDEXED and row["a"] == "A*01:01+A*02:01" and row["c"] is None
    assert (row["status"], row["tnc_1e7"], row["birth_date"]) == ("reserved", 150.5, "2020-02-01")


def test_a_snapshot_is_not_torn_by_an_import(files: Files) -> None:
    rows = [f"E{i:03},{A1}" for i in range(300)]
    files("id,gl", *rows)
    with files.registry.opened() as source:
        batches = source.donors()
        files("id,gl", *(row.replace(A1, A2) for row in rows), f"D1,{A1}")
        texts = [text for batch in batches for text in batch["a"].to_pylist()]
        assert texts == [A1] * 300 and source.count() == 300 and source.revision == 1
    assert files.registry.count() == 301


def test_a_second_writer_is_told_to_wait(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    files("id,gl", f"D1,{A1}")
    monkeypatch.setattr("data.registry.databases.BUSY_SECONDS", 0.2)
    with files.registry._database.session(writes=True):
        with pytest.raises(StoreError, match="another import is writing"):
            files("id,gl", f"D2,{A1}")
        # Reading and checking go on beside a writer.
        assert files.registry.count() == len(files.registry.index(files.demo).donors) == 1
        assert summed(files("id,gl", f"D1,{A1}", request=ImportRequest(Mode.CHECK))) == {
            "unchanged": 1
        }
    assert summed(files("id,gl", f"D2,{A1}")) == {"new": 1}


def test_a_store_of_a_newer_version_is_refused(files: Files) -> None:
    files("id,gl", f"D1,{A1}")
    with files.registry._database.session(writes=True) as session:
        put(session.connection, "schema", "99")
    with pytest.raises(StoreError, match="newer version \\(schema 99, this version reads 3\\)"):
        files.registry.count()
    with pytest.raises(StoreError, match="newer version"):
        files("id,gl", f"D2,{A1}")


def test_identifiers_are_ordered_by_their_bytes(files: Files) -> None:
    ids = ["b", "A", "é", "a-1", "Z", "a1", "0", "中"]
    files("id,gl", f"D1,{A1}")
    files("id,gl", *(f"{identifier},{A1}" for identifier in ids))
    expected = sorted(ids, key=str.encode)
    with files.registry.opened() as source:
        assert [i for b in source.changed(1) for i in b["id"].to_pylist()] == expected
        assert source.changed_ids(1) == expected
        every = [i for batch in source.donors() for i in batch["id"].to_pylist()]
        assert every == sorted([*ids, "D1"], key=str.encode)
