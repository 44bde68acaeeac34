"""Files of donors or patients -> checked records."""

from data.donor_files.batches import PeopleFile
from data.donor_files.coded import Coded
from data.donor_files.columns import (
    CHANGES,
    COLUMNS,
    DEFAULTS,
    FACTS,
    INDEXED,
    INDEXED_FACTS,
    LOCUS_COLUMNS,
    NUMBERS,
    Person,
    age_on,
    time_text,
)
from data.donor_files.reader import (
    AS_WRITTEN,
    CONTENT,
    BlankSecond,
    CheckedBatch,
    ReadingOptions,
    RecordReader,
)
from data.donor_files.rejects import Reject, Rejects, duplicate
from data.donor_files.typing_columns import TYPING, written_of

__all__ = [
    "AS_WRITTEN",
    "CHANGES",
    "COLUMNS",
    "CONTENT",
    "DEFAULTS",
    "FACTS",
    "INDEXED",
    "INDEXED_FACTS",
    "LOCUS_COLUMNS",
    "NUMBERS",
    "TYPING",
    "BlankSecond",
    "CheckedBatch",
    "Coded",
    "PeopleFile",
    "Person",
    "ReadingOptions",
    "RecordReader",
    "Reject",
    "Rejects",
    "age_on",
    "duplicate",
    "time_text",
    "written_of",
]
