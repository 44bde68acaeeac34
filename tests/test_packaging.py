"""What the distribution and the repository hold."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest

from tests.conftest import PROJECT


def test_the_package_names_are_ours_alone() -> None:
    owners = packages_distributions()
    for name in ("matching", "data", "service"):
        # An editable installation lists no packages, so its own name may be missing here.
        assert set(owners.get(name, ())) <= {"graftmatch"}
        module = importlib.import_module(name)
        assert Path(str(module.__file__)).is_relative_to(PROJECT)
    assert distribution("graftmatch").metadata["License-Expression"] == "Apache-2.0"


def test_the_lock_is_hashed_and_holds_no_addresses() -> None:
    lock = (PROJECT / "requirements.lock").read_text()
    assert "://" not in lock and " @ " not in lock
    for block in lock.replace("\\\n", " ").splitlines():
        assert "--hash=sha256:" in block, block


def test_no_file_of_a_release_or_cohort_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = {Path(line).name.lower() for line in listed.stdout.splitlines()}
    assert names
    forbidden = {"hla_nom.txt", "hla_nom_g.txt", "hla_nom_p.txt", "rel_dna_ser.txt", "uv.lock"}
    forbidden |= {"rel_ser_ser.txt", "dpb_tce.csv", "allelelist.txt", "allele_status.txt"}
    forbidden |= {"don.gl.txt.gz", "pat.gl.txt.gz", "mac_subset.csv", "cibmtr_ds1302.csv"}
    assert not names & forbidden


def test_a_required_run_without_the_shared_material_fails(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "tests/test_packaging.py", "-k", "lock"]
    environment = {**os.environ, "GRAFTMATCH_SHARED": str(tmp_path / "absent")}
    for required, code in (("0", 0), ("1", 1)):
        ended = subprocess.run(
            command,
            cwd=PROJECT,
            env={**environment, "GRAFTMATCH_REQUIRE_SHARED": required},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == code, ended.stdout
        assert ("no test used it" in ended.stdout) == bool(code)
