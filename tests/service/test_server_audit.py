"""The audit log: who, when, which call, whose records, how it ended; no answer without it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import grpc
import pytest

from service.calls import Call
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.audit import MAX_RECORDS, AuditLog, audit_key, lines_about, record_hash
from service.security.caller import ANYONE, Caller, Role
from service.snapshot import Snapshot
from service.status import AuditError, ServerError
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running, stub_of
from tests.service.test_server_tokens import made

REQUEST_ID = "0123abcd-0000-1111-2222-333344445555"


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def test_calls_are_written_down(snapshot: Snapshot, log: Path, tmp_path: Path, run: Run) -> None:
    token, entry = made("centre-1", Role.SEARCH)
    other, entry_2 = made("centre-2", Role.ANALYST)
    (tmp_path / "tokens.toml").write_text(entry + entry_2)
    settings = {"tokens": tmp_path / "tokens.toml", "audit_log": log}
    with running(snapshot, **settings) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        sent = (("authorization", f"Bearer {token}"), ("x-request-id", REQUEST_ID))
        request = pb.SearchDonorsRequest(patient=PATIENT, max_mismatches=2, batch_size=9)
        batches = list(stub.SearchDonors(request, metadata=sent))
        stub.AllocateDonors(pb.AllocateDonorsRequest(patients=["P1"], donors=["D1"]), metadata=sent)
        with pytest.raises(grpc.RpcError):
            stub.ScorePair(pb.ScorePairRequest(patient="A*01"), metadata=sent)
        with pytest.raises(grpc.RpcError):
            stub.ScorePair(pb.ScorePairRequest())
        with pytest.raises(grpc.RpcError):
            stub.ScorePair(pb.ScorePairRequest(), metadata=(("authorization", f"Bearer {other}"),))
    key = audit_key(tmp_path / "audit.jsonl.key")
    written = lines(log)
    assert all(line["time"].endswith("+00:00") for line in written)
    mine = [line for line in written if line["request_id"] == REQUEST_ID]
    assert {(line["site"], line["token"]) for line in mine} == {("centre-1", token[3:15])}
    # A line for every message with donors, and one for the end.
    search = [line for line in mine if line["rpc"] == "SearchDonors"]
    told = [[record_hash(key, c.donor) for c in batch.candidates] for batch in batches]
    assert [line.get("records") for line in search] == [*told, None] and len(told) > 2
    assert search[-1]["outcome"] == "OK" and 0 < search[-1]["seconds"] < 20
    allocation = [line for line in mine if line["rpc"] == "AllocateDonors"]
    assert allocation[0]["records"] == [record_hash(key, "P1"), record_hash(key, "D1")]
    outcomes = [
        (line["site"], line["rpc"], line["outcome"]) for line in written if "outcome" in line
    ]
    assert outcomes == [
        ("centre-1", "SearchDonors", "OK"),
        ("centre-1", "AllocateDonors", "OK"),
        ("centre-1", "ScorePair", "INVALID_ARGUMENT"),
        ("centre-2", "ScorePair", "PERMISSION_DENIED"),
    ]
    assert log.stat().st_mode & 0o777 == 0o600
    # Who has the key finds a record, and a site its own lines.
    donor = batches[0].candidates[0].donor
    code, printed, _ = run("audit", log, "--record", donor)
    assert code == 0 and [json.loads(line) for line in printed.splitlines()] == search[:1]
    code, printed, _ = run("audit", log, "--site", "centre-2")
    assert code == 0 and json.loads(printed)["outcome"] == "PERMISSION_DENIED"
    assert run("audit", log, "--site", "centre-2", "--record", donor) == (0, "", "")
    (tmp_path / "audit.jsonl.key").unlink()
    code, _, told_ = run("audit", log, "--record", donor)
    assert code == 1 and "there is no key" in told_


def test_nothing_is_answered_that_cannot_be_written_down(
    snapshot: Snapshot, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(snapshot, audit_log=log) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        request = pb.SearchDonorsRequest(patient=PATIENT, batch_size=1)
        list(stub.SearchDonors(request))
        with monkeypatch.context() as patched:
            patched.setattr(os, "write", lambda *_: 0)
            received = []
            with pytest.raises(grpc.RpcError) as refused:
                received.extend(stub.SearchDonors(request))
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE and not received
            with pytest.raises(grpc.RpcError) as refused:
                stub.ParseTyping(pb.ParseTypingRequest(typing="A*01:01+A*02:01"))
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert str(log) not in refused.value.details()
        # There is room again.
        assert list(stub.SearchDonors(request))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that 64 KiB fill."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_leaves_no_half_line(small_disk: Path) -> None:
    log = AuditLog(small_disk / "audit.jsonl", b"k" * 32)
    call = Call("SearchDonors", REQUEST_ID, ANYONE)
    written = 0
    try:
        while written < 1000:
            log.records(call, map(str, range(100)))
            written += 1
    except AuditError as error:
        full = str(error)
    assert "No space left on device" in full
    assert len(lines(small_disk / "audit.jsonl")) == written > 10
    log.close()
    with pytest.raises(ServerError, match=r"cannot write the audit log .*No such file"):
        AuditLog(small_disk / "none" / "audit.jsonl", b"k" * 32)


def test_a_server_with_a_full_disk_tells_nothing(
    snapshot: Snapshot, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log, other = small_disk / "audit.jsonl", small_disk / "other"
    request = pb.SearchDonorsRequest(patient=PATIENT, batch_size=1)
    with running(snapshot, audit_log=log) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        n = len(list(stub.SearchDonors(request)))
        with contextlib.suppress(OSError), other.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
        received: list[Any] = []
        try:
            # What is left of the last page of memory takes some lines.
            for number in range(1000):
                received.clear()
                request_id = f"{number:08x}"
                sent = (("x-request-id", request_id),)
                received.extend(stub.SearchDonors(request, metadata=sent))
        except grpc.RpcError as error:
            code = error.code()
        assert code is grpc.StatusCode.UNAVAILABLE
        # Whoever runs it is told why.
        assert "UNAVAILABLE, AuditError (No space left on device) at " in caplog.text
        other.unlink()
        assert len(list(stub.SearchDonors(request))) == n
    # A message is told only if its line is written, and no half line is left.
    written = lines(log)
    last = [line for line in written if line["request_id"] == request_id]
    assert n > sum("records" in line for line in last) >= len(received)
    assert written[-1]["outcome"] == "OK"


def test_processes_that_start_together_have_one_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None reads a key that another is just making."""
    draw = secrets.token_hex

    def slowly(n_bytes: int) -> str:
        time.sleep(0.02)
        return draw(n_bytes)

    monkeypatch.setattr(secrets, "token_hex", slowly)
    paths = [tmp_path / f"{number}.key" for number in range(5)]
    with ThreadPoolExecutor(8) as pool:
        for path in paths:
            made_at_once = [pool.submit(audit_key, path) for _ in range(8)]
            assert len({one.result() for one in made_at_once}) == 1
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(tmp_path.iterdir()) == sorted(paths)


def test_a_log_that_cannot_be_written_stops_the_start(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It would go on writing to what stands for stderr in this test.
    monkeypatch.setattr(import_module("service.cli.serve"), "log_to_stderr", lambda: None)
    code, _, told = run("serve", "--release", "demo", "--port", 0, "--audit-log", tmp_path)
    assert code == 1 and f"cannot write the audit log {tmp_path}: Is a directory" in told
    assert told.count("\n") == 1
    key = tmp_path / "audit.key"
    for text in (b"short", b"ab" * 31, b"", b"\xff" * 64):
        key.write_bytes(text)
        with pytest.raises(ServerError, match="is no key of the audit log: not 64 hexadecimal"):
            audit_key(key)
    with pytest.raises(ServerError, match="the key of the audit log: No such file or directory"):
        audit_key(tmp_path / "none" / "audit.key")


@pytest.mark.parametrize("text", [b"\x7fELF\xd0\n", b'{"time": 3}\n', b"[1]\n", b"1\n", b"{\n"])
def test_a_file_that_is_no_audit_log(run: Run, log: Path, text: bytes) -> None:
    log.write_bytes(text)
    code, told, error = run("audit", log)
    assert (code, told, error) == (1, "", f"error: {log}, line 1: no line of an audit log\n")


def test_a_log_that_cannot_be_opened_anew_leaves_other_files_alone(log: Path) -> None:
    audit = AuditLog(log, b"k" * 32)
    call = Call("SearchDonors", REQUEST_ID, ANYONE)
    audit.outcome(call, "OK", 0.1)
    log.rename(log.with_name("former"))
    # Nothing can be written at its place.
    log.mkdir()
    with pytest.raises(AuditError, match="Is a directory"):
        audit.outcome(call, "OK", 0.1)
    # As a connection or a database, which get the least number that is free.
    with log.with_name("other").open("w") as other:
        with pytest.raises(AuditError, match="Is a directory"):
            audit.outcome(call, "OK", 0.1)
        log.rmdir()
        audit.outcome(call, "OK", 0.1)
        other.write("whole")
    assert log.with_name("other").read_text() == "whole"
    assert len(lines(log)) == len(lines(log.with_name("former"))) == 1
    audit.close()


def test_several_may_write_and_the_file_may_be_moved(log: Path) -> None:
    caller = Caller("s", "t", frozenset())
    logs = [AuditLog(log, b"k" * 32) for _ in range(2)]

    def write(number: int) -> None:
        call = Call("SearchDonors", f"{number:08x}", caller)
        logs[number % 2].records(call, map(str, range(MAX_RECORDS + 1)))
        logs[number % 2].outcome(call, "OK", 0.1)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(40)))
    log.rename(log.with_name("former"))
    write(40)
    for one in logs:
        one.close()
    former = lines(log.with_name("former"))
    assert len(former) == 40 * 3
    assert {len(line["records"]) for line in former if "records" in line} == {MAX_RECORDS, 1}
    assert [line["request_id"] for line in lines_about(log, "s", None, dict)] == ["00000028"] * 3
