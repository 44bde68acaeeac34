"""Text of one position -> Position."""

from __future__ import annotations

import re
from functools import lru_cache

from matching.errors import TypingSyntaxError
from matching.loci import CARRIED_GENES, LOCUS_OF_GENE, Locus
from matching.serology import GENE_OF_PREFIX, PREFIX_OF_GENE, split_antigen
from matching.typings.values import ABSENT_GENE, Form, Position

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
# Characters of positions that are remembered.
_SHORT = 200
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
    return _known(gene, text) if len(text) <= _SHORT else _parse(gene, text)


def _parse(gene: str, text: str) -> Position:
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


# The same positions come with many people.
_known = lru_cache(maxsize=20_000)(_parse)


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
