from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NullImputation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NULL_IMPUTATION_UNSPECIFIED: _ClassVar[NullImputation]
    NULL_IMPUTATION_TYPED: _ClassVar[NullImputation]
    NULL_IMPUTATION_PARTNER: _ClassVar[NullImputation]
NULL_IMPUTATION_UNSPECIFIED: NullImputation
NULL_IMPUTATION_TYPED: NullImputation
NULL_IMPUTATION_PARTNER: NullImputation

class PredictMatchRequest(_message.Message):
    __slots__ = ("patient", "donors", "null_imputation", "recombine")
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    NULL_IMPUTATION_FIELD_NUMBER: _ClassVar[int]
    RECOMBINE_FIELD_NUMBER: _ClassVar[int]
    patient: TypedPerson
    donors: _containers.RepeatedCompositeFieldContainer[TypedPerson]
    null_imputation: NullImputation
    recombine: bool
    def __init__(self, patient: _Optional[_Union[TypedPerson, _Mapping]] = ..., donors: _Optional[_Iterable[_Union[TypedPerson, _Mapping]]] = ..., null_imputation: _Optional[_Union[NullImputation, str]] = ..., recombine: _Optional[bool] = ...) -> None: ...

class TypedPerson(_message.Message):
    __slots__ = ("typing", "ancestry", "registry")
    TYPING_FIELD_NUMBER: _ClassVar[int]
    ANCESTRY_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    typing: str
    ancestry: str
    registry: str
    def __init__(self, typing: _Optional[str] = ..., ancestry: _Optional[str] = ..., registry: _Optional[str] = ...) -> None: ...

class PredictMatchResponse(_message.Message):
    __slots__ = ("provenance", "predictions", "patient_recombined")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    PREDICTIONS_FIELD_NUMBER: _ClassVar[int]
    PATIENT_RECOMBINED_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    predictions: _containers.RepeatedCompositeFieldContainer[MatchPrediction]
    patient_recombined: str
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., predictions: _Optional[_Iterable[_Union[MatchPrediction, _Mapping]]] = ..., patient_recombined: _Optional[str] = ...) -> None: ...

class MatchPrediction(_message.Message):
    __slots__ = ("status", "mismatches", "gvh", "hvg", "loci", "dropped", "donor_recombined", "problem")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    GVH_FIELD_NUMBER: _ClassVar[int]
    HVG_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    DONOR_RECOMBINED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    status: _common_pb2.ProbabilityStatus
    mismatches: _containers.RepeatedScalarFieldContainer[float]
    gvh: _containers.RepeatedScalarFieldContainer[float]
    hvg: _containers.RepeatedScalarFieldContainer[float]
    loci: _containers.RepeatedCompositeFieldContainer[LocusPrediction]
    dropped: float
    donor_recombined: str
    problem: str
    def __init__(self, status: _Optional[_Union[_common_pb2.ProbabilityStatus, str]] = ..., mismatches: _Optional[_Iterable[float]] = ..., gvh: _Optional[_Iterable[float]] = ..., hvg: _Optional[_Iterable[float]] = ..., loci: _Optional[_Iterable[_Union[LocusPrediction, _Mapping]]] = ..., dropped: _Optional[float] = ..., donor_recombined: _Optional[str] = ..., problem: _Optional[str] = ...) -> None: ...

class LocusPrediction(_message.Message):
    __slots__ = ("locus", "matches")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    locus: str
    matches: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, locus: _Optional[str] = ..., matches: _Optional[_Iterable[float]] = ...) -> None: ...
