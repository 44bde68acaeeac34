"""Rows of a release, and the parts of an allele name."""

from __future__ import annotations

from typing import NamedTuple

# Low, secreted, questionable, cytoplasmic, aberrant: expressed, but not as others are.
ALTERED_SUFFIXES = "LSQCA"
EXPRESSION_SUFFIXES = f"N{ALTERED_SUFFIXES}"


class Allele(NamedTuple):
    """One row of a release. Names carry the gene: `A*01:01:01:01`.

    `p_group` is None where the allele expresses nothing or its gene has no P groups; an allele
    on a line of its own in hla_nom_p is its own group. `g_group` likewise for hla_nom_g.
    `sequence` is Full or Partial and `dna` gDNA or cDNA (Allele_status.txt), empty if unstated.
    `serology` holds the columns of rel_dna_ser after the allele, `/` between antigens: six-field
    files give unambiguous, possible, assumed and expert, later ones more.
    `tce_v1` and `tce_v2` are the raw assignments of dpb_tce.csv, such as `3`, `2a` or `2$`.
    """

    name: str
    p_group: str | None
    g_group: str | None
    sequence: str
    dna: str
    serology: str
    tce_v1: str
    tce_v2: str


def split_name(name: str) -> tuple[str, list[str], str]:
    """Gene, fields and expression suffix of an allele name.

    >>> split_name("A*01:04:01:01N")
    ('A', ['01', '04', '01', '01'], 'N')
    """
    gene, _, rest = name.partition("*")
    suffix = rest[-1:] if rest[-1:] in EXPRESSION_SUFFIXES else ""
    return gene, (rest[:-1] if suffix else rest).split(":"), suffix


def two_fields(name: str) -> str:
    """The name of the protein, without suffix.

    >>> two_fields("A*01:04:01:01N")
    'A*01:04'
    """
    gene, fields, _ = split_name(name)
    return f"{gene}*{':'.join(fields[:2])}"


def protein_name(name: str) -> str:
    return two_fields(name) + split_name(name)[2]


def tce_group(raw: str) -> int:
    """TCE group 1 to 3 of a raw assignment, 0 for none (rule R14: `2a$` is 2, `0` is a null).

    >>> [tce_group(raw) for raw in ("3", "2a$", "0", "")]
    [3, 2, 0, 0]
    """
    return int(raw[0]) if raw.startswith(("1", "2", "3")) else 0
