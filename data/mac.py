"""Multiple allele codes (MAC): the table of NMDP, installed once and looked up on disk.

Formats: the CSV columns ``code,alleles`` (a further column is ignored), or the text ``alpha.v3``
with tab-separated columns of which the last two are code and alleles. A list of second fields
(``01/02``) is a generic code, one of names (``01:01/02:01``) an allele-specific one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather

from data.files import replacing
from matching.errors import ReleaseDamagedError, ReleaseSourceError

FILE = "mac.arrow"
_CODE = re.compile(r"[A-Z]{2,8}")
_MEMBER = re.compile(r"[0-9]{2,5}(:[0-9]{2,5})?[NLSQCA]?")


@dataclass(frozen=True)
class CodeTable(Mapping[str, tuple[str, ...]]):
    """Members by code; the table is sorted by code and memory-mapped."""

    _table: pa.Table

    def __getitem__(self, code: str) -> tuple[str, ...]:
        # The codes are sorted, so one is found without reading them all.
        codes = self._table["code"].combine_chunks()
        at = int(pc.search_sorted(codes, pa.scalar(code)).as_py())
        if at == len(codes) or codes[at].as_py() != code:
            raise KeyError(code)
        return tuple(str(self._table["alleles"][at].as_py()).split("/"))

    def __iter__(self) -> Iterator[str]:
        return iter(self._table["code"].to_pylist())

    def __len__(self) -> int:
        return len(self._table)


def parse_codes(text: str, where: str) -> dict[str, str]:
    """Members (as written) by code. Raises `ReleaseSourceError` naming file and line."""
    codes: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        columns = [column.strip() for column in line.split("\t" if "\t" in line else ",")]
        tabbed = "\t" in line
        code, members = (columns[-2:] if tabbed else columns[:2]) if len(columns) > 1 else ("", "")
        if not _CODE.fullmatch(code) or members.upper() in ("SUBTYPE", "ALLELES"):
            if codes and line.strip():
                raise ReleaseSourceError(f"{where}, line {number}: no code and alleles")
            continue
        if not all(_MEMBER.fullmatch(member) for member in members.split("/")):
            raise ReleaseSourceError(f"{where}, line {number}: alleles of {code} cannot be read")
        if codes.setdefault(code, members) != members:
            raise ReleaseSourceError(f"{where}, line {number}: code {code} has two meanings")
    if not codes:
        raise ReleaseSourceError(f"{where} holds no multiple allele codes")
    return codes


def install_codes(source: Path, folder: Path) -> int:
    """Install the codes of a file; returns their number.

    Raises `ReleaseSourceError` and `OutputError`.
    """
    try:
        text = source.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseSourceError(f"cannot read {source}: {error}") from error
    codes = parse_codes(text, str(source))
    ordered = sorted(codes)
    table = pa.table({"code": ordered, "alleles": [codes[code] for code in ordered]})
    digest = hashlib.sha256(repr(sorted(codes.items())).encode()).hexdigest()
    with replacing(folder / FILE) as temporary:
        feather.write_feather(
            table.replace_schema_metadata({"digest": digest}),
            str(temporary),
            compression="uncompressed",
        )
    return len(ordered)


def installed_codes(folder: Path) -> tuple[Mapping[str, tuple[str, ...]], str]:
    """The installed codes and their digest; none and "" where there are none.

    Raises `ReleaseDamagedError`.
    """
    path = folder / FILE
    if not path.exists():
        return {}, ""
    try:
        table = feather.read_table(str(path), memory_map=True)
        return CodeTable(table), table.schema.metadata[b"digest"].decode()
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise ReleaseDamagedError(
            f"{path} is damaged; run: graftmatch reference install-mac FILE"
        ) from error
