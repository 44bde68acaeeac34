"""Whether reported DRB3, DRB4 and DRB5 go with DRB1.

A chromosome carries one of the three genes or none, which its DRB1 family tells (Marsh, The HLA
FactsBook, 2000). Rare haplotypes differ, so a disagreement is worth a second look and is no error.
"""

from __future__ import annotations

from itertools import chain, product
from types import MappingProxyType

from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.typings import Form, LocusTyping, Pair, Position, Typing

Copies = frozenset[tuple[str, ...]]

_ABSENT = ""
_GENE_OF_FAMILY = MappingProxyType(
    dict.fromkeys(("03", "11", "12", "13", "14"), "DRB3")
    | dict.fromkeys(("04", "07", "09"), "DRB4")
    | dict.fromkeys(("15", "16"), "DRB5")
    | dict.fromkeys(("01", "08", "10"), _ABSENT)
)
_ANY_GENE = frozenset(_GENE_OF_FAMILY.values())


def drb345_disagreement(typing: Typing, nomenclature: Nomenclature) -> str:
    """How the reported DRB3/4/5 differ from what DRB1 lets expect; "" if they do not.

    Also "" where either is untyped. Raises `TypingError` for a name that cannot be read.
    """
    drb1, drb345 = typing.loci[Locus.DRB1], typing.loci[Locus.DRB345]
    if drb1 is None or drb345 is None:
        return ""
    known: dict[Position, frozenset[str]] = {}
    expected, reported = (drb345_copies(typed, nomenclature, known) for typed in (drb1, drb345))
    if expected & reported:
        return ""
    return f"DRB1 lets expect {_text(expected)}, reported is {_text(reported)}"


def drb345_copies(
    typed: LocusTyping, nomenclature: Nomenclature, known: dict[Position, frozenset[str]]
) -> Copies:
    """The genes of DRB3/4/5 on both chromosomes, sorted, "" for none: every possible pair.

    At DRB1 those that it lets expect, at DRB3/4/5 those reported. `known`: genes of the positions
    read so far, which grows. Raises `TypingError` for a name that cannot be read.
    """
    for position in chain.from_iterable(typed.alternatives):
        if position not in known:
            known[position] = _genes(position, nomenclature)
    return frozenset(chain.from_iterable(_copies(known, pair) for pair in typed.alternatives))


def _copies(genes: dict[Position, frozenset[str]], pair: Pair) -> set[tuple[str, ...]]:
    return {tuple(sorted(copies)) for copies in product(genes[pair[0]], genes[pair[1]])}


def _genes(position: Position, nomenclature: Nomenclature) -> frozenset[str]:
    """The genes of DRB3/4/5 that a position of DRB1 goes with, or that one of DRB3/4/5 is."""
    if position.form is Form.ABSENT:
        return frozenset([_ABSENT])
    if position.form in (Form.NEW, Form.UNTYPED):
        gene = position.names[0].partition("*")[0]
        return frozenset([gene]) if gene in Locus.DRB345.genes else _ANY_GENE
    names = (
        nomenclature.alleles[i].name
        for name in position.names
        for i in nomenclature.read(name).alleles
    )
    found = set()
    for name in names:
        gene, _, fields = name.partition("*")
        family = fields.partition(":")[0]
        found |= {gene} if gene != Locus.DRB1.value else {_GENE_OF_FAMILY.get(family, _ABSENT)}
    return frozenset(found)


def _text(options: Copies) -> str:
    return " or ".join(
        "+".join(copy or "none" for copy in copies) for copies in sorted(options, reverse=True)
    )
