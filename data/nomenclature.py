"""Installed releases under one folder: install, open, list, remove; and the demo sample."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather as feather

from data.files import remove_folder, replacing_folder
from data.mac import installed_codes
from data.release_files import Release, parse_release
from data.release_source import read_source
from matching.errors import (
    NomenclatureError,
    ReleaseDamagedError,
    ReleaseNotInstalledError,
    ReleaseSourceError,
)
from matching.nomenclature import Allele, Nomenclature
from matching.serology import Antigen

DEMO_RELEASE = "demo"
# Raised whenever what is compiled changes, so that an older compilation is compiled anew.
FORMAT = 3
_REFERENCE_DATA = Path(__file__).parent / "reference"


@dataclass(frozen=True)
class InstalledRelease:
    """One line of `graftmatch reference list`."""

    release: str
    n_alleles: int
    n_proteins: int
    source: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class ReferenceFolder:
    """The installed releases below `root`, one folder each."""

    root: Path

    def install(
        self,
        release: str,
        source: str,
        skip_checksums: bool = False,
        progress: Callable[[str], None] = lambda _: None,
    ) -> InstalledRelease:
        """Read, verify and compile a release from a folder or URL; all or nothing.

        `source` is recorded in the manifest with the SHA-256 of every file that was read.
        Raises `ReleaseSourceError` and `OutputError`.
        """
        if not re.fullmatch(r"\d+\.\d+\.\d+", release):
            raise ReleaseSourceError(f"{release!r} is no release number; write e.g. 3.58.0")
        raw = read_source(source, skip_checksums, progress)
        parsed = parse_release({name: _text(name, content) for name, content in raw.items()})
        if parsed.nomenclature.release != release:
            raise ReleaseSourceError(
                f"{source} holds release {parsed.nomenclature.release}, not {release}; "
                f"ask for {parsed.nomenclature.release} or give another source"
            )
        progress("compiling")
        with replacing_folder(self.root / release) as folder:
            _write(folder, parsed, source, raw)
        return self._describe(release)

    def open(self, release: str) -> Nomenclature:
        """The nomenclature of an installed release, or of the demo sample.

        Raises `ReleaseNotInstalledError` and `ReleaseDamagedError`.
        """
        if release == DEMO_RELEASE:
            return _open_demo()
        manifest = self._manifest(release)
        tables = {
            name: self._table(release, manifest, name)
            for name in ("alleles", "deleted", "antigens")
        }
        alleles = tuple(map(Allele._make, zip(*_columns(tables["alleles"]), strict=True)))
        antigens = (
            Antigen(gene, antigen, _split(splits), _split(associated))
            for gene, antigen, splits, associated in zip(*_columns(tables["antigens"]), strict=True)
        )
        codes, codes_digest = installed_codes(self.root)
        fingerprint = manifest["compiled"]["alleles.arrow"]
        if codes_digest:
            fingerprint = hashlib.sha256((fingerprint + codes_digest).encode()).hexdigest()
        return Nomenclature(
            release,
            True,
            alleles,
            dict(zip(*_columns(tables["deleted"]), strict=True)),
            tuple(antigens),
            tuple(manifest["notes"]),
            fingerprint,
            codes,
        )

    def proteins(self, release: str) -> Mapping[str, str]:
        """Protein sequences by allele name; empty where the source had none, and in the demo."""
        if release == DEMO_RELEASE:
            return {}
        return dict(
            zip(*_columns(self._table(release, self._manifest(release), "proteins")), strict=True)
        )

    def list(self) -> tuple[InstalledRelease, ...]:
        """The installed releases, oldest first."""
        return tuple(self._described_or_damaged(release) for release in self._installed())

    def remove(self, release: str) -> None:
        """Delete an installed release. Raises `ReleaseNotInstalledError`."""
        if release not in self._installed():
            raise self._not_installed(release)
        remove_folder(self.root / release)

    def latest(self) -> str:
        """The newest installed release. Raises `ReleaseNotInstalledError`."""
        installed = self._installed()
        if not installed:
            raise ReleaseNotInstalledError(
                "no nomenclature release is installed; run: graftmatch reference install 3.58.0 "
                "(or add --release demo to try the embedded sample)"
            )
        return installed[-1]

    def _installed(self) -> tuple[str, ...]:
        if not self.root.is_dir():
            return ()
        names = [p.name for p in self.root.iterdir() if not p.name.startswith(".") and p.is_dir()]
        return tuple(sorted(names, key=lambda name: [(len(n), n) for n in name.split(".")]))

    def _not_installed(self, release: str) -> ReleaseNotInstalledError:
        return ReleaseNotInstalledError(
            f"release {release} is not installed; run: graftmatch reference install {release}"
        )

    def _manifest(self, release: str) -> dict[str, Any]:
        path = self.root / release / "manifest.json"
        if release not in self._installed():
            raise self._not_installed(release)
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            found = manifest["format"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged(release, "manifest.json cannot be read") from error
        if found != FORMAT:
            raise self._damaged(release, f"it was compiled in format {found}, not {FORMAT}")
        return dict(manifest)

    def _damaged(self, release: str, reason: str) -> ReleaseDamagedError:
        return ReleaseDamagedError(
            f"release {release} is damaged: {reason}; run: graftmatch reference remove {release}, "
            f"then: graftmatch reference install {release}"
        )

    def _table(self, release: str, manifest: Mapping[str, Any], name: str) -> pa.Table:
        path = self.root / release / f"{name}.arrow"
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self._damaged(release, f"{path.name}: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != manifest["compiled"].get(path.name):
            raise self._damaged(release, f"{path.name} does not agree with its checksum")
        return feather.read_table(pa.BufferReader(content))

    def _described_or_damaged(self, release: str) -> InstalledRelease:
        try:
            return self._describe(release)
        except ReleaseDamagedError as error:
            return InstalledRelease(release, 0, 0, "damaged", (str(error),))

    def _describe(self, release: str) -> InstalledRelease:
        manifest = self._manifest(release)
        return InstalledRelease(
            release,
            manifest["n_alleles"],
            manifest["n_proteins"],
            manifest["source"],
            tuple(manifest["notes"]),
        )


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        # Releases before 2019 hold single Latin-1 characters in comments.
        return content.decode("latin-1")


def _columns(table: pa.Table) -> list[list[Any]]:
    return [column.to_pylist() for column in table.columns]


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split("/")) if text else ()


def _write(folder: Path, release: Release, source: str, raw: Mapping[str, bytes]) -> None:
    nomenclature = release.nomenclature
    tables = {
        "alleles": pa.table(
            dict(
                zip(Allele._fields, map(list, zip(*nomenclature.alleles, strict=True)), strict=True)
            )
        ),
        "deleted": pa.table(
            {"name": list(nomenclature.deleted), "identical": list(nomenclature.deleted.values())}
        ),
        "antigens": pa.table(
            {
                "gene": [a.gene for a in nomenclature.antigens],
                "antigen": [a.antigen for a in nomenclature.antigens],
                "splits": ["/".join(a.splits) for a in nomenclature.antigens],
                "associated": ["/".join(a.associated) for a in nomenclature.antigens],
            }
        ),
        "proteins": pa.table(
            {
                "name": pa.array(list(release.proteins), pa.string()),
                "sequence": pa.array(list(release.proteins.values()), pa.string()),
            }
        ),
    }
    compiled = {}
    for name, table in tables.items():
        path = folder / f"{name}.arrow"
        feather.write_feather(table, str(path), compression="lz4")
        compiled[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {
        "format": FORMAT,
        "release": nomenclature.release,
        "source": source,
        "licence": "IPD-IMGT/HLA, CC BY-ND; compiled for use on this machine, not to be passed on",
        "n_alleles": len(nomenclature.alleles),
        "n_proteins": len(release.proteins),
        "notes": list(nomenclature.notes),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in raw.items()},
        "compiled": compiled,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _open_demo() -> Nomenclature:
    """The embedded sample: rows are names of every level (see data/reference/manifest.json)."""
    content = (_REFERENCE_DATA / "alleles.csv").read_bytes()
    manifest = json.loads((_REFERENCE_DATA / "manifest.json").read_text(encoding="utf-8"))
    fingerprint = hashlib.sha256(content).hexdigest()
    if fingerprint != manifest["sha256"]["alleles.csv"]:
        raise NomenclatureError(
            "the embedded demo reference does not agree with its checksum; reinstall graftmatch"
        )
    rows = csv.DictReader(content.decode("utf-8").splitlines())
    alleles = tuple(
        Allele(
            row["name"], row["p_group"] or None, row["g_group"] or None, "", "", "", "", row["tce"]
        )
        for row in rows
    )
    return Nomenclature(DEMO_RELEASE, False, alleles, {}, fingerprint=fingerprint)
