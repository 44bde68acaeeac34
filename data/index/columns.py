"""Batches of donors from the store -> columns in which each distinct value stands once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from data.donor_files import INDEXED, INDEXED_FACTS, LOCUS_COLUMNS, Coded
from data.index.arrays import Array
from data.index.facts import FactEncoder
from matching.errors import StoreError
from matching.loci import Locus

# Identifiers are addressed by 31 bits.
MAX_ID_BYTES = 2**31 - 1


@dataclass(frozen=True)
class WrittenLocus:
    """What donors have written at a locus: `texts`, "" first for untyped, and the number (n,)
    uint32 of each donor's in them."""

    texts: list[str]
    numbers: npt.NDArray[np.uint32]


@dataclass(frozen=True)
class WrittenDonors:
    """The typings of donors as the store has them; `phased`: (n,) bool, with loci in phase."""

    loci: Mapping[Locus, WrittenLocus]
    phased: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.phased)

    def take(self, rows: npt.NDArray[np.int64]) -> WrittenDonors:
        """Some donors in the given order."""
        loci = {
            locus: WrittenLocus(written.texts, written.numbers[rows])
            for locus, written in self.loci.items()
        }
        return WrittenDonors(loci, self.phased[rows])


@dataclass
class _Texts:
    """The distinct texts of a column, a batch at a time."""

    _known: dict[str, int] = field(default_factory=lambda: {"": 0})
    _parts: list[npt.NDArray[np.uint32]] = field(default_factory=list)

    def add(self, column: Coded) -> None:
        known = self._known
        numbers = [known.setdefault(text or "", len(known)) for text in column.values]
        self._parts.append(np.array(numbers, dtype=np.uint32)[column.places])

    def written(self) -> WrittenLocus:
        numbers = np.concatenate([np.empty(0, np.uint32), *self._parts])
        texts = list(self._known)
        self._parts.clear()
        self._known.clear()
        return WrittenLocus(texts, numbers)


@dataclass
class DonorColumns:
    """Donors as they are added, with the columns of `INDEXED`."""

    n: int = 0
    _ids: list[pa.Array] = field(default_factory=list)
    _phased: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    _id_bytes: int = 0
    _texts: dict[Locus, _Texts] = field(
        default_factory=lambda: {locus: _Texts() for locus in LOCUS_COLUMNS.values()}
    )
    _facts: dict[str, FactEncoder] = field(
        default_factory=lambda: {name: FactEncoder(name) for name in INDEXED_FACTS}
    )

    @classmethod
    def of(
        cls, batches: Iterable[pa.RecordBatch], progress: Callable[[int], object] = lambda _: None
    ) -> DonorColumns:
        """The donors of batches; `progress` is given their number so far. Raises `StoreError`."""
        columns = cls()
        for batch in batches:
            coded = {name: Coded.of_arrow(batch.column(name)) for name in INDEXED.names[1:]}
            columns.add(batch.column("id"), coded)
            progress(columns.n)
        return columns

    def add(self, ids: pa.Array, columns: Mapping[str, Coded]) -> None:
        """The next donors. Raises `StoreError` for identifiers of more than `MAX_ID_BYTES`."""
        self._ids.append(ids)
        self._id_bytes += ids.nbytes
        if self._id_bytes > MAX_ID_BYTES:
            raise StoreError("identifiers of the donors have more than 2 GiB; shorten them")
        phase = columns["phase"]
        self._phased.append(np.array([bool(text) for text in phase.values])[phase.places])
        for name, locus in LOCUS_COLUMNS.items():
            self._texts[locus].add(columns[name])
        for name, encoder in self._facts.items():
            encoder.add(columns[name])
        self.n += len(ids)

    def ids(self) -> pa.StringArray:
        """Identifiers, in the order in which they came; they can be asked for once."""
        ids = pa.concat_arrays([pa.array([], pa.string()), *self._ids])
        self._ids.clear()
        return ids

    def facts(self) -> dict[str, tuple[Array, Array]]:
        """Codes and values of facts, in that order; they can be asked for once."""
        return {name: encoder.column() for name, encoder in self._facts.items()}

    def written(self) -> WrittenDonors:
        """Typings, in that order; they can be asked for once."""
        phased = np.concatenate([np.empty(0, bool), *self._phased])
        return WrittenDonors({locus: t.written() for locus, t in self._texts.items()}, phased)
