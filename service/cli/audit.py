"""graftmatch audit: what stands in the audit log."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from service.security.audit import audit_key, lines_about, record_hash
from service.server_settings import serve_settings
from service.status import ServerError


def audit(
    log: Annotated[
        Path | None, typer.Argument(help="The log; by default GRAFTMATCH_SERVE_AUDIT_LOG.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="Lines of this site alone.")] = None,
    record: Annotated[
        str | None, typer.Option(help="Lines about this donor or patient alone; needs the key.")
    ] = None,
) -> None:
    """Print lines of the audit log: of a site, about a record."""
    settings = serve_settings()
    path = log or settings.audit_log
    if path is None:
        raise ServerError("name the audit log, or set GRAFTMATCH_SERVE_AUDIT_LOG")
    if record is not None:
        key = settings.audit_key_file(path)
        if not key.exists():
            raise ServerError(f"there is no key {key}; name it with GRAFTMATCH_SERVE_AUDIT_KEY")
        record = record_hash(audit_key(key), record)
    for line in lines_about(path, site, record, json.dumps):
        typer.echo(line)
