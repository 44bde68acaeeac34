"""Hot loops of the search over the arrays of `matching.donor_index`; nothing else.

Shared terms. `codes` is (n_rows, `N_LOCI`) uint16: `LARGE` says that the entry is in the overflow,
whose rows of locus l are `large_rows[large_starts[l]:large_starts[l + 1]]`, ascending, with their
entries at the same places of `large_codes`. `tables` holds the mismatches of every entry of each
searched locus, one locus after another, from `table_starts[l]`, which is -1 where locus l is not
searched. `limit` is below `EXCLUDED`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import (
    I32,
    I64,
    OUT_I32,
    OUT_I64,
    OUT_U8,
    OUT_U32,
    OUT_U64,
    U8,
    U16_2D,
    U32,
    U64,
)
from matching.explanation_kernels import mixed_bits
from matching.kernels import kernel

Bytes = npt.NDArray[np.uint8]
Shorts = npt.NDArray[np.uint16]
Words = npt.NDArray[np.uint32]
Longs = npt.NDArray[np.uint64]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]

LARGE = 65_535
EXCLUDED = 255
# Added to mismatches that are not all known yet.
OPEN = 128


@kernel(numba.void(I32, I32, I32, I64, U32, I32, OUT_U8))
def lower_mismatches(
    first: Int32s,
    second: Int32s,
    groups: Int32s,
    starts: Int64s,
    holders: Words,
    entries: Int32s,
    table: Bytes,
) -> None:
    """Lower the mismatches of every entry of a book to what one genotype of a patient has with it
    at best (rule R2); genotypes that hold none of its groups have two.

    first, second: the groups that match its positions. groups, starts, holders: see
    `matching.donor_index.Holders`. entries: (n_genotypes,) entry of each genotype of the book.
    table: (n_entries,) uint8.
    """
    by_marks = np.zeros(16, dtype=np.uint8)
    for mark in range(16):
        direct = mark & 1 != 0 and mark & 8 != 0
        cross = mark & 2 != 0 and mark & 4 != 0
        by_marks[mark] = 0 if direct or cross else (1 if mark != 0 else 2)
    # Bits 0 and 1 say at which positions the first set is met, bits 2 and 3 where the second is.
    marks = np.zeros(len(entries), dtype=np.uint8)
    for step in range(4):
        for value in second if step & 1 else first:
            i = np.searchsorted(groups, value)
            if i == len(groups) or groups[i] != value:
                continue
            for j in range(starts[i], starts[i + 1]):
                genotype = holders[j] >> 2
                if step < 2:
                    marks[genotype] |= (holders[j] & 3) << (2 * step)
                else:
                    entry = entries[genotype]
                    table[entry] = min(table[entry], by_marks[marks[genotype]])


@kernel(numba.int64(U16_2D, numba.int64, numba.int64, numba.int64, I64, U32, U32))
def _entry(
    codes: Shorts,
    first_row: int,
    row: int,
    locus: int,
    large_starts: Int64s,
    large_rows: Words,
    large_codes: Words,
) -> int:
    """Entry of a row; codes begin at row `first_row`."""
    if codes[row - first_row, locus] != LARGE:
        return int(codes[row - first_row, locus])
    low, high = large_starts[locus], large_starts[locus + 1]
    while low < high:
        middle = (low + high) // 2
        if large_rows[middle] < row:
            low = middle + 1
        else:
            high = middle
    return int(large_codes[low])


@kernel(numba.void(U16_2D, I64, numba.int64, I64, U32, U32, OUT_U32))
def entries_of_rows(
    codes: Shorts,
    rows: Int64s,
    locus: int,
    large_starts: Int64s,
    large_rows: Words,
    large_codes: Words,
    out: Words,
) -> None:
    """Entries of one locus of some rows. out: (n,) uint32."""
    for i in range(len(rows)):
        out[i] = _entry(codes, 0, rows[i], locus, large_starts, large_rows, large_codes)


@kernel(
    numba.int64(
        *(I64, I64, U32, U16_2D, U8, numba.int64, numba.int64, numba.int64),
        *(OUT_U32, OUT_U8),
    )
)
def search_postings(
    begins: Int64s,
    ends: Int64s,
    rows: Words,
    others: Shorts,
    tables: Bytes,
    first_start: int,
    second_start: int,
    limit: int,
    out_rows: Words,
    out_totals: Bytes,
) -> int:
    """Rows at some ranges of a posting list, of entries without a mismatch (rows, others: see
    `matching.donor_index.Postings`), that may be within the limit over the loci of `others`,
    whose tables begin at `first_start` and `second_start`.

    Writes the rows and their mismatches over these, with `OPEN` added where a code is `LARGE`,
    which counts as none; returns how many there are.
    """
    count = 0
    for part in range(len(begins)):
        for i in range(begins[part], ends[part]):
            a, b = others[i, 0], others[i, 1]
            total = 0 if a == LARGE else int(tables[first_start + a])
            total += 0 if b == LARGE else int(tables[second_start + b])
            if total <= limit:
                out_rows[count] = rows[i]
                out_totals[count] = total + (OPEN if a == LARGE or b == LARGE else 0)
                count += 1
    return count


@kernel(
    numba.int64(
        *(U16_2D, I64, U32, U32, U8, I64),
        *(I64, I64, numba.int64, U8, OUT_U32),
    )
)
def keep_within(
    codes: Shorts,
    large_starts: Int64s,
    large_rows: Words,
    large_codes: Words,
    tables: Bytes,
    table_starts: Int64s,
    loci: Int64s,
    rest: Int64s,
    limit: int,
    totals: Bytes,
    rows: Words,
) -> int:
    """Move the rows of `search_postings` that are within the limit over `loci` to the front.

    rest: those of `loci` that are not in `totals`. Returns how many rows there are.
    """
    count = 0
    # Codes of a block of rows are fetched before they are used: most miss the processor's caches,
    # and so none waits for another.
    block = 512
    fetched = np.empty((block, len(rest)), dtype=np.uint16)
    for start in range(0, len(rows), block):
        stop = min(start + block, len(rows))
        for i in range(start, stop):
            for k in range(len(rest)):
                fetched[i - start, k] = codes[rows[i], rest[k]]
        for i in range(start, stop):
            total = int(totals[i])
            is_open = total >= OPEN
            for k in range(len(rest)):
                code: Any = fetched[i - start, k]
                is_open |= code == LARGE
                total += 0 if code == LARGE else int(tables[table_starts[rest[k]] + code])
            if is_open and total % OPEN <= limit:
                total = 0
                for locus in loci:
                    row: Any = np.int64(rows[i])
                    code = _entry(codes, 0, row, locus, large_starts, large_rows, large_codes)
                    total += tables[table_starts[locus] + code]
            rows[count] = rows[i]
            count += total <= limit
    return count


@kernel(
    numba.int64(
        *(U16_2D, numba.int64, I64, U32, U32),
        *(U8, I64, I64, numba.int64, OUT_I64),
    )
)
def search_rows(
    codes: Shorts,
    first_row: int,
    large_starts: Int64s,
    large_rows: Words,
    large_codes: Words,
    tables: Bytes,
    table_starts: Int64s,
    loci: Int64s,
    limit: int,
    out_rows: Int64s,
) -> int:
    """Rows within the limit among consecutive rows that begin at `first_row`.

    loci: the searched ones. Writes the rows and returns how many there are.
    """
    count = 0
    for i in range(len(codes)):
        row = first_row + i
        total = 0
        for locus in loci:
            code: Any = np.int64(codes[i, locus])
            if code == LARGE:
                code = _entry(codes, first_row, row, locus, large_starts, large_rows, large_codes)
            total += tables[table_starts[locus] + code]
            if total > limit:
                break
        if total <= limit:
            out_rows[count] = row
            count += 1
    return count


@kernel(numba.void(U16_2D, I64, U32, U32, U8, I64, I64, I64, OUT_I64))
def count_mismatches(
    codes: Shorts,
    large_starts: Int64s,
    large_rows: Words,
    large_codes: Words,
    tables: Bytes,
    table_starts: Int64s,
    loci: Int64s,
    rows: Int64s,
    out: Int64s,
) -> None:
    """Sums of `tables` over `loci` of some rows. out: (n,)."""
    for i in range(len(rows)):
        total = 0
        for locus in loci:
            code = _entry(codes, 0, rows[i], locus, large_starts, large_rows, large_codes)
            total += tables[table_starts[locus] + code]
        out[i] = total


@kernel(numba.void(U32, OUT_U32, OUT_U32))
def sort_rows(codes: Words, starts: Words, rows: Words) -> None:
    """Rows by their entry, ascending within an entry.

    codes: (n_rows,) entries. starts: (n_entries + 1,) zeros, becomes the first place of each
    entry. rows: (n_rows,).
    """
    for code in codes:
        starts[code + 1] += 1
    for i in range(1, len(starts)):
        starts[i] += starts[i - 1]
    place = starts.copy()
    for row in range(len(codes)):
        code = codes[row]
        rows[place[code]] = row
        place[code] += 1


@kernel(numba.void(U16_2D, OUT_I64, OUT_I64))
def highest_codes(codes: Shorts, highest: Int64s, large: Int64s) -> None:
    """Raise `highest` to the highest code below `LARGE` of every column, and add the number of
    those that are `LARGE` to `large`, both (n_columns,)."""
    for row in range(len(codes)):
        for i in range(codes.shape[1]):
            code: Any = np.int64(codes[row, i])
            if code == LARGE:
                large[i] += 1
            elif code > highest[i]:
                highest[i] = code


@kernel(numba.int64(U32, U8, OUT_I64))
def new_entries(entries: Words, is_known: Bytes, new: Int64s) -> int:
    """Write every distinct entry that `is_known`, (n_entries,), does not say 1 of, in the order of
    their first appearance, and return how many there are."""
    is_listed = is_known.copy()
    count = 0
    for entry in entries:
        if not is_listed[entry]:
            is_listed[entry] = 1
            new[count] = entry
            count += 1
    return count


@kernel(numba.void(U64, U32, I64, OUT_U64))
def place_values(values: Longs, entries: Words, at: Int64s, out: Longs) -> None:
    """Write the value of each of some entries to its place in `out`."""
    for i in range(len(entries)):
        out[at[i]] = values[entries[i]]


@kernel(numba.int64(numba.types.Array(numba.int32, 1, "A", readonly=True), OUT_I32, OUT_I32))
def number_codes(codes: Int32s, numbers: Int32s, distinct: Int32s) -> int:
    """Number distinct codes in the order of their first appearance.

    codes: (n,). Writes the number of each, (n,), and the code of each number, and returns how many
    there are.
    """
    size = 1
    while size < 2 * len(codes):
        size *= 2
    slots = np.full(size, -1, dtype=np.int32)
    count = 0
    for i in range(len(codes)):
        at = mixed_bits(np.int64(codes[i])) & (size - 1)
        while slots[at] >= 0 and distinct[slots[at]] != codes[i]:
            at = (at + 1) & (size - 1)
        if slots[at] < 0:
            slots[at] = count
            distinct[count] = codes[i]
            count += 1
        numbers[i] = slots[at]
    return count
