"""The command line called in this process, and a small simulated registry."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from service import cli
from service.batch import search as batch_search

PATIENTS = 24
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("GRAFTMATCH_HOME", str(tmp_path / "home"))

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["graftmatch", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture
def registry(run: Run, tmp_path: Path) -> Path:
    """A registry of 300 simulated demo donors, and the folder of the simulation."""
    out = tmp_path / "simulated"
    code, printed, _ = run(
        *("registry", "simulate", "--release", "demo", "--donors", 300, "--patients", 4),
        *("--frequencies", "demo", "--seed", 1, "--out", out),
    )
    assert code == 0 and "300 donors and 4 patients simulated" in printed
    code, printed, _ = run("registry", "import", out / "donors.csv", "--release", "demo")
    assert code == 0
    assert "read 300 = new 300 + updated 0 + unchanged 0 + deleted 0 + rejected 0" in printed
    return out


@pytest.fixture
def patients(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Patients of a registry of 300 donors, of whom three make a chunk."""
    monkeypatch.setattr(batch_search, "CHUNK", 3)
    out = tmp_path / "simulated"
    code, _, _ = run(
        *("registry", "simulate", "--release", "demo", "--donors", 300, "--frequencies", "demo"),
        *("--patients", PATIENTS, "--seed", 1, "--out", out),
    )
    assert code == 0
    assert run("registry", "import", out / "donors.csv", "--release", "demo")[0] == 0
    return out / "patients.csv"
