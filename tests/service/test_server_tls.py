"""TLS and mutual TLS: right, none, wrong and expired certificates; new ones without a restart."""

from __future__ import annotations

import datetime
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from service.observability.metrics import CERTIFICATE_EXPIRES
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.tls import Certificates
from service.server import serve
from service.server.listening import check_exposure
from service.server_settings import EXPOSED, serve_settings
from service.snapshot import Snapshot
from service.status import ServerError
from tests.service.certificates import Pair, authority, signed
from tests.service.serving import running, stub_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Pair:
    return authority(folder, "ours")


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Pair:
    return authority(folder, "theirs")


@pytest.fixture(scope="module")
def server(folder: Path, ours: Pair) -> Pair:
    return signed(folder, "server", ours)


@pytest.fixture
def mutual(snapshot: Snapshot, ours: Pair, server: Pair) -> Iterator[str]:
    """The address of a server that asks clients for a certificate."""
    settings = {"tls_cert": server.cert, "tls_key": server.key, "tls_client_ca": ours.cert}
    with running(snapshot, **settings) as address:
        yield address


def answer(address: str, trusted: Pair | None, own: Pair | None = None) -> str:
    """What a client gets to hear: a typing, or the status."""
    if trusted is None:
        channel = grpc.insecure_channel(address)
    else:
        channel = grpc.secure_channel(
            address.replace("127.0.0.1", "localhost"),
            grpc.ssl_channel_credentials(
                trusted.cert.read_bytes(),
                None if own is None else own.key.read_bytes(),
                None if own is None else own.cert.read_bytes(),
            ),
        )
    with channel:
        try:
            request = pb.ParseTypingRequest(typing="A*01:01+A*02:01")
            found = stub_of(channel).ParseTyping(request, timeout=10)
            return str(found.canonical)
        except grpc.RpcError as error:
            return str(error.code().name)


def test_a_client_with_a_certificate_of_ours_is_answered(
    mutual: str, ours: Pair, folder: Path
) -> None:
    assert answer(mutual, ours, signed(folder, "client", ours)) == "A*01:01+A*02:01"


def test_others_are_not(mutual: str, ours: Pair, theirs: Pair, folder: Path) -> None:
    assert answer(mutual, ours) == "UNAVAILABLE"
    assert answer(mutual, ours, signed(folder, "foreign", theirs)) == "UNAVAILABLE"
    assert answer(mutual, ours, signed(folder, "late", ours, expired=True)) == "UNAVAILABLE"
    # Neither is a client that trusts somebody else, nor one without TLS.
    assert answer(mutual, theirs, signed(folder, "client", ours)) == "UNAVAILABLE"
    assert answer(mutual, None) == "UNAVAILABLE"


def test_changed_certificates_are_used_and_broken_ones_not(
    snapshot: Snapshot, ours: Pair, theirs: Pair, server: Pair, tmp_path: Path
) -> None:
    used = Pair(tmp_path / "used.crt", tmp_path / "used.key")

    def put(pair: Pair) -> None:
        for source, target in ((pair.cert, used.cert), (pair.key, used.key)):
            shutil.copy(source, tmp_path / "new")
            (tmp_path / "new").replace(target)

    put(server)
    with running(snapshot, tls_cert=used.cert, tls_key=used.key) as address:
        assert answer(address, ours) == "A*01:01+A*02:01"
        assert answer(address, theirs) == "UNAVAILABLE"
        put(signed(tmp_path, "renewed", theirs))
        assert answer(address, theirs) == "A*01:01+A*02:01"
        assert answer(address, ours) == "UNAVAILABLE"
        expires = datetime.datetime(2099, 1, 1, tzinfo=datetime.UTC).timestamp()
        assert CERTIFICATE_EXPIRES._value.get() == expires
        put(replace(server, key=ours.key))
        assert answer(address, theirs) == "A*01:01+A*02:01"
        put(signed(tmp_path, "late", ours, expired=True))
        assert answer(address, theirs) == "A*01:01+A*02:01"
        put(server)
        assert answer(address, ours) == "A*01:01+A*02:01"


def test_certificates_that_cannot_serve(
    folder: Path, ours: Pair, theirs: Pair, server: Pair, tmp_path: Path
) -> None:
    late = signed(folder, "late", ours, expired=True)
    text = tmp_path / "text"
    text.write_text("no certificate")
    for cert, key, client_ca, reason in (
        (tmp_path / "none", server.key, None, "none: No such file"),
        (server.cert, tmp_path / "none", None, "none: No such file"),
        (server.cert, server.key, tmp_path / "none", "none: No such file"),
        (text, server.key, None, "text holds no certificate"),
        (server.cert, text, None, "text is not the key of"),
        (server.cert, theirs.key, None, "theirs.key is not the key of"),
        (server.cert, server.key, text, "text holds no certificate"),
        (late.cert, late.key, None, "late.crt cannot serve: certificate has expired"),
    ):
        with pytest.raises(ServerError, match=reason) as refused:
            Certificates(cert, key, client_ca)
        assert "\n" not in str(refused.value)
    assert Certificates(server.cert, server.key, ours.cert).expires.year == 2099


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"tls_cert": "x"}, "--tls-cert needs --tls-key"),
        ({"tls_key": "x"}, "--tls-key needs --tls-cert"),
        ({"tls_client_ca": "x"}, "--tls-client-ca needs --tls-cert and --tls-key"),
        ({"host": "0.0.0.0"}, r"0.0.0.0 can be reached .* needs TLS .* and tokens"),
        ({"host": "::"}, ":: can be reached from other machines"),
        ({"host": "0.0.0.0", "tls_cert": "x", "tls_key": "x"}, r"needs tokens \(--tokens\)"),
        ({"host": "0.0.0.0", "tokens": "x"}, "needs TLS"),
        ({"host": "0.0.0.0", "insecure": "yes"}, "must say exactly"),
        ({"insecure": "yes"}, "must say exactly"),
        ({"host": "9" * 100}, "'9999.*' is no name of a host"),
    ],
)
def test_settings_that_are_refused(
    snapshot: Snapshot, settings: dict[str, str], reason: str
) -> None:
    with pytest.raises(ServerError, match=reason) as refused:
        serve(serve_settings(**settings), lambda: snapshot)
    assert "\n" not in str(refused.value)


def test_other_machines_are_served_unprotected_if_that_is_said(snapshot: Snapshot) -> None:
    check_exposure(serve_settings(host="0.0.0.0", insecure=EXPOSED))
    with running(snapshot, host="0.0.0.0", insecure=EXPOSED) as address:
        assert answer(address, None) == "A*01:01+A*02:01"


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("port", "65536", "less than or equal to 65535, not '65536'"),
        ("workers", "many", "not 'many'"),
        ("drain_seconds", "-1", "greater than or equal to 0, not '-1'"),
        ("host", "", "at least 1 character, not ''"),
        ("tokens", "", "names no file, not ''"),
        ("reflection", "perhaps", "valid boolean, .*not 'perhaps'"),
    ],
)
def test_a_setting_that_is_none_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    with pytest.raises(ServerError, match=f"^--{name.replace('_', '-')}: .*{reason}$"):
        serve_settings(**{name: value})
    monkeypatch.setenv(f"GRAFTMATCH_SERVE_{name.upper()}", value)
    with pytest.raises(ServerError, match=f"^GRAFTMATCH_SERVE_{name.upper()}: .*{reason}$"):
        serve_settings()


def test_a_variable_that_is_no_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # As if clients needed no certificate.
    monkeypatch.setenv("GRAFTMATCH_SERVE_TLS_CLIENTCA", "ca.crt")
    with pytest.raises(ServerError, match="there is no setting GRAFTMATCH_SERVE_TLS_CLIENTCA"):
        serve_settings()
