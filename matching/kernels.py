"""What the kernels, hot loops over arrays of integer codes, have in common.

Shared terms. A *book* holds the distinct genotypes of one locus: genotype g presents the sorted
P group codes `groups[offsets[2g]:offsets[2g+1]]` at its first position and
`groups[offsets[2g+1]:offsets[2g+2]]` at its second (offsets int64, groups int32). Genotype
0 is "untyped". `linked[g]` (uint8) is 1 where a position is null: both sets are then the same set
and stand for one draw, since a null takes its partner's group (rule R3). Both sets are empty
where both positions are null.
`ABSENT_GENE` among the codes says that a copy of DRB3/4/5 is not there: it matches another absent
one, and there is nothing that the other person could lack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

ABSENT_GENE = -2
MISMATCH, POTENTIAL, MATCH = 0, 1, 2
# Columns of the output of `compare_genotypes`.
N_COMPARED = 8
COUNT_BEST, COUNT_WORST, GVH_BEST, GVH_WORST, HVG_BEST, HVG_WORST, DONOR_1, DONOR_2 = range(8)

F = TypeVar("F", bound=Callable[..., Any])


def kernel(signature: Any) -> Callable[[F], F]:
    """Compile for one signature, without the interpreter lock, and keep the result on disk."""
    compiled: Callable[[F], F] = numba.njit(signature, cache=True, nogil=True)
    return compiled
