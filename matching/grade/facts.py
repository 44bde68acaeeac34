"""What one written position means under a release (R3 to R8)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain

from matching.grade.values import Grade
from matching.nomenclature import Allele, Nomenclature, split_name
from matching.serology import PREFIX_OF_GENE, Subtype, reported_antigens
from matching.typings import Form, Position


@dataclass(frozen=True, slots=True, eq=False)
class PositionFacts:
    """What one written position means under a release, nulls inside it dropped (R4).

    `unnamed`: the grade of a position that names no allele, against any other (new, untyped).
    `silent`: nothing is expressed. `null`: and that is what was written, by the N of a single
    name (R3b) or by naming no gene. `single`: one allele name, however many alleles share it.
    `definite`: it stands for exactly one allele, nulls included.
    `p_groups`, `g_groups`: names of the groups.
    `levels`: names of which one in common gives the grades of `_LEVELS` or `_NULL_LEVELS`.
    `direct`, `indirect`: antigens reported and those that match them, with subtypes (R8).
    """

    unnamed: Grade | None = None
    serology: bool = False
    silent: bool = False
    null: bool = False
    single: bool = False
    definite: bool = False
    p_groups: frozenset[str] = frozenset()
    g_groups: frozenset[str] = frozenset()
    levels: tuple[frozenset[str], ...] = ()
    direct: Mapping[str, Subtype] = field(default_factory=dict)
    indirect: Mapping[str, Subtype] = field(default_factory=dict)


_WRITTEN_NULL = re.compile(r".*[0-9]N")  # the digit tells a name from a code such as 01:AN


def untyped_grade(dpb1: bool) -> Grade:
    return Grade.UNKNOWN if dpb1 else Grade.P_GROUP


def read_position(position: Position, nomenclature: Nomenclature) -> PositionFacts:
    """What a written position means under a release (R3 to R8). Raises `TypingError`."""
    form, name = position.form, position.names[0]
    if form is Form.NEW:
        return PositionFacts(unnamed=Grade.MISMATCH)
    if form is Form.UNTYPED:
        return PositionFacts(unnamed=untyped_grade(name.startswith("DPB1*")))
    if form is Form.ABSENT:
        absent = frozenset({name})
        return PositionFacts(silent=True, null=True, definite=True, levels=(absent,) * 3)
    found = {i: None for name in position.names for i in nomenclature.read(name).alleles}
    if form is Form.SEROLOGY:
        while name not in nomenclature.serology:
            name = nomenclature.deleted[name]
        direct, indirect = _matching([name], nomenclature)
        return PositionFacts(serology=True, direct=direct, indirect=indirect)
    rows = [nomenclature.alleles[i] for i in nomenclature.expressing(found)]
    p_groups = frozenset(row.p_group for row in rows if row.p_group is not None)
    direct, indirect = _matching(_antigens(rows), nomenclature)
    return PositionFacts(
        silent=not p_groups,
        null=not p_groups and len(position.names) == 1 and bool(_WRITTEN_NULL.fullmatch(name)),
        single=form is Form.ALLELE,
        definite=len(found) == 1,
        p_groups=p_groups,
        g_groups=frozenset(row.g_group for row in rows if row.g_group is not None),
        levels=_shared_names(rows, silent=not p_groups),
        direct=direct,
        indirect=indirect,
    )


def _shared_names(rows: Iterable[Allele], silent: bool) -> tuple[frozenset[str], ...]:
    """Names that alleles have in common at each level (R10).

    Expressing: a full genomic sequence; the same allele or three fields, full; two fields, full.
    Null: the same allele with full genomic sequence, full sequence, or any.
    """
    full = [row for row in rows if row.sequence == "Full"]
    genomic = frozenset(row.name for row in full if row.dna == "gDNA")
    alleles = frozenset(row.name for row in full)
    if silent:
        return genomic, alleles, frozenset(row.name for row in rows)
    stems = [(gene, fields) for gene, fields, _ in (split_name(name) for name in alleles)]
    three, two = (
        frozenset(f"{gene}*{':'.join(fields[:n])}" for gene, fields in stems if len(fields) >= n)
        for n in (3, 2)
    )
    return genomic, alleles | three, two


def _antigens(rows: Iterable[Allele]) -> list[str]:
    """Names of the antigens that are reported of alleles."""
    reported = {(row.name.partition("*")[0], row.serology) for row in rows}
    return [
        PREFIX_OF_GENE[gene] + number
        for gene, serology in sorted(reported)
        if gene in PREFIX_OF_GENE
        for number in sorted(reported_antigens(serology))
    ]


def _matching(
    antigens: Iterable[str], nomenclature: Nomenclature
) -> tuple[dict[str, Subtype], dict[str, Subtype]]:
    """The antigens with their subtypes, and all others that match one of them."""
    serology = nomenclature.serology
    direct = {name: serology.subtype(name) for name in antigens}
    closures = chain.from_iterable(serology.matching(name).items() for name in direct)
    return direct, {name: subtype for name, subtype in closures if name not in direct}
