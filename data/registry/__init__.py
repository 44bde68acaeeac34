"""The registry of donors."""

from data.donor_files import AS_WRITTEN, BlankSecond, ReadingOptions, RecordReader
from data.registry.importing import MAX_DELETED_SHARE, ImportSummary, Mode
from data.registry.registry import ADD_OR_UPDATE, ImportRequest, Registry
from data.registry.store import Change, StoredDonors

__all__ = [
    "ADD_OR_UPDATE",
    "AS_WRITTEN",
    "MAX_DELETED_SHARE",
    "BlankSecond",
    "Change",
    "ImportRequest",
    "ImportSummary",
    "Mode",
    "ReadingOptions",
    "RecordReader",
    "Registry",
    "StoredDonors",
]
