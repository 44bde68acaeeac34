"""Where the server listens, and whether it may."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from service.security.tls import Certificates
from service.server_settings import EXPOSED, ServeSettings, option
from service.status import ServerError


def address_of(host: str, port: int) -> str:
    """As gRPC writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def certificates(settings: ServeSettings) -> Certificates | None:
    """The certificates of the settings, None without TLS. Raises `ServerError`."""
    if settings.tls_cert is None and settings.tls_key is None:
        if settings.tls_client_ca is not None:
            raise ServerError("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    if settings.tls_cert is None or settings.tls_key is None:
        given, missing = ("key", "cert") if settings.tls_cert is None else ("cert", "key")
        raise ServerError(f"--tls-{given} needs --tls-{missing}")
    return Certificates(settings.tls_cert, settings.tls_key, settings.tls_client_ca)


def check_exposure(settings: ServeSettings) -> None:
    """Raises `ServerError` where other machines could call without TLS and tokens unsaid."""
    if settings.insecure not in ("", EXPOSED):
        raise ServerError(f'{option("insecure")} must say exactly: "{EXPOSED}"')
    missing = [
        what
        for what, there in (
            ("TLS (--tls-cert, --tls-key)", settings.tls_cert is not None),
            ("tokens (--tokens)", settings.tokens is not None),
        )
        if not there
    ]
    if missing and not settings.insecure and not is_loopback(settings.host, settings.port):
        raise ServerError(
            f"{settings.host} can be reached from other machines, which needs "
            f'{" and ".join(missing)}; give them, or {option("insecure")} "{EXPOSED}"'
        )


def is_loopback(host: str, port: int) -> bool:
    """Whether only this machine can reach a host. Raises `ServerError`."""
    found = {str(address[0]).partition("%")[0] for _, _, address in _resolved(host, port)}
    return all(ipaddress.ip_address(address).is_loopback for address in found)


def check_free(host: str, port: int) -> None:
    """Raises `ServerError` in plain words where nothing can listen; gRPC does not say why."""
    family, protocol, address = _resolved(host, port)[0]
    try:
        with socket.socket(family, socket.SOCK_STREAM, protocol) as probe:
            # As gRPC does: a port whose last connections are still closing is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error


@contextmanager
def reserved(host: str, port: int) -> Iterator[int]:
    """The port, a free one for 0, kept for processes of this user that share it meanwhile.

    Raises `ServerError`.
    """
    check_free(host, port)
    family, protocol, address = _resolved(host, port)[0]
    with socket.socket(family, socket.SOCK_STREAM, protocol) as held:
        # It does not listen, so no connection ever comes to it.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            held.bind(address)
        except OSError as error:
            raise _cannot_listen(host, port, error) from error
        yield int(held.getsockname()[1])


def _resolved(host: str, port: int) -> list[tuple[socket.AddressFamily, int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except UnicodeError as error:
        raise ServerError(f"{host[:100]!r} is no name of a host; give another --host") from error
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return [(family, protocol, address) for family, _, protocol, _, address in found]


def _cannot_listen(host: str, port: int, error: OSError) -> ServerError:
    return ServerError(
        f"cannot listen on {host} port {port}: {error.strerror}; give another --port or --host"
    )
