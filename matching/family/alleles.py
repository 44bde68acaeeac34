"""What written positions admit at one locus of a family, and the classes of alleles that are the
same to all of them.

What segregates is what is matched: P groups (rule R1), and besides them each null allele as itself,
the absent gene of DRB3/4/5 and the allele without a name. Alleles that the same written positions
of the family admit cannot be told apart by it, so they are one class.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product

from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.typings import ABSENT_GENE, Form, LocusTyping, Position

# An allele is a P group by its name, a null allele by its own, `ABSENT_GENE`, `A*NEW` for one
# without a name, or this: whatever no typing of the family admits.
OTHER = "other"
Pairs = frozenset[tuple[int, int]]
# The alleles of every name of a position; None where the position is untyped and may be any.
Readings = Mapping[Position, Mapping[str, frozenset[str]] | None]


@dataclass(frozen=True)
class FamilyLocus:
    """One locus of a family.

    `classes`: the alleles of each class, sorted; the last class is `OTHER`. `typings`: of those who
    are typed here. `admitted`: the ordered pairs of classes that their two chromosomes may carry.
    `readings`: what their positions admit.
    """

    locus: Locus
    classes: tuple[tuple[str, ...], ...]
    typings: Mapping[str, LocusTyping]
    admitted: Mapping[str, Pairs]
    readings: Readings

    @classmethod
    def of(
        cls, locus: Locus, typings: Mapping[str, LocusTyping], nomenclature: Nomenclature
    ) -> FamilyLocus:
        """The typings of a locus by person. Raises `TypingError`."""
        readings = _read(
            chain.from_iterable(
                chain.from_iterable(typing.alternatives) for typing in typings.values()
            ),
            nomenclature,
        )
        # Of every allele one bit for each position that admits it.
        signatures: defaultdict[str, int] = defaultdict(int)
        for number, names in enumerate(readings.values()):
            for allele in _alleles(names):
                signatures[allele] |= 1 << number
        by_signature: defaultdict[int, list[str]] = defaultdict(list)
        for allele in sorted(signatures):
            by_signature[signatures[allele]].append(allele)
        classes = (*sorted(map(tuple, by_signature.values())), (OTHER,))
        admitted: dict[str, Pairs] = {}
        found = cls(locus, classes, typings, admitted, readings)
        admitted.update((name, found._pairs(typing)) for name, typing in typings.items())
        return found

    @cached_property
    def class_of(self) -> Mapping[str, int]:
        """The class of every allele that a typing of the family admits."""
        return {allele: i for i, alleles in enumerate(self.classes) for allele in alleles}

    @cached_property
    def shares(self) -> tuple[float, ...]:
        """Probability of each class where every allele that the family's typings admit, and any
        other one, are equally likely."""
        n = sum(map(len, self.classes))
        return tuple(len(alleles) / n for alleles in self.classes)

    def is_single(self, number: int) -> bool:
        """Whether a class is one known allele, or the absent gene, so that two of it match."""
        alleles = self.classes[number]
        if len(alleles) > 1 or alleles[0] == OTHER or alleles[0].endswith("*NEW"):
            return False
        return alleles[0] == ABSENT_GENE or not self.is_silent(number)

    def is_silent(self, number: int) -> bool:
        """Whether a class expresses nothing: nulls, or the absent gene."""
        return all(allele.endswith("N") for allele in self.classes[number])

    def text(self, number: int) -> str:
        """A class in words: its alleles without the gene, at most three of them."""
        names = [name.removeprefix(f"{self.locus.value}*") for name in self.classes[number]]
        return "/".join(names[:3]) + (f"/... ({len(names)})" if len(names) > 3 else "")

    def reduced(self, name: str, kept: Iterable[tuple[int, int]]) -> str:
        """The typing of a person reduced to pairs of classes, as GL string text.

        Of a string the names that are left; of a code or a shorter name that is left in part, its P
        groups and nulls.
        """
        either_way = {pair for one in kept for pair in (one, one[::-1])}
        found: dict[str, None] = {}
        for first, second in self.typings[name].alternatives:
            by_partners: defaultdict[frozenset[int], set[int]] = defaultdict(set)
            for i in self._classes(first):
                partners = frozenset(j for j in self._classes(second) if (i, j) in either_way)
                by_partners[partners].add(i)
            for partners, classes in sorted(by_partners.items(), key=lambda one: min(one[1])):
                if partners:
                    found[f"{self._part(first, classes)}+{self._part(second, partners)}"] = None
        return "|".join(found)

    def _part(self, position: Position, classes: Iterable[int]) -> str:
        kept = set(chain.from_iterable(self.classes[i] for i in classes))
        names = self.readings[position]
        alleles = _alleles(names)
        if alleles <= kept and (names is not None or OTHER in kept):
            return position.text
        if names is None:
            return "/".join(sorted(kept))
        if len(names) > 1:
            return "/".join(name for name, of_name in names.items() if of_name & kept)
        return "/".join(sorted(alleles & kept))

    def ordered(self, name: str) -> list[Pairs]:
        """The pairs of each genotype of a person's list as written, and after it turned round."""
        found = []
        for first, second in self.typings[name].alternatives:
            pairs = product(self._classes(first), self._classes(second))
            straight = frozenset(pairs)
            found += [straight, frozenset((j, i) for i, j in straight)]
        return found

    def _pairs(self, typing: LocusTyping) -> Pairs:
        found: set[tuple[int, int]] = set()
        for first, second in typing.alternatives:
            for i in self._classes(first):
                for j in self._classes(second):
                    found |= {(i, j), (j, i)}
        return frozenset(found)

    def _classes(self, position: Position) -> frozenset[int]:
        names = self.readings[position]
        if names is None:
            return frozenset(range(len(self.classes)))
        return frozenset(self.class_of[allele] for allele in _alleles(names))


def _alleles(names: Mapping[str, frozenset[str]] | None) -> frozenset[str]:
    return frozenset() if names is None else frozenset().union(*names.values())


def _read(positions: Iterable[Position], nomenclature: Nomenclature) -> Readings:
    """What every position admits.

    Nulls inside a string, group or shorter name are dropped unless nothing else is left (R4), or
    a relative is typed as carrying this very null.
    """
    found: dict[Position, Mapping[str, frozenset[str]] | None] = {}
    rows: dict[Position, dict[str, tuple[int, ...]]] = {}
    for position in dict.fromkeys(positions):
        if position.form is Form.UNTYPED:
            found[position] = None
        elif position.form in (Form.NEW, Form.ABSENT):
            found[position] = {position.text: frozenset({position.text})}
        else:
            rows[position] = {name: nomenclature.read(name).alleles for name in position.names}
    expressing = {
        position: set(nomenclature.expressing(tuple(chain.from_iterable(names.values()))))
        for position, names in rows.items()
    }
    carried = {
        row
        for kept in expressing.values()
        if all(nomenclature.alleles[row].p_group is None for row in kept)
        for row in kept
    }
    for position, names in rows.items():
        kept = expressing[position] | carried
        found[position] = {
            name: frozenset(
                nomenclature.alleles[row].p_group or nomenclature.alleles[row].name
                for row in of_name
                if row in kept
            )
            for name, of_name in names.items()
        }
    return found
