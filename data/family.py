"""Files of a family -> `Pedigree`.

CSV with a header; any order of columns, case ignored; blank is unknown:

===========  ======================================================================
id           identifier, unique in the file; required
father       identifier of another row, or blank
mother       likewise
sex          male or female (M, F)
birth_date   YYYY-MM-DD
gl           the typing as a GL string; or instead one column a locus, as in files of donors:
a ... dpb1   both positions, ``A*01:01+A*02:01`` or ``01:01+02:01``
drb3 ...     instead of drb345: one column a gene, each with one copy or two
===========  ======================================================================

Members may be untyped: a parent of whom nothing is known but who their children are still tells
that the children are siblings.
"""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from data.donor_files import LOCUS_COLUMNS
from data.donor_files.columns import GENE_COLUMNS, check_fact, check_identifier, check_text
from data.donor_files.typing_columns import with_gene
from matching.errors import FamilyError, InputFileError, RecordError, TypingError
from matching.family import Member, Pedigree
from matching.genotypes import encode
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.typings import Typing, Written, merge_drb345, parse_locus, split_gl, typing_of

COLUMNS = (
    *("id", "father", "mother", "sex", "birth_date", "gl"),
    *LOCUS_COLUMNS,
    *GENE_COLUMNS,
)
_REMEDY = {
    "typing": "correct the typing or leave it blank",
    "birth_date": "write YYYY-MM-DD or leave it blank",
    "sex": "write male or female or leave it blank",
}


@dataclass(frozen=True)
class FamilyFile:
    """A family as read. `notes`: how names were followed through renamed or deleted ones."""

    pedigree: Pedigree
    notes: tuple[str, ...]


def read_family(path: Path, nomenclature: Nomenclature) -> FamilyFile:
    """The family of a file.

    One row that cannot be used refuses the file, since a family without one of its members may
    segregate otherwise. Raises `InputFileError` naming every row, field and value at fault.
    """
    members: list[Member] = []
    lines: dict[str, int] = {}
    problems: list[str] = []
    notes: dict[str, None] = {}
    for line, row in _rows(path):
        try:
            member, read_notes = read_member(row, nomenclature)
        except (RecordError, TypingError) as error:
            field = error.field if isinstance(error, RecordError) else "typing"
            remedy = f"; {_REMEDY[field]}" if field in _REMEDY else ""
            problems.append(f"row {line} ({row.get('id', '')}): {error}{remedy}")
            continue
        if member.id in lines:
            problems.append(
                f"row {line}: id {member.id!r} stands in row {lines[member.id]} too; list each "
                "member once"
            )
            continue
        lines[member.id] = line
        members.append(member)
        notes.update(dict.fromkeys(f"{member.id}: {note}" for note in read_notes))
    if problems:
        raise InputFileError(f"{path}: {'; '.join(problems)}; nothing was used")
    try:
        return FamilyFile(Pedigree.of(members), tuple(notes))
    except FamilyError as error:
        identifier = str(error).partition(":")[0]
        where = f" row {lines[identifier]}:" if identifier in lines else ""
        raise InputFileError(f"{path}:{where} {error}") from error


def _rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            columns = _check_columns(path, next(reader, []))
            found = []
            for row in reader:
                line = reader.line_num
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != len(columns):
                    raise InputFileError(
                        f"{path}: row {line} has {len(row)} fields where the header has "
                        f"{len(columns)}; quote values that hold commas"
                    )
                found.append((line, dict(zip(columns, map(str.strip, row), strict=True))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputFileError(f"cannot read {path}: {error}") from error
    if not found:
        raise InputFileError(f"{path} is empty; give a header and one row a member")
    return found


def _check_columns(path: Path, header: Iterable[str]) -> list[str]:
    columns = [name.strip().lower() for name in header]
    for column in columns:
        if column not in COLUMNS:
            near = difflib.get_close_matches(column, COLUMNS, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ";"
            raise InputFileError(
                f"{path}: unknown column {column[:60]!r}{hint} known are {', '.join(COLUMNS)}"
            )
        if columns.count(column) > 1:
            raise InputFileError(f"{path}: column {column!r} comes twice; remove one")
    if "id" not in columns:
        raise InputFileError(f"{path}: column 'id' is missing; every member needs an identifier")
    genes = GENE_COLUMNS.keys() & set(columns)
    if ("gl" in columns) == bool(genes | (LOCUS_COLUMNS.keys() & set(columns))):
        raise InputFileError(
            f"{path}: the typings must stand either in column 'gl' or in one column a locus "
            f"({', '.join(LOCUS_COLUMNS)}), and not in both"
        )
    if "drb345" in columns and genes:
        raise InputFileError(
            f"{path}: give column 'drb345' or {', '.join(sorted(genes))}, and not both"
        )
    return columns


def read_member(
    row: Mapping[str, str], nomenclature: Nomenclature
) -> tuple[Member, tuple[str, ...]]:
    """A member from the fields of its row, and how names of its typing were followed.

    Raises `RecordError` and, for the typing, `TypingError`.
    """
    for name, value in row.items():
        check_text(name, value)
    check_identifier(row["id"])
    sex, birth_date = (check_fact(name, row.get(name, "")) for name in ("sex", "birth_date"))
    typing = _typing(row)
    return (
        Member(
            row["id"],
            row.get("father", ""),
            row.get("mother", ""),
            None if sex is None else str(sex),
            None if birth_date is None else str(birth_date),
            typing,
        ),
        encode(typing, nomenclature).notes if typing is not None else (),
    )


def _typing(row: Mapping[str, str]) -> Typing | None:
    """Raises `TypingError`; None where nothing is typed."""
    if "gl" in row:
        written = split_gl(row["gl"]) if row["gl"] else Written({})
    else:
        loci = {locus: row.get(name, "") for name, locus in LOCUS_COLUMNS.items()}
        copies = [
            with_gene(gene, row[name]) for name, gene in GENE_COLUMNS.items() if row.get(name)
        ]
        if copies:
            loci[Locus.DRB345] = merge_drb345(copies)
        written = Written({locus: text for locus, text in loci.items() if text})
    if not any(parse_locus(locus, text) for locus, text in written.loci.items()):
        return None
    return typing_of(written)
