"""The command line called in this process, and a small simulated registry."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest

from data.frequencies import read_frequencies
from data.nomenclature import DEMO_RELEASE
from data.registry import Registry
from data.synthetic import simulate
from matching.nomenclature import Nomenclature
from service import cli
from service.batch import search as batch_search
from service.config import Settings
from service.snapshot import Snapshot, load_snapshot
from tests.service.antibody_reports import write_beads
from tests.service.serving import running, stub_of

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
def units(run: Run, registry: Path, tmp_path: Path) -> pd.DataFrame:
    """The 300 simulated donors, those with an even number being cord units with counts."""
    donors = pd.read_csv(registry / "donors.csv", dtype=str, keep_default_na=False)
    rng = np.random.default_rng(5)
    cord = np.arange(len(donors)) % 2 == 0
    donors["type"] = np.where(cord, "cord", "adult")
    donors.loc[cord, ["age_years", "weight_kg"]] = ""
    donors["tnc_1e7"] = np.where(cord, rng.integers(60, 260, len(donors)).astype(str), "")
    donors["cd34_1e6"] = np.where(cord, rng.integers(2, 12, len(donors)).astype(str), "")
    donors.loc[donors.index % 10 == 0, "tnc_1e7"] = ""
    donors.loc[donors.index % 6 == 0, "cd34_1e6"] = ""
    donors.to_csv(tmp_path / "units.csv", index=False)
    code, _, error = run("registry", "import", tmp_path / "units.csv", "--release", "demo")
    assert code == 0, error
    return donors.set_index("id")


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


@pytest.fixture(scope="package")
def home(tmp_path_factory: pytest.TempPathFactory, demo: Nomenclature) -> Path:
    """A home folder with a small simulated registry, which nobody changes."""
    folder = tmp_path_factory.mktemp("home")
    simulated = folder / "simulated"
    simulate(simulated, read_frequencies("demo"), demo, 300, 2, seed=1)
    Registry(folder / "registry").import_file(simulated / "donors.csv", demo, folder / "rejects")
    return folder


@pytest.fixture(scope="package")
def snapshot(home: Path) -> Snapshot:
    return load_snapshot(Settings(home=home), DEMO_RELEASE)


@pytest.fixture
def address(snapshot: Snapshot) -> Iterator[str]:
    """Of a server without TLS or tokens."""
    # For one test alone: gRPC does not bear two event loops at work in one process.
    with running(snapshot) as name:
        yield name


@pytest.fixture
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as opened:
        yield opened


@pytest.fixture
def stub(channel: grpc.Channel) -> Any:
    return stub_of(channel)


@pytest.fixture
def beads_file(tmp_path: Path) -> Path:
    """The beads of `antibody_reports`."""
    path = tmp_path / "beads.csv"
    write_beads(path)
    return path


@pytest.fixture
def own_snapshot(units: pd.DataFrame, tmp_path: Path) -> Snapshot:
    """Of the home folder of `run`."""
    return load_snapshot(Settings(home=tmp_path / "home"), DEMO_RELEASE)


@pytest.fixture
def own_channel(own_snapshot: Snapshot) -> Iterator[grpc.Channel]:
    with running(own_snapshot) as address, grpc.insecure_channel(address) as opened:
        yield opened


@pytest.fixture
def own(own_channel: grpc.Channel) -> Any:
    return stub_of(own_channel)
