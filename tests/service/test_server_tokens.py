"""Tokens: none, forged, expired, wrong role, rotated; every call has its roles."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.access import ACCESS, PROTOS, SERVICE_OF, check_role
from service.security.caller import Caller, Role
from service.security.tokens import Tokens, new_token
from service.snapshot import Snapshot
from service.status import ForbiddenError, ServerError
from tests.service.conftest import Run
from tests.service.serving import PATIENT, running, stub_of

TYPING = pb.ParseTypingRequest(typing="A*01:01+A*02:01")


def made(site: str, *roles: Role, days: float = 1) -> tuple[str, str]:
    now = datetime.datetime.now(datetime.UTC)
    return new_token(site, frozenset(roles), now + datetime.timedelta(days=days))


@pytest.fixture(scope="module")
def search() -> tuple[str, str]:
    return made("centre-1", Role.SEARCH)


@pytest.fixture(scope="module")
def analyst() -> tuple[str, str]:
    return made("centre-2", Role.ANALYST)


@pytest.fixture(scope="module")
def expired() -> tuple[str, str]:
    return made("centre-1", Role.SEARCH, days=-0.001)


@pytest.fixture
def file(tmp_path: Path, search: tuple[str, str], analyst: tuple[str, str]) -> Path:
    path = tmp_path / "tokens.toml"
    path.write_text(search[1] + analyst[1])
    return path


@pytest.fixture
def guarded(snapshot: Snapshot, file: Path) -> Iterator[grpc.Channel]:
    with running(snapshot, tokens=file) as address, grpc.insecure_channel(address) as channel:
        yield channel


def status(call: Any, request: Any, token: str | None) -> str:
    sent = None if token is None else (("authorization", f"Bearer {token}"),)
    try:
        answer = call(request, metadata=sent, timeout=20)
        if not hasattr(answer, "provenance"):
            list(answer)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def test_who_may_call(
    guarded: grpc.Channel,
    file: Path,
    search: tuple[str, str],
    analyst: tuple[str, str],
    expired: tuple[str, str],
) -> None:
    file.write_text(file.read_text() + expired[1])
    stub = stub_of(guarded)
    forged = search[0][:-1] + ("A" if search[0][-1] != "A" else "B")
    for token, expected in (
        (None, "UNAUTHENTICATED"),
        ("", "UNAUTHENTICATED"),
        ("x" * 5000, "UNAUTHENTICATED"),
        (forged, "UNAUTHENTICATED"),
        (made("centre-1", Role.ADMIN)[0], "UNAUTHENTICATED"),
        (expired[0], "UNAUTHENTICATED"),
        (search[0], "OK"),
        (analyst[0], "OK"),
    ):
        assert status(stub.ParseTyping, TYPING, token) == expected, token
    donors = pb.SearchDonorsRequest(patient=PATIENT, limit=1)
    assert status(stub.SearchDonors, donors, search[0]) == "OK"
    assert status(stub.SearchDonors, donors, analyst[0]) == "PERMISSION_DENIED"
    assert status(stub.SearchDonors, donors, None) == "UNAUTHENTICATED"
    with pytest.raises(grpc.RpcError, match="metadata `authorization: Bearer TOKEN`"):
        stub.ParseTyping(TYPING)
    with pytest.raises(grpc.RpcError, match="the token has expired"):
        stub.ParseTyping(TYPING, metadata=(("authorization", f"Bearer {expired[0]}"),))


def test_health_needs_no_token(guarded: grpc.Channel) -> None:
    checked = health_pb2_grpc.HealthStub(guarded).Check(health_pb2.HealthCheckRequest())
    assert checked.status == health_pb2.HealthCheckResponse.SERVING


def test_tokens_are_rotated_by_changing_the_file(
    guarded: grpc.Channel, file: Path, search: tuple[str, str], analyst: tuple[str, str]
) -> None:
    call = stub_of(guarded).ParseTyping
    renewed = made("centre-1", Role.SEARCH)
    assert status(call, TYPING, renewed[0]) == "UNAUTHENTICATED"
    file.write_text(search[1] + renewed[1])
    assert [status(call, TYPING, t[0]) for t in (search, renewed)] == ["OK", "OK"]
    assert status(call, TYPING, analyst[0]) == "UNAUTHENTICATED"
    file.write_text(renewed[1])
    assert [status(call, TYPING, t[0]) for t in (search, renewed)] == ["UNAUTHENTICATED", "OK"]
    # A file that cannot be read leaves those before in use.
    file.write_text("[[token]]\n")
    assert [status(call, TYPING, t[0]) for t in (search, renewed)] == ["UNAUTHENTICATED", "OK"]
    file.unlink()
    assert status(call, TYPING, renewed[0]) == "OK"


def test_every_call_has_its_roles() -> None:
    assert set(ACCESS) == set(SERVICE_OF)
    methods = [
        method
        for proto in PROTOS
        for service in proto.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    ]
    # A name is of one call, and the interceptor lets only one side send a stream.
    assert len(methods) == len(SERVICE_OF)
    assert not any(method.client_streaming and method.server_streaming for method in methods)
    for rpc, access in ACCESS.items():
        assert access.roles, rpc
        for role in Role:
            caller = Caller("centre-1", "x", frozenset({role}))
            if role is Role.ADMIN or role in access.roles:
                check_role(caller, rpc)
            else:
                with pytest.raises(ForbiddenError, match=rpc):
                    check_role(caller, rpc)
    with pytest.raises(ForbiddenError):
        check_role(Caller("centre-1", "x", frozenset(Role)), "NotInTheTable")


def test_the_file_holds_no_token(search: tuple[str, str]) -> None:
    token, lines = search
    assert token not in lines and token[-43:] not in lines
    assert re.fullmatch(r"gm_[0-9a-f]{12}_[A-Za-z0-9_-]{43}", token)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (("[[token]]", "[[tokens]]"), "may hold"),
        (("sha256", "sha1"), "token 1: it must have expires, id, roles, sha256, site"),
        (("centre-1", "centre 1"), "token 1: site is not .*: 'centre 1'"),
        (('"search"', '"root"'), "some of search, import, analyst, admin: .*root"),
        (('["search"]', "[]"), "roles is not a list"),
        (('["search"]', '[["search"]]'), "roles is not a list"),
        (("+00:00", ""), "expires is not a time with its zone"),
        (('id = "', 'id = "0'), "id is not 12"),
        (('sha256 = "', 'sha256 = "0'), "sha256 is not 64"),
        (("[[token]]", "[[token"), "is not TOML"),
        (("centre-1", "centre-\x00"), "is not TOML"),
    ],
)
def test_a_file_that_is_not_one_of_tokens(
    tmp_path: Path, search: tuple[str, str], change: tuple[str, str], reason: str
) -> None:
    file = tmp_path / "tokens.toml"
    file.write_text(search[1].replace(*change))
    with pytest.raises(ServerError, match=reason) as refused:
        Tokens(file)
    assert "\n" not in str(refused.value)


def test_files_of_tokens_that_are_missing_or_twice(tmp_path: Path, search: tuple[str, str]) -> None:
    with pytest.raises(ServerError, match=r"cannot read .*none"):
        Tokens(tmp_path / "none")
    file = tmp_path / "tokens.toml"
    file.write_text(search[1] * 2)
    with pytest.raises(ServerError, match="token 2: its id is there twice"):
        Tokens(file)


def test_a_token_is_made_at_the_command_line(run: Run, tmp_path: Path) -> None:
    code, lines, told = run("token", "new", "--site", "s", "--role", "search", "--role", "admin")
    assert code == 0 and 'roles = ["search", "admin"]' in lines
    token = told.split()[-1]
    assert token not in lines
    file = tmp_path / "tokens.toml"
    file.write_text(lines)
    caller = Tokens(file).caller(f"Bearer {token}")
    assert (caller.site, set(caller.roles)) == ("s", {Role.SEARCH, Role.ADMIN})
    code, _, told = run("token", "new", "--site", "a b", "--role", "search")
    assert code == 1 and "site is not" in told
