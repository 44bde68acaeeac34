"""Text -> Typing: what was written, position by position, before any release interprets it.

Untyped (no entry), null (an N name) and ambiguous (several names) are three states and stay so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from typing import NamedTuple

from matching.errors import HalfTypedError, TypingSyntaxError
from matching.loci import CARRIED_GENES, LOCUS_OF_GENE, Locus, PerLocus
from matching.serology import GENE_OF_PREFIX, PREFIX_OF_GENE, split_antigen

ABSENT_GENE = "DRBX*NNNN"


class Form(Enum):
    """The forms of one written position."""

    ALLELE = "allele"  # two to four fields, optional expression suffix
    OLD_NAME = "name before 2010"  # the same without colons
    G_GROUP = "G group"
    P_GROUP = "P group"
    SMALL_G = "g group"
    XX = "XX"  # any allele of a first field
    STRING = "allele string"
    CODE = "multiple allele code"
    SEROLOGY = "serology"
    NEW = "new"  # an allele without a name
    ABSENT = "absent gene"  # DRB3/4/5 only
    UNTYPED = "untyped position"  # UUUU: any allele


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


Pair = tuple[Position, Position]


@dataclass(frozen=True, slots=True)
class LocusTyping:
    """Both written positions of a locus, in the order in which they were reported.

    `others`: the further genotypes of a genotype list (`|`), of which one is the true one.
    """

    first: Position
    second: Position
    others: tuple[Pair, ...] = ()

    @property
    def alternatives(self) -> tuple[Pair, ...]:
        """Every genotype of the list."""
        return ((self.first, self.second), *self.others)

    @property
    def text(self) -> str:
        """The locus as GL string text."""
        return "|".join(f"{first.text}+{second.text}" for first, second in self.alternatives)


@dataclass(frozen=True, slots=True)
class Typing:
    """A person's typing: None where a locus is untyped.

    `carried` holds parts of genes that are kept as reported and not matched on. `phase` holds the
    loci that were reported in phase with each other: all first positions lie on one chromosome,
    and their genotype lists go together, entry by entry. `release` is the one that the text names,
    or "".
    """

    loci: PerLocus[LocusTyping | None]
    carried: tuple[str, ...] = ()
    phase: tuple[tuple[Locus, ...], ...] = ()
    release: str = ""

    @property
    def text(self) -> str:
        """The typing as a GL string without release; parsing it again gives the same typing."""
        block = {locus: block for block in self.phase for locus in block}
        parts = []
        for locus, typed in self.loci.items():
            if locus not in block:
                parts += [typed.text] if typed is not None else []
            elif block[locus][0] is locus:
                typings = [found for other in block[locus] if (found := self.loci[other])]
                parts.append(_phased_text(typings))
        return "^".join([*parts, *self.carried])


def _phased_text(typings: Sequence[LocusTyping]) -> str:
    genotypes = zip(*(typing.alternatives for typing in typings), strict=True)
    return "|".join(
        "+".join("~".join(pair[side].text for pair in pairs) for side in (0, 1))
        for pairs in genotypes
    )


_ALLELE = re.compile(r"[0-9]{2,5}(:[0-9]{2,5}){1,3}[NLSQCA]?")
# Two digits a field; before 2002 one for the third, as in A*31011 and DRB4*0101102N.
_OLD_NAME = re.compile(r"[0-9]{4,8}[NLSQCA]?")
_FORMS: tuple[tuple[Form, re.Pattern[str]], ...] = (
    (Form.ALLELE, _ALLELE),
    (Form.G_GROUP, re.compile(r"[0-9]{2,5}:[0-9]{2,5}:[0-9]{2,5}G")),
    (Form.P_GROUP, re.compile(r"[0-9]{2,5}:[0-9]{2,5}P")),
    (Form.SMALL_G, re.compile(r"[0-9]{2,5}:[0-9]{2,5}g")),
    (Form.XX, re.compile(r"[0-9]{2,5}:XX")),
    (Form.CODE, re.compile(r"[0-9]{2,5}:(?!XX$)[A-Z]{2,8}")),
    (Form.OLD_NAME, _OLD_NAME),
    (Form.NEW, re.compile("NEW")),
    (Form.UNTYPED, re.compile("UUUU")),
)
_LISTED = {Form.ALLELE, Form.G_GROUP, Form.P_GROUP, Form.SMALL_G}
_OLD_CODE = re.compile(r"([0-9]{2})([A-Z]{2,8})")
_ANTIGEN = re.compile(r"[1-9][0-9]{0,4}")
_SECOND_FIELD = re.compile(r"[0-9]{2,5}[NLSQCA]?")
_OLD_SECOND_FIELD = re.compile(r"[0-9]{2}[NLSQCA]?")
_TWO_FIELDS = re.compile(r"([0-9]{2,5}:)[0-9]{2,5}[NLSQCA]?|([0-9]{2})[0-9]{2}[NLSQCA]?")
_RELEASE = re.compile(r"hla#([0-9]+\.[0-9]+\.[0-9]+)#")
_ABSENT_COPY = re.compile(r"(HLA-)?DRB(3|4|5|X|345)\*NNNN")
_UNTYPED_WORDS = frozenset({"", "-", "?"})
_PREFIXES = {**PREFIX_OF_GENE, Locus.DRB345.value: "DR"}


def _gene_of_antigen(prefix: str, number: str) -> str:
    # DR51, DR52 and DR53 are the antigens of DRB5, DRB3 and DRB4.
    if prefix == "DR" and number in ("51", "52", "53"):
        return Locus.DRB345.value
    return GENE_OF_PREFIX[prefix]


def parse_position(gene: str, text: str) -> Position:
    """One position of `gene`, with or without the gene name and `HLA-` in front.

    `gene` is that of a `Locus`; at DRB345 each name brings its own, as in `DRB3*01:01`. Four digits
    without a colon are a name of before 2010 after `*` (`A*2403`) and an antigen otherwise (A2403).

    >>> parse_position("A", "HLA-A*01:01/02").names
    ('A*01:01', 'A*01:02')

    Raises `TypingSyntaxError`.
    """
    stripped = text.strip().removeprefix("HLA-")
    prefix = _PREFIXES.get(gene, "")
    number = stripped.removeprefix(prefix) if prefix else ""
    if _ANTIGEN.fullmatch(number):
        found = _gene_of_antigen(prefix, number)
        if found != gene:
            raise TypingSyntaxError(gene, stripped, f"the antigen belongs to {found}")
        return Position(Form.SEROLOGY, (prefix + number,))
    own, rest = _without_gene(gene, stripped)
    if "/" in rest:
        return _allele_string(gene, stripped)
    form = _form(rest)
    if rest == "NNNN" and LOCUS_OF_GENE[own] is Locus.DRB345:
        return Position(Form.ABSENT, (ABSENT_GENE,))
    if form is None and (old := _OLD_CODE.fullmatch(rest)):
        rest = f"{old.group(1)}:{old.group(2)}"
        form = _form(rest)
    if form is None:
        raise TypingSyntaxError(gene, stripped, "not an HLA name")
    return Position(form, (f"{own}*{rest}",))


def _form(name: str) -> Form | None:
    return next((form for form, pattern in _FORMS if pattern.fullmatch(name)), None)


def _allele_string(gene: str, text: str) -> Position:
    """Names joined by `/`, or second fields after a name of two fields."""
    written = text.split("/")
    own, first = _without_gene(gene, written[0])
    parts = [(own, first), *(_without_gene(gene, part, own) for part in written[1:])]
    names = [name for _, name in parts]
    forms = {_form(name) for name in names}
    leading = _TWO_FIELDS.fullmatch(first)
    if (forms <= _LISTED and all(":" in name for name in names)) or forms == {Form.OLD_NAME}:
        full = [f"{part_gene}*{name}" for part_gene, name in parts]
    elif leading and all(_further_field(leading, part) for part in written[1:]):
        first_field = leading.group(1) or leading.group(2)
        full = [f"{own}*{first}", *(f"{own}*{first_field}{name}" for name in names[1:])]
    else:
        raise TypingSyntaxError(
            gene, text, "an allele string holds allele names, or second fields after one"
        )
    distinct = tuple(dict.fromkeys(full))
    return Position(Form.STRING if len(distinct) > 1 else _form(first) or Form.ALLELE, distinct)


def _further_field(leading: re.Match[str], text: str) -> bool:
    """Whether a part of a string is a second field; old names have two digits a field."""
    pattern = _SECOND_FIELD if leading.group(1) else _OLD_SECOND_FIELD
    return bool(pattern.fullmatch(text.strip()))


def _without_gene(gene: str, text: str, default: str = "") -> tuple[str, str]:
    """The gene of a name and the name without it; `default` or `gene` where none is written."""
    rest = text.strip().removeprefix("HLA-")
    written, star, fields = rest.partition("*")
    if not star or not written:
        own, name = default or gene, fields if star else rest
    else:
        locus = LOCUS_OF_GENE.get(written)
        if locus is None and written not in CARRIED_GENES:
            raise TypingSyntaxError(gene, rest, f"no gene is called {written[:12]!r}")
        if locus is None or locus.value != gene:
            raise TypingSyntaxError(gene, rest, f"belongs to {written}, not to {gene}")
        own, name = gene if written == "Cw" else written, fields
    if own in ("DRBX", "DRB345") and name not in ("NNNN", "UUUU"):
        raise TypingSyntaxError(gene, rest, "write the gene: DRB3, DRB4 or DRB5")
    return own, name


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


def locus_of(text: str) -> Locus | None:
    """The locus of the first name of a GL string part; None if it is no matched one."""
    first = re.split(r"[|+~/]", text, maxsplit=1)[0].strip().removeprefix("HLA-")
    gene, star, _ = first.partition("*")
    if star:
        return LOCUS_OF_GENE.get(gene)
    antigen = split_antigen(first)
    return LOCUS_OF_GENE[_gene_of_antigen(*antigen)] if antigen else None


_OTHER_NAME = re.compile(r"[A-Z][A-Z0-9]{0,7}\*[0-9][0-9A-Z:]*|[A-Z][a-zA-Z]{0,7}[0-9]+")


def parse_lone_position(text: str) -> Position:
    """One position by itself; its gene is that of the name and need not be a matched one.

    Names of other genes are only told from nonsense: fields, or an antigen such as Dw8.

    >>> parse_lone_position("A*01:01/02").text, parse_lone_position("MICA*002:01/MICA*004").text
    ('A*01:01/A*01:02', 'MICA*002:01/MICA*004')

    Raises `TypingSyntaxError`.
    """
    locus = locus_of(text)
    if locus is not None:
        return parse_position(locus.value, text)
    names = tuple(part.strip().removeprefix("HLA-") for part in text.split("/"))
    if not all(map(_OTHER_NAME.fullmatch, names)):
        raise TypingSyntaxError("?", text.strip(), "not an HLA name")
    form = Form.ALLELE if "*" in names[0] else Form.SEROLOGY
    return Position(form if len(names) == 1 else Form.STRING, tuple(dict.fromkeys(names)))


def is_lone_position(text: str) -> bool:
    """Whether a text is one position, as it joins nothing by `^`, `|`, `+` or `~`."""
    return not any(operator in text for operator in "^|+~")


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


def typing_of(written: Written) -> Typing:
    """A typing from one text a locus. Raises `TypingError`, also if no locus is typed."""
    parsed = {locus: parse_locus(locus, text) for locus, text in written.loci.items()}
    if not any(parsed.values()):
        raise TypingSyntaxError("all", "", "no locus is typed")
    phase = tuple(
        block for block in written.phase if all(parsed.get(locus) is not None for locus in block)
    )
    return Typing(PerLocus.of(parsed, None), written.carried, phase, written.release)
