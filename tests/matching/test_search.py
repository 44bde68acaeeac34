"""The search against a brute-force oracle, on random registries and on the shared exercise."""

from __future__ import annotations

import gzip
import os
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.donor_index import DonorIndex
from matching.genotypes import encode
from matching.immunogenetics import TceCategory
from matching.kernels import COUNT_BEST, COUNT_WORST
from matching.loci import LOCI, Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.pipeline import match
from matching.search import Criteria, find_donors
from matching.search_kernels import number_codes
from matching.typings import parse_typing
from tests.oracles import pairs
from tests.oracles import registry as oracle

FIVE = parse_loci("A,B,C,DRB1,DQB1")


def index_of(gl_strings: list[str], release: Nomenclature) -> DonorIndex:
    return DonorIndex.of([parse_typing(gl) for gl in gl_strings], release)


def random_typing(rng: random.Random, names: dict[Locus, list[str]]) -> str:
    """Any mix of single names, strings, nulls and missing loci; at least one locus."""
    loci = [locus for locus in names if rng.random() < 0.85] or [Locus.A]
    positions = (
        "/".join(sorted(set(rng.choices(names[locus], k=rng.choice((1, 1, 1, 2, 3))))))
        for locus in loci
        for _ in range(2)
    )
    return "^".join(f"{first}+{second}" for first, second in zip(positions, positions, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_random_registries(demo: Nomenclature, seed: int) -> None:
    rng = random.Random(seed)
    names = {
        locus: [a.name for a in demo.alleles if a.name.startswith(f"{locus.value}*")][:8]
        for locus in parse_loci("A,C,B,DRB1,DQB1,DPB1")
    }
    names[Locus.A].append("A*24:09N")
    gl_strings = [random_typing(rng, names) for _ in range(200)]
    index = index_of(gl_strings, demo)
    donors = [encode(parse_typing(gl), demo).loci for gl in gl_strings]
    for patient_gl in gl_strings[:20]:
        patient = encode(parse_typing(patient_gl), demo)
        loci = tuple(rng.sample(LOCI, rng.randint(1, len(LOCI))))
        limit = rng.randint(0, 4)
        expected = {}
        for row, donor in enumerate(donors):
            rows = {
                locus: pairs.compared(p, d)
                for locus in loci
                if (p := patient.loci[locus]) and (d := donor[locus])
            }
            if 2 * len(rows) - sum(r[0] for r in rows.values()) <= limit:
                expected[row] = rows
        found = find_donors(index, patient, Criteria(loci, limit))
        assert found.rows.tolist() == list(expected)
        for i, row in enumerate(found.rows):
            for locus, values in expected[int(row)].items():
                assert tuple(found.compared[i, locus.position, :6]) == values
            untyped = [locus for locus in loci if locus not in expected[int(row)]]
            assert all(found.compared[i, loc.position, COUNT_BEST] == 2 for loc in untyped)
            assert all(found.compared[i, loc.position, COUNT_WORST] == 0 for loc in untyped)


def test_a_search_without_loci_is_refused() -> None:
    for loci, limit in (((), 1), (FIVE, -1)):
        with pytest.raises(ValueError, match="at least one locus"):
            Criteria(loci, limit)


def test_dpb1_of_every_donor(demo: Nomenclature) -> None:
    donors = {
        "DPB1*04:01+DPB1*04:01": "match",
        "DPB1*04:01+DPB1*03:01": "non-permissive HvG",
        "DPB1*04:01+DPB1*02:01": "permissive",
        "A*01:01+A*02:01": "untyped",
        # It may turn out either way.
        "DPB1*04:01+DPB1*04:01/DPB1*02:01": "potential match",
    }
    patient = parse_typing("A*01:01+A*02:01^DPB1*04:01+DPB1*04:01")
    found = match(patient, demo, index_of(list(donors), demo), Criteria(parse_loci("A"), 1))
    assert found.candidates.rows.tolist() == [0, 1, 2, 3, 4]
    assert [category.value for category in found.tce] == list(donors.values())
    few = match(
        patient,
        demo,
        index_of(list(donors), demo),
        Criteria(parse_loci("A"), 1),
        lambda rows: rows % 2 == 0,
    )
    assert few.candidates.rows.tolist() == [0, 2, 4] and few.tce == found.tce[::2]
    turned = found.take(np.array([4, 0]))
    assert turned.candidates.rows.tolist() == [4, 0] and len(turned) == 2
    assert turned.tce == (TceCategory.POTENTIAL_MATCH, TceCategory.MATCH)
    assert found.best(100).candidates.rows.tolist() == found.candidates.rows.tolist()


def exercise_file(shared: Path, name: str, variable: str) -> list[tuple[str, str]]:
    path = Path(os.environ.get(variable, shared / "mvt3" / name))
    with gzip.open(path, "rt") as lines:
        rows = [tuple(line.strip().split("%")) for line in lines if line.strip()]
    return [(row[0], row[1]) for row in rows]


@pytest.mark.parametrize("limit", [1, 2])
def test_the_exercise_equals_brute_force(
    nomenclature: Nomenclature, shared: Path, release_3580: Path, limit: int
) -> None:
    """50 patients of WMDA exercise 3 against all its donors; rules re-read from the text files."""
    patients = exercise_file(shared, "pat.gl.txt.gz", "GRAFTMATCH_MVT3_PATIENTS")[::20][:50]
    donors = exercise_file(shared, "don.gl.txt.gz", "GRAFTMATCH_MVT3_DONORS")
    release = oracle.TextRelease(release_3580)
    typed = {identifier: oracle.loci_of(gl) for identifier, gl in donors}
    index = index_of([gl for _, gl in donors], nomenclature)
    total = 0
    for _, gl in patients:
        found = find_donors(index, encode(parse_typing(gl), nomenclature), Criteria(FIVE, limit))
        by_id = {
            donors[row][0]: int(n) for row, n in zip(found.rows, found.mismatches_best, strict=True)
        }
        expected = oracle.search(release, gl, typed, tuple(loc.value for loc in FIVE), limit)
        assert by_id == expected
        total += len(by_id)
    assert len(patients) == 50 and total > 0


@given(st.lists(st.integers(0, 2**31 - 1) | st.integers(0, 5), max_size=300))
def test_codes_are_numbered_as_they_come(codes: list[int]) -> None:
    numbers, distinct = (np.empty(len(codes), dtype=np.int32) for _ in "12")
    count = number_codes(np.array(codes, dtype=np.int32), numbers, distinct)
    expected = list(dict.fromkeys(codes))
    assert distinct[:count].tolist() == expected
    assert [expected[number] for number in numbers.tolist()] == codes
