"""The container file and the unit for systemd: what they name exists. Neither is run here."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from typer.main import get_group

from service.cli import app
from service.config import Settings
from service.server_settings import ServeSettings, variable
from tests.conftest import PROJECT

CONTAINER = PROJECT / "examples/Containerfile"
UNIT = PROJECT / "examples/graftmatch.service"
OURS = {"GRAFTMATCH_HOME", *(variable(name) for name in ServeSettings.model_fields)}
OTHERS = {"NUMBA_CACHE_DIR"}


def instructions() -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", CONTAINER.read_text("utf-8"))
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def scripts() -> dict[str, str]:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["project"]
    found: dict[str, str] = project["scripts"]
    return found


def test_the_container_file_names_what_is_there() -> None:
    found = instructions()
    kinds = [kind for kind, _ in found]
    assert kinds[0] == "FROM" and kinds.index("USER") < kinds.index("ENTRYPOINT")
    copied = [source for kind, rest in found if kind == "COPY" for source in rest.split()[:-1]]
    assert copied and all((PROJECT / source).exists() for source in copied)
    runs = [part.split() for kind, rest in found if kind == "RUN" for part in rest.split("&&")]
    assert [run[0] for run in runs] == ["pip", "pip", "useradd"]
    assert (PROJECT / runs[0][runs[0].index("-r") + 1]).is_file()
    # Without isolation the lock must hold what builds the project.
    lock = (PROJECT / "requirements.lock").read_text("utf-8")
    assert "--no-build-isolation" in runs[1] and re.search(r"^hatchling==", lock, re.M)
    values = dict(
        part.split("=", 1) for kind, rest in found if kind == "ENV" for part in shlex.split(rest)
    )
    assert values.keys() <= OURS | OTHERS
    by_kind = dict(found)
    assert values["GRAFTMATCH_HOME"] == by_kind["VOLUME"]
    assert int(by_kind["EXPOSE"]) == ServeSettings().port
    (command,) = json.loads(by_kind["ENTRYPOINT"])
    (subcommand,) = json.loads(by_kind["CMD"])
    assert command in scripts() and subcommand in get_group(app).list_commands(None)  # type: ignore[arg-type]
    assert by_kind["USER"] == runs[2][-1]
    minor = re.fullmatch(r"docker.io/library/python:3\.(\d+)-slim", by_kind["FROM"])
    assert minor is not None and int(minor.group(1)) >= 11


def unit() -> dict[str, str]:
    lines = UNIT.read_text("utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_unit_names_what_is_there() -> None:
    command, *arguments = unit()["ExecStart"].split()
    assert Path(command).name in scripts()
    assert arguments == ["serve"]
    names = re.findall(r"^Environment=(\w+)=", UNIT.read_text("utf-8"), re.M)
    assert set(names) <= OURS | OTHERS and "GRAFTMATCH_HOME" in names
    page = Path(unit()["Documentation"].partition(":")[2])
    assert (PROJECT / "docs" / page.name).is_file()
    # The supervisor kills workers that do not end before it is killed itself.
    assert int(unit()["TimeoutStopSec"]) > ServeSettings().drain_seconds + 10
    assert Settings.model_config["env_prefix"] == "GRAFTMATCH_"


def test_systemd_knows_every_word_of_the_unit(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd-analyze")
    # The program is not installed where the unit says.
    text = UNIT.read_text("utf-8").replace(unit()["ExecStart"].split()[0], "/bin/true")
    (tmp_path / UNIT.name).write_text(text)
    done = subprocess.run(
        [verify, "verify", tmp_path / UNIT.name], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.slow
def test_what_is_installed_holds_every_file(tmp_path: Path) -> None:
    """As the container file installs it: packages with their data, and the command."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    how = ["--no-deps", "--no-build-isolation", "-w", str(tmp_path)]
    subprocess.run([*pip, "wheel", *how, str(PROJECT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "matching", "data", "service"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert set(listed) <= held
    assert any(name.endswith("entry_points.txt") for name in held)
