"""The index on disk: built, extended, damaged, read by many."""

from __future__ import annotations

import datetime
import json
import random
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.index import DamagedIndexError, DonorFilter, StoredIndex, open_index, update_index
from data.index.updating import MAX_SEGMENTS
from matching.errors import OutputError, StoreError
from matching.genotypes import encode
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature
from matching.search import Criteria, find_donors
from matching.typings import parse_typing
from tests.data.index_source import MemoryStore

DAY = datetime.date(2026, 6, 1)
NAMES = ("A*01:01", "A*02:01", "A*03:01", "A*11:01")


def donor(rng: random.Random) -> dict[str, Any]:
    """Columns of a random donor."""
    return {
        "a": "+".join(rng.choices(NAMES, k=2)),
        "b": rng.choice(
            ["B*07:02+B*08:01", "B*08:01+B*07:02", "B*07:02+B*07:02|B*07:02+B*08:01", None]
        ),
        "sex": rng.choice(["male", "female", None]),
        "type": rng.choice(["adult", "adult", "cord"]),
        "birth_date": rng.choice(["1990-02-28", "2001-12-31", None]),
        "age_years": rng.choice([None, 33.0]),
        "weight_kg": rng.choice([None, 70.0, 81.5]),
        "tnc_1e7": rng.choice([None, 150.0, 40.0]),
        "cmv": rng.choice(["positive", "negative", None]),
        "registry": rng.choice(["ZKRD", "DKMS", "Ä"]),
    }


def filled(n: int, seed: int = 1) -> MemoryStore:
    rng = random.Random(seed)
    return MemoryStore().change({f"D{i:04}": donor(rng) for i in range(n)})


def valid_rows(index: StoredIndex) -> np.ndarray:
    """All rows that were not removed, by a search that everyone meets."""
    patient = encode(parse_typing("A*01:01+A*02:01"), index.nomenclature)
    return find_donors(index.donors, patient, Criteria((Locus.A,), 2)).rows


def content(index: StoredIndex) -> dict[str, tuple[Any, ...]]:
    """Genotypes, facts and age of every donor."""
    rows = valid_rows(index)
    ids, ages = index.ids(rows), index.ages(DAY, rows)
    facts = index.facts(rows).astype(object)
    facts = facts.where(facts.notna(), None)
    assert len(set(ids)) == len(ids) == len(index)
    return {
        name: (
            tuple(index.donors.genotype(int(row), locus) for locus in LOCI),
            tuple(facts.iloc[i]),
            str(ages[i]),
        )
        for i, (name, row) in enumerate(zip(ids, rows, strict=True))
    }


def written_b(index: StoredIndex) -> dict[str, str | None]:
    """What every donor has written at HLA-B, None where untyped."""
    rows = valid_rows(index)
    found, number = index.written_b(rows)
    texts = [
        "|".join(
            "+".join(found.positions[i] for i in pair)
            for pair in found.pairs[found.starts[n] : found.starts[n + 1]].tolist()
        )
        for n in range(len(found.starts) - 1)
    ]
    return {name: texts[n] or None for name, n in zip(index.ids(rows), number, strict=True)}


def rebuilt(store: MemoryStore, demo: Nomenclature, folder: Path) -> dict[str, tuple[Any, ...]]:
    """The content of an index that is built at once."""
    return content(update_index(folder / f"whole{store.revision}", store, demo))


def test_an_index_holds_what_the_store_gave(demo: Nomenclature, tmp_path: Path) -> None:
    store = filled(100)
    index = update_index(tmp_path / "index", store, demo)
    assert (len(index), index.revision, index.version) == (100, 1, "01234567-1")
    rows = np.array([41, 3, 99])
    facts = index.facts(rows)
    for i, name in enumerate(index.ids(rows)):
        expected = store.present[name][1]
        assert name == f"D{rows[i]:04}"
        for column in ("sex", "type", "birth_date", "registry", "cmv", "grid"):
            if column in facts:
                assert facts[column][i] == expected.get(column)
        weight = expected["weight_kg"]
        assert facts["weight_kg"][i] == weight or (
            weight is None and np.isnan(facts["weight_kg"][i])
        )
        typing = parse_typing(f"{expected['a']}")
        assert index.donors.genotype(int(rows[i]), Locus.A) == encode(typing, demo).loci[Locus.A]
    again = open_index(tmp_path / "index", demo)
    assert again is not None and content(again) == content(index)
    assert open_index(tmp_path / "none", demo) is None
    expected_b = {name: columns["b"] for name, (_, columns) in store.present.items()}
    assert written_b(index) == expected_b and len(set(expected_b.values())) == 4


def test_changes_become_segments_and_equal_a_rebuild(demo: Nomenclature, tmp_path: Path) -> None:
    rng = random.Random(2)
    store = filled(1000)
    update_index(tmp_path / "index", store, demo)
    numbers = []
    for step in range(2 * MAX_SEGMENTS):
        known = rng.sample(sorted(store.present), 3)
        change: dict[str, Mapping[str, Any] | None] = {name: donor(rng) for name in known[:2]}
        change[known[2]] = None
        # An identifier that comes back, and one that comes and goes before the next update.
        if step % 5 == 4:
            change[sorted(store.deleted)[0]] = donor(rng)
            store.change({"X": donor(rng)}).change({"X": None})
        store.change({**change, f"N{step}": donor(rng)})
        index = update_index(tmp_path / "index", store, demo)
        numbers.append(len(index.segments))
        if step % 3 == 0:
            assert content(index) == rebuilt(store, demo, tmp_path)
            expected_b = {name: columns["b"] for name, (_, columns) in store.present.items()}
            assert written_b(index) == expected_b
        assert index.revision == store.revision
    assert 1 < max(numbers) <= MAX_SEGMENTS and min(numbers[MAX_SEGMENTS:]) == 2
    # Nothing is left of former segments.
    names = {path.name for path in (tmp_path / "index").iterdir()}
    assert names == index.manifest.files
    store.change({name: donor(rng) for name in rng.sample(sorted(store.present), 120)})
    index = update_index(tmp_path / "index", store, demo)
    assert len(index.segments) == 1 and content(index) == rebuilt(store, demo, tmp_path)


def test_only_deletions_add_no_segment(demo: Nomenclature, tmp_path: Path) -> None:
    store = filled(100)
    update_index(tmp_path / "index", store, demo)
    index = update_index(tmp_path / "index", store.change({"D0007": None}), demo)
    assert len(index.segments) == 1 and len(index) == 99
    assert "D0007" not in content(index) and open_index(tmp_path / "index", demo) is not None


def test_an_index_is_never_set_back(demo: Nomenclature, tmp_path: Path) -> None:
    store = filled(50)
    update_index(tmp_path / "index", store.change({"Z": donor(random.Random(1))}), demo)
    older = filled(50)
    assert update_index(tmp_path / "index", older, demo).revision == 2
    other = filled(10)
    other.store_id = "fedcba9876543210"
    assert len(update_index(tmp_path / "index", other, demo)) == 10


def test_a_store_that_was_put_back_has_its_index_built_anew(
    demo: Nomenclature, tmp_path: Path
) -> None:
    later = filled(50).change({"Z": donor(random.Random(1))})
    update_index(tmp_path / "index", later, demo)
    restored = filled(50)
    index = update_index(tmp_path / "index", restored, demo, set_back=True)
    assert index.revision == 1 and content(index) == rebuilt(restored, demo, tmp_path)
    # One that has come as far again is told by its stamps.
    update_index(tmp_path / "index", later, demo)
    restored.change({"Y": donor(random.Random(2))}).stamps[2] += 1
    restored.change({"X": donor(random.Random(3))})
    index = update_index(tmp_path / "index", restored, demo)
    assert index.revision == 3 and content(index) == rebuilt(restored, demo, tmp_path)


def test_donors_that_cannot_be_read_are_listed(demo: Nomenclature, tmp_path: Path) -> None:
    store = filled(100)
    store.change({"B1": {"a": "A*99:99+A*01:01"}, "B2": {"a": "A*01:01+A*01:01"}})
    store.change({"B3": {"b": "B*99:98+B*07:02"}})
    index = update_index(tmp_path / "index", store, demo)
    assert (len(index), index.n_unreadable) == (101, 2)
    assert 'B1,"locus A' in index.unreadable.read_text() and "B3" in index.unreadable.read_text()
    store.change({"B1": {"a": "A*01:01+A*01:01"}, "B2": {"a": "A*77:77+A*01:01"}})
    index = update_index(tmp_path / "index", store, demo)
    listed = index.unreadable.read_text()
    assert (len(index), index.n_unreadable, len(index.segments)) == (101, 2, 2)
    assert "B1" not in listed and "B2" in listed and "B3" in listed


def test_a_source_in_any_order_makes_the_same_index(demo: Nomenclature, tmp_path: Path) -> None:
    class Disordered(MemoryStore):
        def donors(self) -> Any:
            return reversed(list(super().donors()))

    class Doubled(MemoryStore):
        def donors(self) -> Any:
            return [*super().donors(), *super().donors()]

    store = filled(20)
    ordered = update_index(tmp_path / "ordered", store, demo)
    found = update_index(tmp_path / "any", Disordered(present=store.present, revision=1), demo)
    assert content(found) == content(ordered) and len(found) == 20
    with pytest.raises(StoreError, match="a donor twice"):
        update_index(tmp_path / "twice", Doubled(present=store.present, revision=1), demo)


def test_every_damage_is_named_and_repaired(demo: Nomenclature, tmp_path: Path) -> None:
    store = filled(300)
    update_index(tmp_path / "intact", store, demo)
    store.change({"D0001": None, "D0002": donor(random.Random(5))})
    expected = content(update_index(tmp_path / "intact", store, demo))

    def check(name: str) -> None:
        with pytest.raises(DamagedIndexError, match="built anew from the store") as raised:
            open_index(root, demo)
        assert name in str(raised.value) and str(root) in str(raised.value)
        assert content(update_index(root, store, demo)) == expected

    root = tmp_path / "index"
    for path in sorted((tmp_path / "intact").rglob("*")):
        relative = path.relative_to(tmp_path / "intact")
        if path.is_dir() or path.name in ("lock", "manifest.json") or "unreadable" in path.name:
            continue
        for damage in ("missing", "empty", "short", "long"):
            shutil.rmtree(root, ignore_errors=True)
            shutil.copytree(tmp_path / "intact", root)
            whole = path.read_bytes()
            if damage == "missing":
                (root / relative).unlink()
            else:
                cut = {"empty": b"", "short": whole[:-1], "long": whole + b"}"}[damage]
                (root / relative).write_bytes(cut)
            check(path.name)
    for text in ("", "{}", '{"format": 1'):
        (root / "manifest.json").write_text(text)
        check("manifest.json")


def test_numbers_out_of_range_never_reach_a_kernel(demo: Nomenclature, tmp_path: Path) -> None:
    """Every array of a segment in turn gets its highest number; what is opened can be searched."""
    store = filled(60)
    index = update_index(tmp_path / "intact", store, demo)
    (name,) = (segment.name for segment in index.manifest.segments)
    description = json.loads((tmp_path / "intact" / name / "segment.json").read_text())
    refused = set()
    for array, (dtype, shape, offset) in description["arrays"].items():
        if not np.prod(shape):
            continue
        shutil.rmtree(tmp_path / "index", ignore_errors=True)
        shutil.copytree(tmp_path / "intact", tmp_path / "index")
        with (tmp_path / "index" / name / "columns.bin").open("r+b") as file:
            kind = np.dtype(dtype)
            worst = np.iinfo(kind).max if kind.kind in "iu" else np.inf
            file.seek(offset + kind.itemsize * (int(np.prod(shape)) // 2))
            file.write(np.array([worst], dtype=kind).tobytes())
        try:
            opened = open_index(tmp_path / "index", demo)
        except DamagedIndexError:
            refused.add(array)
            continue
        assert opened is not None
        valid_rows(opened)
        opened.facts(np.arange(60))
        opened.written_b(np.arange(60))
    assert {
        *("codes", "A_book_starts", "A_book_offsets", "A_holders_starts", "A_holders_holders"),
        *("large_starts", "B_postings_starts", "B_postings_rows", "ids_offsets", "sex_codes"),
        *("written_B_starts", "written_B_pairs", "written_B_codes"),
    } <= refused


def test_a_filter_leaves_out_who_is_known_to_differ(demo: Nomenclature, tmp_path: Path) -> None:
    store = filled(200)
    index = update_index(tmp_path / "index", store, demo)
    index = update_index(tmp_path / "index", store.change({"E": donor(random.Random(3))}), demo)
    rows = valid_rows(index)[::-1]
    facts, ages = index.facts(rows), index.ages(DAY, rows)
    for require_known in (False, True):
        wanted = DonorFilter(
            types={"adult", "cord"},
            sexes={"female"},
            cmv={"negative"},
            registries={"ZKRD", "Ä"},
            min_age_years=30,
            max_age_years=36,
            min_tnc_1e7_per_kg=2,
            patient_weight_kg=60,
            require_known=require_known,
        )
        expected = []
        for i, fact in enumerate(facts.to_dict(orient="records")):
            cord = fact["type"] == "cord"
            answers = [
                None if fact["sex"] is None else fact["sex"] == "female",
                None if fact["cmv"] is None else fact["cmv"] == "negative",
                fact["registry"] in ("ZKRD", "Ä"),
                True if cord else None if np.isnan(ages[i]) else 30 <= ages[i] <= 36,
                True if not cord else None if np.isnan(fact["tnc_1e7"]) else fact["tnc_1e7"] >= 120,
            ]
            unknown = not require_known
            expected.append(all(unknown if answer is None else answer for answer in answers))
        assert index.kept(wanted, DAY, rows).tolist() == expected
        assert 0 < sum(expected) < len(expected)
    with pytest.raises(ValueError, match="weight of the patient"):
        DonorFilter(min_cd34_1e6_per_kg=1)


def growing(revision: int) -> MemoryStore:
    """A store whose content says its revision: 200 donors and two more each revision."""
    store = filled(200)
    for step in range(2, revision + 1):
        rng = random.Random(step)
        store.change({f"N{step}": donor(rng), f"M{step}": donor(rng), f"D{step % 200:04}": None})
    return store


def test_readers_beside_two_writers(demo: Nomenclature, tmp_path: Path) -> None:
    """Whatever is opened is one revision, whole, and never an older one than before."""
    update_index(tmp_path / "index", growing(1), demo)
    expected = {revision: set(growing(revision).present) for revision in range(1, 31)}
    failures: list[BaseException] = []
    done = threading.Event()

    def read() -> None:
        last = 0
        try:
            while not done.is_set():
                index = open_index(tmp_path / "index", demo)
                assert index is not None and index.revision >= last
                last = index.revision
                assert set(index.ids(valid_rows(index))) == expected[last]
        except BaseException as error:
            failures.append(error)

    def write(first: int) -> None:
        try:
            for revision in range(first, 31, 2):
                update_index(tmp_path / "index", growing(revision), demo)
        except BaseException as error:
            failures.append(error)

    readers = [threading.Thread(target=read) for _ in range(4)]
    writers = [threading.Thread(target=write, args=(first,)) for first in (2, 3)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert not failures
    index = open_index(tmp_path / "index", demo)
    assert index is not None and index.revision == 30


def test_a_disk_that_cannot_be_written(
    demo: Nomenclature, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = filled(50)
    update_index(tmp_path / "index", store, demo)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("data.index.segments.write_arrays", full)
        with pytest.raises(OutputError, match="No space left"):
            update_index(tmp_path / "index", store.change({"E": donor(random.Random(1))}), demo)
    opened = open_index(tmp_path / "index", demo)
    assert opened is not None and (opened.revision, len(opened)) == (1, 50)
    assert len(update_index(tmp_path / "index", store, demo)) == 51
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        update_index(tmp_path / "file", store, demo)


@pytest.mark.parametrize("n_shards", [1, 2, 7, 500])
def test_shards_find_together_what_the_index_does(
    demo: Nomenclature, tmp_path: Path, n_shards: int
) -> None:
    """Of an index with three segments and removed rows; a shard may be empty."""
    rng, store = random.Random(5), filled(300)
    update_index(tmp_path, store, demo)
    for changed in (range(0, 12, 2), range(290, 302)):
        store.change({f"D{i:04}": donor(rng) for i in changed})
        index = update_index(tmp_path, store, demo)
    assert len(index.segments) == 3 and len(index) == 302
    shards = [index.donors.shard(number, n_shards) for number in range(n_shards)]
    for _ in range(5):
        patient = encode(parse_typing("^".join(filter(None, map(donor(rng).get, "ab")))), demo)
        for limit in (0, 1, 2):
            criteria = Criteria((Locus.A, Locus.B), limit)
            found = [find_donors(shard, patient, criteria).rows for shard in shards]
            expected = find_donors(index.donors, patient, criteria).rows
            assert np.concatenate(found).tolist() == expected.tolist()
