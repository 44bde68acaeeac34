from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListReleasesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListReleasesResponse(_message.Message):
    __slots__ = ("provenance", "releases", "next_page_token")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    RELEASES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    releases: _containers.RepeatedCompositeFieldContainer[Release]
    next_page_token: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., releases: _Optional[_Iterable[_Union[Release, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class Release(_message.Message):
    __slots__ = ("name", "release", "n_alleles", "n_proteins", "in_use", "damaged")
    NAME_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    N_ALLELES_FIELD_NUMBER: _ClassVar[int]
    N_PROTEINS_FIELD_NUMBER: _ClassVar[int]
    IN_USE_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    name: str
    release: str
    n_alleles: int
    n_proteins: int
    in_use: bool
    damaged: bool
    def __init__(self, name: _Optional[str] = ..., release: _Optional[str] = ..., n_alleles: _Optional[int] = ..., n_proteins: _Optional[int] = ..., in_use: _Optional[bool] = ..., damaged: _Optional[bool] = ...) -> None: ...

class ReduceTypingRequest(_message.Message):
    __slots__ = ("typing", "level", "release", "strict")
    TYPING_FIELD_NUMBER: _ClassVar[int]
    LEVEL_FIELD_NUMBER: _ClassVar[int]
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    STRICT_FIELD_NUMBER: _ClassVar[int]
    typing: str
    level: str
    release: str
    strict: bool
    def __init__(self, typing: _Optional[str] = ..., level: _Optional[str] = ..., release: _Optional[str] = ..., strict: _Optional[bool] = ...) -> None: ...

class ReduceTypingResponse(_message.Message):
    __slots__ = ("provenance", "reduced")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    REDUCED_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    reduced: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., reduced: _Optional[str] = ...) -> None: ...
