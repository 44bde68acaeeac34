import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from service.pb.graftmatch.v1 import graftmatch_pb2 as _graftmatch_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ImportMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    IMPORT_MODE_UNSPECIFIED: _ClassVar[ImportMode]
    IMPORT_MODE_DIFF: _ClassVar[ImportMode]
    IMPORT_MODE_FULL: _ClassVar[ImportMode]
    IMPORT_MODE_CHECK: _ClassVar[ImportMode]
IMPORT_MODE_UNSPECIFIED: ImportMode
IMPORT_MODE_DIFF: ImportMode
IMPORT_MODE_FULL: ImportMode
IMPORT_MODE_CHECK: ImportMode

class ImportDonorsRequest(_message.Message):
    __slots__ = ("options", "data")
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    options: ImportOptions
    data: bytes
    def __init__(self, options: _Optional[_Union[ImportOptions, _Mapping]] = ..., data: _Optional[bytes] = ...) -> None: ...

class ImportOptions(_message.Message):
    __slots__ = ("mode", "validate_only", "allow_deletions", "release", "strict", "blank_second_homozygous", "request_id")
    MODE_FIELD_NUMBER: _ClassVar[int]
    VALIDATE_ONLY_FIELD_NUMBER: _ClassVar[int]
    ALLOW_DELETIONS_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    BLANK_SECOND_HOMOZYGOUS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    mode: ImportMode
    validate_only: bool
    allow_deletions: bool
    release: str
    strict: bool
    blank_second_homozygous: bool
    request_id: str
    def __init__(self, mode: _Optional[_Union[ImportMode, str]] = ..., validate_only: _Optional[bool] = ..., allow_deletions: _Optional[bool] = ..., release: _Optional[str] = ..., strict: _Optional[bool] = ..., blank_second_homozygous: _Optional[bool] = ..., request_id: _Optional[str] = ...) -> None: ...

class ImportDonorsResponse(_message.Message):
    __slots__ = ("provenance", "read", "new", "updated", "unchanged", "deleted", "rejected", "older", "absent", "disagreeing", "revision", "rejects", "differences", "notes", "ignored")
    class IgnoredEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    READ_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    UPDATED_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    DELETED_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    OLDER_FIELD_NUMBER: _ClassVar[int]
    ABSENT_FIELD_NUMBER: _ClassVar[int]
    DISAGREEING_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REJECTS_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    IGNORED_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    read: int
    new: int
    updated: int
    unchanged: int
    deleted: int
    rejected: int
    older: int
    absent: int
    disagreeing: int
    revision: int
    rejects: _containers.RepeatedCompositeFieldContainer[RejectedRecord]
    differences: _containers.RepeatedCompositeFieldContainer[DonorDifference]
    notes: _containers.RepeatedScalarFieldContainer[str]
    ignored: _containers.ScalarMap[str, int]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., read: _Optional[int] = ..., new: _Optional[int] = ..., updated: _Optional[int] = ..., unchanged: _Optional[int] = ..., deleted: _Optional[int] = ..., rejected: _Optional[int] = ..., older: _Optional[int] = ..., absent: _Optional[int] = ..., disagreeing: _Optional[int] = ..., revision: _Optional[int] = ..., rejects: _Optional[_Iterable[_Union[RejectedRecord, _Mapping]]] = ..., differences: _Optional[_Iterable[_Union[DonorDifference, _Mapping]]] = ..., notes: _Optional[_Iterable[str]] = ..., ignored: _Optional[_Mapping[str, int]] = ...) -> None: ...

class RejectedRecord(_message.Message):
    __slots__ = ("record", "donor", "reason")
    RECORD_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    record: int
    donor: str
    reason: str
    def __init__(self, record: _Optional[int] = ..., donor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class DonorDifference(_message.Message):
    __slots__ = ("donor", "difference", "fields")
    DONOR_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    donor: str
    difference: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, donor: _Optional[str] = ..., difference: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class Donor(_message.Message):
    __slots__ = ("name", "identifier", "facts", "grid", "status", "tnc_1e7", "cd34_1e6", "volume_ml", "mother_typing", "typing_date", "typing", "typing_release", "reported_time", "added_revision", "revision")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    GRID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TNC_1E7_FIELD_NUMBER: _ClassVar[int]
    CD34_1E6_FIELD_NUMBER: _ClassVar[int]
    VOLUME_ML_FIELD_NUMBER: _ClassVar[int]
    MOTHER_TYPING_FIELD_NUMBER: _ClassVar[int]
    TYPING_DATE_FIELD_NUMBER: _ClassVar[int]
    TYPING_FIELD_NUMBER: _ClassVar[int]
    TYPING_RELEASE_FIELD_NUMBER: _ClassVar[int]
    REPORTED_TIME_FIELD_NUMBER: _ClassVar[int]
    ADDED_REVISION_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    name: str
    identifier: str
    facts: _graftmatch_pb2.DonorFacts
    grid: str
    status: str
    tnc_1e7: float
    cd34_1e6: float
    volume_ml: float
    mother_typing: str
    typing_date: str
    typing: str
    typing_release: str
    reported_time: _timestamp_pb2.Timestamp
    added_revision: int
    revision: int
    def __init__(self, name: _Optional[str] = ..., identifier: _Optional[str] = ..., facts: _Optional[_Union[_graftmatch_pb2.DonorFacts, _Mapping]] = ..., grid: _Optional[str] = ..., status: _Optional[str] = ..., tnc_1e7: _Optional[float] = ..., cd34_1e6: _Optional[float] = ..., volume_ml: _Optional[float] = ..., mother_typing: _Optional[str] = ..., typing_date: _Optional[str] = ..., typing: _Optional[str] = ..., typing_release: _Optional[str] = ..., reported_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., added_revision: _Optional[int] = ..., revision: _Optional[int] = ...) -> None: ...

class DonorChange(_message.Message):
    __slots__ = ("kind", "revision", "reported_time", "import_time", "file", "former")
    KIND_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    REPORTED_TIME_FIELD_NUMBER: _ClassVar[int]
    IMPORT_TIME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FORMER_FIELD_NUMBER: _ClassVar[int]
    kind: str
    revision: int
    reported_time: _timestamp_pb2.Timestamp
    import_time: _timestamp_pb2.Timestamp
    file: str
    former: Donor
    def __init__(self, kind: _Optional[str] = ..., revision: _Optional[int] = ..., reported_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., import_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., file: _Optional[str] = ..., former: _Optional[_Union[Donor, _Mapping]] = ...) -> None: ...

class GetDonorRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetDonorResponse(_message.Message):
    __slots__ = ("provenance", "donor", "history")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    DONOR_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    donor: Donor
    history: _containers.RepeatedCompositeFieldContainer[DonorChange]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., donor: _Optional[_Union[Donor, _Mapping]] = ..., history: _Optional[_Iterable[_Union[DonorChange, _Mapping]]] = ...) -> None: ...

class ListDonorsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListDonorsResponse(_message.Message):
    __slots__ = ("provenance", "donors", "next_page_token")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    donors: _containers.RepeatedCompositeFieldContainer[Donor]
    next_page_token: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., donors: _Optional[_Iterable[_Union[Donor, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteDonorRequest(_message.Message):
    __slots__ = ("name", "request_id")
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    name: str
    request_id: str
    def __init__(self, name: _Optional[str] = ..., request_id: _Optional[str] = ...) -> None: ...

class DeleteDonorResponse(_message.Message):
    __slots__ = ("provenance", "revision")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    revision: int
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., revision: _Optional[int] = ...) -> None: ...

class GetStatisticsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatisticsResponse(_message.Message):
    __slots__ = ("provenance", "stored", "by_type", "by_status", "by_registry", "revision", "index_revision", "searchable", "unreadable", "missing_masses")
    class ByTypeEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ByStatusEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    class ByRegistryEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    STORED_FIELD_NUMBER: _ClassVar[int]
    BY_TYPE_FIELD_NUMBER: _ClassVar[int]
    BY_STATUS_FIELD_NUMBER: _ClassVar[int]
    BY_REGISTRY_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    INDEX_REVISION_FIELD_NUMBER: _ClassVar[int]
    SEARCHABLE_FIELD_NUMBER: _ClassVar[int]
    UNREADABLE_FIELD_NUMBER: _ClassVar[int]
    MISSING_MASSES_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    stored: int
    by_type: _containers.ScalarMap[str, int]
    by_status: _containers.ScalarMap[str, int]
    by_registry: _containers.ScalarMap[str, int]
    revision: int
    index_revision: int
    searchable: int
    unreadable: int
    missing_masses: int
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., stored: _Optional[int] = ..., by_type: _Optional[_Mapping[str, int]] = ..., by_status: _Optional[_Mapping[str, int]] = ..., by_registry: _Optional[_Mapping[str, int]] = ..., revision: _Optional[int] = ..., index_revision: _Optional[int] = ..., searchable: _Optional[int] = ..., unreadable: _Optional[int] = ..., missing_masses: _Optional[int] = ...) -> None: ...
