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

from matching.cord import (
    CordRule,
    DoubleRule,
    NimaMatch,
    Units,
    cord_criteria,
    double,
    double_units,
    nima_preference,
    nima_text,
)
from matching.cord.nima import by_group, nima_match
from matching.donor_index import DonorIndex
from matching.genotypes import LocusGenotype, encode
from matching.loci import Locus
from matching.search import Criteria, MismatchCounts, find_donors
from matching.typings import parse_typing
from tests.matching.test_criteria import ANTIGENS, CRITERIA, RELEASE, typing
from tests.oracles import cord as oracle
from tests.oracles import criteria as criteria_oracle
from tests.oracles.criteria import Matches

# Parts of 1/10,000 of a dose: a few values, so that sums tie and stand on the limits.
_TNC = st.sampled_from([None, 9_999, 10_000, 12_500, 15_000, 15_001, 20_000, 24_999, 40_000])
_CD34 = st.sampled_from([None, None, 300, 500, 700, 701, 1_000, 2_000])
_DOSE = st.sampled_from([0.0, 1.0, 1.5, 2.5, 3.0, 3.5])
RULES = st.builds(
    DoubleRule,
    st.integers(0, 8),
    _DOSE,
    _DOSE,
    st.sampled_from([None, 0.1, 0.14]),
    st.sampled_from([None, 0.05, 0.07]),
)


def doses(parts: Iterable[int | None]) -> npt.NDArray[np.float64]:
    return np.array([np.nan if part is None else part / 10_000 for part in parts])


@settings(max_examples=80, deadline=None)
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


@pytest.mark.parametrize("cord_rule", CordRule)
def test_many_pairs_are_those_of_all_pairs(cord_rule: CordRule) -> None:
    """So many that every step of the dose and every class of mismatches has pairs."""
    rng = np.random.default_rng(3)
    of_locus = {
        "A": ("A*01:01", "A*02:01", "A*02:06", "A*23:01/A*24:02"),
        "B": ("B*51:01", "B*07:02", "B*07:05"),
        "C": ("C*01:02", "C*03:03"),
        "DRB1": ("DRB1*01:01", "DRB1*15:01/DRB1*16:01"),
    }
    typings = [
        parse_typing("^".join("+".join(rng.choice(names, 2)) for names in of_locus.values()))
        for _ in range(60)
    ]
    mismatches = rng.integers(0, 3, 60)
    tnc = rng.integers(10_000, 40_000, 60)
    cd34 = [None if part < 300 else int(part) for part in rng.integers(0, 2_000, 60)]
    criteria, rule = cord_criteria(cord_rule), DoubleRule(3, 3.7, 1.2)
    described = [
        oracle.Unit(encode(one, RELEASE), int(with_patient), int(cells), part)
        for one, with_patient, cells, part in zip(typings, mismatches, tnc, cd34, strict=True)
    ]
    expected = oracle.pairs(described, criteria, rule, ANTIGENS)
    assert 300 < len(expected) < 1_700
    units = Units(np.arange(60), mismatches, tnc / 10_000, doses(cd34))
    for end in (1, 40, len(expected) - 1, len(expected), 5_000):
        found = double_units(DonorIndex.of(typings, RELEASE), units, criteria, rule, end)
        pairs = zip(found.first.tolist(), found.second.tolist(), found.between, strict=True)
        assert list(pairs) == expected[:end]
        assert found.are_all == (end >= len(expected))


@settings(max_examples=30, deadline=None)
@given(st.lists(typing(), min_size=1, max_size=10), typing(), CRITERIA)
def test_mismatches_are_counted_as_the_criteria_say(
    donors: list[str], patient_gl: str, criteria: Criteria
) -> None:
    asked = replace(criteria, max_mismatches=18, limits={})
    index = DonorIndex.of([parse_typing(gl) for gl in donors], RELEASE)
    patient = encode(parse_typing(patient_gl), RELEASE)
    rows = find_donors(index, patient, asked).rows
    assert rows.tolist() == list(range(len(donors)))
    for row, count in zip(rows, MismatchCounts(index, patient, asked).of(rows), strict=True):
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
        counted = MismatchCounts(index, encode(parse_typing(patient), RELEASE), criteria).of(row)
        assert counted.tolist() == [count]


_A = ("01:01", "02:01", "02:06", "23:01", "24:02", "24:03")
_STRING = st.lists(st.sampled_from(_A), min_size=1, max_size=2, unique=True)


@st.composite
def _at_a(draw: st.DrawFn) -> LocusGenotype:
    """What a person presents at A: strings and genotype lists."""
    lists = [
        "+".join("/".join(f"A*{name}" for name in sorted(draw(_STRING))) for _ in range(2))
        for _ in range(draw(st.sampled_from([1, 1, 1, 2])))
    ]
    found = encode(parse_typing("|".join(lists)), RELEASE).loci[Locus.A]
    assert found is not None
    return found


@settings(max_examples=200, deadline=None)
@given(_at_a(), _at_a(), _at_a(), st.sampled_from([ANTIGENS, criteria_oracle.by_group]))
def test_maternal_antigens_are_those_of_every_transmission(
    patient: LocusGenotype, unit: LocusGenotype, mother: LocusGenotype, matches: Matches
) -> None:
    possible = oracle.nima(patient, unit, mother, matches)
    expected = NimaMatch.POTENTIAL
    if not possible:
        expected = NimaMatch.EXCLUDED
    elif possible == {"matched"}:
        expected = NimaMatch.MATCHED
    elif "matched" not in possible:
        expected = NimaMatch.NOT_MATCHED if "lacked" in possible else NimaMatch.NO_MISMATCH
    groups = {g for one in (patient, unit, mother) for a in one.alternatives for g in a.first}
    groups |= {g for one in (patient, unit, mother) for a in one.alternatives for g in a.second}
    found = nima_match(
        *(patient, unit, mother),
        lambda group: frozenset(other for other in groups if matches(group, other)),
    )
    if found is NimaMatch.NO_MISMATCH:
        # Told without the mother.
        assert expected in (NimaMatch.NO_MISMATCH, NimaMatch.EXCLUDED)
    else:
        assert found is expected


@pytest.mark.parametrize(
    ("unit", "mother", "expected"),
    [
        ("A*01:01+A*23:01", "A*01:01+A*02:01", NimaMatch.MATCHED),
        # Another allele of the antigen, which counts as one at the level of antigens alone.
        ("A*01:01+A*23:01", "A*01:01+A*02:06", NimaMatch.NOT_MATCHED),
        ("A*01:01+A*23:01", "A*01:01/A*24:02+A*02:01", NimaMatch.MATCHED),
        ("A*01:01+A*23:01", "A*01:01+A*02:01/A*24:02", NimaMatch.POTENTIAL),
        ("A*01:01+A*23:01", "A*24:02+A*02:01", NimaMatch.EXCLUDED),
        ("A*01:01+A*23:01", "A*01:01+A*99:01N", NimaMatch.UNKNOWN),
        ("A*01:01+A*99:01N", "A*01:01+A*02:01", NimaMatch.UNKNOWN),
        ("A*01:01+A*NEW", "A*01:01+A*02:01", NimaMatch.UNKNOWN),
        ("A*01:01+A*23:01", "B*07:02+B*51:01", NimaMatch.UNKNOWN),
        ("A*01:01+A*02:01", "A*01:01+A*24:02", NimaMatch.NO_MISMATCH),
        ("B*07:02+B*51:01", "A*01:01+A*02:01", NimaMatch.UNKNOWN),
    ],
)
def test_maternal_antigens_of_a_unit(unit: str, mother: str, expected: NimaMatch) -> None:
    typings = (encode(parse_typing(gl), RELEASE) for gl in ("A*01:01+A*02:01", unit, mother))
    patient, of_unit, of_mother = (genotype.loci[Locus.A] for genotype in typings)
    assert nima_match(patient, of_unit, of_mother, by_group) is expected


def test_a_unit_as_a_whole_by_maternal_antigens() -> None:
    a, b = Locus.A, Locus.B
    matched, unknown, none = NimaMatch.MATCHED, NimaMatch.UNKNOWN, NimaMatch.NO_MISMATCH
    no, excluded = NimaMatch.NOT_MATCHED, NimaMatch.EXCLUDED
    places = [
        ({a: none, b: none}, 0, ""),
        ({a: matched, b: no}, 0, "A matched, B not matched"),
        ({a: no, b: unknown}, 1, "A not matched, B unknown"),
        ({a: matched, b: excluded}, 1, "A matched, B not the mother"),
        ({a: no, b: none}, 2, "A not matched"),
    ]
    for found, place, text in places:
        assert nima_preference(found) == place and nima_text(found) == text


@pytest.mark.parametrize("changes", [{"max_mismatches": -1}, {"min_tnc": -1.0}])
def test_a_rule_of_two_units_that_cannot_be_met(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        replace(DoubleRule(2), **changes)  # type: ignore[arg-type]
