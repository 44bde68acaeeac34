"""The service over a real channel: every call, every kind of bad input."""

from __future__ import annotations

import contextlib
import datetime
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from data.frequencies import read_frequencies
from data.frequency_store import FrequencyFolder
from data.literature import literature_model
from data.models import active_version, add_file, model_hash, promote, rollback, write_model
from data.nomenclature import DEMO_RELEASE
from data.registry import Registry
from matching.haplotypes import Imputer, NullImputation, Resolution
from matching.loci import LOCI, parse_loci
from matching.nomenclature import Nomenclature
from matching.probability import predict
from matching.rank import DEFAULT_KEYS, RankRule
from matching.risk import RiskModel
from matching.risk import predict as predict_risk
from matching.typings import parse_typing
from service import search_answers, servicers
from service.ancestry import FIVE as FIVE_LOCI
from service.config import Settings
from service.convert import LIMITS
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2
from service.security.access import SERVICES
from service.server import serve
from service.server_settings import EXPOSED, serve_settings
from service.snapshot import Snapshot, load_snapshot
from service.status import ServerError
from tests.conftest import PROJECT
from tests.service.serving import PATIENT, running, stub_of

FIVE = ("A", "C", "B", "DRB1", "DQB1")
AMBIGUOUS = "A*02:01+A*01:01"
pb = graftmatch_pb2


def _health(channel: grpc.Channel, service: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(channel)
    return int(stub.Check(health_pb2.HealthCheckRequest(service=service)).status)


def _violations(call: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call()
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = rpc_status.from_call(refused.value).details
    bad = error_details_pb2.BadRequest()
    assert detail.Unpack(bad)
    return {violation.field: violation.description for violation in bad.field_violations}


def _check_provenance(answer: Any, snapshot: Snapshot) -> None:
    assert answer.provenance.release == "demo"
    assert answer.provenance.frequency_set == "demo"
    assert answer.provenance.model == snapshot.model_label
    assert answer.provenance.model.startswith("literature")
    assert answer.provenance.index == snapshot.index_version != ""


def test_a_typing_is_read(stub: Any, snapshot: Snapshot) -> None:
    text = "HLA-B*08:01+B*44:02^A*01:01+02:01^DPB1*04:01+DPB1*03:01^MICA*001+MICA*002"
    answer = stub.ParseTyping(pb.ParseTypingRequest(typing=text))
    _check_provenance(answer, snapshot)
    assert answer.canonical.startswith("A*01:01+A*02:01^B*08:01+B*44:02^DPB1*04:01+DPB1*03:01")
    assert [locus.locus for locus in answer.loci] == ["A", "B", "DPB1"]
    assert list(answer.loci[0].first.p_groups) == ["A*01:01P"]
    assert answer.loci[0].first.form == "allele"
    assert answer.loci[2].first.tce_group == 3
    assert len(answer.carried) == 1
    again = stub.ParseTyping(pb.ParseTypingRequest(typing=answer.canonical))
    assert again == answer


def test_a_typing_is_explained(stub: Any, snapshot: Snapshot) -> None:
    text = "A*01:01+A*02:01|A*01:01+A*03:01^B*08:01+B*44:02"
    answer = stub.ExplainTyping(pb.ExplainTypingRequest(typing=text, reduce_to="P"))
    _check_provenance(answer, snapshot)
    a, b = answer.loci
    assert (a.name, len(a.genotypes), a.n_genotypes, b.n_genotypes) == ("A", 2, 2, 1)
    first = a.genotypes[0].positions[0]
    assert (first.text, first.resolution) == ("A*01:01", "allelic")
    assert list(first.p_groups) == list(first.reduced) == ["A*01:01P"]
    assert answer.reduced.startswith("A*01:01P+A*02:01P|")
    read = stub.ParseTyping(pb.ParseTypingRequest(typing=text))
    assert list(read.loci[0].others) == ["A*01:01+A*03:01"]


@pytest.mark.parametrize(
    ("request_", "field", "reason"),
    [
        (pb.ExplainTypingRequest(typing="A*01:01+"), "typing", "only one of two positions"),
        (pb.ExplainTypingRequest(typing="A*99:99"), "typing", "demo reference"),
        (pb.ExplainTypingRequest(typing="A*01:01", reduce_to="H"), "reduce_to", "G, P, lgx"),
        (pb.ExplainTypingRequest(typing="A*01:01", release="3.1.0"), "release", "not installed"),
        (pb.ExplainTypingRequest(typing="hla#3.1.0#A*01:01"), "typing", "not installed"),
        (pb.ExplainTypingRequest(typing="A" * 100_001), "typing", "longer than"),
    ],
)
def test_what_cannot_be_explained(stub: Any, request_: Any, field: str, reason: str) -> None:
    found = _violations(lambda: stub.ExplainTyping(request_))
    assert list(found) == [field] and reason in found[field]


def test_a_search_streams_ranked_batches(stub: Any, snapshot: Snapshot) -> None:
    request = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=2, batch_size=7)
    batches = list(stub.SearchDonors(request))
    for batch in batches:
        _check_provenance(batch, snapshot)
    candidates = [c for batch in batches for c in batch.candidates]
    assert len(batches) > 2 and {len(b.candidates) for b in batches[:-1]} == {7}
    assert [c.rank for c in candidates] == list(range(1, len(candidates) + 1))
    assert {b.found for b in batches} == {len(candidates)}
    places = [sum(c.comparison.p10 < bound / 100 for bound in RankRule().bands) for c in candidates]
    assert places == sorted(places) and len(set(places)) > 2
    assert all(c.rank_values[0].key == "p10" for c in candidates)
    assert {c.rank_values[0].value for c in candidates[-2:]} == {"below 1 %"}
    assert candidates[0].ranked_below_previous_for == ""
    assert all(c.ranked_below_previous_for for c in candidates[1:])
    for candidate in candidates:
        compared = candidate.comparison
        assert [locus.locus for locus in compared.loci] == [locus.value for locus in LOCI]
        five = [locus for locus in compared.loci if locus.locus in FIVE]
        assert compared.mismatches.worst == 10 - sum(locus.matches.worst for locus in five)
        assert compared.gvh.best == sum(locus.gvh.best for locus in five)
        assert compared.dpb1_tce == common_pb2.DPB1_TCE_UNTYPED
        assert candidate.facts.type in ("adult", "cord")
    # The same in one batch, and a limit cuts it off.
    (whole,) = stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=2))
    assert list(whole.candidates) == candidates
    limited = list(stub.SearchDonors(pb.SearchDonorsRequest(**_fields(request), limit=9)))
    assert [c.donor for b in limited for c in b.candidates] == [c.donor for c in candidates[:9]]
    assert limited[0].found == len(candidates)


def test_pages_are_the_stream_in_parts(stub: Any) -> None:
    facts = pb.PatientFacts(age_years=40, sex="male", cmv="negative", abo="O")
    request = pb.SearchDonorsRequest(
        patient=PATIENT, max_mismatches=2, as_of="2026-01-01", patient_facts=facts
    )
    whole = [c for batch in stub.SearchDonors(request) for c in batch.candidates]
    assert {value.key for value in whole[0].rank_values} == set(DEFAULT_KEYS)
    token = ""
    pages: list[list[Any]] = []
    while not pages or token:
        request.page_size, request.page_token, request.batch_size = 6, token, 4
        batches = list(stub.SearchDonors(request))
        pages.append([c for batch in batches for c in batch.candidates])
        assert {batch.found for batch in batches} == {len(whole)}
        (token,) = {batch.next_page_token for batch in batches}
    assert [c for page in pages for c in page] == whole
    assert [len(page) for page in pages[:-1]] == [6] * (len(pages) - 1) and len(pages) > 2
    request.page_token = next(iter(stub.SearchDonors(_first_page(request)))).next_page_token
    for field, value, reason in (
        ("patient_facts", pb.PatientFacts(sex="female"), "the patient changed"),
        ("max_mismatches", 1, "the criteria changed"),
        ("rank_keys", ["age"], "the ranking changed"),
        ("page_token", "x", "no token of a page"),
    ):
        other = pb.SearchDonorsRequest(**{**_fields(request), field: value})
        assert reason in _violations(partial(_drained, stub, other))["page_token"]


def _drained(stub: Any, request: Any) -> None:
    list(stub.SearchDonors(request))


def _first_page(request: Any) -> Any:
    return pb.SearchDonorsRequest(**{**_fields(request), "page_token": ""})


def test_the_order_that_is_asked_for(stub: Any) -> None:
    request = pb.SearchDonorsRequest(
        patient=PATIENT, max_mismatches=2, rank_keys=["age", "p10"], rank_bands=[90, 10]
    )
    candidates = [c for batch in stub.SearchDonors(request) for c in batch.candidates]
    ages = [c.facts.age_years if c.facts.HasField("age_years") else 1000 for c in candidates]
    assert ages == sorted(ages)
    assert [v.key for v in candidates[0].rank_values] == ["age", "p10"]
    assert {c.rank_values[1].value for c in candidates} <= {
        *("at least 90 %", "at least 10 %", "below 10 %", "unknown"),
    }


def test_criteria_of_typings_and_facts(stub: Any) -> None:
    def found(**fields: Any) -> list[Any]:
        request = pb.SearchDonorsRequest(
            patient=PATIENT, max_mismatches=4, without_probabilities=True, **fields
        )
        return [c for batch in stub.SearchDonors(request) for c in batch.candidates]

    def at(candidate: Any, locus: str) -> Any:
        return next(one for one in candidate.comparison.loci if one.locus == locus)

    whole = found()
    cases: list[tuple[list[Any], Callable[[Any], bool]]] = [
        (found(max_mismatches_at={"A": 0}), lambda c: at(c, "A").matches.best == 2),
        (found(without_potential=True), lambda c: c.comparison.mismatches.worst <= 4),
        (found(donors=pb.DonorCriteria(types=["cord"])), lambda c: c.facts.type == "cord"),
        (
            found(donors=pb.DonorCriteria(sexes=["male"], require_known=True)),
            lambda c: c.facts.sex == "male",
        ),
        (
            found(donors=pb.DonorCriteria(max_age_years=35)),
            lambda c: c.facts.type == "cord" or c.facts.age_years <= 35,
        ),
    ]
    for some, kept in cases:
        assert [c.donor for c in some] == [c.donor for c in whole if kept(c)]
        assert 0 < len(some) < len(whole)
    hvg = found(direction=pb.MISMATCH_DIRECTION_HVG)
    assert all(c.comparison.hvg.best <= 4 for c in hvg) and len(hvg) > len(whole)


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"rank_keys": ["size"]}, "rank_keys", "no key is called 'size'"),
        ({"rank_bands": [1, 2]}, "rank_bands", "that fall"),
        ({"page_size": 10_001}, "page_size", "1 to 10,000"),
        ({"page_size": 10, "limit": 5}, "limit", "not together"),
        ({"page_token": "x"}, "page_size", "must be given"),
        ({"patient_facts": pb.PatientFacts(sex="m")}, "patient_facts.sex", "male, female"),
        ({"patient_facts": pb.PatientFacts(age_years=-1)}, "patient_facts.age_years", "0 to 120"),
        ({"max_mismatches_at": {"A": 3}}, "max_mismatches_at['A']", "0 to 2"),
        ({"max_mismatches_at": {"DPB1": 0}}, "max_mismatches_at['DPB1']", "not searched"),
        ({"max_mismatches_at": {"Q": 0}}, "max_mismatches_at['Q']", "not a matched locus"),
        ({"antigen_loci": ["Q"]}, "antigen_loci[0]", "not a matched locus"),
        ({"antigen_loci": ["DPB1"]}, "antigen_loci", "not searched"),
        ({"direction": 9}, "direction", "none that this server knows"),
        ({"donors": pb.DonorCriteria(types=["x"])}, "donors.types", "adult, cord"),
        ({"donors": pb.DonorCriteria(min_age_years=-1)}, "donors.min_age_years", "at least 0"),
        (
            {"donors": pb.DonorCriteria(min_tnc_1e7_per_kg=2)},
            *("patient_facts.weight_kg", "a dose per kg needs it"),
        ),
    ],
)
def test_a_ranking_page_or_criterion_that_cannot_be(
    stub: Any, fields: dict[str, Any], field: str, reason: str
) -> None:
    request = pb.SearchDonorsRequest(patient=PATIENT, **fields)
    found = _violations(lambda: list(stub.SearchDonors(request)))
    assert list(found) == [field] and reason in found[field]


def _fields(message: Any) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


def test_probabilities_are_those_of_the_pair(
    stub: Any, snapshot: Snapshot, demo: Nomenclature
) -> None:
    (batch,) = stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=2))
    computed = [
        c
        for c in batch.candidates
        if c.comparison.probability_status == common_pb2.PROBABILITY_STATUS_COMPUTED
    ]
    assert len(computed) > 10
    assert snapshot.search is not None
    typings = snapshot.search.registry.typings(c.donor for c in computed)
    frequencies = read_frequencies("demo")[0].over(parse_loci("A,B,C,DRB1,DQB1"))
    imputer = Imputer(frequencies, demo, NullImputation.TYPED, Resolution.P_GROUP)
    donors = imputer.impute(parse_typing(typings[c.donor]) for c in computed)
    patient = imputer.impute_one(parse_typing(PATIENT))
    expected = predict(imputer, patient[:2], donors).p_mismatches
    found = [(c.comparison.p10, c.comparison.p9, c.comparison.p8) for c in computed]
    np.testing.assert_allclose(found, expected, atol=1e-12)
    for candidate in computed[:10]:
        pair = stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=typings[candidate.donor]))
        assert pair.comparison.p10 == pytest.approx(candidate.comparison.p10)
        pair.comparison.ClearField("p10")
        for name in ("p9", "p8"):
            pair.comparison.ClearField(name)
        for name in ("p10", "p9", "p8"):
            candidate.comparison.ClearField(name)
        assert pair.comparison == candidate.comparison
    without = pb.SearchDonorsRequest(patient=PATIENT, without_probabilities=True, max_mismatches=1)
    for batch in stub.SearchDonors(without):
        # Mismatch counts stand in for the bands.
        best = [c.comparison.mismatches.best for c in batch.candidates]
        assert best == sorted(best) and max(best) == 1
        for candidate in batch.candidates:
            compared = candidate.comparison
            assert compared.probability_status == common_pb2.PROBABILITY_STATUS_NOT_REQUESTED
            assert not compared.HasField("p10")


def test_a_search_that_finds_nobody_answers_once(stub: Any, snapshot: Snapshot) -> None:
    patient = "A*01:01+A*01:01^B*44:03+B*44:03^DRB1*15:01+DRB1*15:01"
    request = pb.SearchDonorsRequest(patient=patient, loci=["A", "B", "DRB1"])
    (answer,) = stub.SearchDonors(request)
    assert answer.found == 0 and not answer.candidates
    _check_provenance(answer, snapshot)


def test_a_pair_is_scored(stub: Any, snapshot: Snapshot) -> None:
    donor = PATIENT.replace("A*02:01", "A*03:01") + "^DPB1*04:01+DPB1*03:01"
    answer = stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=donor))
    _check_provenance(answer, snapshot)
    compared = answer.comparison
    assert (compared.mismatches.best, compared.mismatches.worst) == (1, 1)
    assert (compared.gvh.best, compared.hvg.worst) == (1, 1)
    assert {locus.locus: locus.positions for locus in compared.loci} == {
        **dict.fromkeys((locus.value for locus in LOCI), "--"),
        "A": "AM",
        "C": "AA",
        "B": "AA",
        "DRB1": "AA",
        "DQB1": "AA",
    }
    at_a = answer.detail.loci[0]
    assert (at_a.locus, at_a.category) == ("A", "Mismatch")
    assert [p.confidence for p in at_a.positions] == ["Definite", "Mismatch"]
    assert not at_a.positions[0].HasField("antigen_match") or at_a.positions[0].antigen_match
    assert answer.detail.overall_category == "Mismatch"
    assert answer.detail.leaders.from_family and not answer.detail.HasField("dpb1_expression")
    only_b = stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=donor, loci=["b"]))
    assert only_b.comparison.mismatches.worst == 0
    # Haplotypes that the frequencies do not hold: unknown is no mismatch.
    odd = "A*01:01+A*01:01^B*44:03+B*44:03^C*05:01+C*05:01^DRB1*15:01+DRB1*15:01"
    unknown = stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=odd)).comparison
    assert unknown.probability_status == common_pb2.PROBABILITY_STATUS_DONOR_UNREPRESENTED
    assert not unknown.HasField("p10")


def test_risk_is_predicted(stub: Any, snapshot: Snapshot) -> None:
    factors = {
        "donor_age_years": pb.FactorValue(number=45),
        "graft_source": pb.FactorValue(level="PB"),
    }
    answer = stub.PredictRisk(pb.PredictRiskRequest(factors=factors))
    _check_provenance(answer, snapshot)
    columns = {"donor_age_years": np.array([45.0]), "graft_source": np.array(["PB"])}
    for risk, model in zip(answer.outcomes, literature_model().outcomes, strict=True):
        expected = predict_risk(model, columns, 1)
        assert (risk.outcome, risk.probability) == (model.name, expected.probability[0])
        assert risk.low < risk.probability < risk.high
        total = risk.intercept + sum(part.log_odds for part in risk.contributions)
        assert total == pytest.approx(np.log(risk.probability / (1 - risk.probability)))
        known = {part.factor: part.known for part in risk.contributions}
        assert known.pop("graft_source", pb.KNOWN_YES) == pb.KNOWN_YES
        assert known.pop("donor_age_years", pb.KNOWN_YES) == pb.KNOWN_YES
        assert set(known.values()) <= {pb.KNOWN_NO}


def test_gvhd_is_not_applicable_to_the_patients_own_cells(stub: Any) -> None:
    factors = {"donor_type": pb.FactorValue(level="autologous")}
    answer = stub.PredictRisk(pb.PredictRiskRequest(factors=factors))
    assert all(risk.not_applicable and risk.probability == 0 for risk in answer.outcomes)


def test_a_promoted_model_is_taken_up_without_a_restart(snapshot: Snapshot, tmp_path: Path) -> None:
    home = Settings(home=tmp_path / "home")
    own = replace(snapshot, home=home, models_version=active_version(home.models))
    with running(own) as address, grpc.insecure_channel(address) as channel:
        _promote_and_damage(stub_of(channel), home.models, tmp_path / "mine")


def _promote_and_damage(stub: Any, models: Path, folder: Path) -> None:
    request = pb.PredictRiskRequest(factors={})
    before = stub.PredictRisk(request)
    assert {risk.outcome for risk in before.outcomes} == {"agvhd_2_4", "agvhd_3_4", "cgvhd"}
    literature = literature_model()
    mine = RiskModel("mine", "fitted", literature.outcomes[:1], "ab" * 32)
    digest = write_model(folder, mine, {})
    add_file(folder, "evaluation-1.json", {"model": digest, "cohort": "cd" * 32})
    compared = {"first": digest, "second": model_hash(literature)}
    add_file(folder, "comparison-1.json", compared)
    promote(models, str(folder))
    after = stub.PredictRisk(request)
    assert [risk.outcome for risk in after.outcomes] == ["agvhd_2_4"]
    assert after.provenance.model.startswith("mine@")
    rollback(models)
    again = stub.PredictRisk(request)
    assert again.provenance == before.provenance and again.outcomes == before.outcomes
    # A promoted model that is damaged: the one before stays in use.
    promote(models, str(folder))
    stub.PredictRisk(request)
    (models / digest / "model.json").write_text("{}")
    active = models / "active.json"
    active.write_text(active.read_text())
    assert stub.PredictRisk(request).provenance == after.provenance
    active.unlink()
    assert stub.PredictRisk(request).provenance == before.provenance


def test_donors_are_allocated(stub: Any, snapshot: Snapshot) -> None:
    edges = [(0, 0, 10), (1, 0, 9), (0, 1, 8)]
    request = pb.AllocateDonorsRequest(
        patients=["p", "q", "r"],
        donors=["x", "y"],
        edges=[pb.Edge(patient=p, donor=d, utility=u) for p, d, u in edges],
    )
    answer = stub.AllocateDonors(request)
    _check_provenance(answer, snapshot)
    unspecified = pb.ALLOCATION_REASON_UNSPECIFIED
    assert [a.not_first_for for a in answer.assignments] == [unspecified] * 3
    assert [(a.patient, a.donor, a.utility) for a in answer.assignments] == [
        ("p", "y", 8),
        ("q", "x", 9),
        ("r", "", 0),
    ]
    assert not answer.assignments[2].HasField("donor")
    assert answer.status == pb.ALLOCATION_STATUS_OPTIMAL
    assert answer.objective == answer.bound == 17
    first, last = answer.explanations
    assert (first.patient, first.allocated, first.best, first.recipient) == ("p", "y", "x", "q")
    assert first.swap_cost == 7 and last.reason == pb.ALLOCATION_REASON_NO_CANDIDATE
    assert not last.HasField("best") and not last.HasField("swap_cost")
    recipients, utility = answer.levels
    assert recipients.objective == pb.ALLOCATION_OBJECTIVE_RECIPIENTS and recipients.reached == 2
    assert (utility.best, utility.bound, utility.least) == (17, 17, 17)


def test_why_it_is_not_the_donor_that_a_search_ranks_first(stub: Any) -> None:
    edges = [(0, 0, 10), (0, 1, 8), (1, 0, 9), (1, 1, 1), (2, 2, 5), (2, 3, 7)]
    answer = stub.AllocateDonors(
        pb.AllocateDonorsRequest(
            patients=["p", "q", "r", "s", "t"],
            donors=["x", "y", "z", "w"],
            edges=[pb.Edge(patient=p, donor=d, utility=u) for p, d, u in edges]
            + [pb.Edge(patient=4, donor=2, utility=1)],
            # The first of q is what it gets; that of r is worth less than what it gets.
            first=["x", "x", "z", "", "z"],
        )
    )
    assert [a.donor for a in answer.assignments] == ["y", "x", "w", "", "z"]
    assert [a.not_first_for for a in answer.assignments] == [
        pb.ALLOCATION_REASON_GIVEN_TO_ANOTHER,
        pb.ALLOCATION_REASON_UNSPECIFIED,
        pb.ALLOCATION_REASON_WORTH_NO_MORE,
        pb.ALLOCATION_REASON_UNSPECIFIED,
        pb.ALLOCATION_REASON_UNSPECIFIED,
    ]


def test_urgency_and_yesterdays_plan_count(stub: Any) -> None:
    edges = [pb.Edge(patient=p, donor=d, utility=u) for p, d, u in ((0, 0, 10), (1, 0, 9))]
    request: dict[str, Any] = {"patients": ["p", "q"], "donors": ["x"], "edges": edges}
    urgent = stub.AllocateDonors(pb.AllocateDonorsRequest(**request, urgency=[1, 2]))
    assert [a.donor for a in urgent.assignments] == ["", "x"] and urgent.objective == 18
    kept = stub.AllocateDonors(
        pb.AllocateDonorsRequest(**request, previous=["gone", "x"], utility_share=0.1)
    )
    assert [a.donor for a in kept.assignments] == ["", "x"]
    assert kept.levels[2].objective == pb.ALLOCATION_OBJECTIVE_STABILITY
    assert (kept.levels[1].best, kept.objective) == (10, 9)
    (row,) = kept.explanations
    assert row.reason == pb.ALLOCATION_REASON_GIVEN_TO_ANOTHER and row.swap_cost == 0


def test_an_allocation_takes_deadlines_status_limits_groups_and_double_units(stub: Any) -> None:
    edges = [(0, 0, 10, 1), (1, 2, 9, None), (2, 3, 8, None), (3, 3, 8, None), (3, 4, 7, None)]
    request: dict[str, Any] = {
        "patients": ["p", "q", "r", "s"],
        "donors": ["x", "y", "z", "w", "v"],
        "edges": [pb.Edge(patient=p, donor=d, utility=u, second=e) for p, d, u, e in edges],
    }
    answer = stub.AllocateDonors(pb.AllocateDonorsRequest(**request))
    given = [(a.donor, a.second) for a in answer.assignments]
    assert given == [("x", "y"), ("z", ""), ("w", ""), ("v", "")]
    one = pb.AllocationLimit(name="centre A", most=1, patients=[0, 1])
    answer = stub.AllocateDonors(
        pb.AllocateDonorsRequest(
            **request, limits=[one], unavailable=[4], deadline_week=[0, 3, 1, 0]
        )
    )
    assert [a.donor for a in answer.assignments] == ["x", "", "w", ""]
    limited, other = answer.explanations
    assert (limited.reason, limited.limit) == (pb.ALLOCATION_REASON_LIMIT_REACHED, "centre A")
    assert (other.patient, other.recipient) == ("s", "r") and other.limit == ""
    fair = stub.AllocateDonors(
        pb.AllocateDonorsRequest(**request, ancestry=["A", "A", "", ""], fairness_share=0)
    )
    level = fair.levels[1]
    assert level.objective == pb.ALLOCATION_OBJECTIVE_FAIRNESS and level.reached == 1_000_000
    kept = stub.AllocateDonors(
        pb.AllocateDonorsRequest(
            **request,
            previous=["y", "gone", "", ""],
            previous_second=["x", "z", "", ""],
        )
    )
    assert kept.levels[2].objective == pb.ALLOCATION_OBJECTIVE_STABILITY
    assert kept.levels[2].reached == 1


LONG = "A*01:01+" + "A*01:01/" * LIMITS.typing_characters


@pytest.mark.parametrize(
    ("typing", "reason"),
    [
        ("", "no locus"),
        ("nonsense", "no locus of a GL string"),
        ("A*01:01", "only one of two positions"),
        ("A*01:01+A*99:99", "A*99:99"),
        ("A*01:01+A*02:01^A*01:01+A*02:01", "given twice"),
        ("X" * 50_000 + "*01:01+01:01", "XXX"),
        (LONG, "longer than"),
    ],
)
def test_a_malformed_typing_is_a_violation_of_its_field(
    stub: Any, typing: str, reason: str
) -> None:
    for field, call in (
        ("typing", lambda: stub.ParseTyping(pb.ParseTypingRequest(typing=typing))),
        ("patient", lambda: list(stub.SearchDonors(pb.SearchDonorsRequest(patient=typing)))),
        ("donor", lambda: stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=typing))),
    ):
        found = _violations(call)
        assert list(found) == [field] and reason in found[field]


def test_every_violation_of_a_search_is_told(stub: Any) -> None:
    request = pb.SearchDonorsRequest(
        patient="A*01:01",
        loci=["A", "DRB9", "A", "A,B"],
        max_mismatches=19,
        batch_size=1001,
        as_of="yesterday",
    )
    found = _violations(lambda: list(stub.SearchDonors(request)))
    assert list(found) == [
        *("patient", "loci[1]", "loci[2]", "loci[3]"),
        *("max_mismatches", "as_of", "batch_size"),
    ]
    assert "DRB9" in found["loci[1]"] and "0 to 18" in found["max_mismatches"]
    many = pb.SearchDonorsRequest(patient=PATIENT, loci=["A"] * 10)
    assert list(_violations(lambda: list(stub.SearchDonors(many)))) == ["loci"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("donor_age", pb.FactorValue(number=1), "donor_age_years"),
        ("graft_source", pb.FactorValue(level="pb"), "one of: PB, BM, CB"),
        ("graft_source", pb.FactorValue(number=1), "one of: PB, BM, CB"),
        ("graft_source", pb.FactorValue(), "one of: PB, BM, CB"),
        ("age_years", pb.FactorValue(level="old"), "a number from 0 to 110"),
        ("age_years", pb.FactorValue(number=111), "a number from 0 to 110"),
        ("age_years", pb.FactorValue(number=float("nan")), "a number from 0 to 110"),
    ],
)
def test_a_wrong_factor_is_a_violation(
    stub: Any, name: str, value: graftmatch_pb2.FactorValue, reason: str
) -> None:
    request = pb.PredictRiskRequest(factors={name: value})
    found = _violations(lambda: stub.PredictRisk(request))
    assert list(found) == [f"factors['{name}']"] and reason in found[f"factors['{name}']"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"patients": ["p", "p"]}, "patients[1]"),
        ({"donors": [""]}, "donors[0]"),
        ({"donors": ["x" * 201]}, "donors[0]"),
        ({"edges": [pb.Edge(patient=1, utility=1)]}, "edges[0].patient"),
        ({"edges": [pb.Edge(utility=1), pb.Edge(donor=4000000000, utility=1)]}, "edges[1].donor"),
        ({"edges": [pb.Edge()]}, "edges[0].utility"),
        ({"edges": [pb.Edge(utility=2**40)]}, "edges[0].utility"),
        ({"edges": [pb.Edge(utility=1), pb.Edge(utility=2)]}, "edges"),
        ({"edges": [pb.Edge(utility=1)] * (LIMITS.edges + 1)}, "edges"),
        ({"urgency": [1, 1]}, "urgency"),
        ({"urgency": [0]}, "urgency[0]"),
        ({"deadline_week": [1, 1]}, "deadline_week"),
        ({"unavailable": [1]}, "unavailable[0]"),
        ({"fairness_share": 2}, "fairness_share"),
        ({"edges": [pb.Edge(patient=0, donor=0, utility=1, second=1)]}, "edges[0].second"),
        ({"limits": [pb.AllocationLimit(name="")]}, "limits[0]"),
        ({"limits": [pb.AllocationLimit(name="L", donors=[0, 0])]}, "limits[0].donors"),
        ({"limits": [pb.AllocationLimit(name="L", patients=[1])]}, "limits[0].patients"),
        ({"previous": ["x", "x"]}, "previous"),
        ({"first": ["x", "x"]}, "first"),
        ({"first": ["x"]}, "first[0]"),
        ({"edges": [pb.Edge(utility=1)], "first": ["y"]}, "first[0]"),
        ({"utility_share": 1.5}, "utility_share"),
    ],
)
def test_a_malformed_allocation_is_a_violation(
    stub: Any, change: dict[str, Any], field: str
) -> None:
    request = pb.AllocateDonorsRequest(**({"patients": ["p"], "donors": ["x"]} | change))
    assert list(_violations(lambda: stub.AllocateDonors(request))) == [field]


def test_an_oversized_message_is_refused(stub: Any) -> None:
    request = pb.ParseTypingRequest(typing="A" * (LIMITS.message_bytes + 1))
    with pytest.raises(grpc.RpcError) as refused:
        stub.ParseTyping(request)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_cancelled_stream_stops_computing(
    stub: Any, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[int] = []
    cancelled = threading.Event()
    batch = search_answers.Search.batch

    def counted(self: search_answers.Search, start: int) -> Any:
        computed.append(start)
        if len(computed) == 2:
            assert cancelled.wait(20)
        return batch(self, start)

    monkeypatch.setattr(search_answers.Search, "batch", counted)
    request = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=12, batch_size=1)
    stream = stub.SearchDonors(request)
    next(stream)
    stream.cancel()
    with pytest.raises(grpc.RpcError):
        next(stream)
    # A later call has been answered, so the server has seen the cancellation.
    _health(channel)
    cancelled.set()
    time.sleep(0.5)
    assert len(computed) <= 2


def test_trouble_of_the_server_is_logged_without_what_it_quotes(
    stub: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> None:
        raise ZeroDivisionError("secret typing")

    monkeypatch.setattr(servicers, "predict_risk", fails)
    with (
        caplog.at_level(logging.ERROR, "graftmatch.service"),
        pytest.raises(grpc.RpcError) as failed,
    ):
        stub.PredictRisk(pb.PredictRiskRequest())
    assert failed.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in failed.value.details()
    assert "ZeroDivisionError" in caplog.text and "secret" not in caplog.text


def test_malformed_requests_are_not_logged(stub: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "graftmatch"):
        _violations(lambda: stub.ParseTyping(pb.ParseTypingRequest(typing="A*01:01+A*99:99")))
    # But that there was a call.
    told = {r.name for r in caplog.records if r.name.startswith("graftmatch")}
    assert told <= {"graftmatch.calls"}


def test_searches_take_the_masses_and_the_sets_of_patient_and_donors(
    home: Path, tmp_path: Path, demo: Nomenclature
) -> None:
    (source,) = read_frequencies("demo")
    settings = Settings(home=tmp_path)
    folder = FrequencyFolder(settings.frequencies)
    rng = np.random.default_rng(3)
    for name in ("X", source.population):
        values = source.frequencies * rng.uniform(0.1, 1, len(source.frequencies))
        one = replace(source, population=name, frequencies=values / values.sum())
        folder.store(one, name, demo, datetime.date(2026, 1, 1), "made up", name, FIVE_LOCI)
    store = Registry(tmp_path / "registry")
    store.import_file(home / "simulated/donors.csv", demo, tmp_path / "rejects")

    def searched(ancestry: str) -> Any:
        facts = pb.PatientFacts(ancestry=ancestry)
        request = pb.SearchDonorsRequest(patient=AMBIGUOUS, max_mismatches=2, patient_facts=facts)
        snapshot = load_snapshot(settings, DEMO_RELEASE)
        with running(snapshot) as address, grpc.insecure_channel(address) as channel:
            (answer,) = stub_of(channel).SearchDonors(request)
        return answer

    in_pairs = {name: searched(name) for name in ("X", source.population, "")}
    sets = load_snapshot(settings, DEMO_RELEASE).sets
    assert sets is not None
    store.fill_masses(demo, sets.masses)
    for name, before in in_pairs.items():
        assert before.missing_masses == before.found > 20 and before.dropped == 0
        answer = searched(name)
        assert answer.missing_masses == 0 and answer.dropped == 0
        p = [[c.comparison.p10 for c in one.candidates] for one in (answer, before)]
        assert p[0] == pytest.approx(p[1], rel=1e-9) and max(p[0]) > 0
        statuses = [
            [c.comparison.probability_status for c in one.candidates] for one in (answer, before)
        ]
        assert statuses[0] == statuses[1]
    of_x, of_own, of_unknown = (one.candidates for one in in_pairs.values())
    p10 = {c.donor: c.comparison.p10 for c in of_own}
    assert any(p10[c.donor] != pytest.approx(c.comparison.p10, rel=1e-3) for c in of_x)
    # Without an ancestry it is the set in use, which was imported last.
    assert p10 == {c.donor: c.comparison.p10 for c in of_unknown}


def test_a_donor_changed_since_the_start_has_no_probabilities(
    tmp_path: Path, demo: Nomenclature
) -> None:
    file = tmp_path / "donors.csv"
    file.write_text(f"id,gl\nD1,{PATIENT}\nD2,{PATIENT}\n")
    store = Registry(tmp_path / "registry")
    store.import_file(file, demo, tmp_path / "rejects")
    loaded = load_snapshot(Settings(home=tmp_path), DEMO_RELEASE)
    file.write_text(f"id,gl\nD2,{PATIENT.replace('A*02:01', 'A*03:01')}\n")
    store.import_file(file, demo, tmp_path / "rejects")
    with running(loaded) as address, grpc.insecure_channel(address) as channel:
        (answer,) = stub_of(channel).SearchDonors(pb.SearchDonorsRequest(patient=PATIENT))
    first, second = (c.comparison for c in answer.candidates)
    assert first.probability_status == common_pb2.PROBABILITY_STATUS_COMPUTED
    assert first.HasField("p10")
    assert second.probability_status == common_pb2.PROBABILITY_STATUS_DONOR_CHANGED
    assert second.mismatches.best == 0 and not second.HasField("p10")


def test_an_empty_registry_is_serving(tmp_path: Path) -> None:
    empty = load_snapshot(Settings(home=tmp_path), DEMO_RELEASE)
    with running(empty) as address, grpc.insecure_channel(address) as channel:
        assert _health(channel) == health_pb2.HealthCheckResponse.SERVING
        for service in SERVICES:
            assert _health(channel, service) == health_pb2.HealthCheckResponse.SERVING
        stub = stub_of(channel)
        answer = stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=PATIENT))
        assert answer.provenance.index == "" and answer.comparison.mismatches.worst == 0
        with pytest.raises(grpc.RpcError) as refused:
            list(stub.SearchDonors(pb.SearchDonorsRequest(patient=PATIENT)))
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "holds no donors" in refused.value.details()


def test_reflection_lists_the_service(channel: grpc.Channel) -> None:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    (answer,) = stub.ServerReflectionInfo(iter([request]))
    names = {service.name for service in answer.list_services_response.service}
    assert {"graftmatch.v1.GraftMatchService", "grpc.health.v1.Health"} <= names


def test_reflection_can_be_switched_off(snapshot: Snapshot) -> None:
    with (
        running(snapshot, reflection=False) as address,
        grpc.insecure_channel(address) as channel,
    ):
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        with pytest.raises(grpc.RpcError) as refused:
            next(stub.ServerReflectionInfo(iter([request])))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_is_one_clear_line(snapshot: Snapshot, host: str, workers: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match="already in use; give another --port") as refused:
            serve(serve_settings(host=host, port=port, workers=workers), lambda: snapshot)
        assert str(port) in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("host", ["192.0.2.1", "no host"])
def test_a_host_that_is_none_is_refused(snapshot: Snapshot, host: str) -> None:
    with pytest.raises(ServerError, match="cannot listen on"):
        serve(serve_settings(host=host, port=0, insecure=EXPOSED), lambda: snapshot)


_SERVE = """
import sys
from pathlib import Path
from service.config import Settings
from service.server_settings import serve_settings
from service.server import serve
from service.snapshot import load_snapshot
settings = Settings(home=Path(sys.argv[1]))
serve(
    serve_settings(port=0),
    lambda: load_snapshot(settings, "demo"),
    lambda port, _: print(port, flush=True),
)
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_at_a_signal_and_the_example_runs(home: Path, number: int) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVE, str(home)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        address = f"127.0.0.1:{int(server.stdout.readline())}"
        example = subprocess.run(
            [sys.executable, str(PROJECT / "examples" / "client.py"), address],
            capture_output=True,
            text=True,
            check=False,
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
        )
        assert example.returncode == 0, example.stderr
        assert "donors, release demo" in example.stdout and "comparison.p10" in example.stdout
        assert "agvhd_2_4: 0." in example.stdout
        shell = subprocess.run(
            ["sh", PROJECT / "examples/client.sh", address, Path(sys.executable).parent / "buf"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert shell.returncode == 0, shell.stderr
        answers = shell.stdout
        assert '"status": "SERVING"' in answers and '"canonical": "A*01:01+A*02:01' in answers
        assert '"overallCategory"' in answers and answers.count('"rank"') == 2
        server.send_signal(number)
        out, err = server.communicate(timeout=20)
        assert (server.returncode, out, err) == (0, "ended\n", "")
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        server.wait()
