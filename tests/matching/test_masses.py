"""Search-time masses and probabilities against exact rational arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.haplotypes import FrequencySet, Imputer, NullImputation, Resolution
from matching.loci import Locus
from matching.masses import MassTables
from matching.nomenclature import Allele, Nomenclature
from matching.probability import predict
from matching.typings import Typing, parse_typing
from tests.oracles import masses as oracle

LOCI = (Locus.A, Locus.B, Locus.C, Locus.DRB1)
GENES = tuple(locus.value for locus in LOCI)
# Names of each gene with their P group: two names share one, one is null.
ENDINGS = {"01:01": "01:01P", "01:02": "01:01P", "01:03N": None, "02:01": "02:01", "03:01": "03:01"}
NAMES = {gene: [f"{gene}*{ending}" for ending in ENDINGS] for gene in GENES}
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
}

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
    one = st.sampled_from([*NAMES[gene], f"{gene}*01:01P", f"{gene}*UUUU", f"{gene}*NEW"])
    many = st.lists(st.sampled_from(NAMES[gene]), min_size=2, max_size=4, unique=True)
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
            return frozenset(NAMES[part.partition("*")[0]]), False
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


def encoded(tables: MassTables, people: list[tuple[str, ...]]) -> np.ndarray[tuple[int, int]]:
    columns = zip(*people, strict=True)
    return tables.encode(dict(zip(tables.loci, map(list, columns), strict=True)))


@pytest.mark.parametrize("nulls", NullImputation)
@given(st.data())
@settings(max_examples=120, deadline=None)
def test_total_masses_equal_the_enumeration(nulls: NullImputation, data: st.DataObject) -> None:
    n_loci = data.draw(st.integers(1, 4))
    source = data.draw(sources(n_loci))
    people = data.draw(st.lists(typings(n_loci), min_size=1, max_size=6))
    tables = tables_of(source, n_loci, nulls)
    found = tables.total_masses(encoded(tables, people))
    for texts, mass in zip(people, found.tolist(), strict=True):
        exact = sum(genotypes(source, texts, nulls is NullImputation.PARTNER).values())
        assert (mass == 0) == (exact == 0)
        assert mass == pytest.approx(float(exact), rel=1e-12)
        if typing := as_typing(texts):
            assert mass == pytest.approx(tables.imputer.impute_one(typing)[2], rel=1e-12)


def mixture(parts: list[tuple[Source, Fraction]]) -> Source:
    """Each haplotype from one of the sets, with the stated odds."""
    mixed: Source = {}
    for source, odds in parts:
        for haplotype, frequency in source.items():
            mixed[haplotype] = mixed.get(haplotype, Fraction(0)) + odds * frequency
    return mixed


@pytest.mark.parametrize("nulls", NullImputation)
@given(st.data())
@settings(max_examples=120, deadline=None)
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
    codes = encoded(tables, people)
    total = tables.total_masses(codes)
    up_to = data.draw(st.sampled_from([1, 2]))
    found = tables.search(patient, codes, total, up_to)
    assert found.dropped == 0 and found.p.shape == (len(people), up_to + 1)
    # The oracle takes one of two orientations where a null and its partner could be either.
    ours = genotypes(theirs, people[0], partner)
    typed_null = tables_of(theirs, n_loci, nulls)
    patient_is_null = bool(typed_null.is_exact(encoded(typed_null, people[:1]))[0])
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
