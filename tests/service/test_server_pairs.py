"""Many pairs at once over a real channel: compared as one by one, and predicted in full."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.haplotypes import Imputer, NullImputation, Resolution, classes
from matching.loci import LOCI
from matching.nomenclature import Nomenclature
from matching.probability import predict
from matching.typings import parse_typing
from service import calls, pair_answers
from service.convert import read_gl
from service.convert.requests import Limits
from service.convert_pairs import match_request, pairs_request
from service.masses import GenotypeLimits
from service.pair_scores import PairScorer
from service.pb.graftmatch.v1 import common_pb2, prediction_pb2
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.snapshot import Snapshot
from service.status import RequestError
from tests.service.serving import PATIENT, running, stub_of

OTHER = PATIENT.replace("A*02:01", "A*03:01")
# Haplotypes that the frequencies do not hold.
ODD = "A*01:01+A*01:01^B*44:03+B*44:03^C*05:01+C*05:01^DRB1*15:01+DRB1*15:01"
FIVE = ["A", "C", "B", "DRB1", "DQB1"]
CHECKPOINT = calls.checkpoint
COMPUTED = common_pb2.PROBABILITY_STATUS_COMPUTED


def violations(call: Callable[[], object]) -> dict[str, str]:
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT, error.value.details()
    (detail,) = rpc_status.from_call(error.value).details
    bad = error_details_pb2.BadRequest()
    assert detail.Unpack(bad)
    return {violation.field: violation.description for violation in bad.field_violations}


@pytest.fixture(scope="module")
def typings(snapshot: Snapshot) -> list[str]:
    """Reported typings of some donors of the registry."""
    assert snapshot.search is not None
    ids = snapshot.search.index.ids(np.arange(12))
    return list(snapshot.search.registry.typings(ids).values())


def test_pairs_are_scored_as_one_by_one(stub: Any, snapshot: Snapshot, typings: list[str]) -> None:
    patients, donors = [PATIENT, ODD, typings[0]], [PATIENT, OTHER, *typings]
    request = pb.ScorePairsRequest(patients=patients, donors=donors, with_details=True)
    answer = stub.ScorePairs(request)
    assert (
        answer.provenance
        == stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=OTHER)).provenance
    )
    at = [(pair.patient, pair.donor) for pair in answer.pairs]
    assert at == [(p, d) for p in range(len(patients)) for d in range(len(donors))]
    statuses = set()
    for pair in answer.pairs:
        one = pb.ScorePairRequest(patient=patients[pair.patient], donor=donors[pair.donor])
        alone = stub.ScorePair(one)
        statuses.add(alone.comparison.probability_status)
        assert not pair.problem and pair.detail == alone.detail
        for name in ("p10", "p9", "p8"):
            assert pair.comparison.HasField(name) == alone.comparison.HasField(name)
            found, expected = getattr(pair.comparison, name), getattr(alone.comparison, name)
            assert found == pytest.approx(expected, abs=1e-12)
            pair.comparison.ClearField(name)
            alone.comparison.ClearField(name)
        assert pair.comparison == alone.comparison
    assert len(statuses) > 1
    listed = [pb.PairToScore(patient=2, donor=3), pb.PairToScore(patient=0, donor=1)]
    listed.append(listed[0])
    fields: dict[str, Any] = {"pairs": listed, "loci": ["B", "A"], "without_probabilities": True}
    some = stub.ScorePairs(pb.ScorePairsRequest(patients=patients, donors=donors, **fields))
    assert [(p.patient, p.donor) for p in some.pairs] == [(2, 3), (0, 1), (2, 3)]
    assert some.pairs[0] == some.pairs[2] and not some.pairs[0].HasField("detail")
    for pair in some.pairs:
        assert pair.comparison.probability_status == common_pb2.PROBABILITY_STATUS_NOT_REQUESTED
        at_two = [one for one in pair.comparison.loci if one.locus in "AB"]
        assert pair.comparison.mismatches.best == 4 - sum(one.matches.best for one in at_two)


def test_a_typing_that_cannot_be_read_spoils_its_pairs_alone(stub: Any) -> None:
    request = pb.ScorePairsRequest(
        patients=[PATIENT, "A*01:01+"], donors=["x", OTHER, "A" * 100_001, ""]
    )
    answer = stub.ScorePairs(request)
    assert [bool(pair.problem) for pair in answer.pairs] == [True, False, *[True] * 6]
    assert answer.pairs[1].comparison.mismatches.best == 1
    for pair in answer.pairs:
        assert pair.HasField("comparison") is not bool(pair.problem)
    assert answer.pairs[0].problem.startswith("donor: ")
    assert answer.pairs[2].problem == "donor: longer than 100,000 characters"
    assert answer.pairs[4].problem.startswith("patient: locus A: 'A*01:01+'")
    assert "; donor: " in answer.pairs[4].problem and "donor" not in answer.pairs[5].problem


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({}, ["patients", "donors"], "must be 1 to 1,000 typings"),
        ({"patients": [PATIENT]}, ["donors"], "must be 1 to 1,000 typings"),
        ({"patients": ["x"] * 1001, "donors": ["x"], "pairs": [{}]}, ["patients"], "1 to 1,000"),
        ({"patients": ["x"] * 40, "donors": ["x"] * 40}, ["pairs"], "more than 1,000 pairs"),
        ({"patients": ["x"], "donors": ["x"], "pairs": [{}] * 1001}, ["pairs"], "more than"),
        (
            {"patients": ["x"], "donors": ["x"], "pairs": [{}, {"donor": 1, "patient": 7}]},
            *(["pairs[1].patient", "pairs[1].donor"], "must be below 1"),
        ),
        ({"patients": ["x"], "donors": ["x"], "loci": ["Q"]}, ["loci[0]"], "not a matched locus"),
    ],
)
def test_pairs_that_cannot_be_scored(
    stub: Any, fields: dict[str, Any], field: list[str], reason: str
) -> None:
    found = violations(lambda: stub.ScorePairs(pb.ScorePairsRequest(**fields)))
    assert list(found) == field and all(reason in text for text in found.values())


def person(typing: str, **facts: str) -> prediction_pb2.TypedPerson:
    return prediction_pb2.TypedPerson(typing=typing, **facts)


def predicted(stub: Any, patient: str, donors: list[str], **fields: Any) -> Any:
    people = [person(donor) for donor in donors]
    request = prediction_pb2.PredictMatchRequest(patient=person(patient), donors=people, **fields)
    return stub.PredictMatch(request)


@pytest.mark.parametrize("nulls", list(NullImputation))
def test_a_prediction_in_full(
    stub: Any, snapshot: Snapshot, demo: Nomenclature, typings: list[str], nulls: NullImputation
) -> None:
    value = prediction_pb2.NullImputation.Value(f"NULL_IMPUTATION_{nulls.name}")
    donors = [PATIENT, *typings, ODD]
    answer = predicted(stub, PATIENT, donors, null_imputation=value)
    assert answer.provenance.frequency_set == "demo" and not answer.patient_recombined
    assert snapshot.sets is not None
    frequencies = snapshot.sets.under.populations.shared
    imputer = Imputer(frequencies, demo, nulls, Resolution.P_GROUP)
    imputed = imputer.impute(map(parse_typing, donors))
    expected = predict(imputer, imputer.impute_one(parse_typing(PATIENT))[:2], imputed)
    computed = 0
    for row, found in enumerate(answer.predictions):
        if not imputed.mass[row]:
            assert found.status == common_pb2.PROBABILITY_STATUS_DONOR_UNREPRESENTED
            assert found.problem.startswith("unrepresented") and not found.mismatches
            continue
        computed += 1
        assert found.status == COMPUTED and not found.problem and not found.donor_recombined
        for name, values in (
            ("mismatches", expected.p_total),
            ("gvh", expected.p_gvh),
            ("hvg", expected.p_hvg),
        ):
            np.testing.assert_allclose(getattr(found, name), values[row], atol=1e-12)
            assert len(getattr(found, name)) == 11
        assert sum(found.mismatches) == pytest.approx(1)
        assert [locus.locus for locus in found.loci] == [
            locus.value for locus in LOCI if locus.value in FIVE
        ]
        columns = [locus.value for locus in frequencies.loci]
        for locus in found.loci:
            column = expected.p_locus[row, columns.index(locus.locus)]
            np.testing.assert_allclose(locus.matches, column, atol=1e-12)
        mean = sum(2 - sum(k * p for k, p in enumerate(locus.matches)) for locus in found.loci)
        assert sum(k * p for k, p in enumerate(found.mismatches)) == pytest.approx(mean)
    assert computed > 8 and answer.predictions[-1].status != COMPUTED
    if nulls is NullImputation.TYPED:
        pair = stub.ScorePair(pb.ScorePairRequest(patient=PATIENT, donor=donors[1])).comparison
        first = list(answer.predictions[1].mismatches)[:3]
        assert first == pytest.approx([pair.p10, pair.p9, pair.p8])


VAGUE = "A*01:01+A*02:01^B*08:01+B*44:02"


def test_ambiguous_people_are_predicted_by_class(
    stub: Any, typings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same, but for a direction that would take too long."""
    donors = [VAGUE, *typings]
    usual = predicted(stub, VAGUE, donors).predictions
    monkeypatch.setattr(pair_answers, "MOST_LISTED", 0)
    for limit, is_known in ((5_000_000, True), (1, False)):
        monkeypatch.setattr(pair_answers, "LIMITS", Limits(genotypes=GenotypeLimits(20_000, limit)))
        by_class = predicted(stub, VAGUE, donors).predictions
        computed = 0
        for one, other in zip(usual, by_class, strict=True):
            if other.status != COMPUTED:
                # Several haplotype pairs on both sides.
                assert other.status == common_pb2.PROBABILITY_STATUS_TOO_AMBIGUOUS
                continue
            computed += 1
            assert one.status == COMPUTED and other.dropped == 0
            np.testing.assert_allclose(other.mismatches, one.mismatches, atol=1e-12)
            for locus, same in zip(one.loci, other.loci, strict=True):
                np.testing.assert_allclose(same.matches, locus.matches, atol=1e-12)
            # The patient has many haplotype pairs, such donors one.
            assert len(other.gvh) == (11 if is_known else 0) and len(other.hvg) == 11
            np.testing.assert_allclose(other.hvg, one.hvg, atol=1e-12)
            if is_known:
                np.testing.assert_allclose(other.gvh, one.gvh, atol=1e-12)
        assert (computed == len(donors)) if is_known else (2 < computed < len(donors))


def test_what_was_cut_bounds_a_prediction(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (exact,) = predicted(stub, VAGUE, [VAGUE]).predictions
    monkeypatch.setattr(pair_answers, "MOST_LISTED", 0)
    monkeypatch.setattr(classes, "MAX_PAIRS", 1)
    (cut,) = predicted(stub, VAGUE, [VAGUE]).predictions
    assert cut.status == COMPUTED and 0 < cut.dropped < 1 and exact.dropped == 0
    low, true = np.array(cut.mismatches), np.array(exact.mismatches)
    assert (low <= true + 1e-12).all() and (true <= low + cut.dropped + 1e-12).all()


def test_people_who_are_not_represented(stub: Any) -> None:
    answer = predicted(stub, ODD, [PATIENT, "x", OTHER])
    statuses = [one.status for one in answer.predictions]
    unrepresented = common_pb2.PROBABILITY_STATUS_PATIENT_UNREPRESENTED
    assert statuses == [unrepresented, common_pb2.PROBABILITY_STATUS_UNSPECIFIED, unrepresented]
    assert answer.predictions[0].problem.startswith("patient: unrepresented")
    assert answer.predictions[1].problem.startswith("typing: ")
    # From parts of haplotypes.
    answer = predicted(stub, ODD, [PATIENT, ODD], recombine=True)
    assert [one.status for one in answer.predictions] == [COMPUTED] * 2
    assert "|" in answer.patient_recombined
    assert not answer.predictions[0].donor_recombined
    assert answer.predictions[1].donor_recombined == answer.patient_recombined
    assert answer.predictions[1].mismatches[0] > 0


def test_without_a_frequency_set(snapshot: Snapshot) -> None:
    pairs = PairScorer(snapshot.nomenclature, snapshot.proteins, None)
    bare = replace(snapshot, sets=None, pairs=pairs)
    with running(bare) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        answer = predicted(stub, PATIENT, [OTHER, "x"])
        assert [one.status for one in answer.predictions] == [
            *(common_pb2.PROBABILITY_STATUS_NO_FREQUENCY_SET,),
            *(common_pb2.PROBABILITY_STATUS_UNSPECIFIED,),
        ]
        request = pb.ScorePairsRequest(patients=[PATIENT], donors=[OTHER])
        (pair,) = stub.ScorePairs(request).pairs
        status = pair.comparison.probability_status
        assert status == common_pb2.PROBABILITY_STATUS_NO_FREQUENCY_SET
        assert pair.comparison.mismatches.best == 1 and not pair.comparison.HasField("p10")


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"patient": person("x")}, "patient.typing", "locus"),
        ({"patient": person(PATIENT, ancestry="x" * 201)}, "patient.ancestry", "at most 200"),
        ({"patient": person(PATIENT, registry="\n\t\0x")}, "patient.registry", "must be text"),
        ({"donors": []}, "donors", "1 to 1,000"),
        ({"donors": [person(PATIENT)] * 1001}, "donors", "1 to 1,000"),
        ({"null_imputation": 9}, "null_imputation", "none that this server knows"),
    ],
)
def test_a_prediction_that_cannot_be(
    stub: Any, fields: dict[str, Any], field: str, reason: str
) -> None:
    usual: dict[str, Any] = {"patient": person(PATIENT), "donors": [person(PATIENT)]}
    request = prediction_pb2.PredictMatchRequest(**(usual | fields))
    found = violations(lambda: stub.PredictMatch(request))
    assert list(found) == [field] and reason in found[field]


def waiting(begun: threading.Event, gone: threading.Event, stopped: threading.Event) -> None:
    """A checkpoint that is passed when the caller has gone."""
    begun.set()
    assert gone.wait(20)
    try:
        CHECKPOINT()
    except calls.CallEndedError:
        stopped.set()
        raise


def test_work_on_pairs_stops_with_its_call(
    stub: Any, monkeypatch: pytest.MonkeyPatch, typings: list[str]
) -> None:
    """At the next five donors."""
    for rpc in ("ScorePairs", "PredictMatch"):
        begun, gone, stopped = (threading.Event() for _ in range(3))

        with monkeypatch.context() as patched:
            patched.setattr(calls, "checkpoint", partial(waiting, begun, gone, stopped))
            if rpc == "ScorePairs":
                call = stub.ScorePairs.future(
                    pb.ScorePairsRequest(patients=[PATIENT], donors=typings)
                )
            else:
                people = [person(typing) for typing in typings]
                call = stub.PredictMatch.future(
                    prediction_pb2.PredictMatchRequest(patient=person(PATIENT), donors=people),
                    timeout=0.5,
                )
            assert begun.wait(20)
            if rpc == "ScorePairs":
                call.cancel()
            else:
                assert call.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            threading.Timer(0.3, gone.set).start()
            assert stopped.wait(20), rpc


@settings(max_examples=200)
@given(st.data())
def test_any_request_is_read_or_refused(demo: Nomenclature, data: st.DataObject) -> None:
    texts = st.lists(st.sampled_from([PATIENT, "", "x", "A*01:01+A*01:01"]), max_size=3)
    numbers = st.integers(0, 4)
    pairs = st.lists(st.builds(pb.PairToScore, patient=numbers, donor=numbers), max_size=3)
    scored = pb.ScorePairsRequest(
        patients=data.draw(texts), donors=data.draw(texts), pairs=data.draw(pairs)
    )
    try:
        read = pairs_request(
            pb.ScorePairsRequest.FromString(scored.SerializeToString()),
            partial(read_gl, nomenclature=demo),
        )
    except RequestError as error:
        assert error.violations  # noqa: PT017
    else:
        asked = [(p.patient, p.donor) for p in scored.pairs]
        assert asked in ([], list(read.pairs))
        for p, d in read.pairs:
            unread = read.patients.read[p] is None or read.donors.read[d] is None
            assert bool(read.problem(p, d)) is unread
    people = st.builds(person, st.sampled_from([PATIENT, "x"]), ancestry=st.text(max_size=3))
    asked_for = prediction_pb2.PredictMatchRequest(
        patient=data.draw(people),
        donors=data.draw(st.lists(people, max_size=3)),
        null_imputation=data.draw(st.sampled_from(list(prediction_pb2.NullImputation.values()))),
    )
    read_match = partial(match_request, asked_for, demo)
    try:
        request = read_match()
    except RequestError as error:
        assert error.violations  # noqa: PT017
    else:
        assert len(request.donors) == len(request.problems) == len(asked_for.donors)
        for i, donor in enumerate(request.donors):
            assert (donor is None) is bool(request.problems[i])
            assert donor is None or donor.id == str(i)
