"""A family and its patient -> haplotypes, refined typings, and what each relative is as a donor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import chain, product
from math import exp, inf

from matching.errors import FamilyError
from matching.family.alleles import FamilyLocus
from matching.family.comparison import (
    class_of,
    independent,
    match_count,
    most_mismatches,
    n_shared,
)
from matching.family.faults import (
    Inconsistency,
    inconsistency,
    least_crossings,
    recombinations,
    refuse_many,
)
from matching.family.pedigree import Pedigree
from matching.family.segregation import Chromosome, Chromosomes, Crossing, Segregation, Ways
from matching.family.values import (
    FamilyAnalysis,
    RefinedLocus,
    Relative,
    RelativeClass,
    Weighting,
)
from matching.family.weights import (
    UNKNOWN,
    FounderFrequencies,
    HaplotypeFrequencies,
    Weights,
)
from matching.loci import LOCI, Locus
from matching.nomenclature import Nomenclature


def analyse(
    pedigree: Pedigree,
    patient: str,
    nomenclature: Nomenclature,
    compared: Sequence[Locus],
    frequencies: FounderFrequencies | None = None,
    between: Callable[[], object] = lambda: None,
) -> FamilyAnalysis:
    """Segregate a family's haplotypes and class its members with respect to `patient`.

    `compared`: loci that classes and mismatches run over, as far as anyone is typed there.
    `frequencies`: in place of equal weights; where they explain no way at all, equal weights stand
    and a note says so. `between`: called between parts of the work; what it raises ends it.
    Raises `FamilyError`, `TypingError` and `TooAmbiguousError`.
    """
    related = pedigree.relatives(patient)
    typed = _typed_loci(related, nomenclature)
    if not typed:
        raise FamilyError("no member is typed; fill in a typing of at least one")
    set_aside = tuple(
        fault for one in typed if (fault := inconsistency(related, patient, one)) is not None
    )
    refuse_many(set_aside)
    wrong = {fault.locus for fault in set_aside}
    loci = [one for one in typed if one.locus not in wrong]
    if not loci:
        raise FamilyError(f"{set_aside[0].text}; no other locus is typed")
    if not any(one.locus in compared for one in loci):
        names = ", ".join(one.locus.value for one in loci)
        raise FamilyError(f"no compared locus can be used; the family is typed at {names}")
    aside = [one for one in typed if one.locus in wrong and one.locus in compared]
    found = _Analysis(related, pedigree, patient, loci, aside, compared, frequencies, between)
    return found.result(set_aside)


def _typed_loci(pedigree: Pedigree, nomenclature: Nomenclature) -> list[FamilyLocus]:
    found = []
    for locus in LOCI:
        typings = {
            name: typing
            for name, member in pedigree.members.items()
            if member.typing is not None and (typing := member.typing.loci[locus]) is not None
        }
        if typings:
            found.append(FamilyLocus.of(locus, typings, nomenclature))
    return found


class _Analysis:
    def __init__(
        self,
        related: Pedigree,
        everyone: Pedigree,
        patient: str,
        loci: Sequence[FamilyLocus],
        aside: Sequence[FamilyLocus],
        compared: Sequence[Locus],
        frequencies: FounderFrequencies | None,
        between: Callable[[], object],
    ) -> None:
        self.related, self.patient, self.loci, self.aside = related, patient, loci, aside
        self.between = between
        self.segregation = Segregation(related, patient, loci, between)
        self.n_crossings = least_crossings(self.segregation)
        self.columns = [i for i, one in enumerate(loci) if one.locus in compared]
        self.compared = sorted(
            [*(loci[i] for i in self.columns), *aside], key=lambda one: one.locus.position
        )
        self.notes = [
            f"{name} is not related to the patient and left out"
            for name in everyone.members
            if name not in related.members
        ]
        self.weights = Weights(self.segregation, None)
        self.weighting = Weighting.EQUAL
        if frequencies is not None:
            under = HaplotypeFrequencies(frequencies, loci)
            weights = Weights(self.segregation, under)
            ways = self.segregation.ways(frozenset(), self.n_crossings)
            if not under.columns:
                self.notes.append("the frequency set carries no typed locus; equal weights")
            elif any(weights.log_of(one.states) > -inf for one in ways):
                self.weights, self.weighting = weights, Weighting.FREQUENCIES
            else:
                self.notes.append(
                    "unrepresented: no haplotypes of the frequency set explain the family; "
                    "equal weights"
                )

    def weighted(self, *asked: str) -> tuple[list[tuple[Ways, float]], list[Ways]]:
        """Ways that differ in the members asked for, with probabilities that sum to 1, and those
        that the frequencies rule out."""
        ways = self.segregation.ways(frozenset(filter(None, asked)), self.n_crossings)
        logs = []
        for one in ways:
            self.between()
            logs.append(self.weights.log_of(one.states))
        # Relative to the likeliest, as the product over a large family would be 0.
        weights = [one.count * exp(w - max(logs)) for one, w in zip(ways, logs, strict=True)]
        total = sum(weights)
        found = [(one, w / total) for one, w in zip(ways, weights, strict=True) if w]
        return found, [one for one, w in zip(ways, weights, strict=True) if not w]

    def result(self, set_aside: tuple[Inconsistency, ...]) -> FamilyAnalysis:
        everyone, _ = self.weighted()
        there = [one for one in everyone if one[0].count > 0]
        best = max(there, key=lambda one: one[1] / one[0].count)[0]
        letters = self._letters(best)
        crossings: defaultdict[tuple[Crossing, ...], float] = defaultdict(float)
        for ways, weight in everyone:
            crossings[ways.crossings] += weight
        mother = self.related.members[self.patient].mother
        relatives = tuple(
            self._relative(name, mother) for name in self.related.members if name != self.patient
        )
        owners = [owner for owner in self.segregation.founders for _ in range(2)]
        return FamilyAnalysis(
            self.related,
            self.patient,
            tuple(one.locus for one in self.loci),
            tuple(one.locus for one in self.compared),
            self.weighting,
            {letters[i]: owners[i] for i in sorted(letters, key=letters.__getitem__)},
            {
                name: (tuple(letters[h] for h in paternal), tuple(letters[h] for h in maternal))
                for name, (paternal, maternal) in zip(
                    self.segregation.order, best.chromosomes, strict=True
                )
            },
            {letter: self._alleles(best, number) for number, letter in letters.items()},
            sum(w / one.count for one, w in everyone if one is best),
            relatives,
            {name: self._refined(name) for name in self.related.members if self._typed(name)},
            recombinations(self.segregation, crossings) if self.n_crossings else (),
            self.n_crossings,
            set_aside,
            tuple(self.notes),
        )

    def _typed(self, name: str) -> bool:
        return any(name in one.admitted for one in self.loci)

    def _letters(self, best: Ways) -> dict[int, str]:
        """Letter of every founder haplotype that a member carries."""
        found: dict[int, str] = {}
        own = best.chromosomes[self.segregation.place[self.patient]]
        parents = self.related.members[self.patient].parents
        for chromosome, parent, letters in zip(own, parents, ("ab", "cd"), strict=True):
            carried = [*chromosome]
            if parent:
                carried += chain.from_iterable(best.chromosomes[self.segregation.place[parent]])
            rest = [number for number in dict.fromkeys(carried) if number not in found]
            found.update(zip(rest, letters, strict=False))
        everyone = chain.from_iterable(best.chromosomes)
        further = [n for n in sorted(set(chain.from_iterable(everyone))) if n not in found]
        found.update((number, _letter(4 + i)) for i, number in enumerate(further))
        return found

    def _alleles(self, ways: Ways, number: int) -> tuple[str, ...]:
        worlds = self.weights.possible(ways.states, [number])
        found = []
        for i, locus in enumerate(self.loci):
            classes: defaultdict[int, float] = defaultdict(float)
            for part in worlds:
                for carried, weight in part:
                    if (i, number) in carried:
                        classes[carried[i, number]] += weight
            likely = sorted(classes.items(), key=lambda one: (-one[1], one[0]))
            texts = [locus.text(one) for one, weight in likely if weight > 0]
            found.append("|".join(texts[:3]) + "|..." * (len(texts) > 3) if texts else "?")
        return tuple(found)

    def _relative(self, name: str, mother: str) -> Relative:
        classes = dict.fromkeys(RelativeClass, 0.0)
        mismatches: defaultdict[int, float] = defaultdict(float)
        of_a = of_c = of_d = 0.0
        at_worst = sum(most_mismatches(one, self.patient, name) for one in self.aside)
        for ways, weight in self.weighted(self.patient, name, mother)[0]:
            self.between()
            ours, theirs = self._chromosomes(ways, self.patient), self._chromosomes(ways, name)
            a, c = (self._whole(one, theirs) for one in ours)
            of_a, of_c = of_a + weight * a, of_c + weight * c
            if mother:
                of_d += weight * self._has_nima(ours, theirs, self._chromosomes(ways, mother))
            shared = [n_shared(ours, theirs, i) for i in self.columns]
            for number, p in self._mismatches(ways, ours, theirs).items():
                mismatches[number + at_worst] += weight * p
                classes[class_of(shared, number + at_worst)] += weight * p
        return Relative(
            name,
            self.related.relationship(self.patient, name),
            classes,
            of_a,
            of_c,
            dict(sorted(mismatches.items())),
            of_d if mother else None,
            tuple(one.locus for one in self.compared if name not in one.admitted),
        )

    def _chromosomes(self, ways: Ways, name: str) -> Chromosomes:
        return ways.chromosomes[self.segregation.place[name]]

    def _whole(self, one: Chromosome, theirs: Chromosomes) -> bool:
        return any(all(one[i] == other[i] for i in self.columns) for other in theirs)

    def _has_nima(self, ours: Chromosomes, theirs: Chromosomes, mothers: Chromosomes) -> bool:
        """Whether one haplotype is shared and the other is what the mother did not pass on."""
        passed = [all(ours[1][i] == one[i] for i in self.columns) for one in mothers]
        if passed.count(True) != 1:
            return False
        kept = mothers[passed.index(False)]
        return any(
            all(one[i] == kept[i] for i in self.columns)
            and any(self._whole(mine, (other, other)) for mine in ours)
            for one, other in (theirs, theirs[::-1])
        )

    def _mismatches(
        self, ways: Ways, ours: Chromosomes, theirs: Chromosomes
    ) -> Mapping[int, float]:
        """Probabilities of each number of mismatches over the compared loci."""
        open_columns = [i for i in self.columns if n_shared(ours, theirs, i) < 2]
        asked = {one[i] for i in open_columns for one in (*ours, *theirs)}
        parts = self.weights.possible(ways.states, asked)
        found: Mapping[int, float] = {0: 1.0}
        for columns, worlds in independent(open_columns, parts):
            of_part: defaultdict[int, float] = defaultdict(float)
            for carried, weight in worlds:
                number = sum(2 - self._match_count(i, ours, theirs, carried) for i in columns)
                of_part[number] += weight
            together: defaultdict[int, float] = defaultdict(float)
            for (m, p), (n, q) in product(found.items(), of_part.items()):
                together[m + n] += p * q
            found = together
        return found

    def _match_count(
        self, i: int, ours: Chromosomes, theirs: Chromosomes, carried: Mapping[tuple[int, int], int]
    ) -> int:
        """Matches at a locus (R2), nulls with their partner's place (R3)."""
        sides = [
            [(one[i], carried.get((i, one[i]), UNKNOWN)) for one in pair] for pair in (ours, theirs)
        ]
        return match_count(self.loci[i], sides[0], sides[1])

    def _refined(self, name: str) -> tuple[RefinedLocus, ...]:
        likely, ruled_out = self.weighted(name)
        columns = [i for i, locus in enumerate(self.loci) if name in locus.admitted]
        weights: list[defaultdict[tuple[int, int], float]] = [defaultdict(float) for _ in self.loci]
        admitted: list[set[tuple[int, int]]] = [set() for _ in self.loci]
        for ways, weight in [*likely, *((one, 0.0) for one in ruled_out)]:
            self.between()
            pairs = list(zip(*self._chromosomes(ways, name), strict=True))
            for i in columns:
                admitted[i] |= self._pairs(ways, i, pairs[i])
            if not weight:
                continue
            parts = self.weights.possible(ways.states, set().union(*(pairs[i] for i in columns)))
            for together, worlds in independent(columns, parts):
                for carried, p in worlds:
                    for i in together:
                        first, second = sorted(carried[i, haplotype] for haplotype in pairs[i])
                        weights[i][first, second] += weight * p
        found = []
        for i in columns:
            locus = self.loci[i]
            likeliest = sorted(weights[i].items(), key=lambda one: (-one[1], one[0]))
            texts = [
                (f"{locus.text(a)}+{locus.text(b)}", weight)
                for (a, b), weight in likeliest
                if weight > 0
            ]
            reduced = locus.reduced(name, admitted[i])
            found.append(RefinedLocus(locus.locus, locus.typings[name].text, reduced, tuple(texts)))
        return tuple(found)

    def _pairs(self, ways: Ways, i: int, pair: Sequence[int]) -> set[tuple[int, int]]:
        """The pairs of classes that two haplotypes may carry, whatever their weights."""
        factors = [
            (owners, rows)
            for owners, rows in self.segregation.states[ways.states[i]]
            if not set(pair).isdisjoint(owners)
        ]
        found = set()
        for rows in product(*(rows for _, rows in factors)):
            carried = {
                owner: number
                for (owners, _), row in zip(factors, rows, strict=True)
                for owner, number in zip(owners, row, strict=True)
            }
            found.add((carried[pair[0]], carried[pair[1]]))
        return found


def _letter(i: int) -> str:
    """a to z, then a1 and so on."""
    return chr(ord("a") + i % 26) + (str(i // 26) if i >= 26 else "")
