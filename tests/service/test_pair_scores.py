"""Pairs that are scored one by one are those of searches, whatever is remembered."""

from __future__ import annotations

import csv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product, starmap
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from data.donor_files import LOCUS_COLUMNS
from matching.kernels import COUNT_BEST, COUNT_WORST, GVH_WORST
from matching.loci import LOCI, Locus
from matching.memory import Memory
from matching.pipeline import match_typed
from service.ancestry import FIVE
from service.convert import LIMITS, ReadTyping
from service.masses import ExplainedPatient, explain_patient, predict_in_pairs
from service.pair_risks import PairRisks
from service.pair_scores import PairScorer
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.servicers import score_pair_answer
from service.snapshot import Snapshot
from tests.service.serving import PATIENT, running, stub_of

FACTS = {"patient_facts": pb.PatientFacts(age_years=50, sex="male", cmv="negative", abo="A")}
# Typed at some loci, in phase, with a null, a genotype list and a serology.
ODD = (
    "A*01:01+A*02:01^B*08:01+B*44:02",
    "A*01:01~B*08:01+A*02:01~B*44:02^DRB1*03:01+DRB1*04:01",
    "A*01:01+A*02:01|A*01:01+A*03:01^DRB1*03:01+DRB1*04:01",
    "A*01:01+A*02:01^DPB1*04:01+DPB1*03:01",
)


@pytest.fixture(scope="module")
def texts(home: Path) -> list[str]:
    """Simulated donors, and odd ones."""
    with (home / "simulated/donors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:60]
    return [*ODD, PATIENT, *("^".join(r[name] for name in LOCUS_COLUMNS if r[name]) for r in rows)]


@pytest.fixture
def scorer(snapshot: Snapshot) -> PairScorer:
    return PairScorer(snapshot.nomenclature, snapshot.proteins, snapshot.sets)


@pytest.fixture
def people(scorer: PairScorer, texts: list[str]) -> list[ReadTyping]:
    return [scorer.read(text) for text in texts]


def test_counts_are_those_of_a_search(scorer: PairScorer, people: list[ReadTyping]) -> None:
    for patient in people[:8]:
        found = match_typed(
            patient.typing, [one.typing for one in people], scorer.nomenclature, FIVE
        )
        compared = found.candidates.compared
        for row, donor in enumerate(people):
            for _ in range(2):
                counts = scorer.counter.of(patient.genotype, donor.genotype)
                for locus in LOCI:
                    assert counts.compared[locus] == tuple(compared[row, locus.position].tolist())
                assert counts.tce is found.tce[row]
            total = counts.totals(FIVE)
            for column in (COUNT_BEST, COUNT_WORST, GVH_WORST):
                assert total[column] == found.candidates.total(column)[row]


def test_probabilities_are_those_of_pairs(scorer: PairScorer, people: list[ReadTyping]) -> None:
    sets = scorer.sets
    assert sets is not None
    prior, seen = sets.prior("", ""), 0
    for patient in people[:12]:
        own = explain_patient(sets, sets.imputer(), patient.typing, prior)
        for donor in people:
            found = [scorer.probabilities(patient, donor, None, LIMITS.genotypes) for _ in "12"]
            assert np.array_equal(found[0].p, found[1].p, equal_nan=True)
            if not isinstance(own, ExplainedPatient):
                assert found[0].outcomes[0] == own and np.isnan(found[0].p).all()
                continue
            expected = predict_in_pairs(sets, own, [donor.typing], prior, LIMITS.genotypes.pairs)
            assert found[0].outcomes[0] == expected.outcomes[0]
            np.testing.assert_allclose(found[0].p, expected.p, rtol=1e-9, atol=1e-12)
            seen += int(found[0].p[0, 0] > 0)
    assert seen > 20


def test_many_threads_get_the_answers_of_one(snapshot: Snapshot, texts: list[str]) -> None:
    requests = [
        pb.ScorePairRequest(patient=patient, donor=donor, **FACTS)
        for patient in texts[3:9]
        for donor in texts
    ]

    def answers(threads: int) -> list[bytes]:
        fresh = PairScorer(snapshot.nomenclature, snapshot.proteins, snapshot.sets)
        one = replace(snapshot, pairs=fresh)
        with ThreadPoolExecutor(threads) as pool:
            found = pool.map(lambda request: score_pair_answer(one, request), requests)
            return [answer.SerializeToString(deterministic=True) for answer in found]

    assert answers(8) == answers(1)


def test_remembered_risks_are_those_worked_out_anew(snapshot: Snapshot) -> None:
    people = [
        {"age_years": age, "sex": sex, "cmv": cmv, "abo": abo, "type": kind}
        for age in (None, 30, 30.5)
        for sex, cmv, abo, kind in (
            (None, None, None, None),
            ("male", "positive", "A", "adult"),
            ("female", "negative", "O", "cord"),
        )
    ]
    donors = (PATIENT, PATIENT.replace("A*02:01", "A*03:01"), "A*01:01+A*02:01")
    read = [snapshot.pairs.read(text).genotype for text in donors]
    counts = [snapshot.pairs.counter.of(read[0], donor) for donor in read]
    asked = [(*facts, found) for facts in product(people, people) for found in counts]
    known = PairRisks(snapshot.model)
    expected = [PairRisks(snapshot.model).of(*one) for one in asked]
    for _ in range(2):
        assert [known.of(*one) for one in asked] == expected
    assert len({str(one) for one in expected}) > 3


def test_risks_are_those_of_the_factors(stub: Any) -> None:
    donor = pb.DonorFacts(type="adult", age_years=30, sex="female", cmv="positive", abo="O")
    request = pb.ScorePairRequest(patient=PATIENT, donor=PATIENT, donor_facts=donor, **FACTS)
    answer = stub.ScorePair(request)
    levels = {
        "donor_type": "unrelated",
        "hla_match": "10/10",
        "sex_match": "F-M",
        "cmv_match": "D+R-",
        "abo_match": "minor",
    }
    factors = {name: pb.FactorValue(level=level) for name, level in levels.items()}
    factors |= {
        "age_years": pb.FactorValue(number=50),
        "donor_age_years": pb.FactorValue(number=30),
    }
    expected = stub.PredictRisk(pb.PredictRiskRequest(factors=factors)).outcomes
    assert len(answer.risks) == len(expected) > 2
    for risk, other in zip(answer.risks, expected, strict=True):
        assert (risk.outcome, risk.horizon_days) == (other.outcome, other.horizon_days)
        for name in ("probability", "low", "high"):
            assert getattr(risk, name) == pytest.approx(getattr(other, name), rel=1e-9)
    assert not stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=PATIENT)).risks


@pytest.mark.parametrize(
    ("facts", "field"),
    [
        ({"patient_facts": pb.PatientFacts(sex="x")}, "patient_facts.sex"),
        ({"donor_facts": pb.DonorFacts(type="x")}, "donor_facts.type"),
        ({"donor_facts": pb.DonorFacts(age_years=121)}, "donor_facts.age_years"),
        ({"donor_facts": pb.DonorFacts(rh="x")}, "donor_facts.rh"),
        ({"patient_facts": pb.PatientFacts(weight_kg=float("nan"))}, "patient_facts.weight_kg"),
    ],
)
def test_facts_that_cannot_be(stub: Any, facts: dict[str, Any], field: str) -> None:
    from tests.service.test_server import _violations

    request = pb.ScorePairRequest(patient=PATIENT, donor=PATIENT, **facts)
    assert list(_violations(lambda: stub.ScorePair(request))) == [field]


def test_a_memory_is_bounded() -> None:
    made: list[int] = []

    def value(n: int) -> int:
        made.append(n)
        return n

    memory = Memory[int, int](10, float, largest=6)
    for n in (1, 2, 3, 1, 4, 7, 7, 5, 4, 1):
        assert memory.of(n, lambda n=n: value(n)) == n  # type: ignore[misc]
    # 7 is too heavy to be kept; 5 drove out 1, 2 and 3, which came first.
    assert made == [1, 2, 3, 4, 7, 7, 5, 1]
    assert len(memory) == 3


def test_who_is_known(scorer: PairScorer, texts: list[str]) -> None:
    """Both people, each under the set of its own; never who must be imputed in pairs."""
    patient, donor = PATIENT, texts[-1]
    assert not scorer.knows(patient, donor, None)
    scorer.probabilities(scorer.read(patient), scorer.read(donor), None, LIMITS.genotypes)
    assert scorer.knows(patient, donor, None)
    assert not scorer.knows(donor, patient, None)
    in_phase = next(text for text in ODD if "~" in text)
    scorer.probabilities(scorer.read(patient), scorer.read(in_phase), None, LIMITS.genotypes)
    assert not scorer.knows(patient, in_phase, None)


def test_donors_are_known_by_their_positions(scorer: PairScorer) -> None:
    """If all were met at loci that the patient is typed at, and the donor is quickly imputed."""

    def meet(*donors: str) -> None:
        patient = scorer.read(PATIENT)
        for donor in map(scorer.read, donors):
            scorer.scored(patient, donor, FIVE, None)

    met = ("A*01:01+A*02:01^B*08:01+B*44:02", "A*03:01+A*24:02^B*07:02+B*08:01")
    new = "A*24:02+A*01:01^B*07:02+B*44:02"
    meet(met[0])
    assert not scorer.knows(PATIENT, new, None)
    meet(met[1])
    assert scorer.knows(PATIENT, new, None)
    assert not scorer.knows(PATIENT, new.replace("A*24:02", "A*11:01"), None)
    for slow in (new.replace("^", "~"), f"{new}|B*08:01+B*44:02", new.replace("24:02", "UUUU")):
        assert not scorer.knows(PATIENT, slow, None)
    # Where the patient is not typed nothing was compared.
    assert scorer.read(PATIENT).typing.loci[Locus.DPB1] is None
    meet(f"{met[0]}^DPB1*04:01+DPB1*03:01")
    assert not scorer.knows(PATIENT, f"{new}^DPB1*04:01+DPB1*03:01", None)
    assert not scorer.knows(met[0], new, None)


def test_known_pairs_are_answered_as_new_ones(snapshot: Snapshot, texts: list[str]) -> None:
    own = replace(
        snapshot, pairs=PairScorer(snapshot.nomenclature, snapshot.proteins, snapshot.sets)
    )
    requests = [pb.ScorePairRequest(patient=PATIENT, donor=text, **FACTS) for text in texts]
    with running(own) as address, grpc.insecure_channel(address) as channel:
        first, second = ([stub_of(channel).ScorePair(r) for r in requests] for _ in "12")
        assert own.pairs.knows(PATIENT, texts[-1], None)
        wrong = pb.ScorePairRequest(patient=PATIENT, donor=texts[-1], loci=["E"])
        with pytest.raises(grpc.RpcError) as error:
            stub_of(channel).ScorePair(wrong)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert first == second == [score_pair_answer(snapshot, request) for request in requests]


def test_pairs_that_come_again_are_told_what_is_asked_this_time(
    snapshot: Snapshot, texts: list[str]
) -> None:
    """Whatever was asked of the same two people before."""

    def fresh() -> Snapshot:
        pairs = PairScorer(snapshot.nomenclature, snapshot.proteins, snapshot.sets)
        return replace(snapshot, pairs=pairs)

    def asked(swapped: bool, loci: list[str], age: int, haplotypes: bool) -> pb.ScorePairRequest:
        patient, donor = (texts[-1], PATIENT) if swapped else (PATIENT, texts[-1])
        facts = {"donor_facts": pb.DonorFacts(age_years=age)} if age else {}
        return pb.ScorePairRequest(
            patient=patient, donor=donor, loci=loci, with_haplotypes=haplotypes, **facts
        )

    requests = list(
        starmap(asked, product((False, True), ([], ["A", "B"]), (0, 30, 60), (True, False)))
    )
    expected = [score_pair_answer(fresh(), request) for request in requests]
    assert len({answer.SerializeToString(deterministic=True) for answer in expected}) == 24
    own = fresh()
    assert [score_pair_answer(own, request) for request in requests * 2] == expected * 2
