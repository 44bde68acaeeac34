"""Searching and ranking in parts: what they find does not depend on them, and they end between."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import parts, pipeline
from matching.donor_index import DonorIndex
from matching.genotypes import Genotype, encode
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import Locus
from matching.numbering import numbered
from matching.rank import Floats, Int64s, RankKey, ordering, rank
from matching.search import (
    Candidates,
    Criteria,
    MismatchCounts,
    candidates,
    find_donors,
    finding,
    tables,
)
from matching.typings import parse_typing
from tests.matching.test_criteria import RELEASE

LOCI = (Locus.A, Locus.B, Locus.DRB1)
CRITERIA = Criteria(LOCI, 6)


class EndedError(Exception):
    """Nobody waits any more."""


class Between:
    """Counts the times that it is called, and raises from one of them on."""

    def __init__(self, last: float = np.inf) -> None:
        self.last = last
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.calls > self.last:
            raise EndedError


@pytest.fixture(scope="module")
def people() -> tuple[DonorIndex, Genotype]:
    rng = random.Random(2)
    names = {
        "A": ("01:01", "02:01", "02:06", "24:02", "24:03"),
        "B": ("51:01", "52:01", "07:02", "07:05"),
        "DRB1": ("01:01", "03:01", "03:02", "15:01"),
        "DPB1": ("01:01", "02:01", "04:01"),
    }

    def person() -> str:
        return "^".join(
            "+".join(f"{gene}*{fields}" for fields in rng.choices(known, k=2))
            for gene, known in names.items()
            if rng.random() < 0.9
        )

    donors = [parse_typing(person() or "A*01:01+A*01:01") for _ in range(200)]
    halves = [DonorIndex.of(some, RELEASE) for some in (donors[:150], donors[150:])]
    index = DonorIndex(tuple(half.segments[0] for half in halves), RELEASE)
    return index, encode(donors[0], RELEASE)


def cut_small(patched: pytest.MonkeyPatch) -> None:
    for module, name, size in (
        (finding, "CHUNK", 30),
        (tables, "ENTRIES_AT_ONCE", 4),
        (candidates, "ENTRIES_AT_ONCE", 4),
        (parts, "ROWS_AT_ONCE", 30),
    ):
        patched.setattr(module, name, size)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    cut_small(monkeypatch)


def all_of(found: Candidates) -> list[list[object]]:
    categories, number = pipeline.tce_categories(found)
    return [
        found.rows.tolist(),
        found.compared.tolist(),
        found.mismatches_best.tolist(),
        [categories[i] for i in number.tolist()],
    ]


def test_parts_make_no_difference(people: tuple[DonorIndex, Genotype]) -> None:
    for criteria in (CRITERIA, replace(CRITERIA, keep_potential=False)):
        whole = all_of(find_donors(*people, criteria))
        with pytest.MonkeyPatch.context() as patched:
            cut_small(patched)
            between = Between()
            assert all_of(find_donors(*people, criteria, between)) == whole
            # At least one for each part of rows: of the search and of the loci that are compared.
            assert between.calls > 10 * len(whole[0]) / 30 > 50


def test_a_search_ends_wherever_it_is_told_to(
    people: tuple[DonorIndex, Genotype], small_parts: None
) -> None:
    counted = Between()
    all_of(find_donors(*people, CRITERIA, counted))
    for last in range(0, counted.calls, 7):
        between = Between(last)
        with pytest.raises(EndedError):
            all_of(find_donors(*people, CRITERIA, between))
        assert between.calls == last + 1


def test_what_was_left_undone_is_done_when_it_is_asked_for_again(
    people: tuple[DonorIndex, Genotype], small_parts: None
) -> None:
    expected = all_of(find_donors(*people, CRITERIA))
    between = Between()
    found = find_donors(*people, CRITERIA, between)
    before = between.calls
    for more in (1, 5, 20, 60):
        between.last = before + more
        between.calls = before
        with pytest.raises(EndedError):
            all_of(found)
    between.last = np.inf
    assert all_of(found) == expected
    # Whoever is taken shares what is known.
    asked = Between()
    taken = replace(found, between=asked).take(np.arange(5))
    assert taken.compared.tolist() == expected[1][:5]
    assert asked.calls <= 2 * 9


@pytest.mark.parametrize("limit", [0, 1])
def test_lists_are_read_in_parts(people: tuple[DonorIndex, Genotype], limit: int) -> None:
    criteria = Criteria(LOCI, limit)
    expected = find_donors(*people, criteria).rows.tolist()
    assert expected
    with pytest.MonkeyPatch.context() as patched:
        # Of rows in lists, which are cut within an entry, too, and marked, not sorted.
        patched.setattr(finding, "POSTING_COST", 0.0)
        patched.setattr(finding, "CHUNK", 2)
        patched.setattr(finding, "MOST_SORTED", 0)
        patched.setattr(parts, "ROWS_AT_ONCE", 7)
        counted = Between()
        assert find_donors(*people, criteria, counted).rows.tolist() == expected
        assert counted.calls > 200 / 7
        for last in range(counted.calls):
            between = Between(last)
            with pytest.raises(EndedError):
                find_donors(*people, criteria, between)
            assert between.calls == last + 1


def test_a_count_ends_between_parts(people: tuple[DonorIndex, Genotype], small_parts: None) -> None:
    index, patient = people
    rows = np.arange(200)
    expected = MismatchCounts(index, patient, CRITERIA).of(rows).tolist()
    counted = Between()
    counts = MismatchCounts(index, patient, CRITERIA, counted)
    assert counts.of(rows).tolist() == expected
    first = counted.calls
    # What each genotype counts is known by now.
    assert counts.of(rows).tolist() == expected
    again = counted.calls - first
    assert 200 / 30 <= again < first
    counted.last, counted.calls = 3, 0
    with pytest.raises(EndedError):
        counts.of(rows)
    assert counted.calls == 4


def test_rows_of_several_segments_come_in_parts(
    people: tuple[DonorIndex, Genotype], small_parts: None
) -> None:
    index, _ = people
    rows = np.random.default_rng(1).permutation(200)
    counted = Between()
    found = np.full(200, -1)
    for i, at, local in index.parts(rows, counted):
        assert len(at) <= 30
        found[at] = index.first_rows[i] + local
    assert found.tolist() == rows.tolist()
    assert counted.calls == 7
    assert index.valid_rows(counted).tolist() == list(range(200))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 20), max_size=40), st.integers(1, 9))
def test_parts_are_joined_taken_and_numbered(values: list[int], size: int) -> None:
    array = np.array(values, dtype=np.int64)
    counted = Between()
    cut = list(parts.in_parts(len(array), counted, size))
    assert counted.calls == len(cut) == -(-len(array) // size)
    assert parts.joined([array[:0], *(array[part] for part in cut)], counted).tolist() == values
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(parts, "ROWS_AT_ONCE", size)
        pairs = np.arange(42).reshape(21, 2)
        assert np.array_equal(parts.taken(pairs, array, counted), pairs[array])
    distinct, number = numbered(array, 21)
    assert distinct.tolist() == sorted(set(values))
    assert distinct[number].tolist() == values


def test_each_genotype_is_worked_on_once(people: tuple[DonorIndex, Genotype]) -> None:
    found = find_donors(*people, CRITERIA)
    seen: list[int] = []

    def work(book: object, entries: Int64s) -> np.ndarray:
        seen.extend(entries.tolist())
        return entries.astype(np.uint64)

    values = found.of_genotypes("entry", Locus.B, work)
    index = people[0]
    for i, at, rows in index.parts(found.rows):
        assert values[at].tolist() == index.segments[i].entries(rows, Locus.B).tolist()
    n_distinct = sum(
        len(np.unique(index.segments[i].entries(rows, Locus.B)))
        for i, _, rows in index.parts(found.rows)
    )
    assert len(seen) == n_distinct
    found.take(np.arange(len(found))[::-1]).of_genotypes("entry", Locus.B, work)
    assert len(seen) == n_distinct


def test_totals_are_sums_of_what_was_compared(people: tuple[DonorIndex, Genotype]) -> None:
    found = find_donors(*people, CRITERIA)
    positions = [locus.position for locus in LOCI]
    assert np.array_equal(found.totals(), found.compared[:, positions].sum(axis=1))
    for column in (COUNT_BEST, COUNT_WORST):
        assert np.array_equal(found.mismatches(column, LOCI), 6 - found.totals()[:, column])


ROWS = st.lists(st.tuples(*[st.integers(0, 2)] * 3), max_size=60)


def keys_of(rows: list[tuple[int, ...]]) -> tuple[list[RankKey], list[str]]:
    """Keys, and the names of those that were asked."""
    asked: list[str] = []

    def key(k: int) -> Callable[[Int64s, Int64s], Floats]:
        def values(members: Int64s, _: Int64s) -> Floats:
            asked.append(f"key {k}")
            return np.array([rows[i][k] for i in members], dtype=np.float64)

        return values

    return [RankKey(name, key(k)) for k, name in enumerate(("p10", "tce", "age"))], asked


@settings(max_examples=200, deadline=None)
@given(ROWS, st.integers(0, 70), st.integers(1, 20), st.randoms(use_true_random=False))
def test_an_order_that_is_merged_from_runs_is_the_same(
    rows: list[tuple[int, ...]], end: int, run: int, rng: random.Random
) -> None:
    names = [f"D{i}" for i in range(len(rows))]
    rng.shuffle(names)
    for identifiers in (None, lambda members: [names[i] for i in members]):
        whole = rank(len(rows), keys_of(rows)[0], end, identifiers)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(parts, "ROWS_AT_ONCE", run)
            patched.setattr(ordering, "_NAMED", run)
            merged = rank(len(rows), keys_of(rows)[0], end, identifiers)
        assert merged.order.tolist() == whole.order.tolist()
        assert merged.values.tolist() == whole.values.tolist()
        assert merged.decided_by.tolist() == whole.decided_by.tolist()


def test_a_ranking_ends_wherever_it_is_told_to(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(3)
    rows = [tuple(rng.randrange(3) for _ in range(3)) for _ in range(500)]
    names = [f"D{i:03}" for i in range(len(rows))]
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", 20)
    monkeypatch.setattr(ordering, "_NAMED", 20)

    def ranked(between: Between) -> list[str]:
        keys, asked = keys_of(rows)

        def identifiers(members: Int64s) -> list[str]:
            asked.append("names")
            return [names[i] for i in members]

        try:
            rank(len(rows), keys, 400, identifiers, between)
        except EndedError:
            return asked
        return [*asked, "all"]

    counted = Between()
    whole = ranked(counted)
    assert whole[:3] == ["key 0", "key 1", "key 2"] and whole[-1] == "all"
    # Twice for each run of each key, and more for merging them.
    assert counted.calls > 3 * 2 * 400 / 20
    done = []
    for last in range(counted.calls):
        between = Between(last)
        done.append(ranked(between))
        assert between.calls == last + 1
        # Nothing is asked after it was told to end.
        assert whole[: len(done[-1])] == done[-1] and done[-1] != whole
    assert done[0] == [] and done[-1][:3] == whole[:3]
