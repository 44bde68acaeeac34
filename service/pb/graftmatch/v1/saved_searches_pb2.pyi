from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from service.pb.graftmatch.v1 import graftmatch_pb2 as _graftmatch_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class DifferenceKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIFFERENCE_KIND_UNSPECIFIED: _ClassVar[DifferenceKind]
    DIFFERENCE_KIND_NEW: _ClassVar[DifferenceKind]
    DIFFERENCE_KIND_CHANGED: _ClassVar[DifferenceKind]
    DIFFERENCE_KIND_GONE: _ClassVar[DifferenceKind]
DIFFERENCE_KIND_UNSPECIFIED: DifferenceKind
DIFFERENCE_KIND_NEW: DifferenceKind
DIFFERENCE_KIND_CHANGED: DifferenceKind
DIFFERENCE_KIND_GONE: DifferenceKind

class SavedSearch(_message.Message):
    __slots__ = ("name", "patient", "as_of", "provenance", "found", "with_antibodies")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    WITH_ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    name: str
    patient: str
    as_of: str
    provenance: _common_pb2.Provenance
    found: int
    with_antibodies: bool
    def __init__(self, name: _Optional[str] = ..., patient: _Optional[str] = ..., as_of: _Optional[str] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., found: _Optional[int] = ..., with_antibodies: _Optional[bool] = ...) -> None: ...

class CreateSavedSearchRequest(_message.Message):
    __slots__ = ("saved_search_id", "search")
    SAVED_SEARCH_ID_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    saved_search_id: str
    search: _graftmatch_pb2.SearchDonorsRequest
    def __init__(self, saved_search_id: _Optional[str] = ..., search: _Optional[_Union[_graftmatch_pb2.SearchDonorsRequest, _Mapping]] = ...) -> None: ...

class CreateSavedSearchResponse(_message.Message):
    __slots__ = ("saved_search", "notes")
    SAVED_SEARCH_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    saved_search: SavedSearch
    notes: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, saved_search: _Optional[_Union[SavedSearch, _Mapping]] = ..., notes: _Optional[_Iterable[str]] = ...) -> None: ...

class RunSavedSearchRequest(_message.Message):
    __slots__ = ("name", "as_of", "keep_last")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AS_OF_FIELD_NUMBER: _ClassVar[int]
    KEEP_LAST_FIELD_NUMBER: _ClassVar[int]
    name: str
    as_of: str
    keep_last: bool
    def __init__(self, name: _Optional[str] = ..., as_of: _Optional[str] = ..., keep_last: _Optional[bool] = ...) -> None: ...

class RunSavedSearchResponse(_message.Message):
    __slots__ = ("saved_search", "since", "new", "changed", "gone", "notes", "differences")
    SAVED_SEARCH_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    saved_search: SavedSearch
    since: str
    new: int
    changed: int
    gone: int
    notes: _containers.RepeatedScalarFieldContainer[str]
    differences: _containers.RepeatedCompositeFieldContainer[SearchDifference]
    def __init__(self, saved_search: _Optional[_Union[SavedSearch, _Mapping]] = ..., since: _Optional[str] = ..., new: _Optional[int] = ..., changed: _Optional[int] = ..., gone: _Optional[int] = ..., notes: _Optional[_Iterable[str]] = ..., differences: _Optional[_Iterable[_Union[SearchDifference, _Mapping]]] = ...) -> None: ...

class SearchDifference(_message.Message):
    __slots__ = ("donor", "kind", "rank", "reasons")
    DONOR_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    RANK_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    donor: str
    kind: DifferenceKind
    rank: int
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, donor: _Optional[str] = ..., kind: _Optional[_Union[DifferenceKind, str]] = ..., rank: _Optional[int] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class GetSavedSearchRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetSavedSearchResponse(_message.Message):
    __slots__ = ("saved_search",)
    SAVED_SEARCH_FIELD_NUMBER: _ClassVar[int]
    saved_search: SavedSearch
    def __init__(self, saved_search: _Optional[_Union[SavedSearch, _Mapping]] = ...) -> None: ...

class ListSavedSearchesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSavedSearchesResponse(_message.Message):
    __slots__ = ("saved_searches", "next_page_token")
    SAVED_SEARCHES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    saved_searches: _containers.RepeatedCompositeFieldContainer[SavedSearch]
    next_page_token: str
    def __init__(self, saved_searches: _Optional[_Iterable[_Union[SavedSearch, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class DeleteSavedSearchRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteSavedSearchResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
