"""Typings of a family that no transmission of whole haplotypes explains."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from matching.errors import FamilyError
from matching.family.alleles import FamilyLocus
from matching.family.pedigree import Pedigree
from matching.family.segregation import ROLES, Crossing, Segregation
from matching.loci import Locus

MAX_CROSSINGS = 2
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Inconsistency:
    """A locus at which the typings of a family contradict each other.

    `conflicts`: child, role and identifier of each parent who can have passed on nothing that the
    child is typed as. `suspects`: each of whom would, left out alone, end the contradiction.
    """

    locus: Locus
    conflicts: tuple[tuple[str, str, str], ...]
    suspects: tuple[str, ...]

    @property
    def text(self) -> str:
        """What is wrong, in a sentence."""
        if self.conflicts:
            texts = [
                f"{child} has no allele of {role} {parent}"
                for child, role, parent in self.conflicts
            ]
            more = len(texts) - _SHOWN
            what = "; ".join(texts[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
        else:
            what = "no transmission from the parents gives these typings"
        whose = f"; it would agree without the typing of {' or of '.join(self.suspects)}"
        return f"{self.locus.value}: {what}{whose if self.suspects else ''}"


@dataclass(frozen=True, slots=True)
class Recombination:
    """A recombination that the typings ask for, in what `parent` passed on to `child`.

    It lies between `after` and `before`, the nearest loci that show it. `role`: father or mother.
    `probability`: that it is the one, where another explains the typings as well.
    """

    child: str
    role: str
    parent: str
    after: Locus
    before: Locus
    probability: float

    @property
    def text(self) -> str:
        """Who, where and from whom, in a sentence."""
        return (
            f"{self.child} has a recombination of {self.role} {self.parent}'s haplotypes between "
            f"{self.after.value} and {self.before.value}"
        )


def inconsistency(pedigree: Pedigree, patient: str, locus: FamilyLocus) -> Inconsistency | None:
    """What contradicts itself at a locus, None where nothing does."""
    if Segregation(pedigree, patient, [locus]).ways(frozenset()):
        return None
    conflicts = []
    for child, member in pedigree.members.items():
        for role, parent in zip(ROLES, member.parents, strict=True):
            own, theirs = locus.admitted.get(child), locus.admitted.get(parent)
            if own is not None and theirs is not None:
                passed = {number for pair in theirs for number in pair}
                if passed.isdisjoint(number for pair in own for number in pair):
                    conflicts.append((child, role, parent))
    suspects = tuple(
        name
        for name in locus.admitted
        if Segregation(pedigree, patient, [_without(locus, name)]).ways(frozenset())
    )
    return Inconsistency(locus.locus, tuple(conflicts), suspects)


def least_crossings(segregation: Segregation) -> int:
    """The fewest recombinations that explain the family. Raises `FamilyError` where there are more
    than `MAX_CROSSINGS`, naming those without whom there were none."""
    for n in range(MAX_CROSSINGS + 1):
        if segregation.ways(frozenset(), n):
            return n
    pedigree, patient = segregation.pedigree, segregation.patient
    suspects = [
        name
        for name in segregation.order
        if Segregation(
            pedigree, patient, [_without(locus, name) for locus in segregation.loci]
        ).ways(frozenset())
    ]
    whose = (
        f"there were none without the typing of {' or of '.join(suspects)}"
        if suspects
        else "whose typing is at fault is open"
    )
    raise FamilyError(
        f"the typings of the family need more than {MAX_CROSSINGS} recombinations, or two in one "
        f"chromosome; {whose}; check parentage and whether samples were exchanged"
    )


def recombinations(
    segregation: Segregation, crossings: Mapping[tuple[Crossing, ...], float]
) -> tuple[Recombination, ...]:
    """Recombinations from the weights of all sets of crossings, the most probable first."""
    summed: defaultdict[tuple[str, str], float] = defaultdict(float)
    cuts: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    total = sum(crossings.values())
    for together, weight in crossings.items():
        for one in dict.fromkeys((c.child, c.parent) for c in together):
            summed[one] += weight / total
        for crossing in together:
            cuts[crossing.child, crossing.parent].append(crossing.before)
    found = []
    for (child, role), probability in sorted(summed.items(), key=lambda one: (-one[1], one[0])):
        member = segregation.pedigree.members[child]
        parent = member.father if role == "father" else member.mother
        places = cuts[child, role]
        loci = segregation.loci
        after, before = loci[min(places) - 1].locus, loci[max(places)].locus
        found.append(Recombination(child, role, parent, after, before, probability))
    return tuple(found)


def refuse_many(found: Sequence[Inconsistency]) -> None:
    """Raises `FamilyError` where the typings contradict each other at more than one locus."""
    if len(found) > 1:
        raise FamilyError(
            f"the typings contradict each other at {len(found)} loci ("
            f"{'. '.join(fault.text for fault in found)}); check parentage and "
            "whether samples were exchanged, and correct or blank what is wrong"
        )


def _without(locus: FamilyLocus, name: str) -> FamilyLocus:
    return replace(locus, admitted={n: p for n, p in locus.admitted.items() if n != name})
