"""TLS: certificates that are checked when they are read, and read again when their files change."""

from __future__ import annotations

import datetime
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from service.observability.metrics import CERTIFICATE_EXPIRES
from service.security.watched import Signature, signature_of
from service.status import ServerError

_LOG = logging.getLogger("graftmatch.tls")


@dataclass
class Certificates:
    """Certificate and key of the server; `client_ca`: who signs clients, None where any may call.

    Raises `ServerError` for files that cannot serve. Files that change while the server runs are
    used from the next connection on; where they cannot serve, those before stay in use.
    """

    cert: Path
    key: Path
    client_ca: Path | None
    expires: datetime.datetime = field(init=False)
    _seen: Sequence[Signature] = field(init=False, repr=False)
    _texts: Sequence[bytes] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._seen = self._signatures()
        self._texts = self._read()

    def credentials(self) -> Any:
        """For `add_secure_port`. Nothing of gRPC is at work before."""
        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            self._changed,
            require_client_authentication=self.client_ca is not None,
        )

    def _changed(self) -> Any:
        """What gRPC asks before each handshake: new certificates, None if they are the same."""
        signatures = self._signatures()
        if signatures == self._seen:
            return None
        # Looked at once, whether they can serve or not.
        self._seen = signatures
        try:
            self._texts = self._read()
        except ServerError as error:
            _LOG.error("the changed certificates are not used: %s", error)
            return None
        _LOG.warning("the changed certificates are used, until %s", self.expires.isoformat())
        return self._configuration()

    def _signatures(self) -> tuple[Signature, ...]:
        return tuple(signature_of(path) for path in self._files())

    def _files(self) -> list[Path]:
        return [path for path in (self.cert, self.key, self.client_ca) if path is not None]

    def _read(self) -> list[bytes]:
        """The files, in the order of `_files`. Raises `ServerError` where they cannot serve."""
        texts = [_read(path) for path in self._files()]
        self.expires = _check(self.cert, self.key)
        if self.client_ca is not None:
            _check_authorities(self.client_ca)
        return texts

    def _configuration(self) -> Any:
        CERTIFICATE_EXPIRES.set(self.expires.timestamp())
        cert, key, *authorities = self._texts
        return grpc.ssl_server_certificate_configuration(
            [(key, cert)], root_certificates=authorities[0] if authorities else None
        )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ServerError(f"cannot read {path}: {error.strerror}") from error


def _check(cert: Path, key: Path) -> datetime.datetime:
    """When a certificate ends, found by a handshake with itself. Raises `ServerError`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        client.load_verify_locations(cert)
    except ssl.SSLError as error:
        raise ServerError(f"{cert} holds no certificate in PEM") from error
    try:
        # The password keeps OpenSSL from asking for one at the terminal.
        server.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise ServerError(
            f"{key} is not the key of {cert}, or has a password: {error.reason or error}"
        ) from error
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    try:
        done = [False, False]
        while not all(done):
            done = [_advance(end) for end in ends]
    except ssl.SSLCertVerificationError as error:
        raise ServerError(f"{cert} cannot serve: {error.verify_message}") from error
    told = ends[0].getpeercert() or {}
    seconds = ssl.cert_time_to_seconds(str(told["notAfter"]))
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC)


def _advance(end: ssl.SSLObject) -> bool:
    """One step of a handshake; true when it is done."""
    try:
        end.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def _check_authorities(path: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError as error:
        raise ServerError(f"{path} holds no certificate in PEM") from error
