"""The shared material, slow tests, and a run that must not pass without having used either."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from data.mac import parse_codes
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from matching.nomenclature import Nomenclature

PROJECT = Path(__file__).resolve().parent.parent
_USED: Counter[str] = Counter()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="also run tests marked slow")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--run-slow"):
        return
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.skip(reason="slow: make test-all runs it"))


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if "shared" in report.keywords and (report.when == "call" or report.skipped):
        _USED[report.outcome] += 1


def pytest_itemcollected(item: pytest.Item) -> None:
    if "shared" in getattr(item, "fixturenames", ()):
        item.keywords["shared"] = True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if os.environ.get("GRAFTMATCH_REQUIRE_SHARED") == "1" and not _USED["passed"]:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    line = f"tests on the shared material: {_USED['passed']} passed, {_USED['skipped']} skipped"
    terminalreporter.write_line(line)
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "shown":
                terminalreporter.write_line(str(value))
    if os.environ.get("GRAFTMATCH_REQUIRE_SHARED") == "1" and not _USED["passed"]:
        terminalreporter.write_line("GRAFTMATCH_SHARED is set and no test used it", red=True)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared material, `GRAFTMATCH_SHARED` or the one beside the project."""
    folder = Path(os.environ.get("GRAFTMATCH_SHARED", PROJECT.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"no shared material: GRAFTMATCH_SHARED names no folder ({folder.name})")
    return folder


def release_folder(shared: Path, digits: str) -> Path:
    """The files of a release, or the folder that `GRAFTMATCH_RELEASE_<digits>` names."""
    folder = Path(os.environ.get(f"GRAFTMATCH_RELEASE_{digits}", shared / "imgt" / digits))
    if not folder.is_dir():
        pytest.skip(f"no files of release {digits}")
    return folder


@pytest.fixture(scope="session")
def release_3580(shared: Path) -> Path:
    """Files of release 3.58.0."""
    return release_folder(shared, "3580")


@pytest.fixture(scope="session")
def reference(release_3580: Path, tmp_path_factory: pytest.TempPathFactory) -> ReferenceFolder:
    """A reference folder with 3.58.0 installed."""
    folder = ReferenceFolder(tmp_path_factory.mktemp("reference"))
    folder.install("3.58.0", str(release_3580))
    return folder


@pytest.fixture(scope="session")
def nomenclature(reference: ReferenceFolder) -> Nomenclature:
    """Release 3.58.0."""
    return reference.open("3.58.0")


@pytest.fixture(scope="session")
def proteins(reference: ReferenceFolder) -> dict[str, str]:
    """Protein sequences of 3.58.0 by allele name."""
    found = dict(reference.proteins("3.58.0"))
    if not found:
        pytest.skip("release 3.58.0 has no protein sequences here")
    return found


@pytest.fixture(scope="session")
def nomenclatures(
    shared: Path, nomenclature: Nomenclature, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Nomenclature]:
    """Releases 3.33.0, 3.44.0 and 3.58.0, as far as their files are there."""
    folder = ReferenceFolder(tmp_path_factory.mktemp("releases"))
    found = {"3.58.0": nomenclature}
    for release in ("3.33.0", "3.44.0"):
        digits = release.replace(".", "")
        source = Path(os.environ.get(f"GRAFTMATCH_RELEASE_{digits}", shared / "imgt" / digits))
        if source.is_dir():
            folder.install(release, str(source))
            found[release] = folder.open(release)
    return found


@pytest.fixture(scope="session")
def codes(shared: Path) -> dict[str, tuple[str, ...]]:
    """The multiple allele codes of `GRAFTMATCH_MAC`, by default the shared subset."""
    path = Path(os.environ.get("GRAFTMATCH_MAC", shared / "mac/mac_subset.csv"))
    if not path.is_file():
        pytest.skip(f"no table of multiple allele codes: {path.name}")
    found = parse_codes(path.read_text(encoding="utf-8"), path.name)
    return {code: tuple(members.split("/")) for code, members in found.items()}


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Nomenclature:
    """The embedded demo reference."""
    return ReferenceFolder(tmp_path_factory.mktemp("none")).open(DEMO_RELEASE)
