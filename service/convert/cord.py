"""Cord blood units as messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from service.pb.graftmatch.v1 import cord_pb2


def cord_unit(cells: Mapping[str, npt.NDArray[np.float64]], i: int, nima: str) -> cord_pb2.CordUnit:
    """One of some units. `cells`: as `service.cord.cells_of` gives them."""
    known = {name: column[i] for name, column in cells.items() if not np.isnan(column[i])}
    return cord_pb2.CordUnit(**known, nima=nima)


def cord_columns(
    cells: Mapping[str, npt.NDArray[np.float64]], nima: Sequence[str]
) -> cord_pb2.CordColumns:
    """Some donors. `nima`: a text each, or none at all."""
    columns = {name: column.tolist() for name, column in cells.items()}
    return cord_pb2.CordColumns(**columns, nima=nima)
