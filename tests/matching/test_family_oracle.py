"""Families against the enumeration of every transmission with every set of founder alleles."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.errors import FamilyError
from matching.family import FamilyAnalysis, FounderFrequencies, Member, Pedigree, Weighting, analyse
from matching.haplotypes import FrequencySet
from matching.loci import Locus, PerLocus
from matching.nomenclature import Nomenclature
from matching.typings import Typing, parse_locus
from tests.oracles import family as oracle

ALLELES = {Locus.A: ("A*01:01", "A*02:01"), Locus.B: ("B*07:02", "B*08:01")}
LOCI = tuple(ALLELES)


@st.composite
def people(draw: st.DrawFn) -> list[oracle.Person]:
    """Up to five people of at most three founders; people of true haplotypes, typed vaguely."""
    shapes: list[list[tuple[int | None, int | None]]] = [
        [(None, None), (None, None), (0, 1), (0, 1)],
        [(None, None), (0, None), (0, None)],
        [(None, None), (0, None), (1, None)],
        [(None, None), (None, None), (0, 1), (None, 2)],
        [(None, None), (None, None), (0, 1), (0, 1), (0, 1)],
        [(None, None), (None, None), (0, 1), (0, 2)],
    ]
    shape = draw(st.sampled_from(shapes))
    truth: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    found = []
    for father, mother in shape:
        sides = []
        for parent in (father, mother):
            if parent is None:
                sides.append(tuple(draw(st.sampled_from(ALLELES[locus])) for locus in LOCI))
            else:
                sides.append(truth[parent][draw(st.integers(0, 1))])
        truth.append((sides[0], sides[1]))
        loci: list[oracle.Typed] = []
        is_phased = draw(st.integers(0, 2)) == 0
        n_others = int(draw(st.integers(0, 4)) == 0)
        for i, locus in enumerate(LOCI):
            if draw(st.integers(0, 3)) == 0:
                loci.append(None)
                continue
            pair = [sides[0][i], sides[1][i]]
            if not is_phased and draw(st.booleans()):
                pair.reverse()
            vague = [
                frozenset({name} | draw(st.sets(st.sampled_from(ALLELES[locus]), max_size=1)))
                for name in pair
            ]
            if not is_phased:
                n_others = int(draw(st.integers(0, 4)) == 0)
            genotypes = [(vague[0], vague[1])]
            if n_others:
                other = [draw(st.sampled_from(ALLELES[locus])) for _ in range(2)]
                genotypes.append((frozenset(other[:1]), frozenset(other[1:])))
            loci.append(genotypes)
        found.append(oracle.Person(father, mother, tuple(loci), is_phased and None not in loci))
    return found


FOUR = (
    ("A*01:01", "A*02:01", "A*03:01", "A*24:02"),
    ("B*07:02", "B*08:01", "B*35:01", "B*44:02"),
)


@st.composite
def recombined(draw: st.DrawFn) -> list[oracle.Person]:
    """Parents, mostly of four different haplotypes, and two or three children, typed exactly or
    nearly so; up to two recombinations are drawn."""
    pools = [draw(st.one_of(st.permutations(of), st.permutations((*of[:3], of[0])))) for of in FOUR]
    haplotypes = list(zip(*pools, strict=True))
    truth = [(haplotypes[0], haplotypes[1]), (haplotypes[2], haplotypes[3])]
    n_children = draw(st.integers(2, 3))
    crossing = draw(st.lists(st.integers(0, 2 * n_children - 1), min_size=1, max_size=2))
    for child in range(n_children):
        sides = []
        for side in (0, 1):
            passed, other = draw(st.permutations(truth[side]))
            is_crossed = 2 * child + side in crossing
            sides.append((passed[0], other[1]) if is_crossed else passed)
        truth.append((sides[0], sides[1]))
    found = []
    for number, pair in enumerate(truth):
        father, mother = (None, None) if number < 2 else (0, 1)
        loci: list[oracle.Typed] = []
        is_phased = draw(st.integers(0, 3)) == 0
        for i in range(len(LOCI)):
            kind = draw(st.integers(0, 9))
            if kind == 0:
                loci.append(None)
                continue
            turned = not is_phased and draw(st.booleans())
            sets = [frozenset({pair[turned][i]}), frozenset({pair[not turned][i]})]
            if kind == 1:
                sets[0] |= {draw(st.sampled_from(FOUR[i]))}
            loci.append([(sets[0], sets[1])])
        found.append(oracle.Person(father, mother, tuple(loci), is_phased and None not in loci))
    return found


def written(person: oracle.Person) -> Typing | None:
    loci = {}
    for locus, typed in zip(LOCI, person.loci, strict=True):
        if typed is not None:
            texts = ("/".join(sorted(a)) + "+" + "/".join(sorted(b)) for a, b in typed)
            loci[locus] = parse_locus(locus, "|".join(texts))
    phase = (LOCI,) if person.is_phased else ()
    return Typing(PerLocus.of(loci, None), phase=phase) if loci else None


def pedigree_of(family: list[oracle.Person]) -> Pedigree:
    return Pedigree.of(
        Member(
            f"P{i}",
            "" if person.father is None else f"P{person.father}",
            "" if person.mother is None else f"P{person.mother}",
            typing=written(person),
        )
        for i, person in enumerate(family)
    )


def check(
    family: list[oracle.Person],
    patient: int,
    found: FamilyAnalysis,
    frequencies: dict[tuple[str, ...], float] | None,
) -> None:
    worlds = list(oracle.worlds(family, frequencies, found.n_recombinations))
    total = sum(world.weight for world in worlds)
    typed = [i for i, locus in enumerate(LOCI) if locus in found.loci]
    for relative in found.relatives:
        number = int(relative.id[1:])
        classes: defaultdict[str, float] = defaultdict(float)
        counts: defaultdict[int, float] = defaultdict(float)
        for world in worlds:
            n, shared = oracle.mismatches(family, world, patient, number)
            # Loci that nobody is typed at are not compared, and nobody is known to match there.
            n -= sum(2 - shared[i] for i in range(len(LOCI)) if i not in typed)
            at_typed = [shared[i] for i in typed]
            classes[oracle.class_of(n, at_typed)] += world.weight / total
            counts[n] += world.weight / total
        for one, p in relative.classes.items():
            assert p == pytest.approx(classes[one.value], abs=1e-9)
        for n in set(counts) | set(relative.mismatches):
            assert relative.mismatches.get(n, 0.0) == pytest.approx(counts[n], abs=1e-9)
        ours = [world.chromosomes[patient] for world in worlds]
        for side, p in enumerate((relative.shares_a, relative.shares_c)):
            shared_p = sum(
                world.weight / total
                for world, mine in zip(worlds, ours, strict=True)
                if mine[side] in world.chromosomes[number]
            )
            # A founder's haplotypes have no order, so either may be called a.
            if family[patient].father is not None and family[patient].mother is not None:
                assert p == pytest.approx(shared_p, abs=1e-9)
    for name, loci in found.refined.items():
        for refined in loci:
            genotypes: defaultdict[frozenset[str], float] = defaultdict(float)
            at = LOCI.index(refined.locus)
            for world in worlds:
                pair = world.carried[int(name[1:])][at]
                genotypes[frozenset(allele for _, allele in pair)] += world.weight / total
            assert sum(p for _, p in refined.genotypes) == pytest.approx(1)
            left = parse_locus(refined.locus, refined.text)
            assert left is not None
            kept = {
                frozenset((x, y)) for a, b in left.alternatives for x in a.names for y in b.names
            }
            possible = {pair for pair, p in genotypes.items() if p > 0}
            assert possible <= {frozenset(n.removesuffix("P") for n in pair) for pair in kept}
            if frequencies is None:
                assert possible == {frozenset(n.removesuffix("P") for n in pair) for pair in kept}
            most = max(genotypes.values())
            assert refined.genotypes[0][1] >= most - 1e-9


@given(people(), st.data())
@settings(max_examples=20, deadline=None)
def test_equal_weights_are_all_transmissions_with_all_alleles(
    demo: Nomenclature, family: list[oracle.Person], data: st.DataObject
) -> None:
    patient = data.draw(st.integers(0, len(family) - 1))
    pedigree = pedigree_of(family)
    if not any(member.typing for member in pedigree.members.values()):
        with pytest.raises(FamilyError, match="no member is typed"):
            analyse(pedigree, f"P{patient}", demo, LOCI)
        return
    found = analyse(pedigree, f"P{patient}", demo, LOCI)
    assert found.weighting is Weighting.EQUAL
    check(family, patient, found, None)


HAPLOTYPES: dict[tuple[str, ...], float] = {
    ("A*01:01", "B*08:01"): 0.4,
    ("A*02:01", "B*07:02"): 0.2,
    ("A*02:01", "B*08:01"): 0.1,
    ("A*03:01", "B*07:02"): 0.15,
    ("A*01:01", "B*07:02"): 0.05,
}


@given(recombined(), st.data())
@settings(max_examples=30, deadline=None)
def test_the_fewest_recombinations_are_all_transmissions_with_as_many(
    demo: Nomenclature, family: list[oracle.Person], data: st.DataObject
) -> None:
    """Whose recombination it is has the share of the worlds in which it is."""
    if any(all(person.loci[i] is None for person in family) for i in range(len(LOCI))):
        return
    patient = data.draw(st.integers(0, len(family) - 1))
    n = next((n for n in range(3) if any(oracle.worlds(family, None, n))), None)
    if n is None:
        with pytest.raises(FamilyError, match="more than 2 recombinations"):
            analyse(pedigree_of(family), f"P{patient}", demo, LOCI)
        return
    found = analyse(pedigree_of(family), f"P{patient}", demo, LOCI)
    assert found.n_recombinations == n and not found.set_aside
    check(family, patient, found, None)
    crossed: defaultdict[tuple[str, str], float] = defaultdict(float)
    worlds = list(oracle.worlds(family, None, n))
    for world in worlds:
        for i, person in enumerate(family):
            sides = (("father", person.father), ("mother", person.mother))
            for (role, parent), (first, last) in zip(sides, world.chromosomes[i], strict=True):
                is_own = parent is not None and (first, last) not in world.chromosomes[parent]
                if is_own and first != last:
                    crossed[f"P{i}", role] += world.weight
    total = sum(world.weight for world in worlds)
    stated = {(one.child, one.role): one.probability for one in found.recombinations}
    assert stated == pytest.approx({who: weight / total for who, weight in crossed.items()})


@given(people(), st.data())
@settings(max_examples=20, deadline=None)
def test_frequencies_weigh_founder_haplotypes(
    demo: Nomenclature, family: list[oracle.Person], data: st.DataObject
) -> None:
    patient = data.draw(st.integers(0, len(family) - 1))
    pedigree = pedigree_of(family)
    if not any(member.typing for member in pedigree.members.values()):
        return
    names = tuple(tuple(dict.fromkeys(h[i] for h in HAPLOTYPES)) for i in range(2))
    rows = [[names[i].index(h[i]) for i in range(2)] for h in HAPLOTYPES]
    values = np.array(list(HAPLOTYPES.values()))
    carried = FrequencySet("test", LOCI, names, np.array(rows, dtype=np.int32), values)
    found = analyse(pedigree, f"P{patient}", demo, LOCI, FounderFrequencies(carried, values, demo))
    if found.weighting is Weighting.EQUAL:
        assert any("unrepresented" in note for note in found.notes)
        assert not any(oracle.worlds(family, HAPLOTYPES))
        return
    check(family, patient, found, HAPLOTYPES)
