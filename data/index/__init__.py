"""The searchable form of a registry on disk: memory-mapped columns, derived from the store.

Layout of the folder of an index, and of a segment, in docs/search.md.
"""

from data.index.filters import DonorFilter
from data.index.segments import DamagedIndexError
from data.index.stored import DonorSource, StoredIndex, open_index, update_index

__all__ = [
    "DamagedIndexError",
    "DonorFilter",
    "DonorSource",
    "StoredIndex",
    "open_index",
    "update_index",
]
