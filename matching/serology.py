"""Serological antigens and which of them match (rule R8)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

# Prefix of antigens in rel_ser_ser -> gene of the alleles that carry them.
GENE_OF_PREFIX = MappingProxyType({"A": "A", "B": "B", "Cw": "C", "DR": "DRB1", "DQ": "DQB1"})
PREFIX_OF_GENE = MappingProxyType({gene: prefix for prefix, gene in GENE_OF_PREFIX.items()})
# DR51, DR52 and DR53 are carried by alleles of these genes.
PREFIX_OF_CARRIER = MappingProxyType({**PREFIX_OF_GENE, "DRB3": "DR", "DRB4": "DR", "DRB5": "DR"})
_NAME = re.compile(r"(A|B|Cw|DR|DQ)([1-9][0-9]{0,4})")
# Values of rel_dna_ser that say nothing: not expressed, not known.
_SILENT = frozenset({"", "0", "?"})


class Antigen(NamedTuple):
    """One current antigen: `gene` is the prefix of its name (A, B, Cw, DR, DQ, ...)."""

    gene: str
    antigen: str
    splits: tuple[str, ...]
    associated: tuple[str, ...]


class Subtype(Enum):
    """What an antigen is to others."""

    BROAD = "Broad"
    SPLIT = "Split"
    ASSOCIATED = "Associated"
    NOT_SPLIT = "NotSplit"


def split_antigen(name: str) -> tuple[str, str] | None:
    """Prefix and number of an antigen name, None if it is none.

    >>> split_antigen("Cw3"), split_antigen("A*01")
    (('Cw', '3'), None)
    """
    found = _NAME.fullmatch(name)
    return None if found is None else (found.group(1), found.group(2))


def reported_antigens(serology: str) -> frozenset[str]:
    """Antigen numbers of an allele: the union of unambiguous, possible, assumed and expert.

    `serology`: the columns of rel_dna_ser after the allele; later ones (HATS) do not count.

    >>> sorted(reported_antigens("4005;;;40")), sorted(reported_antigens(";;0/7;"))
    (['40', '4005'], ['7'])
    """
    return _numbers(serology.split(";")[:4])


def assigned_antigens(serology: str) -> frozenset[str]:
    """The same without the exceptions that experts assigned, which serve searches only.

    >>> sorted(assigned_antigens(";;13;15/49"))
    ['13']
    """
    return _numbers(serology.split(";")[:3])


def _numbers(columns: list[str]) -> frozenset[str]:
    return frozenset(number for column in columns for number in column.split("/")) - _SILENT


@dataclass(frozen=True)
class Serology:
    """The antigens of a release and how they are related."""

    antigens: tuple[Antigen, ...]

    @cached_property
    def _by_name(self) -> Mapping[str, Antigen]:
        return {row.gene + row.antigen: row for row in self.antigens}

    @cached_property
    def _parents(self) -> tuple[Mapping[str, str], Mapping[str, str]]:
        """Of a split its broad, of an associated antigen its parent."""
        broads = {r.gene + s: r.gene + r.antigen for r in self.antigens for s in r.splits}
        parents = {r.gene + a: r.gene + r.antigen for r in self.antigens for a in r.associated}
        return broads, parents

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def subtype(self, name: str) -> Subtype:
        """Split if listed as a split, else associated if listed so, else broad if it has splits."""
        broads, parents = self._parents
        if name in broads:
            return Subtype.SPLIT
        if name in parents:
            return Subtype.ASSOCIATED
        row = self._by_name.get(name)
        return Subtype.BROAD if row is not None and row.splits else Subtype.NOT_SPLIT

    def splits(self, name: str) -> tuple[str, ...]:
        """The splits of a broad antigen, none of another.

        >>> Serology((Antigen("B", "5", ("51", "52"), ()),)).splits("B5")
        ('B51', 'B52')
        """
        row = self._by_name.get(name)
        return () if row is None else tuple(self._related(name, row.splits))

    def broad(self, name: str) -> str | None:
        """The broad antigen of a split."""
        return self._parents[0].get(name)

    def siblings(self, name: str) -> tuple[str, ...]:
        """The other splits of the same broad antigen."""
        broad = self.broad(name)
        return () if broad is None else tuple(s for s in self.splits(broad) if s != name)

    def parent(self, name: str) -> str | None:
        """The antigen with which an associated antigen is associated."""
        return self._parents[1].get(name)

    def matching(self, name: str) -> dict[str, Subtype]:
        """The antigens that match one: itself, first, and those that match indirectly.

        A broad matches its splits and their associated; a split its broad, not its siblings; an
        associated one its parent and grandparent; everything its own associated.
        """
        broads, parents = self._parents
        found = [name, *self._associated(name)]
        subtype = self.subtype(name)
        if subtype is Subtype.BROAD:
            for split in self._related(name, self._by_name[name].splits):
                found += [split, *self._associated(split)]
        elif subtype is Subtype.SPLIT:
            found.append(broads[name])
        elif subtype is Subtype.ASSOCIATED:
            parent = parents[name]
            found.append(parent)
            found += [p for p in (broads.get(parent), parents.get(parent)) if p is not None]
        return {antigen: self.subtype(antigen) for antigen in dict.fromkeys(found)}

    def _associated(self, name: str) -> list[str]:
        row = self._by_name.get(name)
        return [] if row is None else self._related(name, row.associated)

    @staticmethod
    def _related(name: str, numbers: tuple[str, ...]) -> list[str]:
        prefix = name.rstrip("0123456789")
        return [prefix + number for number in numbers]
