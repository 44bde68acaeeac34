"""The table of multiple allele codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.mac import install_codes, installed_codes, parse_codes
from data.nomenclature import ReferenceFolder
from matching.errors import ReleaseDamagedError, ReleaseSourceError, UnknownNameError
from tests.data.release_texts import release_texts, write_release

CSV = "code,alleles,generic\nAB,01/02,true\nMIX,15:01/07:01,false\n"
ALPHA = "LAST UPDATED: 2026-01-01\n*\tCODE\tSUBTYPE\n\n\tAB\t01/02\n*\tMIX\t15:01/07:01\n"


@pytest.mark.parametrize("text", [CSV, ALPHA])
def test_both_formats(text: str) -> None:
    assert parse_codes(text, "file") == {"AB": "01/02", "MIX": "15:01/07:01"}


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "holds no multiple allele codes"),
        ("code,alleles\nAB,01/xx\n", "line 2: alleles of AB"),
        ("code,alleles\nAB,01/02\nAB,01/03\n", "line 3: code AB has two meanings"),
        ("code,alleles\nAB,01/02\n12\n", "line 3: no code"),
    ],
)
def test_tables_that_are_refused(text: str, match: str) -> None:
    with pytest.raises(ReleaseSourceError, match=match):
        parse_codes(text, "file")


def test_installed_codes_are_read_under_every_release(tmp_path: Path) -> None:
    folder = ReferenceFolder(tmp_path / "reference")
    folder.install("9.1.0", str(write_release(tmp_path / "source", release_texts())))
    before = folder.open("9.1.0")
    with pytest.raises(UnknownNameError, match="install-mac"):
        before.read("A*01:AB")
    source = tmp_path / "codes.csv"
    source.write_text(CSV)
    assert install_codes(source, folder.root) == 2
    after = folder.open("9.1.0")
    assert after.fingerprint != before.fingerprint
    names = [after.alleles[i].name for i in after.read("A*01:AB").alleles]
    assert names == ["A*01:01:01:01", "A*01:01:01:02N", "A*01:02"]
    codes, _ = installed_codes(folder.root)
    assert len(codes) == 2 and list(codes) == ["AB", "MIX"] and "ZZ" not in codes
    assert [r.release for r in folder.list()] == ["9.1.0"]
    (folder.root / "mac.arrow").write_bytes(b"")
    with pytest.raises(ReleaseDamagedError, match="install-mac"):
        folder.open("9.1.0")
    with pytest.raises(ReleaseSourceError, match="cannot read"):
        install_codes(tmp_path / "absent", folder.root)


def test_the_shared_codes(shared: Path, tmp_path: Path) -> None:
    assert install_codes(shared / "mac/mac_subset.csv", tmp_path) > 10_000
    codes, _ = installed_codes(tmp_path)
    assert codes["AB"] == ("01", "02") and codes["GNF"][0] == "02:01"
