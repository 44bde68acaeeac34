from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CandidateColumns(_message.Message):
    __slots__ = ("first_rank", "donors", "mismatches_best", "mismatches_worst", "gvh_best", "gvh_worst", "hvg_best", "hvg_worst", "loci", "dpb1_tce", "p10", "p9", "p8", "probability_status", "age_years", "weight_kg", "facts", "rank_values", "ranked_below_previous_for")
    FIRST_RANK_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_BEST_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_WORST_FIELD_NUMBER: _ClassVar[int]
    GVH_BEST_FIELD_NUMBER: _ClassVar[int]
    GVH_WORST_FIELD_NUMBER: _ClassVar[int]
    HVG_BEST_FIELD_NUMBER: _ClassVar[int]
    HVG_WORST_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    DPB1_TCE_FIELD_NUMBER: _ClassVar[int]
    P10_FIELD_NUMBER: _ClassVar[int]
    P9_FIELD_NUMBER: _ClassVar[int]
    P8_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_STATUS_FIELD_NUMBER: _ClassVar[int]
    AGE_YEARS_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_KG_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    RANK_VALUES_FIELD_NUMBER: _ClassVar[int]
    RANKED_BELOW_PREVIOUS_FOR_FIELD_NUMBER: _ClassVar[int]
    first_rank: int
    donors: _containers.RepeatedScalarFieldContainer[str]
    mismatches_best: bytes
    mismatches_worst: bytes
    gvh_best: bytes
    gvh_worst: bytes
    hvg_best: bytes
    hvg_worst: bytes
    loci: _containers.RepeatedCompositeFieldContainer[LocusColumns]
    dpb1_tce: _containers.RepeatedScalarFieldContainer[_common_pb2.Dpb1Tce]
    p10: _containers.RepeatedScalarFieldContainer[float]
    p9: _containers.RepeatedScalarFieldContainer[float]
    p8: _containers.RepeatedScalarFieldContainer[float]
    probability_status: _containers.RepeatedScalarFieldContainer[_common_pb2.ProbabilityStatus]
    age_years: _containers.RepeatedScalarFieldContainer[float]
    weight_kg: _containers.RepeatedScalarFieldContainer[float]
    facts: _containers.RepeatedCompositeFieldContainer[TextColumn]
    rank_values: _containers.RepeatedCompositeFieldContainer[TextColumn]
    ranked_below_previous_for: TextColumn
    def __init__(self, first_rank: _Optional[int] = ..., donors: _Optional[_Iterable[str]] = ..., mismatches_best: _Optional[bytes] = ..., mismatches_worst: _Optional[bytes] = ..., gvh_best: _Optional[bytes] = ..., gvh_worst: _Optional[bytes] = ..., hvg_best: _Optional[bytes] = ..., hvg_worst: _Optional[bytes] = ..., loci: _Optional[_Iterable[_Union[LocusColumns, _Mapping]]] = ..., dpb1_tce: _Optional[_Iterable[_Union[_common_pb2.Dpb1Tce, str]]] = ..., p10: _Optional[_Iterable[float]] = ..., p9: _Optional[_Iterable[float]] = ..., p8: _Optional[_Iterable[float]] = ..., probability_status: _Optional[_Iterable[_Union[_common_pb2.ProbabilityStatus, str]]] = ..., age_years: _Optional[_Iterable[float]] = ..., weight_kg: _Optional[_Iterable[float]] = ..., facts: _Optional[_Iterable[_Union[TextColumn, _Mapping]]] = ..., rank_values: _Optional[_Iterable[_Union[TextColumn, _Mapping]]] = ..., ranked_below_previous_for: _Optional[_Union[TextColumn, _Mapping]] = ...) -> None: ...

class LocusColumns(_message.Message):
    __slots__ = ("locus", "matches_best", "matches_worst", "gvh_best", "gvh_worst", "hvg_best", "hvg_worst", "position_1", "position_2")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    MATCHES_BEST_FIELD_NUMBER: _ClassVar[int]
    MATCHES_WORST_FIELD_NUMBER: _ClassVar[int]
    GVH_BEST_FIELD_NUMBER: _ClassVar[int]
    GVH_WORST_FIELD_NUMBER: _ClassVar[int]
    HVG_BEST_FIELD_NUMBER: _ClassVar[int]
    HVG_WORST_FIELD_NUMBER: _ClassVar[int]
    POSITION_1_FIELD_NUMBER: _ClassVar[int]
    POSITION_2_FIELD_NUMBER: _ClassVar[int]
    locus: str
    matches_best: bytes
    matches_worst: bytes
    gvh_best: bytes
    gvh_worst: bytes
    hvg_best: bytes
    hvg_worst: bytes
    position_1: bytes
    position_2: bytes
    def __init__(self, locus: _Optional[str] = ..., matches_best: _Optional[bytes] = ..., matches_worst: _Optional[bytes] = ..., gvh_best: _Optional[bytes] = ..., gvh_worst: _Optional[bytes] = ..., hvg_best: _Optional[bytes] = ..., hvg_worst: _Optional[bytes] = ..., position_1: _Optional[bytes] = ..., position_2: _Optional[bytes] = ...) -> None: ...

class TextColumn(_message.Message):
    __slots__ = ("name", "values", "codes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    CODES_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: _containers.RepeatedScalarFieldContainer[str]
    codes: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, name: _Optional[str] = ..., values: _Optional[_Iterable[str]] = ..., codes: _Optional[_Iterable[int]] = ...) -> None: ...
