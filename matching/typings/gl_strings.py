"""Text of loci and people (GL strings) -> typings, and what lies between the two."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

from matching.errors import HalfTypedError, TypingSyntaxError
from matching.loci import CARRIED_GENES, Locus, PerLocus
from matching.typings.positions import locus_of, parse_position
from matching.typings.values import ABSENT_GENE, Form, LocusTyping, Pair, Typing

_RELEASE = re.compile(r"hla#([0-9]+\.[0-9]+\.[0-9]+)#")
_ABSENT_COPY = re.compile(r"(HLA-)?DRB(3|4|5|X|345)\*NNNN")
_UNTYPED_WORDS = frozenset({"", "-", "?"})


def parse_locus(locus: Locus, text: str) -> LocusTyping | None:
    """Both positions of a locus, `first+second`, or a list of such genotypes joined by `|`.

    None where the text says untyped.

    >>> parse_locus(Locus.A, "01:01+02:01|01:02+02:05").text
    'A*01:01+A*02:01|A*01:02+A*02:05'

    Raises `HalfTypedError` where a position is missing, and `TypingSyntaxError`.
    """
    gene, stripped = locus.value, text.strip()
    if stripped in _UNTYPED_WORDS:
        return None
    for operator, meaning in (("~", "haplotype phase"), ("^", "loci")):
        if operator in stripped:
            raise TypingSyntaxError(
                gene, stripped, f"{meaning} ({operator!r}) cannot be read inside a locus"
            )
    pairs = [_pair(locus, genotype.strip()) for genotype in stripped.split("|")]
    if all(position.form is Form.UNTYPED for position in chain.from_iterable(pairs)):
        return None
    return LocusTyping(*pairs[0], tuple(pairs[1:]))


def _pair(locus: Locus, text: str) -> Pair:
    gene = locus.value
    parts = [part.strip() for part in text.split("+")]
    if len(parts) > 2:
        raise TypingSyntaxError(gene, text, f"{len(parts)} positions where a locus has two")
    if len(parts) == 1 or "" in parts:
        raise HalfTypedError(
            gene,
            text,
            "only one of two positions is typed; write a homozygous locus twice, or UUUU for a "
            "position that is not typed",
        )
    return parse_position(gene, parts[0]), parse_position(gene, parts[1])


def split_release(text: str) -> tuple[str, str]:
    """The release that a GL String Code names, or "", and the GL string.

    >>> split_release("hla#3.44.0#A*01:01+A*02:01")
    ('3.44.0', 'A*01:01+A*02:01')
    """
    stripped = text.strip()
    found = _RELEASE.match(stripped)
    return (found.group(1), stripped[found.end() :]) if found else ("", stripped)


class Written(NamedTuple):
    """A GL string taken apart and not yet read: one text a locus, and the rest as in `Typing`."""

    loci: Mapping[Locus, str]
    carried: tuple[str, ...] = ()
    phase: tuple[tuple[Locus, ...], ...] = ()
    release: str = ""


def split_gl(text: str) -> Written:
    """The parts of a GL string, with or without its release in front (`hla#3.58.0#`).

    DRB3, DRB4 and DRB5 may stand in one part or in one each. Raises `TypingSyntaxError` for a
    locus given twice, phase that cannot be followed, an unknown gene or an empty string.
    """
    release, stripped = split_release(text)
    found: dict[Locus, str] = {}
    copies: list[str] = []
    carried: list[str] = []
    phase: list[tuple[Locus, ...]] = []
    for part in stripped.split("^"):
        if part.partition("*")[0].strip().removeprefix("HLA-") in CARRIED_GENES:
            carried.append(part.strip())
            continue
        if "~" in part:
            block = _split_phased(part)
            phase.append(tuple(block))
        elif (locus := locus_of(part)) is Locus.DRB345:
            copies.append(part)
            continue
        elif locus is not None:
            block = {locus: part}
        else:
            raise TypingSyntaxError(
                "?", part.strip(), "no locus of a GL string: write e.g. A*01:01+A*02:01"
            )
        for locus, written in block.items():
            if locus in found:
                raise TypingSyntaxError(locus.value, part.strip(), "the locus is given twice")
            found[locus] = written
    if copies:
        if Locus.DRB345 in found:
            raise TypingSyntaxError("DRB345", copies[0], "the locus is given twice")
        found[Locus.DRB345] = merge_drb345(copies)
    return Written(found, tuple(carried), tuple(phase), release)


def homozygous_where_blank(written: Written) -> Written:
    """The same with every blank second position as the first, but for DRB3/4/5.

    >>> homozygous_where_blank(split_gl("A*01:01+^B*07:02+B*08:01")).loci[Locus.A]
    'A*01:01+A*01:01'
    """
    loci = {
        locus: text if locus is Locus.DRB345 else _with_second_as_first(text)
        for locus, text in written.loci.items()
    }
    return written._replace(loci=loci)


def _with_second_as_first(text: str) -> str:
    if text.strip() in _UNTYPED_WORDS:
        return text
    genotypes = [genotype.partition("+") for genotype in text.split("|")]
    return "|".join(
        f"{first}+{second if second.strip() else first}" for first, _, second in genotypes
    )


def _split_phased(part: str) -> dict[Locus, str]:
    """Texts of the loci of `h1~h1+h2~h2`, entry by entry of a genotype list."""
    texts: dict[Locus, list[str]] = {}
    for genotype in part.split("|"):
        sides = []
        for haplotype in genotype.split("+"):
            names = haplotype.split("~")
            loci = [locus_of(name) for name in names]
            by_locus = {locus: name for locus, name in zip(loci, names, strict=True) if locus}
            if len(by_locus) != len(names):
                raise TypingSyntaxError(
                    "?", haplotype.strip(), "a haplotype holds each matched locus at most once"
                )
            sides.append(by_locus)
        if len(sides) != 2 or sides[0].keys() != sides[1].keys():
            raise TypingSyntaxError(
                "?",
                genotype.strip(),
                "phase is two haplotypes over the same loci; write DRBX*NNNN for an absent gene",
            )
        for locus, name in sides[0].items():
            texts.setdefault(locus, []).append(f"{name.strip()}+{sides[1][locus].strip()}")
    if len({len(genotypes) for genotypes in texts.values()}) > 1:
        raise TypingSyntaxError("?", part.strip(), "the genotypes of a list hold different loci")
    ordered = sorted(texts, key=lambda locus: locus.position)
    return {locus: "|".join(texts[locus]) for locus in ordered}


def merge_drb345(parts: Sequence[str]) -> str:
    """DRB3, DRB4 and DRB5 as one locus, from one text a gene or one for all.

    A person has at most two copies in all. Of several genes each written twice, as some registries
    do with a single copy, one copy is taken; a copy that nothing tells of is untyped.

    >>> merge_drb345(["DRB3*01:01+DRB3*01:01", "DRB4*01:03+DRB4*01:03"])
    'DRB3*01:01+DRB4*01:03'

    Raises `TypingSyntaxError`.
    """
    if len(parts) == 1 and ("|" in parts[0] or parts[0].count("+") == 1):
        return parts[0]
    copies = [[copy.strip() for copy in part.split("+") if copy.strip()] for part in parts]
    typed = [[copy for copy in part if not _ABSENT_COPY.fullmatch(copy)] for part in copies]
    if sum(map(len, typed)) > 2:
        typed = [list(dict.fromkeys(part)) for part in typed]
    found = list(chain.from_iterable(typed))
    if any("|" in part for part in parts):
        raise TypingSyntaxError(
            Locus.DRB345.value,
            "^".join(parts),
            "a genotype list (|) holds all copies of DRB3, DRB4 and DRB5: write them in one part, "
            "such as DRB3*01:01+DRB4*01:03|DRB3*02:02+DRB4*01:03",
        )
    if len(found) > 2:
        raise TypingSyntaxError(
            Locus.DRB345.value,
            "^".join(parts),
            "more than the two copies of DRB3, DRB4 and DRB5 that a person can have",
        )
    absent = sum(map(len, copies)) - sum(map(len, typed))
    found += [ABSENT_GENE] * min(absent, 2 - len(found))
    return "+".join([*found, *["DRBX*UUUU"] * (2 - len(found))])


def parse_typing(text: str) -> Typing:
    """A typing from a GL string (Milius 2013, Tissue Antigens 82:106), loci joined by `^`.

    >>> parse_typing("A*01:01+A*02:01^B*07:02+B*08:01").loci[Locus.C] is None
    True

    Raises `TypingError`.
    """
    return typing_of(split_gl(text))


def typing_of(
    written: Written, parse: Callable[[Locus, str], LocusTyping | None] = parse_locus
) -> Typing:
    """A typing from one text a locus. Raises `TypingError`, also if no locus is typed.

    `parse`: does what `parse_locus` does.
    """
    parsed = {locus: parse(locus, text) for locus, text in written.loci.items()}
    if not any(parsed.values()):
        raise TypingSyntaxError("all", "", "no locus is typed")
    phase = tuple(
        block for block in written.phase if all(parsed.get(locus) is not None for locus in block)
    )
    return Typing(PerLocus.of(parsed, None), written.carried, phase, written.release)
