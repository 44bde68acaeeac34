"""Candidates by columns are the candidates of a search."""

from __future__ import annotations

import itertools
import math
from typing import Any

import grpc
import pytest

from matching import parts
from matching.search import finding
from service import masses
from service.calls import CURRENT, Call, CallEndedError
from service.convert import columns
from service.pb.graftmatch.v1 import antibodies_pb2, common_pb2, cord_pb2, graftmatch_pb2
from service.search_answers import run_inside
from service.security.caller import ANYONE
from service.snapshot import Snapshot
from tests.service.serving import PATIENT
from tests.service.test_jobs import refusal

pb = graftmatch_pb2
_LOCUS = ("matches", "gvh", "hvg")


def as_crossmatch(columns: antibodies_pb2.CrossmatchColumns, i: int) -> antibodies_pb2.Crossmatch:
    """All but the findings."""
    answers: Any = (columns.answer[i], columns.worst[i])
    message = antibodies_pb2.Crossmatch(
        answer=answers[0],
        worst=answers[1],
        systems=[
            antibodies_pb2.SystemCrossmatch(
                system=one.system, answer=one.answer[i], untyped=bool(one.untyped[i])
            )
            for one in columns.systems
        ],
        problem=columns.problem[i],
    )
    for name in ("p_positive", "p_positive_worst", "cumulative_mfi_low", "cumulative_mfi_high"):
        if not math.isnan(value := getattr(columns, name)[i]):
            setattr(message, name, value)
    return message


def as_cord_unit(columns: cord_pb2.CordColumns, i: int) -> cord_pb2.CordUnit:
    message = cord_pb2.CordUnit(nima=columns.nima[i] if columns.nima else "")
    for name in ("tnc_1e7", "cd34_1e6", "tnc_1e7_per_kg", "cd34_1e6_per_kg"):
        if not math.isnan(value := getattr(columns, name)[i]):
            setattr(message, name, value)
    return message


def as_candidates(answer: pb.StreamCandidatesResponse) -> list[pb.Candidate]:
    """The rows of columns, one value at a time."""
    found = []
    columns = answer.candidates
    for i, donor in enumerate(columns.donors):
        comparison = common_pb2.Comparison(
            **{
                name: common_pb2.Range(
                    best=getattr(columns, f"{name}_best")[i],
                    worst=getattr(columns, f"{name}_worst")[i],
                )
                for name in ("mismatches", "gvh", "hvg")
            },
            loci=[
                common_pb2.LocusComparison(
                    locus=one.locus,
                    **{
                        name: common_pb2.Range(
                            best=getattr(one, f"{name}_best")[i],
                            worst=getattr(one, f"{name}_worst")[i],
                        )
                        for name in _LOCUS
                    },
                    positions=chr(one.position_1[i]) + chr(one.position_2[i]),
                )
                for one in columns.loci
            ],
            dpb1_tce=columns.dpb1_tce[i],
            probability_status=columns.probability_status[i],
        )
        for name in ("p10", "p9", "p8"):
            if not math.isnan(value := getattr(columns, name)[i]):
                setattr(comparison, name, value)
        facts = pb.DonorFacts(**{one.name: one.values[one.codes[i]] for one in columns.facts})
        if not math.isnan(columns.age_years[i]):
            facts.age_years = int(columns.age_years[i])
        if not math.isnan(columns.weight_kg[i]):
            facts.weight_kg = columns.weight_kg[i]
        below = columns.ranked_below_previous_for
        crossmatched = answer.HasField("crossmatches")
        found.append(
            pb.Candidate(
                rank=columns.first_rank + i,
                donor=donor,
                comparison=comparison,
                facts=facts,
                ranked_below_previous_for=below.values[below.codes[i]],
                rank_values=[
                    pb.RankValue(key=one.name, value=one.values[one.codes[i]])
                    for one in columns.rank_values
                ],
                crossmatch=as_crossmatch(answer.crossmatches, i) if crossmatched else None,
                kept_for=answer.crossmatches.kept_for[i] if crossmatched else "",
                cord_unit=as_cord_unit(answer.cord_units, i) if facts.type == "cord" else None,
            )
        )
    return found


@pytest.mark.parametrize(
    "search",
    [
        pb.SearchDonorsRequest(max_mismatches=3, batch_size=7),
        pb.SearchDonorsRequest(
            max_mismatches=10,
            patient_facts=pb.PatientFacts(sex="male", cmv="positive", abo="A", age_years=30),
        ),
        pb.SearchDonorsRequest(max_mismatches=2, without_probabilities=True, limit=5),
        pb.SearchDonorsRequest(max_mismatches=2, loci=["A", "DRB345", "DPB1"], rank_keys=["age"]),
        pb.SearchDonorsRequest(max_mismatches=0, donors=pb.DonorCriteria(registries=["none such"])),
        pb.SearchDonorsRequest(max_mismatches=4, page_size=9, as_of="1950-01-01"),
    ],
)
def test_columns_hold_what_rows_hold(stub: Any, search: pb.SearchDonorsRequest) -> None:
    search.patient = PATIENT
    rows = list(stub.SearchDonors(search))
    columns = list(stub.StreamCandidates(pb.StreamCandidatesRequest(search=search)))
    found = list(itertools.chain.from_iterable(as_candidates(one) for one in columns))
    assert found == [candidate for one in rows for candidate in one.candidates]
    for name in ("provenance", "found", "notes", "as_of", "next_page_token", "missing_masses"):
        assert {str(getattr(one, name)) for one in columns} == {str(getattr(rows[0], name))}
    if search.batch_size:
        assert {len(one.candidates.donors) for one in columns[:-1]} == {search.batch_size}


def test_violations_name_the_field_of_the_inner_message(channel: grpc.Channel, stub: Any) -> None:
    search = pb.SearchDonorsRequest(patient="A*01", max_mismatches=19)
    request = pb.StreamCandidatesRequest(search=search)
    code, found = refusal(lambda: list(stub.StreamCandidates(request)))
    assert (code, list(found)) == ("INVALID_ARGUMENT", ["search.patient", "search.max_mismatches"])


class Gone(Call):
    """A call whose client goes away at one of the checkpoints, which it counts."""

    last: float = math.inf
    checkpoints: int = 0

    def may_stop(self) -> bool:
        self.checkpoints += 1
        return self.checkpoints > self.last


def streamed(
    snapshot: Snapshot, search: pb.SearchDonorsRequest, last: float
) -> tuple[int, list[bytes] | None]:
    """How many checkpoints were passed, and the batches, None where it stopped."""
    call = Gone("StreamCandidates", "0", ANYONE)
    call.last = last
    outside = CURRENT.set(call)
    try:
        found = run_inside(snapshot, pb.StreamCandidatesRequest(search=search))
        batches = [found.columns_batch(i).SerializeToString() for i in found.begins(1000)]
        return call.checkpoints, batches
    except CallEndedError:
        return call.checkpoints, None
    finally:
        CURRENT.reset(outside)


REPORT = antibodies_pb2.SearchAntibodies(
    report=antibodies_pb2.AntibodyReport(unacceptable=["A*02:01"]), exclude_positive=True
)


@pytest.mark.parametrize(
    "asked",
    [
        pb.SearchDonorsRequest(without_probabilities=True),
        pb.SearchDonorsRequest(),
        pb.SearchDonorsRequest(without_probabilities=True, antibodies=REPORT),
    ],
)
def test_a_stream_stops_at_the_checkpoint_after_its_client_has_gone(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch, asked: pb.SearchDonorsRequest
) -> None:
    search = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=10)
    search.MergeFrom(asked)
    usual, batches = streamed(snapshot, search, math.inf)
    assert batches is not None
    for module, name in (
        (parts, "ROWS_AT_ONCE"),
        (columns, "IDS_AT_ONCE"),
        (finding, "CHUNK"),
        (masses, "_BY_MASSES"),
    ):
        monkeypatch.setattr(module, name, 50)
    # There are 300 donors: more parts, more checkpoints, and the same answer.
    number, in_parts = streamed(snapshot, search, math.inf)
    assert number > usual + 9 * 5 * 3
    assert in_parts == batches
    for last in range(0, number, 1 + number // 40):
        assert streamed(snapshot, search, last) == (last + 1, None)
