"""Text -> Typing: what was written, position by position, before any release interprets it.

Untyped (no entry), null (an N name) and ambiguous (several names) are three states and stay so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from matching.errors import HalfTypedError, TypingSyntaxError
from matching.loci import CARRIED_GENES, LOCI, Locus, PerLocus
from matching.serology import GENE_OF_PREFIX, PREFIX_OF_GENE, split_antigen


class Form(Enum):
    """The forms of one written position."""

    ALLELE = "allele"  # two to four fields, optional expression suffix
    G_GROUP = "G group"
    P_GROUP = "P group"
    XX = "XX"  # any allele of a first field
    STRING = "allele string"
    CODE = "multiple allele code"
    SEROLOGY = "serology"


@dataclass(frozen=True, slots=True)
class Position:
    """One written position: its form and full names, such as `A*01:01`, `A*01:01:01G` or `B39`.

    Names of a string keep the order in which they were written; every other form has one name.
    """

    form: Form
    names: tuple[str, ...]

    @property
    def text(self) -> str:
        """The position as GL string text."""
        return "/".join(self.names)


@dataclass(frozen=True, slots=True)
class LocusTyping:
    """Both written positions of a locus, in the order in which they were reported."""

    first: Position
    second: Position

    @property
    def text(self) -> str:
        """The locus as GL string text."""
        return f"{self.first.text}+{self.second.text}"


@dataclass(frozen=True, slots=True)
class Typing:
    """A person's typing: None where a locus is untyped.

    `carried` holds loci that are kept as reported and not matched on (DRB3/4/5, DQA1, DPA1).
    `phase` holds haplotypes whose phase was reported, each a tuple of names.
    """

    loci: PerLocus[LocusTyping | None]
    carried: tuple[str, ...] = ()
    phase: tuple[tuple[str, ...], ...] = ()

    @property
    def text(self) -> str:
        """The typing as a GL string; parsing it again gives the same typing."""
        return "^".join([*(t.text for t in self.loci if t is not None), *self.carried])


_ALLELE = re.compile(r"[0-9]{2,5}(:[0-9]{2,5}){1,3}[NLSQCA]?")
_FORMS: tuple[tuple[Form, re.Pattern[str]], ...] = (
    (Form.ALLELE, _ALLELE),
    (Form.G_GROUP, re.compile(r"[0-9]{2,5}:[0-9]{2,5}:[0-9]{2,5}G")),
    (Form.P_GROUP, re.compile(r"[0-9]{2,5}:[0-9]{2,5}P")),
    (Form.XX, re.compile(r"[0-9]{2,5}:XX")),
    (Form.CODE, re.compile(r"[0-9]{2,5}:(?!XX$)[A-Z]{2,8}")),
)
_ANTIGEN = re.compile(r"[1-9][0-9]{0,4}")
_SECOND_FIELD = re.compile(r"[0-9]{2,5}[NLSQCA]?")
_TWO_FIELDS = re.compile(r"[0-9]{2,5}:[0-9]{2,5}[NLSQCA]?")
_UNTYPED_WORDS = frozenset({"", "-", "?"})


def parse_position(gene: str, text: str) -> Position:
    """One position of `gene`, with or without the gene name and `HLA-` in front.

    >>> parse_position("A", "HLA-A*01:01/02").names
    ('A*01:01', 'A*01:02')

    Raises `TypingSyntaxError`.
    """
    rest = _without_gene(gene, text)
    prefix = PREFIX_OF_GENE.get(gene)
    if prefix is not None and _ANTIGEN.fullmatch(number := rest.removeprefix(prefix)):
        return Position(Form.SEROLOGY, (prefix + number,))
    if "/" not in rest:
        for form, pattern in _FORMS:
            if pattern.fullmatch(rest):
                return Position(form, (f"{gene}*{rest}",))
        raise TypingSyntaxError(gene, text.strip(), "not an HLA name")
    parts = [_without_gene(gene, part) for part in rest.split("/")]
    if all(_ALLELE.fullmatch(part) for part in parts):
        names = parts
    elif _TWO_FIELDS.fullmatch(parts[0]) and all(_SECOND_FIELD.fullmatch(p) for p in parts[1:]):
        first_field = parts[0].partition(":")[0]
        names = [parts[0], *(f"{first_field}:{part}" for part in parts[1:])]
    else:
        raise TypingSyntaxError(
            gene, text.strip(), "an allele string holds allele names, or second fields after one"
        )
    distinct = tuple(dict.fromkeys(f"{gene}*{name}" for name in names))
    return Position(Form.STRING if len(distinct) > 1 else Form.ALLELE, distinct)


def _without_gene(gene: str, text: str) -> str:
    """`text` without `HLA-` and the gene name, which must be `gene` where given."""
    rest = text.strip().removeprefix("HLA-")
    written, star, fields = rest.partition("*")
    if star and written not in ("", gene):
        raise TypingSyntaxError(gene, rest, f"belongs to {written}, not to {gene}")
    return fields if star else rest


def parse_locus(locus: Locus, text: str) -> LocusTyping | None:
    """Both positions of a locus, `first+second`; None where the text says untyped.

    >>> parse_locus(Locus.A, "01:01+02:01").text
    'A*01:01+A*02:01'

    Raises `HalfTypedError` where a position is missing, and `TypingSyntaxError`.
    """
    gene, stripped = locus.value, text.strip()
    if stripped in _UNTYPED_WORDS:
        return None
    for operator, meaning in (("|", "genotype lists"), ("~", "haplotype phase"), ("^", "loci")):
        if operator in stripped:
            raise TypingSyntaxError(
                gene, stripped, f"{meaning} ({operator!r}) cannot be read inside a locus"
            )
    parts = [part.strip() for part in stripped.split("+")]
    if len(parts) > 2:
        raise TypingSyntaxError(gene, stripped, f"{len(parts)} positions where a locus has two")
    if len(parts) == 1 or "" in parts:
        raise HalfTypedError(
            gene, stripped, "only one of two positions is typed; write a homozygous locus twice"
        )
    return LocusTyping(parse_position(gene, parts[0]), parse_position(gene, parts[1]))


def gene_of(text: str) -> str:
    """The gene that a GL string part starts with, or that of its antigen; "" if it has neither."""
    first = text.partition("+")[0].strip().removeprefix("HLA-")
    name, star, _ = first.partition("*")
    if star:
        return name
    antigen = split_antigen(name)
    return GENE_OF_PREFIX[antigen[0]] if antigen else ""


def split_gl(text: str) -> tuple[dict[Locus, str], tuple[str, ...]]:
    """The loci of a GL string as text, and the parts of genes that are only carried.

    Raises `TypingSyntaxError` for a locus given twice, an unknown gene or an empty string.
    """
    found: dict[Locus, str] = {}
    carried: list[str] = []
    for part in text.strip().split("^"):
        gene = gene_of(part)
        if gene in CARRIED_GENES:
            carried.append(part.strip())
            continue
        locus = _BY_GENE.get(gene)
        if locus is None:
            raise TypingSyntaxError(
                gene or "?", part.strip(), "no locus of a GL string: write e.g. A*01:01+A*02:01"
            )
        if locus in found:
            raise TypingSyntaxError(gene, part.strip(), "the locus is given twice")
        found[locus] = part
    return found, tuple(carried)


_BY_GENE = {locus.value: locus for locus in LOCI}


def parse_typing(text: str) -> Typing:
    """A typing from a GL string (Milius 2013, Tissue Antigens 82:106), loci joined by `^`.

    >>> parse_typing("A*01:01+A*02:01^B*07:02+B*08:01").loci[Locus.C] is None
    True

    Raises `TypingError`.
    """
    loci, carried = split_gl(text)
    return typing_of(loci, carried)


def typing_of(loci: Mapping[Locus, str], carried: tuple[str, ...] = ()) -> Typing:
    """A typing from one text a locus. Raises `TypingError`, also if no locus is typed."""
    parsed = {locus: parse_locus(locus, text) for locus, text in loci.items()}
    if not any(parsed.values()):
        raise TypingSyntaxError("all", "", "no locus is typed")
    return Typing(PerLocus.of(parsed, None), carried)
