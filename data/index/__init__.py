"""The searchable form of a registry on disk: memory-mapped columns, derived from the store.

Layout of the folder of an index, and of a segment, in docs/search.md.
"""

from data.index.columns import DonorColumns, WrittenDonors
from data.index.encoding import encode_donors
from data.index.filters import DonorFilter
from data.index.masses import MIXED, IndexMasses, Masses, MassSets, fill_masses, open_masses
from data.index.segments import DamagedIndexError
from data.index.stored import DonorSource, StoredIndex, open_index, state_name
from data.index.updating import Changed, completing, is_being_completed, update_index

__all__ = [
    "MIXED",
    "Changed",
    "DamagedIndexError",
    "DonorColumns",
    "DonorFilter",
    "DonorSource",
    "IndexMasses",
    "MassSets",
    "Masses",
    "StoredIndex",
    "WrittenDonors",
    "completing",
    "encode_donors",
    "fill_masses",
    "is_being_completed",
    "open_index",
    "open_masses",
    "state_name",
    "update_index",
]
