"""A typing that cannot be interpreted says where, what and why; strict and lenient reading."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pytest

from matching.errors import (
    HalfTypedError,
    IncompleteReferenceError,
    TypingError,
    TypingSyntaxError,
    UnknownNameError,
)
from matching.genotypes import Genotype, encode
from matching.loci import LOCUS_OF_GENE
from matching.nomenclature import Nomenclature
from matching.typings import parse_position, parse_typing


@pytest.fixture(scope="module")
def lenient(nomenclature: Nomenclature, codes: Mapping[str, tuple[str, ...]]) -> Nomenclature:
    return replace(nomenclature, codes=codes)


@pytest.fixture(scope="module")
def strict(lenient: Nomenclature) -> Nomenclature:
    return replace(lenient, strict=True)


def read(text: str, release: Nomenclature) -> Genotype:
    return encode(parse_typing(text), release)


UNKNOWN = "unknown in release 3.58.0"
DELETED = "deleted without a replacement in release 3.58.0"
BAD = [
    # text, error, locus, token, reason, near names
    ("A*99:99+A*01:01", UnknownNameError, "A", "A*99:99", UNKNOWN, ()),
    ("A*01:01/A*99:99+A*02:01", UnknownNameError, "A", "A*99:99", UNKNOWN, ()),
    (
        "B*07:02:999+B*08:01",
        *(UnknownNameError, "B", "B*07:02:999", UNKNOWN),
        ("B*07:02:99", "B*07:02:98", "B*07:02:97"),
    ),
    ("A*02:99999+A*01:01", UnknownNameError, "A", "A*02:99999", UNKNOWN, ("A*02:999N",)),
    ("DRB1*99:XX+DRB1*01:01", UnknownNameError, "DRB1", "DRB1*99:XX", UNKNOWN, ()),
    ("DRB3*99:01+DRBX*NNNN", UnknownNameError, "DRB3", "DRB3*99:01", UNKNOWN, ()),
    ("A999+A1", UnknownNameError, "A", "A999", UNKNOWN, ()),
    ("DQ99+DQ7", UnknownNameError, "DQB1", "DQ99", UNKNOWN, ()),
    ("A*24:01g+A*01:01", UnknownNameError, "A", "A*24:01g", UNKNOWN, None),
    # A written N is not given up for another suffix.
    ("A*24:329N+A*01:01", UnknownNameError, "A", "A*24:329N", UNKNOWN, None),
    (
        "A*02:100+A*01:01",
        *(UnknownNameError, "A", "A*02:100", DELETED),
        ("A*02:1100", "A*02:1090", "A*02:1080"),
    ),
    ("A*2401+A*01:01", UnknownNameError, "A", "A*2401", DELETED, ()),
    (
        "A*01:DEF+A*01:01",
        *(UnknownNameError, "A", "A*01:DEF"),
        *("the first field does not fit the code, which belongs to 02", ()),
    ),
    (
        "A*01:QQQQ+A*01:01",
        *(UnknownNameError, "A", "A*01:QQQQ", "code QQQQ is not in the installed table", ()),
    ),
    (
        "A*99:ABC+A*01:01",
        *(UnknownNameError, "A", "A*99:ABC", "release 3.58.0 has none of its members", ()),
    ),
    ("C*07:01", HalfTypedError, "C", "C*07:01", "only one of two positions", ()),
    ("C*07:01+", HalfTypedError, "C", "C*07:01+", "only one of two positions", ()),
    ("B*07:02+B*08:01|B*07:02", HalfTypedError, "B", "B*07:02", "only one of two positions", ()),
    ("A*1:1+A*01:01", TypingSyntaxError, "A", "A*1:1", "not an HLA name", ()),
    ("A*01:01+B*07:02", TypingSyntaxError, "A", "B*07:02", "belongs to B, not to A", ()),
    ("A*01:01+Q*07:02", TypingSyntaxError, "A", "Q*07:02", "no gene is called 'Q'", ()),
    ("A1+B7", TypingSyntaxError, "A", "B7", "not an HLA name", ()),
    ("A*01:01+A*02:01+A*03:01", TypingSyntaxError, "A", None, "3 positions", ()),
    ("H*01:01+H*01:01", TypingSyntaxError, "?", "H*01:01+H*01:01", "no locus", ()),
]


@pytest.mark.parametrize(("text", "kind", "locus", "token", "reason", "near"), BAD)
def test_a_refusal_says_where_what_and_why(
    lenient: Nomenclature,
    strict: Nomenclature,
    text: str,
    kind: type[TypingError],
    locus: str,
    token: str | None,
    reason: str,
    near: tuple[str, ...] | None,
) -> None:
    with pytest.raises(kind) as caught:
        read(text, lenient)
    error = caught.value
    assert type(error) is kind
    assert error.locus == locus and reason in error.reason
    assert error.token == (text if token is None else token)
    assert near is None or error.near == near
    message = str(error)
    assert message.startswith(f"locus {locus}: {error.token!r}: {error.reason}")
    assert all(name in message for name in error.near)
    # What cannot be interpreted at all is refused by both readings with the same words.
    with pytest.raises(kind) as refused:
        read(text, strict)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("A*11:53", "A*11:53 is deleted in 3.58.0, identical to A*11:02:01:01"),
        ("A*01:34N", "A*01:34N is deleted in 3.58.0, identical to A*01:01:38L"),
        ("A*24:329", "A*24:329 read as A*24:329Q"),
        ("A*2402", "A*2402 read as A*24:02"),
        ("B*9502", "B*9502 read as B*15:102"),
        ("A*01:01:99G", "A*01:01:99G read as A*01:01:99"),
        ("DRB3*03:22", "DRB3*03:22 read as DRB3*03:22P"),
        ("A*01:01g", "A*01:01g read as a g group"),
    ],
)
def test_lenient_notes_what_it_follows_and_strict_tells_it(
    lenient: Nomenclature, strict: Nomenclature, name: str, note: str
) -> None:
    text = f"{name}+{name.partition('*')[0]}*UUUU"
    untyped = f"locus {'DRB345' if name[0] == 'D' else name[0]}: one position is untyped"
    first, second = read(text, lenient).notes
    assert first == note and second.startswith(untyped)
    with pytest.raises(UnknownNameError) as caught:
        read(text, strict)
    assert caught.value.token == name
    assert caught.value.reason == (
        f"no current name of release 3.58.0, but {note}; the lenient reading takes it"
    )


def test_a_position_that_is_not_typed_is_any_allele_or_refused(
    lenient: Nomenclature, strict: Nomenclature
) -> None:
    found = read("A*01:01+A*UUUU", lenient)
    assert found.notes == ("locus A: one position is untyped and read as any allele",)
    for text, token in (("A*01:01+A*UUUU", "A*UUUU"), ("DRB3*01:01", "DRBX*UUUU")):
        with pytest.raises(HalfTypedError, match="the lenient reading takes it") as caught:
            read(text, strict)
        assert caught.value.token == token


def test_a_member_that_the_release_lacks_is_noted_in_both_readings(
    lenient: Nomenclature, strict: Nomenclature
) -> None:
    note = "A*43:ABD: release 3.58.0 has no A*43:99"
    table = {"ABD": ("01", "99")}
    for release in (lenient, strict):
        assert read("A*43:ABD+A*01:01", replace(release, codes=table)).notes == (note,)


def test_a_code_with_a_renamed_member_is_followed_with_a_note_or_refused(
    lenient: Nomenclature, strict: Nomenclature
) -> None:
    table = {"ABD": ("02", "329")}
    (note,) = read("A*24:ABD+A*01:01", replace(lenient, codes=table)).notes
    assert note == "A*24:329 read as A*24:329Q"
    for name in ("A*24:ABD", "A*24ABD"):
        with pytest.raises(UnknownNameError) as caught:
            read(f"{name}+A*01:01", replace(strict, codes=table))
        assert caught.value.token == "A*24:ABD"
        assert caught.value.reason == (
            f"1 of its members not current in release 3.58.0: {note}; "
            "the lenient reading follows them"
        )


def leads_somewhere(name: str, release: Nomenclature) -> bool:
    """Whether a deleted name can be read; if not, the refusal says so."""
    try:
        return bool(release.read(name).alleles)
    except UnknownNameError as error:
        refusal = error
    assert refusal.token == name and "deleted without a replacement" in refusal.reason
    return False


def test_every_deleted_name_is_followed_with_a_note_or_refused(
    nomenclatures: dict[str, Nomenclature],
) -> None:
    outcomes: Counter[str] = Counter()
    for release in nomenclatures.values():
        strict = replace(release, strict=True)
        for name in release.deleted:
            if not leads_somewhere(name, release):
                outcomes["refused"] += 1
                continue
            reading = release.read(name)
            if release.holds(name):
                assert strict.read(name) == reading
                outcomes["current again"] += 1
                continue
            assert name in reading.note
            locus = LOCUS_OF_GENE.get(name.partition("*")[0])
            assert locus is None or parse_position(locus.value, name).names == (name,)
            with pytest.raises(UnknownNameError) as caught:
                strict.read(name)
            assert reading.note in caught.value.reason
            outcomes["followed"] += 1
    assert outcomes["followed"] > 300 and outcomes["refused"] > 10


def test_the_demo_says_what_it_lacks(demo: Nomenclature) -> None:
    for text in ("A*01:XX+A*02:01", "A*01:01+A*UUUU"):
        with pytest.raises(IncompleteReferenceError, match="reference install") as caught:
            read(text, demo)
        assert caught.value.locus == "A"
