"""The arrays that the kernels of this package share, and how they are compiled."""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from matching.array_types import array

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def _member(dtype: Any, ndim: int = 1) -> Any:
    """The type of an array in a tuple, where numba does not convert to read-only."""
    return array(dtype, ndim, readonly=False)


# numba has no types.
_tuple_type: Any = numba.types.NamedTuple


class EntryArrays(NamedTuple):
    """What every distinct typing of every locus admits.

    Entry e of locus l is number `base[l] + e`; it admits the names
    `names[starts[e]:starts[e + 1]]` of the set, ascending, sorted into `classes` by the positions
    that they explain. Classes c and d explain the typing together if bit d is set in
    `compatible[class_starts[e] + c]`.
    """

    base: Int64s
    starts: Int64s
    names: Int32s
    classes: Bytes
    class_starts: Int64s
    compatible: npt.NDArray[np.uint64]


ENTRY_ARRAYS = _tuple_type(
    [
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int32),
        _member(numba.uint8),
        _member(numba.int64),
        _member(numba.uint64),
    ],
    EntryArrays,
)


class RowArrays(NamedTuple):
    """The haplotypes, sorted by the loci of `order` (at least three).

    Rows whose names at the first two loci of it are i and j are
    `cells[i * n_names[1] + j]` up to the next; `present[present_starts[i]:]` lists the j of i.
    `columns` (n_loci, n_rows) uint16 names in that order, `n_names` (n_loci,) likewise.
    """

    order: Int64s
    n_names: Int64s
    cells: Int64s
    present_starts: Int64s
    present: Int32s
    columns: npt.NDArray[np.uint16]
    frequencies: Floats


ROW_ARRAYS = _tuple_type(
    [
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int32),
        _member(numba.uint16, 2),
        _member(numba.float64),
    ],
    RowArrays,
)


class NameArrays(NamedTuple):
    """The names of the set, locus after locus from `base[l]` (n_loci + 1,).

    `tokens`: what the match count compares, from 1. `nulls`: `NULL_NAME` where a null takes its
    partner's token, `ABSENT_NAME` where an absent gene does, else 0. The names of token t of
    locus l are `members[member_starts[token_base[l] + t]:]`, those with `nulls` of a locus
    `null_names[null_starts[l]:]`; both number names within their locus.
    """

    base: Int64s
    tokens: Int32s
    nulls: Bytes
    token_base: Int64s
    member_starts: Int64s
    members: Int32s
    null_starts: Int64s
    null_names: Int32s


NAME_ARRAYS = _tuple_type(
    [
        _member(numba.int64),
        _member(numba.int32),
        _member(numba.uint8),
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int32),
        _member(numba.int64),
        _member(numba.int32),
    ],
    NameArrays,
)


class MarginalArrays(NamedTuple):
    """The haplotypes found by their names at all loci, all but one, or all but two.

    Index s is by the names at every locus but `free[s]` (two loci, -1 for none). A haplotype's
    key is the sum of name times `strides[l]` over the others. `slots[slot_starts[s]:]` is an open
    hash table of positions in `keys`, -1 where empty; the haplotypes of key k, ascending by their
    names `first` and `second` at the free loci, are `row_starts[k]:row_starts[k + 1]`.
    """

    free: Int64s
    strides: Int64s
    slot_starts: Int64s
    slots: Int32s
    keys: Int64s
    row_starts: Int64s
    first: Int32s
    second: Int32s
    frequencies: Floats


MARGINAL_ARRAYS = _tuple_type(
    [
        _member(numba.int64, 2),
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int32),
        _member(numba.int64),
        _member(numba.int64),
        _member(numba.int32),
        _member(numba.int32),
        _member(numba.float64),
    ],
    MarginalArrays,
)
