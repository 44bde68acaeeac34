"""Antibody reports of the patients of a job, over a real channel: the files of the command."""

from __future__ import annotations

import io
import json
import stat
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pytest

from data.antibodies import MAX_BYTES
from data.jobs import JobFolder, JobState
from service.client import connect
from service.jobs import runner as job_runner
from service.pb.graftmatch.v1 import antibodies_pb2 as ab
from service.pb.graftmatch.v1 import graftmatch_pb2, jobs_pb2
from service.snapshot import Snapshot
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running
from tests.service.test_jobs import (  # noqa: F401
    ONE,
    SEARCH,
    UUID,
    ended,
    jobs,
    jobs_of,
    place,
    refusal,
    results,
    served,
    slowed,
    until,
    waiting,
)

pb = jobs_pb2
# Some patients of the file, in chunks of their own and in the same one.
REPORTED = ("P00000001", "P00000002", "P00000009", "P00000020")
BEADS = {"A*02:01": 9000, "A*01:01": 100, "A*03:01": 850.5, "A*24:02": 3000}
FILES = {
    pb.JOB_FILE_CANDIDATES: "candidates.csv",
    pb.JOB_FILE_ALLOCATION: "allocation.csv",
    pb.JOB_FILE_SUMMARY: "summary.json",
    pb.JOB_FILE_NOTES: "notes.csv",
    pb.JOB_FILE_EXCLUDED: "excluded.csv",
    pb.JOB_FILE_ANTIBODIES: "antibodies.csv",
}


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    """Reports of some of the patients; a line of one of them cannot be read."""
    lines = ["patient,antigen_or_allele,mfi,result"]
    for patient in REPORTED:
        lines += [f"{patient},{name},{mfi}," for name, mfi in BEADS.items()]
    lines.insert(3, f"{REPORTED[0]},A*01:01,much,")
    # What the MFI contradicts is noted.
    lines.append(f"{REPORTED[1]},A*29:02,7000,negative")
    path = tmp_path / "reports.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def asked(patients: Path, reports: Path, **antibodies: Any) -> pb.SubmitJobRequest:
    return pb.SubmitJobRequest(
        search=SEARCH,
        file=patients.read_bytes(),
        format=pb.JOB_FORMAT_CSV,
        antibodies=pb.JobAntibodies(file=reports.read_bytes(), **antibodies),
    )


def table(data: bytes) -> pd.DataFrame:
    return pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)


def test_a_job_with_reports_gives_the_files_of_a_batch(
    served: Snapshot,  # noqa: F811
    run: Run,
    patients: Path,
    reports: Path,
    tmp_path: Path,
) -> None:
    with running(served) as address, connect(address, insecure=True) as client:
        rules = {"mfi_cut_off": 900, "cumulative_mfi_cut_off": 9500}
        name = client.submit_job(asked(patients, reports, **rules)).job.name
        flagged = finished(client, name)
        assert flagged.rejected_antibody_lines == 1 and flagged.rejected == 0
        before = table(read(client, name, pb.JOB_FILE_CANDIDATES))
        of_reported = before[before["patient"].isin(REPORTED)]
        assert {"negative", "positive"} <= {*of_reported["antibody_answer"]}
        others = before[~before["patient"].isin(REPORTED)]
        assert len(others) > 20 and {*others["antibody_answer"]} == {"no report"}
        # The usual order begins with antibodies.
        places = of_reported["antibody_answer"].map(
            {"negative": 0, "not assessable": 1, "positive": 2}
        )
        assert all(part.is_monotonic_increasing for _, part in places.groupby(before["patient"]))
        assert read(client, name, pb.JOB_FILE_EXCLUDED) == b""
        compare(run, client, name, patients, reports, tmp_path / "flagged")

        positive = of_reported[of_reported["antibody_answer"] == "positive"]
        kept, reason = positive["donor"].iloc[0], "no other; desensitised"
        request = asked(
            patients,
            reports,
            exclude_positive=True,
            kept=[ab.KeptDonor(donor=kept, reason=f" {reason} ")],
            **rules,
        )
        name = client.submit_job(request).job.name
        finished(client, name)
        after = table(read(client, name, pb.JOB_FILE_CANDIDATES))
        found = after[after["patient"].isin(REPORTED)]
        still = found[found["antibody_answer"] == "positive"]
        assert {*still["donor"]} == {kept} and {*still["antibody_override"]} == {reason}
        excluded = table(read(client, name, pb.JOB_FILE_EXCLUDED))
        assert {*zip(excluded["patient"], excluded["donor"], strict=True)} == {
            pair
            for pair in zip(positive["patient"], positive["donor"], strict=True)
            if pair[1] != kept
        }
        options = ("--exclude-positive", "--keep-donor", f"{kept}={reason}")
        compare(run, client, name, patients, reports, tmp_path / "excluded", *options)
        notes = table(read(client, name, pb.JOB_FILE_NOTES))
        assert (
            notes["note"][notes["patient"] == REPORTED[1]]
            .str.contains("A*29:02", regex=False)
            .any()
        )


def finished(client: Any, name: str) -> pb.Job:
    job: pb.Job = client.wait_job(pb.WaitJobRequest(name=name, timeout_seconds=60)).job
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    return job


def read(client: Any, name: str, file: Any) -> bytes:
    request = pb.ReadJobResultsRequest(name=name, file=file)
    return b"".join(one.data for one in client.read_job_results(request))


def compare(
    run: Run, client: Any, name: str, patients: Path, reports: Path, out: Path, *options: object
) -> None:
    """The files of a job are those of the command, to the byte."""
    code, _, error = run(
        *("batch", patients, "--out", out, "--release", "demo", "--as-of", "2026-11-27"),
        *("--max-mismatches", 1, "--format", "csv", "--antibodies", reports),
        *("--mfi-cut-off", 900, "--cumulative-mfi", 9500, *options),
    )
    assert code == 3, error
    for file, written in FILES.items():
        path = out / written
        assert read(client, name, file) == (path.read_bytes() if path.exists() else b""), written
    rejects = reports.with_name(f"{reports.name}.rejects.csv").read_bytes()
    assert read(client, name, pb.JOB_FILE_ANTIBODY_REJECTS) == rejects
    assert b"line 4" in rejects and b"much" in rejects


def test_what_reports_of_a_job_may_not_ask(jobs: Any) -> None:  # noqa: F811
    def refused(**antibodies: Any) -> dict[str, str]:
        request = pb.SubmitJobRequest()
        request.CopyFrom(ONE)
        request.antibodies.CopyFrom(pb.JobAntibodies(**antibodies))
        code, found = refusal(lambda: jobs.SubmitJob(request))
        assert code == "INVALID_ARGUMENT"
        return found

    report = b"A*02:01\n"
    assert list(refused()) == ["antibodies.file"]
    assert "UTF-8" in refused(file=b"A*02:01,\xe9")["antibodies.file"]
    wrong = refused(file=b"antigen_or_allele,mfy\nA*02:01,1\n")["antibodies.file"]
    assert "column 'mfy' is not known; known: antigen_or_allele" in wrong
    assert "20,000,000" in refused(file=b"#" * (MAX_BYTES + 1))["antibodies.file"]
    kept = [ab.KeptDonor(donor="D1", reason="x"), ab.KeptDonor(donor="D1", reason="x" * 501)]
    found = refused(file=b"", mfi_cut_off=0, cumulative_mfi_cut_off=-1, kept=kept)
    assert list(found) == [
        *("antibodies.mfi_cut_off", "antibodies.cumulative_mfi_cut_off", "antibodies.kept"),
        *("antibodies.kept[1].reason", "antibodies.kept[1].donor", "antibodies.file"),
    ]
    many = [ab.KeptDonor(donor=f"D{n}", reason="x") for n in range(1001)]
    assert list(refused(file=report, exclude_positive=True, kept=many)) == ["antibodies.kept"]
    assert not jobs.ListJobs(pb.ListJobsRequest()).jobs


def test_reports_that_cannot_be_used_fail_the_job_and_say_why(
    jobs: Any,  # noqa: F811
    place: Path,  # noqa: F811
) -> None:
    people = [pb.Patient(id=name, typing=PATIENT) for name in ("P1", "P2")]
    for text, says in (
        ("A*02:01\n", "2 patients, and some lines of the antibody report do not say whose"),
        ("patient,antigen_or_allele,mfi\nP3,A*02:01,1\n", "'P3', who is not among the patients"),
        ("patient,antigen_or_allele,mfi\nP1,A*02:01,x\n", "line 2: mfi: 'x'"),
    ):
        request = pb.SubmitJobRequest(
            search=SEARCH,
            list=pb.PatientList(patients=people),
            antibodies=pb.JobAntibodies(file=text.encode()),
        )
        job = ended(jobs, jobs.SubmitJob(request).job.name)
        assert job.state == pb.JOB_STATE_FAILED and "antibodies.file: " in job.error
        assert says in job.error and str(place) not in job.error, job.error


def test_the_report_of_a_rejected_patient_spoils_nothing(
    jobs: Any,  # noqa: F811
) -> None:
    people = [pb.Patient(id="P1", typing=PATIENT), pb.Patient(id="P2", typing="A*99:99+A*01:01")]
    table_of_both = b"patient,antigen_or_allele,mfi\nP1,A*02:01,9000\nP2,A*02:01,9000\n"
    named, nameless = (
        jobs.SubmitJob(
            pb.SubmitJobRequest(
                search=SEARCH,
                list=pb.PatientList(patients=people),
                antibodies=pb.JobAntibodies(file=report),
            )
        ).job.name
        for report in (table_of_both, b"A*02:01\n")
    )
    job = ended(jobs, named)
    assert (job.state, job.patients, job.rejected) == (pb.JOB_STATE_SUCCEEDED, 1, 1), job.error
    told = table(results(jobs, named, pb.JOB_FILE_ANTIBODIES))
    assert told["patient"].tolist() == ["P1"]
    # It may be the report of the other one.
    job = ended(jobs, nameless)
    assert job.state == pb.JOB_STATE_FAILED and "2 patients, and some lines" in job.error


def test_the_report_of_a_single_patient_needs_no_name(jobs: Any) -> None:  # noqa: F811
    request = pb.SubmitJobRequest()
    request.CopyFrom(ONE)
    request.antibodies.file = b"# unacceptable\nA*24:02\n"
    job = ended(jobs, jobs.SubmitJob(request).job.name)
    assert job.state == pb.JOB_STATE_SUCCEEDED, job.error
    (told,) = table(results(jobs, job.name, pb.JOB_FILE_ANTIBODIES)).to_dict(orient="records")
    assert told["patient"] == "P" and int(told["positive"]) > 0


def test_a_repeated_request_has_the_same_reports(
    waiting: Any,  # noqa: F811
    patients: Path,
    reports: Path,
) -> None:
    request = asked(patients, reports)
    request.request_id = UUID
    first = waiting.SubmitJob(request).job
    assert waiting.SubmitJob(request).job == first
    for change in (
        {"file": request.antibodies.file + b"\n"},
        {"mfi_cut_off": 1000},
        {"exclude_positive": True},
    ):
        other = pb.SubmitJobRequest()
        other.CopyFrom(request)
        other.antibodies.MergeFrom(pb.JobAntibodies(**change))
        code, found = refusal(partial(waiting.SubmitJob, other))
        assert code == "INVALID_ARGUMENT" and list(found) == ["request_id"]
    assert len(waiting.ListJobs(pb.ListJobsRequest()).jobs) == 1


def test_reports_outlive_the_server_and_go_with_their_job(
    served: Snapshot,  # noqa: F811
    patients: Path,
    reports: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: Path,  # noqa: F811
) -> None:
    request = asked(patients, reports, exclude_positive=True)
    for stratum in (graftmatch_pb2.STRATUM_ADULT, graftmatch_pb2.STRATUM_CORD):
        request.strata.add(stratum=stratum)
    with monkeypatch.context() as patched:
        slowed(patched)
        with running(served) as address, grpc.insecure_channel(address) as channel:
            name = jobs_of(channel).SubmitJob(request).job.name
            files = JobFolder(place / "jobs").files("", name.removeprefix("jobs/"))
            assert files is not None and files.antibodies.read_bytes() == reports.read_bytes()
            assert stat.S_IMODE((place / "jobs").stat().st_mode) == 0o700
            until(lambda: (files.results / "checkpoints/000000.parquet").exists())
        until(lambda: files.job().state is JobState.WAITING)
    # As a process that is killed may leave it.
    (files.results / ".antibodies.rejects.csv.half").touch()
    before = files.progress()
    assert before is not None and before.done < 24 and before.rejected_lines == 1
    with running(served) as address, grpc.insecure_channel(address) as channel:
        again = jobs_of(channel)
        job = ended(again, name)
        assert (job.state, job.done) == (pb.JOB_STATE_SUCCEEDED, 24), job.error
        assert job.rejected_antibody_lines == 1
        after = files.progress()
        assert after is not None and after.before >= 3
        assert not list(files.results.glob(".*"))
        other = ended(again, again.SubmitJob(request).job.name)
        for file in (*FILES, pb.JOB_FILE_ANTIBODY_REJECTS):
            assert results(again, name, file) == results(again, other.name, file)
        assert results(again, name, pb.JOB_FILE_EXCLUDED).count(b"\n") > 2
        # A process may be killed after the results are whole and before the job has ended.
        (files.root / "end.json").unlink()
        twice = ended(again, name)
        assert (twice.state, twice.done, twice.patients) == (pb.JOB_STATE_SUCCEEDED, 24, 24)
        assert twice.rejected_antibody_lines == 1
        again.DeleteJob(pb.DeleteJobRequest(name=name))
        assert not files.root.exists()


def test_a_job_of_an_older_server_is_done(
    waiting: Any,  # noqa: F811
    served: Snapshot,  # noqa: F811
    place: Path,  # noqa: F811
) -> None:
    name = waiting.SubmitJob(ONE).job.name
    folder = JobFolder(place / "jobs")
    files = folder.files("", name.removeprefix("jobs/"))
    assert files is not None
    content = json.loads((files.root / "job.json").read_text())
    assert content.pop("antibodies") is None
    (files.root / "job.json").write_text(json.dumps(content))
    job_runner.JobRunner(folder, 1, 1e6, lambda: served).look()
    job = waiting.GetJob(pb.GetJobRequest(name=name)).job
    assert job.state == pb.JOB_STATE_SUCCEEDED
