"""Files of antibody reports -> beads by patient.

Either CSV with the columns of `COLUMNS`, of which only the first must be there, or a plain list of
unacceptable antigens, by lines or commas, which are all positive. What a report does not list was
not tested.
"""

from __future__ import annotations

import csv
import datetime
import io
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from data.donor_files import Rejects
from matching.antibodies import Answer, Bead, Names
from matching.errors import InputFileError, RecordError, TypingError

TARGET = "antigen_or_allele"
# The first identifies the report of one of several patients; without it there is one report.
PATIENT = "patient"
COLUMNS = (TARGET, "partner_chain", "mfi", "date", "kit", "result", PATIENT)
RESULTS: Mapping[str, Answer | None] = {
    "": None,
    "positive": Answer.POSITIVE,
    "negative": Answer.NEGATIVE,
    "not assessable": Answer.NOT_ASSESSABLE,
}
MAX_MFI = 1_000_000
MAX_BYTES = 20_000_000
_MAX_CHARACTERS = 200
# In place of a column: the first field beyond the header.
_MORE = ""


@dataclass
class AntibodyFile:
    """Reads the reports of a file; `rejects` are its lines that were not used.

    `beads`: by the patient's identifier, "" where the file names none.
    """

    names: Names
    beads: dict[str, list[Bead]] = field(default_factory=dict)
    rejects: Rejects = field(default_factory=Rejects)

    def read(self, path: Path, checkpoint: Callable[[], object] = lambda: None) -> None:
        """`checkpoint` is called before each line; what it raises ends the reading.

        Raises `InputFileError` for what is wrong with the file as a whole.
        """
        try:
            if path.is_file() and path.stat().st_size > MAX_BYTES:
                raise InputFileError(f"{path} has more than 20 MB, which no antibody report has")
            content = path.read_bytes()
        except OSError as error:
            raise InputFileError(f"cannot read {path}: {error.strerror}") from error
        problems = []
        for number, fields in report_lines(str(path), content):
            checkpoint()
            try:
                bead = read_bead(self.names, number, fields)
            except (RecordError, TypingError) as error:
                named = fields.get(TARGET, "")
                problems.append((number, named, f"line {number}: {error}"))
            else:
                self.beads.setdefault(fields.get(PATIENT, ""), []).append(bead)
        self.rejects.add(problems)
        if not self.beads:
            why = problems[0][2] if problems else "it is empty"
            raise InputFileError(
                f"{path} holds no antibody that can be used: {why}; give CSV with the columns "
                f"{','.join(COLUMNS[:-1])}, or a list of unacceptable antigens"
            )


def read_bead(names: Names, number: int, fields: Mapping[str, str]) -> Bead:
    """A line of a report from its fields by the names of `COLUMNS`; `number`: which one, from 1.

    Raises `RecordError` naming the column, and `TypingError` for a name without one meaning.
    """
    for name, value in fields.items():
        if len(value) > _MAX_CHARACTERS or not value.isprintable():
            raise RecordError(
                name,
                value,
                f"more than {_MAX_CHARACTERS} or unprintable characters; correct it",
            )
    if _MORE in fields:
        reason = "more fields than the header has columns; quote values that hold commas"
        raise RecordError("line", fields[_MORE], reason)
    target, partner = fields.get(TARGET, ""), fields.get("partner_chain", "")
    if not target:
        raise RecordError(TARGET, "", "it is blank; name the antigen or allele of the bead")
    names.read(target, partner)
    mfi, result = _mfi(fields.get("mfi", "")), _result(fields.get("result", ""))
    if mfi is None and result is None:
        raise RecordError(
            "mfi", "", f"neither MFI nor result is given for {target}; give one of them"
        )
    return Bead(
        target,
        partner,
        mfi,
        result,
        _date(fields.get("date", "")),
        fields.get("kit", ""),
        number,
    )


def report_lines(file: str, content: bytes) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields of the lines of a report; `file`: what it is called in errors.

    Raises `InputFileError` for an encoding or a header that is none of a report, and later, at a
    line from which on the file cannot be read.
    """
    try:
        text = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise InputFileError(f"{file} is not UTF-8; save it as UTF-8 and try again") from error
    first = next((line for line in text.splitlines() if line.strip()), "")
    header = [name.strip().lower() for name in first.split(",")]
    if TARGET not in header:
        return _listed(file, text)
    for name in header:
        if name not in COLUMNS or header.count(name) > 1:
            what = "comes twice" if name in COLUMNS else "is not known"
            raise InputFileError(f"{file}: column {name!r} {what}; known: {', '.join(COLUMNS)}")
    return _table(file, text, header)


def _table(file: str, text: str, header: list[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields of the lines after the header."""
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        seen_header = False
        for row in reader:
            if not any(value.strip() for value in row):
                continue
            if seen_header:
                values = [value.strip() for value in row]
                values += [""] * (len(header) - len(values))
                fields = dict(zip(header, values, strict=False))
                if len(values) > len(header):
                    fields[_MORE] = values[len(header)]
                yield reader.line_num, fields
            seen_header = True
    except csv.Error as error:
        raise InputFileError(f"{file}, line {reader.line_num}: {error}") from error


def _listed(file: str, text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The antigens of a plain list; # begins a comment."""
    for number, line in enumerate(text.splitlines(), 1):
        for name in line.partition("#")[0].replace(";", ",").split(","):
            if _is_no_name(name.strip()):
                # A table without its header, of which negative beads would be taken for positive.
                raise InputFileError(
                    f"{file}, line {number}: {name.strip()!r} is no antigen of a list; a table "
                    f"begins with its columns: {','.join(COLUMNS[:-1])}"
                )
            if name.strip():
                yield number, {TARGET: name.strip(), "result": "positive"}


def _is_no_name(text: str) -> bool:
    """A number, a column or a result."""
    words = {*(name.replace("_", " ") for name in COLUMNS), *RESULTS} - {""}
    is_number = bool(text) and not text.strip("0123456789.-")
    return is_number or text.lower().replace("_", " ") in words


def _mfi(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_MFI:
        raise RecordError("mfi", text, f"no number from 0 to {MAX_MFI:,}, such as 1250 or 830.5")
    return value


def _result(text: str) -> Answer | None:
    key = text.lower().replace("_", " ")
    if key not in RESULTS:
        known = ", ".join(filter(None, RESULTS))
        raise RecordError("result", text, f"none of {known}; leave it blank for the cut-off")
    return RESULTS[key]


def _date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        raise RecordError("date", text, "no day as YYYY-MM-DD") from None
