"""Typings to P groups: rules R1, R3, R4, R14, on the demo tables and on 3.58.0."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest

from matching import genotypes
from matching.errors import TypingError, UnknownNameError
from matching.genotypes import (
    UNREADABLE,
    UNTYPED,
    Book,
    BookBuilder,
    LocusGenotype,
    book_builders,
    encode,
    encode_locus,
)
from matching.kernels import COUNT_BEST, GVH_BEST, HVG_BEST
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.search import compare_locus
from matching.typings import parse_locus, parse_typing


def genotype(release: Nomenclature, text: str) -> LocusGenotype:
    locus = Locus(text.partition("*")[0])
    typing = parse_locus(locus, text)
    assert typing is not None
    return encode_locus(locus, typing, release)[0]


def groups(release: Nomenclature, text: str) -> list[list[str]]:
    read = genotype(release, text)
    return [[release.p_group_names[code] for code in side] for side in (read.first, read.second)]


def compared(release: Nomenclature, patient: str, donor: str) -> list[int]:
    book = Book.of([genotype(release, donor)])
    return [int(v) for v in compare_locus(genotype(release, patient), book, np.array([1]))[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A*01:01+A*02:01:01G", [["A*01:01P"], ["A*02:01P"]]),
        ("A*01:01/A*02:01+A*03:01", [["A*01:01P", "A*02:01P"], ["A*03:01P"]]),
        # R3: a null takes its partner's groups; R4: a null inside a string is dropped.
        ("A*01:01+A*24:09N", [["A*01:01P"], ["A*01:01P"]]),
        ("A*01:01/A*24:09N+A*03:01", [["A*01:01P"], ["A*03:01P"]]),
        ("A*24:09N+A*24:09N", [[], []]),
    ],
)
def test_groups_of_the_demo(demo: Nomenclature, text: str, expected: list[list[str]]) -> None:
    assert groups(demo, text) == expected


def test_codes_and_serology_are_refused_by_name(demo: Nomenclature) -> None:
    for text in ("A*01:AB+A*02:01", "A*01:01+A2", "A*01:XX+A*01:01", "A*01:01:01+A*01:01"):
        with pytest.raises(TypingError, match="demo reference"):
            genotype(demo, text)


def test_a_complete_release_refuses_what_it_does_not_hold(nomenclature: Nomenclature) -> None:
    for text, match in (
        ("A*01:AB+A*02:01", "reference install-mac FILE"),
        ("A*01:01+A101", "unknown in release"),
        ("A*01:01/A*01:9999+A*01:01", "near names"),
    ):
        with pytest.raises(UnknownNameError, match=match):
            genotype(nomenclature, text)


def test_multiple_allele_codes(nomenclature: Nomenclature) -> None:
    """R4: nulls in a code are dropped, members the release lacks are noted, first fields fit."""
    codes = {"AB": ("01", "02"), "GNF": ("01", "09", "43N"), "MIX": ("15:01", "15:02", "07:01")}
    release = replace(nomenclature, codes=codes)
    assert groups(release, "A*01:AB+A*03:01") == [["A*01:01P", "A*01:02P"], ["A*03:01P"]]
    assert compared(release, "A*02:GNF+A*03:01", "A*02:43N+A*03:01")[COUNT_BEST] == 1
    assert groups(release, "C*04:AB+C*04:01") == [["C*04:01P"], ["C*04:01P"]]
    notes = encode(parse_typing("C*04:AB+C*04:01"), release).notes
    assert notes == ("C*04:AB: release 3.58.0 has no C*04:02",)
    assert groups(release, "DRB1*15:MIX+DRB1*07:01")[1] == ["DRB1*07:01P"]
    for text, match in (
        ("DRB1*07:MIX+DRB1*07:01", "first field does not fit the code, which belongs to 15"),
        ("A*01:ZZZZ+A*01:01", "code ZZZZ is not in the installed table"),
        ("A*99:AB+A*01:01", "has none of its members"),
    ):
        with pytest.raises(UnknownNameError, match=match):
            genotype(release, text)


def test_tce_groups(demo: Nomenclature) -> None:
    assert genotype(demo, "DPB1*04:01+DPB1*03:01").tce == (3, 2)
    assert genotype(demo, "DPB1*04:01/DPB1*03:01+DPB1*03:01").tce == (0, 2)
    assert genotype(demo, "A*01:01+A*02:01").tce == (0, 0)


def test_one_text_is_read_once_and_fails_the_same_way(demo: Nomenclature) -> None:
    builder = book_builders(demo)[Locus.A]
    assert builder.canonical("") == (None, UNTYPED)
    assert builder.canonical("01:01+02:01") == ("A*01:01+A*02:01", 1)
    assert builder.canonical("A*01:01:01G+A*02:01") == ("A*01:01:01G+A*02:01", 1)
    with pytest.raises(TypingError) as first:
        builder.canonical("A*99:99+A*01:01")
    with pytest.raises(TypingError) as second:
        builder.canonical("A*99:99+A*01:01")
    assert first.value is second.value
    book = builder.book()
    assert len(book) == 2 and book.entry(1) == builder.entries[0]


WRITTEN = [
    *("A*01:01", "A*02:01:01:01", "HLA-A*03:01", " A*11:01 ", "01:01", "A*02:01:01G", "A*02:01P"),
    *(
        "A*24:09N",
        "A*01:01:01:02N",
        "A*01:XX",
        "A*01:AB",
        "A*01:GNF",
        "A2",
        "9",
        "A*0201",
        "A*24AB",
    ),
    *("A*01:01/A*24:09N", "A*02:01/05/06", "A*NEW", "A*UUUU", "A*11:53", "UUUU"),
    *("A*99:99", "B*07:02", "nonsense", "", "A*01:01~B*07:02", "A*01:ZZZZ", "A*02:01|A*03:01"),
]
LOCUS_TEXTS = ["", "-", "A*01:01", "A*01:01+A*01:01+A*01:01", "A*01:01+A*02:01|A*01:02+A*02:05"]


@pytest.mark.parametrize("strict", [False, True])
def test_many_texts_at_once_are_read_as_one_at_a_time(
    nomenclature: Nomenclature, strict: bool
) -> None:
    """Also in what is refused and why, and whatever was read before."""
    release = replace(
        nomenclature, codes={"AB": ("01", "02"), "GNF": ("01", "09", "43N")}, strict=strict
    )
    rng = random.Random(3)
    texts = LOCUS_TEXTS + ["+".join(rng.choices(WRITTEN, k=2)) for _ in range(600)]
    rng.shuffle(texts)
    together = book_builders(release)[Locus.A]
    codes, errors = together.encode_all(texts[:300])
    more, more_errors = together.encode_all(texts[300:])
    codes = np.concatenate([codes, more])
    errors |= {300 + i: error for i, error in more_errors.items()}
    n_read = 0
    for i, text in enumerate(texts):
        alone = book_builders(release)[Locus.A]
        reason, written, genotype = "", None, None
        try:
            if (typing := parse_locus(Locus.A, text)) is not None:
                written, genotype = typing.text, encode_locus(Locus.A, typing, release)[0]
        except TypingError as error:
            reason = str(error)
        if reason:
            assert codes[i] == UNREADABLE and str(errors[i]) == reason
            with pytest.raises(TypingError) as found:
                alone.canonical(text)
            assert str(found.value) == reason
            continue
        assert i not in errors and alone.canonical(text)[0] == written
        assert together.canonical(text) == (written, codes[i])
        assert (codes[i] == UNTYPED) == (genotype is None)
        assert genotype is None or together.entries[codes[i] - 1] == genotype
        n_read += 1
    assert 100 < n_read < len(texts) - 100
    assert len(set(together.entries)) == len(together.entries)


def test_followed_names_are_noted(nomenclature: Nomenclature) -> None:
    read = encode(parse_typing("A*11:53+A*01:01"), nomenclature)
    assert read.notes == ("A*11:53 is deleted in 3.58.0, identical to A*11:02:01:01",)
    assert read.loci[Locus.B] is None


@pytest.mark.parametrize(
    ("patient", "donor", "count"),
    [
        # R1
        ("A*03:01+A*03:01", "A*03:20+A*03:20", 2),
        ("C*02:02+C*02:02", "C*02:10+C*02:10", 2),
        ("DQB1*02:01+DQB1*02:01", "DQB1*02:02+DQB1*02:02", 2),
        ("C*01:02+C*01:02", "C*01:10+C*01:10", 0),
        # R2
        ("A*01:01/A*02:01+A*03:01", "A*01:01+A*02:01", 1),
        ("A*01:01+A*01:01", "A*01:01+A*02:01", 1),
        # R3
        ("A*01:04+A*01:01", "A*01:01+A*01:01", 2),
        ("A*03:01+A*01:11N", "A*03:01+A*03:01", 2),
        ("A*03:01+A*01:11N", "A*03:20+A*03:112", 2),
        ("A*03:01+A*01:11N", "A*03:411+A*02:43N", 2),
        ("A*02:01+A*01:01N", "A*02:01+A*02:01", 2),
        ("C*01:10+C*02:52N", "C*01:02+C*01:02", 0),
        ("A*01:01:01:01+A*02:01", "A*01:01:01:02N+A*02:01", 1),
    ],
)
def test_worked_examples_of_the_match_count(
    nomenclature: Nomenclature, patient: str, donor: str, count: int
) -> None:
    assert compared(nomenclature, patient, donor)[COUNT_BEST] == count
    assert compared(nomenclature, donor, patient)[COUNT_BEST] == count


def test_direction_of_a_homozygous_patient(demo: Nomenclature) -> None:
    """R20: patient 01:01,01:01 v donor 01:01,02:01 is GvH 0, HvG 1, while R2 counts 1."""
    row = compared(demo, "A*01:01+A*01:01", "A*01:01+A*02:01")
    assert (row[COUNT_BEST], row[GVH_BEST], row[HVG_BEST]) == (1, 0, 1)


def test_texts_that_cannot_be_read_do_not_fill_the_memory(
    demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genotypes, "MAX_ERRORS", 10)
    builder = BookBuilder(Locus.A, demo)
    wrong = [f"A*01:{i}+A*02:01" for i in range(500, 600)]
    for text in wrong:
        with pytest.raises(TypingError):
            builder.canonical(text)
    assert len(builder._errors) <= 11 and len(builder._positions) <= 13
    codes, errors = BookBuilder(Locus.A, demo).encode_all([*wrong, "A*01:01+A*02:01"])
    assert len(errors) == 100 and codes[-1] > 0 and set(codes[:-1]) == {UNREADABLE}
    kept = [(error.__context__, error.__traceback__) for error in errors.values()]
    assert kept == [(None, None)] * 100
