"""A release, and how it reads a written name (rules R4 to R8)."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching.errors import IncompleteReferenceError, UnknownNameError
from matching.memory import Memory
from matching.names import code_members, modern_name
from matching.nomenclature.alleles import (
    EXPRESSION_SUFFIXES,
    Allele,
    protein_name,
    split_name,
    tce_group,
    two_fields,
)
from matching.serology import (
    GENE_OF_PREFIX,
    PREFIX_OF_CARRIER,
    PREFIX_OF_GENE,
    Antigen,
    Serology,
    reported_antigens,
    split_antigen,
)

NO_P_GROUP = -1
# Alleles of names other than full ones that are remembered.
_MOST_READ = 2_000_000
# Names that the release does not know, whose near ones are remembered.
_MOST_NEAR = 10_000
_CODE = re.compile(r"([A-Z0-9]+)\*([0-9]{2,5}):(?!XX$)([A-Z]{2,8})")
_BROAD = re.compile(r"([A-Z0-9]+)\*([0-9]{2}):XX")
_GROUP = re.compile(
    r"([A-Z0-9]+\*\d+:\d+:\d+)(G)|([A-Z0-9]+\*\d+:\d+)(P)|([A-Z0-9]+\*\d+:\d+[NLSQCA]?)(g)"
)


class Reading(NamedTuple):
    """What a written name stands for: positions in `Nomenclature.alleles`, nulls included.

    `note` says how the name was followed where it is not a current one, and is empty otherwise.
    """

    alleles: tuple[int, ...]
    note: str = ""


@dataclass(frozen=True)
class Nomenclature:
    """A release: its alleles in the file's order, deleted names, and serology.

    `complete` is False for the embedded demo sample, whose rows are names of every level and
    which therefore answers exact names only.
    `deleted` maps a deleted name to the name that its record calls identical, or to "".
    `notes` lists what the reader of the files had to decide (see `data.release_files`).
    `codes` holds the members of multiple allele codes: second fields, or names without gene.
    `fingerprint` identifies the content, so that what was encoded with it can be recognised.
    `strict`: every name must be current in the release; renamed and deleted names, codes with such
    members, names of before 2010 and g groups are refused.
    """

    release: str
    complete: bool
    alleles: tuple[Allele, ...]
    deleted: Mapping[str, str]
    antigens: tuple[Antigen, ...] = ()
    notes: tuple[str, ...] = ()
    fingerprint: str = ""
    codes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    strict: bool = False

    @cached_property
    def serology(self) -> Serology:
        """The antigens of the release."""
        return Serology(self.antigens)

    @cached_property
    def _carriers(self) -> Mapping[str, tuple[int, ...]]:
        """Alleles by each antigen that rel_dna_ser reports of them."""
        carriers: defaultdict[str, list[int]] = defaultdict(list)
        for i, allele in enumerate(self.alleles):
            prefix = PREFIX_OF_CARRIER.get(allele.name.partition("*")[0])
            if prefix is not None:
                for number in reported_antigens(allele.serology):
                    carriers[prefix + number].append(i)
        return {name: tuple(indices) for name, indices in carriers.items()}

    @cached_property
    def by_name(self) -> Mapping[str, int]:
        """Position of every allele by its full name."""
        return MappingProxyType({allele.name: i for i, allele in enumerate(self.alleles)})

    @cached_property
    def p_group_names(self) -> tuple[str, ...]:
        """The P groups in order of first appearance; a P group code is a position here."""
        return tuple(dict.fromkeys(a.p_group for a in self.alleles if a.p_group is not None))

    @cached_property
    def p_group_codes(self) -> npt.NDArray[np.int32]:
        """P group code of every allele, shape (n_alleles,), `NO_P_GROUP` where it has none."""
        code = {name: i for i, name in enumerate(self.p_group_names)}
        return np.array(
            [NO_P_GROUP if a.p_group is None else code[a.p_group] for a in self.alleles],
            dtype=np.int32,
        )

    @cached_property
    def tce_groups(self) -> npt.NDArray[np.uint8]:
        """TCE v2 group of every allele, shape (n_alleles,), 0 for none."""
        return np.array([tce_group(a.tce_v2) for a in self.alleles], dtype=np.uint8)

    @cached_property
    def _members(self) -> Mapping[str, tuple[int, ...]]:
        """Alleles of every G group, P group, `XX` name and name of fewer fields."""
        members: defaultdict[str, list[int]] = defaultdict(list)
        for i, allele in enumerate(self.alleles):
            for group in (allele.p_group, allele.g_group):
                if group is not None and group != allele.name:
                    members[group].append(i)
            gene, fields, _ = split_name(allele.name)
            stem = f"{gene}*{fields[0]}"
            members[f"{stem}:XX"].append(i)
            for part in fields[1:-1]:
                stem = f"{stem}:{part}"
                members[stem].append(i)
        return {name: tuple(indices) for name, indices in members.items()}

    @cached_property
    def lgx_names(self) -> tuple[str, ...]:
        """Two-field name of the antigen recognition domain of every allele (rule R7).

        That is the P group's name without its letter; of a null, that of the P group in which its
        G group lies, or the G group of another null of the same two fields. A null without one
        keeps its two fields and its N, and an allele of a gene without groups its name.
        """
        of_g_group: dict[str, str] = {}
        for allele in self.alleles:
            if allele.p_group is not None and allele.g_group is not None:
                of_g_group.setdefault(
                    allele.g_group, protein_name(allele.p_group.removesuffix("P"))
                )
        of_null: dict[str, str] = {}
        for allele in self.alleles:
            if allele.p_group is None and allele.g_group in of_g_group:
                of_null.setdefault(two_fields(allele.name), of_g_group[allele.g_group])
        names = []
        for allele in self.alleles:
            if allele.p_group is not None:
                names.append(protein_name(allele.p_group.removesuffix("P")))
            elif allele.g_group is None:
                names.append(allele.name)
            else:
                grouped = of_g_group.get(allele.g_group) or of_null.get(two_fields(allele.name))
                names.append(grouped or protein_name(allele.name))
        return tuple(names)

    @cached_property
    def by_lgx_name(self) -> Mapping[str, tuple[int, ...]]:
        """The alleles of every `lgx_names`."""
        members: defaultdict[str, list[int]] = defaultdict(list)
        for i, name in enumerate(self.lgx_names):
            members[name].append(i)
        return {name: tuple(indices) for name, indices in members.items()}

    def read(self, name: str) -> Reading:
        """The alleles that `name` (gene, `*`, fields, suffix, group letter) stands for.

        An antigen such as `B39` stands for every allele of which one that matches it is reported
        (R8). Rules R4 to R8. Raises `UnknownNameError` if the release does not lead anywhere, and
        `IncompleteReferenceError` if only a complete release could tell.
        """
        exact = self.by_name.get(name)
        if exact is not None:
            return Reading((exact,))
        return self._readings.of(name, lambda: self._read(name))

    @cached_property
    def _readings(self) -> Memory[str, Reading]:
        return Memory(_MOST_READ, lambda reading: 20 + len(reading.alleles))

    def _read(self, name: str) -> Reading:
        if not self.complete:
            raise IncompleteReferenceError(
                self._gene(name),
                name,
                "not complete in the demo reference, which answers only the names it lists; "
                "install a release: graftmatch reference install 3.58.0",
            )
        current = self._current(name) or self._code(name)
        if current is not None:
            return current
        found = self._followed(name, frozenset()) or self._formerly_written(name)
        if found is None:
            deleted = name in self.deleted or modern_name(name) in self.deleted
            raise UnknownNameError(
                self._gene(name),
                name,
                f"deleted without a replacement in release {self.release}"
                if deleted
                else f"unknown in release {self.release}",
                self.near(name),
            )
        if self.strict:
            raise UnknownNameError(
                self._gene(name),
                name,
                f"no current name of release {self.release}, but "
                f"{found.note}; the lenient reading takes it",
            )
        return found

    def holds(self, name: str) -> bool:
        """Whether `name` is current in the release, codes aside."""
        return self._current(name) is not None

    @staticmethod
    def _gene(name: str) -> str:
        antigen = split_antigen(name)
        return GENE_OF_PREFIX[antigen[0]] if antigen else name.partition("*")[0]

    def decode(self, name: str) -> tuple[dict[str, Reading], tuple[str, ...]]:
        """The members of a multiple allele code that the release leads to, and those it lacks.

        The reading of a renamed or deleted member has a note. Rule R4. Raises `UnknownNameError`
        where the code is not installed, belongs to another first field or has no member that
        exists.
        """
        found = _CODE.fullmatch(name)
        gene, first_field, code = found.groups() if found else ("", "", name)
        members = self.codes.get(code)
        if members is None:
            reason = (
                f"code {code} is not in the installed table"
                if self.codes
                else "multiple allele codes are not installed; run: "
                "graftmatch reference install-mac FILE"
            )
            raise UnknownNameError(gene, name, reason)
        fitting, names = code_members(gene, first_field, members)
        if fitting != first_field:
            raise UnknownNameError(
                gene, name, f"the first field does not fit the code, which belongs to {fitting}"
            )
        readings = {}
        for member in names:
            reading = self._current(member) or self._followed(member, frozenset())
            if reading is not None:
                readings[member] = reading
        if not readings:
            raise UnknownNameError(gene, name, f"release {self.release} has none of its members")
        return readings, tuple(member for member in names if member not in readings)

    def _code(self, name: str) -> Reading | None:
        """The alleles of a multiple allele code; members the release lacks are noted."""
        if not _CODE.fullmatch(name):
            return None
        readings, lacking = self.decode(name)
        followed = [reading.note for reading in readings.values() if reading.note]
        if self.strict and followed:
            raise UnknownNameError(
                self._gene(name),
                name,
                f"{len(followed)} of its members not current in release {self.release}: "
                f"{'; '.join(followed)}; the lenient reading follows them",
            )
        notes = [f"{name}: release {self.release} has no {member}" for member in lacking]
        notes += followed
        alleles = dict.fromkeys(i for reading in readings.values() for i in reading.alleles)
        return Reading(tuple(alleles), "; ".join(notes))

    def _antigen(self, name: str) -> Reading | None:
        """The alleles of a current antigen."""
        if name not in self.serology:
            return None
        matching = self.serology.matching(name)
        alleles = {i for antigen in matching for i in self._carriers.get(antigen, ())}
        return Reading(tuple(sorted(alleles))) if alleles else None

    def _broad(self, name: str) -> Reading | None:
        """`A*10:XX`, where 10 is no family but a broad antigen: all of its splits' (rule R6)."""
        found = _BROAD.fullmatch(name)
        prefix = PREFIX_OF_GENE.get(found.group(1)) if found else None
        if found is None or prefix is None:
            return None
        splits = self.serology.splits(f"{prefix}{int(found.group(2))}")
        families = [f"{found.group(1)}*{split.removeprefix(prefix):0>2}:XX" for split in splits]
        alleles = [i for family in families for i in self._members.get(family, ())]
        return Reading(tuple(alleles)) if alleles else None

    def _current(self, name: str) -> Reading | None:
        """`name` as a current allele, group, shorter name, `XX` or antigen."""
        exact = self.by_name.get(name)
        if exact is not None:
            return Reading((exact,))
        if name in self._members:
            return Reading(self._members[name])
        suffix = split_name(name)[2]
        if suffix:
            shorter = self._members.get(name[:-1], ())
            alleles = tuple(i for i in shorter if self.alleles[i].name.endswith(suffix))
            if alleles:
                return Reading(alleles)
        return self._broad(name) or self._antigen(name)

    def _formerly_written(self, name: str) -> Reading | None:
        """`name` as a g group, a group that has gone, or in the spelling of before 2010."""
        if group := _GROUP.fullmatch(name):
            return self._group(name, *filter(None, group.groups()))
        # DRB3*03:22P has outlived the allele that it is named after.
        if (members := self._members.get(f"{name}P")) is not None:
            return Reading(members, f"{name} read as {name}P")
        modern = modern_name(name)
        if modern is None:
            return None
        found = self._current(modern) or self._code(modern) or self._followed(modern, frozenset())
        if found is None:
            return None
        note = f"{name} read as {modern}"
        return Reading(found.alleles, f"{note}; {found.note}" if found.note else note)

    def _group(self, name: str, stem: str, letter: str) -> Reading | None:
        """The groups that now hold the allele of a group's name, or its g group (rule R7)."""
        if letter == "g" and (members := self.by_lgx_name.get(stem)):
            return Reading(members, f"{name} read as a g group")
        named = self._current(stem) or self._followed(stem, frozenset())
        if named is None:
            return None
        groups = dict.fromkeys(self._group_of(i, letter) for i in named.alleles)
        held = [group for group in groups if group is not None]
        if letter == "g":
            alleles = [i for group in held for i in self.by_lgx_name[group]]
        else:
            alleles = [i for group in held if (r := self._current(group)) for i in r.alleles]
        if not alleles:
            return None
        return Reading(tuple(alleles), f"{name} read as {'/'.join(held)}{letter * (letter == 'g')}")

    def _group_of(self, i: int, letter: str) -> str | None:
        if letter == "g":
            return self.lgx_names[i]
        return self.alleles[i].g_group if letter == "G" else self.alleles[i].p_group

    def _followed(self, name: str, seen: frozenset[str]) -> Reading | None:
        """`name` through the records of deleted names, then with another suffix (R5).

        A written N is only given up where a record says so: it would turn a null into an
        expressed allele.
        """
        suffix = split_name(name)[2]
        stem = name.removesuffix(suffix)
        suffixed = [stem + s for s in ("", *EXPRESSION_SUFFIXES) if s != suffix != "N"]
        if (reading := self._identical(name, seen)) is not None:
            return reading
        for spelling in suffixed:
            if (current := self._current(spelling)) is not None:
                return Reading(current.alleles, f"{name} read as {spelling}")
        for spelling in suffixed:
            if (reading := self._identical(spelling, seen)) is not None:
                return Reading(reading.alleles, f"{name} read as {spelling}; {reading.note}")
        return None

    def _identical(self, name: str, seen: frozenset[str]) -> Reading | None:
        """What the record of the deleted `name` calls identical; `seen` guards against circles."""
        target = self.deleted.get(name)
        if not target or name in seen:
            return None
        found = self._current(target) or self._followed(target, seen | {name})
        if found is None:
            return None
        note = f"{name} is deleted in {self.release}, identical to {target}"
        return Reading(found.alleles, f"{note}; {found.note}" if found.note else note)

    @cached_property
    def _by_first_field(self) -> Mapping[str, list[str]]:
        """All names by gene and first field, for suggestions."""
        names: defaultdict[str, list[str]] = defaultdict(list)
        for name in (*self.by_name, *self._members):
            names[name.partition(":")[0]].append(name)
        return names

    def near(self, name: str) -> tuple[str, ...]:
        """Up to three names of the release that resemble `name` and share its first field."""
        known = self._by_first_field.get(name.partition(":")[0], [])
        close = [n for n in known if abs(len(n) - len(name)) <= 2]
        if not close:
            return ()
        # A wrong name of a kit or a laboratory comes again and again.
        return self._near.of(
            name, lambda: tuple(difflib.get_close_matches(name, close, n=3, cutoff=0.8))
        )

    @cached_property
    def _near(self) -> Memory[str, tuple[str, ...]]:
        return Memory(_MOST_NEAR)

    def expressing(self, alleles: Iterable[int]) -> tuple[int, ...]:
        """Those of `alleles` whose name carries no N; all of them if none is left (rule R4)."""
        listed = tuple(alleles)
        if self._nulls.isdisjoint(listed):
            return listed
        return tuple(i for i in listed if i not in self._nulls) or listed

    @cached_property
    def _nulls(self) -> frozenset[int]:
        return frozenset(i for i, row in enumerate(self.alleles) if row.name.endswith("N"))
