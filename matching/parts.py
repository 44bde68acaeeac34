"""Work on many rows in parts, between which whoever waits for it can end it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

S = TypeVar("S", bound=np.generic)

# Rows that are worked on before it is asked whether anybody still waits.
ROWS_AT_ONCE = 100_000


def in_parts(n: int, between: Callable[[], object], size: int | None = None) -> Iterator[slice]:
    """Where parts of n rows are, in their order, of `ROWS_AT_ONCE` or `size` each.

    `between` is called before each; what it raises ends the work.

    >>> [(part.start, part.stop) for part in in_parts(5, lambda: None, 2)]
    [(0, 2), (2, 4), (4, 5)]
    """
    step = size or ROWS_AT_ONCE
    for begin in range(0, n, step):
        between()
        yield slice(begin, min(begin + step, n))


def joined(arrays: Sequence[npt.NDArray[S]], between: Callable[[], object]) -> npt.NDArray[S]:
    """Arrays of parts, one after another; there is at least one. `between`: see `in_parts`."""
    out = np.empty(sum(map(len, arrays)), dtype=arrays[0].dtype)
    end = 0
    for array in arrays:
        between()
        begin, end = end, end + len(array)
        out[begin:end] = array
    return out


def taken(
    values: npt.NDArray[S], at: npt.NDArray[np.int64], between: Callable[[], object]
) -> npt.NDArray[S]:
    """`values[at]`, in parts. `between`: see `in_parts`."""
    out = np.empty((len(at), *values.shape[1:]), dtype=values.dtype)
    for part in in_parts(len(at), between):
        out[part] = values[at[part]]
    return out
