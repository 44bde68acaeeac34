"""Random GL strings, damaged ones and raw bytes: read, or refused by our own errors only.

20,000 strings from a seeded grammar, and hypothesis over the same grammar, which shrinks what it
finds; a million in `make test-all`. The slowest string is shown at the end of the run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.errors import TypingError
from matching.explain import explain
from matching.genotypes import NEW_ALLELE, Book, LocusGenotype, encode, encode_locus
from matching.grade import grade_locus
from matching.kernels import COUNT_BEST, GVH_BEST, HVG_BEST
from matching.linkage import drb345_disagreement
from matching.nomenclature import Nomenclature
from matching.reduction import Level, reduce_gl
from matching.search import compare_locus
from matching.typing_reader import TypingReader
from matching.typings import is_lone_position, locus_of, parse_locus, parse_typing, split_gl
from tests.matching.grammar import Grammar

LEVELS = tuple(Level)


@dataclass(frozen=True)
class Remembering(Nomenclature):
    """A release that looks for near names once: they are half the time of a refusal."""

    found: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def near(self, name: str) -> tuple[str, ...]:
        if name not in self.found:
            self.found[name] = super().near(name)
        return self.found[name]


class Readers(NamedTuple):
    """A lenient and a strict reading of 3.58.0 with codes, and a grammar over them."""

    lenient: Nomenclature
    strict: Nomenclature
    grammar: Grammar


@pytest.fixture(scope="module")
def remembering(readers: Readers) -> TypingReader:
    return TypingReader(readers.lenient)


@pytest.fixture(scope="module")
def readers(nomenclature: Nomenclature, codes: Mapping[str, tuple[str, ...]]) -> Readers:
    content = {item.name: getattr(nomenclature, item.name) for item in fields(nomenclature)}
    lenient = Remembering(**content | {"codes": codes})
    return Readers(lenient, replace(lenient, strict=True), Grammar(lenient, codes))


def allowed(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, or None where it refuses as it should."""
    try:
        return function(*arguments)
    except TypingError as error:
        check_refusal(error)
        return None


def check_refusal(error: TypingError) -> None:
    assert error.locus and error.reason
    # One line of text; the token alone is up to 60 characters, each up to ten as an escape.
    assert str(error).isprintable() and len(str(error)) < 800


def with_itself(locus: LocusGenotype) -> list[int]:
    row = compare_locus(locus, Book.of([locus]), np.array([1]))[0]
    return [int(row[column]) for column in (COUNT_BEST, GVH_BEST, HVG_BEST)]


def check(text: str, level: Level, readers: Readers) -> str:
    """Every function that reads a text, on one text. Returns how far it could be read."""
    lenient, strict, _ = readers
    reduced = allowed(reduce_gl, text, level, lenient)
    explained = allowed(explain, text, lenient, level)
    typing = allowed(parse_typing, text)
    if typing is None:
        # A position by itself, or genes that are not matched.
        assert reduced is None or is_lone_position(text) or not split_gl(text).loci
        if is_lone_position(text):
            assert (reduced is None) == (explained is None)
            check_position(text, reduced, lenient)
        return "no typing"
    # The canonical text is the same typing, so all that is read of it is the same too.
    assert parse_typing(typing.text) == replace(typing, release="")
    allowed(drb345_disagreement, typing, lenient)
    for locus, typed in typing.loci.items():
        if typed is not None:
            allowed(grade_locus, locus, typed, typed, lenient)
    read = allowed(encode, typing, lenient)
    only_current = allowed(encode, typing, strict)
    # A typing and a reduction take the same texts, but that a typing keeps other genes unread.
    assert (read is None) == (explained is None)
    assert (read is None) == (reduced is None) or typing.carried
    if read is None:
        assert only_current is None
        return "not in the release"
    for found in filter(None, read.loci):
        matched, gvh, hvg = with_itself(found)
        unmatched = any(
            NEW_ALLELE in (*one.first, *one.second) or not one.first for one in found.alternatives
        )
        assert unmatched or (matched, gvh, hvg) == (2, 0, 0)
    if only_current is None:
        assert read.notes
        return "followed"
    return "current"


def check_position(text: str, reduced: str | None, release: Nomenclature) -> None:
    """A position by itself is read where both positions of a locus may be written so."""
    if (locus := locus_of(text)) is None:
        return
    typed = allowed(parse_locus, locus, f"{text}+{locus.genes[0]}*NEW")
    read = typed and allowed(encode_locus, locus, typed, release)
    assert (read is None) == (reduced is None)


def fuzz(seed: int, n_strings: int, readers: Readers) -> tuple[Counter[str], float, str]:
    """How far each string could be read, and the slowest with its seconds."""
    draw = Random(seed)
    outcomes: Counter[str] = Counter()
    slowest = (0.0, "")
    for i in range(n_strings):
        text = readers.grammar.text(draw)
        start = time.perf_counter()
        try:
            outcomes[check(text, LEVELS[i % len(LEVELS)], readers)] += 1
        except Exception as error:
            raise AssertionError(f"string {i} of seed {seed}: {text!r}") from error
        slowest = max(slowest, (time.perf_counter() - start, text))
    return outcomes, *slowest


def report(
    found: tuple[Counter[str], float, str], record_property: Callable[[str, object], None]
) -> None:
    outcomes, seconds, text = found
    record_property("shown", f"fuzzed {outcomes.total()} strings: {dict(outcomes)}")
    record_property("shown", f"the slowest took {seconds:.2f} s: {text[:200]!a}")


def test_twenty_thousand_strings(
    readers: Readers, record_property: Callable[[str, object], None]
) -> None:
    found = fuzz(20_000, 20_000, readers)
    report(found, record_property)
    outcomes = found[0]
    # A grammar that makes nothing but nonsense, or nothing but good typings, tests little.
    assert outcomes.total() == 20_000
    for outcome in ("no typing", "not in the release", "followed", "current"):
        assert outcomes[outcome] > 500, outcome


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_a_million_strings(
    readers: Readers, seed: int, record_property: Callable[[str, object], None]
) -> None:
    found = fuzz(seed, 100_000, readers)
    report(found, record_property)
    assert found[0].total() == 100_000


@settings(max_examples=300, deadline=None)
@given(draw=st.randoms(use_true_random=False), level=st.sampled_from(LEVELS))
def test_the_grammar_under_hypothesis(readers: Readers, draw: Random, level: Level) -> None:
    check(readers.grammar.text(draw), level, readers)


@settings(max_examples=300, deadline=None)
@given(draw=st.randoms(use_true_random=False))
def test_a_reader_that_remembers_reads_the_same(
    readers: Readers, remembering: TypingReader, draw: Random
) -> None:
    text = readers.grammar.text(draw)
    try:
        typing = parse_typing(text)
        expected = typing, encode(typing, readers.lenient)
    except TypingError:
        for _ in "12":
            with pytest.raises(TypingError):
                remembering.read(text)
        return
    for _ in "12":
        assert remembering.read(text) == expected


@settings(max_examples=500, deadline=None)
@given(
    raw=st.one_of(st.binary(max_size=80), st.text("AB*0123:/+^|~GNPXgHLhla#. ").map(str.encode)),
    encoding=st.sampled_from(("utf-8", "latin-1")),
    level=st.sampled_from(LEVELS),
)
def test_raw_bytes(readers: Readers, raw: bytes, encoding: str, level: Level) -> None:
    check(raw.decode(encoding, "surrogateescape"), level, readers)


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False))
def test_every_level_explains_and_reduces_what_is_read(readers: Readers, draw: Random) -> None:
    text = readers.grammar.gl(draw)
    if allowed(explain, text, readers.lenient) is not None:
        bare = text.rpartition("#")[2]
        for level in LEVELS:
            explain(text, readers.lenient, level)
            if parse_typing(text).carried == ():
                assert reduce_gl(bare, level, readers.lenient)
