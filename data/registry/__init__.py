"""The registry of donors."""

from data.donor_files import AS_WRITTEN, BlankSecond, ReadingOptions, RecordReader
from data.registry.importing import ImportSummary, Mode
from data.registry.registry import ADD_OR_UPDATE, ImportRequest, Registry
from data.registry.store import Change, StoredDonors

__all__ = [
    "ADD_OR_UPDATE",
    "AS_WRITTEN",
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
