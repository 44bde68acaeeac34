"""Antibodies and rules of cord units in searches over a channel: the answers of the commands."""

from __future__ import annotations

import itertools
import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.nomenclature import Nomenclature
from service.antibodies import ReportReader
from service.client import connect, stream_frame
from service.convert.antibodies import ANSWERS, bead_message, read_report
from service.pb.graftmatch.v1 import antibodies_pb2 as ab
from service.pb.graftmatch.v1 import (
    audit_pb2,
    cord_pb2,
    graftmatch_pb2,
    jobs_pb2,
    saved_searches_pb2,
)
from service.security.audit import audit_key, record_hash
from service.snapshot import Snapshot
from service.status import Violation
from tests.service.antibody_reports import BEADS, REPORT, crossmatch_row
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running, stub_of
from tests.service.test_candidate_columns import as_candidates
from tests.service.test_jobs import ended, jobs_of, refusal, results
from tests.service.test_saved_search_calls import searches_of
from tests.service.test_server_audit import lines

pb = graftmatch_pb2
DAY = "2026-01-01"
MATCH = ("match", "--patient", PATIENT, "--release", "demo", "--as-of", DAY)
FACTS = pb.PatientFacts(weight_kg=70)
WEIGHT = ("--patient-facts", "weight_kg=70")


def search_of(**fields: Any) -> pb.SearchDonorsRequest:
    given = {"max_mismatches": 3, **fields}
    return pb.SearchDonorsRequest(patient=PATIENT, as_of=DAY, **given)


def with_antibodies(**fields: Any) -> ab.SearchAntibodies:
    return ab.SearchAntibodies(**{"report": REPORT, **fields})


def candidates_of(stub: Any, search: pb.SearchDonorsRequest) -> list[pb.Candidate]:
    return [one for answer in stub.SearchDonors(search) for one in answer.candidates]


def matched(run: Run, out: Path, *options: object) -> pd.DataFrame:
    """The table of `graftmatch match`."""
    code, _, error = run(*MATCH, *options, "--out", out)
    assert code == 0, error
    return pd.read_csv(out, keep_default_na=False, na_values=[""])


def check_crossmatches(found: list[pb.Candidate], table: pd.DataFrame) -> None:
    """Candidates are those of a file, in their order, with the same crossmatches."""
    assert [one.donor for one in found] == table["donor"].tolist() and len(found) > 20
    rows = pd.DataFrame([crossmatch_row(one.crossmatch) for one in found]).add_prefix("antibody_")
    expected = table[list(rows.columns)].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, expected, check_dtype=False, rtol=1e-9)


def test_a_search_with_antibodies_is_that_of_the_command(
    run: Run, own: Any, beads_file: Path, tmp_path: Path
) -> None:
    options = ("--antibodies", beads_file, "--max-mismatches", 10, "--cumulative-mfi", 9500)
    table = matched(run, tmp_path / "t.csv", *options)
    limits = ab.AntibodyReport(beads=BEADS, cumulative_mfi_cut_off=9500)
    search = search_of(max_mismatches=10, antibodies=with_antibodies(report=limits))
    answers = list(own.SearchDonors(search))
    found = [one for answer in answers for one in answer.candidates]
    check_crossmatches(found, table)
    assert {one.crossmatch.answer for one in found} == set(ANSWERS.values())
    assert any(0 < one.crossmatch.p_positive < 1 for one in found)
    assert [one.rank_values[0].key for one in found] == ["antibody"] * len(found)
    out = tmp_path / "t.json"
    assert run(*MATCH, *options, "--out", out)[0] == 0
    stated = json.loads(out.read_text())["antibodies"]
    told = answers[0].antibodies
    assert (told.mfi_cut_off, told.cumulative_mfi_cut_off) == (1000, 9500)
    assert list(told.own_type) == stated["own_type"]["patient"] != []
    assert any("B*07:02: reported as negative" in note for note in told.notes)
    counts = {name: getattr(told.registry, name) for name in stated["registry"]["patient"]}
    assert counts == stated["registry"]["patient"] and sum(counts.values()) == 300
    assert told.registry.pra_low == counts["positive"] / 300
    assert told.registry.pra_high == (counts["positive"] + counts["open"]) / 300 > 0


def test_evidence_goes_back_to_the_beads(own: Any) -> None:
    found = candidates_of(own, search_of(antibodies=with_antibodies()))
    findings = [f for one in found for f in one.crossmatch.findings]
    assert {f.answer for f in findings} == set(ANSWERS.values())
    assert all(f.molecules and f.basis for f in findings)
    seen = set()
    for finding in findings:
        for bead in finding.beads:
            assert bead.bead == BEADS[bead.position]
            seen.add(bead.position)
        if finding.answer == ab.CROSSMATCH_ANSWER_POSITIVE:
            assert finding.beads
    assert {0, 1, 4} <= seen
    allele = next(f for f in findings if list(f.molecules) == ["A*02:01"])
    assert allele.basis == "bead of the allele" and [b.position for b in allele.beads] == [0]


def test_unacceptable_antigens_are_positive(own: Any) -> None:
    listed = ab.AntibodyReport(unacceptable=["A*02:01", " B*08:01"])
    found = candidates_of(own, search_of(antibodies=with_antibodies(report=listed)))
    carried = [one for one in found if one.crossmatch.answer == ab.CROSSMATCH_ANSWER_POSITIVE]
    assert carried
    beads = {
        (b.bead.antigen_or_allele, b.position)
        for one in carried
        for finding in one.crossmatch.findings
        for b in finding.beads
    }
    assert beads <= {("A*02:01", 0), ("B*08:01", 1)} and beads


def test_pages_and_columns_hold_what_rows_hold(own: Any) -> None:
    kept = [ab.KeptDonor(donor="D00000001", reason="asked for")]
    asked = with_antibodies(exclude_positive=True, kept=kept)
    search = search_of(max_mismatches=8, antibodies=asked, patient_facts=FACTS)
    answers = list(own.SearchDonors(search))
    whole = [one for answer in answers for one in answer.candidates]
    assert len(whole) > 30 and answers[0].antibodies.HasField("registry")
    paged = pb.SearchDonorsRequest(page_size=13)
    paged.MergeFrom(search)
    found: list[pb.Candidate] = []
    while True:
        page = list(own.SearchDonors(paged))
        assert page[0].antibodies.HasField("registry") == (not paged.page_token)
        assert page[0].antibodies.excluded == answers[0].antibodies.excluded > 0
        found += [one for answer in page for one in answer.candidates]
        if not page[0].next_page_token:
            break
        paged.page_token = page[0].next_page_token
    assert found == whole
    columns = list(own.StreamCandidates(pb.StreamCandidatesRequest(search=search)))
    assert columns[0].antibodies == answers[0].antibodies
    by_columns = list(itertools.chain.from_iterable(map(as_candidates, columns)))
    for one in whole:
        # Columns tell the evidence in words.
        del one.crossmatch.findings[:]
        del one.crossmatch.imputed[:]
    assert by_columns == whole
    table = stream_frame(columns)
    assert table["donors"].tolist() == [one.donor for one in whole]
    told = [ab.CrossmatchAnswer.Name(one.crossmatch.answer) for one in whole]
    assert table["crossmatch.answer"].tolist() == told
    of_a = [ab.CrossmatchAnswer.Name(one.crossmatch.systems[0].answer) for one in whole]
    assert table["crossmatch.A.answer"].tolist() == of_a
    cells = [one.cord_unit.tnc_1e7 for one in whole if one.cord_unit.HasField("tnc_1e7")]
    assert table["cord.tnc_1e7"].dropna().tolist() == cells != []
    texts = [text for one in columns for text in one.crossmatches.evidence]
    assert len(texts) == len(whole) and any(
        "bead of the allele: A*02:01 MFI 9,000" in t for t in texts
    )
    # A page goes on under the same report alone.
    paged.antibodies.report.mfi_cut_off = 1001
    code, wrong = refusal(lambda: list(own.SearchDonors(paged)))
    assert code == "INVALID_ARGUMENT" and "the criteria changed" in wrong["page_token"]


def test_positive_donors_are_left_out_and_overrides_written_down(
    run: Run, own_snapshot: Snapshot, beads_file: Path, tmp_path: Path
) -> None:
    log = tmp_path / "audit.jsonl"
    with running(own_snapshot, audit_log=log) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        everyone = candidates_of(stub, search_of(antibodies=with_antibodies()))
        positive = [
            one.donor for one in everyone if one.crossmatch.answer == ab.CROSSMATCH_ANSWER_POSITIVE
        ]
        kept = [ab.KeptDonor(donor=positive[0], reason=" ZZMARK no other donor ")]
        asked = with_antibodies(exclude_positive=True, kept=kept)
        answers = list(stub.SearchDonors(search_of(antibodies=asked)))
        stream = pb.StreamCandidatesRequest(search=search_of(antibodies=asked))
        columns = list(stub.StreamCandidates(stream))
    found = [one for answer in answers for one in answer.candidates]
    keep = ("--keep-donor", f"{positive[0]}=ZZMARK no other donor")
    options = ("--antibodies", beads_file, "--exclude-positive", *keep, "--max-mismatches", 3)
    table = matched(run, tmp_path / "t.csv", *options)
    check_crossmatches(found, table)
    assert {one.donor for one in everyone} - {one.donor for one in found} == set(positive[1:])
    assert answers[0].antibodies.excluded == len(positive) - 1 > 0
    reasons = {one.donor: one.kept_for for one in found if one.kept_for}
    assert reasons == {positive[0]: "ZZMARK no other donor"}
    assert list(columns[0].crossmatches.kept_for).count("ZZMARK no other donor") == 1
    marked = [line for line in lines(log) if line.get("override")]
    key = audit_key(tmp_path / "audit.jsonl.key")
    assert [line["rpc"] for line in marked] == ["SearchDonors", "StreamCandidates"]
    assert {tuple(line["records"]) for line in marked} == {(record_hash(key, positive[0]),)}
    assert "ZZMARK" not in log.read_text()
    with running(own_snapshot, audit_log=log) as address, connect(address, insecure=True) as client:
        told = client.read_audit_log(audit_pb2.ReadAuditLogRequest(record=positive[0]))
        entries = [entry for answer in told for entry in answer.entries]
    overridden = [entry.rpc for entry in entries if entry.override]
    assert overridden == ["SearchDonors", "StreamCandidates"] and len(entries) > 2


@pytest.mark.parametrize(
    ("rule", "number", "most"),
    [(cord_pb2.CORD_RULE_SIX, "6", None), (cord_pb2.CORD_RULE_EIGHT, "8", 4)],
)
def test_a_rule_of_cord_units_is_that_of_the_command(
    run: Run, own: Any, tmp_path: Path, rule: Any, number: str, most: int | None
) -> None:
    options = () if most is None else ("--max-mismatches", most)
    limits = ("--min-tnc", 1.5, "--min-cd34", 0.05)
    table = matched(run, tmp_path / "t.csv", "--cord-rule", number, *options, *limits, *WEIGHT)
    search = search_of(
        max_mismatches=0,
        cord=cord_pb2.CordSearch(rule=rule, max_mismatches=most),
        donors=pb.DonorCriteria(min_tnc_1e7_per_kg=1.5, min_cd34_1e6_per_kg=0.05),
        patient_facts=FACTS,
    )
    found = candidates_of(own, search)
    assert [one.donor for one in found] == table["donor"].tolist() and len(found) > 10
    for one, row in zip(found, table.to_dict(orient="records"), strict=True):
        values = {value.key: value.value for value in one.rank_values}
        assert values["tnc"] == row["rank_tnc"] and values["cd34"] == row["rank_cd34"]
        unit = one.cord_unit
        for name in ("tnc_1e7", "cd34_1e6"):
            assert unit.HasField(name) == (not math.isnan(row[name]))
            if unit.HasField(name):
                assert getattr(unit, name) == row[name]
                assert getattr(unit, f"{name}_per_kg") == pytest.approx(row[name] / 70)
        assert unit.nima == ("" if pd.isna(row["nima"]) else row["nima"])
    assert any("unknown" in one.cord_unit.nima for one in found)
    columns = list(own.StreamCandidates(pb.StreamCandidatesRequest(search=search)))
    assert list(itertools.chain.from_iterable(map(as_candidates, columns))) == found


VIOLATIONS: list[tuple[pb.SearchDonorsRequest, dict[str, str]]] = [
    (
        search_of(antibodies=with_antibodies(report=ab.AntibodyReport())),
        {"antibodies.report.beads": "give beads"},
    ),
    (
        search_of(
            antibodies=with_antibodies(
                report=ab.AntibodyReport(beads=BEADS, unacceptable=["A*02:01"])
            )
        ),
        {"antibodies.report.beads": "not both"},
    ),
    (
        search_of(
            antibodies=with_antibodies(
                report=ab.AntibodyReport(
                    beads=[
                        *BEADS[:1],
                        ab.AntibodyBead(antigen_or_allele="A99", mfi=1),
                        ab.AntibodyBead(antigen_or_allele="A*02:01"),
                        ab.AntibodyBead(antigen_or_allele="A*02:01", mfi=-1),
                        ab.AntibodyBead(antigen_or_allele="A*02:01", mfi=1, date="today"),
                        ab.AntibodyBead(antigen_or_allele="A*02:01", result=9),  # type: ignore[arg-type]
                        ab.AntibodyBead(antigen_or_allele="A*02:01", mfi=1, kit="x" * 201),
                        ab.AntibodyBead(mfi=math.nan),
                    ],
                    mfi_cut_off=0,
                )
            )
        ),
        {
            "antibodies.report.mfi_cut_off": "above 0",
            "antibodies.report.beads[1].antigen_or_allele": "A99",
            "antibodies.report.beads[2].mfi": "neither MFI nor result",
            "antibodies.report.beads[3].mfi": "no number from 0",
            "antibodies.report.beads[4].date": "no day",
            "antibodies.report.beads[5].result": "none that this server knows",
            "antibodies.report.beads[6].kit": "more than 200",
            "antibodies.report.beads[7].antigen_or_allele": "blank",
        },
    ),
    (
        search_of(
            antibodies=with_antibodies(
                report=ab.AntibodyReport(unacceptable=["A*02:01", "Foo"]),
                kept=[
                    ab.KeptDonor(donor="D1"),
                    ab.KeptDonor(reason="x"),
                    ab.KeptDonor(donor="D1", reason="x" * 501),
                ],
            )
        ),
        {
            "antibodies.report.unacceptable[1]": "Foo",
            "antibodies.kept": "nobody is left out",
            "antibodies.kept[0].reason": "1 to 500",
            "antibodies.kept[1].donor": "1 to 200",
            "antibodies.kept[2].reason": "1 to 500",
            "antibodies.kept[2].donor": "twice",
        },
    ),
    (
        search_of(
            antibodies=with_antibodies(report=ab.AntibodyReport(unacceptable=["A*02:01"] * 10_001))
        ),
        {"antibodies.report.unacceptable": "more than 10,000"},
    ),
    (
        search_of(
            cord=cord_pb2.CordSearch(rule=cord_pb2.CORD_RULE_SIX, max_mismatches=19),
            loci=["A"],
            donors=pb.DonorCriteria(types=["adult", "cord"]),
        ),
        {
            "loci": "must be empty",
            "max_mismatches": "must be empty",
            "cord.max_mismatches": "0 to 18",
            "donors.types": "cord units alone",
        },
    ),
    (
        search_of(max_mismatches=0, cord=cord_pb2.CordSearch()),
        {"cord.rule": "name a rule"},
    ),
]


def test_what_cannot_be_searched(stub: Any) -> None:
    for search, expected in VIOLATIONS:
        code, found = refusal(partial(list, stub.SearchDonors(search)))
        assert code == "INVALID_ARGUMENT" and list(found) == list(expected)
        for field, reason in expected.items():
            assert reason in found[field], (field, found[field])


def test_jobs_and_saved_searches_take_rules_of_units(
    run: Run, own: Any, own_channel: grpc.Channel, registry: Path, tmp_path: Path
) -> None:
    rule = cord_pb2.CordSearch(rule=cord_pb2.CORD_RULE_EIGHT)
    searches = searches_of(own_channel)
    search = search_of(max_mismatches=0, cord=rule)
    saved = searches.CreateSavedSearch(
        saved_searches_pb2.CreateSavedSearchRequest(saved_search_id="S", search=search)
    ).saved_search
    assert saved.found == len(candidates_of(own, search)) > 10
    again = saved_searches_pb2.RunSavedSearchRequest(name=saved.name, as_of=DAY)
    (answer,) = searches.RunSavedSearch(again)
    assert (answer.new, answer.changed, answer.gone) == (0, 0, 0)
    jobs = jobs_of(own_channel)
    job = jobs.SubmitJob(
        jobs_pb2.SubmitJobRequest(
            search=pb.SearchDonorsRequest(cord=rule, as_of=DAY, limit=5),
            file=(registry / "patients.csv").read_bytes(),
            format=jobs_pb2.JOB_FORMAT_CSV,
        )
    ).job
    assert ended(jobs, job.name).state == jobs_pb2.JOB_STATE_SUCCEEDED
    out = tmp_path / "batch"
    code, _, error = run(
        *("batch", registry / "patients.csv", "--out", out, "--release", "demo", "--as-of", DAY),
        *("--cord-rule", "8", "--best", 5, "--format", "csv"),
    )
    assert code == 0, error
    assert (
        results(jobs, job.name, jobs_pb2.JOB_FILE_CANDIDATES)
        == (out / "candidates.csv").read_bytes()
    )


def saved_under(name: str, **fields: Any) -> saved_searches_pb2.CreateSavedSearchRequest:
    search = search_of(max_mismatches=8, antibodies=with_antibodies(**fields))
    return saved_searches_pb2.CreateSavedSearchRequest(saved_search_id=name, search=search)


def test_a_saved_search_keeps_its_report(
    run: Run, own: Any, own_channel: grpc.Channel, units: pd.DataFrame, tmp_path: Path
) -> None:
    searches = searches_of(own_channel)
    limits = ab.AntibodyReport(beads=BEADS, mfi_cut_off=900, cumulative_mfi_cut_off=9500)
    request = saved_under("S", report=limits, exclude_positive=True)
    made = searches.CreateSavedSearch(request)
    searches.CreateSavedSearch(saved_under("T", report=limits))
    (answer, *_) = own.SearchDonors(request.search)
    assert made.saved_search.with_antibodies
    assert made.saved_search.found == answer.found > 30
    # As told with the search.
    n_excluded = answer.antibodies.excluded
    assert n_excluded > 5 and f"{n_excluded} donors are left out as positive" in made.notes
    assert {*answer.antibodies.own_type, *answer.antibodies.notes} < {*made.notes}
    assert len(answer.antibodies.own_type) > 0 and len(answer.antibodies.notes) > 0
    asked = saved_searches_pb2.GetSavedSearchRequest(name=made.saved_search.name)
    assert searches.GetSavedSearch(asked).saved_search == made.saved_search
    again = saved_searches_pb2.RunSavedSearchRequest(name=made.saved_search.name, as_of=DAY)
    (same,) = searches.RunSavedSearch(again)
    assert (same.new, same.changed, same.gone, same.notes) == (0, 0, 0, made.notes)
    # The command applies the report too, and is told the same.
    for name in "ST":
        file = tmp_path / f"home/searches/{name}.json"
        content = json.loads(file.read_text())
        content["settings"]["release"] = "demo"
        file.write_text(json.dumps(content))

    def repeated(name: str) -> Any:
        code, printed, error = run("match", "--repeat", name, "--as-of", DAY, "--format", "json")
        assert code == 0, error
        return json.loads(printed)

    unchanged = repeated("S")
    assert unchanged["found"] == answer.found and unchanged["donors"] == []
    assert unchanged["notes"] == list(made.notes)
    # Two donors turn out to be each other.
    whole = candidates_of(own, saved_under("S", report=limits).search)
    left = {one.donor for one in whole} - {one.donor for one in candidates_of(own, request.search)}
    gone = next(o.donor for o in whole if o.crossmatch.worst == ab.CROSSMATCH_ANSWER_NEGATIVE)
    new = next(one.donor for one in whole if one.donor in left)
    swapped = units.loc[[gone, new]].set_axis([new, gone]).rename_axis("id")
    swapped.to_csv(tmp_path / "swapped.csv")
    assert run("registry", "import", tmp_path / "swapped.csv", "--release", "demo")[0] == 0
    told = {one["donor"]: (one["kind"], one["reasons"][0]) for one in repeated("S")["donors"]}
    assert told[gone] == ("gone", "updated in the registry, no longer within the criteria")
    assert told[new] == ("new", "updated in the registry")
    changed = {one["donor"]: one for one in repeated("T")["donors"]}
    assert changed[gone]["kind"] == changed[new]["kind"] == "changed"
    assert "antibody negative -> positive" in changed[gone]["reasons"]
    assert "antibody positive -> negative" in changed[new]["reasons"]


def test_a_saved_search_keeps_nobody_who_is_positive(channel: grpc.Channel) -> None:
    kept = [ab.KeptDonor(donor="D1", reason="ZZMARK")]
    saved = saved_under("S", exclude_positive=True, kept=kept)
    code, found = refusal(lambda: searches_of(channel).CreateSavedSearch(saved))
    assert code == "INVALID_ARGUMENT" and list(found) == ["search.antibodies.kept"]


def test_jobs_take_no_report_with_the_search(channel: grpc.Channel) -> None:
    patients = jobs_pb2.PatientList(patients=[jobs_pb2.Patient(id="P", typing=PATIENT)])
    asked = pb.SearchDonorsRequest(antibodies=with_antibodies())
    job = jobs_pb2.SubmitJobRequest(search=asked, list=patients)
    code, found = refusal(lambda: jobs_of(channel).SubmitJob(job))
    assert code == "INVALID_ARGUMENT" and list(found) == ["search.antibodies"]


TARGETS = st.sampled_from(
    ["A*02:01", "Bw4", "B*07:02", "DQB1*03:01", "DP1", "HLA-A*01:01", "DRB1*03:01"]
)
MFI = st.none() | st.floats(0, 1_000_000, allow_nan=False)
RESULT = st.sampled_from(sorted(ANSWERS.values()))


@st.composite
def sent_beads(draw: st.DrawFn) -> ab.AntibodyBead:
    mfi = draw(MFI)
    return ab.AntibodyBead(
        antigen_or_allele=draw(TARGETS),
        mfi=mfi,
        result=draw(RESULT) if mfi is None or draw(st.booleans()) else None,
        date=draw(st.sampled_from(["", "2026-01-31"])),
        kit=draw(st.sampled_from(["", "LSA I"])),
    )


@given(sent=st.lists(sent_beads(), min_size=1, max_size=8))
def test_beads_come_back_as_they_were_sent(demo: Nomenclature, sent: list[ab.AntibodyBead]) -> None:
    found: list[Violation] = []
    reader = ReportReader.of(demo, {})
    profile = read_report("report", ab.AntibodyReport(beads=sent), reader, found)
    assert profile is not None and not found
    assert [bead_message(read.bead) for read in profile.beads] == sent
    assert [read.bead.row for read in profile.beads] == list(range(1, len(sent) + 1))
