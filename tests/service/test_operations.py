"""What docs/operations.md says: settings as in the code, back-up and restore."""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import grpc
import pytest

from data.nomenclature import DEMO_RELEASE
from data.registry import Registry
from matching.nomenclature import Nomenclature
from service.cli.serve import serve
from service.config import Settings
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.security.access import ACCESS
from service.security.caller import Role
from service.server_settings import ServeSettings, variable
from service.settings_page import PAGE, with_reference
from service.snapshot import load_snapshot
from tests.conftest import PROJECT
from tests.service.serving import PATIENT, running, stub_of


def test_the_page_has_the_settings_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    assert with_reference(page) == page
    assert with_reference(page.replace("Address to listen on", "Another")) == page
    for name in ServeSettings.model_fields:
        assert f"| `{variable(name)}` |" in page
    # An option is one of a setting, or of the registry that is served.
    options = set(inspect.signature(serve).parameters) - {"context", "release", "folder"}
    assert options <= set(ServeSettings.model_fields)


def test_the_page_has_the_roles_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    for role in (Role.SEARCH, Role.ANALYST, Role.IMPORT):
        (line,) = re.findall(rf"^\| `{role.value}` \| (.*) \|$", page, re.M)
        allowed = [rpc for rpc, access in ACCESS.items() if role in access.roles]
        assert line == ", ".join(f"`{rpc}`" for rpc in allowed)


def test_a_back_up_during_imports_is_restored(tmp_path: Path, demo: Nomenclature) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"

    def imported(*names: str) -> None:
        file = tmp_path / "donors.csv"
        file.write_text("id,gl\n" + "".join(f"{name},{PATIENT}\n" for name in names))
        Registry(home / "registry").import_file(file, demo, tmp_path / "rejects")

    imported("D1")
    done = threading.Event()
    n_imported = 1

    def imports() -> None:
        nonlocal n_imported
        while not done.is_set():
            n_imported += 1
            imported(f"D{n_imported}")

    importing = threading.Thread(target=imports)
    importing.start()
    try:
        subprocess.run(
            ["sh", PROJECT / "examples/backup.sh", Path(sys.executable).parent, home, backup],
            check=True,
        )
    finally:
        done.set()
        importing.join()
    imported("LATE")
    shutil.move(home / "registry", tmp_path / "former")
    shutil.copytree(backup, home, dirs_exist_ok=True)
    snapshot = load_snapshot(Settings(home=home), DEMO_RELEASE)
    kept = Registry(backup / "registry").count()
    assert 1 <= kept <= n_imported
    with running(snapshot) as address, grpc.insecure_channel(address) as channel:
        batches = list(stub_of(channel).SearchDonors(pb.SearchDonorsRequest(patient=PATIENT)))
    found = {candidate.donor for batch in batches for candidate in batch.candidates}
    # One state, whole, and nothing of later ones.
    assert found == {f"D{n}" for n in range(1, kept + 1)}


def test_a_back_up_says_what_is_in_it_and_never_replaces_one(
    tmp_path: Path, demo: Nomenclature, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    (home / "searches").mkdir(parents=True)

    def back_up(*arguments: Path) -> subprocess.CompletedProcess[str]:
        command = ["sh", *map(str, (PROJECT / "examples/backup.sh", *arguments))]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    binaries = Path(sys.executable).parent
    ended = back_up(binaries, home, tmp_path / "first")
    assert (ended.returncode, ended.stdout) == (0, f"in {tmp_path}/first: searches \n")
    assert ended.stderr == f"no donors in {home}/registry\n"
    file = tmp_path / "donors.csv"
    file.write_text(f"id,gl\nD1,{PATIENT}\n")
    Registry(elsewhere).import_file(file, demo, tmp_path / "rejects")
    monkeypatch.setenv("GRAFTMATCH_REGISTRY", str(elsewhere))
    second = tmp_path / "second"
    ended = back_up(binaries, home, second)
    assert (ended.returncode, ended.stdout) == (0, f"in {second}: registry searches \n")
    assert Registry(second / "registry").count() == 1
    assert second.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("GRAFTMATCH_REGISTRY", "postgresql://127.0.0.1/donors")
    assert "copy it with pg_dump" in back_up(binaries, home, tmp_path / "third").stdout
    for refused in ((binaries, home, second), (binaries, tmp_path / "none", tmp_path / "x"), ()):
        ended = back_up(*refused)
        assert ended.returncode == 2 and ended.stderr.startswith("usage: ")
    assert Registry(second / "registry").count() == 1
