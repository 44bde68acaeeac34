"""graftmatch serve: the gRPC service."""

from __future__ import annotations

from typing import Annotated

import typer

from service.cli.common import ReleaseOption, settings
from service.cli.store import RegistryOption
from service.server import serve as serve_snapshot
from service.snapshot import load_snapshot


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 50051,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
) -> None:
    """Answer gRPC calls until interrupted. There is no encryption: keep it on this machine."""
    snapshot = load_snapshot(settings(), release, folder)

    def ready(bound: int) -> None:
        typer.echo(
            f"serving on {host}:{bound} (release {snapshot.nomenclature.release}, "
            f"index {snapshot.index_version or 'empty'}, frequencies "
            f"{snapshot.frequency_set or 'none'}, model {snapshot.model_label})"
        )

    serve_snapshot(snapshot, host, port, ready)
