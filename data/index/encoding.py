"""Batches of donors from the store -> everything that a segment of an index holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.donor_files import INDEXED_FACTS, LOCUS_COLUMNS
from data.index.facts import FactColumn, FactEncoder
from matching.donor_index import Segment
from matching.errors import StoreError, TypingError
from matching.genotypes import UNREADABLE, UNTYPED, BookBuilder, book_builders
from matching.loci import LOCI, N_LOCI, Locus, PerLocus
from matching.nomenclature import Nomenclature

# Identifiers are addressed by 31 bits.
MAX_ID_BYTES = 2**31 - 1


@dataclass(frozen=True)
class EncodedDonors:
    """Donors under a release: `ids`, `facts` and the rows of `segment` in the same order.

    `unreadable`: identifier and reason of those that the release cannot read, not in the rest.
    """

    ids: pa.StringArray
    facts: Mapping[str, FactColumn]
    segment: Segment
    unreadable: tuple[tuple[str, str], ...]


def encode_donors(
    batches: Iterable[pa.RecordBatch],
    nomenclature: Nomenclature,
    progress: Callable[[int], object] = lambda _: None,
) -> EncodedDonors:
    """Encode batches with the schema `INDEXED`, ascending by identifier.

    `progress` is given the number of donors so far. Raises `StoreError` for identifiers that are
    not ascending, or of more than `MAX_ID_BYTES` in all.
    """
    builders = book_builders(nomenclature)
    facts = {name: FactEncoder() for name in INDEXED_FACTS}
    codes = [np.empty((0, N_LOCI), dtype=np.uint32)]
    ids = [pa.array([], pa.string())]
    unreadable: list[tuple[str, str]] = []
    last, read, id_bytes = None, 0, 0
    for batch in batches:
        if not len(batch):
            continue
        last = _check_order(batch.column("id"), last)
        encoded, errors = _encode(batch, builders)
        if errors:
            names = batch.column("id")
            unreadable.extend((names[row].as_py(), str(errors[row])) for row in sorted(errors))
            kept = np.ones(len(batch), dtype=bool)
            kept[list(errors)] = False
            batch, encoded = batch.filter(pa.array(kept)), encoded[kept]
        codes.append(encoded.astype(np.uint32))
        ids.append(batch.column("id"))
        id_bytes += ids[-1].nbytes
        if id_bytes > MAX_ID_BYTES:
            raise StoreError("identifiers of the donors have more than 2 GiB; shorten them")
        for name, encoder in facts.items():
            encoder.add(batch.column(name))
        read += len(batch) + len(errors)
        progress(read)
    joined = np.concatenate(codes)
    codes.clear()
    books = PerLocus(tuple(builders[locus].book() for locus in LOCI))
    builders = {}
    return EncodedDonors(
        pa.concat_arrays(ids),
        {name: encoder.column(name) for name, encoder in facts.items()},
        Segment.of(joined, books),
        tuple(unreadable),
    )


def _check_order(ids: pa.Array, last: pa.Scalar | None) -> pa.Scalar:
    """Raises `StoreError` unless identifiers ascend, also from the batch before; their last one."""
    ascending = pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
    if not ascending or ids.null_count or (last is not None and last.as_py() >= ids[0].as_py()):
        raise StoreError("the store gave donors that are not in the order of their identifiers")
    return ids[-1]


def _encode(
    batch: pa.RecordBatch, builders: Mapping[Locus, BookBuilder]
) -> tuple[npt.NDArray[np.int64], dict[int, TypingError]]:
    """Codes (n_donors, `N_LOCI`), and the error at the first locus of every unreadable donor."""
    codes = np.empty((len(batch), N_LOCI), dtype=np.int64)
    errors: dict[int, TypingError] = {}
    for name, locus in LOCUS_COLUMNS.items():
        encoded = batch.column(name).dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        of_text, of_error = builders[locus].encode_all(texts)
        places = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
        column = np.append(of_text, UNTYPED)[places]
        codes[:, locus.position] = column
        if of_error:
            for row in np.flatnonzero(column == UNREADABLE).tolist():
                errors.setdefault(row, of_error[int(places[row])])
    return codes, errors
