"""Registries in a folder and in a private PostgreSQL server."""

from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import sqlalchemy as sa

from data.registry import Registry

_NUMBERS = count(1)


def _binaries() -> Path | None:
    """Folder of the programs of a PostgreSQL server; Debian keeps them off the path."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("pg_ctl")
    if found:
        folders.append(Path(found).parent)
    return next((f for f in folders if (f / "initdb").exists() and (f / "pg_ctl").exists()), None)


def unprivileged_user() -> str:
    """Who runs the server: it refuses to run as root."""
    if os.getuid():
        return getpass.getuser()
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Address of a server on loopback that belongs to this run, without durability."""
    pytest.importorskip("psycopg", reason="PostgreSQL: psycopg is not installed")
    binaries = _binaries()
    if binaries is None:
        pytest.skip("PostgreSQL: no initdb and pg_ctl here; install Debian's postgresql")
    user = unprivileged_user()
    folder = Path(tempfile.mkdtemp(prefix="graftmatch-postgres-"))
    if not os.getuid():
        shutil.chown(folder, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def run(*command: object) -> None:
        subprocess.run(
            list(map(str, command)),
            check=True,
            user=user if not os.getuid() else None,
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )

    cluster = folder / "cluster"
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    try:
        run(binaries / "initdb", "-D", cluster, "-A", "trust", "-U", "tester", "-E", "UTF8")
        run(
            *(binaries / "pg_ctl", "start", "-w", "-D", cluster, "-l", folder / "log"),
            *("-o", options),
        )
        yield f"postgresql://tester@127.0.0.1:{port}/postgres"
    finally:
        if (cluster / "postmaster.pid").exists():
            run(binaries / "pg_ctl", "stop", "-m", "immediate", "-D", cluster)
        shutil.rmtree(folder, ignore_errors=True)


def restart_postgres(address: str) -> None:
    """End the server of an address at once, as in a failure, and start it again."""
    engine = sa.create_engine(address.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        cluster = connection.exec_driver_sql("SHOW data_directory").scalar_one()
    engine.dispose()
    subprocess.run(
        [f"{_binaries()}/pg_ctl", "restart", "-w", "-m", "immediate", "-D", str(cluster)],
        check=True,
        user=unprivileged_user() if not os.getuid() else None,
        cwd=Path(cluster).parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


@pytest.fixture(params=["sqlite", "postgres"])
def registries(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Registry]:
    """Makes empty registries, on each kind of database."""
    if request.param == "sqlite":
        return lambda: Registry.at(tmp_path / f"registry{next(_NUMBERS)}", tmp_path)
    server = str(request.getfixturevalue("postgres_server"))
    return lambda: Registry.at(new_schema(server), tmp_path)


def new_schema(server: str) -> str:
    """Address of an empty schema."""
    schema = f"registry_{next(_NUMBERS)}"
    engine = sa.create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
    engine.dispose()
    return f"{server}?options=-csearch_path%3D{schema}"


@pytest.fixture
def registry(registries: Callable[[], Registry]) -> Registry:
    """An empty registry on each kind of database."""
    return registries()
