"""What the JSON file of Atlas and the XML inventory of WMDA have in common: typings in fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from data.donor_files.columns import GENE_COLUMNS, LOCUS_COLUMNS, RECORD_COLUMNS
from matching.serology import PREFIX_OF_GENE

# Loci of both forms, in lower case; DRB3, DRB4 and DRB5 stand apart.
EXCHANGED_LOCI = (*(name for name in LOCUS_COLUMNS if name != "drb345"), *GENE_COLUMNS)
EXCHANGED = (
    *("id", "type", "birth_date", "sex", "cmv", "abo", "rh", "weight_kg", "ancestry", "registry"),
    *("grid", "status", "tnc_1e7", "cd34_1e6", "volume_ml", "mother_gl"),
    *EXCHANGED_LOCI,
    *RECORD_COLUMNS,
)

Fields = tuple[str, str]


def by_column(records: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    """Records with the columns of `EXCHANGED`, "" where one has none."""
    return {name: [record.get(name, "") for record in records] for name in EXCHANGED}


def locus_text(name: str, dna: Fields, serology: Fields, homozygous: bool) -> str:
    """Both fields of a locus; those by DNA where there are any.

    A blank second field stays blank, or is as the first one if `homozygous`; at DRB3, DRB4 and
    DRB5 it is no copy.
    """
    gene = name.upper()
    first, second = (_dna(gene, text) for text in dna)
    if not first and not second:
        first, second = (_antigen(gene, text) for text in serology)
    if not first and not second:
        return ""
    if name in GENE_COLUMNS and not second:
        return first
    if homozygous and first and not second:
        second = first
    return f"{first}+{second}"


def _dna(gene: str, text: str) -> str:
    """An allele name with its gene; registries write `*01:01`."""
    stripped = text.strip()
    if not stripped or stripped.partition("*")[0].removeprefix("HLA-"):
        # A name that begins otherwise brings its gene, or is refused when it is read.
        return stripped if not stripped or "*" in stripped else f"{gene}*{stripped}"
    return gene + stripped


def _antigen(gene: str, text: str) -> str:
    stripped = text.strip()
    return f"{PREFIX_OF_GENE.get(gene, '')}{stripped}" if stripped.isdecimal() else stripped
