"""Which haplotypes of the founders each member of a family may carry.

A founder is a member without named parents, or the unnamed parent of one member. Each founder has
two haplotypes, and every other chromosome of the family is one of these, or at a recombination two
of them in parts. Members are added one after the other, parents before children. What the members
so far say of the founders' alleles is a state: at each locus independent factors, each a set of
possible classes of some founder haplotypes together. Ways that lead to the same state, and agree in
the members that are asked for or still have children, go on as one: exact as listing every way
(tests/oracles/family.py), without the number of ways.

A typing in phase says at several loci together which alleles lie on one chromosome: the union, over
both orders of the chromosomes and the genotypes of a list, of what is independent locus by locus.
What two of these have in common is counted twice, so it goes on as a way of its own that counts
less than nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from matching.errors import TooAmbiguousError
from matching.family.alleles import FamilyLocus, Pairs
from matching.family.pedigree import Pedigree

# The founder haplotype at each locus of a chromosome.
Chromosome = tuple[int, ...]
# A member's chromosomes, the paternal one first.
Chromosomes = tuple[Chromosome, Chromosome]
# Founder haplotypes, ascending, and their possible classes together.
Factor = tuple[tuple[int, ...], frozenset[tuple[int, ...]]]
State = frozenset[Factor]
# How often it counts, and the pairs that a phased typing admits at each of its loci.
Phased = tuple[int, Mapping[int, Pairs]]
ROLES = ("father", "mother")
MAX_WAYS = 5_000
MAX_PHASED = 64


@dataclass(frozen=True, order=True, slots=True)
class Crossing:
    """A recombination in what `parent` (father or mother) passed on to `child`: the haplotype
    changes before the locus at position `before` of the family's loci."""

    child: str
    parent: str
    before: int


@dataclass(frozen=True, slots=True)
class Ways:
    """Ways of transmission that agree in the members asked for and in all alleles.

    `states`: number of the state at each locus. `count`: how many ways, below 0 for what others
    count twice. `chromosomes`: of each
    member in `Segregation.order`, of one of the ways; those asked for are the same in all.
    """

    states: tuple[int, ...]
    count: int
    chromosomes: tuple[Chromosomes, ...]
    crossings: tuple[Crossing, ...]


class Segregation:
    """A family and its typings at some loci, in the order of the chromosome.

    `founders`: owner of the two haplotypes 2 k and 2 k + 1, a member or "unknown mother of X".
    `between`: called between parts of the work; what it raises ends it.
    """

    def __init__(
        self,
        pedigree: Pedigree,
        patient: str,
        loci: Sequence[FamilyLocus],
        between: Callable[[], object] = lambda: None,
    ) -> None:
        self.pedigree, self.patient, self.loci = pedigree, patient, tuple(loci)
        self.between = between
        self.order = pedigree.order(patient)
        self.place = {name: i for i, name in enumerate(self.order)}
        self.founders: list[str] = []
        self._own: dict[tuple[str, str], Chromosomes] = {}
        for name in self.order:
            missing = [
                role
                for role, parent in zip(ROLES, pedigree.members[name].parents, strict=True)
                if not parent
            ]
            if len(missing) == 2:
                self._own[name, ""] = self._founder(name)
            elif missing:
                self._own[name, missing[0]] = self._founder(f"unknown {missing[0]} of {name}")
        # The first child of a founder has the founder's first haplotype: they are named so.
        self._first = {
            parent: child
            for child in reversed(self.order)
            for parent in pedigree.members[child].parents
            if (parent, "") in self._own
        }
        self._last_child = {
            parent: self.place[child]
            for child in self.order
            for parent in pedigree.members[child].parents
        }
        self._phased = {name: self._phased_of(name) for name in self.order}
        self.states: list[State] = [frozenset()]
        self._numbers: dict[State, int] = {frozenset(): 0}
        self._known: dict[tuple[int, int, str, int, int, int], int | None] = {}
        self._ways: dict[tuple[frozenset[str], int], tuple[Ways, ...]] = {}

    def _founder(self, owner: str) -> Chromosomes:
        self.founders.append(owner)
        number = 2 * len(self.founders)
        first, second = ((number - i,) * len(self.loci) for i in (2, 1))
        return first, second

    def _phased_of(self, name: str) -> Sequence[Phased]:
        """What the phase of a typing says: one that says nothing where there is none."""
        found: list[Phased] = [(1, {})]
        typing = self.pedigree.members[name].typing
        place = {one.locus: i for i, one in enumerate(self.loci) if name in one.admitted}
        for block in () if typing is None else typing.phase:
            columns = [place[locus] for locus in block if locus in place]
            if len(columns) < 2:
                continue
            own = _union(zip(*(self.loci[i].ordered(name) for i in columns), strict=True))
            found = [
                (times * count, {**before, **dict(zip(columns, admitted, strict=True))})
                for times, before in found
                for admitted, count in own.items()
            ]
            if len(found) > MAX_PHASED:
                raise TooAmbiguousError(
                    f"the genotypes in phase of {name} overlap in too many ways; type the person "
                    "more exactly, or write the loci without phase"
                )
        return found

    def ways(self, asked: frozenset[str], n_crossings: int = 0) -> tuple[Ways, ...]:
        """All ways of transmission with `n_crossings` recombinations that the typings admit.

        `asked`: members whose chromosomes are told apart. Raises `TooAmbiguousError`.
        """
        known = self._ways.get((asked, n_crossings))
        if known is None:
            known = self._ways[asked, n_crossings] = self._all_ways(asked, n_crossings)
        return known

    def _all_ways(self, asked: frozenset[str], n_crossings: int) -> tuple[Ways, ...]:
        found: dict[tuple[object, ...], Ways] = {(): Ways((0,) * len(self.loci), 1, (), ())}
        for place, name in enumerate(self.order):
            told = [
                i
                for i, other in enumerate(self.order[: place + 1])
                if other in asked or self._last_child.get(other, 0) > place
            ]
            merged: dict[tuple[object, ...], Ways] = {}
            for ways in found.values():
                self.between()
                inherited = self._inherited(name, ways, n_crossings)
                for (pair, crossings), phased in product(inherited, range(len(self._phased[name]))):
                    states = self._with(name, ways.states, pair, phased)
                    if states is None:
                        continue
                    chromosomes = (*ways.chromosomes, pair)
                    key = (states, tuple(chromosomes[i] for i in told), crossings)
                    same = merged.get(key)
                    count = ways.count * self._phased[name][phased][0]
                    count += same.count if same else 0
                    merged[key] = Ways(states, count, chromosomes, crossings)
            if len(merged) > MAX_WAYS:
                raise TooAmbiguousError(
                    f"the family can have segregated in more than {MAX_WAYS:,} ways that "
                    f"differ, counted up to {name}; type parents or children more exactly, or "
                    "leave out distant relatives"
                )
            found = {key: ways for key, ways in merged.items() if ways.count}
        return tuple(w for w in found.values() if len(w.crossings) == n_crossings)

    def _inherited(
        self, name: str, ways: Ways, n_crossings: int
    ) -> Iterator[tuple[Chromosomes, tuple[Crossing, ...]]]:
        if (name, "") in self._own:
            yield self._own[name, ""], ways.crossings
            return
        parents = self.pedigree.members[name].parents
        may_cross = len(ways.crossings) < n_crossings
        gametes = [
            self._gametes(name, role, parent, ways, may_cross)
            for role, parent in zip(ROLES, parents, strict=True)
        ]
        for (paternal, one), (maternal, other) in product(*gametes):
            crossings = (*ways.crossings, *one, *other)
            if len(crossings) <= n_crossings:
                yield (paternal, maternal), crossings

    def _gametes(
        self, child: str, role: str, parent: str, ways: Ways, may_cross: bool
    ) -> list[tuple[Chromosome, tuple[Crossing, ...]]]:
        if not parent:
            return [(self._own[child, role][0], ())]
        pair = ways.chromosomes[self.place[parent]]
        sides = [pair] if self._first.get(parent) == child else [pair, pair[::-1]]
        whole: list[tuple[Chromosome, tuple[Crossing, ...]]] = [(one, ()) for one, _ in sides]
        if not may_cross:
            return whole
        return whole + [
            (one[:cut] + other[cut:], (Crossing(child, role, cut),))
            for one, other in sides
            for cut in range(1, len(self.loci))
        ]

    def _with(
        self, name: str, states: tuple[int, ...], pair: Chromosomes, phased: int
    ) -> tuple[int, ...] | None:
        """The states with what a member's typing says; None where it cannot be."""
        found = []
        in_phase = self._phased[name][phased][1]
        for i, (locus, state, first, second) in enumerate(
            zip(self.loci, states, *pair, strict=True)
        ):
            if name not in locus.admitted:
                found.append(state)
                continue
            key = (i, state, name, first, second, phased if i in in_phase else -1)
            if key not in self._known:
                admitted = in_phase.get(i, locus.admitted[name])
                after = constrained(self.states[state], admitted, first, second)
                self._known[key] = None if after is None else self._number(after)
            number = self._known[key]
            if number is None:
                return None
            found.append(number)
        return tuple(found)

    def _number(self, state: State) -> int:
        number = self._numbers.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
        return number


def _union(parts: Iterable[tuple[Pairs, ...]]) -> dict[tuple[Pairs, ...], int]:
    """A union of sets, each a product over loci, as products and how often each counts: what
    several have in common counts once."""
    found: dict[tuple[Pairs, ...], int] = {}
    for part in parts:
        with_part: defaultdict[tuple[Pairs, ...], int] = defaultdict(int, found)
        with_part[part] += 1
        for other, count in found.items():
            common = tuple(one & two for one, two in zip(part, other, strict=True))
            if all(common):
                with_part[common] -= count
        found = {one: count for one, count in with_part.items() if count}
        if len(found) > MAX_PHASED:
            break
    return found


def constrained(state: State, admitted: Pairs, first: int, second: int) -> State | None:
    """A state where two founder haplotypes, or one twice, carry one of the admitted pairs."""
    touched = [factor for factor in state if first in factor[0] or second in factor[0]]
    haplotypes = sorted({first, second}.union(*(owners for owners, _ in touched)))
    found: set[tuple[int, ...]] = set()
    for rows in product(*(rows for _, rows in touched)):
        carried = {
            owner: number
            for (owners, _), row in zip(touched, rows, strict=True)
            for owner, number in zip(owners, row, strict=True)
        }
        if first in carried and second in carried:
            if (carried[first], carried[second]) in admitted:
                found.add(tuple(carried[haplotype] for haplotype in haplotypes))
            continue
        for one, other in admitted:
            if first == second and one != other:
                continue
            if carried.get(first, one) == one and carried.get(second, other) == other:
                with_both = {**carried, first: one, second: other}
                found.add(tuple(with_both[haplotype] for haplotype in haplotypes))
    return state.difference(touched).union(_split(haplotypes, found)) if found else None


def _split(haplotypes: Sequence[int], rows: set[tuple[int, ...]]) -> Iterator[Factor]:
    """Haplotypes of one possible class stand by themselves."""
    fixed = {i for i in range(len(haplotypes)) if len({row[i] for row in rows}) == 1}
    for i in fixed:
        yield (haplotypes[i],), frozenset({(next(iter(rows))[i],)})
    left = [i for i in range(len(haplotypes)) if i not in fixed]
    if left:
        yield (
            tuple(haplotypes[i] for i in left),
            frozenset(tuple(row[i] for i in left) for row in rows),
        )
