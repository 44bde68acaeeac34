"""Columns of typings: GL strings and genes as written, loci in phase."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from data.donor_files.coded import Coded
from data.donor_files.columns import LOCUS_COLUMNS
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


def merged_genes(genes: Sequence[tuple[str, Coded]]) -> tuple[Coded, dict[int, Exception]]:
    """DRB3, DRB4 and DRB5 of every record as one locus."""
    texts = Coded.of(list(zip(*(column.to_list() for _, column in genes), strict=True)))
    merged = [_merge([gene for gene, _ in genes], of_genes) for of_genes in texts.values]
    errors = {i: one for i, one in enumerate(merged) if isinstance(one, TypingError)}
    return texts.to(["" if i in errors else one for i, one in enumerate(merged)]), texts.errors(
        errors
    )


def _merge(genes: Sequence[str], texts: Sequence[str]) -> str | TypingError:
    copies = [
        with_gene(gene, text.strip())
        for gene, text in zip(genes, texts, strict=True)
        if text.strip()
    ]
    try:
        return merge_drb345(copies) if copies else ""
    except TypingError as error:
        return error.with_traceback(None)


def with_gene(gene: str, text: str) -> str:
    """The text of a column of one gene, every copy with its gene."""
    copies = (copy.strip() for copy in text.split("+"))
    return "+".join(copy if "*" in copy or not copy else f"{gene}*{copy}" for copy in copies)


def phase_text(blocks: Iterable[Sequence[Locus]]) -> str:
    """Loci in phase as they are stored."""
    return ";".join(",".join(locus.value for locus in block) for block in blocks)


def phase_blocks(text: str) -> tuple[tuple[Locus, ...], ...]:
    """The loci of a `phase_text`."""
    return tuple(tuple(map(Locus, block.split(","))) for block in text.split(";") if block)


def typed_phases(phases: Coded, loci: Mapping[str, Coded]) -> Coded:
    """The blocks of loci in phase of which every one is typed."""
    found = phases.to_list()
    for row in np.flatnonzero(phases.is_true).tolist():
        typed = {locus for name, locus in LOCUS_COLUMNS.items() if loci[name][row]}
        blocks = [block for block in phase_blocks(found[row]) if typed >= set(block)]
        found[row] = phase_text(blocks)
    return Coded.of(found)


def written_of(typing: Sequence[Any]) -> Written:
    """The typing of values of `TYPING`."""
    *texts, carried, phase, release = typing
    loci = {locus: text for locus, text in zip(LOCI, texts, strict=True) if text is not None}
    return Written(loci, tuple(filter(None, [carried])), phase_blocks(phase), release)
