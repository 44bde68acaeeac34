"""Imputation and prediction against rational enumeration: lists, phase, mixtures, cuts, faults."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.errors import TooAmbiguousError
from matching.haplotypes import (
    FrequencySet,
    Imputer,
    NullImputation,
    Populations,
    Resolution,
    classes,
    imputation,
    merge_haplotypes,
)
from matching.loci import Locus, parse_loci
from matching.nomenclature import Allele, Nomenclature
from matching.probability import (
    CarriedHaplotypes,
    DonorTable,
    ExactPairs,
    predict,
    whole_percents,
)
from matching.typings import ABSENT_GENE, parse_typing, split_gl
from tests.oracles import prediction as oracle

GENES = "ABC"
LOCI = tuple(Locus(gene) for gene in GENES)
ENDS = ("01:01", "01:02", "01:03N", "02:01")
NAMES = {gene: tuple(f"{gene}*{end}" for end in ENDS) for gene in GENES}
RELEASE = Nomenclature(
    "1.0.0",
    True,
    tuple(
        Allele(name, None if name.endswith("N") else name, name, "", "", "", "", "")
        for names in [*NAMES.values(), ("DRB3*01:01", "DRB3*02:01", "DRB4*01:01", "DRB4*01:02N")]
        for name in names
    ),
    {},
)
Source = dict[tuple[str, ...], Fraction]

haplotype = st.tuples(*(st.sampled_from(NAMES[gene]) for gene in GENES))
sources = st.dictionaries(
    haplotype, st.integers(0, 64).map(lambda n: Fraction(n, 1024)), min_size=1, max_size=9
).filter(lambda source: any(source.values()))


def as_set(source: Source, population: str = "test") -> FrequencySet:
    rows = [[NAMES[g].index(n) for g, n in zip(GENES, h, strict=True)] for h in source]
    return FrequencySet(
        population, LOCI, tuple(NAMES[g] for g in GENES), np.array(rows, np.int32),
        np.array([float(f) for f in source.values()]),
    )  # fmt: skip


@st.composite
def people(draw: st.DrawFn, source: Source) -> tuple[list[oracle.Block], str]:
    """A typing as blocks for the oracle and as text; most are explained by the set."""

    def position(name: str) -> set[str]:
        others = draw(st.sets(st.sampled_from(NAMES[name[0]]), max_size=2))
        return others | ({name} if draw(st.integers(0, 9)) else set()) or {name}

    order = draw(st.permutations(range(3)))
    split = draw(st.sampled_from([[1, 1, 1], [1, 1], [1], [2, 1], [2], [3]]))
    blocks: list[oracle.Block] = []
    texts = []
    for size in split:
        columns, order = sorted(order[:size]), order[size:]
        entries: oracle.Block = []
        for _ in range(draw(st.sampled_from([1, 1, 2]))):
            h1, h2 = (draw(st.sampled_from(list(source))) for _ in range(2))
            entries.append({c: (position(h1[c]), position(h2[c])) for c in columns})
        blocks.append(entries)
        texts.append(
            "|".join(
                "+".join(
                    "~".join("/".join(sorted(entry[c][side])) for c in columns) for side in (0, 1)
                )
                for entry in entries
            )
        )
    return blocks, "^".join(texts)


def genotypes(imputer: Imputer, codes: Any, weights: Any) -> dict[tuple[oracle.Pair, ...], float]:
    """Genotypes as the oracle writes them."""
    found = {}
    for row, weight in zip(codes, weights, strict=True):
        pairs = []
        for column, code in enumerate(row):
            names = imputer.token_names(column)
            a, b = (names[t] for t in imputer.genotypes(column)[code])
            pairs.append((min(a, b), max(a, b)))
        assert tuple(pairs) not in found
        found[tuple(pairs)] = float(weight)
    return found


def same(ours: dict[Any, float], theirs: dict[Any, Fraction]) -> None:
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(float(value), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(st.data(), sources, st.sampled_from(NullImputation), st.sampled_from(Resolution))
def test_lists_and_phase_equal_the_rational_enumeration(
    data: st.DataObject, source: Source, nulls: NullImputation, resolution: Resolution
) -> None:
    imputer = Imputer(as_set(source), RELEASE, nulls, resolution)
    partner = nulls is NullImputation.PARTNER
    drawn = [data.draw(people(source)) for _ in range(3)]
    positive = {h: f for h, f in source.items() if f}
    expected = [oracle.impute_blocks(positive, blocks, partner) for blocks, _ in drawn]
    imputed = imputer.impute([split_gl(text) for _, text in drawn])
    for p, (known, mass) in enumerate(expected):
        typing = parse_typing(drawn[p][1])
        codes, weights, own = imputer.impute_one(typing)
        assert own == pytest.approx(float(mass), abs=1e-15) == imputer.mass(typing)
        first, last = imputed.offsets[p : p + 2]
        assert np.array_equal(codes, imputed.codes[first:last])
        same(genotypes(imputer, codes, weights), known)
        assert bool(imputer.faults(typing)) == (mass == 0)
        if not mass:
            continue
        pairs = imputer.pairs(typing)
        assert pairs.weights.sum() == pytest.approx(1) and pairs.dropped == 0
        assert len(set(zip(pairs.left.tolist(), pairs.right.tolist(), strict=True))) == len(
            pairs.left
        )
        found = predict(imputer, (codes, weights), imputed)
        for d, (other, other_mass) in enumerate(expected):
            if not other_mass:
                assert np.isnan(found.p_total[d]).all() and np.isnan(found.p_gvh[d]).all()
                continue
            for name, values in oracle.distributions(known, other).items():
                theirs = np.array(values, dtype=float)
                assert np.allclose(getattr(found, name)[d], theirs, rtol=0, atol=1e-12), name


@settings(max_examples=60, deadline=None)
@given(st.data(), sources, sources, st.sampled_from(NullImputation), st.integers(0, 4))
def test_mixed_ancestry_equals_the_mixture(
    data: st.DataObject, x: Source, y: Source, nulls: NullImputation, share: int
) -> None:
    both = Populations.of([as_set(x, "X"), as_set(y, "Y")])
    prior = {"X": Fraction(share, 4), "Y": Fraction(4 - share, 4)}
    mixed = {
        h: f
        for h in [*x, *(h for h in y if h not in x)]
        if (f := prior["X"] * x.get(h, 0) + prior["Y"] * y.get(h, 0))
    }
    if not mixed:
        return
    imputer = Imputer(both.shared, RELEASE, nulls, Resolution.P_GROUP)
    blocks, text = data.draw(people(mixed))
    expected, mass = oracle.impute_blocks(mixed, blocks, nulls is NullImputation.PARTNER)
    frequencies = both.mixture({name: float(value) for name, value in prior.items()})
    found = imputer.impute([parse_typing(text)], frequencies)
    assert found.mass[0] == pytest.approx(float(mass), abs=1e-15)
    same(genotypes(imputer, found.codes, found.weights), expected)


@settings(max_examples=60, deadline=None)
@given(st.data(), sources)
def test_shared_haplotypes_and_exact_values_equal_the_enumeration(
    data: st.DataObject, source: Source
) -> None:
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    (_, patient), (_, donor) = (data.draw(people(source)) for _ in range(2))
    sides = [imputer.pairs(parse_typing(text)) for text in (patient, donor)]
    exact = ExactPairs(imputer).predict(parse_typing(patient), parse_typing(donor))
    if not all(side.mass for side in sides):
        assert exact is None
        return
    listed = list(source)
    as_pairs = [
        {
            (listed[a], listed[b]): source[listed[a]] * source[listed[b]] * (1 if a == b else 2)
            for a, b in zip(side.left.tolist(), side.right.tolist(), strict=True)
        }
        for side in sides
    ]
    masses = [sum(pairs.values()) for pairs in as_pairs]
    normal = [{k: v / m for k, v in p.items()} for p, m in zip(as_pairs, masses, strict=True)]
    carried = [
        CarriedHaplotypes.of(imputer.distinct_haplotypes, imputer.explain(parse_typing(text)))
        for text in (patient, donor)
    ]
    found = np.empty(3)
    carried[0].shared_with(carried[1], found)
    theirs = oracle.shared_haplotypes(normal[0], normal[1])
    assert np.allclose(found, np.array(theirs, dtype=float), rtol=0, atol=1e-12)
    donors = imputer.impute([parse_typing(donor)])
    predicted = predict(imputer, imputer.impute_one(parse_typing(patient))[:2], donors)
    assert exact is not None and sum(exact[0]) == 1
    assert np.allclose(np.array(exact[0], dtype=float), predicted.p_total[0], atol=1e-12)
    assert np.allclose(np.array(exact[1], dtype=float), predicted.p_two[0], atol=1e-12)


def test_halves_are_rounded_up_and_only_they() -> None:
    """1 of 8 and 1 of 200 are exact ties; a value a hair below one is not."""
    values = np.array([0.125, 0.005, 0.0049999999999999, 0.995, 1.0, 0.0])
    true = [Fraction(1, 8), Fraction(1, 200), Fraction(1, 200) - Fraction(1, 10**15),
            Fraction(199, 200)]  # fmt: skip
    assert whole_percents(values, lambda i: true[i]).tolist() == [13, 1, 0, 100, 100, 0]
    assert whole_percents(values, lambda _: None).tolist() == [13, 1, 1, 100, 100, 0]
    long = FrequencySet(
        "test", (Locus.A,), (NAMES["A"][:1],), np.zeros((1, 1), np.int32), np.array([1 / 3])
    )
    imputer = Imputer(long, RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    one = parse_typing("A*01:01+A*01:01")
    assert ExactPairs(imputer).predict(one, one) is None


@pytest.mark.parametrize("precision", [0.0, 0.01, 0.2, 0.6])
@pytest.mark.parametrize("seed", range(4))
def test_what_is_cut_is_reported_and_the_bounds_hold(
    monkeypatch: pytest.MonkeyPatch, precision: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    every = [(a, b, c) for a in NAMES["A"] for b in NAMES["B"] for c in NAMES["C"]]
    frequencies = rng.dirichlet(np.full(len(every), 0.3))
    source: Source = dict(zip(every, map(Fraction, frequencies.tolist()), strict=True))
    texts = ["A*01:01/A*01:02+A*02:01/A*01:01", "B*01:01+B*01:02/B*02:01", "C*01:01+C*01:01"]
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    full = imputer.impute(map(parse_typing, texts))
    monkeypatch.setattr(classes, "MAX_PAIRS", 40 if precision == 0 else 10_000)
    monkeypatch.setattr(classes, "PAIRS_BEFORE_CUT", 10)
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    cut = imputer.impute(map(parse_typing, texts), precision=precision)
    assert np.allclose(cut.mass, full.mass, rtol=1e-12)
    assert (cut.dropped > 0).all()
    assert (cut.dropped <= precision).all() or precision == 0
    weights = np.add.reduceat(cut.weights, cut.offsets[:-1])
    assert np.allclose(weights, 1 - cut.dropped, atol=1e-12)
    for p in range(3):
        if precision == 0:
            assert len(imputer.pairs(parse_typing(texts[p])).left) <= 40
        rows = slice(*full.offsets[p : p + 2])
        less = slice(*cut.offsets[p : p + 2])
        true = predict(imputer, (full.codes[rows], full.weights[rows]), full)
        low = DonorTable(imputer, cut).predict(
            (cut.codes[less], cut.weights[less]), np.arange(3), float(cut.dropped[p])
        )
        assert (low.dropped > 0).all()
        for name in ("p_total", "p_locus", "p_gvh", "p_hvg"):
            least, exact = getattr(low, name), getattr(true, name)
            room = low.dropped.reshape(-1, *[1] * (least.ndim - 1))
            assert (least <= exact + 1e-12).all() and (exact <= least + room + 1e-12).all()
    # The lightest f1 f2 go first, and one more pair would have gone beyond what was allowed.
    if precision:
        listed = imputer.pairs(parse_typing(texts[0]), precision=precision)
        assert listed.dropped <= precision < listed.dropped + 2 * listed.weights.min()


def test_the_loci_at_fault_are_the_fewest() -> None:
    source: Source = {
        ("A*01:01", "B*01:01", "C*01:01"): Fraction(1, 2),
        ("A*02:01", "B*02:01", "C*02:01"): Fraction(1, 2),
    }
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    for text, expected in (
        ("A*01:01+A*02:01^B*01:01+B*02:01^C*01:01+C*02:01", ""),
        ("A*01:01+A*02:01^B*01:01+B*01:02^C*01:01+C*02:01", "B"),
        ("A*01:02+A*02:01^B*01:01+B*01:02^C*01:01+C*02:01", "A,B"),
        ("A*01:01+A*01:01^B*02:01+B*02:01", "A B"),
        ("A*01:01~B*02:01+A*02:01~B*01:01^C*01:01+C*02:01", "A,B"),
        ("A*01:02+A*01:02", "A"),
    ):
        found = imputer.faults(parse_typing(text))
        assert " ".join(",".join(locus.value for locus in loci) for loci in found) == expected


def test_recombined_haplotypes_multiply_their_parts() -> None:
    source: Source = {
        ("A*01:01", "B*01:01", "C*01:01"): Fraction(1, 2),
        ("A*02:01", "B*02:01", "C*02:01"): Fraction(1, 4),
    }
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    blocks = [parse_loci("A"), parse_loci("B,C")]
    typing = parse_typing("A*02:01+A*02:01^B*01:01+B*01:01")
    assert imputer.impute_one(typing)[2] == 0
    codes, weights, mass, _ = imputer.list_genotypes(imputer.recombine(typing, blocks))
    # A*02:01 has 1/3 of what is listed, B*01:01~C*01:01 2/3.
    assert mass == pytest.approx((1 / 3 * 2 / 3) ** 2) and weights.tolist() == [1.0]
    (genotype,) = genotypes(imputer, codes, weights)
    assert genotype == (("A*02:01",) * 2, ("B*01:01",) * 2, ("C*01:01",) * 2)
    assert imputer.recombine(parse_typing("A*01:02+A*01:02"), blocks).mass == 0
    with pytest.raises(ValueError, match="phase"):
        imputer.recombine(parse_typing("A*01:01~B*01:01+A*02:01~B*01:01"), blocks)


@pytest.mark.parametrize("nulls", NullImputation)
def test_an_absent_gene_counts_as_its_partner(nulls: NullImputation) -> None:
    """As in search: DRB3*01:01 with no second copy matches DRB3*01:01 twice; none matches none."""
    names = ("DRB3*01:01", ABSENT_GENE, "DRB4*01:02N")
    frequencies = FrequencySet(
        "test", (Locus.DRB345,), (names,), np.array([[0], [1], [2]], np.int32), np.full(3, 0.25)
    )
    imputer = Imputer(frequencies, RELEASE, nulls, Resolution.P_GROUP)
    texts = ("DRB3*01:01+DRBX*NNNN", "DRB3*01:01+DRB3*01:01", "DRBX*NNNN+DRBX*NNNN")
    donors = imputer.impute(map(parse_typing, texts))
    assert donors.mass.tolist() == [0.125, 0.0625, 0.0625]
    expected = ([[1, 0, 0], [1, 0, 0], [0, 0, 1]], [[1, 0, 0], [1, 0, 0], [0, 0, 1]],
                [[0, 0, 1], [0, 0, 1], [1, 0, 0]])  # fmt: skip
    lacking = ([0, 0, 1], [0, 0, 1], [0, 0, 0])
    for text, wanted, gvh in zip(texts, expected, lacking, strict=True):
        found = predict(imputer, imputer.impute_one(parse_typing(text))[:2], donors)
        assert found.p_mismatches.tolist() == wanted
        assert found.p_gvh.argmax(axis=1).tolist() == gvh


def test_genotype_lists_beyond_measure_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imputation, "_MAX_KEY", 3)
    source: Source = {("A*01:01", "B*01:01", "C*01:01"): Fraction(1, 2)}
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    with pytest.raises(TooAmbiguousError, match="genotype lists"):
        imputer.impute([parse_typing("A*01:01+A*02:01|A*01:02+A*02:01")])
    with pytest.raises(TooAmbiguousError, match="genotype lists"):
        imputer.mass(parse_typing("A*01:01+A*02:01|A*01:02+A*02:01"))


@given(st.integers(0, 8), st.integers(1, 9), st.data())
@settings(max_examples=60, deadline=None)
def test_the_same_haplotypes_are_added_up(n: int, n_loci: int, data: st.DataObject) -> None:
    """Also where the numbers of names multiply to more than 64 bits."""
    names = st.sampled_from([0, 1, 2**31 - 2])
    rows = data.draw(st.lists(st.tuples(*[names] * n_loci), min_size=n, max_size=n))
    values = np.arange(1.0, n + 1)
    shaped = np.array(rows, dtype=np.int32).reshape(n, n_loci)
    kept, summed = merge_haplotypes(shaped, values)
    expected: dict[tuple[int, ...], float] = {}
    for row, value in zip(rows, values.tolist(), strict=True):
        expected[row] = expected.get(row, 0.0) + value
    assert [tuple(row) for row in kept.tolist()] == list(expected)
    assert summed.tolist() == list(expected.values())
