"""The donor file of Atlas (JSON): `updateMode` and a list of donors, read one donor at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from data.donor_files.columns import MAX_FIELD_CHARACTERS
from data.donor_files.exchange import EXCHANGED_LOCI, Fields, locus_text
from matching.errors import InputFileError

_READ_CHARACTERS = 65_536
_WHITESPACE = " \t\r\n"
_TYPES = {"D": "adult", "C": "cord"}
_DONOR_KEYS = {"recordId", "changeType", "donorType", "donPool", "ethn", "hla"}


class NotADonorError(Exception):
    """An entry of the list that cannot be read; the text is the reason."""


class _Json:
    """Values of a JSON text, one after the other."""

    def __init__(self, path: Path, file: IO[str]) -> None:
        self._path, self._file = path, file
        self._text, self._at, self._ended = "", 0, False
        self._decoder = json.JSONDecoder()

    def next_is(self, *marks: str) -> str:
        """Pass the next character, which must be one of `marks`."""
        found = self.peek()
        if found not in marks:
            raise self.damaged(f"{found!r} where {' or '.join(marks)} should be")
        self._at += 1
        return found

    def peek(self) -> str:
        """The next character that is no blank, "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _WHITESPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._fill():
                return ""

    def value(self) -> Any:
        """The next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > MAX_FIELD_CHARACTERS or not self._fill():
                    raise self.damaged(error.msg) from error
                continue
            except (RecursionError, ValueError) as error:
                raise self.damaged(str(error)) from error
            # A number may go on behind what was read so far.
            if end < len(self._text) or not self._fill():
                self._at = end
                return value

    def _fill(self) -> bool:
        more = "" if self._ended else self._file.read(_READ_CHARACTERS)
        self._ended = not more
        self._text = self._text[self._at :] + more
        self._at = 0
        return bool(more)

    def damaged(self, reason: str) -> InputFileError:
        """The refusal of the whole file."""
        return InputFileError(f"{self._path} is no donor file in JSON: {reason}; nothing was used")


def entries(path: Path, file: IO[str], ignored: Counter[str]) -> Iterator[tuple[str, Any]]:
    """(updateMode, its value) and (donor, what stands in the list) in the file's order.

    Further keys of the file are counted in `ignored`. Raises `InputFileError`.
    """
    parser = _Json(path, file)
    parser.next_is("{")
    separator, listed = ",", False
    if parser.peek() == "}":
        separator = parser.next_is("}")
    while separator == ",":
        key = parser.value()
        parser.next_is(":")
        if key == "donors":
            listed = True
            yield from (("donor", donor) for donor in _list(parser))
        elif key == "updateMode":
            yield "updateMode", parser.value()
        else:
            parser.value()
            ignored[str(key)] += 1
        separator = parser.next_is(",", "}")
    if parser.peek():
        raise parser.damaged("something stands behind its end")
    if not listed:
        raise parser.damaged("it has no list 'donors'")


def _list(parser: _Json) -> Iterator[Any]:
    parser.next_is("[")
    if parser.peek() == "]":
        parser.next_is("]")
        return
    separator = ","
    while separator == ",":
        yield parser.value()
        separator = parser.next_is(",", "]")


def donor_record(donor: Any, ignored: Counter[str]) -> dict[str, str]:
    """A donor of the list in the columns of `EXCHANGED`. Raises `NotADonorError`."""
    of_donor = _object("donor", donor)
    _count(ignored, of_donor.keys() - _DONOR_KEYS, "donors/")
    donor_type = _text("donorType", of_donor.get("donorType"))
    record = {
        "id": _text("recordId", of_donor.get("recordId")),
        "type": _TYPES.get(donor_type, donor_type),
        "registry": _text("donPool", of_donor.get("donPool")),
        "ancestry": _text("ethn", of_donor.get("ethn")),
        "change": _text("changeType", of_donor.get("changeType")),
    }
    hla = _object("hla", of_donor.get("hla"))
    _count(ignored, hla.keys() - set(EXCHANGED_LOCI), "donors/hla/")
    for name in EXCHANGED_LOCI:
        typed = _object(f"hla.{name}", hla.get(name))
        _count(ignored, typed.keys() - {"dna", "ser"}, f"donors/hla/{name}/")
        dna, serology = (_fields(f"hla.{name}.{kind}", typed.get(kind)) for kind in ("dna", "ser"))
        record[name] = locus_text(name, dna, serology, homozygous=True)
    return record


def identifier_of(donor: Any) -> str:
    """The identifier of a donor that cannot be read, "" where it has none."""
    found = donor.get("recordId") if isinstance(donor, dict) else None
    return str(found) if isinstance(found, str | int) else ""


def _count(ignored: Counter[str], keys: set[str], prefix: str) -> None:
    for key in keys:
        ignored[f"{prefix}{key}"] += 1


def _object(name: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise NotADonorError(f"{name} is not an object")
    return value


def _fields(name: str, value: Any) -> Fields:
    fields = _object(name, value)
    return _text(f"{name}.field1", fields.get("field1")), _text(
        f"{name}.field2", fields.get("field2")
    )


def _text(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotADonorError(f"{name} is neither text nor a whole number")
    return str(value)
