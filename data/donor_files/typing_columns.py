"""Columns of typings: GL strings and genes as written, loci in phase."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from matching.errors import TypingError
from matching.loci import LOCI, Locus
from matching.typings import (
    Written,
    merge_drb345,
    split_gl,
)

# The typing of a record, as it is stored; `phase` are loci in phase with each other, such as
# "A,B;DRB345,DRB1", and `typing_release` is the release that the typing names, or "".
TYPING = (*(locus.value.lower() for locus in LOCI), "carried", "phase", "typing_release")
NOTHING_WRITTEN = Written({})


def split_or_error(text: str) -> Written | TypingError:
    """A GL string taken apart, or why it cannot be."""
    stripped = text.strip()
    if not stripped:
        return NOTHING_WRITTEN
    try:
        return split_gl(stripped)
    except TypingError as error:
        return error.with_traceback(None)


def merged_genes(
    genes: Sequence[tuple[str, Sequence[str]]],
) -> tuple[list[str], dict[int, Exception]]:
    """DRB3, DRB4 and DRB5 of every record as one locus."""
    known: dict[tuple[str, ...], str | TypingError] = {}
    merged: list[str] = []
    errors: dict[int, Exception] = {}
    for i, texts in enumerate(zip(*(texts for _, texts in genes), strict=True)):
        found = known.get(texts)
        if found is None:
            found = known[texts] = _merge([g for g, _ in genes], texts)
        merged.append("" if isinstance(found, TypingError) else found)
        if isinstance(found, TypingError):
            errors[i] = found
    return merged, errors


def _merge(genes: Sequence[str], texts: Sequence[str]) -> str | TypingError:
    copies = [
        _with_gene(gene, text.strip())
        for gene, text in zip(genes, texts, strict=True)
        if text.strip()
    ]
    try:
        return merge_drb345(copies) if copies else ""
    except TypingError as error:
        return error.with_traceback(None)


def _with_gene(gene: str, text: str) -> str:
    """The text of a column of one gene, every copy with its gene."""
    copies = (copy.strip() for copy in text.split("+"))
    return "+".join(copy if "*" in copy or not copy else f"{gene}*{copy}" for copy in copies)


def phase_text(blocks: Iterable[Sequence[Locus]]) -> str:
    """Loci in phase as they are stored."""
    return ";".join(",".join(locus.value for locus in block) for block in blocks)


def phase_blocks(text: str) -> tuple[tuple[Locus, ...], ...]:
    """The loci of a `phase_text`."""
    return tuple(tuple(map(Locus, block.split(","))) for block in text.split(";") if block)


def written_of(typing: Sequence[Any]) -> Written:
    """The typing of values of `TYPING`."""
    *texts, carried, phase, release = typing
    loci = {locus: text for locus, text in zip(LOCI, texts, strict=True) if text is not None}
    return Written(loci, tuple(filter(None, [carried])), phase_blocks(phase), release)
