"""Search-time masses and probabilities against exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data.frequencies import read_frequencies
from data.synthetic import MIX, Population, Profile, draw_people, population_of
from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.loci import Locus
from matching.masses import Entries, MassTables
from matching.masses import tables as masses_tables
from matching.nomenclature import Allele, Nomenclature
from matching.probability import predict
from matching.typings import ABSENT_GENE, Typing, parse_locus, parse_typing
from service.ancestry import FIVE
from tests.oracles import masses as oracle

LOCI = (Locus.A, Locus.DRB345, Locus.B, Locus.C)
GENES = ("A", "DRB3", "B", "C")
# Names of each gene with their P group: two names share one, one is null.
ENDINGS = {"01:01": "01:01P", "01:02": "01:01P", "01:03N": None, "02:01": "02:01", "03:01": "03:01"}
NAMES = {gene: [f"{gene}*{ending}" for ending in ENDINGS] for gene in GENES}
NAMES["DRB3"].append(ABSENT_GENE)
RELEASE = Nomenclature(
    "1.0.0",
    True,
    tuple(
        Allele(f"{gene}*{ending}", f"{gene}*{group}" if group else None, None, "", "", "", "", "")
        for gene in GENES
        for ending, group in ENDINGS.items()
    ),
    {},
)
TOKENS = {
    f"{gene}*{ending}": f"{gene}*{group or ending}"
    for gene in GENES
    for ending, group in ENDINGS.items()
} | {ABSENT_GENE: ABSENT_GENE}

Source = dict[tuple[str, ...], Fraction]


def as_set(source: Source, n_loci: int) -> FrequencySet:
    return FrequencySet(
        "test",
        LOCI[:n_loci],
        tuple(tuple(NAMES[gene]) for gene in GENES[:n_loci]),
        np.array(
            [[NAMES[g].index(n) for g, n in zip(GENES, h, strict=False)] for h in source],
            dtype=np.int32,
        ).reshape(-1, n_loci),
        np.array([float(f) for f in source.values()]),
    )


@st.composite
def sources(draw: Callable[..., object], n_loci: int) -> Source:
    """Frequencies are multiples of 2^-20, so that they are the same as float64."""
    names = st.tuples(*(st.sampled_from(NAMES[gene]) for gene in GENES[:n_loci]))
    weights = st.integers(1, 2**16).map(lambda n: Fraction(n, 2**20))
    found = draw(st.dictionaries(names, weights, min_size=1, max_size=12))
    assert isinstance(found, dict)
    return found


def positions(gene: str) -> st.SearchStrategy[str]:
    untyped = "DRBX*UUUU" if gene == "DRB3" else f"{gene}*UUUU"
    one = st.sampled_from([*NAMES[gene], f"{gene}*01:01P", untyped, f"{gene}*NEW"])
    many = st.lists(st.sampled_from(NAMES[gene][:5]), min_size=2, max_size=4, unique=True)
    return st.one_of(one, many.map("/".join))


def locus_texts(gene: str) -> st.SearchStrategy[str]:
    """A genotype, a list of some, or nothing."""
    pair = st.tuples(positions(gene), positions(gene)).map("+".join)
    lists = st.lists(pair, min_size=2, max_size=3).map("|".join)
    return st.one_of(st.just(""), pair, pair, lists)


@st.composite
def typings(draw: Callable[..., str], n_loci: int) -> tuple[str, ...]:
    texts = tuple(draw(locus_texts(gene)) for gene in GENES[:n_loci])
    return texts if any(texts) else (f"{GENES[0]}*01:01+{GENES[0]}*02:01", *texts[1:])


def explained(text: str, partner: bool) -> list[oracle.Alternative] | None:
    """A written locus as the oracle takes it."""
    if not text or all(part.endswith("UUUU") for part in text.replace("|", "+").split("+")):
        return None

    def position(part: str) -> tuple[oracle.Names, bool]:
        if part.endswith("NEW"):
            return frozenset(), False
        if part.endswith("UUUU"):
            return frozenset(NAMES[part.partition("*")[0].replace("X", "3")]), False
        if part == ABSENT_GENE:
            return frozenset([part]), False
        if part.endswith("P"):
            return frozenset(n for n, group in TOKENS.items() if group == part), False
        names = frozenset(part.split("/"))
        expressing = frozenset(n for n in names if not n.endswith("N"))
        kept = names if partner or not expressing else expressing
        return kept, not expressing

    pairs = (one.split("+") for one in text.split("|"))
    return [(position(first), position(second)) for first, second in pairs]


def genotypes(source: Source, texts: tuple[str, ...], partner: bool) -> oracle.Genotypes:
    typing = [explained(text, partner) for text in texts]
    return oracle.genotypes(source, typing, TOKENS, partner)


def as_typing(texts: tuple[str, ...]) -> Typing | None:
    """None where every locus says that it is untyped."""
    typed = [text for text in texts if text and explained(text, False) is not None]
    return parse_typing("^".join(typed)) if typed else None


def tables_of(source: Source, n_loci: int, nulls: NullImputation) -> MassTables:
    return MassTables(Imputer(as_set(source, n_loci), RELEASE, nulls, Resolution.P_GROUP))


def encoded(
    tables: MassTables, people: list[tuple[str, ...]]
) -> tuple[Entries, np.ndarray[tuple[int, int]]]:
    columns = zip(*people, strict=True)
    return encode(tables, dict(zip(tables.loci, map(list, columns), strict=True)))


def encode(
    tables: MassTables, texts: Mapping[Locus, Sequence[str]]
) -> tuple[Entries, np.ndarray[tuple[int, int]]]:
    """The distinct typings of each locus, and which of them (n, n_loci) every one is."""
    loci = tables.locus_entries()
    columns = [of.encode(texts[locus]) for locus, of in zip(tables.loci, loci, strict=True)]
    return Entries.of([of.table() for of in loci]), np.stack(columns, axis=1)


def is_exact(entries: Entries, codes: np.ndarray[tuple[int, int]]) -> np.ndarray[tuple[int]]:
    return entries.any_of(codes, entries.exact)


@pytest.mark.parametrize("nulls", NullImputation)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_total_masses_equal_the_enumeration(nulls: NullImputation, data: st.DataObject) -> None:
    n_loci = data.draw(st.integers(1, 4))
    source = data.draw(sources(n_loci))
    people = data.draw(st.lists(typings(n_loci), min_size=1, max_size=6))
    tables = tables_of(source, n_loci, nulls)
    found = tables.total_masses(*encoded(tables, people))
    for texts, mass in zip(people, found.tolist(), strict=True):
        exact = sum(genotypes(source, texts, nulls is NullImputation.PARTNER).values())
        assert (mass == 0) == (exact == 0)
        assert mass == pytest.approx(float(exact), rel=1e-12)
        if typing := as_typing(texts):
            assert mass == pytest.approx(tables.imputer.impute_one(typing)[2], rel=1e-12)


@pytest.mark.parametrize("nulls", NullImputation)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_one_person_by_themselves_is_as_among_others(
    nulls: NullImputation, data: st.DataObject
) -> None:
    n_loci = data.draw(st.integers(1, 4))
    tables = tables_of(data.draw(sources(n_loci)), n_loci, nulls)
    people = data.draw(st.lists(typings(n_loci), min_size=2, max_size=5))
    entries, codes = encoded(tables, people)
    total = tables.total_masses(entries, codes)
    wanted = as_typing(people[0])
    if wanted is None:
        return
    patient = tables.patient(tables.imputer, *tables.imputer.impute_one(wanted)[:2])
    found = tables.search(patient, entries, codes, total, 2)
    row = np.zeros((1, n_loci), dtype=np.int32)
    for d, texts in enumerate(people):
        parsed = [parse_locus(*pair) for pair in zip(tables.loci, texts, strict=True)]
        alone = Entries.of_one(tables.imputer, parsed)
        assert alone.exact.any() == is_exact(entries, codes)[d]
        mass = tables.total_masses(alone, row)
        assert mass == pytest.approx(total[d : d + 1], rel=1e-12)
        p = tables.search(patient, alone, row, mass, 2).p
        assert p == pytest.approx(found.p[d : d + 1], rel=1e-12, nan_ok=True)


def mixture(parts: list[tuple[Source, Fraction]]) -> Source:
    """Each haplotype from one of the sets, with the stated odds."""
    mixed: Source = {}
    for source, odds in parts:
        for haplotype, frequency in source.items():
            mixed[haplotype] = mixed.get(haplotype, Fraction(0)) + odds * frequency
    return mixed


@pytest.mark.parametrize("nulls", NullImputation)
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_probabilities_equal_the_enumeration(nulls: NullImputation, data: st.DataObject) -> None:
    """The patient under a set of its own or a mixture, donors under another."""
    n_loci = data.draw(st.integers(1, 4))
    source = data.draw(sources(n_loci))
    own = data.draw(st.sampled_from(["same", "other", "mixed"]))
    theirs = source if own == "same" else data.draw(sources(n_loci))
    if own == "mixed":
        theirs = mixture([(source, Fraction(1, 4)), (theirs, Fraction(3, 4))])
    people = data.draw(st.lists(typings(n_loci), min_size=2, max_size=7))
    partner = nulls is NullImputation.PARTNER
    tables = tables_of(source, n_loci, nulls)
    imputer = tables.imputer if own == "same" else tables_of(theirs, n_loci, nulls).imputer
    wanted = as_typing(people[0])
    if wanted is None:
        return
    imputed = imputer.impute_one(wanted)
    patient = tables.patient(imputer, imputed[0], imputed[1])
    entries, codes = encoded(tables, people)
    total = tables.total_masses(entries, codes)
    up_to = data.draw(st.sampled_from([1, 2]))
    found = tables.search(patient, entries, codes, total, up_to)
    assert found.dropped == 0 and found.p.shape == (len(people), up_to + 1)
    # The oracle takes one of two orientations where a null and its partner could be either.
    ours = genotypes(theirs, people[0], partner)
    typed_null = tables_of(theirs, n_loci, nulls)
    patient_is_null = bool(is_exact(*encoded(typed_null, people[:1]))[0])
    for d, texts in enumerate(people):
        donor = genotypes(source, texts, partner)
        if found.exact[d] or not ours or not donor:
            assert np.isnan(found.p[d]).all()
        elif not patient_is_null:
            exact = oracle.probabilities(ours, donor)
            assert found.p[d] == pytest.approx([float(p) for p in exact[: up_to + 1]], rel=1e-11)
            assert ((found.p[d] == 0) == [p == 0 for p in exact[: up_to + 1]]).all()
        if own == "same" and imputed[2] and not found.exact[d] and (typing := as_typing(texts)):
            pairs = predict(imputer, imputed[:2], imputer.impute([typing]))
            assert found.p[d] == pytest.approx(
                pairs.p_mismatches[0, : up_to + 1], rel=1e-11, nan_ok=True
            )


def test_a_simulated_registry_equals_pairwise_prediction(demo: Nomenclature) -> None:
    """Every donor, of every resolution, against exact and ambiguous patients."""
    (source,) = read_frequencies("demo")
    imputer = Imputer(source.over(FIVE), demo, NullImputation.TYPED, Resolution.P_GROUP)
    tables = MassTables(imputer)
    texts = drawn(population_of(imputer.frequencies, demo), MIX, 2000, 1)
    entries, codes = encode(tables, texts)
    assert 0 < is_exact(entries, codes).sum() < 200
    kept = [row for row in range(2000) if joined(texts, row)]
    donors = [parse_typing(joined(texts, row)) for row in kept]
    left = ~is_exact(entries, codes)[kept]
    total = tables.total_masses(entries, codes)
    imputed = imputer.impute(donors)
    assert total[kept] == pytest.approx(imputed.mass, rel=1e-9)
    assert (total > 0).mean() > 0.9
    wanted = drawn(population_of(imputer.frequencies, demo), MIX, 20, 2)
    met = np.zeros(3, dtype=np.int64)
    for row in range(20):
        genotypes, weights, mass = imputer.impute_one(parse_typing(joined(wanted, row)))
        if not mass:
            continue
        patient = tables.patient(imputer, genotypes, weights)
        expected = predict(imputer, (genotypes, weights), imputed).p_mismatches
        for up_to in (1, 2):
            found = tables.search(patient, entries, codes, total, up_to)
            assert np.array_equal(found.exact, is_exact(entries, codes))
            assert np.isnan(found.p[found.exact]).all()
            assert found.p[kept][left] == pytest.approx(
                expected[left, : up_to + 1], rel=1e-9, abs=0, nan_ok=True
            )
        met += (expected > 0).sum(axis=0)
    assert (met > 100).all()


def test_threads_and_chunks_make_no_difference(
    demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    (source,) = read_frequencies("demo")
    imputer = Imputer(source.over(FIVE), demo, NullImputation.TYPED, Resolution.P_GROUP)
    tables = MassTables(imputer)
    texts = drawn(population_of(imputer.frequencies, demo), MIX, 300, 3)
    entries, codes = encode(tables, texts)
    genotypes, weights, _ = imputer.impute_one(parse_typing(joined(texts, 0)))
    patient = tables.patient(imputer, genotypes, weights)
    total = tables.total_masses(entries, codes)
    whole = tables.search(patient, entries, codes, total, 2).p
    monkeypatch.setattr(masses_tables, "CHUNK", 7)
    assert np.array_equal(tables.total_masses(entries, codes, 2), total)
    assert np.array_equal(
        tables.search(patient, entries, codes, total, 2, 0.0, 2).p, whole, equal_nan=True
    )
    empty = tables.search(patient, entries, codes[:0], total[:0], 2)
    assert empty.p.shape == (0, 3)


def test_the_lightest_genotypes_are_dropped_up_to_the_precision(demo: Nomenclature) -> None:
    (source,) = read_frequencies("demo")
    imputer = Imputer(source.over(FIVE), demo, NullImputation.TYPED, Resolution.P_GROUP)
    tables = MassTables(imputer)
    texts = drawn(population_of(imputer.frequencies, demo), MIX, 200, 4)
    entries, codes = encode(tables, texts)
    total = tables.total_masses(entries, codes)
    genotypes, weights, _ = imputer.impute_one(parse_typing("A*02:01+A*02:01"))
    assert len(weights) > 20
    patient = tables.patient(imputer, genotypes, weights)
    whole = tables.search(patient, entries, codes, total, 2)
    assert whole.dropped == 0
    for precision in (0.3, 0.01, 1e-9):
        found = tables.search(patient, entries, codes, total, 2, precision)
        assert 0 < found.dropped <= precision or precision == 1e-9
        seen = ~np.isnan(whole.p)
        missing = whole.p[seen] - found.p[seen]
        assert (missing >= -1e-15).all() and (missing <= found.dropped + 1e-15).all()
    everything = tables.search(patient, entries, codes, total, 2, 1.1)
    assert everything.dropped == pytest.approx(1) and np.nanmax(everything.p) == 0


def test_typings_beyond_the_arrays_are_left_to_pairwise_prediction() -> None:
    """A long genotype list, typed nulls, and names of one P group beyond number."""
    names = tuple(f"A*01:{i:02}" for i in range(1, 91))
    release = Nomenclature(
        "1.0.0",
        True,
        (
            *(Allele(name, "A*01:01P", None, "", "", "", "", "") for name in names[:40]),
            *(Allele(name, name, None, "", "", "", "", "") for name in names[40:]),
            Allele("A*02:01N", None, None, "", "", "", "", ""),
        ),
        {},
    )
    frequencies = FrequencySet(
        "test",
        (Locus.A,),
        (names,),
        np.arange(90, dtype=np.int32).reshape(-1, 1),
        np.full(90, 1 / 90),
    )
    imputer = Imputer(frequencies, release, NullImputation.TYPED, Resolution.P_GROUP)
    tables = MassTables(imputer)
    long = "|".join(f"{a}+{b}" for a, b in pairwise(names))
    entries, codes = encode(
        tables, {Locus.A: [long, f"{names[50]}+A*02:01N", f"{names[50]}+{names[51]}", ""]}
    )
    assert is_exact(entries, codes).tolist() == [True, True, False, False]
    total = tables.total_masses(entries, codes)
    # A set without the null explains nothing of it.
    assert np.isnan(total).tolist() == [True, False, False, False] and total[1] == 0
    assert total[2:] == pytest.approx([2 / 90**2, 1])
    for text, is_far in ((f"{names[50]}+{names[51]}", False), (f"{names[0]}+{names[1]}", True)):
        genotypes, weights, _ = imputer.impute_one(parse_typing(text))
        patient = tables.patient(imputer, genotypes, weights)
        found = tables.search(patient, entries, codes, total, 2)
        assert found.exact.tolist() == ([True] * 4 if is_far else [True, True, False, False])
        assert np.isnan(found.p).all(axis=1).tolist() == found.exact.tolist()


def test_a_set_of_too_many_names_is_refused() -> None:
    names = tuple(f"A*01:{i:02}" for i in range(1, 1000))
    frequencies = FrequencySet(
        "test", tuple(Locus), (names,) * 9, np.zeros((1, 9), np.int32), np.ones(1)
    )
    imputer = Imputer(frequencies, RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    with pytest.raises(ValueError, match="too many loci and names"):
        MassTables(imputer)


def drawn(source: Population, mix: Sequence[Profile], n: int, seed: int) -> dict[Locus, list[str]]:
    people, _ = draw_people(np.random.default_rng(seed), [str(i) for i in range(n)], mix, [source])
    return {locus: people[locus.value.lower()].fill_null("").to_pylist() for locus in FIVE}


def joined(texts: dict[Locus, list[str]], row: int) -> str:
    return "^".join(written[row] for written in texts.values() if written[row])


def test_many_haplotypes_that_differ_at_the_last_loci_alone() -> None:
    source: Source = {
        ("A*01:01", "DRB3*01:01", b, c): Fraction(i + 5 * j + 1, 2**12)
        for i, b in enumerate(NAMES["B"])
        for j, c in enumerate(NAMES["C"])
    }
    tables = tables_of(source, 4, NullImputation.TYPED)
    people: list[tuple[str, ...]] = [
        ("", "", f"{b}+B*02:01", "") for b in NAMES["B"] if not b.endswith("N")
    ]
    for texts, mass in zip(people, tables.total_masses(*encoded(tables, people)), strict=True):
        assert mass == pytest.approx(float(sum(genotypes(source, texts, False).values())))
