"""graftmatch serve: the gRPC service."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.cli.common import ReleaseOption, settings
from service.cli.store import RegistryOption
from service.config import Settings
from service.observability.logs import log_to_stderr
from service.server import serve as serve_settled
from service.server_settings import ServeSettings, address_of, option, serve_settings

if TYPE_CHECKING:
    from service.snapshot import Snapshot


def _of(name: str) -> Any:
    """The option of a setting."""
    field = ServeSettings.model_fields[name]
    default = "" if field.default in (None, "") else f" By default {field.default}."
    # The environment is read with the other settings.
    return typer.Option(option(name), help=f"{field.description}{default}", show_default=False)


def serve(
    context: typer.Context,
    host: Annotated[str | None, _of("host")] = None,
    port: Annotated[int | None, _of("port")] = None,
    tls_cert: Annotated[Path | None, _of("tls_cert")] = None,
    tls_key: Annotated[Path | None, _of("tls_key")] = None,
    tls_client_ca: Annotated[Path | None, _of("tls_client_ca")] = None,
    tokens: Annotated[Path | None, _of("tokens")] = None,
    insecure: Annotated[str | None, _of("insecure")] = None,
    audit_log: Annotated[Path | None, _of("audit_log")] = None,
    metrics_port: Annotated[int | None, _of("metrics_port")] = None,
    traces: Annotated[str | None, _of("traces")] = None,
    workers: Annotated[int | None, _of("workers")] = None,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
) -> None:
    """Answer gRPC calls until interrupted. More settings: docs/operations.md."""
    given = {
        name: value
        for name, value in context.params.items()
        if name in ServeSettings.model_fields and value is not None
    }
    wanted = serve_settings(**given)
    log_to_stderr()
    serve_settled(
        wanted,
        partial(_load, settings(), release, folder),
        lambda port, served: typer.echo(f"serving on {address_of(wanted.host, port)} ({served})"),
    )


def _load(home: Settings, release: str | None, folder: str | None) -> Snapshot:
    # Imported by the server, which sees to it that this is quick.
    from service.snapshot import load_snapshot

    return load_snapshot(home, release, folder)
