"""The kernels against the definitions in tests/oracles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.genotypes import Book, LocusGenotype
from matching.kernels import (
    ABSENT_GENE,
    COUNT_BEST,
    DONOR_1,
    DONOR_2,
    MATCH,
    MISMATCH,
    POTENTIAL,
)
from matching.search import compare_locus, compare_pair
from tests.oracles import pairs

CODES = st.sampled_from([ABSENT_GENE, 0, 1, 2, 3, 4])
GROUPS = st.frozensets(CODES, min_size=1, max_size=4).map(lambda s: tuple(sorted(s)))
NULL_PARTNER = st.frozensets(CODES, max_size=4).map(lambda s: tuple(sorted(s)))
ONE_GENOTYPE = st.one_of(
    st.builds(LocusGenotype, GROUPS, GROUPS, st.just(False)),
    NULL_PARTNER.map(lambda s: LocusGenotype(s, s, True)),
)
PEOPLE = st.builds(
    lambda one, others: replace(one, others=tuple(others)),
    ONE_GENOTYPE,
    st.lists(ONE_GENOTYPE, max_size=2),
)


def compared(patient: LocusGenotype | None, donor: LocusGenotype | None) -> list[int]:
    """Of one pair, which is as among others."""
    book = Book.of([] if donor is None else [donor])
    row = compare_locus(patient, book, np.array([len(book) - 1]))[0].tolist()
    assert compare_pair(patient, donor) == tuple(row)
    return list(row)


@settings(max_examples=300, deadline=None)
@given(PEOPLE, st.lists(PEOPLE, min_size=1, max_size=8))
def test_counts_and_directions_equal_the_enumeration(
    patient: LocusGenotype, donors: list[LocusGenotype]
) -> None:
    rows = compare_locus(patient, Book.of(donors), np.arange(1, len(donors) + 1))
    for donor, row in zip(donors, rows, strict=True):
        assert tuple(row[:6]) == pairs.compared(patient, donor)
        assert compared(patient, donor) == row.tolist()


@settings(max_examples=300, deadline=None)
@given(PEOPLE, PEOPLE)
def test_swapping_the_people_swaps_gvh_and_hvg(one: LocusGenotype, other: LocusGenotype) -> None:
    there, back = compared(one, other), compared(other, one)
    assert there[:2] == back[:2]
    assert there[2:4] == back[4:6] and there[4:6] == back[2:4]


@settings(max_examples=200, deadline=None)
@given(PEOPLE)
def test_a_typing_matches_itself(person: LocusGenotype) -> None:
    expresses = any(one.first for one in person.alternatives)
    assert compared(person, person)[COUNT_BEST] == (2 if expresses else 0)


@given(PEOPLE)
@settings(max_examples=100, deadline=None)
def test_an_untyped_side_can_match_and_can_fail(person: LocusGenotype) -> None:
    distinct = {len(set(draw) - {ABSENT_GENE}) for draw in pairs.draws(person)}
    assert tuple(compared(person, None)) == (2, 0, 0, max(distinct), 0, 2, 3, 3)
    assert tuple(compared(None, person)) == (2, 0, 0, 2, 0, max(distinct), 3, 3)


def heterozygous(first: tuple[int, ...], second: tuple[int, ...]) -> LocusGenotype:
    return LocusGenotype(first, second, False)


@pytest.mark.parametrize(
    ("patient", "donor", "letters"),
    [
        # R12: patient 51,38 v donor 38,52 is reported on donor positions: 1 matches, 2 does not.
        (heterozygous((51,), (38,)), heterozygous((38,), (52,)), (MATCH, MISMATCH)),
        (heterozygous((1,), (2,)), heterozygous((2,), (1,)), (MATCH, MATCH)),
        (heterozygous((1, 3), (2,)), heterozygous((1,), (2,)), (POTENTIAL, MATCH)),
        # The orientation with the surer position wins: 1,(1 or 2) v 1,2.
        (heterozygous((1, 2), (1,)), heterozygous((1,), (2,)), (MATCH, POTENTIAL)),
        (heterozygous((1,), (2,)), heterozygous((3,), (4,)), (MISMATCH, MISMATCH)),
    ],
)
def test_positions_are_reported_in_the_better_orientation(
    patient: LocusGenotype, donor: LocusGenotype, letters: tuple[int, int]
) -> None:
    row = compared(patient, donor)
    assert (row[DONOR_1], row[DONOR_2]) == letters
