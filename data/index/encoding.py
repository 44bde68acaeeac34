"""Columns of donors -> everything that a segment of an index holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from data.index.columns import DonorColumns, WrittenDonors
from data.index.facts import FactColumn, combined
from matching.donor_index import Segment
from matching.errors import StoreError
from matching.genotypes import UNREADABLE, BookBuilder
from matching.loci import LOCI, N_LOCI, Locus, PerLocus


@dataclass(frozen=True)
class EncodedDonors:
    """Donors under a release: `ids`, `facts` and the rows of `segment` in the same order.

    `written`: what they were encoded from. `unreadable`: identifier and reason of those that the
    release cannot read, not in the rest.
    """

    ids: pa.StringArray
    facts: Mapping[str, FactColumn]
    segment: Segment
    written: WrittenDonors
    unreadable: tuple[tuple[str, str], ...]


def encode_donors(columns: DonorColumns, builders: Mapping[Locus, BookBuilder]) -> EncodedDonors:
    """Encode donors, in the order of the bytes of their identifiers.

    `builders`: of every locus; they may have read other typings before. Raises `StoreError` for an
    identifier that comes twice.
    """
    ids, facts, written = columns.ids(), columns.facts(), columns.written()
    order = _order(ids)
    codes = np.empty((len(ids), N_LOCI), dtype=np.uint32)
    books = []
    reasons: dict[int, str] = {}
    for locus in LOCI:
        builder = builders[locus]
        of_text, of_error = builder.encode_all(written.loci[locus].texts)
        numbers = written.loci[locus].numbers
        if of_error:
            for row in np.flatnonzero(of_text[numbers] == UNREADABLE).tolist():
                reasons.setdefault(row, str(of_error[int(numbers[row])]))
        codes[:, locus.position] = of_text.astype(np.uint32)[numbers]
        books.append(builder.book())
    unreadable = [(ids[row].as_py(), reason) for row, reason in reasons.items()]
    if reasons:
        readable = np.ones(len(ids), dtype=bool)
        readable[list(reasons)] = False
        order = np.flatnonzero(readable) if order is None else order[readable[order]]
    if order is not None:
        ids, written, codes = ids.take(pa.array(order)), written.take(order), codes[order]
        facts = {name: (of_row[order], values) for name, (of_row, values) in facts.items()}
    segment = Segment.of(codes, PerLocus(tuple(books)))
    by_id = tuple(sorted(unreadable, key=lambda one: one[0].encode()))
    return EncodedDonors(ids, combined(facts), segment, written, by_id)


def _order(ids: pa.StringArray) -> npt.NDArray[np.int64] | None:
    """Rows by ascending identifier; None where they are. Raises `StoreError`."""
    if _ascend(ids):
        return None
    order = pc.array_sort_indices(ids)
    if not _ascend(ids.take(order)):
        raise StoreError("the store gave a donor twice")
    return np.asarray(order.to_numpy(), dtype=np.int64)


def _ascend(ids: pa.StringArray) -> bool:
    return pc.all(pc.less(ids[:-1], ids[1:])).as_py() is not False
