from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Dpb1Tce(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DPB1_TCE_UNSPECIFIED: _ClassVar[Dpb1Tce]
    DPB1_TCE_MATCH: _ClassVar[Dpb1Tce]
    DPB1_TCE_POTENTIAL_MATCH: _ClassVar[Dpb1Tce]
    DPB1_TCE_PERMISSIVE: _ClassVar[Dpb1Tce]
    DPB1_TCE_UNKNOWN: _ClassVar[Dpb1Tce]
    DPB1_TCE_UNTYPED: _ClassVar[Dpb1Tce]
    DPB1_TCE_GVH_NON_PERMISSIVE: _ClassVar[Dpb1Tce]
    DPB1_TCE_HVG_NON_PERMISSIVE: _ClassVar[Dpb1Tce]

class ProbabilityStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBABILITY_STATUS_UNSPECIFIED: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_COMPUTED: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_NOT_REQUESTED: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_NO_FREQUENCY_SET: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_PATIENT_UNREPRESENTED: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_DONOR_UNREPRESENTED: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_TOO_AMBIGUOUS: _ClassVar[ProbabilityStatus]
    PROBABILITY_STATUS_DONOR_CHANGED: _ClassVar[ProbabilityStatus]
DPB1_TCE_UNSPECIFIED: Dpb1Tce
DPB1_TCE_MATCH: Dpb1Tce
DPB1_TCE_POTENTIAL_MATCH: Dpb1Tce
DPB1_TCE_PERMISSIVE: Dpb1Tce
DPB1_TCE_UNKNOWN: Dpb1Tce
DPB1_TCE_UNTYPED: Dpb1Tce
DPB1_TCE_GVH_NON_PERMISSIVE: Dpb1Tce
DPB1_TCE_HVG_NON_PERMISSIVE: Dpb1Tce
PROBABILITY_STATUS_UNSPECIFIED: ProbabilityStatus
PROBABILITY_STATUS_COMPUTED: ProbabilityStatus
PROBABILITY_STATUS_NOT_REQUESTED: ProbabilityStatus
PROBABILITY_STATUS_NO_FREQUENCY_SET: ProbabilityStatus
PROBABILITY_STATUS_PATIENT_UNREPRESENTED: ProbabilityStatus
PROBABILITY_STATUS_DONOR_UNREPRESENTED: ProbabilityStatus
PROBABILITY_STATUS_TOO_AMBIGUOUS: ProbabilityStatus
PROBABILITY_STATUS_DONOR_CHANGED: ProbabilityStatus

class Provenance(_message.Message):
    __slots__ = ("release", "frequency_set", "model", "index")
    RELEASE_FIELD_NUMBER: _ClassVar[int]
    FREQUENCY_SET_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    release: str
    frequency_set: str
    model: str
    index: str
    def __init__(self, release: _Optional[str] = ..., frequency_set: _Optional[str] = ..., model: _Optional[str] = ..., index: _Optional[str] = ...) -> None: ...

class Range(_message.Message):
    __slots__ = ("best", "worst")
    BEST_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    best: int
    worst: int
    def __init__(self, best: _Optional[int] = ..., worst: _Optional[int] = ...) -> None: ...

class LocusComparison(_message.Message):
    __slots__ = ("locus", "matches", "gvh", "hvg", "positions")
    LOCUS_FIELD_NUMBER: _ClassVar[int]
    MATCHES_FIELD_NUMBER: _ClassVar[int]
    GVH_FIELD_NUMBER: _ClassVar[int]
    HVG_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    locus: str
    matches: Range
    gvh: Range
    hvg: Range
    positions: str
    def __init__(self, locus: _Optional[str] = ..., matches: _Optional[_Union[Range, _Mapping]] = ..., gvh: _Optional[_Union[Range, _Mapping]] = ..., hvg: _Optional[_Union[Range, _Mapping]] = ..., positions: _Optional[str] = ...) -> None: ...

class Comparison(_message.Message):
    __slots__ = ("mismatches", "gvh", "hvg", "loci", "dpb1_tce", "p10", "p9", "p8", "probability_status", "haplotypes")
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    GVH_FIELD_NUMBER: _ClassVar[int]
    HVG_FIELD_NUMBER: _ClassVar[int]
    LOCI_FIELD_NUMBER: _ClassVar[int]
    DPB1_TCE_FIELD_NUMBER: _ClassVar[int]
    P10_FIELD_NUMBER: _ClassVar[int]
    P9_FIELD_NUMBER: _ClassVar[int]
    P8_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_STATUS_FIELD_NUMBER: _ClassVar[int]
    HAPLOTYPES_FIELD_NUMBER: _ClassVar[int]
    mismatches: Range
    gvh: Range
    hvg: Range
    loci: _containers.RepeatedCompositeFieldContainer[LocusComparison]
    dpb1_tce: Dpb1Tce
    p10: float
    p9: float
    p8: float
    probability_status: ProbabilityStatus
    haplotypes: HaplotypeSharing
    def __init__(self, mismatches: _Optional[_Union[Range, _Mapping]] = ..., gvh: _Optional[_Union[Range, _Mapping]] = ..., hvg: _Optional[_Union[Range, _Mapping]] = ..., loci: _Optional[_Iterable[_Union[LocusComparison, _Mapping]]] = ..., dpb1_tce: _Optional[_Union[Dpb1Tce, str]] = ..., p10: _Optional[float] = ..., p9: _Optional[float] = ..., p8: _Optional[float] = ..., probability_status: _Optional[_Union[ProbabilityStatus, str]] = ..., haplotypes: _Optional[_Union[HaplotypeSharing, _Mapping]] = ...) -> None: ...

class HaplotypeSharing(_message.Message):
    __slots__ = ("p0", "p1", "p2")
    P0_FIELD_NUMBER: _ClassVar[int]
    P1_FIELD_NUMBER: _ClassVar[int]
    P2_FIELD_NUMBER: _ClassVar[int]
    p0: float
    p1: float
    p2: float
    def __init__(self, p0: _Optional[float] = ..., p1: _Optional[float] = ..., p2: _Optional[float] = ...) -> None: ...
