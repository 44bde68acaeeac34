"""Named arrays in one file, read by memory map."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
ALIGNMENT = 64


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> dict[str, Any]:
    """Write arrays one after another; returns what `read_arrays` needs to find them."""
    found: dict[str, Any] = {}
    with path.open("wb") as file:
        for name, array in arrays.items():
            file.write(b"\0" * (-file.tell() % ALIGNMENT))
            found[name] = [array.dtype.str, list(array.shape), file.tell()]
            # Not by `tofile`, whose errors do not say that the disk is full.
            file.write(np.ascontiguousarray(array).data)
        # A file without a byte cannot be mapped.
        file.write(b"\0")
        return {"size": file.tell(), "arrays": found}


def read_arrays(path: Path, description: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of a file, memory-mapped and read-only.

    Raises `OSError`, and `ValueError`, `KeyError` or `TypeError` where file and description do not
    agree.
    """
    size = path.stat().st_size
    if size != description["size"]:
        raise ValueError(f"it has {size} bytes and not {description['size']}")
    with path.open("rb") as file:
        if hasattr(os, "posix_fadvise"):
            # All is checked next, and page by page a disk takes twice as long.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
        # A plain view: indexing a memmap object is slow.
        mapped = np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))
    arrays = {}
    for name, (dtype, shape, offset) in description["arrays"].items():
        kind = np.dtype(dtype)
        n_bytes = kind.itemsize * int(np.prod(shape, dtype=np.int64))
        if min(offset, *shape) < 0 or offset % ALIGNMENT or offset + n_bytes > size:
            raise ValueError(f"{name} does not lie in it")
        arrays[name] = mapped[offset : offset + n_bytes].view(kind).reshape(shape)
    return arrays
