"""Authorities and certificates for tests, made with the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    cert: Path
    key: Path


def authority(folder: Path, name: str) -> Pair:
    """One that signs itself, and others."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    _openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", pair.key, "-out", pair.cert, "-subj", f"/CN={name}", "-days", 2),
    )
    return pair


def signed(folder: Path, name: str, by: Pair, expired: bool = False) -> Pair:
    """A certificate for localhost, of the last two days or of the next."""
    pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
    request, extensions, database = (folder / f"{name}.{end}" for end in ("csr", "cnf", "db"))
    _openssl(
        *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
        *("-keyout", pair.key, "-out", request, "-subj", f"/CN={name}"),
    )
    extensions.write_text(
        "[ca]\ndefault_ca=this\n[this]\n"
        f"database={database}\nserial={database}.serial\nnew_certs_dir={folder}\n"
        "default_md=sha256\npolicy=any\nx509_extensions=ext\n"
        "[any]\ncommonName=supplied\n[ext]\nsubjectAltName=DNS:localhost\n"
    )
    database.write_text("")
    dates = (
        ("20200101000000Z", "20200102000000Z")
        if expired
        else ("20200101000000Z", "20990101000000Z")
    )
    _openssl(
        *("ca", "-batch", "-config", extensions, "-rand_serial", "-in", request, "-out", pair.cert),
        *("-cert", by.cert, "-keyfile", by.key, "-startdate", dates[0], "-enddate", dates[1]),
        "-notext",
    )
    return pair


def _openssl(*arguments: object) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl command to make certificates with")
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
