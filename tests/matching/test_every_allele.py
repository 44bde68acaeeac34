"""Every allele of two releases through parsing and comparison, and what must not change a match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random

import numpy as np
import pytest

from matching.errors import TypingSyntaxError
from matching.genotypes import Book, LocusGenotype, encode, encode_locus
from matching.kernels import (
    COUNT_BEST,
    COUNT_WORST,
    DONOR_1,
    GVH_BEST,
    GVH_WORST,
    HVG_BEST,
    HVG_WORST,
)
from matching.loci import LOCI, LOCUS_OF_GENE, Locus
from matching.nomenclature import Nomenclature
from matching.reduction import Level, reduce_gl, reduce_name
from matching.search import compare_locus
from matching.typings import Form, parse_locus, parse_position, parse_typing

N_PAIRS = 1000
_SWAPPED = [COUNT_BEST, COUNT_WORST, HVG_BEST, HVG_WORST, GVH_BEST, GVH_WORST]
_COUNTS = [COUNT_BEST, COUNT_WORST, GVH_BEST, GVH_WORST, HVG_BEST, HVG_WORST]


@pytest.fixture(params=["3.33.0", "3.58.0"])
def release(request: pytest.FixtureRequest, nomenclatures: dict[str, Nomenclature]) -> Nomenclature:
    if request.param not in nomenclatures:
        pytest.skip(f"no files of release {request.param}")
    return nomenclatures[request.param]


def names_of(release: Nomenclature) -> dict[Locus, list[str]]:
    """Every allele of a matched locus."""
    found: dict[Locus, list[str]] = {locus: [] for locus in LOCI}
    for row in release.alleles:
        locus = LOCUS_OF_GENE.get(row.name.partition("*")[0])
        if locus is not None:
            found[locus].append(row.name)
    return found


def read(locus: Locus, text: str, release: Nomenclature) -> LocusGenotype:
    typing = parse_locus(locus, text)
    assert typing is not None
    return encode_locus(locus, typing, release)[0]


def compared(patient: LocusGenotype, donor: LocusGenotype) -> list[int]:
    return [int(value) for value in compare_locus(patient, Book.of([donor]), np.array([1]))[0]]


def test_every_allele_is_parsed_as_itself(release: Nomenclature) -> None:
    n_matched = 0
    for row in release.alleles:
        gene = row.name.partition("*")[0]
        locus = LOCUS_OF_GENE.get(gene)
        if locus is None:
            with pytest.raises(TypingSyntaxError, match=r"no locus"):
                parse_typing(f"{row.name}+{row.name}")
            continue
        n_matched += 1
        position = parse_position(locus.value, row.name)
        assert (position.form, position.names) == (Form.ALLELE, (row.name,))
        assert parse_position(locus.value, f"HLA-{row.name}") == position
        if locus is not Locus.DRB345:
            assert parse_position(locus.value, row.name.partition("*")[2]) == position
        text = f"{row.name}+{row.name}"
        typing = parse_typing(text)
        assert typing.text == text and parse_typing(typing.text) == typing
    assert n_matched > 0.9 * len(release.alleles)


def test_every_allele_matches_itself(release: Nomenclature) -> None:
    """Two copies of a null present nothing, so they match nobody and nobody lacks anything."""
    for locus, names in names_of(release).items():
        for name in names:
            genotype = read(locus, f"{name}+{name}", release)
            p_group = release.alleles[release.by_name[name]].p_group
            assert (p_group is None) == name.endswith("N")
            count = 0 if p_group is None else 2
            row = compared(genotype, genotype)
            assert [row[column] for column in _COUNTS] == [count, count, 0, 0, 0, 0], name


def test_every_null_stands_for_its_partner(release: Nomenclature) -> None:
    for locus, names in names_of(release).items():
        partner = next(name for name in names if not name.endswith("N"))
        homozygous = read(locus, f"{partner}+{partner}", release)
        for null in (name for name in names if name.endswith("N")):
            row = compared(read(locus, f"{null}+{partner}", release), homozygous)
            assert [row[column] for column in _COUNTS] == [2, 2, 0, 0, 0, 0], null


class People:
    """Random typings of one locus over the real names of a release."""

    def __init__(self, release: Nomenclature, seed: int) -> None:
        self.release, self.draw, self.names = release, Random(seed), names_of(release)
        self.nulls = {
            locus: [name for name in names if name.endswith("N")]
            for locus, names in self.names.items()
        }
        # People who share nothing tell little, so most names come from a few.
        self.common = {locus: self.draw.sample(names, 6) for locus, names in self.names.items()}

    def allele(self, locus: Locus) -> str:
        names = self.draw.choice((self.common, self.common, self.common, self.names))[locus]
        return self.draw.choice(names)

    def expressed(self, locus: Locus) -> str:
        return next(name for name in iter(lambda: self.allele(locus), "") if name[-1] != "N")

    def position(self, locus: Locus) -> list[str]:
        """The names of a position: one, a few, a null, a first field, or no gene."""
        kind = self.draw.random()
        if locus is Locus.DRB345 and kind < 0.3:
            return ["DRBX*NNNN"]
        if kind < 0.5:
            return [self.allele(locus)]
        if kind < 0.6 and self.nulls[locus]:
            return [self.draw.choice(self.nulls[locus])]
        if kind < 0.65:
            return [f"{self.allele(locus).partition(':')[0]}:XX"]
        return [self.expressed(locus) for _ in range(self.draw.randrange(2, 5))]

    def genotype(self, locus: Locus) -> tuple[list[str], list[str]]:
        return self.position(locus), self.position(locus)

    def typed(self, locus: Locus, *genotypes: tuple[list[str], list[str]]) -> LocusGenotype:
        text = "|".join(f"{'/'.join(first)}+{'/'.join(second)}" for first, second in genotypes)
        return read(locus, text, self.release)


@pytest.mark.parametrize("locus", LOCI)
def test_swapping_two_people_swaps_the_directions(release: Nomenclature, locus: Locus) -> None:
    people = People(release, seed=locus.position)
    seen = set()
    for _ in range(N_PAIRS):
        patient, donor = (
            people.typed(locus, *(people.genotype(locus) for _ in range(n)))
            for n in people.draw.choices((1, 1, 1, 2), k=2)
        )
        there, back = compared(patient, donor), compared(donor, patient)
        assert [there[column] for column in _COUNTS] == [back[column] for column in _SWAPPED]
        assert there[COUNT_WORST] <= there[COUNT_BEST] <= 2
        assert there[GVH_BEST] <= there[GVH_WORST] and there[HVG_BEST] <= there[HVG_WORST]
        seen.add((there[COUNT_BEST], there[GVH_BEST], there[HVG_BEST]))
    # All counts came up, and pairs whose directions differ.
    assert {count for count, _, _ in seen} == {0, 1, 2}
    assert any(gvh != hvg for _, gvh, hvg in seen)


@pytest.mark.parametrize("locus", LOCI)
def test_order_changes_no_match(nomenclature: Nomenclature, locus: Locus) -> None:
    people = People(nomenclature, seed=100 + locus.position)
    shuffled = people.draw.sample
    for _ in range(N_PAIRS // 2):
        patient, donor = people.genotype(locus), people.genotype(locus)
        row = compared(people.typed(locus, patient), people.typed(locus, donor))
        p1, p2, d1, d2 = (shuffled(names, len(names)) for names in (*patient, *donor))
        assert compared(people.typed(locus, (p1, p2)), people.typed(locus, (d1, d2))) == row
        # Of two positions that do equally well, which is named depends on the order.
        for turned in (((p2, p1), (d1, d2)), ((p1, p2), (d2, d1)), ((p2, p1), (d2, d1))):
            again = compared(*(people.typed(locus, genotype) for genotype in turned))
            assert again[:DONOR_1] == row[:DONOR_1]
            assert sorted(again[DONOR_1:]) == sorted(row[DONOR_1:])


def test_the_order_of_loci_changes_nothing(nomenclature: Nomenclature) -> None:
    people = People(nomenclature, seed=5)
    for _ in range(200):
        parts = [
            "+".join("/".join(names) for names in people.genotype(locus))
            for locus in people.draw.sample(LOCI, 4)
        ]
        text, turned = "^".join(parts), "^".join(reversed(parts))
        assert parse_typing(turned) == parse_typing(text)


@pytest.mark.parametrize("locus", LOCI)
def test_another_alternative_never_narrows(nomenclature: Nomenclature, locus: Locus) -> None:
    """Of expressed alleles: beside one, a null of the same position is dropped (R4)."""
    people = People(nomenclature, seed=200 + locus.position)
    widened = 0
    for i in range(N_PAIRS):
        first = [people.expressed(locus)]
        second = people.position(locus)
        donor = people.typed(locus, people.genotype(locus))
        row = compared(people.typed(locus, (first, second)), donor)
        if i % 2:
            more = people.typed(locus, ([*first, people.expressed(locus)], second))
        else:
            more = people.typed(locus, (first, second), people.genotype(locus))
        wider = compared(more, donor)
        for best, worst, sign in (
            (COUNT_BEST, COUNT_WORST, 1),
            (GVH_BEST, GVH_WORST, -1),
            (HVG_BEST, HVG_WORST, -1),
        ):
            assert sign * wider[best] >= sign * row[best]
            assert sign * wider[worst] <= sign * row[worst]
        widened += wider[:DONOR_1] != row[:DONOR_1]
    assert widened > N_PAIRS // 20


def test_a_name_and_its_alleles_are_the_same_typing(
    nomenclature: Nomenclature, codes: Mapping[str, tuple[str, ...]]
) -> None:
    """Replaced by its full names (level W), every form presents the same P groups."""
    release = replace(nomenclature, codes=codes)
    forms = ["A*02:DEF", "A*01:ABC", "A9", "DR52", "Cw3", "DQ7", "A*10:XX", "A*02:01g", "B*0702"]
    reduced = (
        reduce_name(row.name, level, release)[0]
        for row in Random(1).sample(release.alleles, 200)
        for level in (Level.G, Level.P, Level.U2, Level.LGX, Level.EXON)
    )
    forms += sorted(set(reduced))
    forms += sorted(name for name, to in release.deleted.items() if to)
    n_read = 0
    for name in forms:
        if "*" in name and name.partition("*")[0] not in LOCUS_OF_GENE:
            continue
        text = f"{name}+{name}"
        written = encode(parse_typing(text), release)
        expanded = encode(parse_typing(reduce_gl(text, Level.W, release)), release)
        assert written.loci == expanded.loci
        assert expanded.notes == ()
        n_read += 1
    assert n_read > 400
