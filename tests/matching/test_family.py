"""Families: worked examples, faults, refined typings, the order of relatives."""

from __future__ import annotations

import random
from collections.abc import Mapping

import numpy as np
import pytest

from data.frequencies import read_frequencies
from matching.errors import FamilyError, TooAmbiguousError
from matching.family import (
    FamilyAnalysis,
    FounderFrequencies,
    HaploidenticalRule,
    Member,
    Pedigree,
    Relative,
    RelativeClass,
    Weighting,
    analyse,
    donor_facts,
    parse_haploidentical_rule,
    rank_relatives,
    reasons,
)
from matching.family import segregation as segregation_module
from matching.loci import LOCI, Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.typings import Typing, parse_typing

FIVE = parse_loci("A,B,C,DRB1,DQB1")
# Haplotypes of a father (a, b) and a mother (c, d) that have no allele in common.
A = "A*01:01 C*07:01 B*08:01 DRB1*03:01 DQB1*02:01"
B = "A*02:01 C*05:01 B*44:02 DRB1*04:01 DQB1*03:01"
C = "A*03:01 C*07:02 B*07:02 DRB1*15:01 DQB1*06:02"
D = "A*24:02 C*04:01 B*35:01 DRB1*01:01 DQB1*05:01"


def typed(first: str, second: str) -> Typing:
    """Both haplotypes as an unphased typing, alleles of each locus by name."""
    pairs = zip(first.split(), second.split(), strict=True)
    return parse_typing("^".join("+".join(sorted(pair)) for pair in pairs))


def crossed(first: str, second: str, n: int) -> str:
    """The first `n` loci of one haplotype and the others of another."""
    return " ".join([*first.split()[:n], *second.split()[n:]])


def nuclear(children: Mapping[str, Typing | None], untyped: str = "") -> Pedigree:
    """Father F (a/b) and mother M (c/d), those in `untyped` without typing, and children."""
    return Pedigree.of(
        [
            Member("F", sex="male", typing=None if "F" in untyped else typed(A, B)),
            Member("M", sex="female", typing=None if "M" in untyped else typed(C, D)),
            *(Member(name, "F", "M", typing=typing) for name, typing in children.items()),
        ]
    )


def by_id(found: FamilyAnalysis) -> dict[str, Relative]:
    return {one.id: one for one in found.relatives}


def test_the_four_kinds_of_siblings(demo: Nomenclature) -> None:
    """Father ab, mother cd: siblings of an ac patient are ac, ad, bc and bd, each a quarter."""
    children: dict[str, Typing | None] = {
        "P": typed(A, C),
        "identical": typed(A, C),
        "through_a": typed(A, D),
        "through_c": typed(B, C),
        "none": typed(B, D),
        "untyped": None,
    }
    found = analyse(nuclear(children), "P", demo, FIVE)
    relatives = by_id(found)
    kinds = {name: (one.likeliest, one.through) for name, one in relatives.items()}
    assert kinds["identical"] == (RelativeClass.IDENTICAL, "ac")
    assert kinds["through_a"] == (RelativeClass.HAPLOIDENTICAL, "a")
    assert kinds["through_c"] == (RelativeClass.HAPLOIDENTICAL, "c")
    assert kinds["none"] == (RelativeClass.OTHER, "")
    assert kinds["F"] == (RelativeClass.HAPLOIDENTICAL, "a")
    assert kinds["M"] == (RelativeClass.HAPLOIDENTICAL, "c")
    for name in ("identical", "through_a", "through_c", "none", "F", "M"):
        assert relatives[name].classes[relatives[name].likeliest] == pytest.approx(1)
    untyped = relatives["untyped"]
    assert untyped.classes[RelativeClass.IDENTICAL] == pytest.approx(0.25)
    assert untyped.classes[RelativeClass.HAPLOIDENTICAL] == pytest.approx(0.5)
    assert untyped.classes[RelativeClass.OTHER] == pytest.approx(0.25)
    assert untyped.by_descent == found.compared
    assert relatives["through_a"].mismatches == pytest.approx({5: 1.0})
    assert {letter: found.alleles[letter][0] for letter in "abcd"} == {
        "a": "01:01P",
        "b": "02:01P",
        "c": "03:01P",
        "d": "24:02P",
    }
    assert found.labels == {"a": "F", "b": "F", "c": "M", "d": "M"}
    assert found.chromosomes["through_a"] == (("a",) * 5, ("d",) * 5)


def test_non_inherited_maternal_antigens(demo: Nomenclature) -> None:
    children: dict[str, Typing | None] = {"P": typed(A, C), "ad": typed(A, D), "bc": typed(B, C)}
    relatives = by_id(analyse(nuclear(children), "P", demo, FIVE))
    assert relatives["ad"].nima == pytest.approx(1)
    assert relatives["bc"].nima == pytest.approx(0)
    assert relatives["M"].nima == pytest.approx(1)
    half = Pedigree.of([Member("P", typing=typed(A, C)), Member("K", "P", typing=typed(A, D))])
    assert by_id(analyse(half, "P", demo, FIVE))["K"].nima is None


def test_a_recombination_is_named(demo: Nomenclature) -> None:
    children: dict[str, Typing | None] = {
        "P": typed(A, C),
        "S": typed(B, D),
        "T": typed(B, C),
        "R": typed(crossed(A, B, 3), C),
    }
    found = analyse(nuclear(children), "P", demo, FIVE)
    (one,) = found.recombinations
    assert (one.child, one.role, one.parent, one.probability) == ("R", "father", "F", 1.0)
    assert (one.after, one.before) == (Locus.B, Locus.DRB1)
    assert found.chromosomes["R"][0] == ("a", "a", "a", "b", "b")
    recombinant = by_id(found)["R"]
    assert recombinant.likeliest is RelativeClass.HAPLOIDENTICAL
    assert recombinant.mismatches == pytest.approx({2: 1.0})
    assert recombinant.through == "c"


def test_who_recombined_is_open_with_two_children(demo: Nomenclature) -> None:
    children: dict[str, Typing | None] = {"P": typed(A, C), "R": typed(crossed(A, B, 3), C)}
    found = analyse(nuclear(children), "P", demo, FIVE)
    assert {one.child for one in found.recombinations} == {"P", "R"}
    assert sum(one.probability for one in found.recombinations) == pytest.approx(1)


def test_a_contradiction_names_person_locus_and_parent(demo: Nomenclature) -> None:
    wrong = "A*11:01 " + A.partition(" ")[2]
    children: dict[str, Typing | None] = {"P": typed(A, C), "S": typed(wrong, C), "T": typed(B, D)}
    found = analyse(nuclear(children), "P", demo, FIVE)
    (fault,) = found.set_aside
    assert fault.locus is Locus.A
    assert fault.conflicts == (("S", "father", "F"),)
    assert fault.suspects == ("S",)
    assert Locus.A in found.compared and Locus.A not in found.loci
    # Both haplotypes by the other loci, but the typings differ at A.
    sibling = by_id(found)["S"]
    assert sibling.likeliest is RelativeClass.ONE_MISMATCH
    assert by_id(found)["T"].mismatches == pytest.approx({10: 1.0})


def test_another_father_is_refused(demo: Nomenclature) -> None:
    stranger = "A*11:01 C*16:01 B*44:03 DRB1*07:01 DQB1*02:02"
    children: dict[str, Typing | None] = {"P": typed(A, C), "S": typed(stranger, C)}
    with pytest.raises(FamilyError, match=r"S has no allele of father F.*check parentage"):
        analyse(nuclear(children), "P", demo, FIVE)


def test_more_recombinations_than_two_are_refused(demo: Nomenclature) -> None:
    children: dict[str, Typing | None] = {
        **{name: typed(A, C) for name in ("P", "Q", "R", "S")},
        "T": typed(crossed(A, B, 1), C),
        "U": typed(crossed(A, B, 2), C),
        "V": typed(crossed(A, B, 3), C),
    }
    with pytest.raises(FamilyError, match=r"more than 2 recombinations.*is open.*samples"):
        analyse(nuclear(children), "P", demo, FIVE)


def test_two_recombinations_in_one_chromosome_name_the_member(demo: Nomenclature) -> None:
    twice = [*A.split()[:2], B.split()[2], *A.split()[3:]]
    children: dict[str, Typing | None] = {
        **{name: typed(A, C) for name in ("P", "Q")},
        "R": typed(B, D),
        "T": typed(" ".join(twice), C),
    }
    with pytest.raises(FamilyError, match=r"two in one chromosome.*without the typing of T"):
        analyse(nuclear(children), "P", demo, FIVE)


def test_relatives_refine_an_ambiguous_typing(demo: Nomenclature) -> None:
    """A child's string is cut to what the parents can have passed on, and the reverse."""
    vague = parse_typing(
        "A*01:01/A*11:01/A*02:01+A*03:01/A*24:02^B*08:01+B*07:02|B*44:02+B*35:01"
        "^C*07:01+C*07:02^DRB1*03:01+DRB1*15:01"
    )
    found = analyse(nuclear({"P": vague, "S": typed(A, C)}), "P", demo, FIVE)
    refined = {one.locus: one for one in found.refined["P"]}
    assert refined[Locus.A].text == "A*01:01+A*03:01"
    assert refined[Locus.A].genotypes == (("01:01P+03:01P", 1.0),)
    assert refined[Locus.B].text == "B*08:01+B*07:02"
    assert by_id(found)["S"].likeliest is RelativeClass.IDENTICAL


def test_shorter_names_are_refined_to_groups(nomenclature: Nomenclature) -> None:
    parents = nuclear({"P": parse_typing("A*01:XX+A*03:XX^B*08:XX+B*07:XX"), "S": typed(A, C)})
    found = analyse(parents, "P", nomenclature, FIVE)
    refined = {one.locus: one for one in found.refined["P"]}
    assert refined[Locus.A].text == "A*01:01P+A*03:01P"
    assert refined[Locus.B].genotypes == (("07:02P+08:01P", 1.0),)


def test_untyped_parents_are_inferred(demo: Nomenclature) -> None:
    """Four children with all four haplotypes leave no doubt about their parents."""
    children: dict[str, Typing | None] = {
        "P": typed(A, C),
        "Q": typed(A, D),
        "R": typed(B, C),
        "S": typed(B, D),
    }
    found = analyse(nuclear(children, untyped="FM"), "P", demo, FIVE)
    relatives = by_id(found)
    assert relatives["S"].classes[RelativeClass.OTHER] == pytest.approx(1)
    # Which parent had which two haplotypes, nothing tells.
    assert relatives["Q"].shares_a == pytest.approx(0.5)
    assert relatives["Q"].shares_c == pytest.approx(0.5)
    alleles = {found.alleles[letter][0] for letter in "abcd"}
    assert alleles == {"01:01P", "02:01P", "03:01P", "24:02P"}


def test_without_parents_phase_is_weighted(demo: Nomenclature) -> None:
    children: dict[str, Typing | None] = {"P": typed(A, C), "S": typed(A, C)}
    equal = by_id(analyse(nuclear(children, untyped="FM"), "P", demo, FIVE))["S"]
    # By type they are identical whatever was passed on.
    assert equal.mismatches == pytest.approx({0: 1.0})
    assert 0.9 < equal.classes[RelativeClass.IDENTICAL] < 1
    assert equal.classes[RelativeClass.IDENTICAL_BY_TYPE] > 0
    carried = read_frequencies("demo")[0]
    founders = FounderFrequencies(carried, carried.frequencies, demo)
    found = analyse(nuclear(children, untyped="FM"), "P", demo, FIVE, founders)
    assert found.weighting is Weighting.FREQUENCIES
    assert (
        by_id(found)["S"].classes[RelativeClass.IDENTICAL] < equal.classes[RelativeClass.IDENTICAL]
    )


def test_reported_phase_counts_as_typed(
    demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A patient in phase tells which haplotype an only child has, at loci where no other could."""

    def family(patient: str) -> Pedigree:
        child = parse_typing("A*01:01+A*03:01^B*08:01+B*35:01")
        return Pedigree.of(
            [Member("P", typing=parse_typing(patient)), Member("K", "P", typing=child)]
        )

    straight = analyse(family("A*01:01~B*08:01+A*02:01~B*07:02"), "P", demo, FIVE)
    assert (straight.n_recombinations, straight.notes) == (0, ())
    assert by_id(straight)["K"].classes[RelativeClass.HAPLOIDENTICAL] == pytest.approx(1)
    unphased = analyse(family("A*01:01+A*02:01^B*08:01+B*07:02"), "P", demo, FIVE)
    assert unphased.n_recombinations == 0
    # With the alleles in the other phase the child needs a recombination.
    crossed = analyse(family("A*01:01~B*07:02+A*02:01~B*08:01"), "P", demo, FIVE)
    (one,) = crossed.recombinations
    assert (one.child, one.after, one.before) == ("K", Locus.A, Locus.B)
    monkeypatch.setattr(segregation_module, "MAX_PHASED", 1)
    with pytest.raises(TooAmbiguousError, match="in phase of P overlap in too many ways"):
        analyse(family("A*01:01~B*08:01+A*02:01~B*07:02"), "P", demo, FIVE)


def test_a_set_that_explains_nothing_is_left_with_a_note(demo: Nomenclature) -> None:
    carried = read_frequencies("demo")[0]
    founders = FounderFrequencies(carried, carried.frequencies, demo)
    rare = {"P": typed(crossed(A, D, 2), crossed(C, B, 2))}
    pedigree = Pedigree.of([Member(name, typing=typing) for name, typing in rare.items()])
    found = analyse(pedigree, "P", demo, FIVE, founders)
    assert found.weighting is Weighting.EQUAL
    assert any(note.startswith("unrepresented") for note in found.notes)


def test_a_null_allele_is_inherited_as_itself(nomenclature: Nomenclature) -> None:
    family = Pedigree.of(
        [
            Member("F", typing=parse_typing("C*04:09N+C*07:01^B*44:03+B*08:01")),
            Member("M", typing=parse_typing("C*05:01+C*07:02^B*44:02+B*07:02")),
            Member("P", "F", "M", typing=parse_typing("C*04:09N+C*05:01^B*44:03+B*44:02")),
            Member("S", "F", "M", typing=parse_typing("C*05:01+C*04:09N^B*44:03+B*44:02")),
            Member("T", "F", "M", typing=parse_typing("C*05:01+C*07:01^B*44:02+B*08:01")),
        ]
    )
    found = analyse(family, "P", nomenclature, FIVE)
    assert not found.set_aside
    relatives = by_id(found)
    assert relatives["S"].likeliest is RelativeClass.IDENTICAL
    # The patient expresses C*05:01 alone, of which T has one.
    assert relatives["T"].mismatches == pytest.approx({2: 1.0})
    assert found.alleles["a"][found.loci.index(Locus.C)] == "04:09N"


def test_a_null_within_a_shorter_name_is_possible_where_a_relative_has_it(
    nomenclature: Nomenclature,
) -> None:
    nulls = [a.name for a in nomenclature.alleles if a.name.startswith("A*24:02:01:02")]
    assert nulls == ["A*24:02:01:02L"]
    family = Pedigree.of(
        [
            Member("F", typing=parse_typing("A*01:01+A*02:01")),
            Member("P", "F", typing=parse_typing("A*01:01:01:02N+A*03:01")),
        ]
    )
    found = analyse(family, "P", nomenclature, FIVE)
    assert not found.set_aside
    assert found.alleles["a"] == ("01:01:01:02N",)
    refined = found.refined["F"][0]
    assert refined.text == "A*01:01:01:02N+A*02:01"


def test_the_absent_gene_segregates(nomenclature: Nomenclature) -> None:
    family = Pedigree.of(
        [
            Member("F", typing=parse_typing("DRB1*03:01+DRB1*01:01^DRB3*01:01+DRBX*NNNN")),
            Member("M", typing=parse_typing("DRB1*04:01+DRB1*15:01^DRB4*01:03+DRB5*01:01")),
            Member(
                "P", "F", "M", typing=parse_typing("DRB1*01:01+DRB1*04:01^DRBX*NNNN+DRB4*01:03")
            ),
            Member(
                "S", "F", "M", typing=parse_typing("DRB1*01:01+DRB1*04:01^DRBX*UUUU+DRB4*01:03")
            ),
        ]
    )
    found = analyse(family, "P", nomenclature, (Locus.DRB1, Locus.DRB345))
    at = found.loci.index(Locus.DRB345)
    assert found.alleles["a"][at] == "DRBX*NNNN"
    assert by_id(found)["S"].likeliest is RelativeClass.IDENTICAL
    refined = {one.locus: one.text for one in found.refined["S"]}
    assert refined[Locus.DRB345] == "DRBX*NNNN+DRB4*01:03"


def test_a_new_allele_matches_by_descent_alone(demo: Nomenclature) -> None:
    family = Pedigree.of(
        [
            Member("F", typing=parse_typing("A*NEW+A*01:01")),
            Member("M", typing=parse_typing("A*NEW+A*02:01")),
            Member("P", "F", "M", typing=parse_typing("A*NEW+A*02:01")),
            Member("S", "F", "M", typing=parse_typing("A*NEW+A*02:01")),
            Member("T", "F", "M", typing=parse_typing("A*01:01+A*NEW")),
        ]
    )
    relatives = by_id(analyse(family, "P", demo, FIVE))
    assert relatives["S"].likeliest is RelativeClass.IDENTICAL
    # T has the mother's new allele, which is not known to be the father's.
    assert relatives["T"].mismatches == pytest.approx({2: 1.0})


def test_parents_of_one_blood_give_the_same_haplotype_twice(demo: Nomenclature) -> None:
    """First cousins: their child has one great-grandparental haplotype twice, and is homozygous."""
    family = Pedigree.of(
        [
            Member("GF", typing=typed(A, B)),
            Member("GM", typing=typed(C, D)),
            Member("X", "GF", "GM", typing=typed(A, C)),
            Member("Y", "GF", "GM", typing=typed(A, D)),
            Member("P", "X", "Y", typing=typed(A, A)),
            Member("S", "X", "Y", typing=typed(A, D)),
        ]
    )
    found = analyse(family, "P", demo, FIVE)
    assert found.chromosomes["P"] == (("a",) * 5, ("a",) * 5)
    assert by_id(found)["X"].mismatches == pytest.approx({5: 1.0})


def test_matching_by_type_through_an_unrelated_parent(demo: Nomenclature) -> None:
    """A father who happens to carry the mother's haplotype is identical by type, not by descent."""
    family = Pedigree.of(
        [
            Member("F", typing=typed(A, C)),
            Member("M", typing=typed(C, D)),
            Member("P", "F", "M", typing=typed(A, C)),
            Member("S", "F", "M", typing=typed(C, D)),
            Member("T", "F", "M", typing=typed(A, D)),
        ]
    )
    father = by_id(analyse(family, "P", demo, FIVE))["F"]
    assert father.classes[RelativeClass.IDENTICAL_BY_TYPE] == pytest.approx(1)
    assert father.mismatches == pytest.approx({0: 1.0})


def test_the_order_of_rows_is_irrelevant(demo: Nomenclature) -> None:
    children: dict[str, Typing | None] = {
        "P": typed(A, C),
        "Q": parse_typing("A*01:01+A*24:02"),
        "R": None,
        "S": typed(B, C),
    }
    members = list(nuclear(children, untyped="M").members.values())
    expected = by_id(analyse(Pedigree.of(members), "P", demo, FIVE))
    generator = random.Random(1)
    for _ in range(5):
        generator.shuffle(members)
        found = by_id(analyse(Pedigree.of(members), "P", demo, FIVE))
        for name, one in expected.items():
            assert found[name].classes == pytest.approx(one.classes)
            assert found[name].mismatches == pytest.approx(one.mismatches)
            assert found[name].shares_a == pytest.approx(one.shares_a)


def test_too_many_ways_are_refused_by_name(
    demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segregation_module, "MAX_WAYS", 2)
    children: dict[str, Typing | None] = {"P": typed(A, C), "Q": None, "R": typed(B, D)}
    with pytest.raises(TooAmbiguousError, match=r"more than 2 ways.*leave out distant relatives"):
        analyse(nuclear(children, untyped="FM"), "P", demo, FIVE)


@pytest.mark.parametrize("exact", [0.1, 0.4, 0.8])
def test_families_of_known_phase_are_refined_as_often_as_stated(
    demo: Nomenclature, exact: float
) -> None:
    """Stated probabilities of refined genotypes and of classes hold in simulated families.

    `exact`: the share of alleles that are typed as such; the others are strings of three.
    """
    carried = read_frequencies("demo")[0].over(FIVE)
    founders = FounderFrequencies(carried, carried.frequencies, demo)
    names = [
        [carried.names[column][i] for column, i in enumerate(row)]
        for row in carried.haplotypes.tolist()
    ]
    shares = carried.frequencies / carried.frequencies.sum()
    pool = [sorted(name for name in known if not name.endswith("N")) for known in carried.names]
    rng = np.random.default_rng(5)
    stated: list[float] = []
    true: list[bool] = []
    class_stated: list[float] = []
    class_true: list[bool] = []
    for _ in range(150):
        drawn = [int(i) for i in rng.choice(len(names), p=shares, size=4)]
        pairs = {"F": (0, 1), "M": (2, 3)}
        for child in ("P", "S", "T"):
            pairs[child] = int(rng.integers(2)), 2 + int(rng.integers(2))
        members = []
        for name, pair in pairs.items():
            texts = []
            for column in range(len(FIVE)):
                if rng.random() < (0.5 if name in "FM" else 0.3):
                    continue
                sides = []
                for haplotype in pair:
                    own = names[drawn[haplotype]][column]
                    if own.endswith("N") or rng.random() < exact:
                        sides.append(own)
                        continue
                    # A partition of the names, so that a string tells no more than it says.
                    at = pool[column].index(own) // 3
                    sides.append("/".join(pool[column][3 * at : 3 * at + 3]))
                texts.append("+".join(sides))
            parents = ("F", "M") if name in ("P", "S", "T") else ("", "")
            typing = parse_typing("^".join(texts)) if texts else None
            members.append(Member(name, *parents, typing=typing))
        found = analyse(Pedigree.of(members), "P", demo, FIVE, founders)
        if found.weighting is Weighting.EQUAL:
            pytest.fail("the set that the family was drawn from explains it")
        for name, loci in found.refined.items():
            for refined in loci:
                column = carried.loci.index(refined.locus)
                truth = [names[drawn[h]][column] for h in pairs[name]]
                groups = [
                    (demo.alleles[demo.by_name[one]].p_group or one).partition("*")[2]
                    for one in truth
                ]
                one, other = groups
                right = [
                    (one in x and other in y) or (one in y and other in x)
                    for text, _ in refined.genotypes
                    for x, y in [[set(side.split("/")) for side in text.split("+")]]
                ]
                # The true genotype is never refined away, so what is certain is right.
                assert sum(right) == 1, (name, refined)
                if len(refined.genotypes) > 1:
                    stated.append(refined.genotypes[0][1])
                    true.append(right[0])
        for relative in found.relatives:
            if relative.id in ("S", "T"):
                p = relative.classes[RelativeClass.IDENTICAL]
                if 0 < p < 1 and found.pedigree.members["P"].typing:
                    class_stated.append(p)
                    class_true.append(pairs[relative.id] == pairs["P"])
    assert len(stated) > 60 and len(class_stated) > 30
    for all_said, all_was in ((stated, true), (class_stated, class_true)):
        said, was = np.array(all_said), np.array(all_was)
        bands = [said < 0.5, (said >= 0.5) & (said < 0.8), said >= 0.8]
        for band in (said > 0, *(one for one in bands if one.sum() >= 20)):
            spread = np.sqrt((said * (1 - said))[band].sum()) / band.sum()
            assert abs(was[band].mean() - said[band].mean()) < 4 * spread


class TestPedigree:
    def test_an_identifier_twice(self) -> None:
        with pytest.raises(FamilyError, match="'X' comes twice"):
            Pedigree.of([Member("X"), Member("X")])

    def test_an_unknown_parent(self) -> None:
        with pytest.raises(FamilyError, match="X: mother 'M' is not in the family; add a row"):
            Pedigree.of([Member("X", "", "M")])

    def test_a_cycle(self) -> None:
        with pytest.raises(FamilyError, match="descend from themselves"):
            Pedigree.of([Member("X", "Y"), Member("Y", "X")])

    def test_a_parent_of_the_wrong_sex(self) -> None:
        with pytest.raises(FamilyError, match="X: father 'Y' is female; exchange"):
            Pedigree.of([Member("X", "Y"), Member("Y", sex="female")])

    def test_a_child_older_than_a_parent(self) -> None:
        members = [Member("X", "Y", birth_date="1960-01-01"), Member("Y", birth_date="1960-01-01")]
        with pytest.raises(FamilyError, match="birth_date 1960-01-01 is not after"):
            Pedigree.of(members)

    def test_one_person_as_both_parents(self) -> None:
        with pytest.raises(FamilyError, match="named as father and as mother"):
            Pedigree.of([Member("X", "Y", "Y"), Member("Y")])

    def test_a_patient_who_is_not_there(self, demo: Nomenclature) -> None:
        with pytest.raises(FamilyError, match="patient 'Z' is not in the family; its members: X"):
            analyse(Pedigree.of([Member("X", typing=typed(A, B))]), "Z", demo, FIVE)

    def test_who_is_not_related_is_left_out_with_a_note(self, demo: Nomenclature) -> None:
        members = [Member("X", typing=typed(A, B)), Member("Y", typing=typed(C, D))]
        found = analyse(Pedigree.of(members), "X", demo, FIVE)
        assert not found.relatives
        assert found.notes == ("Y is not related to the patient and left out",)

    def test_relationships(self) -> None:
        family = Pedigree.of(
            [
                *(Member(name) for name in ("GF", "GM", "M", "W")),
                *(Member(name, "GF", "GM") for name in ("F", "U")),
                *(Member(name, "F", "M") for name in ("P", "S")),
                Member("H", "F", "W"),
                Member("N", "S"),
                Member("K", "U"),
                Member("C", "P", "W"),
                Member("G", "C"),
            ]
        )
        expected = {
            "GF": "grandparent",
            "F": "father",
            "M": "mother",
            "U": "uncle or aunt",
            "S": "sibling",
            "H": "half sibling",
            "N": "nephew or niece",
            "K": "cousin",
            "C": "child",
            "G": "grandchild",
            "W": "not a blood relative",
        }
        assert {name: family.relationship("P", name) for name in expected} == expected


class TestOrder:
    def family(self) -> Pedigree:
        children: dict[str, Typing | None] = {
            "P": typed(A, C),
            "I": typed(A, C),
            "ad": typed(A, D),
            "bc": typed(B, C),
        }
        return nuclear(children)

    def test_identical_first_then_younger(self, demo: Nomenclature) -> None:
        found = analyse(self.family(), "P", demo, FIVE)
        ages = {"F": 64.0, "M": 61.0, "I": 70.0, "ad": 35.0, "bc": None}
        facts = donor_facts(found, ages, demo, {})
        ranking = rank_relatives(facts, "male", HaploidenticalRule())
        ranked = [facts[i].relative.id for i in ranking.order.tolist()]
        assert ranked == ["I", "ad", "F", "M", "bc"]
        why = dict(zip(ranked, reasons(ranking), strict=True))
        assert why["ad"] == "less favourable class"
        assert why["F"] == "older by a step of age, or age unknown"
        assert why["M"] == "female for a male patient, or sex unknown"

    def test_what_the_rules_look_at(self, demo: Nomenclature) -> None:
        """B*08:01 and B*07:02 carry M at -21, B*44:02 and B*35:01 T (by family)."""
        texts = {
            "P": "B*08:01+B*44:02^DRB1*03:01+DRB1*15:01^DQB1*02:01+DQB1*06:02"
            "^DPB1*03:01+DPB1*04:01",
            "K": "B*08:01+B*35:01^DRB1*03:01+DRB1*13:02^DQB1*02:01+DQB1*06:02"
            "^DPB1*04:01+DPB1*04:02",
            "L": "B*08:01+B*07:02^DRB1*03:01+DRB1*13:02^DQB1*02:01+DQB1*06:04",
            "N": "B*08:01+B*44:02^DRB1*03:01+DRB1*15:01",
        }
        members = [
            Member(name, "" if name == "P" else "P", typing=parse_typing(text))
            for name, text in texts.items()
        ]
        found = analyse(Pedigree.of(members), "P", demo, FIVE)
        facts = {one.relative.id: one for one in donor_facts(found, {}, demo, {})}
        seen = {
            name: (one.drb1_favourable, one.leader_matched, one.dpb1.value)
            for name, one in facts.items()
        }
        assert seen == {
            "K": (True, True, "non-permissive GvH"),
            "L": (False, False, "untyped"),
            "N": (False, True, "untyped"),
        }
        ranking = rank_relatives(list(facts.values()), None, HaploidenticalRule(("dpb1", "leader")))
        assert ranking.order.tolist() == [0, 2, 1]

    def test_a_rule_is_configured(self) -> None:
        rule = parse_haploidentical_rule(
            'keys = ["class", "dpb1"]\nage_step_years = 5\n'
            'dpb1_order = ["match", "permissive", "non-permissive GvH"]'
        )
        assert rule.keys == ("class", "dpb1") and rule.age_step_years == 5
        assert [one.value for one in rule.dpb1_order] == [
            "match",
            "permissive",
            "non-permissive GvH",
        ]

    @pytest.mark.parametrize(
        ("text", "reason"),
        [
            ("keys = [", "not TOML"),
            ('keys = ["fame"]', "no key is called 'fame'"),
            ('keys = ["age", "age"]', "named twice"),
            ("keys = []", "at least one"),
            ("age_step_years = 0", "above 0"),
            ('dpb1_order = ["unknown"]', "known categories"),
            ('dpb1_order = ["good"]', "good"),
            ("weight = 1", "no setting is called 'weight'"),
            ("keys = 1", "another kind"),
        ],
    )
    def test_a_rule_that_cannot_be_followed(self, text: str, reason: str) -> None:
        with pytest.raises(ValueError, match=reason):
            parse_haploidentical_rule(text)


def test_every_locus_can_be_compared(demo: Nomenclature) -> None:
    family = nuclear({"P": typed(A, C), "S": typed(A, C)})
    assert by_id(analyse(family, "P", demo, LOCI))["S"].likeliest is RelativeClass.IDENTICAL
    with pytest.raises(
        FamilyError, match="no compared locus can be used; the family is typed at A"
    ):
        analyse(family, "P", demo, (Locus.DPB1,))
