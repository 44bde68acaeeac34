"""SearchStrata over a channel: the list of `graftmatch match --strata`."""

from __future__ import annotations

import json
import math
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pytest

from service.client import connect
from service.convert.strata import STRATUM
from service.pb.graftmatch.v1 import antibodies_pb2 as ab
from service.pb.graftmatch.v1 import cord_pb2, family_pb2, jobs_pb2
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.audit import audit_key, record_hash
from service.snapshot import Snapshot
from service.strata import STRATA
from tests.service.antibody_reports import REPORT, TEXTS, crossmatch_row
from tests.service.conftest import Run
from tests.service.serving import running
from tests.service.test_jobs import ended, jobs_of, refusal, results
from tests.service.test_server_audit import lines
from tests.service.test_server_family import FILE, member, members_of
from tests.service.test_strata import HLA, MORE, OUTCOMES

DAY = "2026-01-01"
NAMES = {number: name for name, number in STRATUM.items()}
FACTS = pb.PatientFacts(weight_kg=70, sex="male")
PATIENT = ("--patient", HLA, "--patient-id", "P", "--patient-facts", "weight_kg=70,sex=male")


def orders(*names: str) -> list[pb.StratumOrder]:
    return [pb.StratumOrder(stratum=STRATUM[name]) for name in names]


def search_of(**fields: Any) -> pb.SearchDonorsRequest:
    given = {"max_mismatches": 1, "patient_facts": FACTS, "as_of": DAY, **fields}
    return pb.SearchDonorsRequest(patient=HLA, **given)


@pytest.fixture
def family_file(tmp_path: Path) -> Path:
    path = tmp_path / "family.csv"
    path.write_text(FILE.read_text("utf-8") + MORE, "utf-8")
    return path


def told(stub: Any, request: pb.SearchStrataRequest) -> dict[str, list[pb.SearchStrataResponse]]:
    """Messages by stratum, in their order."""
    found: dict[str, list[pb.SearchStrataResponse]] = {}
    for answer in stub.SearchStrata(request):
        found.setdefault(NAMES[answer.stratum], []).append(answer)
    return found


def donors_of(answers: list[pb.SearchStrataResponse]) -> list[pb.ListedDonor]:
    return [one for answer in answers for one in answer.donors]


def name_of(one: pb.ListedDonor) -> str:
    return one.candidate.donor or one.relative.relative.id


def check_donors(found: list[pb.ListedDonor], table: pd.DataFrame) -> None:
    """Donors of a stratum are those of the rows of a file."""
    assert [name_of(one) for one in found] == table["donor"].tolist()
    for one, row in zip(found, table.to_dict(orient="records"), strict=True):
        shown = one.candidate if one.candidate.donor else one.relative
        rank = one.candidate.rank or one.relative.relative.rank
        assert rank == row["rank"]
        mismatches = shown.comparison.mismatches
        # Of relatives the column is the likeliest number.
        assert (mismatches.best, mismatches.worst) == (
            row["mismatches_best"],
            row["mismatches_worst"],
        )
        risks = {risk.outcome: risk for risk in one.risks}
        for outcome in OUTCOMES:
            known = not math.isnan(row[f"risk_{outcome}"])
            assert (outcome in risks) == known
            if known:
                risk = risks[outcome]
                assert risk.probability == pytest.approx(row[f"risk_{outcome}"])
                assert risk.difference == pytest.approx(row[f"risk_{outcome}_difference"])
                assert risk.low < risk.probability < risk.high
        assert one.risk_not_told == ("" if pd.isna(row["risk_not_told"]) else row["risk_not_told"])


@pytest.mark.parametrize(
    ("strata", "options", "fields"),
    [
        (("cord", "adult"), ("--cord-rule", 8), {"cord_rule": cord_pb2.CORD_RULE_EIGHT}),
        (("related-identical", "adult", "related-mismatched", "cord"), (), {}),
        (("adult", "related"), ("--antibodies", "beads.csv"), {}),
        (
            ("related", "cord", "adult"),
            ("--antibodies", "beads.csv", "--exclude-positive", "--keep-donor", "S1=only sibling"),
            {},
        ),
    ],
)
def test_a_list_is_that_of_the_command(
    run: Run,
    own: Any,
    own_snapshot: Snapshot,
    beads_file: Path,
    family_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    strata: tuple[str, ...],
    options: tuple[object, ...],
    fields: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    with_relatives = any(name.startswith("related") for name in strata)
    family = ("--family", family_file) if with_relatives else ()
    out = tmp_path / "list.csv"
    command = ("match", *PATIENT, "--release", "demo", "--as-of", DAY)
    given = ("--strata", ",".join(strata), *family, *options)
    code, _, error = run(*command, *given, "--out", out)
    assert code == 0, error
    table = pd.read_csv(out, keep_default_na=False, na_values=[""])
    assert run(*command, *given, "--out", tmp_path / "list.json")[0] == 0
    document = json.loads((tmp_path / "list.json").read_text())
    antibodies = None
    if "--antibodies" in options:
        antibodies = ab.SearchAntibodies(report=REPORT)
    if "--exclude-positive" in options:
        assert antibodies is not None
        antibodies.exclude_positive = True
        antibodies.kept.add(donor="S1", reason="only sibling")
    request = pb.SearchStrataRequest(
        search=search_of(antibodies=antibodies, batch_size=7),
        strata=orders(*strata),
        family=members_of(family_file) if with_relatives else (),
        patient_id="P",
        **fields,
    )
    found = told(own, request)
    assert tuple(found) == strata
    for expected in document["strata"]:
        name = expected["stratum"]
        rows, answers = table[table["stratum"] == name], found[name]
        check_donors(donors_of(answers), rows)
        assert {answer.found for answer in answers} == {len(rows)}
        assert list(answers[0].below_another_for) == expected["below_another_for"]
        assert {answer.compared_risk for answer in answers} == {document["compared_risk"]}
        if name.startswith("related"):
            assert {one.key: one.source for one in answers[0].ordered_by} == expected["sources"]
            assert any(text.startswith("RECOMBINATION") for text in answers[0].warnings)
        if antibodies is not None:
            assert answers[0].antibodies.excluded == len(expected["excluded"]["P"])
            crossmatches = [
                one.candidate.crossmatch if one.candidate.donor else one.relative.crossmatch
                for one in donors_of(answers)
            ]
            seen = pd.DataFrame([crossmatch_row(one) for one in crossmatches])
            named = seen.add_prefix("antibody_")
            of_file = rows[list(named.columns)].reset_index(drop=True)
            pd.testing.assert_frame_equal(named, of_file, check_dtype=False)
    if antibodies is not None:
        first, *rest = [answer for answers in found.values() for answer in answers]
        counts = document["antibodies"]["registry"]["P"]
        assert {name: getattr(first.antibodies.registry, name) for name in counts} == counts
        assert not any(answer.antibodies.HasField("registry") for answer in rest)
        kept = [
            name_of(one)
            for answers in found.values()
            for one in donors_of(answers)
            if one.candidate.kept_for or one.relative.kept_for
        ]
        assert kept == (["S1"] if antibodies.exclude_positive else [])
        assert set(TEXTS) & {one.relative.crossmatch.answer for one in donors_of(found["related"])}
    assert any(one.risks for answers in found.values() for one in donors_of(answers))
    assert first_provenance(found) == own_snapshot.index_version


def first_provenance(found: dict[str, list[pb.SearchStrataResponse]]) -> str:
    (index,) = {answer.provenance.index for answers in found.values() for answer in answers}
    return str(index)


def test_orders_limits_and_empty_strata(own: Any, family_file: Path) -> None:
    members = members_of(family_file)
    rule = family_pb2.HaploidenticalRule(keys=["age", "class"], age_step_years=1)
    request = pb.SearchStrataRequest(
        search=search_of(limit=3, max_mismatches=8),
        strata=[
            pb.StratumOrder(stratum=pb.STRATUM_RELATED, rule=rule),
            pb.StratumOrder(stratum=pb.STRATUM_ADULT, rank_keys=["age"]),
        ],
        family=members,
        patient_id="P",
    )
    found = told(own, request)
    related, adults = donors_of(found["related"]), donors_of(found["adult"])
    assert len(related) == len(adults) == 3 < found["adult"][0].found
    assert found["related"][0].found == len(members) - 1
    years = [one.relative.relative.age_years for one in related]
    assert years == sorted(years)
    ages = [one.candidate.facts.age_years for one in adults]
    assert ages == sorted(ages)
    assert [one.candidate.rank_values[0].key for one in adults] == ["age"] * 3
    nobody = pb.SearchStrataRequest(
        search=search_of(donors=pb.DonorCriteria(registries=["none such"])),
        strata=orders("adult", "cord"),
    )
    empty = told(own, nobody)
    assert [len(answers) for answers in empty.values()] == [1, 1]
    assert not any(answer.donors for answers in empty.values() for answer in answers)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"strata": []}, "strata", "must be 1 to 5"),
    ({"strata": orders("adult", "adult")}, "strata", "each once"),
    ({"strata": [pb.StratumOrder()]}, "strata[0].stratum", "none that this server knows"),
    ({"strata": orders("adult", "related")}, "family", "need a family"),
    ({"family": members_of(FILE), "patient_id": "P"}, "family", "needs relatives"),
    (
        {"strata": orders("related"), "family": members_of(FILE), "patient_id": "X"},
        *("patient_id", "none of the family"),
    ),
    (
        {
            "strata": orders("related", "related-identical"),
            "family": members_of(FILE),
            "patient_id": "P",
        },
        *("strata", "leave out one of its parts"),
    ),
    (
        {
            "strata": orders("related"),
            "family": [member("P", "A*03:01+A*03:01")],
            "patient_id": "P",
        },
        *("family", "contradicts that of the search"),
    ),
    (
        {"strata": [pb.StratumOrder(stratum=pb.STRATUM_ADULT, rank_keys=["weight"])]},
        *("strata[0].rank_keys", "no key is called"),
    ),
    (
        {"strata": [pb.StratumOrder(stratum=pb.STRATUM_ADULT, rule={"keys": ["age"]})]},
        *("strata[0].rule", "for relatives"),
    ),
    ({"cord_rule": 9}, "cord_rule", "none that this server knows"),
    ({"search": search_of(page_size=5)}, "search.page_size", "must be empty"),
    ({"search": search_of(rank_keys=["age"])}, "search.rank_keys", "must be empty"),
    (
        {"search": search_of(donors=pb.DonorCriteria(types=["cord"]))},
        *("search.donors.types", "the strata are the types"),
    ),
    (
        {"search": search_of(donors=pb.DonorCriteria(min_tnc_1e7_per_kg=1), patient_facts=None)},
        *("search.patient_facts.weight_kg", "needs it"),
    ),
]


def test_what_is_refused(stub: Any) -> None:
    for fields, field, reason in REFUSED:
        given = {"search": search_of(), "strata": orders("adult"), **fields}
        request = pb.SearchStrataRequest(**given)
        code, found = refusal(partial(list, stub.SearchStrata(request)))
        assert (code, list(found)) == ("INVALID_ARGUMENT", [field]), (field, found)
        assert reason in found[field], found[field]


def test_a_job_of_strata_is_that_of_batch(
    run: Run, own_channel: grpc.Channel, registry: Path, tmp_path: Path
) -> None:
    patients, reports = registry / "patients.csv", tmp_path / "reports.csv"
    beads = [f"{name},A*0{n}:01,9000" for name in ("P00000001", "P00000003") for n in (1, 2)]
    reports.write_text("\n".join(["patient,antigen_or_allele,mfi", *beads]) + "\n")
    jobs = jobs_of(own_channel)
    request = jobs_pb2.SubmitJobRequest(
        search=pb.SearchDonorsRequest(max_mismatches=3, limit=4, as_of=DAY),
        file=patients.read_bytes(),
        format=jobs_pb2.JOB_FORMAT_CSV,
        strata=[
            pb.StratumOrder(stratum=pb.STRATUM_CORD),
            pb.StratumOrder(stratum=pb.STRATUM_ADULT, rank_keys=["age", "p10"]),
        ],
        cord_rule=cord_pb2.CORD_RULE_EIGHT,
        antibodies=jobs_pb2.JobAntibodies(file=reports.read_bytes(), exclude_positive=True),
    )
    job = ended(jobs, jobs.SubmitJob(request).job.name)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job.error
    out = tmp_path / "batch"
    code, _, error = run(
        *("batch", patients, "--out", out, "--release", "demo", "--as-of", DAY, "--best", 4),
        *("--max-mismatches", 3, "--strata", "cord,adult", "--rank", "adult=age,p10"),
        *("--cord-rule", 8, "--antibodies", reports, "--exclude-positive", "--format", "csv"),
    )
    assert code == 0, error
    for file, name in (
        (jobs_pb2.JOB_FILE_CANDIDATES, "candidates.csv"),
        (jobs_pb2.JOB_FILE_ALLOCATION, "allocation.csv"),
        (jobs_pb2.JOB_FILE_SUMMARY, "summary.json"),
        (jobs_pb2.JOB_FILE_EXCLUDED, "excluded.csv"),
    ):
        assert results(jobs, job.name, file) == (out / name).read_bytes(), name
    found = pd.read_csv(out / "candidates.csv")
    assert found.groupby("patient")["stratum"].nunique().max() == 2
    assert found["stratum"].drop_duplicates().tolist() == ["cord", "adult"]


def test_what_a_job_of_strata_may_not_ask(channel: grpc.Channel) -> None:
    patients = jobs_pb2.PatientList(patients=[jobs_pb2.Patient(id="P", typing=HLA)])
    for fields, field in (
        ({"strata": orders("adult", "related")}, "strata[1].stratum"),
        ({"strata": orders("adult", "adult")}, "strata"),
        ({"strata": [pb.StratumOrder()]}, "strata[0].stratum"),
        ({"strata": orders("cord"), "cord_rule": 7}, "cord_rule"),
        ({"cord_rule": cord_pb2.CORD_RULE_SIX}, "cord_rule"),
        (
            {"strata": orders("cord"), "search": pb.SearchDonorsRequest(rank_keys=["age"])},
            "search.rank_keys",
        ),
        (
            {
                "strata": orders("cord"),
                "search": pb.SearchDonorsRequest(donors={"types": ["cord"]}),
            },
            "search.donors.types",
        ),
    ):
        request = jobs_pb2.SubmitJobRequest(list=patients, **fields)
        code, found = refusal(partial(jobs_of(channel).SubmitJob, request))
        assert code == "INVALID_ARGUMENT" and list(found) == [field], (fields, found)


def test_who_is_told_of_is_written_down(snapshot: Snapshot, tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    kept = [ab.KeptDonor(donor="S1", reason="ZZMARK")]
    antibodies = ab.SearchAntibodies(report=REPORT, exclude_positive=True, kept=kept)
    with running(snapshot, audit_log=log) as address, connect(address, insecure=True) as client:
        request = pb.SearchStrataRequest(
            search=search_of(antibodies=antibodies),
            strata=orders("related", "adult"),
            family=members_of(FILE),
            patient_id="P",
        )
        answers = list(client.search_strata(request))
    key = audit_key(tmp_path / "audit.jsonl.key")
    written = lines(log)
    family = [record_hash(key, one.id) for one in members_of(FILE)]
    assert written[0]["records"] == family
    assert written[1]["records"] == [record_hash(key, "S1")] and written[1]["override"]
    told_of = [[record_hash(key, name_of(one)) for one in answer.donors] for answer in answers]
    assert [line["records"] for line in written[2:-1]] == [names for names in told_of if names]
    assert "ZZMARK" not in log.read_text()


def test_every_stratum_is_on_the_wire() -> None:
    assert set(NAMES) | {pb.STRATUM_UNSPECIFIED} == set(pb.Stratum.values())
    assert tuple(STRATUM) == tuple(STRATA)
