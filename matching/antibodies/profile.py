"""A report under a release -> what it says of every molecule.

How close a bead is to a molecule decides, not how strong it is: the bead of the very protein before
one with the same antigen recognition domain, these before the antigen and its other alleles. Rules
and reasons: docs/antibodies.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any

from matching.antibodies.epitopes import PublicEpitopes
from matching.antibodies.names import (
    BW4,
    BW6,
    SYSTEMS,
    Kind,
    Names,
    Protein,
    System,
    Target,
)
from matching.antibodies.values import Answer, Basis, Bead, Call, CutOffs
from matching.loci import Locus
from matching.nomenclature import NO_P_GROUP


class Near(IntEnum):
    """How close one name of a report is to a chain, the closest first.

    WHOLE: the report names no chain there, so all of them. NEIGHBOUR: another allele of the
    antigen. POSSIBLE: the release leaves open whether it is one.
    """

    ALLELE = 0
    DOMAIN = 1
    ANTIGEN = 2
    WHOLE = 3
    NEIGHBOUR = 4
    POSSIBLE = 5
    FAR = 6


@dataclass(frozen=True, slots=True)
class ReadBead:
    """A bead with its result and what its names stand for."""

    bead: Bead
    result: Answer
    target: Target
    partner: Target | None


# How close each bead of a system is to a chain.
Places = tuple[Near, ...]
# By the name and the P group of proteins, numbers of beads and how close these are.
Named = Mapping[str | int, Sequence[tuple[int, Near]]]
# Whether a protein carries Bw4, and Bw6, None where that is open.
Epitopes = tuple[bool | None, bool | None]


class Profile:
    """What a report says of every molecule of a release. Raises `TypingError` for a name."""

    def __init__(
        self,
        names: Names,
        epitopes: PublicEpitopes,
        beads: Iterable[Bead],
        cut_offs: CutOffs,
    ) -> None:
        self.names, self.cut_offs = names, cut_offs
        self._epitopes = epitopes
        self.beads = tuple(
            ReadBead(bead, cut_offs.result(bead), *names.read(bead.target, bead.partner))
            for bead in beads
        )
        self._of_system = {
            system: tuple(b for b in self.beads if system in b.target.systems) for system in SYSTEMS
        }
        # What the beads of its system name at each locus, None where they name nothing.
        self._targets = {
            locus: tuple(_at(locus, read) for read in self._of_system[system])
            for system in SYSTEMS
            for locus in system.loci
        }
        self._named = {locus: _by_name(targets) for locus, targets in self._targets.items()}
        self._has_epitopes = {
            system: any(read.target.antigen in (BW4, BW6) for read in beads)
            for system, beads in self._of_system.items()
        }
        # What others have read of positions under this report.
        self.remembered: dict[Any, Any] = {}
        self._places: dict[Protein, Places] = {}
        self._kinds: dict[Kind, tuple[Named, bool]] = {}
        self._near_antigen: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._unnamed: dict[tuple[Kind, Epitopes], Places] = {}
        self._alike_as: dict[tuple[Kind, Epitopes, int | None, str | None], Protein] = {}
        self._any: dict[str, tuple[Protein, ...]] = {}
        self._alike: dict[Protein, Protein] = {}
        self._first: dict[tuple[Locus, Places, bool], Protein] = {}
        self._calls: dict[Protein, Call] = {}
        self._pairs: dict[tuple[Protein, Protein], Call | None] = {}
        self._distinct: dict[tuple[object, ...], Call] = {}

    @cached_property
    def systems(self) -> tuple[System, ...]:
        """Those that the report has beads of."""
        return tuple(system for system in SYSTEMS if self._of_system[system])

    @property
    def notes(self) -> tuple[str, ...]:
        """How names were followed, and results that the MFI contradicts."""
        targets = (t for b in self.beads for t in (b.target, b.partner) if t is not None)
        notes = [target.note for target in targets if target.note]
        for read in self.beads:
            if self.cut_offs.contradicts(read.bead):
                notes.append(
                    f"row {read.bead.row}, {read.bead.name}: reported as {read.result.text}, "
                    f"though its MFI {read.bead.mfi:g} against the cut-off {self.cut_offs.mfi:g} "
                    "says otherwise; the reported result counts"
                )
        return tuple(dict.fromkeys(notes))

    def call(self, protein: Protein) -> Call:
        """The answer for a molecule of which one chain varies (A, B, C, DRB)."""
        first = self.alike(protein)
        if first not in self._calls:
            beads = self._of_system[protein.kind.system]
            self._calls[first] = self._one_of(self._call(beads, self.places(first)))
        return self._calls[first]

    def pair_call(self, system: System, alpha: Protein, beta: Protein) -> Call | None:
        """The answer for a pair of DQ or DP; None where the chains do not join."""
        key = self.alike(alpha), self.alike(beta)
        if key not in self._pairs:
            beads, joined = self._of_system[system], joins(*key)
            call = self._pair_call(beads, self.places(key[0]), self.places(key[1]), joined)
            self._pairs[key] = None if call is None else self._one_of(call)
        return self._pairs[key]

    def _one_of(self, call: Call) -> Call:
        """The same object for calls that say the same."""
        return self._distinct.setdefault((call.low, call.high, call.basis, call.beads), call)

    def alike(self, protein: Protein) -> Protein:
        """The first of the proteins that neither the report nor their partners tell apart."""
        known = self._alike.get(protein)
        if known is None:
            known = self._alike[protein] = self._first_alike(protein)
        return known

    def _first_alike(self, protein: Protein) -> Protein:
        # Most proteins differ in their name alone from others that no bead holds.
        kind = protein.kind
        named, has_epitopes = self._of_kind(kind)
        group = protein.group if protein.group in named else None
        name = protein.name if protein.name in named else None
        key = kind, self._epitopes_of(protein, has_epitopes), group, name
        if key not in self._alike_as:
            place = kind.locus, self.places(protein), kind.joins_05_06
            self._alike_as[key] = self._first.setdefault(place, protein)
        return self._alike_as[key]

    def any_chain(self, gene: str) -> tuple[Protein, ...]:
        """One protein of a gene for each way in which the report and its partners tell them
        apart."""
        if gene not in self._any:
            proteins = map(self.alike, self.names.of_gene(gene))
            self._any[gene] = tuple(dict.fromkeys(proteins))
        return self._any[gene]

    def places(self, protein: Protein) -> Places:
        """How close each bead of its system is to a chain."""
        known = self._places.get(protein)
        if known is None:
            known = self._places[protein] = self._place(protein)
        return known

    def _place(self, protein: Protein) -> Places:
        kind = protein.kind
        named, has_epitopes = self._of_kind(kind)
        epitopes = self._epitopes_of(protein, has_epitopes)
        key = kind, epitopes
        if key not in self._unnamed:
            self._unnamed[key] = tuple(
                Near.WHOLE if target is None else self._near(target, kind, epitopes)
                for target in self._targets[kind.locus]
            )
        places = list(self._unnamed[key])
        for i, near in (*named.get(protein.group, ()), *named.get(protein.name, ())):
            places[i] = min(places[i], near)
        return tuple(places)

    def _of_kind(self, kind: Kind) -> tuple[Named, bool]:
        """What beads name proteins of a kind by name or P group, and whether any is of Bw4, Bw6."""
        known = self._kinds.get(kind)
        if known is None:
            found = self._named[kind.locus], self._has_epitopes[kind.system]
            known = self._kinds[kind] = found
        return known

    def _epitopes_of(self, protein: Protein, has_epitopes: bool) -> Epitopes:
        if not has_epitopes:
            return (False, False)
        return self._epitopes.of(protein.kind.locus, protein.group)

    def _near(self, target: Target, kind: Kind, epitopes: Epitopes) -> Near:
        """How close a target is by its antigens alone."""
        if target.antigen in (BW4, BW6):
            carries = epitopes[target.antigen == BW6]
            return Near.POSSIBLE if carries is None else Near.ANTIGEN if carries else Near.FAR
        if target.antigen:
            found = self._carries(target.antigen, kind)
            return Near.POSSIBLE if found is None else Near.ANTIGEN if found else Near.FAR
        antigens = frozenset() if target.protein is None else target.protein.kind.antigens
        if antigens & kind.antigens:
            return Near.NEIGHBOUR
        related = (self._carries(antigen, kind) for antigen in antigens)
        return Near.POSSIBLE if any(one is not False for one in related) else Near.FAR

    def _carries(self, antigen: str, kind: Kind) -> bool | None:
        """Whether proteins of a kind carry an antigen, None where the release leaves it open.

        All antigens that are assigned to them must be this one or splits of it. They may be one
        where some are, where its broad or its parent is assigned, or where only experts say so
        (R8).
        """
        known = self._near_antigen.get(antigen)
        if known is None:
            serology = self.names.nomenclature.serology
            covered = frozenset([antigen, *serology.splits(antigen)])
            known = self._near_antigen[antigen] = covered, covered | set(serology.matching(antigen))
        covered, near = known
        if kind.antigens and kind.antigens <= covered:
            return True
        return None if near & (kind.antigens | kind.possible) else False

    def _call(self, beads: Sequence[ReadBead], places: Places) -> Call:
        at = _Sorted(beads, places)
        for near, basis in ((Near.ALLELE, Basis.ALLELE), (Near.DOMAIN, Basis.DOMAIN)):
            if at[near]:
                return _decided(at[near], basis)
        # That an antibody to a public epitope is absent says nothing of the other epitopes.
        named = [b for b in at[Near.ANTIGEN] if b.target.antigen not in (BW4, BW6)]
        epitopes = [b for b in at[Near.ANTIGEN] if b not in named]
        if positive := _positive(named + epitopes):
            return _sure(Answer.POSITIVE, Basis.ANTIGEN, positive)
        if positive := _positive(at[Near.NEIGHBOUR]):
            return _sure(Answer.POSITIVE, Basis.NEIGHBOUR, positive)
        if possible := _positive(at[Near.POSSIBLE]):
            return _call(Answer.NOT_ASSESSABLE, Answer.POSITIVE, Basis.POSSIBLE, possible)
        if named:
            return _decided(named, Basis.ANTIGEN)
        return _sure(Answer.NOT_ASSESSABLE, Basis.UNTESTED, at[Near.NEIGHBOUR])

    def _pair_call(
        self, beads: Sequence[ReadBead], alpha: Places, beta: Places, joined: bool
    ) -> Call | None:
        together = tuple(max(a, b) for a, b in zip(alpha, beta, strict=True))
        at = _Sorted(beads, together)
        for near, basis in (
            (Near.ALLELE, Basis.ALLELE),
            (Near.DOMAIN, Basis.DOMAIN),
            (Near.ANTIGEN, Basis.ANTIGEN),
        ):
            if at[near]:
                return _decided(at[near], basis)
        if not joined:
            return None
        # Lines that name one chain only, and beads of other pairs with one of the chains.
        if positive := _positive(at[Near.WHOLE]):
            return _sure(Answer.POSITIVE, Basis.CHAIN, positive)
        near_chain: list[ReadBead] = []
        for places in (beta, alpha):
            own = _closest(beads, places)
            near_chain += own
            if own and all(b.result is Answer.POSITIVE for b in own):
                return _sure(Answer.POSITIVE, Basis.CHAIN, own)
        possible = _positive(at[Near.POSSIBLE])
        if possible or _positive(near_chain):
            rest = possible or near_chain
            basis = Basis.POSSIBLE if possible else Basis.CHAIN
            return _call(Answer.NOT_ASSESSABLE, Answer.POSITIVE, basis, rest)
        return _sure(Answer.NOT_ASSESSABLE, Basis.UNTESTED, near_chain + at[Near.WHOLE])


class _Sorted:
    """Beads by how close they are."""

    def __init__(self, beads: Sequence[ReadBead], places: Places) -> None:
        self._found: dict[Near, list[ReadBead]] = {}
        for bead, near in zip(beads, places, strict=True):
            self._found.setdefault(near, []).append(bead)

    def __getitem__(self, near: Near) -> list[ReadBead]:
        return self._found.get(near, [])


def _at(locus: Locus, read: ReadBead) -> Target | None:
    named = (t for t in (read.target, read.partner) if t is not None)
    return next((target for target in named if target.locus in (locus, None)), None)


def _by_name(targets: Sequence[Target | None]) -> Named:
    """How close targets are to proteins by their name or P group alone, by number."""
    found: dict[str | int, list[tuple[int, Near]]] = {}
    for i, target in enumerate(targets):
        if target is not None:
            for name in target.proteins:
                found.setdefault(name, []).append((i, Near.ANTIGEN))
            if (bead := target.protein) is not None:
                found.setdefault(bead.name, []).append((i, Near.ALLELE))
                if bead.group != NO_P_GROUP:
                    found.setdefault(bead.group, []).append((i, Near.DOMAIN))
    return found


def joins(alpha: Protein, beta: Protein) -> bool:
    """Whether two chains form a stable pair (see `Kind`). All pairs of DP do."""
    return alpha.kind.joins_05_06 == beta.kind.joins_05_06


def _closest(beads: Sequence[ReadBead], places: Places) -> list[ReadBead]:
    """Beads that hold a chain, or else its neighbours."""
    found = list(zip(beads, places, strict=True))
    same = [read for read, near in found if near <= Near.ANTIGEN]
    return same or [read for read, near in found if near is Near.NEIGHBOUR]


def _positive(beads: Sequence[ReadBead]) -> list[ReadBead]:
    return [read for read in beads if read.result is Answer.POSITIVE]


def _decided(beads: Sequence[ReadBead], basis: Basis) -> Call:
    """By beads that are as close: a positive one counts, whatever others of them say."""
    answers = {read.result for read in beads}
    for answer in (Answer.POSITIVE, Answer.NOT_ASSESSABLE):
        if answer in answers:
            return _sure(answer, basis, beads)
    return _sure(Answer.NEGATIVE, basis, beads)


def _sure(answer: Answer, basis: Basis, beads: Sequence[ReadBead]) -> Call:
    return _call(answer, answer, basis, beads)


def _call(low: Answer, high: Answer, basis: Basis, beads: Sequence[ReadBead]) -> Call:
    ordered = sorted(beads, key=lambda read: (-read.result, -(read.bead.mfi or 0.0), read.bead.row))
    return Call(low, high, basis, tuple(read.bead for read in ordered))
