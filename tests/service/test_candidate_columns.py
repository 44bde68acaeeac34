"""Candidates by columns are the candidates of a search."""

from __future__ import annotations

import itertools
import math
from typing import Any

import grpc
import pytest

from service.pb.graftmatch.v1 import columns_pb2, common_pb2, graftmatch_pb2
from tests.service.serving import PATIENT
from tests.service.test_jobs import refusal

pb = graftmatch_pb2
_LOCUS = ("matches", "gvh", "hvg")


def as_candidates(columns: columns_pb2.CandidateColumns) -> list[pb.Candidate]:
    """The rows of columns, one value at a time."""
    found = []
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
    found = list(itertools.chain.from_iterable(as_candidates(one.candidates) for one in columns))
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
