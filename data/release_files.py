"""The text files of an IPD-IMGT/HLA release -> Nomenclature.

Formats: the README of the release's `wmda` folder; see docs/nomenclature.md for what is read.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from matching.errors import ReleaseSourceError
from matching.nomenclature import Allele, Nomenclature, split_name
from matching.serology import Antigen

REQUIRED_FILES = (
    "wmda/hla_nom.txt",
    "wmda/hla_nom_g.txt",
    "wmda/hla_nom_p.txt",
    "wmda/rel_dna_ser.txt",
    "wmda/rel_ser_ser.txt",
    "tce/dpb_tce.csv",
    "Allelelist.txt",
    "Allele_status.txt",
)
OPTIONAL_FILES = (
    "Deleted_alleles.txt",
    "release_version.txt",
    *(
        f"fasta/{gene}_prot.fasta"
        for gene in ("A", "B", "C", "DPA1", "DPB1", "DQA1", "DQB1", "DRB1", "DRB345")
    ),
)
# More disagreement between files than this means a file was cut off, not a slip of the release.
_TOLERATED_SHARE = 0.005
# A file of groups that lacks one of these genes is cut off.
_GROUPED_GENES = {"A", "B", "C", "DPB1", "DQB1", "DRB1"}


class Release(NamedTuple):
    """A release as read: its nomenclature, and protein sequences by full allele name."""

    nomenclature: Nomenclature
    proteins: Mapping[str, str]


def parse_release(texts: Mapping[str, str]) -> Release:
    """A release from the contents of its files, by the names of `REQUIRED_FILES`.

    Raises `ReleaseSourceError` naming the file: missing, empty, of another release, malformed,
    or in disagreement with the list of alleles.
    """
    for name in REQUIRED_FILES:
        if name not in texts:
            raise ReleaseSourceError(f"{name} is missing; the source is not a complete release")
    release = _release_of(texts)
    notes: list[str] = []
    names = [row[1] for row in _rows(texts, "Allelelist.txt", ",", 2) if row[0] != "AlleleID"]
    known = set(names)
    nomenclature_rows = list(_rows(texts, "wmda/hla_nom.txt", ";", 6))
    current = {row[0] + row[1] for row in nomenclature_rows if "*" in row[0] and not row[3]}
    _agree("wmda/hla_nom.txt", known ^ current, len(known), notes)
    p_groups = _groups(texts, "wmda/hla_nom_p.txt", known, notes)
    g_groups = _groups(texts, "wmda/hla_nom_g.txt", known, notes)
    _own_p_groups(names, p_groups, notes)
    status = {row[0]: (row[6], row[7]) for row in _rows(texts, "Allele_status.txt", ",", 8)}
    serology = {
        row[0] + row[1]: ";".join(row[2:]) for row in _rows(texts, "wmda/rel_dna_ser.txt", ";", 6)
    }
    tce = {row[0]: (row[2], row[3]) for row in _rows(texts, "tce/dpb_tce.csv", ",", 4)}
    for file, listed in (("Allele_status.txt", status), ("wmda/rel_dna_ser.txt", serology)):
        _agree(file, known - listed.keys(), len(known), notes)
    alleles = tuple(
        Allele(
            name,
            p_groups.get(name),
            g_groups.get(name),
            *status.get(name, ("", "")),
            serology.get(name, ""),
            *tce.get(name, ("", "")),
        )
        for name in names
    )
    deleted = {
        _gene(row[0]) + row[1]: _gene(row[0]) + row[4] if row[4] else ""
        for row in nomenclature_rows
        if row[3]
    }
    relations = {
        (row[0], row[1]): (_list(row[2]), _list(row[3]))
        for row in _rows(texts, "wmda/rel_ser_ser.txt", ";", 4)
    }
    antigens = tuple(
        Antigen(row[0], row[1], *relations.get((row[0], row[1]), ((), ())))
        for row in nomenclature_rows
        if "*" not in row[0] and not row[3]
    )
    return Release(
        Nomenclature(release, True, alleles, deleted, antigens, tuple(notes)), _proteins(texts)
    )


_VERSION = re.compile(r"^#\s*version:\s*IPD-IMGT/HLA\s+(\d+\.\d+\.\d+)\s*$", re.MULTILINE)


def _release_of(texts: Mapping[str, str]) -> str:
    """The release of hla_nom.txt, which all files share but for the last number."""
    versions = {}
    for name, text in texts.items():
        found = _VERSION.search(text[:2000])
        if found:
            versions[name] = found.group(1)
        elif name in REQUIRED_FILES:
            raise ReleaseSourceError(
                f"{name} has no '# version: IPD-IMGT/HLA' line; it is not a release file"
            )
    release = versions["wmda/hla_nom.txt"]
    for name, version in versions.items():
        # Single files are corrected within a release: 3.44.0 holds an Allele_status of 3.44.1.
        if version.split(".")[:2] != release.split(".")[:2]:
            raise ReleaseSourceError(
                f"{name} is of release {version}, wmda/hla_nom.txt of {release}; "
                "install from the files of one release"
            )
    return release


def _rows(texts: Mapping[str, str], name: str, separator: str, fields: int) -> Iterator[list[str]]:
    """The fields of every line that is no comment; at least `fields` of them."""
    rows = 0
    for number, line in enumerate(texts[name].splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        row = line.split(separator)
        if len(row) < fields:
            raise ReleaseSourceError(
                f"{name}, line {number}: {len(row)} fields where at least {fields} are expected; "
                "the file is damaged or of an unknown format"
            )
        rows += 1
        yield row
    if not rows:
        raise ReleaseSourceError(f"{name} holds no records; fetch it again")


def _gene(column: str) -> str:
    # Names that were deleted before 2010 stand under the gene's old name.
    return "C*" if column == "Cw*" else column


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split("/")) if text else ()


def _agree(file: str, disagreeing: set[str], total: int, notes: list[str]) -> None:
    if len(disagreeing) > _TOLERATED_SHARE * total:
        raise ReleaseSourceError(
            f"{file} and Allelelist.txt disagree on {len(disagreeing)} of {total} alleles; "
            "a file is cut off or of another release"
        )
    if disagreeing:
        notes.append(f"{file} and Allelelist.txt disagree on {', '.join(sorted(disagreeing))}")


def _groups(
    texts: Mapping[str, str], file: str, known: set[str], notes: list[str]
) -> dict[str, str]:
    """Group of every listed allele by the name in field 3; without one it is its own (R7)."""
    groups: dict[str, str] = {}
    for gene, members, name in (row[:3] for row in _rows(texts, file, ";", 3)):
        for member in members.split("/"):
            groups[gene + member] = gene + (name or member)
    _agree(file, groups.keys() - known, len(known), notes)
    genes = {name.partition("*")[0] for name in groups}
    missing = _GROUPED_GENES - genes
    if missing:
        raise ReleaseSourceError(f"{file} holds no {', '.join(sorted(missing))}; it is cut off")
    return groups


def _own_p_groups(names: list[str], p_groups: dict[str, str], notes: list[str]) -> None:
    """A P group for expressing alleles that hla_nom_p leaves out.

    Releases before 3.58.0 leave out a few (ten in 3.33.0). Without a group they would pass for
    null. The same two fields are the same protein, hence the same P group; otherwise the allele
    is its own.
    """
    genes = {name.partition("*")[0] for name in p_groups}
    by_protein: defaultdict[str, set[str]] = defaultdict(set)
    for name, group in p_groups.items():
        by_protein[_two_fields(name)].add(group)
    missing = [
        name
        for name in names
        if name.partition("*")[0] in genes and name not in p_groups and not name.endswith("N")
    ]
    _agree("wmda/hla_nom_p.txt", set(missing), len(names), [])
    for name in missing:
        siblings = by_protein[_two_fields(name)]
        p_groups[name] = min(siblings) if len(siblings) == 1 else name
        notes.append(f"wmda/hla_nom_p.txt leaves out {name}: read as {p_groups[name]}")


def _two_fields(name: str) -> str:
    gene, fields, _ = split_name(name)
    return f"{gene}*{':'.join(fields[:2])}"


def _proteins(texts: Mapping[str, str]) -> dict[str, str]:
    """Protein sequences of the FASTA files, by allele name."""
    proteins: dict[str, str] = {}
    for name, text in texts.items():
        if not name.startswith("fasta/"):
            continue
        for record in text.split(">")[1:]:
            header, _, sequence = record.partition("\n")
            words = header.split()
            if len(words) < 2 or "*" not in words[1]:
                raise ReleaseSourceError(f"{name}: {header[:60]!r} is no header of a release file")
            proteins[words[1]] = sequence.replace("\n", "").replace("\r", "")
    return proteins
