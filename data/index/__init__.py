"""The searchable form of a registry on disk: memory-mapped columns, derived from the store.

Layout of the folder of an index, and of a segment, in docs/search.md.
"""

from data.index.filters import DonorFilter
from data.index.masses import IndexMasses, Masses, fill_masses, has_masses, open_masses
from data.index.segments import DamagedIndexError
from data.index.stored import (
    DonorSource,
    StoredIndex,
    open_index,
    state_name,
    update_index,
)

__all__ = [
    "DamagedIndexError",
    "DonorFilter",
    "DonorSource",
    "IndexMasses",
    "Masses",
    "StoredIndex",
    "fill_masses",
    "has_masses",
    "open_index",
    "open_masses",
    "state_name",
    "update_index",
]
