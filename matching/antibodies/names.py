"""Names on antibody reports, as kits print them, read under a release."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import MappingProxyType

from matching.errors import TypingSyntaxError, UnknownNameError
from matching.loci import LOCI, LOCUS_OF_GENE, Locus
from matching.nomenclature import Nomenclature, split_name
from matching.nomenclature.alleles import EXPRESSION_SUFFIXES
from matching.serology import PREFIX_OF_CARRIER, assigned_antigens, reported_antigens


class System(Enum):
    """What one antibody binds to: a molecule of one chain that varies, or a pair of chains."""

    A = "A"
    B = "B"
    C = "C"
    DRB1 = "DRB1"
    DRB345 = "DRB345"
    DQ = "DQ"
    DP = "DP"

    @property
    def loci(self) -> tuple[Locus, ...]:
        """Its locus, or those of the alpha and the beta chain."""
        return _LOCI_OF_SYSTEM[self]

    @property
    def is_pair(self) -> bool:
        """Whether both chains vary."""
        return len(self.loci) == 2


SYSTEMS = tuple(System)
_PAIRS = {System.DQ: (Locus.DQA1, Locus.DQB1), System.DP: (Locus.DPA1, Locus.DPB1)}
_LOCI_OF_SYSTEM: Mapping[System, tuple[Locus, ...]] = {
    system: _PAIRS[system] if system in _PAIRS else (Locus(system.value),) for system in SYSTEMS
}
SYSTEM_OF_LOCUS = {locus: system for system in SYSTEMS for locus in system.loci}
SYSTEM_OF_GENE = {gene: SYSTEM_OF_LOCUS[locus] for locus in LOCI for gene in locus.genes}

# The DP antigens of cellular typing and the proteins that carry them: column "HLA specificity" of
# the tables of class II alleles in the nomenclature reports (Marsh 2005, Tissue Antigens 65:301).
DP_ANTIGENS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "DP1": ("DPB1*01:01",),
        "DP2": ("DPB1*02:01", "DPB1*02:02"),
        "DP3": ("DPB1*03:01",),
        "DP4": ("DPB1*04:01", "DPB1*04:02"),
        "DP5": ("DPB1*05:01",),
        "DP6": ("DPB1*06:01",),
    }
)
_DP_ANTIGEN_OF = {name: antigen for antigen, names in DP_ANTIGENS.items() for name in names}
BW4, BW6 = "Bw4", "Bw6"
# Chains without antigens, which reports name by their first field.
_BY_FIELD = frozenset({"DQA1", "DPA1"})

_ANTIGEN = re.compile(r"(A|Bw|B|Cw?|DRw?|DQw?|DPw?)([1-9][0-9]{0,4})", re.IGNORECASE)
_PREFIXES = {"BW": "Bw", "C": "Cw", "CW": "Cw", "DRW": "DR", "DQW": "DQ", "DPW": "DP"}
_WITH_BRACKET = re.compile(r"(.*[^ ]) *\(([^()]+)\)")
_ONE_FIELD = re.compile(r"[A-Z0-9]+\*[0-9]{2,4}")
_CHAIN = r"(D[QP][AB]1\*[^/,~+ -]+|D[QP]w?[0-9]+(?:\([0-9]+\))?)"
_PAIR = re.compile(rf"{_CHAIN}(?: *[/,~+-] *| +){_CHAIN}")
# DP401 may be DPB1*401 or, without its zero, DPB1*04:01.
_MOST_IN_DP = 99


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """What the release says of all proteins of a locus that differ in their residues alone.

    `antigens`: those that are assigned to them, `possible`: those that experts name besides. Genes
    without antigens in the release have their first field instead. `joins_05_06`: of DQ, whether
    it is DQA1*01 or DQB1*05 or *06, which join each other alone (Kwok 1993, J Immunol 150:2263).
    `Names` makes one of each.
    """

    locus: Locus
    system: System
    antigens: frozenset[str]
    possible: frozenset[str]
    joins_05_06: bool


@dataclass(frozen=True, slots=True, eq=False)
class Protein:
    """What an expressed allele presents: two fields of its name. `Names` makes one of each.

    `group`: its P group code.
    """

    name: str
    group: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class Target:
    """What one name of a report stands for: a protein, an antigen, or several proteins.

    `locus`: where it is carried, None for Bw4, which A and B carry. Of a bead `protein` is set, of
    an antigen `antigen`; otherwise it is all `proteins`, by name. `note`: how it was followed.
    """

    name: str
    locus: Locus | None
    protein: Protein | None = None
    antigen: str = ""
    proteins: frozenset[str] = frozenset()
    note: str = ""

    @property
    def systems(self) -> tuple[System, ...]:
        """Where it is met."""
        if self.locus is None:
            return (System.A, System.B)
        return (SYSTEM_OF_LOCUS[self.locus],)


class Names:
    """Reads names under one release, and tells what its alleles present.

    One object serves any number of threads.
    """

    def __init__(self, nomenclature: Nomenclature) -> None:
        self.nomenclature = nomenclature
        self._serology = nomenclature.serology
        # Of each allele what it presents, None where its name has an expression letter.
        self._proteins: dict[int, Protein | None] = {}
        self._distinct: dict[tuple[object, ...], Protein] = {}
        self._kinds: dict[tuple[object, ...], Kind] = {}
        self._written: dict[tuple[str, str, str, str], Kind] = {}
        self._groups: dict[int, tuple[Protein, ...]] = {}
        self._genes: dict[str, tuple[Protein, ...]] = {}

    def expressed(self, alleles: Iterable[int]) -> tuple[Protein, ...]:
        """What those of `alleles` whose names have no expression letter present, each once."""
        found = dict.fromkeys(map(self._of_allele, alleles))
        return tuple(protein for protein in found if protein is not None)

    def of_group(self, group: int) -> tuple[Protein, ...]:
        """What the alleles of a P group code without an expression letter present."""
        known = self._groups.get(group)
        if known is None:
            known = self._groups[group] = self.expressed(self._members.get(group, ()))
        return known

    def of_gene(self, gene: str) -> tuple[Protein, ...]:
        """What all alleles of a gene without an expression letter present."""
        known = self._genes.get(gene)
        if known is None:
            alleles, prefix = self.nomenclature.alleles, f"{gene}*"
            own = (i for i, allele in enumerate(alleles) if allele.name.startswith(prefix))
            known = self._genes[gene] = self.expressed(own)
        return known

    def _of_allele(self, allele: int) -> Protein | None:
        """None where its name has an expression letter."""
        try:
            return self._proteins[allele]
        except KeyError:
            found = None if self._letter(allele) else self._read_protein(allele)
            self._proteins[allele] = found
            return found

    def _read_protein(self, allele: int) -> Protein:
        row = self.nomenclature.alleles[allele]
        gene, fields, _ = split_name(row.name)
        name = f"{gene}*{':'.join(fields[:2])}"
        group = int(self.nomenclature.p_group_codes[allele])
        written = gene, fields[0], row.serology, name if gene == "DPB1" else ""
        kind = self._written.get(written)
        if kind is None:
            kind = self._written[written] = self._kind(*written)
        key = name, group, kind
        # In one step, so that threads that ask at once get the same.
        return self._distinct.get(key) or self._distinct.setdefault(key, Protein(*key))

    def _kind(self, gene: str, first_field: str, serology: str, name: str) -> Kind:
        prefix = PREFIX_OF_CARRIER.get(gene)
        joins = gene[:2] == "DQ" and first_field in (("05", "06") if gene == "DQB1" else ("01",))
        if prefix is None:
            own = _own_antigens(gene, name, first_field)
            return self._one_kind(LOCUS_OF_GENE[gene], own, frozenset(), joins)
        assigned = frozenset(prefix + number for number in assigned_antigens(serology))
        reported = frozenset(prefix + number for number in reported_antigens(serology))
        if gene == "C" and not assigned and (cw := f"Cw{int(first_field)}") not in self._serology:
            # Cw12 to Cw18 are no antigens of the release, but kits print them for C*12 to C*18.
            assigned = frozenset([cw])
        return self._one_kind(LOCUS_OF_GENE[gene], assigned, reported - assigned, joins)

    def _one_kind(
        self, locus: Locus, antigens: frozenset[str], possible: frozenset[str], joins: bool
    ) -> Kind:
        key = locus, antigens, possible, joins
        made = Kind(locus, SYSTEM_OF_LOCUS[locus], antigens, possible, joins)
        return self._kinds.setdefault(key, made)

    @cached_property
    def _members(self) -> Mapping[int, tuple[int, ...]]:
        members: defaultdict[int, list[int]] = defaultdict(list)
        for allele, group in enumerate(self.nomenclature.p_group_codes.tolist()):
            members[group].append(allele)
        return {group: tuple(alleles) for group, alleles in members.items()}

    def letters(self, alleles: tuple[int, ...]) -> set[str]:
        """The expression letters of names, "" for none."""
        return {self._letter(i) for i in alleles}

    def _letter(self, allele: int) -> str:
        last = self.nomenclature.alleles[allele].name[-1]
        return last if last in EXPRESSION_SUFFIXES else ""

    def read(self, text: str, partner: str = "") -> tuple[Target, Target | None]:
        """The target and the other chain of a line, which may also stand in one name.

        `A2`, `A23(9)`, `Bw4`, `DR52`, `Cw12`, `DP4`, `DRB1*01:03`, `DQA1*05`, `DQ7` with its
        partner, `DQA1*05:01/DQB1*03:01`, `DQ7(DQA1*05:01)`, `DQ7, DQA1*05:01`. Raises `TypingError`
        for everything that has no one meaning under the release.
        """
        text, partner = text.strip(), partner.strip()
        if pair := _PAIR.fullmatch(text.replace("HLA-", "")):
            self._one_partner(text, partner)
            text, partner = pair.groups()
        elif (bracket := _WITH_BRACKET.fullmatch(text)) and "*" in bracket.group(2):
            self._one_partner(text, partner)
            text, partner = bracket.groups()
        target = self._read(text)
        if not partner or partner.removeprefix("HLA-").startswith("DRA*"):
            # The alpha chain of DR varies only where no antibody reaches.
            return target, None
        other = self._read(partner)
        loci = {target.locus, other.locus}
        if not any(system.is_pair and loci == set(system.loci) for system in SYSTEMS):
            raise TypingSyntaxError(
                _locus_name(target),
                f"{text}/{partner}",
                "these are no alpha and beta chain of DQ or DP; leave the partner chain blank",
            )
        return target, other

    @staticmethod
    def _one_partner(text: str, partner: str) -> None:
        if partner:
            raise TypingSyntaxError(
                "?",
                text,
                f"it names a second chain, and the partner chain is {partner!r}; keep one",
            )

    def _read(self, text: str) -> Target:
        name = text.removeprefix("HLA-").strip()
        if bracket := _WITH_BRACKET.fullmatch(name):
            name = self._without_broad(*bracket.groups())
        if "*" not in name:
            return self._antigen(name)
        written = f"{name}:XX" if _ONE_FIELD.fullmatch(name) and _is_one_field(name) else name
        gene = name.partition("*")[0]
        locus = LOCUS_OF_GENE.get(gene)
        if locus is None:
            raise TypingSyntaxError(gene, name, "no locus of an antibody report")
        reading = self.nomenclature.read(_with_gene(written))
        proteins = self.expressed(reading.alleles)
        if not proteins:
            raise UnknownNameError(
                gene, name, "its expression is none, altered or questionable, so no bead carries it"
            )
        if len(proteins) == 1:
            return Target(name, locus, proteins[0], note=reading.note)
        if len({protein.name for protein in proteins}) == 1:
            return Target(name, locus, self._merged(proteins), note=reading.note)
        names = frozenset(protein.name for protein in proteins)
        return Target(name, locus, proteins=names, note=reading.note)

    def _without_broad(self, name: str, bracket: str) -> str:
        """`A23(9)` and `Cw9(w3)` without the broad antigen."""
        found = _antigen_name(name)
        broad = found and self._serology.broad(found)
        number = bracket.strip().removeprefix("w")
        if found is None or broad is None or broad.lstrip("ABCDRQwP") != number:
            raise TypingSyntaxError(
                "?", f"{name}({bracket})", "what stands in brackets is not its broad antigen"
            )
        return found

    def _merged(self, proteins: tuple[Protein, ...]) -> Protein:
        """One protein of which alleles of the release tell different antigens."""
        first = proteins[0]
        antigens = frozenset().union(*(p.kind.antigens for p in proteins))
        possible = frozenset().union(*(p.kind.possible for p in proteins)) - antigens
        kind = self._one_kind(first.kind.locus, antigens, possible, first.kind.joins_05_06)
        return Protein(first.name, first.group, kind)

    def _antigen(self, text: str) -> Target:
        name = _antigen_name(text)
        if name is None:
            raise TypingSyntaxError(
                "?", text, "neither an antigen such as A2 nor an allele such as A*02:01"
            )
        if name in (BW4, BW6):
            return Target(name, None if name == BW4 else Locus.B, antigen=name)
        locus = _locus_of_antigen(name)
        if name in self._serology or name in DP_ANTIGENS:
            return Target(name, locus, antigen=name)
        prefix, number = name.rstrip("0123456789"), name.lstrip("ABCDRQwP")
        family = f"{locus.value}*{number:0>2}:XX"
        if prefix == "DP" and int(number) > _MOST_IN_DP:
            raise UnknownNameError(
                locus.value, name, "an allele or its first field; write it out, as DPB1*04:01"
            )
        if prefix in ("Cw", "DP") and self.nomenclature.holds(family):
            return Target(
                name, locus, antigen=name, note=f"{name} is no antigen of the WHO, read as {family}"
            )
        raise UnknownNameError(
            locus.value, name, f"no antigen of release {self.nomenclature.release}; name an allele"
        )


def _own_antigens(gene: str, name: str, first_field: str) -> frozenset[str]:
    """What stands for antigens at genes without any in the release."""
    if gene in _BY_FIELD:
        return frozenset([f"{gene}*{first_field}"])
    antigen = f"DP{int(first_field)}"
    if antigen in DP_ANTIGENS:
        return frozenset(found for found in [_DP_ANTIGEN_OF.get(name)] if found is not None)
    return frozenset([antigen])


def _is_one_field(name: str) -> bool:
    """Whether the digits are a first field and not an old name such as `A*0201`."""
    digits = name.partition("*")[2]
    return len(digits) < 4


def _with_gene(name: str) -> str:
    return "C" + name.removeprefix("Cw") if name.startswith("Cw*") else name


def _antigen_name(text: str) -> str | None:
    """The antigen in the spelling that is used here; None where it is none.

    >>> [_antigen_name(name) for name in ("BW4", "C12", "DRw52", "DPw4", "A2", "A*02")]
    ['Bw4', 'Cw12', 'DR52', 'DP4', 'A2', None]
    """
    found = _ANTIGEN.fullmatch(text.strip())
    if found is None:
        return None
    prefix = found.group(1).upper()
    return _PREFIXES.get(prefix, prefix) + found.group(2)


def _locus_of_antigen(name: str) -> Locus:
    prefix = name.rstrip("0123456789")
    if name in ("DR51", "DR52", "DR53"):
        return Locus.DRB345
    return {
        "A": Locus.A,
        "B": Locus.B,
        "Bw": Locus.B,
        "Cw": Locus.C,
        "DR": Locus.DRB1,
        "DQ": Locus.DQB1,
        "DP": Locus.DPB1,
    }[prefix]


def _locus_name(target: Target) -> str:
    return "A and B" if target.locus is None else target.locus.value
