"""Antigen recognition domains: against the literature, and against what defines a P group."""

from __future__ import annotations

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.nomenclature import ReferenceFolder
from matching.nomenclature import Allele, Nomenclature
from matching.sequence_kernels import count_differences
from matching.sequences import DELETED, FRAMES, UNKNOWN, ArdMismatches, Difference, Domains, place
from tests.oracles import sequences as oracle

DOMAIN = "GSHSMRYFYTSVSRPGRGEPRFISVGYVDDTQFVRFDSDAASPREEPRAPWIEQEGPEYWDRNTQIYKAQAQTDRESLRNLRG"


@pytest.mark.parametrize(
    ("sequence", "expected"),
    [
        (DOMAIN, list(DOMAIN)),
        ("MLVMAPRTVWA" + DOMAIN + "YYNQSEX", list(DOMAIN)),
        (DOMAIN[2:40], [*[UNKNOWN] * 2, *DOMAIN[2:40], *[UNKNOWN] * (len(DOMAIN) - 40)]),
        (
            "MLV" + DOMAIN[:20] + DOMAIN[23:],
            [*DOMAIN[:20], DELETED, DELETED, DELETED, *DOMAIN[23:]],
        ),
        (DOMAIN[:30] + "WW" + DOMAIN[30:], [*DOMAIN[:29], DOMAIN[29] + "WW", *DOMAIN[30:]]),
        (DOMAIN[:30] + "W" + DOMAIN[31:], [*DOMAIN[:30], "W", *DOMAIN[31:]]),
        # Another protein and too little of a sequence are undetermined.
        ("WCHQ" * 30, [UNKNOWN] * len(DOMAIN)),
        (DOMAIN[:10], [UNKNOWN] * len(DOMAIN)),
        ("", [UNKNOWN] * len(DOMAIN)),
    ],
    ids=["same", "whole", "partial", "deletion", "insertion", "exchange", "alien", "short", "none"],
)
def test_place(sequence: str, expected: list[str]) -> None:
    assert list(place(DOMAIN, sequence)) == expected


def test_a_long_gap_is_not_believed() -> None:
    """A stretch that was not sequenced leaves no gap in the file, so nothing is certain."""
    assert set(place(DOMAIN, DOMAIN[:30] + DOMAIN[50:])) == {UNKNOWN}


_LETTERS = st.text("ACDEFGHIKLMNPQRSTVWY", max_size=12)
_AT = st.integers(0, len(DOMAIN))


@settings(deadline=None)
@given(
    st.lists(st.tuples(_AT, st.integers(0, 12), _LETTERS), max_size=3),
    _LETTERS,
    _LETTERS,
    st.none() | st.integers(0, len(DOMAIN) - 1),
)
def test_placements_are_those_of_whole_tables(
    changes: list[tuple[int, int, str]], before: str, after: str, absent: int | None
) -> None:
    sequence = DOMAIN
    for start, removed, inserted in changes:
        sequence = sequence[:start] + inserted + sequence[start + removed :]
    sequence = before + sequence + after
    assert place(DOMAIN, sequence, absent) == oracle.place(DOMAIN, sequence, absent)


_POSITION = st.dictionaries(
    st.integers(0, 5), st.lists(st.integers(0, 3), min_size=6, max_size=6), min_size=1
)


@given(_POSITION, _POSITION)
def test_differences_are_those_of_every_pair(
    first: dict[int, list[int]], second: dict[int, list[int]]
) -> None:
    left, right = (np.array(list(side.values()), dtype=np.uint16) for side in (first, second))
    ours, theirs = (np.array(list(side), dtype=np.int32) for side in (first, second))
    found = count_differences(left, right, ours, theirs)
    assert found == oracle.differences(first, second)


def toy(sequences: dict[str, str], groups: dict[str, str]) -> Domains:
    """DPB1 alleles whose domain (residues 6 to 92) is given; the first is the reference."""
    rows = [Allele(name, groups.get(name, name), None, "", "", "", "", "") for name in sequences]
    first = next(iter(sequences))
    proteins = {**sequences, first: "M" * 29 + "RATPE" + sequences[first] + "VQPK"}
    return Domains(Nomenclature("1.0.0", True, tuple(rows), {}), proteins)


DPB1 = (DOMAIN + "KETVW")[:87]


def test_unknown_residues_are_neither_matches_nor_mismatches() -> None:
    other = DPB1[:10] + "W" + DPB1[11:]
    domains = toy(
        {"DPB1*01:01": DPB1, "DPB1*02:01": other, "DPB1*03:01": other[:80], "DPB1*04:01": ""}, {}
    )
    changed = Difference(16, (DPB1[10],), ("W",))
    assert changed.text == "16 S/W"
    assert domains.mismatches("DPB1*01:01", "DPB1*02:01") == ArdMismatches(1, 1, 0, (changed,))
    assert domains.mismatches("DPB1*01:01", "DPB1*03:01") == ArdMismatches(1, 8, 7, (changed,))
    assert domains.mismatches("DPB1*02:01", "DPB1*03:01") == ArdMismatches(0, 7, 7, ())
    assert domains.mismatches("DPB1*01:01", "DPB1*04:01") == ArdMismatches(0, 87, 87, ())
    assert domains.mismatches("DPB1*04:01", "DPB1*04:01") == ArdMismatches(0, 0, 0, ())


def test_a_group_gives_its_members_what_they_lack() -> None:
    names = {"DPB1*01:01": DPB1, "DPB1*02:01:01": DPB1[:60], "DPB1*02:01:02": DPB1[40:]}
    group = dict.fromkeys(("DPB1*02:01:01", "DPB1*02:01:02"), "DPB1*02:01P")
    assert toy(names, group).mismatches("DPB1*01:01", "DPB1*02:01:01") == ArdMismatches(0, 0, 0, ())


def test_an_ambiguous_position_has_a_best_and_a_worst_case() -> None:
    one, two = DPB1[:10] + "W" + DPB1[11:], DPB1[:10] + "WW" + DPB1[12:]
    domains = toy({"DPB1*01:01": DPB1, "DPB1*02:01": one, "DPB1*02:02": two}, {})
    found = domains.mismatches("DPB1*01:01", "DPB1*02:XX")
    assert found is not None and (found.best, found.worst, found.unknown) == (1, 2, 0)
    assert [difference.position for difference in found.differences] == [16]
    within = domains.mismatches("DPB1*02:XX", "DPB1*02:XX")
    assert within == ArdMismatches(0, 1, 0, ())


def test_a_comparison_that_is_ended_at_any_step_is_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("matching.sequences._PAIRS_AT_ONCE", 2)
    one, two = DPB1[:10] + "W" + DPB1[11:], DPB1[:10] + "WW" + DPB1[12:]
    sequences = {"DPB1*01:01": DPB1, "DPB1*01:02": two, "DPB1*02:01": one, "DPB1*02:02": two}
    pair = "DPB1*01:XX", "DPB1*02:XX"
    steps: list[int] = []
    domains = toy(sequences, {})
    domains.between = lambda: steps.append(1)
    expected = domains.mismatches(*pair)
    # Each allele is placed, and each of the first position compared with both of the other.
    assert len(steps) == 6
    for n in range(6):
        domains, left = toy(sequences, {}), [1] * n
        domains.between = left.pop
        with pytest.raises(IndexError):
            domains.mismatches(*pair)
        domains.between = list
        assert domains.mismatches(*pair) == expected


def test_what_cannot_be_compared() -> None:
    domains = toy({"DPB1*01:01": DPB1, "DRB1*01:01": "", "MICA*002": DPB1}, {})
    assert domains.compare((), (0,)) is None and domains.compare((0,), (-3,)) is None
    assert domains.mismatches("DPB1*01:01", "DRB1*01:01") is None
    assert domains.mismatches("MICA*002", "MICA*002") is None
    assert domains.residues(1) == (UNKNOWN,) * 89 and domains.residues(2) == ()


@pytest.fixture(scope="module")
def domains(reference: ReferenceFolder, nomenclature: Nomenclature) -> Domains:
    proteins = reference.proteins("3.58.0")
    if not proteins:
        pytest.skip("no protein sequences are installed")
    return Domains(nomenclature, proteins)


@pytest.mark.parametrize("gene", FRAMES)
def test_frames_are_the_exons(domains: Domains, gene: str) -> None:
    """Some allele is sequenced for just these exons, so its whole protein is the domain."""
    names = domains.nomenclature.p_group_names
    proteins = {s for name, s in domains.proteins.items() if name.startswith(f"{gene}*")}
    codes = (code for code, name in enumerate(names) if name.startswith(f"{gene}*"))
    assert any("".join(domains.residues(code)) in proteins for code in codes)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("A*02:01", "A*02:06", "9 F/Y"),
        ("A*02:01", "A*02:05", "9 F/Y, 43 Q/R, 95 V/L, 156 L/W"),
        ("B*44:02", "B*44:03", "156 D/L"),
        ("B*27:05", "B*27:02", "77 D/N, 80 T/I, 81 L/A"),
        ("B*35:01", "B*35:03", "116 S/F"),
        ("B*07:02", "B*07:05", "114 D/N"),
        ("C*03:03", "C*03:04", "91 R/G"),
        ("C*07:01", "C*07:02", "66 N/K, 99 Y/S"),
        ("C*03:46", "C*03:04", "54 -/Q"),
        ("DRB1*11:01", "DRB1*11:04", "86 G/V"),
        ("DRB1*15:01", "DRB1*15:02", "86 V/G"),
        ("DRB1*04:01", "DRB1*04:04", "71 K/R, 86 G/V"),
        ("DQB1*06:02", "DQB1*06:03", "9 F/Y, 30 Y/H"),
        ("DQB1*03:01", "DQB1*03:02", "13 A/G, 26 Y/L, 45 E/G, 57 D/A"),
        ("DPB1*04:01", "DPB1*04:02", "36 A/V, 55 A/D, 56 A/E"),
        ("DPA1*01:03", "DPA1*02:01", "31 M/Q, 50 Q/R, 83 T/A"),
        ("DQA1*05:26", "DQA1*05:01", "57 L/F"),
        # The same domain: they differ outside it.
        ("C*07:01", "C*07:18", ""),
        ("DRB1*14:01", "DRB1*14:54", ""),
        ("DQB1*02:01", "DQB1*02:02", ""),
    ],
)
def test_pairs_of_the_literature(domains: Domains, first: str, second: str, expected: str) -> None:
    found = domains.mismatches(first, second)
    assert found is not None
    assert ", ".join(difference.text for difference in found.differences) == expected
    assert found.best == found.worst == len(found.differences) and found.unknown == 0
    mirrored = domains.mismatches(second, first)
    assert mirrored is not None
    assert mirrored.differences == tuple(
        Difference(d.position, d.second, d.first) for d in found.differences
    )


def test_residue_56_of_dqa1(domains: Domains) -> None:
    """Families 02, 04, 05 and 06 lack it, 01 and 03 have it."""
    frame = FRAMES["DQA1"]
    lacking = defaultdict(set)
    for code, name in enumerate(domains.nomenclature.p_group_names):
        if name.startswith("DQA1*") and not name.endswith("Q"):
            residues = domains.residues(code)
            assert {i for i, r in enumerate(residues) if r == DELETED} <= {56 - frame.first}
            lacking[name[5:7]].add(residues[56 - frame.first] == DELETED)
    families = {"01": False, "02": True, "03": False, "04": True, "05": True, "06": True}
    assert lacking == {family: {lacks} for family, lacks in families.items()}


@pytest.mark.parametrize(
    "gene",
    [
        pytest.param(gene, marks=[pytest.mark.slow] if gene in ("A", "B", "C") else [])
        for gene in FRAMES
    ],
)
def test_p_groups_are_the_domains(domains: Domains, gene: str) -> None:
    """Members of a P group agree wherever they are sequenced, and P groups differ (R1)."""
    frame = FRAMES[gene]
    reference = domains.residues(
        next(
            code
            for code, name in enumerate(domains.nomenclature.p_group_names)
            if name.startswith(f"{gene}*")
        )
    )
    absent = None if frame.absent is None else frame.absent - frame.first
    placed = cache(lambda sequence: place("".join(reference), sequence, absent))
    members: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
    for allele in domains.nomenclature.alleles:
        if allele.name.startswith(f"{gene}*") and allele.p_group is not None:
            members[allele.p_group].add(placed(domains.proteins[allele.name]))
    groups: defaultdict[tuple[str, ...], list[str]] = defaultdict(list)
    for group, found in members.items():
        columns = [set(column) - {UNKNOWN} for column in zip(*found, strict=True)]
        assert all(len(column) <= 1 for column in columns), group
        groups[tuple("".join(column) for column in columns)].append(group)
    assert all(len(names) == 1 for names in groups.values())
    incomplete = [names[0] for residues, names in groups.items() if not all(residues)]
    assert len(incomplete) == INCOMPLETE.get(gene, 0)


# P groups of one old allele whose domain nobody has sequenced to its ends.
INCOMPLETE = {"B": 1, "DRB1": 17, "DRB3": 13, "DRB4": 1, "DRB5": 4, "DQB1": 2, "DPA1": 1, "DPB1": 4}
