"""Searches by every criterion against the brute-force oracle, on random registries."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.donor_index import POSTED, DonorIndex, Large, Segment, other_columns
from matching.genotypes import encode
from matching.loci import LOCI, Locus
from matching.nomenclature import Allele, Nomenclature
from matching.search import Criteria, Direction, MismatchCounts, find_donors, finding
from matching.search_kernels import LARGE
from matching.serology import Antigen
from matching.typings import parse_typing
from tests.oracles import criteria as oracle

# Antigen numbers of each first field: 9 is split into 23 and 24, 2403 is associated with 24.
_FAMILIES = {
    "A": {"01:01": "1", "02:01": "2", "02:06": "2", "23:01": "23", "24:02": "24", "24:03": "2403"},
    "B": {"51:01": "51", "52:01": "52", "07:02": "7", "07:05": "7", "83:01": "?", "78:01": "5"},
    "C": {"01:02": "1", "03:03": "9", "03:04": "10", "12:02": ""},
    "DRB1": {"01:01": "1", "03:01": "17", "03:02": "18", "15:01": "15", "16:01": "16"},
    "DQB1": {"02:01": "2", "03:01": "7", "03:02": "8", "05:01": "5"},
    "DPB1": {"01:01": "", "02:01": "", "04:01": ""},
    "DRB3": {"01:01": "52", "02:02": "52"},
}
_ANTIGENS = (
    *(Antigen("A", "9", ("23", "24"), ()), Antigen("A", "24", (), ("2403",))),
    *(Antigen("A", number, (), ()) for number in ("1", "2", "23", "2403")),
    *(Antigen("B", "5", ("51", "52"), ()), Antigen("Cw", "3", ("9", "10"), ())),
    *(Antigen("DR", "3", ("17", "18"), ()), Antigen("DR", "2", ("15", "16"), ())),
    *(Antigen("DQ", "3", ("7", "8"), ()), Antigen("DQ", "2", (), ())),
)
PREFIXES = {"A": "A", "B": "B", "C": "Cw", "DRB1": "DR", "DQB1": "DQ"}


def allele(name: str, expressed: bool, serology: str) -> Allele:
    group = f"{name}P" if expressed else None
    return Allele(name, group, group, "Full", "gDNA", f"{serology};;;", "", "")


RELEASE = Nomenclature(
    "9.9.9",
    True,
    tuple(
        found
        for gene, family in _FAMILIES.items()
        for found in (
            *(allele(f"{gene}*{fields}", True, number) for fields, number in family.items()),
            allele(f"{gene}*99:01N", False, ""),
        )
    ),
    {},
    _ANTIGENS,
)
ANTIGENS = oracle.by_antigen(RELEASE, PREFIXES)
SEARCHED = [locus for locus in LOCI if locus not in (Locus.DQA1, Locus.DPA1)]


@st.composite
def typing(draw: st.DrawFn) -> str:
    """A GL string with strings, nulls, new alleles, genotype lists, absent genes and gaps."""
    parts = []
    for locus in SEARCHED:
        if draw(st.integers(0, 9)) == 0:
            continue
        gene = "DRB3" if locus is Locus.DRB345 else locus.value
        names = [f"{gene}*{fields}" for fields in _FAMILIES[gene]]

        def position(gene: str = gene, names: list[str] = names) -> str:
            kind = draw(st.integers(0, 14))
            if kind == 0:
                return f"{gene}*99:01N"
            if kind == 1:
                return f"{gene}*NEW"
            if kind == 2 and gene == "DRB3":
                return "DRBX*NNNN"
            chosen = draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
            return "/".join(sorted(chosen)) if kind < 7 else chosen[0]

        lists = draw(st.sampled_from([1, 1, 1, 1, 1, 2]))
        parts.append("|".join(f"{position()}+{position()}" for _ in range(lists)))
    return "^".join(parts) or "A*01:01+A*01:01"


CRITERIA = st.builds(
    lambda loci, k, limits, direction, antigens, keep: Criteria(
        loci,
        k,
        {locus: limit for locus, limit in limits.items() if locus in loci},
        direction,
        frozenset(antigens) & frozenset(loci),
        keep,
    ),
    st.lists(st.sampled_from(SEARCHED), min_size=1, max_size=6, unique=True),
    st.integers(0, 5),
    st.dictionaries(st.sampled_from(SEARCHED), st.integers(0, 2), max_size=2),
    st.sampled_from(Direction),
    st.sets(st.sampled_from(SEARCHED), max_size=3),
    st.booleans(),
)


def with_large(segment: Segment, rng: random.Random) -> Segment:
    """The same segment with some entries moved to where those above 65,534 are."""
    codes = segment.codes.copy()
    others = [postings.others.copy() for postings in segment.postings]
    starts, rows, entries = [0], [], []
    for locus in LOCI:
        for row in range(len(codes)):
            if rng.random() < 0.3:
                rows.append(row)
                entries.append(int(codes[row, locus.position]))
                codes[row, locus.position] = LARGE
                for posted, postings, pair in zip(POSTED, segment.postings, others, strict=True):
                    if locus.position in other_columns(posted):
                        column = other_columns(posted).index(locus.position)
                        pair[postings.rows == row, column] = LARGE
        starts.append(len(rows))
    return replace(
        segment,
        codes=codes,
        large=Large(
            np.array(starts, dtype=np.int64),
            np.array(rows, dtype=np.uint32),
            np.array(entries, dtype=np.uint32),
        ),
        postings=tuple(
            replace(postings, others=pair)
            for postings, pair in zip(segment.postings, others, strict=True)
        ),
    )


@settings(max_examples=100, deadline=None)
@given(
    st.lists(typing(), min_size=1, max_size=12),
    st.lists(typing(), max_size=4),
    typing(),
    CRITERIA,
    st.randoms(use_true_random=False),
)
def test_every_criterion_equals_brute_force(
    first: list[str], second: list[str], patient_gl: str, criteria: Criteria, rng: random.Random
) -> None:
    patient = encode(parse_typing(patient_gl), RELEASE)
    segments, valid = [], []
    for gl_strings in (first, second):
        part = [parse_typing(gl) for gl in gl_strings]
        (segment,) = DonorIndex.of(part, RELEASE).segments
        removed = np.array([rng.random() < 0.1 for _ in part], dtype=bool)
        valid += (~removed).tolist()
        bits = np.packbits(removed, bitorder="little") if removed.any() else None
        segments.append(replace(with_large(segment, rng), removed=bits))
    index = DonorIndex(tuple(segments), RELEASE)
    assert len(index) == sum(valid)
    donors = [encode(parse_typing(gl), RELEASE) for gl in (*first, *second)]
    expected = [
        row
        for row, donor in enumerate(donors)
        if valid[row] and oracle.is_found(patient, donor, criteria, ANTIGENS)
    ]
    for cost in (0.0, math.inf):
        with patch.object(finding, "POSTING_COST", cost):
            assert find_donors(index, patient, criteria).rows.tolist() == expected
    found = find_donors(index, patient, criteria)
    plain = replace(criteria, direction=Direction.BOTH, antigen_loci=frozenset())
    for keep, totals in ((True, found.mismatches_best), (False, found.mismatches_worst)):
        for row, total in zip(found.rows, totals, strict=True):
            assert total == sum(
                oracle.mismatches(
                    patient.loci[locus],
                    donors[row].loci[locus],
                    replace(plain, keep_potential=keep),
                    oracle.by_group,
                )
                for locus in criteria.loci
            )
    counted = MismatchCounts(index, patient, Criteria(criteria.loci, 2 * len(LOCI))).of(found.rows)
    assert counted.tolist() == found.mismatches_best.tolist()
    for row in found.rows:
        assert index.genotype(int(row), Locus.A) == donors[row].loci[Locus.A]


def test_a_scan_in_chunks_finds_the_same() -> None:
    rng = random.Random(1)
    names = [f"A*{fields}" for fields in _FAMILIES["A"]]
    typings = [parse_typing("+".join(rng.choices(names, k=2))) for _ in range(500)]
    index = DonorIndex.of(typings, RELEASE)
    patient = encode(typings[0], RELEASE)
    criteria = Criteria((Locus.A,), 1)
    whole = find_donors(index, patient, criteria).rows
    with patch.object(finding, "CHUNK", 64):
        assert np.array_equal(find_donors(index, patient, criteria).rows, whole)
    assert 0 < len(whole) < 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loci": ()}, "at least one locus"),
        ({"max_mismatches": -1}, "at least one locus"),
        ({"limits": {Locus.A: 3}}, "limit of locus A is 3"),
        ({"limits": {Locus.B: 1}}, "locus B has a criterion but is not searched"),
        ({"antigen_loci": frozenset({Locus.B})}, "locus B has a criterion"),
    ],
)
def test_criteria_that_cannot_be_met_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(Criteria((Locus.A,), 1), **changes)  # type: ignore[arg-type]
