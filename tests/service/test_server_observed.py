"""Logs, metrics, traces and the audit log tell of calls, and of nobody's typing or identifier."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from service import servicers
from service.observability import traces
from service.observability.logs import BufferedHandler, formatter
from service.observability.metrics import serve_metrics
from service.pb.graftmatch.v1 import (
    antibodies_pb2,
    family_pb2,
    jobs_pb2,
    nomenclature_pb2,
    prediction_pb2,
    registry_pb2,
    registry_pb2_grpc,
    saved_searches_pb2,
)
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.caller import Role
from service.snapshot import Snapshot
from service.status import ServerError
from tests.service.serving import PATIENT, running, stub_of
from tests.service.test_jobs import ended, jobs_of, results
from tests.service.test_saved_search_calls import searches_of
from tests.service.test_server_load import eventually
from tests.service.test_server_tokens import made

REQUEST_ID = "0123abcd-0000-1111-2222-333344445555"
# What must be found nowhere: of typings, identifiers and clinical values.
MARKS = ("ZZMARK", "*44:02", "*08:01", "78.125", "1931-05-06", "73.0625")


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """What this process logs meanwhile, at every level."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(formatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield text
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    kept = InMemorySpanExporter()
    monkeypatch.setattr(traces, "exporter", lambda _: kept)
    return kept


def scraped(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def value(metrics: str, name: str) -> float:
    """The value of a metric with its labels, 0 where it is not there."""
    found = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def test_a_call_is_told_of(snapshot: Snapshot, spans: InMemorySpanExporter) -> None:
    metrics_server = serve_metrics(0)
    port = metrics_server.port
    counted = 'graftmatch_calls_total{code="OK",rpc="ParseTyping"}'
    seconds = 'graftmatch_call_seconds_count{rpc="ParseTyping"}'
    before = scraped(port)
    with logged() as text, running(snapshot, traces="there") as address:
        with grpc.insecure_channel(address) as channel:
            request = pb.ParseTypingRequest(typing="A*01:01+A*02:01")
            parent = f"00-{'ab' * 16}-{'cd' * 8}-01"
            sent = (("x-request-id", REQUEST_ID), ("traceparent", parent))
            _, call = stub_of(channel).ParseTyping.with_call(request, metadata=sent)
            assert dict(call.trailing_metadata())["x-request-id"] == REQUEST_ID
            with pytest.raises(grpc.RpcError) as refused:
                stub_of(channel).ParseTyping(pb.ParseTypingRequest(typing="A*01:01"))
            made_up = dict(refused.value.trailing_metadata())["x-request-id"]
            assert len(made_up) == 36 and made_up != REQUEST_ID
        # A call is told of after its answer.
        eventually(lambda: value(scraped(port), seconds) - value(before, seconds) == 2)
        during = scraped(port)
    metrics_server.stop()
    assert value(during, counted) - value(before, counted) == 1
    assert value(during, seconds) - value(before, seconds) == 2
    # Servers of other tests in this process have lines of their own.
    (serving,) = (
        line
        for line in during.splitlines()
        if line.startswith("graftmatch_serving{") and snapshot.index_version in line
    )
    assert 'release="demo"' in serving and 'frequency_set="demo"' in serving
    assert serving.endswith(" 1.0")
    lines = [json.loads(line) for line in text.getvalue().splitlines()]
    first, second = (line for line in lines if line["event"] == "call")
    assert first["request_id"] == REQUEST_ID and second["request_id"] == made_up
    assert (first["rpc"], first["code"], first["level"]) == ("ParseTyping", "OK", "info")
    assert second["code"] == "INVALID_ARGUMENT" and 0 <= first["milliseconds"] < 20_000
    one, other = spans.get_finished_spans()
    assert one.name == "graftmatch.v1.GraftMatchService/ParseTyping"
    assert one.kind is SpanKind.SERVER and one.context is not None
    assert one.context.trace_id == int("ab" * 16, 16)
    assert one.attributes is not None and other.attributes is not None
    assert one.attributes["graftmatch.request_id"] == REQUEST_ID
    assert other.attributes["rpc.grpc.status_code"] == 3
    assert other.status.status_code is StatusCode.UNSET


def parts(typing: str, column: str = "gl", **options: Any) -> Iterator[Any]:
    """A file with a donor and one that is rejected."""
    rows = f"id,{column},birth_date\nZZMARK-D,{typing},1931-05-06\nZZMARK-E,ZZMARK,\n"
    yield registry_pb2.ImportDonorsRequest(options=registry_pb2.ImportOptions(**options))
    yield registry_pb2.ImportDonorsRequest(data=rows.encode())


def job_of(name: str, typing: str, report: str = "") -> jobs_pb2.SubmitJobRequest:
    patients = [jobs_pb2.Patient(id=name, typing=typing)]
    job = jobs_pb2.SubmitJobRequest(list=jobs_pb2.PatientList(patients=patients))
    if report:
        job.antibodies.file = report.encode()
        job.antibodies.exclude_positive = True
        job.antibodies.kept.add(donor="ZZMARK-D", reason="ZZMARK")
    return job


def test_no_patient_is_in_any_of_them(
    snapshot: Snapshot,
    spans: InMemorySpanExporter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token, entry = made("centre-1", Role.ADMIN)
    (tmp_path / "tokens.toml").write_text(entry)
    log = tmp_path / "audit.jsonl"
    settings = {"tokens": tmp_path / "tokens.toml", "audit_log": log, "traces": "there"}
    metrics_server = serve_metrics(0)
    port = metrics_server.port
    sent = (("authorization", f"Bearer {token}"), ("x-request-id", "ZZMARK-A*44:02"))

    def outcome(call: Any, request: Any) -> str:
        try:
            answer = call(request, metadata=sent)
            if isinstance(answer, grpc.Call):
                list(answer)
        except grpc.RpcError as error:
            return str(error.code().name)
        return "OK"

    def broken(*_: object) -> None:
        raise ValueError(f"ZZMARK {PATIENT}")

    with logged() as text, running(snapshot, **settings) as address:
        with grpc.insecure_channel(address) as channel:
            stub = stub_of(channel)
            make: Any = registry_pb2_grpc.RegistryServiceStub
            donors = make(channel)
            jobs, searches = jobs_of(channel), searches_of(channel)
            facts = pb.PatientFacts(age_years=78.125, weight_kg=73.0625)
            search = pb.SearchDonorsRequest(patient=PATIENT, patient_facts=facts)
            factors = {
                "age_years": pb.FactorValue(number=78.125),
                "donor_age_years": pb.FactorValue(number=73.0625),
            }
            marked = pb.FactorValue(level="ZZMARK")
            plan = pb.AllocateDonorsRequest(patients=["ZZMARK-P"], donors=["ZZMARK-D"])
            twice = pb.AllocateDonorsRequest(patients=["ZZMARK-P"], donors=["ZZMARK-D"] * 2)
            cases = [
                (stub.SearchDonors, search, "OK"),
                (stub.SearchDonors, pb.SearchDonorsRequest(patient="A*44:02+ZZMARK"), "INVALID"),
                (stub.ParseTyping, pb.ParseTypingRequest(typing=PATIENT), "OK"),
                (stub.ExplainTyping, pb.ExplainTypingRequest(typing="ZZMARK*44:02"), "INVALID"),
                (stub.ScorePair, pb.ScorePairRequest(patient=PATIENT, donor=PATIENT), "OK"),
                (stub.ScorePair, pb.ScorePairRequest(patient=PATIENT, donor="ZZMARK"), "INVALID"),
                (stub.PredictRisk, pb.PredictRiskRequest(factors=factors), "OK"),
                (stub.PredictRisk, pb.PredictRiskRequest(factors={"ZZMARK": marked}), "INVALID"),
                (stub.SearchDonors, pb.SearchDonorsRequest(as_of="1931-05-06 ZZMARK"), "INVALID"),
                (stub.AllocateDonors, plan, "OK"),
                (stub.AllocateDonors, twice, "INVALID"),
            ]
            report = antibodies_pb2.AntibodyReport(
                beads=[
                    {"antigen_or_allele": "B*44:02", "mfi": 78.125, "kit": "ZZMARK"},
                    {"antigen_or_allele": "B*08:01", "mfi": 73.0625, "date": "1931-05-06"},
                ]
            )
            kept = [antibodies_pb2.KeptDonor(donor="ZZMARK-D", reason="ZZMARK B*44:02")]
            with_report = pb.SearchDonorsRequest(
                patient=PATIENT,
                antibodies={"report": report, "exclude_positive": True, "kept": kept},
            )
            saved = pb.SearchDonorsRequest(
                patient=PATIENT,
                patient_facts=facts,
                antibodies={"report": report, "exclude_positive": True},
            )
            wrong_report = pb.SearchDonorsRequest(
                patient=PATIENT, antibodies={"report": {"unacceptable": ["ZZMARK"]}}
            )
            cases += [
                (stub.SearchDonors, with_report, "OK"),
                (stub.StreamCandidates, pb.StreamCandidatesRequest(search=with_report), "OK"),
                (stub.SearchDonors, wrong_report, "INVALID"),
            ]
            marked_family = family_pb2.AnalyseFamilyRequest(
                patient="ZZMARK-P",
                members=[
                    {"id": "ZZMARK-P", "typing": PATIENT, "birth_date": "1931-05-06"},
                    {"id": "ZZMARK-C", "father": "ZZMARK-P", "typing": PATIENT},
                ],
            )
            wrong_family = family_pb2.AnalyseFamilyRequest(
                patient="ZZMARK-P", members=[{"id": "ZZMARK-P", "father": "ZZMARK-F"}]
            )
            against = antibodies_pb2.CrossmatchDonorsRequest(
                report=report,
                donors=[{"identifier": "ZZMARK-D"}, {"person": {"typing": "ZZMARK*44:02"}}],
            )
            units = pb.SearchUnitPairsRequest(search=pb.SearchDonorsRequest(patient="ZZMARK"))
            listed = pb.SearchStrataRequest(
                search=with_report,
                strata=[{"stratum": pb.STRATUM_RELATED}, {"stratum": pb.STRATUM_ADULT}],
                family=marked_family.members,
                patient_id="ZZMARK-P",
            )
            cases += [
                (stub.SearchStrata, listed, "OK"),
                (stub.SearchStrata, pb.SearchStrataRequest(patient_id="ZZMARK"), "INVALID"),
                (stub.AnalyseFamily, marked_family, "OK"),
                (stub.AnalyseFamily, wrong_family, "INVALID"),
                (stub.CrossmatchDonors, against, "OK"),
                (stub.SearchUnitPairs, units, "INVALID"),
            ]
            mark = "donors/ZZMARK-D"
            cases += [
                (
                    stub.ScorePairs,
                    pb.ScorePairsRequest(patients=[PATIENT], donors=["ZZMARK"]),
                    "OK",
                ),
                (stub.ScorePairs, pb.ScorePairsRequest(loci=["ZZMARK"]), "INVALID"),
                (
                    stub.PredictMatch,
                    prediction_pb2.PredictMatchRequest(patient={"typing": "ZZMARK"}),
                    "INVALID",
                ),
                (
                    stub.ReduceTyping,
                    nomenclature_pb2.ReduceTypingRequest(typing="ZZMARK", level="P"),
                    "INVALID",
                ),
                (donors.ImportDonors, parts(PATIENT, validate_only=True), "OK"),
                (donors.ImportDonors, parts("ZZMARK", mode=9), "INVALID"),
                (donors.ImportDonors, parts("ZZMARK", column="name"), "INVALID"),
                (donors.GetDonor, registry_pb2.GetDonorRequest(name=mark), "NOT_FOUND"),
                (donors.GetDonor, registry_pb2.GetDonorRequest(name="ZZMARK"), "INVALID"),
                (donors.DeleteDonor, registry_pb2.DeleteDonorRequest(name=mark), "NOT_FOUND"),
                (donors.ListDonors, registry_pb2.ListDonorsRequest(page_size=1000), "OK"),
                (jobs.SubmitJob, job_of("ZZMARK-P", PATIENT), "OK"),
                (jobs.SubmitJob, job_of("ZZMARK-P", "ZZMARK"), "OK"),
                (jobs.SubmitJob, jobs_pb2.SubmitJobRequest(file=b"ZZMARK,*44:02\n"), "OK"),
                (jobs.SubmitJob, job_of("ZZMARK\n", "ZZMARK"), "INVALID"),
                (jobs.SubmitJob, job_of("ZZMARK-P", PATIENT, "A*02:01,ZZMARK"), "OK"),
                (
                    jobs.SubmitJob,
                    job_of("ZZMARK-P", PATIENT, "patient,antigen_or_allele,mfi\nZZMARK,A*02:01,1"),
                    "OK",
                ),
                (jobs.SubmitJob, job_of("P", PATIENT, "antigen_or_allele,ZZMARK\n"), "INVALID"),
                (jobs.GetJob, jobs_pb2.GetJobRequest(name="jobs/ZZMARK"), "NOT_FOUND"),
                (
                    searches.CreateSavedSearch,
                    saved_searches_pb2.CreateSavedSearchRequest(
                        saved_search_id="ZZMARK", search=saved
                    ),
                    "OK",
                ),
                (
                    searches.CreateSavedSearch,
                    saved_searches_pb2.CreateSavedSearchRequest(
                        saved_search_id="ZZMARK-2", search=with_report
                    ),
                    "INVALID",
                ),
                (
                    searches.RunSavedSearch,
                    saved_searches_pb2.RunSavedSearchRequest(name="savedSearches/ZZMARK"),
                    "OK",
                ),
                (
                    searches.DeleteSavedSearch,
                    saved_searches_pb2.DeleteSavedSearchRequest(name="savedSearches/ZZMARK"),
                    "OK",
                ),
            ]
            found = [outcome(call, request) for call, request, _ in cases]
            for job in jobs.ListJobs(jobs_pb2.ListJobsRequest(), metadata=sent).jobs:
                assert ended(jobs, job.name, metadata=sent).HasField("end_time")
                if job.state == jobs_pb2.JOB_STATE_SUCCEEDED:
                    results(jobs, job.name, jobs_pb2.JOB_FILE_CANDIDATES, metadata=sent)
            # An error of ours, in a thread and in the call itself, that quotes what it was given.
            monkeypatch.setattr(servicers, "score_pair_answer", broken)
            monkeypatch.setattr(servicers.GraftMatchServicer, "ParseTyping", broken)
            pair = pb.ScorePairRequest(patient=PATIENT, donor=PATIENT)
            assert outcome(stub.ScorePair, pair) == "INTERNAL"
            logging.getLogger("grpc").error("ZZMARK %s", PATIENT)
            try:
                broken()
            except ValueError:
                logging.getLogger("graftmatch.service").exception("it broke")
        metrics = scraped(port)
    metrics_server.stop()
    assert [f.removesuffix("_ARGUMENT") for f in found] == [expected for *_, expected in cases]
    told = {
        "log": text.getvalue(),
        "metrics": metrics,
        "traces": "".join(str(span.to_json()) for span in spans.get_finished_spans()),
        "audit": log.read_text(),
    }
    assert snapshot.search is not None
    stored = snapshot.search.index.ids(np.arange(len(snapshot.search.index)))
    for where, all_of_it in told.items():
        assert "ScorePair" in all_of_it, where
        assert [mark for mark in MARKS if mark in all_of_it] == [], where
        assert [donor for donor in stored if donor in all_of_it] == [], where
        assert token[-43:] not in all_of_it, where
    assert '"error": "ValueError"' in told["log"] and '"event": "it broke"' in told["log"]


def test_spans_reach_a_collector(snapshot: Snapshot) -> None:
    names: list[str] = []

    class Collector(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request: Any, _: Any) -> Any:  # noqa: N802
            for resource in request.resource_spans:
                for scope in resource.scope_spans:
                    names.extend(span.name for span in scope.spans)
            return trace_service_pb2.ExportTraceServiceResponse()

    collector = grpc.server(ThreadPoolExecutor(1))
    register: Any = trace_service_pb2_grpc.add_TraceServiceServicer_to_server
    register(Collector(), collector)
    port = collector.add_insecure_port("127.0.0.1:0")
    collector.start()
    settings = {"traces": f"http://127.0.0.1:{port}"}
    with running(snapshot, **settings) as address, grpc.insecure_channel(address) as channel:
        stub_of(channel).ParseTyping(pb.ParseTypingRequest(typing="A*01:01+A*02:01"))
    collector.stop(None)
    assert names == ["graftmatch.v1.GraftMatchService/ParseTyping"]


def test_a_port_of_metrics_in_use_is_one_clear_line() -> None:
    metrics_server = serve_metrics(0)
    port = metrics_server.port
    with pytest.raises(ServerError, match=r"already in use; give another --metrics-port"):
        serve_metrics(port)
    metrics_server.stop()


def test_records_are_written_together_and_warnings_at_once() -> None:
    text = io.StringIO()
    handler = BufferedHandler(text)
    handler.setFormatter(logging.Formatter("%(message)s"))

    def record(level: int, message: str) -> None:
        handler.emit(logging.LogRecord("graftmatch", level, "", 0, message, None, None))

    record(logging.INFO, "first")
    record(logging.WARNING, "second")
    assert text.getvalue() == "first\nsecond\n"
    record(logging.INFO, "third")
    eventually(lambda: text.getvalue().endswith("third\n"))
    assert text.getvalue() == "first\nsecond\nthird\n"


def test_a_log_that_cannot_be_written_for_a_while_goes_on_afterwards() -> None:
    class Full(io.StringIO):
        is_full = True

        def write(self, text: str) -> int:
            if self.is_full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return super().write(text)

    text = Full()
    handler = BufferedHandler(text)
    handler.setFormatter(logging.Formatter("%(message)s"))

    def record(level: int, message: str) -> None:
        handler.emit(logging.LogRecord("graftmatch", level, "", 0, message, None, None))

    # Nor does it end the call that it is about.
    record(logging.ERROR, "lost")
    record(logging.INFO, "lost too")
    eventually(lambda: not handler._lines)
    text.is_full = False
    record(logging.INFO, "written")
    eventually(lambda: text.getvalue() == "written\n")


def test_what_waits_to_be_written_is_written_once_when_processes_part(tmp_path: Path) -> None:
    program = """
import logging, os, time
from service.observability.logs import log_to_stderr
log_to_stderr()
log = logging.getLogger("graftmatch.test")
log.info("before")
child = os.fork()
log.info("child" if child == 0 else "parent")
logging.shutdown()
os._exit(0) if child == 0 else os.waitpid(child, 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    told = [json.loads(line)["event"] for line in done.stderr.splitlines()]
    assert told[0] == "before" and sorted(told[1:]) == ["child", "parent"]
