"""Segments on disk: one folder each, written once and never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.donor_files import INDEXED_FACTS
from data.files import replacing_folder
from data.index.arrays import Array, read_arrays, write_arrays
from data.index.encoding import EncodedDonors
from data.index.facts import DATES, NUMBERS, FactColumn
from data.index.written import WrittenColumn
from matching.donor_index import POSTED, Holders, Large, Postings, Segment
from matching.errors import StoreError
from matching.genotypes import Book
from matching.loci import LOCI, N_LOCI, Locus, PerLocus
from matching.search_kernels import LARGE, highest_codes

T = TypeVar("T")

COLUMNS = "columns.bin"
DESCRIPTION = "segment.json"
_FACT_TYPES = (np.uint8, np.uint16, np.uint32)
# Rows that a thread checks at a time.
CHUNK = 1_000_000


class DamagedIndexError(StoreError):
    """A file of an index is damaged or missing; updating the index builds it anew."""


@dataclass(frozen=True)
class StoredSegment:
    """An opened segment: `ids`, `facts` and HLA-B as written of the rows of `segment`."""

    ids: pa.StringArray
    facts: Mapping[str, FactColumn]
    written_b: WrittenColumn
    segment: Segment

    def without(self, removed: Path | None) -> StoredSegment:
        """The segment with the removed rows of a file of packed bits, None for none.

        Raises `FileNotFoundError` where it is not there, and `DamagedIndexError`.
        """
        if removed is None:
            return replace(self, segment=replace(self.segment, removed=None))
        try:
            bits = np.fromfile(removed, dtype=np.uint8)
            require(len(bits) == (len(self.segment) + 7) // 8, "it has another size")
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise damaged(removed, str(error)) from error
        return replace(self, segment=replace(self.segment, removed=bits))


def write_segment(folder: Path, donors: EncodedDonors) -> None:
    """Write a segment, all or nothing. Raises `OutputError`."""
    arrays: dict[str, Array] = {"codes": donors.segment.codes}
    arrays |= field_arrays("large", donors.segment.large)
    for locus in LOCI:
        arrays |= field_arrays(f"{locus.value}_book", donors.segment.books[locus])
        arrays |= field_arrays(f"{locus.value}_holders", donors.segment.holders[locus])
    for locus, postings in zip(POSTED, donors.segment.postings, strict=True):
        arrays |= field_arrays(f"{locus.value}_postings", postings)
    arrays |= _text_arrays("ids", donors.ids)
    written = WrittenColumn.of(donors.written.loci[Locus.B])
    arrays |= _text_arrays("written_B_positions", written.positions)
    arrays |= {f"written_B_{n}": getattr(written, n) for n in ("starts", "pairs", "codes")}
    arrays |= field_arrays("written_B_large", written.large)
    for name, column in donors.facts.items():
        arrays[_numbers_name(donors.facts, column)] = column.numbers
        arrays[f"{name}_codes"] = column.codes
        if name in DATES:
            arrays[f"{name}_values"] = column.values.astype(np.int32)
        elif name in NUMBERS:
            arrays[f"{name}_values"] = column.values
        else:
            arrays |= _text_arrays(f"{name}_values", pa.array(column.values, pa.string()))
    with replacing_folder(folder) as temporary:
        description = write_arrays(temporary / COLUMNS, arrays)
        description["facts"] = {n: _numbers_name(donors.facts, c) for n, c in donors.facts.items()}
        (temporary / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")


def _numbers_name(facts: Mapping[str, FactColumn], column: FactColumn) -> str:
    """Facts that are kept together have the array of the first of them."""
    return next(f"{name}_numbers" for name, c in facts.items() if c.numbers is column.numbers)


def field_arrays(prefix: str, value: Any) -> dict[str, Array]:
    """The arrays of a data class by the names that `read_fields` finds them under."""
    return {f"{prefix}_{f.name}": getattr(value, f.name) for f in fields(value)}


def _text_arrays(name: str, texts: pa.StringArray) -> dict[str, Array]:
    _, offsets, data = texts.buffers()
    n = len(texts)
    if not n:
        return {f"{name}_offsets": np.zeros(1, np.int32), f"{name}_bytes": np.zeros(0, np.uint8)}
    # A slice has the buffers of the whole.
    ends = np.frombuffer(offsets, np.int32, n + 1, 4 * texts.offset)
    characters = np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]]
    return {f"{name}_offsets": ends - ends[0], f"{name}_bytes": characters}


def open_segment(folder: Path) -> StoredSegment:
    """A segment, memory-mapped, and no row removed.

    Raises `FileNotFoundError` where it is not there, and `DamagedIndexError`.
    """
    path = folder / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        path = folder / COLUMNS
        arrays = read_arrays(path, description)
        segment = _segment(arrays)
        facts = {
            name: _fact_column(arrays, name, description["facts"][name]) for name in INDEXED_FACTS
        }
        written = WrittenColumn(
            _texts(arrays, "written_B_positions"),
            arrays["written_B_starts"],
            arrays["written_B_pairs"],
            arrays["written_B_codes"],
            read_fields(Large, "written_B_large", arrays),
        )
        _check(segment, facts, written, arrays)
        return StoredSegment(_texts(arrays, "ids"), facts, written, segment)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path, str(error)) from error


def damaged(path: Path, why: str) -> DamagedIndexError:
    """The error that names a file of an index."""
    return DamagedIndexError(
        f"the index file {path} is damaged: {why}; remove the folder {path.parent} and run the "
        "command again: the index is built anew from the store, which is not affected"
    )


def read_fields(kind: type[T], prefix: str, arrays: Mapping[str, Array]) -> T:
    """A data class of arrays that `field_arrays` named. Raises `KeyError`."""
    return kind(*(arrays[f"{prefix}_{f.name}"] for f in fields(kind)))  # type: ignore[arg-type]


def _segment(arrays: Mapping[str, Array]) -> Segment:
    return Segment(
        arrays["codes"],
        read_fields(Large, "large", arrays),
        PerLocus(tuple(read_fields(Book, f"{locus.value}_book", arrays) for locus in LOCI)),
        PerLocus(tuple(read_fields(Holders, f"{locus.value}_holders", arrays) for locus in LOCI)),
        tuple(read_fields(Postings, f"{locus.value}_postings", arrays) for locus in POSTED),
    )


def _fact_column(arrays: Mapping[str, Array], name: str, numbers: str) -> FactColumn:
    if name in DATES:
        values = arrays[f"{name}_values"].astype("datetime64[D]")
    elif name in NUMBERS:
        values = arrays[f"{name}_values"]
    else:
        _check_texts(arrays[f"{name}_values_offsets"], arrays[f"{name}_values_bytes"])
        values = np.array(_texts(arrays, f"{name}_values").to_pylist(), dtype=object)
    return FactColumn(arrays[numbers], arrays[f"{name}_codes"], values)


def _texts(arrays: Mapping[str, Array], name: str) -> pa.StringArray:
    offsets, data = arrays[f"{name}_offsets"], arrays[f"{name}_bytes"]
    buffers = (pa.py_buffer(array) for array in (offsets, data))
    return pa.StringArray.from_buffers(len(offsets) - 1, *buffers)


def require(holds: bool | np.bool_, what: str) -> None:
    """Raises `ValueError` saying what is wrong."""
    if not holds:
        raise ValueError(what)


def is_partition(starts: Array, end: int) -> bool:
    """True if `starts` cuts a row of `end` things into lists."""
    return bool(len(starts) and starts[0] == 0 and starts[-1] == end) and bool(
        (starts[1:] >= starts[:-1]).all()
    )


def _check_texts(offsets: Array, data: Array) -> None:
    require(offsets.dtype == np.int32 and data.dtype == np.uint8, "texts have another type")
    require(is_partition(offsets, len(data)), "texts do not lie in their bytes")


def _check(
    segment: Segment,
    facts: Mapping[str, FactColumn],
    written: WrittenColumn,
    arrays: Mapping[str, Array],
) -> None:
    """Everything that kernels and arrow rely on: sizes and ranges. Raises `ValueError`."""
    n = len(segment)
    require(
        segment.codes.dtype == np.uint16 and segment.codes.shape == (n, N_LOCI),
        "codes have another shape",
    )
    for book, holders in zip(segment.books, segment.holders, strict=True):
        _check_book(book)
        _check_holders(holders, len(book.linked))
    checks: list[Callable[[], None]] = [
        *(
            lambda t=t: _check_texts(arrays[f"{t}_offsets"], arrays[f"{t}_bytes"])
            for t in ("ids", "written_B_positions")
        ),
        lambda: _check_written(written, n),
        lambda: check_codes(segment.codes, segment.large, [len(book) for book in segment.books]),
        *(lambda p=p: _check_postings(p, segment) for p in range(len(POSTED))),
        *(lambda c=c: _check_fact(c, n) for c in facts.values()),
    ]
    require(len(arrays["ids_offsets"]) == n + 1, "there is not one identifier a donor")
    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(check) for check in checks]:
            done.result()


def _check_book(book: Book) -> None:
    kinds = {"starts": np.int64, "offsets": np.int64, "groups": np.int32}
    kinds |= {"linked": np.uint8, "tce": np.uint8, "altered": np.uint8}
    require(
        all(getattr(book, name).dtype == kind for name, kind in kinds.items())
        and len(book) > 0
        and book.tce.shape == book.altered.shape == (len(book.linked), 2)
        and is_partition(book.starts, len(book.linked))
        and bool((np.diff(book.starts) > 0).all())
        and len(book.offsets) == 2 * len(book.linked) + 1
        and is_partition(book.offsets, len(book.groups)),
        "a code book is not consistent",
    )


def _check_holders(holders: Holders, n_genotypes: int) -> None:
    require(
        holders.groups.dtype == np.int32
        and holders.starts.dtype == np.int64
        and holders.holders.dtype == np.uint32
        and len(holders.starts) == len(holders.groups) + 1
        and is_partition(holders.starts, len(holders.holders))
        and bool((np.diff(holders.groups) > 0).all())
        and bool((holders.holders >> 2).max(initial=0) < n_genotypes),
        "the genotypes that hold a group are not consistent",
    )


def _highest(codes: npt.NDArray[np.uint16]) -> tuple[Array, Array]:
    """Highest code below `LARGE` of every column, and how many are `LARGE`."""
    highest, large = np.zeros((2, codes.shape[1]), dtype=np.int64)
    for first in range(0, len(codes), CHUNK):
        highest_codes(codes[first : first + CHUNK], highest, large)
    return highest, large


def check_codes(codes: Array, large: Large, sizes: Sequence[int]) -> None:
    """Columns of 16-bit codes, of which column i has `sizes[i]`, and the large ones apart.

    Raises `ValueError`.
    """
    require(
        large.starts.dtype == np.int64
        and len(large.starts) == len(sizes) + 1
        and large.rows.dtype == large.codes.dtype == np.uint32
        and len(large.codes) == len(large.rows)
        and is_partition(large.starts, len(large.rows)),
        "entries above 65,534 are not consistent",
    )
    highest, n_large = _highest(codes)
    for i, size in enumerate(sizes):
        part = slice(*large.starts[i : i + 2])
        rows = large.rows[part].astype(np.int64)
        require(highest[i] < size, f"a code of column {i} is in no code book")
        require(
            n_large[i] == len(rows)
            and bool((np.diff(rows) > 0).all())
            and rows.max(initial=-1) < len(codes)
            and bool((codes[rows, i] == LARGE).all())
            and large.codes[part].max(initial=0) < size,
            f"entries above 65,534 of column {i} are not consistent",
        )


def _check_postings(place: int, segment: Segment) -> None:
    postings, n = segment.postings[place], len(segment)
    others = [segment.books[locus] for locus in POSTED if locus is not POSTED[place]]
    require(
        postings.starts.dtype == postings.rows.dtype == np.uint32
        and postings.others.dtype == np.uint16
        and len(postings.starts) == len(segment.books[POSTED[place]]) + 1
        and is_partition(postings.starts, n)
        and len(postings.rows) == n
        and postings.rows.max(initial=0) < max(n, 1)
        and postings.others.shape == (n, 2)
        and bool((_highest(postings.others)[0] < [len(book) for book in others]).all()),
        f"the posting lists of locus {POSTED[place].value} are not consistent",
    )


def _check_written(written: WrittenColumn, n: int) -> None:
    written.positions.validate(full=True)
    require(
        written.starts.dtype == written.pairs.dtype == np.uint32
        and written.codes.shape == (n, 1)
        and written.codes.dtype == np.uint16
        and written.pairs.shape == (len(written.pairs), 2)
        and is_partition(written.starts, len(written.pairs))
        and bool((np.diff(written.starts.astype(np.int64))[1:] > 0).all())
        and written.pairs.max(initial=0) < max(len(written.positions), 1),
        "HLA-B as written is not consistent",
    )
    check_codes(written.codes, written.large, [len(written)])


def _check_fact(column: FactColumn, n: int) -> None:
    require(
        {column.numbers.dtype, column.codes.dtype} <= {*map(np.dtype, _FACT_TYPES)}
        and column.numbers.shape == (n,)
        and column.numbers.max(initial=0) < max(len(column.codes), 1)
        and column.codes.ndim == 1
        and column.codes.max(initial=0) <= len(column.values),
        "a fact of donors is not consistent",
    )
