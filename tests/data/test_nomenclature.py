"""Installing, opening and removing releases, from folders and from a loopback server."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from data import release_source
from data.nomenclature import ReferenceFolder
from data.release_source import public_source
from matching.errors import (
    OutputError,
    ReleaseDamagedError,
    ReleaseNotInstalledError,
    ReleaseSourceError,
)
from tests.conftest import release_folder
from tests.data.release_texts import release_texts, write_release


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_release(tmp_path / "source", release_texts())


@pytest.fixture
def folder(tmp_path: Path) -> ReferenceFolder:
    return ReferenceFolder(tmp_path / "home" / "reference")


def left_behind(folder: ReferenceFolder) -> list[Path]:
    return list(folder.root.iterdir()) if folder.root.exists() else []


def test_install_open_list_remove(folder: ReferenceFolder, source: Path) -> None:
    assert folder.list() == ()
    installed = folder.install("9.1.0", str(source))
    assert (installed.release, installed.n_alleles, installed.n_proteins) == ("9.1.0", 18, 0)
    write_release(source, release_texts("9.10.0"))
    folder.install("9.10.0", str(source))
    assert [r.release for r in folder.list()] == ["9.1.0", "9.10.0"]
    assert folder.latest() == "9.10.0"
    opened = folder.open("9.1.0")
    assert opened.complete and opened.release == "9.1.0"
    assert opened.alleles[0].p_group == "A*01:01P" and opened.alleles[1].p_group is None
    assert opened.deleted["A*01:03"] == "A*01:02"
    assert opened.fingerprint == folder.open("9.10.0").fingerprint
    assert folder.proteins("9.1.0") == {}
    folder.remove("9.1.0")
    assert [r.release for r in folder.list()] == ["9.10.0"]
    assert [p.name for p in left_behind(folder)] == ["9.10.0"]


def test_what_is_opened_is_what_was_read(reference: ReferenceFolder, release_3580: Path) -> None:
    opened = reference.open("3.58.0")
    assert len(opened.alleles) == 41433 and opened.notes == ()
    proteins = reference.proteins("3.58.0")
    assert proteins["A*01:01:01:01"].startswith("MAVMAPRTLLLLLSGALALTQTWA")
    row = opened.alleles[opened.by_name["B*15:271"]]
    assert row.serology == ";;15/70;"


@pytest.mark.parametrize(("digits", "release"), [("3330", "3.33.0"), ("3440", "3.44.0")])
def test_older_releases_install(
    shared: Path, folder: ReferenceFolder, digits: str, release: str
) -> None:
    installed = folder.install(release, str(release_folder(shared, digits)))
    assert installed.n_alleles > 18_000
    assert any("leaves out" in note for note in installed.notes)
    opened = folder.open(release)
    for row in opened.alleles:
        gene = row.name.partition("*")[0]
        if gene in ("A", "B", "C", "DRB1", "DQB1", "DPB1"):
            assert (row.p_group is None) == row.name.endswith("N"), row.name


@pytest.mark.parametrize(
    ("release", "match"),
    [("9.2.0", r"holds release 9\.1\.0, not 9\.2\.0"), ("../9", "no release number")],
)
def test_the_wrong_release_is_refused(
    folder: ReferenceFolder, source: Path, release: str, match: str
) -> None:
    with pytest.raises(ReleaseSourceError, match=match):
        folder.install(release, str(source))
    assert left_behind(folder) == []


def test_a_source_that_is_no_release_is_refused(folder: ReferenceFolder, tmp_path: Path) -> None:
    with pytest.raises(ReleaseSourceError, match=r"has no wmda/hla_nom\.txt"):
        folder.install("9.1.0", str(tmp_path))
    with pytest.raises(ReleaseSourceError, match="is no folder"):
        folder.install("9.1.0", str(tmp_path / "absent"))
    pointer = write_release(tmp_path / "lfs", release_texts())
    (pointer / "Allelelist.txt").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ReleaseSourceError, match="Git LFS pointer"):
        folder.install("9.1.0", str(pointer))
    assert left_behind(folder) == []


def test_published_checksums_are_verified(folder: ReferenceFolder, source: Path) -> None:
    checksums = source / "md5checksum.txt"
    digest = hashlib.md5((source / "Allelelist.txt").read_bytes(), usedforsecurity=False)
    checksums.write_text(f"MD5 (Allelelist.txt) = {digest.hexdigest()}\n")
    folder.install("9.1.0", str(source))
    checksums.write_text(f"{'0' * 32}  ./Allelelist.txt\n")
    with pytest.raises(ReleaseSourceError, match="does not agree with the published checksum"):
        folder.install("9.1.0", str(source))
    folder.install("9.1.0", str(source), skip_checksums=True)


def test_a_release_that_is_not_installed(folder: ReferenceFolder) -> None:
    with pytest.raises(ReleaseNotInstalledError, match="graftmatch reference install 3"):
        folder.latest()
    for action in (folder.open, folder.proteins, folder.remove):
        with pytest.raises(ReleaseNotInstalledError, match=r"reference install 9\.1\.0"):
            action("9.1.0")


@pytest.mark.parametrize("name", ["alleles.arrow", "deleted.arrow", "manifest.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_release_is_refused(
    folder: ReferenceFolder, source: Path, name: str, damage: str
) -> None:
    folder.install("9.1.0", str(source))
    path = folder.root / "9.1.0" / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(content[:20] if damage == "cut" else b"x" + content[1:])
    with pytest.raises(ReleaseDamagedError, match=r"is damaged: .* reference remove 9\.1\.0"):
        folder.open("9.1.0")
    (listed,) = folder.list()
    assert listed.source == "damaged" or name != "manifest.json"
    folder.remove("9.1.0")
    folder.install("9.1.0", str(source))
    assert len(folder.open("9.1.0").alleles) == 18


def test_a_folder_that_cannot_be_written(tmp_path: Path, source: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        ReferenceFolder(blocked).install("9.1.0", str(source))


class _Server(ThreadingHTTPServer):
    """Serves texts below /9100/; `faults` are answered once each before the file."""

    texts: dict[str, bytes]
    faults: dict[str, list[int]]
    asked: Counter[str]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        name = self.path.removeprefix("/910/")
        self.server.asked[name] += 1
        faults = self.server.faults.get(name, [])
        status = faults.pop(0) if faults else (200 if name in self.server.texts else 404)
        content = self.server.texts.get(name, b"")
        self.send_response(200 if status == 1 else status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        # 1 stands for an answer that breaks off half way.
        self.wfile.write(content[: len(content) // 2] if status == 1 else content)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setattr(release_source, "FIRST_DELAY_SECONDS", 0.001)
    with _Server(("127.0.0.1", 0), _Handler) as running:
        running.texts = {name: text.encode() for name, text in release_texts().items()}
        running.faults, running.asked = {}, Counter()
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def address(server: _Server) -> str:
    return f"http://127.0.0.1:{server.server_port}/910/"


def test_install_over_http_tries_passing_faults_again(
    folder: ReferenceFolder, server: _Server
) -> None:
    server.faults = {
        "Allelelist.txt": [503, 429],
        "wmda/hla_nom.txt": [1],
        "fasta/A_prot.fasta": [],
    }
    seen: list[str] = []
    folder.install("9.1.0", address(server), progress=seen.append)
    assert len(folder.open("9.1.0").alleles) == 18
    assert server.asked["Allelelist.txt"] == 3 and server.asked["wmda/hla_nom.txt"] == 2
    assert server.asked["fasta/A_prot.fasta"] == 1
    assert seen[0] == "wmda/hla_nom.txt" and seen[-1] == "compiling"


@pytest.mark.parametrize(
    ("name", "faults", "match"),
    [
        ("Allelelist.txt", [500] * 4, "HTTP 500, 4 attempts"),
        ("Allelelist.txt", [1] * 4, "4 attempts"),
        ("Allelelist.txt", [403], "HTTP 403"),
        ("tce/dpb_tce.csv", [404], r"has no tce/dpb_tce\.csv"),
        ("fasta/A_prot.fasta", [500] * 4, "HTTP 500"),
    ],
)
def test_a_server_that_fails(
    folder: ReferenceFolder, server: _Server, name: str, faults: list[int], match: str
) -> None:
    server.faults = {name: faults}
    with pytest.raises(ReleaseSourceError, match=match):
        folder.install("9.1.0", address(server))
    assert left_behind(folder) == []


def test_no_server(folder: ReferenceFolder, server: _Server) -> None:
    server.server_close()
    server.shutdown()
    with pytest.raises(ReleaseSourceError, match="4 attempts; check the network"):
        folder.install("9.1.0", address(server))


def test_checksums_over_http(folder: ReferenceFolder, server: _Server) -> None:
    server.texts["md5checksum.txt"] = b"MD5 (Allele_status.txt) = " + b"0" * 32 + b"\n"
    with pytest.raises(ReleaseSourceError, match="published checksum"):
        folder.install("9.1.0", address(server))


def test_the_public_source_has_a_branch_a_release() -> None:
    assert public_source("3.58.0").endswith("/3580")
