from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListRiskModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListRiskModelsResponse(_message.Message):
    __slots__ = ("provenance", "models", "next_page_token")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    models: _containers.RepeatedCompositeFieldContainer[RiskModel]
    next_page_token: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., models: _Optional[_Iterable[_Union[RiskModel, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetRiskModelRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetRiskModelResponse(_message.Message):
    __slots__ = ("provenance", "model", "card")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    CARD_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    model: RiskModel
    card: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., model: _Optional[_Union[RiskModel, _Mapping]] = ..., card: _Optional[str] = ...) -> None: ...

class RiskModel(_message.Message):
    __slots__ = ("name", "display_name", "sha256", "kind", "trained_on", "outcomes", "in_use", "damaged")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TRAINED_ON_FIELD_NUMBER: _ClassVar[int]
    OUTCOMES_FIELD_NUMBER: _ClassVar[int]
    IN_USE_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_FIELD_NUMBER: _ClassVar[int]
    name: str
    display_name: str
    sha256: str
    kind: str
    trained_on: str
    outcomes: _containers.RepeatedCompositeFieldContainer[ModelOutcome]
    in_use: bool
    damaged: bool
    def __init__(self, name: _Optional[str] = ..., display_name: _Optional[str] = ..., sha256: _Optional[str] = ..., kind: _Optional[str] = ..., trained_on: _Optional[str] = ..., outcomes: _Optional[_Iterable[_Union[ModelOutcome, _Mapping]]] = ..., in_use: _Optional[bool] = ..., damaged: _Optional[bool] = ...) -> None: ...

class ModelOutcome(_message.Message):
    __slots__ = ("outcome", "horizon_days", "factors")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    HORIZON_DAYS_FIELD_NUMBER: _ClassVar[int]
    FACTORS_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    horizon_days: float
    factors: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, outcome: _Optional[str] = ..., horizon_days: _Optional[float] = ..., factors: _Optional[_Iterable[str]] = ...) -> None: ...
