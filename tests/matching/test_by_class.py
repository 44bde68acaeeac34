"""Haplotypes of one side summed by class, against rational enumeration."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.haplotypes import (
    MAX_PAIRS,
    FrequencySet,
    Imputer,
    NullImputation,
    Populations,
    Resolution,
    classes,
)
from matching.loci import Locus
from matching.probability import HaplotypeSums, by_class, predict, predict_by_class
from matching.typings import ABSENT_GENE, parse_typing, split_gl
from tests.matching.test_imputation import RELEASE, Source, as_set, people, sources
from tests.oracles import prediction as oracle

ENDS = ("01:01", "01:02", "02:01")
EVERY = [tuple(f"{gene}*{end}" for gene, end in zip("ABC", ends, strict=True))
         for ends in product(ENDS, repeat=3)]  # fmt: skip
ALL = ("p_total", "p_gvh", "p_hvg", "p_locus")


@settings(max_examples=150, deadline=None)
@given(
    st.data(), sources, sources, st.sampled_from(NullImputation), st.integers(0, 4), st.booleans()
)
def test_any_two_people_equal_the_rational_enumeration(
    data: st.DataObject, x: Source, y: Source, nulls: NullImputation, share: int, in_parts: bool
) -> None:
    """A patient of mixed ancestry and a donor of one; in parts, as very ambiguous people are."""
    both = Populations.of([as_set(x, "X"), as_set(y, "Y")])
    prior = {"X": Fraction(share, 4), "Y": Fraction(4 - share, 4)}
    mixed = {h: prior["X"] * x.get(h, 0) + prior["Y"] * y.get(h, 0) for h in {**x, **y}}
    expected, explained = [], []
    for source, own in ((mixed, prior), (y, {"Y": Fraction(1)})):
        positive = {h: f for h, f in source.items() if f}
        if not positive:
            return
        blocks, text = data.draw(people(positive))
        expected.append(oracle.impute_blocks(positive, blocks, nulls is NullImputation.PARTNER)[0])
        frequencies = both.mixture({name: float(value) for name, value in own.items()})
        imputer = Imputer(both.shared, RELEASE, nulls, Resolution.P_GROUP)
        explained.append(HaplotypeSums(imputer, imputer.explain(split_gl(text), frequencies)))
    if not all(expected):
        return
    patient, donor = explained
    with pytest.MonkeyPatch.context() as patch:
        if in_parts:
            patch.setattr(by_class, "_PAIRS", 2)
            patch.setattr(by_class, "_STEPS", 20)
        found = predict_by_class(patient, donor, most=MAX_PAIRS)
        swapped = predict_by_class(donor, patient)
    for name, values in oracle.distributions(*expected).items():
        theirs = np.array(values, dtype=float)
        assert np.allclose(getattr(found, name)[0], theirs, rtol=0, atol=1e-12), name
        # What cannot be is 0, and not what rounding leaves of it.
        assert ((getattr(found, name)[0] > 0) == (theirs > 0)).all(), name
    assert np.allclose(swapped.p_total, found.p_total, rtol=0, atol=1e-12)
    assert np.isnan(swapped.p_gvh).all() and not found.dropped[0]


@pytest.mark.parametrize("nulls", NullImputation)
def test_absent_genes_and_nulls_are_as_in_pairs(nulls: NullImputation) -> None:
    names = ("DRB3*01:01", ABSENT_GENE, "DRB4*01:02N", "DRB3*02:01")
    frequencies = FrequencySet(
        "test", (Locus.DRB345,), (names,), np.arange(4, dtype=np.int32)[:, None],
        np.array([0.4, 0.3, 0.2, 0.1]),
    )  # fmt: skip
    imputer = Imputer(frequencies, RELEASE, nulls, Resolution.P_GROUP)
    texts = ("DRB3*01:01+DRBX*NNNN", "DRBX*NNNN+DRBX*NNNN", "DRB4*01:02N+DRB3*01:01",
             "DRB4*01:02N+DRBX*NNNN", "DRB4*01:02N+DRB4*01:02N",
             "DRB3*01:01/DRB3*02:01+UUUU")  # fmt: skip
    typings = [parse_typing(text) for text in texts]
    imputed = imputer.impute(typings)
    for patient in typings:
        whole = predict(imputer, imputer.impute_one(patient)[:2], imputed)
        for d, donor in enumerate(typings):
            ours, theirs = (HaplotypeSums(imputer, imputer.explain(t)) for t in (patient, donor))
            found = predict_by_class(ours, theirs, MAX_PAIRS)
            for name in ALL:
                ours, theirs = getattr(found, name)[0], getattr(whole, name)[d]
                assert np.allclose(ours, theirs, rtol=0, atol=1e-12), (patient, donor, name)


def test_two_people_beyond_all_measure_are_cut_and_the_bounds_hold(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(1)
    frequencies = map(Fraction, rng.dirichlet(np.full(len(EVERY), 0.3)))
    source: Source = dict(zip(EVERY, frequencies, strict=True))
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    both = [
        HaplotypeSums(imputer, imputer.explain(parse_typing(text)))
        for text in ("A*01:01+A*02:01", "B*01:01+B*01:02")
    ]
    exact = predict_by_class(both[0], both[1], most=MAX_PAIRS)
    monkeypatch.setattr(classes, "MAX_PAIRS", 20)
    monkeypatch.setattr(by_class, "_PAIRS", 3)
    assert min(one.found.n_pairs for one in both) > 20 and not exact.dropped[0]
    for most in (0, MAX_PAIRS):
        cut = predict_by_class(both[0], both[1], most)
        assert 0 < cut.dropped[0] < 1
        # Nothing but what was dropped is missing.
        if not most:
            assert cut.p_total.sum() == pytest.approx(1 - cut.dropped[0], abs=1e-12)
        for name in ALL if most else ("p_total", "p_locus"):
            least, true = getattr(cut, name), getattr(exact, name)
            assert (least <= true + 1e-12).all() and (true <= least + cut.dropped[0] + 1e-12).all()
    # One person beyond it is no reason to cut.
    typing = parse_typing("A*01:01+A*01:01^B*01:01+B*01:01^C*01:01+C*01:02")
    one = HaplotypeSums(imputer, imputer.explain(typing))
    assert one.found.n_pairs <= 20 and not predict_by_class(one, both[0]).dropped[0]


def test_the_work_ends_soon_when_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    class StoppedError(Exception):
        pass

    calls = 0

    def between() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise StoppedError

    monkeypatch.setattr(by_class, "_PAIRS", 2)
    source: Source = dict.fromkeys(EVERY, Fraction(1, 32))
    imputer = Imputer(as_set(source), RELEASE, NullImputation.TYPED, Resolution.P_GROUP)
    found = HaplotypeSums(imputer, imputer.explain(parse_typing("A*01:01+A*02:01")))
    with pytest.raises(StoppedError):
        predict_by_class(found, found, between=between)
