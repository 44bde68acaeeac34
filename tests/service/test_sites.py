"""What belongs to a site is not there for another one, whatever is asked about it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from data.nomenclature import DEMO_RELEASE
from service.config import Settings
from service.pb.graftmatch.v1 import audit_pb2, audit_pb2_grpc, jobs_pb2, saved_searches_pb2
from service.security.audit import audit_key, record_hash
from service.security.caller import Role
from service.snapshot import Snapshot, load_snapshot
from tests.service.conftest import Run
from tests.service.serving import running
from tests.service.test_jobs import ONE, ended, jobs_of, refusal, results
from tests.service.test_saved_search_calls import SMITH, searches_of
from tests.service.test_server_tokens import made

UUID = "0123abcd-0000-1111-2222-333344445555"


@pytest.fixture
def served(registry: Path, tmp_path: Path) -> Snapshot:
    return load_snapshot(Settings(home=tmp_path / "home"), DEMO_RELEASE)


@pytest.fixture
def sites(served: Snapshot, tmp_path: Path) -> Iterator[tuple[grpc.Channel, list[Any]]]:
    """A channel, and the metadata of two sites and of the administrator of a third."""
    tokens = [made("one", Role.SEARCH), made("two", Role.SEARCH), made("three", Role.ADMIN)]
    file = tmp_path / "tokens.toml"
    file.write_text("".join(entry for _, entry in tokens))
    settings = {"tokens": file, "audit_log": tmp_path / "audit.jsonl"}
    with running(served, **settings) as address, grpc.insecure_channel(address) as channel:
        yield channel, [(("authorization", f"Bearer {token}"),) for token, _ in tokens]


def told(call: Callable[[], object]) -> tuple[str, str]:
    """Everything that a refused caller learns."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    return refused.value.code().name, refused.value.details() or ""


def test_jobs_of_another_site(sites: tuple[grpc.Channel, list[Any]]) -> None:
    channel, (one, two, three) = sites
    jobs = jobs_of(channel)
    request = jobs_pb2.SubmitJobRequest()
    request.CopyFrom(ONE)
    request.request_id = UUID
    request.antibodies.file = b"A*24:02\n"
    job = jobs.SubmitJob(request, metadata=one).job
    assert ended(jobs, job.name, metadata=one).state == jobs_pb2.JOB_STATE_SUCCEEDED
    for other in (two, three):
        assert not jobs.ListJobs(jobs_pb2.ListJobsRequest(), metadata=other).jobs
        for call, kind in (
            (jobs.GetJob, jobs_pb2.GetJobRequest),
            (jobs.WaitJob, jobs_pb2.WaitJobRequest),
            (jobs.CancelJob, jobs_pb2.CancelJobRequest),
            (jobs.DeleteJob, jobs_pb2.DeleteJobRequest),
            (
                lambda r, metadata: list(jobs.ReadJobResults(r, metadata=metadata)),
                partial(jobs_pb2.ReadJobResultsRequest, file=jobs_pb2.JOB_FILE_ANTIBODIES),
            ),
        ):
            answers = {
                told(partial(call, kind(name=name), metadata=other))
                for name in (job.name, "jobs/ffffffffffffffff")
            }
            assert answers == {("NOT_FOUND", "there is no such job")}
    # The same request id is another request at another site.
    assert ended(jobs, jobs.SubmitJob(request, metadata=two).job.name, metadata=two).patients == 1
    mine = jobs.ListJobs(jobs_pb2.ListJobsRequest(page_size=1), metadata=one)
    assert [listed.name for listed in mine.jobs] == [job.name]
    jobs.DeleteJob(jobs_pb2.DeleteJobRequest(name=job.name), metadata=one)
    assert len(jobs.ListJobs(jobs_pb2.ListJobsRequest(), metadata=two).jobs) == 1


def test_saved_searches_of_another_site(sites: tuple[grpc.Channel, list[Any]], run: Run) -> None:
    channel, (one, two, three) = sites
    searches = searches_of(channel)
    pb = saved_searches_pb2
    searches.CreateSavedSearch(SMITH, metadata=one)
    for other in (two, three):
        assert not searches.ListSavedSearches(
            pb.ListSavedSearchesRequest(), metadata=other
        ).saved_searches
        for call, kind in (
            (searches.GetSavedSearch, pb.GetSavedSearchRequest),
            (searches.DeleteSavedSearch, pb.DeleteSavedSearchRequest),
            (
                lambda r, metadata: list(searches.RunSavedSearch(r, metadata=metadata)),
                pb.RunSavedSearchRequest,
            ),
        ):
            answers = {
                told(partial(call, kind(name=name), metadata=other))
                for name in ("savedSearches/smith", "savedSearches/none")
            }
            assert answers == {("NOT_FOUND", "there is no such saved search")}
    # A name is free at every other site.
    searches.CreateSavedSearch(SMITH, metadata=two)
    searches.DeleteSavedSearch(
        pb.DeleteSavedSearchRequest(name="savedSearches/smith"), metadata=two
    )
    request = pb.GetSavedSearchRequest(name="savedSearches/smith")
    assert searches.GetSavedSearch(request, metadata=one).saved_search.found
    # Those of sites are not those of the command line.
    assert run("match", "--saved") == (0, "", "")


def test_who_has_read_results_is_written_down(
    sites: tuple[grpc.Channel, list[Any]], tmp_path: Path
) -> None:
    channel, (one, _, _) = sites
    jobs = jobs_of(channel)
    request = jobs_pb2.SubmitJobRequest()
    request.CopyFrom(ONE)
    key = audit_key(tmp_path / "audit.jsonl.key")
    for form in ("PARQUET", "CSV", "JSONL"):
        request.format = jobs_pb2.JobFormat.Value(f"JOB_FORMAT_{form}")
        name = jobs.SubmitJob(request, metadata=one).job.name
        ended(jobs, name, metadata=one)
        asked = f"{form.lower().encode().hex():0<12}"[:12]
        sent = (*one, ("x-request-id", asked))
        results(jobs, name, jobs_pb2.JOB_FILE_SUMMARY, metadata=sent)
        assert written(tmp_path, asked) == set()
        found = results(jobs, name, jobs_pb2.JOB_FILE_CANDIDATES, metadata=sent)
        hashed = written(tmp_path, asked)
        assert record_hash(key, "P") in hashed and len(hashed) > 2
        if form == "JSONL":
            donors = {json.loads(line)["donor"] for line in found.splitlines()}
            assert hashed == {record_hash(key, who) for who in {*donors, "P"}}


def test_overrides_of_jobs_and_who_was_left_out_are_written_down(
    sites: tuple[grpc.Channel, list[Any]], tmp_path: Path
) -> None:
    channel, (one, _, _) = sites
    jobs, log = jobs_of(channel), tmp_path / "audit.jsonl"
    request = jobs_pb2.SubmitJobRequest()
    request.CopyFrom(ONE)
    request.search.max_mismatches = 3
    request.antibodies.file = b"patient,antigen_or_allele,mfi\nP,A*02:01,9000\nP,A*99:99,1\n"
    request.antibodies.exclude_positive = True
    request.antibodies.kept.add(donor="D1", reason="ZZMARK")
    key = audit_key(tmp_path / "audit.jsonl.key")
    name = jobs.SubmitJob(request, metadata=one).job.name
    marked = [line for line in map(json.loads, log.read_text().splitlines()) if "override" in line]
    assert [(line["rpc"], line["records"]) for line in marked] == [
        ("SubmitJob", [record_hash(key, "D1")])
    ]
    ended(jobs, name, metadata=one)
    for file, column, asked in (
        (jobs_pb2.JOB_FILE_EXCLUDED, "donor", "0" * 12),
        (jobs_pb2.JOB_FILE_ANTIBODIES, "patient", "1" * 12),
    ):
        sent = (*one, ("x-request-id", asked))
        found = results(jobs, name, file, metadata=sent).decode().splitlines()
        told = {row[column] for row in csv.DictReader(found)}
        assert written(tmp_path, asked) == {record_hash(key, who) for who in {"P", *told}}
        assert len(told) > 1 if column == "donor" else told == {"P"}
    sent = (*one, ("x-request-id", "2" * 12))
    rejects = results(jobs, name, jobs_pb2.JOB_FILE_ANTIBODY_REJECTS, metadata=sent)
    assert b"A*99:99" in rejects and written(tmp_path, "2" * 12) == set()
    assert "ZZMARK" not in log.read_text()


def written(folder: Path, request_id: str) -> set[str]:
    """Records of a call in the audit log."""
    lines = map(json.loads, (folder / "audit.jsonl").read_text().splitlines())
    mine = [line for line in lines if line["request_id"] == request_id]
    return {record for line in mine for record in line.get("records", ())}


def test_roles(sites: tuple[grpc.Channel, list[Any]], tmp_path: Path) -> None:
    channel, _ = sites
    token, entry = made("one", Role.ANALYST)
    file = tmp_path / "tokens.toml"
    file.write_text(file.read_text() + entry)
    sent = (("authorization", f"Bearer {token}"),)
    assert refusal(lambda: jobs_of(channel).SubmitJob(ONE, metadata=sent))[0] == (
        "PERMISSION_DENIED"
    )
    assert refusal(lambda: jobs_of(channel).SubmitJob(ONE))[0] == "UNAUTHENTICATED"
    assert refusal(lambda: searches_of(channel).CreateSavedSearch(SMITH))[0] == "UNAUTHENTICATED"


def test_a_site_reads_its_own_audit_log_alone(
    sites: tuple[grpc.Channel, list[Any]], tmp_path: Path
) -> None:
    channel, (one, two, three) = sites
    make: Any = audit_pb2_grpc.AuditServiceStub
    audit = make(channel)
    token, entry = made("one", Role.ADMIN)
    file = tmp_path / "tokens.toml"
    file.write_text(file.read_text() + entry)
    admin = (("authorization", f"Bearer {token}"),)
    for sent in (one, two):
        ended(
            jobs_of(channel), jobs_of(channel).SubmitJob(ONE, metadata=sent).job.name, metadata=sent
        )

    def read(sent: Any, **asked: Any) -> list[audit_pb2.AuditEntry]:
        request = audit_pb2.ReadAuditLogRequest(**asked)
        return [e for part in audit.ReadAuditLog(request, metadata=sent) for e in part.entries]

    mine = read(admin)
    lines = list(map(json.loads, (tmp_path / "audit.jsonl").read_text().splitlines()))
    of_one = [line for line in lines if line["site"] == "one"][: len(mine)]
    assert len(of_one) < len([line for line in lines if line["site"] != "three"])
    assert [(e.request_id, e.rpc, e.outcome) for e in mine] == [
        (line["request_id"], line["rpc"], line.get("outcome", "")) for line in of_one
    ]
    assert mine[0].records and mine[-1].HasField("seconds") and mine[-1].outcome == "OK"
    # Who asked about a record is written down too.
    about = read(admin, record="P")
    assert [e.rpc for e in about] == ["SubmitJob", "ReadAuditLog"]
    assert not read(admin, record="nobody else")[:-1]
    later = read(admin, after=mine[-1].time)
    assert later and {e.rpc for e in later} == {"ReadAuditLog"}
    # The administrator of the third site sees what that one did.
    assert {e.rpc for e in read(three)} <= {"ReadAuditLog"}
    for sent in (one, two):
        assert refusal(lambda: read(sent))[0] == "PERMISSION_DENIED"  # noqa: B023
    code, found = refusal(lambda: read(admin, record="x" * 201))
    assert (code, list(found)) == ("INVALID_ARGUMENT", ["record"])
    for time in (Timestamp(seconds=2**62), Timestamp(nanos=-1)):
        code, found = refusal(lambda: read(admin, after=time))  # noqa: B023
        assert (code, list(found)) == ("INVALID_ARGUMENT", ["after"])


def test_a_damaged_line_of_the_audit_log_is_named_by_its_number(
    sites: tuple[grpc.Channel, list[Any]], tmp_path: Path
) -> None:
    channel, (_, _, three) = sites
    make: Any = audit_pb2_grpc.AuditServiceStub
    audit, log = make(channel), tmp_path / "audit.jsonl"
    request = audit_pb2.ReadAuditLogRequest()

    def read() -> list[str]:
        answers = audit.ReadAuditLog(request, metadata=three)
        return [entry.rpc for part in answers for entry in part.entries]

    assert (read(), read()) == ([], ["ReadAuditLog"])
    whole = log.read_text()
    entry = json.loads(whole.splitlines()[0])
    damaged = [
        "\0\0\0",
        '{"time":"2026-11-27T1{"time":"2026-11-27T10:00:00+00:00"}',
        *(json.dumps({k: v for k, v in entry.items() if k != name}) for name in ("time", "token")),
        *(
            json.dumps({**entry, name: value})
            for name, value in (
                ("time", "Smith"),
                ("time", 3),
                ("records", 3),
                ("records", [3]),
                ("outcome", 3),
                ("seconds", "Smith"),
            )
        ),
    ]
    for line in damaged:
        log.write_text(f"{whole}{line}\n{whole}")
        code, message = told(read)
        number = whole.count("\n") + 1
        assert code == "FAILED_PRECONDITION", line
        assert message.startswith(f"line {number} of the audit log is damaged; ")
        # Neither what stands in it nor where it lies.
        assert "Smith" not in message and str(tmp_path) not in message
    # Once it is renamed, another begins.
    log.rename(log.with_name("former"))
    assert (read(), read()) == ([], ["ReadAuditLog"])
    log.unlink()
    log.mkdir()
    assert told(read)[0] == "UNAVAILABLE"


def test_a_server_without_an_audit_log_says_so(served: Snapshot) -> None:
    with running(served) as address, grpc.insecure_channel(address) as channel:
        make: Any = audit_pb2_grpc.AuditServiceStub
        request = audit_pb2.ReadAuditLogRequest()
        assert refusal(lambda: list(make(channel).ReadAuditLog(request)))[0] == (
            "FAILED_PRECONDITION"
        )
