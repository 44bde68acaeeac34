"""Files of people -> batches of records as written, in the file's order.

Formats, told from the content: CSV with a header, text lines ``ID%GL string``, Parquet with the
columns of CSV, the JSON donor file of Atlas, and the inventory XML of WMDA; all but Parquet may be
compressed with gzip.
"""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import math
import stat
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, compress, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from data.donor_files.atlas import NotADonorError, donor_record, entries, identifier_of
from data.donor_files.coded import Coded
from data.donor_files.columns import (
    MAX_FIELD_CHARACTERS,
    MAX_ID_CHARACTERS,
    check_columns,
    check_time,
)
from data.donor_files.exchange import by_column
from data.donor_files.wmda import ITEMS, Inventory, item_record, items
from matching.errors import InputFileError, RecordError

# Records at a time.
BATCH = 50_000
_PEEKED = 64


@dataclass(frozen=True, slots=True)
class Problem:
    """A record that could not even be split into fields."""

    number: int
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Records as written, column by column.

    `numbers`: their lines (CSV, text) or their count in the file (Parquet, JSON, XML), from 1.
    `columns`: texts. `problems` lie between them in the file.
    """

    numbers: Sequence[int]
    columns: Mapping[str, Coded]
    problems: Sequence[Problem] = ()

    @classmethod
    def of(
        cls,
        numbers: Sequence[int],
        columns: Mapping[str, Sequence[str]],
        problems: Sequence[Problem] = (),
    ) -> Batch:
        """From one text a record."""
        return cls(numbers, {name: Coded.of(texts) for name, texts in columns.items()}, problems)


@dataclass
class PeopleFile:
    """A file of people.

    While it is read, `full` becomes True or False where the file says whether it holds everyone of
    its registries, `time` the time after which it knows of no change, in microseconds since 1970,
    and `ignored` counts the elements of it that are not used, by name.
    """

    path: Path
    full: bool | None = None
    time: int | None = None
    ignored: Counter[str] = field(default_factory=Counter)

    def batches(self) -> Iterator[Batch]:
        """The records of the file.

        Raises `InputFileError`: not there, empty, an unknown or missing column, damaged, changed
        by somebody while it was read.
        """
        before = self.state()
        try:
            with self.path.open("rb") as file:
                magic = file.read(4)
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        if not magic:
            raise InputFileError(f"{self.path} is empty; give a file with at least one record")
        try:
            if magic == b"PAR1":
                yield from _ahead(_parquet(self.path))
            else:
                with _opened(self.path, magic) as file:
                    yield from self._streamed(file)
        except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
            raise InputFileError(
                f"{self.path} is damaged: {error}; nothing was used; get the file again"
            ) from error
        if self.state() != before:
            raise InputFileError(
                f"{self.path} was changed while it was read; nothing was used; wait until it is "
                "written and run it again"
            )

    def state(self) -> tuple[int, ...]:
        """What changes with the file. Raises `InputFileError` for what is no regular file."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise self._unreadable(error.strerror) from error
        if not stat.S_ISREG(found.st_mode):
            raise self._unreadable("it is no regular file")
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def _unreadable(self, why: str | None) -> InputFileError:
        return InputFileError(
            f"cannot read {self.path}: {why}; give the path of a file that you may read"
        )

    def _streamed(self, file: io.BufferedReader) -> Iterator[Batch]:
        start = file.peek(_PEEKED)[:_PEEKED].lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\x00")[:1]
        if start == b"<":
            yield from self._wmda(file)
            return
        # Bytes that are no UTF-8 become surrogates, so that one bad record does not end the file.
        encoding = "utf-8-sig" if start == b"{" else "utf-8"
        text = io.TextIOWrapper(file, encoding, errors="surrogateescape", newline="")
        if start == b"{":
            yield from self._atlas(text)
        else:
            yield from _text(self.path, text)

    def _atlas(self, text: io.TextIOWrapper) -> Iterator[Batch]:
        donors = self._donors(text)
        number = 0
        while chunk := list(islice(donors, BATCH)):
            records: list[dict[str, str]] = []
            numbers: list[int] = []
            problems: list[Problem] = []
            for number, donor in enumerate(chunk, number + 1):  # noqa: B020
                try:
                    records.append(donor_record(donor, self.ignored))
                    numbers.append(number)
                except NotADonorError as error:
                    problems.append(Problem(number, identifier_of(donor), str(error)))
            yield Batch.of(numbers, by_column(records), problems)
        if not number:
            raise InputFileError(
                f"{self.path} lists no donor; give a file with at least one record"
            )

    def _donors(self, text: io.TextIOWrapper) -> Iterator[Any]:
        for kind, value in entries(self.path, text, self.ignored):
            if kind == "donor":
                yield value
            else:
                self.full = {"full": True, "diff": False}.get(str(value).lower())

    def _wmda(self, file: io.BufferedReader) -> Iterator[Batch]:
        records = self._items(file)
        number = 0
        while chunk := list(islice(records, BATCH)):
            numbers = range(number + 1, number + 1 + len(chunk))
            yield Batch.of(numbers, by_column(chunk))
            number += len(chunk)
        if not number:
            raise InputFileError(
                f"{self.path} holds no donor and no cord blood unit; give a file with at least one"
            )

    def _items(self, file: io.BufferedReader) -> Iterator[dict[str, str]]:
        known: set[Inventory] = set()
        for inventory, item in items(self.path, file):
            if inventory not in known:
                known.add(inventory)
                self._take_over(inventory)
            name = item.tag.rpartition("}")[2]
            if name in ITEMS:
                yield item_record(inventory, item, self.ignored)
            else:
                self.ignored[f"INVENTORY/{name}"] += 1

    def _take_over(self, inventory: Inventory) -> None:
        """One differential inventory makes the file differential; its time is the earliest one."""
        if inventory.full is not None:
            self.full = inventory.full and self.full is not False
        try:
            time = check_time("SNAPSHOT_TIME", inventory.time)
        except RecordError as error:
            raise InputFileError(f"{self.path}: {error}; nothing was used") from error
        if time is not None:
            self.time = time if self.time is None else min(self.time, time)


def _opened(path: Path, magic: bytes) -> io.BufferedReader:
    if magic[:2] == b"\x1f\x8b":
        return io.BufferedReader(gzip.open(path, "rb"))
    return path.open("rb")


def _text(path: Path, lines: Iterator[str]) -> Iterator[Batch]:
    number, first = 0, ""
    while not first.strip():
        number += 1
        first = next(lines, "").lstrip("\ufeff")
        if not first:
            raise InputFileError(f"{path} is empty; give a file with at least one record")
    if not first.strip().replace("\t", " ").isprintable():
        raise InputFileError(
            f"{path} is neither text in UTF-8 nor Parquet nor gzip; save it as one of them, "
            "nothing was used"
        )
    every = chain([first], lines)
    if "%" in first.partition(",")[0]:
        batches = _gl_text(every, number)
    else:
        batches = _ahead(_csv(path, every, number))
    count = 0
    for batch in batches:
        count += len(batch.numbers) + len(batch.problems)
        yield batch
    if not count:
        raise InputFileError(
            f"{path} holds a header and no record; give a file with at least one record"
        )


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same, each next one read on a thread while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        following = pool.submit(next, batches, None)
        while (batch := following.result()) is not None:
            following = pool.submit(next, batches, None)
            yield batch


def _gl_text(lines: Iterator[str], start: int) -> Iterator[Batch]:
    """`start`: number of the first line."""
    while chunk := list(islice(lines, BATCH)):
        numbers: list[int] = []
        ids: list[str] = []
        typings: list[str] = []
        problems: list[Problem] = []
        for number, line in enumerate(chunk, start):
            stripped = line.strip()
            if not stripped:
                continue
            identifier, percent, gl = stripped.partition("%")
            if percent and len(gl) <= MAX_FIELD_CHARACTERS:
                numbers.append(number)
                ids.append(identifier)
                typings.append(gl)
            else:
                reason = "longer than a typing can be" if percent else _NO_PERCENT
                problems.append(Problem(number, identifier[:MAX_ID_CHARACTERS], reason))
        start += len(chunk)
        yield Batch.of(numbers, {"id": ids, "gl": typings}, problems)


_NO_PERCENT = "no % between id and GL string"


def _csv(path: Path, lines: Iterator[str], start: int) -> Iterator[Batch]:
    """`start`: number of the first line, which holds the names of the columns."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    header = csv.reader(lines)
    try:
        columns = check_columns(path, next(header))
    except csv.Error as error:
        raise InputFileError(f"{path}: the first line is no CSV record: {error}") from error
    start += header.line_num
    while chunk := list(islice(lines, BATCH)):
        plain = _plain_columns(chunk, columns)
        if plain is not None:
            yield Batch(range(start, start + len(chunk)), plain)
            start += len(chunk)
            continue
        rows = _one_a_line(chunk)
        if rows is not None:
            numbers: Sequence[int] = range(start, start + len(rows))
            problems: list[Problem] = []
            start += len(chunk)
        else:
            numbers, rows, problems, n_lines = _line_by_line(chunk, lines, start)
            start += n_lines
        kept = [len(row) == len(columns) for row in rows]
        if not all(kept):
            odd = [i for i, fits in enumerate(kept) if not fits and rows[i]]
            problems += [_not_fitting(numbers[i], rows[i], columns) for i in odd]
            numbers, rows = list(compress(numbers, kept)), list(compress(rows, kept))
        by_column = list(zip(*rows, strict=True)) or [()] * len(columns)
        yield Batch.of(numbers, dict(zip(columns, by_column, strict=True)), problems)


def _plain_columns(lines: Sequence[str], columns: Sequence[str]) -> dict[str, Coded] | None:
    """The columns of lines of which each is a whole record without a quote in a value.

    None for others: they need the reader of the standard library, which this agrees with.
    """
    joined = "".join(lines)
    try:
        text = joined.encode()
    except UnicodeEncodeError:
        return None
    if "\0" in joined or joined.count("\r") != joined.count("\r\n"):
        return None
    try:
        table = pa_csv.read_csv(
            pa.BufferReader(text),
            pa_csv.ReadOptions(column_names=columns, block_size=len(text) + 1),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowException:
        return None
    if len(table) != len(lines):
        return None
    found = {name: Coded.of_arrow(table[name].combine_chunks(), _cell) for name in columns}
    if any(_is_odd(value) for column in found.values() for value in column.values):
        return None
    return found


def _is_odd(value: str) -> bool:
    return '"' in value or "\n" in value or "\r" in value or len(value) > MAX_FIELD_CHARACTERS


def _one_a_line(lines: Sequence[str]) -> list[list[str]] | None:
    """The record of each line; None where a record may lie on several lines or cannot be read."""
    if lines[-1].count('"') % 2:
        return None
    try:
        rows = list(csv.reader(lines))
    except csv.Error:
        return None
    return rows if len(rows) == len(lines) else None


def _line_by_line(
    lines: Sequence[str], further: Iterator[str], start: int
) -> tuple[list[int], list[list[str]], list[Problem], int]:
    """Numbers and fields of the records of some lines, and of the further ones that the last record
    lies on; the lines that are no record; how many lines that was."""
    reader = csv.reader(chain(lines, further))
    numbers: list[int] = []
    rows: list[list[str]] = []
    problems: list[Problem] = []
    while reader.line_num < len(lines):
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            number = start + reader.line_num - 1
            problems.append(Problem(number, "", f"not a CSV record: {error}"))
        else:
            numbers.append(start + reader.line_num - 1)
            rows.append(row)
    return numbers, rows, problems, reader.line_num


def _not_fitting(number: int, row: Sequence[str], columns: Sequence[str]) -> Problem:
    identifier = dict(zip(columns, row, strict=False)).get("id", "")
    return Problem(number, identifier, f"{len(row)} fields where the header has {len(columns)}")


def _parquet(path: Path) -> Iterator[Batch]:
    file = pq.ParquetFile(path)
    columns = check_columns(path, file.schema_arrow.names)
    if not file.metadata.num_rows:
        raise InputFileError(f"{path} is empty; give a file with at least one record")
    start = 1
    for batch in file.iter_batches(batch_size=BATCH):
        texts = [Coded.of_arrow(column, _cell) for column in batch.columns]
        yield Batch(range(start, start + len(batch)), dict(zip(columns, texts, strict=True)))
        start += len(batch)


def _cell(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, datetime.datetime):
        # A birth date read by a data frame is a time at midnight.
        return value.isoformat() if value.time() != datetime.time() else value.date().isoformat()
    return str(value)
