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


def test_the_client_in_the_readme_is_the_one_that_is_run() -> None:
    client = (PROJECT / "examples/client.py").read_text()
    assert f"```python\n{client}```" in (PROJECT / "README.md").read_text()


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
    forbidden |= {
        "deleted_alleles.txt",
        "cases.json",
        "kmsurv_bmt.csv",
        "haplotype_frequencies.csv",
    }
    forbidden |= {"don.gl.txt.gz", "pat.gl.txt.gz", "mac_subset.csv", "cibmtr_ds1302.csv"}
    assert not names & forbidden
    assert not [name for name in names if name.endswith("_prot.fasta")]


def test_no_tracked_file_is_a_copy_of_shared_material() -> None:
    # Not by the fixture `shared`: this test alone must not pass for a use of the material.
    shared = Path(os.environ.get("GRAFTMATCH_SHARED", PROJECT.parent / "shared"))
    if not shared.is_dir() or not (PROJECT / ".git").exists():
        pytest.skip("needs the shared material and a git checkout")
    by_size: dict[int, list[Path]] = {}
    for path in shared.rglob("*"):
        if path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(path)
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    for path in (PROJECT / name for name in listed.stdout.split("\0") if name):
        if path.is_file():
            for candidate in by_size.get(path.stat().st_size, []):
                assert path.read_bytes() != candidate.read_bytes(), path


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


@pytest.mark.parametrize(
    ("test", "code"),
    [
        pytest.param("def test_it(shared): pass", 0, id="used"),
        pytest.param("def test_it(inner): pass", 0, id="used through another fixture"),
        pytest.param("def test_it(): pass", 1, id="present and unused"),
    ],
)
def test_a_required_run_passes_only_by_a_use(test: str, code: int, tmp_path: Path) -> None:
    fixture = "import pytest\n@pytest.fixture\ndef inner(shared): return shared\n"
    (tmp_path / "test_it.py").write_text(fixture + test + "\n")
    (tmp_path / "there").mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    command += ["--import-mode=importlib", "--rootdir", str(tmp_path), str(tmp_path)]
    required = {"GRAFTMATCH_SHARED": str(tmp_path / "there"), "GRAFTMATCH_REQUIRE_SHARED": "1"}
    ended = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **required, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout
