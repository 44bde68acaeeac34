"""The order of donors against a plain sort, and each key by itself."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching import parts
from matching.immunogenetics import LeaderOutcome
from matching.rank import (
    DEFAULT_KEYS,
    REASONS,
    Floats,
    Int64s,
    RankKey,
    RankRule,
    abo_values,
    age_values,
    by_values,
    certain_probabilities,
    cmv_values,
    leader_values,
    parse_rule,
    probability_bands,
    rank,
    risk_values,
    sex_values,
    value_text,
    value_texts,
)
from matching.risk import Z95, Factor, OutcomeModel, predict

NAMES = tuple(REASONS)
ROWS = st.lists(st.tuples(*[st.integers(0, 3)] * 4), max_size=60)


class Asked:
    """A key that remembers whom it was asked of."""

    def __init__(self, values: Sequence[float]) -> None:
        self.known = np.array(values, dtype=np.float64)
        self.members: list[int] = []

    def __call__(self, members: Int64s, ties: Int64s) -> Floats:
        assert len(members) == len(ties) and (np.diff(ties) >= 0).all()
        self.members = members.tolist()
        return self.known[members]


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(0, 70))
def test_the_order_is_that_of_a_plain_sort(rows: list[tuple[int, ...]], end: int) -> None:
    asked = [Asked([row[k] for row in rows]) for k in range(4)]
    keys = [RankKey(NAMES[k], asked[k]) for k in range(4)]
    found = rank(len(rows), keys, end)
    expected = sorted(range(len(rows)), key=lambda i: (rows[i], i))
    assert found.order.tolist() == expected[:end]
    assert found.values.tolist() == [list(rows[i]) for i in expected[:end]]
    for i, (one, decided) in enumerate(zip(expected[:end], found.decided_by, strict=True)):
        if i == 0:
            assert decided == -1 and found.reasons[0] == ""
            continue
        before = rows[expected[i - 1]]
        first = next((k for k in range(4) if rows[one][k] != before[k]), 4)
        assert decided == first
        assert found.reasons[i] == [*(REASONS[n] for n in NAMES[:4]), "equal, by identifier"][first]
    # Nobody is asked of who stands behind the page for certain.
    if end and rows:
        last = rows[expected[min(end, len(rows)) - 1]]
        for k in range(4):
            needed = [i for i in range(len(rows)) if rows[i][:k] <= last[:k]]
            assert sorted(asked[k].members) == needed


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(1, 20), st.integers(1, 20))
def test_pages_put_together_are_the_whole_order(
    rows: list[tuple[int, ...]], start: int, size: int
) -> None:
    keys = [by_values(NAMES[k], [row[k] for row in rows]) for k in range(4)]
    whole = rank(len(rows), keys, len(rows))
    page = rank(len(rows), keys, start + size).part(start, start + size)
    assert page.order.tolist() == whole.order.tolist()[start : start + size]
    assert page.reasons == whole.reasons[start : start + size]


@settings(max_examples=100, deadline=None)
@given(ROWS, st.integers(0, 70), st.randoms(use_true_random=False))
def test_identifiers_end_every_tie(rows: list[tuple[int, ...]], end: int, random: Random) -> None:
    names = [f"D{i}" for i in range(len(rows))]
    random.shuffle(names)
    keys = [by_values(NAMES[k], [row[k] for row in rows]) for k in range(4)]
    found = rank(len(rows), keys, end, lambda members: [names[i] for i in members])
    expected = sorted(range(len(rows)), key=lambda i: (rows[i], names[i]))[:end]
    assert found.order.tolist() == expected
    assert found.values.tolist() == [list(rows[i]) for i in expected]


def test_a_key_without_a_value_is_an_error() -> None:
    with pytest.raises(ValueError, match="key age has no value"):
        rank(2, [by_values("age", [1.0, np.nan])], 2)
    tied = rank(3, [by_values("age", [np.inf, np.inf, 20.0])], 3)
    assert tied.order.tolist() == [2, 0, 1] and tied.decided_by.tolist() == [-1, 0, 1]


P = st.one_of(st.just(np.nan), st.floats(0, 1), st.sampled_from([0.01, 0.25, 0.5, 0.95, 0.99]))


@settings(max_examples=200, deadline=None)
@given(st.lists(P, min_size=1, max_size=20))
def test_bands_of_probabilities(values: list[float]) -> None:
    bands = RankRule().bands
    found = probability_bands(np.array(values), np.full(len(values), np.nan), bands)
    for p, band in zip(values, found, strict=True):
        if np.isnan(p):
            # After every band that speaks for the donor and before the one that speaks against.
            assert len(bands) - 1 < band < len(bands)
            assert value_text("p10", band, RankRule()) == "unknown"
        else:
            reached = [i for i, bound in enumerate(bands) if p + 1e-9 >= bound / 100]
            assert band == (reached[0] if reached else len(bands))


def test_typings_that_leave_no_doubt_stand_in_for_probabilities() -> None:
    best, worst = np.array([0, 0, 1, 2, 1]), np.array([0, 3, 1, 2, 2])
    assert certain_probabilities(best, worst, 0).tolist() == pytest.approx(
        [1, np.nan, 0, 0, 0], nan_ok=True
    )
    assert certain_probabilities(best, worst, 1).tolist() == pytest.approx(
        [0, np.nan, 1, 0, np.nan], nan_ok=True
    )
    p = np.array([np.nan, np.nan, 0.3])
    certain = np.array([1.0, np.nan, 1.0])
    assert probability_bands(p, certain, (50, 10)).tolist() == [0, 1.5, 1]


def test_leaders_in_order() -> None:
    outcomes: list[LeaderOutcome | None] = [
        None,
        (True, "T"),
        (True, "M"),
        (None, None),
        (False, "T"),
        (False, "M"),
    ]
    assert leader_values(outcomes, RankRule()).tolist() == [0, 0, 1, 1.5, 2, 3]
    turned = RankRule(leader_order=((True, "M"), (True, "T"), (False, "T"), (False, "M")))
    assert leader_values([(True, "T")], turned).tolist() == [1]
    texts = [value_text("leader", v, RankRule()) for v in (0, 1, 1.5, 3)]
    assert texts == [
        *("no mismatch, or best", "matched, shared M", "unknown", "mismatched, shared M"),
    ]


def test_facts_in_order() -> None:
    # What is unknown stands between what is known to be good and what is known to be bad.
    assert age_values(np.array([30.0, np.nan])).tolist() == [30, np.inf]
    donors = ["positive", "negative", None]
    assert cmv_values("positive", donors).tolist() == [0, 2, 1]
    assert cmv_values("negative", donors).tolist() == [2, 0, 1]
    assert cmv_values(None, donors).tolist() == [1, 1, 1]
    assert sex_values("male", ["male", "female", None]).tolist() == [0, 2, 1]
    assert sex_values("female", ["male", "female", None]).tolist() == [0, 0, 0]
    assert sex_values(None, ["male", "female", None]).tolist() == [0, 1, 1]
    kinds = ["match", "minor", "", "major", "bidirectional"]
    assert abo_values(kinds).tolist() == [0, 1, 2, 3, 4]
    assert [value_text("abo", v, RankRule()) for v in range(5)][:3] == ["match", "minor", "unknown"]


FACTORS = (Factor("age", low=0, high=100, unit=10), Factor("sex", (("M",), ("F",))))
AGES = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from([20.0, 25.0, 40.0, 60.0, np.nan]), st.booleans()),
    min_size=1,
    max_size=30,
)


def model(age: float, sex: float, error: float) -> OutcomeModel:
    return OutcomeModel(
        "agvhd_3_4",
        100.0,
        FACTORS,
        np.array([3.0, 0.0]),
        np.zeros(2),
        np.array([-1.0, age, sex]),
        np.diag([0.5, error**2, (2 * error) ** 2]),
        "",
        ("", ""),
    )


@settings(max_examples=200, deadline=None)
@given(
    AGES,
    st.floats(-0.6, 0.6),
    st.floats(-0.6, 0.6),
    st.sampled_from([0.01, 0.1]),
    st.sampled_from([1.0, 5.0]),
)
def test_risks_of_a_tie_are_counted_from_its_lowest(
    rows: list[tuple[int, float, bool]], age: float, sex: float, error: float, step: float
) -> None:
    rows.sort(key=lambda row: row[0])
    outcome = model(age, sex, error)
    columns = {
        "age": np.array([row[1] for row in rows]),
        "sex": np.array(["F" if row[2] else "M" for row in rows]),
    }
    with patch.object(parts, "ROWS_AT_ONCE", 3):
        found = risk_values(outcome, columns, np.array([row[0] for row in rows]), step)
    p = predict(outcome, columns, len(rows)).probability
    for i, row in enumerate(rows):
        tied = [j for j, other in enumerate(rows) if other[0] == row[0]]

        def ages(j: int) -> float:
            return 0.0 if np.isnan(rows[j][1]) else rows[j][1] / 10 - 3.0

        lowest = min(tied, key=lambda j: (round(float(p[j]), 12), rows[j][2], ages(j)))
        by_age, by_sex = ages(i) - ages(lowest), int(row[2]) - int(rows[lowest][2])
        difference = age * by_age + sex * by_sex
        deviation = ((error * by_age) ** 2 + (2 * error * by_sex) ** 2) ** 0.5
        steps = int((p[i] - p[lowest]) * 100 / step + 1e-9)
        includes_zero = difference - Z95 * deviation <= 1e-12
        if abs(difference - Z95 * deviation) > 1e-9:
            assert found[i] == (0 if includes_zero else steps)
        assert found[lowest] == 0


def test_rules_are_read_and_refused_by_name() -> None:
    usual = RankRule()
    assert parse_rule("") == usual and usual.keys == DEFAULT_KEYS
    read = parse_rule(
        'keys = ["p10", "tce"]\nbands = [90, 10.5]\nrisk_step = 2\n'
        'leader_order = [[true, "M"], [true, "T"], [false, "M"], [false, "T"]]'
    )
    assert read.keys == ("p10", "tce") and read.bands == (90, 10.5) and read.risk_step == 2
    assert read.leader_order[0] == (True, "M")
    for text, match in (
        ("keys = [", "not TOML"),
        ("order = 1", "no setting is called 'order'"),
        ('keys = ["p11"]', "no key is called 'p11'"),
        ('keys = ["age", "age"]', "named twice"),
        ("bands = [10, 90]", "that fall"),
        ("bands = []", "that fall"),
        ("bands = [190, 90]", "above 0 up to 100"),
        ("bands = 5", "another kind"),
        ("risk_step = 0", "risk_step"),
        ('leader_order = [[true, "T"]]', "leader_order"),
    ):
        with pytest.raises(ValueError, match=match):
            parse_rule(text)
    assert usual.applied(True) == DEFAULT_KEYS
    assert usual.applied(False)[:3] == ("mismatches_best", "mismatches_worst", "tce")


def test_values_in_words() -> None:
    ranking = rank(2, [by_values("tce", [2, 0]), by_values("risk", [0, 3])], 2)
    rule = RankRule()
    assert value_texts(ranking, "tce", rule) == ["match", "permissive"]
    assert value_texts(ranking, "risk", rule) == [
        *("3 % above the lowest of equals", "as the lowest of equals"),
    ]
    assert value_texts(ranking, "age", rule) == ["", ""]
    assert value_text("p9", 6, rule) == "below 1 %" and value_text("p9", 0, rule) == "at least 99 %"
    assert value_text("age", np.inf, rule) == "unknown" and value_text("age", 31, rule) == "31"
    assert value_text("sex", 2, rule) == "female for a male"
