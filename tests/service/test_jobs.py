"""Jobs over a real channel: their results, idempotency, queue, cancellation and errors."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import stat
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pandas as pd
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from data.jobs import JobFolder, JobProgress, JobState
from data.nomenclature import DEMO_RELEASE
from service.batch.results import BatchResults
from service.config import Settings
from service.jobs import runner as job_runner
from service.jobs import work
from service.pb.graftmatch.v1 import graftmatch_pb2, jobs_pb2, jobs_pb2_grpc
from service.search import DonorSearch
from service.snapshot import Snapshot, load_snapshot
from service.status import NotReadyError
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running

pb = jobs_pb2
SEARCH = graftmatch_pb2.SearchDonorsRequest(max_mismatches=1, as_of="2026-11-27")
UUID = "0123abcd-0000-1111-2222-333344445555"


def jobs_of(channel: grpc.Channel) -> Any:
    make: Any = jobs_pb2_grpc.JobServiceStub
    return make(channel)


def ended(jobs: Any, name: str, **metadata: Any) -> pb.Job:
    for _ in range(10):
        request = pb.WaitJobRequest(name=name, timeout_seconds=60)
        job: pb.Job = jobs.WaitJob(request, **metadata).job
        if job.HasField("end_time"):
            return job
    raise AssertionError("the job does not end")


def results(jobs: Any, name: str, file: Any, offset: int = 0, **metadata: Any) -> bytes:
    request = pb.ReadJobResultsRequest(name=name, file=file, offset=offset)
    return b"".join(one.data for one in jobs.ReadJobResults(request, **metadata))


def refusal(call: Callable[[], object]) -> tuple[str, dict[str, str]]:
    """The status of a refused call, and its violations."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    violations = {}
    status = rpc_status.from_call(refused.value)
    for detail in [] if status is None else status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            violations = {one.field: one.description for one in bad.field_violations}
    return refused.value.code().name, violations


@pytest.fixture
def place(run: Run, patients: Path, tmp_path: Path) -> Path:
    """A home with a registry of 300 donors, whose jobs are in chunks of three patients."""
    return tmp_path / "home"


@pytest.fixture
def served(place: Path) -> Snapshot:
    return load_snapshot(Settings(home=place), DEMO_RELEASE)


@pytest.fixture
def jobs(served: Snapshot) -> Iterator[Any]:
    with running(served) as address, grpc.insecure_channel(address) as channel:
        yield jobs_of(channel)


@pytest.mark.parametrize("form", ["parquet", "csv", "jsonl"])
def test_a_job_gives_the_files_of_a_batch(
    jobs: Any, served: Snapshot, run: Run, patients: Path, tmp_path: Path, form: str
) -> None:
    lines = patients.read_text().splitlines()
    lines.insert(3, lines[0].replace("id", "broken", 1))
    file = tmp_path / "some.csv"
    file.write_text("\n".join(lines[:12]) + "\n")
    request = pb.SubmitJobRequest(
        search=SEARCH, file=file.read_bytes(), format=f"JOB_FORMAT_{form.upper()}"
    )
    job = jobs.SubmitJob(request).job
    assert job.name.startswith("jobs/") and job.state == pb.JOB_STATE_WAITING
    done = ended(jobs, job.name)
    assert (done.state, done.patients, done.done, done.rejected) == (
        pb.JOB_STATE_SUCCEEDED,
        10,
        10,
        1,
    )
    assert done.create_time.ToMicroseconds() <= done.start_time.ToMicroseconds()
    assert done.start_time.ToMicroseconds() < done.end_time.ToMicroseconds()
    assert done.expire_time.seconds - done.end_time.seconds == 7 * 86_400
    assert done.provenance.index == served.index_version
    out = tmp_path / "out"
    code, _, _ = run(
        *("batch", file, "--out", out, "--release", "demo", "--format", form),
        *("--as-of", "2026-11-27"),
    )
    assert code == 3
    for number, name in (
        (pb.JOB_FILE_CANDIDATES, f"candidates.{form}"),
        (pb.JOB_FILE_ALLOCATION, f"allocation.{form}"),
        (pb.JOB_FILE_SUMMARY, "summary.json"),
        (pb.JOB_FILE_REJECTS, "rejects.csv"),
    ):
        assert results(jobs, job.name, number) == (out / name).read_bytes(), name
    assert results(jobs, job.name, pb.JOB_FILE_NOTES) == b""
    whole = results(jobs, job.name, pb.JOB_FILE_CANDIDATES)
    assert results(jobs, job.name, pb.JOB_FILE_CANDIDATES, 1000) == whole[1000:]
    assert results(jobs, job.name, pb.JOB_FILE_CANDIDATES, len(whole)) == b""


def test_a_list_of_patients_with_facts(jobs: Any) -> None:
    facts = graftmatch_pb2.PatientFacts(age_years=40, sex="male", weight_kg=70.5, cmv="negative")
    wrong = graftmatch_pb2.PatientFacts(sex="tall")
    people = [
        pb.Patient(id="P1", typing=PATIENT, facts=facts),
        pb.Patient(id='P"2, x', typing=PATIENT),
        pb.Patient(id="P3", typing="A*99:99+A*01:01"),
        pb.Patient(id="P4", typing=PATIENT, facts=wrong),
        pb.Patient(id="", typing=PATIENT),
    ]
    search = graftmatch_pb2.SearchDonorsRequest(max_mismatches=2, limit=7)
    request = pb.SubmitJobRequest(
        search=search, list=pb.PatientList(patients=people), format=pb.JOB_FORMAT_JSONL
    )
    job = ended(jobs, jobs.SubmitJob(request).job.name)
    assert (job.state, job.patients, job.rejected) == (pb.JOB_STATE_SUCCEEDED, 2, 3), job.error
    rows = [
        json.loads(line) for line in results(jobs, job.name, pb.JOB_FILE_CANDIDATES).splitlines()
    ]
    assert {row["patient"] for row in rows} == {"P1", 'P"2, x'}
    assert sum(row["patient"] == "P1" for row in rows) == 7
    # Nothing is known of the second patient.
    by_cmv: dict[str, set[str]] = {patient: set() for patient in ("P1", 'P"2, x')}
    for row in rows:
        by_cmv[row["patient"]].add(row["rank_cmv"])
    assert by_cmv["P1"] & {"as the patient", "not as the patient"}
    assert by_cmv['P"2, x'] == {"unknown"}
    rejects = pd.read_csv(io.BytesIO(results(jobs, job.name, pb.JOB_FILE_REJECTS)), dtype=str)
    assert list(rejects["id"].fillna("")) == ["P3", "P4", ""]


def test_what_a_job_may_not_ask(jobs: Any) -> None:
    def refused(**fields: Any) -> dict[str, str]:
        code, found = refusal(lambda: jobs.SubmitJob(pb.SubmitJobRequest(**fields)))
        assert code == "INVALID_ARGUMENT"
        return found

    patient = pb.PatientList(patients=[pb.Patient(id="P", typing=PATIENT)])
    assert list(refused(search=SEARCH)) == ["patients"]
    assert list(refused(search=SEARCH, file=b"")) == ["patients"]
    assert list(refused(search=SEARCH, list=patient, request_id="again")) == ["request_id"]
    assert list(refused(search=SEARCH, list=patient, format=17)) == ["format"]
    two_lines = pb.PatientList(patients=[pb.Patient(id="P\n1", typing="A" * 100_001)])
    assert list(refused(search=SEARCH, list=two_lines)) == [
        *("list.patients[0].id", "list.patients[0].typing"),
    ]
    search = graftmatch_pb2.SearchDonorsRequest
    for asked, field in (
        (search(patient=PATIENT), "search.patient"),
        (search(page_size=3), "search.page_size"),
        (search(without_probabilities=True), "search.without_probabilities"),
        (search(max_mismatches=19), "search.max_mismatches"),
        (search(limit=10_001), "search.limit"),
    ):
        assert list(refused(search=asked, list=patient)) == [field]


def test_a_file_that_is_none_fails_the_job_and_says_why(jobs: Any, place: Path) -> None:
    name = jobs.SubmitJob(pb.SubmitJobRequest(search=SEARCH, file=b"id,colour\n1,red\n")).job.name
    job = ended(jobs, name)
    assert job.state == pb.JOB_STATE_FAILED and "colour" in job.error
    assert str(place) not in job.error
    code, _ = refusal(lambda: results(jobs, name, pb.JOB_FILE_SUMMARY))
    assert code == "FAILED_PRECONDITION"


def test_a_repeated_request_makes_no_other_job(jobs: Any, patients: Path) -> None:
    request = pb.SubmitJobRequest(search=SEARCH, file=patients.read_bytes(), request_id=UUID)
    first = jobs.SubmitJob(request).job
    assert jobs.SubmitJob(request).job == first
    request.search.max_mismatches = 0
    code, found = refusal(lambda: jobs.SubmitJob(request))
    assert code == "INVALID_ARGUMENT" and list(found) == ["request_id"]
    assert len(jobs.ListJobs(pb.ListJobsRequest()).jobs) == 1
    request.request_id = ""
    assert jobs.SubmitJob(request).job.name != first.name


def test_jobs_that_are_not_there(jobs: Any) -> None:
    for call, request in (
        (jobs.GetJob, pb.GetJobRequest),
        (jobs.WaitJob, pb.WaitJobRequest),
        (jobs.CancelJob, pb.CancelJobRequest),
        (jobs.DeleteJob, pb.DeleteJobRequest),
        (lambda one: list(jobs.ReadJobResults(one)), pb.ReadJobResultsRequest),
    ):
        for name in ("jobs/0123456789abcdef", "jobs/x", "jobs/.."):
            assert refusal(partial(call, request(name=name)))[0] == "NOT_FOUND", name
        for name in ("", "jobs/", "0123456789abcdef", "jobs/../x"):
            code, found = refusal(partial(call, request(name=name)))
            assert (code, list(found)) == ("INVALID_ARGUMENT", ["name"])


@pytest.fixture
def waiting(served: Snapshot) -> Iterator[Any]:
    """A server that takes jobs, at most three, and works on none."""
    settings = {"job_slots": 0, "waiting_jobs": 3}
    with running(served, **settings) as address, grpc.insecure_channel(address) as channel:
        yield jobs_of(channel)


ONE = pb.SubmitJobRequest(
    search=SEARCH, list=pb.PatientList(patients=[pb.Patient(id="P", typing=PATIENT)])
)


def test_the_queue_of_a_site_is_bounded(waiting: Any) -> None:
    names = [waiting.SubmitJob(ONE).job.name for _ in range(3)]
    with pytest.raises(grpc.RpcError, match="3 jobs of this site have not ended") as refused:
        waiting.SubmitJob(ONE)
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    retry = error_details_pb2.RetryInfo()
    assert rpc_status.from_call(refused.value).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 30
    cancelled = waiting.CancelJob(pb.CancelJobRequest(name=names[1])).job
    assert cancelled.state == pb.JOB_STATE_CANCELLED
    assert waiting.CancelJob(pb.CancelJobRequest(name=names[1])).job == cancelled
    assert waiting.SubmitJob(ONE).job.state == pb.JOB_STATE_WAITING


def test_jobs_are_listed_page_by_page_while_more_come(waiting: Any) -> None:
    names = [waiting.SubmitJob(ONE).job.name for _ in range(3)]
    first = waiting.ListJobs(pb.ListJobsRequest(page_size=2))
    assert [job.name for job in first.jobs] == [names[2], names[1]]
    waiting.CancelJob(pb.CancelJobRequest(name=names[2]))
    waiting.DeleteJob(pb.DeleteJobRequest(name=names[2]))
    waiting.SubmitJob(ONE)
    request = pb.ListJobsRequest(page_size=2, page_token=first.next_page_token)
    second = waiting.ListJobs(request)
    assert [job.name for job in second.jobs] == [names[0]] and not second.next_page_token
    for wrong, field in (
        (pb.ListJobsRequest(page_size=1001), "page_size"),
        (pb.ListJobsRequest(page_token="x"), "page_token"),
    ):
        code, found = refusal(partial(waiting.ListJobs, wrong))
        assert (code, list(found)) == ("INVALID_ARGUMENT", [field])


def test_waiting_ends_with_the_job_as_it_is(waiting: Any) -> None:
    name = waiting.SubmitJob(ONE).job.name
    job = waiting.WaitJob(pb.WaitJobRequest(name=name, timeout_seconds=0.2)).job
    assert job.state == pb.JOB_STATE_WAITING and not job.HasField("start_time")
    for seconds in (-1, 301, float("nan")):
        request = pb.WaitJobRequest(name=name, timeout_seconds=seconds)
        code, found = refusal(partial(waiting.WaitJob, request))
        assert (code, list(found)) == ("INVALID_ARGUMENT", ["timeout_seconds"])
    assert refusal(lambda: waiting.DeleteJob(pb.DeleteJobRequest(name=name)))[0] == (
        "FAILED_PRECONDITION"
    )


def test_a_deleted_job_is_gone(jobs: Any, place: Path) -> None:
    name = jobs.SubmitJob(ONE).job.name
    assert ended(jobs, name).state == pb.JOB_STATE_SUCCEEDED
    jobs.DeleteJob(pb.DeleteJobRequest(name=name))
    assert refusal(lambda: jobs.GetJob(pb.GetJobRequest(name=name)))[0] == "NOT_FOUND"
    assert not list((place / "jobs/_").glob("[!.]*"))


def test_nobody_else_reads_what_is_kept(jobs: Any, place: Path) -> None:
    jobs.SubmitJob(ONE)
    assert stat.S_IMODE((place / "jobs").stat().st_mode) == 0o700


def slowed(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.05) -> list[int]:
    """Each patient of a chunk takes so long more; how many there were."""
    done: list[int] = []
    page = DonorSearch.page

    def slow(*arguments: Any, **more: Any) -> Any:
        done.append(1)
        time.sleep(seconds)
        return page(*arguments, **more)

    monkeypatch.setattr(DonorSearch, "page", slow)
    return done


def until(holds: Callable[[], bool]) -> None:
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it does not happen")


def test_a_job_that_runs_is_cancelled(
    jobs: Any, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = slowed(monkeypatch, 0.2)
    name = jobs.SubmitJob(pb.SubmitJobRequest(search=SEARCH, file=patients.read_bytes())).job.name
    until(lambda: jobs.GetJob(pb.GetJobRequest(name=name)).job.done > 1)
    job = jobs.GetJob(pb.GetJobRequest(name=name)).job
    assert job.state == pb.JOB_STATE_RUNNING and job.patients == 24
    assert job.patients_per_second > 0 and job.seconds_left > 0
    jobs.CancelJob(pb.CancelJobRequest(name=name))
    job = ended(jobs, name)
    assert job.state == pb.JOB_STATE_CANCELLED and len(done) < 24
    # The thread is free for the next one.
    monkeypatch.undo()
    assert ended(jobs, jobs.SubmitJob(ONE).job.name).state == pb.JOB_STATE_SUCCEEDED


def written_half(results: BatchResults, _: int) -> None:
    """In place of the end of a job: half a file, and no end."""
    (results.checkpoints.root / ".candidates.parquet.half").touch()
    time.sleep(3600)


def test_the_end_of_a_job_is_cancelled_in_its_own_process(
    jobs: Any, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "write_apart", written_half)
    name = jobs.SubmitJob(ONE).job.name
    until(lambda: bool(list(place.glob("jobs/_/*/results/.candidates*"))))
    assert len(multiprocessing.active_children()) == 1
    assert jobs.GetJob(pb.GetJobRequest(name=name)).job.state == pb.JOB_STATE_RUNNING
    jobs.CancelJob(pb.CancelJobRequest(name=name))
    assert ended(jobs, name).state == pb.JOB_STATE_CANCELLED
    assert multiprocessing.active_children() == []
    assert not list(place.glob("jobs/_/*/results/.candidates*"))
    code, _ = refusal(lambda: results(jobs, name, pb.JOB_FILE_CANDIDATES))
    assert code == "FAILED_PRECONDITION"


def test_a_job_outlives_the_server(
    served: Snapshot, patients: Path, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    done = slowed(monkeypatch)
    request = pb.SubmitJobRequest(
        search=SEARCH, file=patients.read_bytes(), format=pb.JOB_FORMAT_CSV
    )
    with running(served) as address, grpc.insecure_channel(address) as channel:
        name = jobs_of(channel).SubmitJob(request).job.name
        files = JobFolder(place / "jobs").files("", name.removeprefix("jobs/"))
        assert files is not None
        until(lambda: (files.results / "checkpoints/000001.parquet").exists())
    until(lambda: files.job().state is JobState.WAITING)
    before = files.progress()
    assert before is not None and before.attempts == 0 and 3 <= before.done < 24
    with running(served) as address, grpc.insecure_channel(address) as channel:
        job = ended(jobs_of(channel), name)
        assert (job.state, job.done) == (pb.JOB_STATE_SUCCEEDED, 24)
        assert job.start_time.ToMicroseconds() == round(before.began * 1e6)
        other = ended(jobs_of(channel), jobs_of(channel).SubmitJob(request).job.name)
        # What was done before the server stopped was not done again, but for what it was at.
        assert len(done) < 24 + 24 + 6
        assert results(jobs_of(channel), name, pb.JOB_FILE_CANDIDATES) == results(
            jobs_of(channel), other.name, pb.JOB_FILE_CANDIDATES
        )


def test_a_job_under_other_data_begins_anew(
    served: Snapshot, patients: Path, monkeypatch: pytest.MonkeyPatch, place: Path, run: Run
) -> None:
    slowed(monkeypatch)
    request = pb.SubmitJobRequest(
        search=SEARCH, file=patients.read_bytes(), format=pb.JOB_FORMAT_CSV
    )
    with running(served) as address, grpc.insecure_channel(address) as channel:
        name = jobs_of(channel).SubmitJob(request).job.name
        files = JobFolder(place / "jobs").files("", name.removeprefix("jobs/"))
        assert files is not None
        until(lambda: (files.results / "checkpoints/000001.parquet").exists())
    until(lambda: files.job().state is JobState.WAITING)
    donors = patients.parent / "fewer.csv"
    lines = (patients.parent / "donors.csv").read_text().splitlines()
    donors.write_text("\n".join([lines[0], *(f"N{line}" for line in lines[1:100])]) + "\n")
    assert run("registry", "import", donors, "--release", "demo")[0] == 0
    after = load_snapshot(Settings(home=place), DEMO_RELEASE)
    assert after.index_version != served.index_version
    with running(after) as address, grpc.insecure_channel(address) as channel:
        job = ended(jobs_of(channel), name)
        assert job.provenance.index == after.index_version
        found = results(jobs_of(channel), name, pb.JOB_FILE_CANDIDATES)
        table = pd.read_csv(io.BytesIO(found), dtype=str)
        assert set(table["index"]) == {after.index_version}
        assert table["patient"].nunique() <= job.patients == 24


def test_one_that_ends_its_process_again_and_again_is_given_up(
    waiting: Any, served: Snapshot, place: Path
) -> None:
    name = waiting.SubmitJob(ONE).job.name
    files = JobFolder(place / "jobs").files("", name.removeprefix("jobs/"))
    assert files is not None
    files.tell(JobProgress(work.MOST_ATTEMPTS, time.time(), time.time()))
    runner = job_runner.JobRunner(JobFolder(place / "jobs"), 1, 1e6, lambda: served)
    runner.look()
    job = waiting.GetJob(pb.GetJobRequest(name=name)).job
    assert job.state == pb.JOB_STATE_FAILED and "taken up 3 times" in job.error


@pytest.mark.parametrize("content", ["{", '{"attempts": 1}'])
def test_a_damaged_job_does_not_keep_others_from_being_done(
    waiting: Any, served: Snapshot, place: Path, content: str
) -> None:
    folder = JobFolder(place / "jobs")
    names = [waiting.SubmitJob(ONE).job.name for _ in range(2)]
    damaged, whole = (folder.files("", name.removeprefix("jobs/")) for name in names)
    assert damaged is not None and whole is not None
    os.utime(damaged.root / "job.json", (1000, 1000))
    (damaged.root / "progress.json").write_text(content)
    runner = job_runner.JobRunner(folder, 1, 1e6, lambda: served)
    runner.look()
    runner.look()
    listed = {job.name: job for job in waiting.ListJobs(pb.ListJobsRequest()).jobs}
    assert [listed[name].state for name in names] == [
        *(pb.JOB_STATE_FAILED, pb.JOB_STATE_SUCCEEDED),
    ]
    assert listed[names[0]].error


def test_data_that_are_away_are_waited_for(waiting: Any, served: Snapshot, place: Path) -> None:
    name = waiting.SubmitJob(ONE).job.name
    there = False

    def snapshot() -> Snapshot:
        if not there:
            raise NotReadyError("not yet")
        return served

    runner = job_runner.JobRunner(JobFolder(place / "jobs"), 1, 1e6, snapshot)
    runner.look()
    job = waiting.GetJob(pb.GetJobRequest(name=name)).job
    assert job.state == pb.JOB_STATE_WAITING
    there = True
    runner.look()
    assert waiting.GetJob(pb.GetJobRequest(name=name)).job.state == pb.JOB_STATE_SUCCEEDED


def test_jobs_are_taken_up_in_their_order_by_one_at_a_time(
    waiting: Any, served: Snapshot, place: Path
) -> None:
    names = [waiting.SubmitJob(ONE).job.name for _ in range(3)]
    folder = JobFolder(place / "jobs")
    runner = job_runner.JobRunner(folder, 1, 1e6, lambda: served)
    first, second, third = (folder.files("", name.removeprefix("jobs/")) for name in names)
    assert first is not None and second is not None and third is not None
    for i, files in enumerate((first, second, third)):
        os.utime(files.root / "job.json", (1000 + i, 1000 + i))
    with first.taken() as mine:
        assert mine
        # Another process is at the first one.
        assert waiting.GetJob(pb.GetJobRequest(name=names[0])).job.state == pb.JOB_STATE_RUNNING
        runner.look()
    assert [files.has_ended for files in (first, second, third)] == [False, True, False]
    with folder.slot(0) as mine:
        assert mine
        runner.look()
    assert not first.has_ended
    runner.look()
    assert first.has_ended and not third.has_ended


def test_old_jobs_are_removed(waiting: Any, served: Snapshot, place: Path) -> None:
    folder = JobFolder(place / "jobs")
    names = [waiting.SubmitJob(ONE).job.name for _ in range(3)]
    for name in names[:2]:
        waiting.CancelJob(pb.CancelJobRequest(name=name))
    old, new, open_one = (folder.files("", name.removeprefix("jobs/")) for name in names)
    assert old is not None and new is not None and open_one is not None
    left = folder.root / "_/.0123456789abcdef.xyz"
    left.mkdir()
    for path in (old.root / "end.json", left, open_one.root / "job.json"):
        os.utime(path, (1000, 1000))
    folder.remove_older(3600)
    assert [one.root.exists() for one in (old, new, open_one)] == [False, True, True]
    assert not left.exists()
