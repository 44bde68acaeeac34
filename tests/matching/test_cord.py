"""Rules of cord blood units and grafts of two units, against brute force on random units."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.cord import CordRule, DoubleRule, Units, cord_criteria, double, double_units
from matching.donor_index import DonorIndex
from matching.genotypes import encode
from matching.loci import Locus
from matching.search import Criteria, counted_mismatches, find_donors
from matching.typings import parse_typing
from tests.matching.test_criteria import ANTIGENS, CRITERIA, RELEASE, typing
from tests.oracles import cord as oracle
from tests.oracles import criteria as criteria_oracle

# Parts of 1/10,000 of a dose: a few values, so that sums tie and stand on the limits.
_TNC = st.sampled_from([None, 9_999, 10_000, 12_500, 15_000, 15_001, 20_000, 24_999, 40_000])
_CD34 = st.sampled_from([None, None, 300, 500, 700, 701, 1_000, 2_000])
_DOSE = st.sampled_from([0.0, 1.0, 1.5, 2.5, 3.0, 3.5])
RULES = st.builds(
    DoubleRule,
    st.integers(0, 4),
    _DOSE,
    _DOSE,
    st.sampled_from([None, 0.1, 0.14]),
    st.sampled_from([None, 0.05, 0.07]),
)


def doses(parts: Iterable[int | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if part is None else part / 10_000 for part in parts])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(typing(), st.integers(0, 2), _TNC, _CD34), max_size=12),
    st.sampled_from(CordRule),
    RULES,
    st.integers(0, 70),
    st.integers(0, 12),
)
def test_pairs_are_those_of_all_pairs(
    drawn: list[tuple[str, int, int | None, int | None]],
    cord_rule: CordRule,
    rule: DoubleRule,
    end: int,
    cut: int,
) -> None:
    criteria = cord_criteria(cord_rule)
    typings = [parse_typing(gl) for gl, *_ in drawn]
    index = DonorIndex(
        tuple(
            segment
            for part in (typings[:cut], typings[cut:])
            for segment in DonorIndex.of(part, RELEASE).segments
        ),
        RELEASE,
    )
    _, mismatches, tnc, cd34 = zip(*drawn, strict=True) if drawn else ((), (), (), ())
    units = Units(
        np.arange(len(drawn)), np.array(mismatches, dtype=np.int64), doses(tnc), doses(cd34)
    )
    described = [
        oracle.Unit(encode(one, RELEASE), with_patient, *counts)
        for one, (_, with_patient, *counts) in zip(typings, drawn, strict=True)
    ]
    expected = oracle.pairs(described, criteria, rule, ANTIGENS)
    # A small chunk makes the join stop and go on, and forget what cannot be among the first.
    for chunk in (1, double._CHUNK):
        with patch.object(double, "_CHUNK", chunk):
            found = double_units(index, units, criteria, rule, end)
        pairs = zip(found.first.tolist(), found.second.tolist(), found.between, strict=True)
        assert list(pairs) == expected[:end]
        assert found.are_all == (len(expected) <= end)


@settings(max_examples=60, deadline=None)
@given(st.lists(typing(), min_size=1, max_size=10), typing(), CRITERIA)
def test_mismatches_are_counted_as_the_criteria_say(
    donors: list[str], patient_gl: str, criteria: Criteria
) -> None:
    asked = replace(criteria, max_mismatches=18, limits={})
    index = DonorIndex.of([parse_typing(gl) for gl in donors], RELEASE)
    patient = encode(parse_typing(patient_gl), RELEASE)
    rows = find_donors(index, patient, asked).rows
    assert rows.tolist() == list(range(len(donors)))
    for row, count in zip(rows, counted_mismatches(index, patient, asked, rows), strict=True):
        donor = encode(parse_typing(donors[row]), RELEASE)
        assert count == sum(
            criteria_oracle.mismatches(
                patient.loci[locus],
                donor.loci[locus],
                asked,
                ANTIGENS if locus in asked.antigen_loci else criteria_oracle.by_group,
            )
            for locus in asked.loci
        )


def test_the_rules() -> None:
    six, eight = (cord_criteria(rule) for rule in CordRule)
    assert [locus.value for locus in six.loci] == ["A", "B", "DRB1"]
    assert six.antigen_loci == {Locus.A, Locus.B} and six.max_mismatches == 2
    assert [locus.value for locus in eight.loci] == ["A", "B", "C", "DRB1"]
    assert not eight.antigen_loci and eight.max_mismatches == 3
    patient = "A*01:01+A*02:01^B*07:02+B*51:01^C*01:02+C*03:03^DRB1*01:01+DRB1*15:01"
    # Another allele of the same antigen at A and B, of a split antigen at C, and at DRB1.
    unit = "A*01:01+A*02:06^B*07:05+B*51:01^C*01:02+C*03:04^DRB1*01:01+DRB1*16:01"
    index = DonorIndex.of([parse_typing(unit)], RELEASE)
    row = np.zeros(1, dtype=np.int64)
    for criteria, count in ((six, 1), (eight, 4)):
        counted = counted_mismatches(index, encode(parse_typing(patient), RELEASE), criteria, row)
        assert counted.tolist() == [count]


@pytest.mark.parametrize("changes", [{"max_mismatches": -1}, {"min_tnc": -1.0}])
def test_a_rule_of_two_units_that_cannot_be_met(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        replace(DoubleRule(2), **changes)  # type: ignore[arg-type]
