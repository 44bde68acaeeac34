"""The searchable form of a registry on disk: memory-mapped columns, derived from the store.

A folder holds `codes.npy` ((n_donors, n_loci) uint32), the book arrays of every locus
(`<locus>_<array>.npy`, see `matching.genotypes.Book`), `donors.arrow` (identifier and facts, one
row a donor in the order of the identifiers), `unreadable.csv` (donors whose stored typing the
release cannot read, with the reason) and `index.json`. It is written under a temporary name and
renamed, and never changed afterwards.
"""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.feather as feather

from data.donor_files import INDEXED, INDEXED_FACTS
from data.files import replacing_folder
from matching.errors import TypingError
from matching.genotypes import Book, BookBuilder, DonorIndex, book_builders
from matching.loci import LOCI, N_LOCI, Locus, PerLocus
from matching.nomenclature import Nomenclature

# Raised whenever the encoding changes, so that an older index is built anew.
FORMAT = 3
_BOOK_ARRAYS = ("starts", "offsets", "groups", "linked", "tce")
_SCHEMA = pa.schema([INDEXED.field(name) for name in ("id", *INDEXED_FACTS)])
# Donors encoded at a time.
CHUNK = 100_000


@dataclass(frozen=True)
class StoredIndex:
    """An opened index. `n_unreadable` donors of the store are not in it but in `unreadable`."""

    folder: Path
    version: str
    donors: DonorIndex
    table: pa.Table
    n_unreadable: int

    @property
    def unreadable(self) -> Path:
        """File of the donors that the release cannot read, with the reasons."""
        return self.folder / "unreadable.csv"

    @cached_property
    def ids(self) -> npt.NDArray[np.object_]:
        """Identifier of every donor, (n_donors,)."""
        return np.asarray(self.table["id"].to_numpy(), dtype=object)

    def ages(self, as_of: datetime.date) -> npt.NDArray[np.float64]:
        """Age of every donor in whole years on a day, (n_donors,), NaN where unknown.

        From the birth date; a donor reported by age keeps the reported one.
        """
        reported = self.table["age_years"].to_numpy().astype(np.float64)
        dates = self.table["birth_date"].to_numpy().astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        day = (dates - months).astype(np.int64)
        today = np.datetime64(as_of, "D")
        today_month = today.astype("datetime64[M]")
        elapsed = (today_month - months).astype(np.float64)
        elapsed -= day > int((today - today_month).astype(np.int64))
        ages: npt.NDArray[np.float64] = np.where(np.isnat(dates), reported, np.floor(elapsed / 12))
        return ages


def write_index(
    folder: Path, version: str, donors: Iterable[tuple[Any, ...]], nomenclature: Nomenclature
) -> None:
    """Encode donors under a release and write their index.

    `donors`: tuples (id, *INDEXED_FACTS, one text or None a locus in the order of `LOCI`), sorted
    by id. Raises `OutputError`.
    """
    builders = book_builders(nomenclature)
    codes = [np.empty((0, N_LOCI), dtype=np.uint32)]
    n_unreadable = 0
    with replacing_folder(folder) as temporary:
        with (
            pa.ipc.new_file(str(temporary / "donors.arrow"), _SCHEMA) as facts,
            (temporary / "unreadable.csv").open("w", encoding="utf-8", newline="") as file,
        ):
            unreadable = csv.writer(file)
            unreadable.writerow(("id", "reason"))
            remaining = iter(donors)
            while chunk := list(islice(remaining, CHUNK)):
                encoded, errors = _encode(chunk, builders)
                unreadable.writerows((chunk[row][0], str(errors[row])) for row in sorted(errors))
                n_unreadable += len(errors)
                kept = [donor for row, donor in enumerate(chunk) if row not in errors]
                codes.append(np.delete(encoded, list(errors), axis=0).astype(np.uint32))
                facts.write_batch(_facts(kept))
        np.save(temporary / "codes.npy", np.concatenate(codes))
        for locus in LOCI:
            book = builders[locus].book()
            for name in _BOOK_ARRAYS:
                np.save(temporary / f"{locus.value}_{name}.npy", getattr(book, name))
        description = {
            "format": FORMAT,
            "version": version,
            "release": nomenclature.release,
            "fingerprint": nomenclature.fingerprint,
            "n_donors": sum(map(len, codes)),
            "n_unreadable": n_unreadable,
        }
        (temporary / "index.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def _encode(
    donors: Sequence[tuple[Any, ...]], builders: Mapping[Locus, BookBuilder]
) -> tuple[npt.NDArray[np.int64], dict[int, TypingError]]:
    """Codes (n_donors, `N_LOCI`), and the error at the first locus of every unreadable donor."""
    codes = np.empty((len(donors), N_LOCI), dtype=np.int64)
    errors: dict[int, TypingError] = {}
    for locus in LOCI:
        texts = [donor[locus.position - N_LOCI] or "" for donor in donors]
        codes[:, locus.position], of_locus = builders[locus].encode_all(texts)
        errors = of_locus | errors
    return codes, errors


def _facts(donors: Sequence[tuple[Any, ...]]) -> pa.RecordBatch:
    """Identifiers and facts of donors in the columns of `_SCHEMA`."""
    columns = list(zip(*donors, strict=True)) or [()] * len(_SCHEMA)
    return pa.record_batch(
        [pa.array(column, f.type) for f, column in zip(_SCHEMA, columns, strict=False)], _SCHEMA
    )


def open_index(folder: Path, nomenclature: Nomenclature) -> StoredIndex | None:
    """The index in a folder; None where there is none of this release and format."""
    try:
        description = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        codes = np.load(folder / "codes.npy", mmap_mode="r")
        books = tuple(
            Book(
                *(
                    np.load(folder / f"{locus.value}_{name}.npy", mmap_mode="r")
                    for name in _BOOK_ARRAYS
                )
            )
            for locus in LOCI
        )
        table = feather.read_table(str(folder / "donors.arrow"), memory_map=True)
    except (OSError, ValueError, EOFError, pa.ArrowException):
        return None
    expected = (FORMAT, nomenclature.fingerprint, len(codes), len(codes))
    found = tuple(description.get(key) for key in ("format", "fingerprint", "n_donors"))
    if (*found, len(table)) != expected or not _is_consistent(codes, books):
        return None
    return StoredIndex(
        folder,
        description["version"],
        DonorIndex(codes, PerLocus(books)),
        table,
        description["n_unreadable"],
    )


def _is_consistent(codes: npt.NDArray[np.uint32], books: tuple[Book, ...]) -> bool:
    """True if every code has an entry and every entry lies in its arrays, as kernels rely on."""
    highest = codes.max(axis=0, initial=0)
    return all(
        highest[i] < len(book)
        and book.starts[0] == 0
        and book.starts[-1] == len(book.linked) == len(book.tce)
        and bool((np.diff(book.starts) > 0).all())
        and len(book.offsets) == 2 * len(book.linked) + 1
        and book.offsets[0] == 0
        and book.offsets[-1] == len(book.groups)
        and bool((np.diff(book.offsets) >= 0).all())
        for i, book in enumerate(books)
    )
