"""The numba types of the arrays that kernels take and return, all C-contiguous.

Inputs are read-only, as a memory map gives them; a kernel writes to those called `OUT_...` or
returns them.
"""

from __future__ import annotations

from typing import Any

import numba


def array(dtype: Any, ndim: int = 1, readonly: bool = True) -> Any:
    """The type of an array argument."""
    return numba.types.Array(dtype, ndim, "C", readonly=readonly)


U8, U8_2D = array(numba.uint8), array(numba.uint8, 2)
U16, U16_2D = array(numba.uint16), array(numba.uint16, 2)
U32, U64, U64_2D = array(numba.uint32), array(numba.uint64), array(numba.uint64, 2)
I8_2D = array(numba.int8, 2)
I16 = array(numba.int16)
I32, I32_2D, I32_3D = (array(numba.int32, ndim) for ndim in (1, 2, 3))
I64, I64_2D = array(numba.int64), array(numba.int64, 2)
F64, F64_2D = array(numba.float64), array(numba.float64, 2)

OUT_U8, OUT_U8_2D = (array(numba.uint8, ndim, readonly=False) for ndim in (1, 2))
OUT_U16 = array(numba.uint16, readonly=False)
OUT_U32 = array(numba.uint32, readonly=False)
OUT_U64 = array(numba.uint64, readonly=False)
OUT_I32, OUT_I32_2D = (array(numba.int32, ndim, readonly=False) for ndim in (1, 2))
OUT_I64, OUT_I64_2D = (array(numba.int64, ndim, readonly=False) for ndim in (1, 2))
OUT_F64, OUT_F64_2D, OUT_F64_3D = (array(numba.float64, ndim, readonly=False) for ndim in (1, 2, 3))
