from service.pb.graftmatch.v1 import antibodies_pb2 as _antibodies_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CordRule(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CORD_RULE_UNSPECIFIED: _ClassVar[CordRule]
    CORD_RULE_SIX: _ClassVar[CordRule]
    CORD_RULE_EIGHT: _ClassVar[CordRule]
CORD_RULE_UNSPECIFIED: CordRule
CORD_RULE_SIX: CordRule
CORD_RULE_EIGHT: CordRule

class CordSearch(_message.Message):
    __slots__ = ("rule", "max_mismatches")
    RULE_FIELD_NUMBER: _ClassVar[int]
    MAX_MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    rule: CordRule
    max_mismatches: int
    def __init__(self, rule: _Optional[_Union[CordRule, str]] = ..., max_mismatches: _Optional[int] = ...) -> None: ...

class CordUnit(_message.Message):
    __slots__ = ("tnc_1e7", "cd34_1e6", "tnc_1e7_per_kg", "cd34_1e6_per_kg", "nima")
    TNC_1E7_FIELD_NUMBER: _ClassVar[int]
    CD34_1E6_FIELD_NUMBER: _ClassVar[int]
    TNC_1E7_PER_KG_FIELD_NUMBER: _ClassVar[int]
    CD34_1E6_PER_KG_FIELD_NUMBER: _ClassVar[int]
    NIMA_FIELD_NUMBER: _ClassVar[int]
    tnc_1e7: float
    cd34_1e6: float
    tnc_1e7_per_kg: float
    cd34_1e6_per_kg: float
    nima: str
    def __init__(self, tnc_1e7: _Optional[float] = ..., cd34_1e6: _Optional[float] = ..., tnc_1e7_per_kg: _Optional[float] = ..., cd34_1e6_per_kg: _Optional[float] = ..., nima: _Optional[str] = ...) -> None: ...

class CordColumns(_message.Message):
    __slots__ = ("tnc_1e7", "cd34_1e6", "tnc_1e7_per_kg", "cd34_1e6_per_kg", "nima")
    TNC_1E7_FIELD_NUMBER: _ClassVar[int]
    CD34_1E6_FIELD_NUMBER: _ClassVar[int]
    TNC_1E7_PER_KG_FIELD_NUMBER: _ClassVar[int]
    CD34_1E6_PER_KG_FIELD_NUMBER: _ClassVar[int]
    NIMA_FIELD_NUMBER: _ClassVar[int]
    tnc_1e7: _containers.RepeatedScalarFieldContainer[float]
    cd34_1e6: _containers.RepeatedScalarFieldContainer[float]
    tnc_1e7_per_kg: _containers.RepeatedScalarFieldContainer[float]
    cd34_1e6_per_kg: _containers.RepeatedScalarFieldContainer[float]
    nima: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, tnc_1e7: _Optional[_Iterable[float]] = ..., cd34_1e6: _Optional[_Iterable[float]] = ..., tnc_1e7_per_kg: _Optional[_Iterable[float]] = ..., cd34_1e6_per_kg: _Optional[_Iterable[float]] = ..., nima: _Optional[_Iterable[str]] = ...) -> None: ...

class UnitPairRule(_message.Message):
    __slots__ = ("max_mismatches_between", "min_tnc_1e7_per_kg", "min_unit_tnc_1e7_per_kg", "min_cd34_1e6_per_kg", "min_unit_cd34_1e6_per_kg")
    MAX_MISMATCHES_BETWEEN_FIELD_NUMBER: _ClassVar[int]
    MIN_TNC_1E7_PER_KG_FIELD_NUMBER: _ClassVar[int]
    MIN_UNIT_TNC_1E7_PER_KG_FIELD_NUMBER: _ClassVar[int]
    MIN_CD34_1E6_PER_KG_FIELD_NUMBER: _ClassVar[int]
    MIN_UNIT_CD34_1E6_PER_KG_FIELD_NUMBER: _ClassVar[int]
    max_mismatches_between: int
    min_tnc_1e7_per_kg: float
    min_unit_tnc_1e7_per_kg: float
    min_cd34_1e6_per_kg: float
    min_unit_cd34_1e6_per_kg: float
    def __init__(self, max_mismatches_between: _Optional[int] = ..., min_tnc_1e7_per_kg: _Optional[float] = ..., min_unit_tnc_1e7_per_kg: _Optional[float] = ..., min_cd34_1e6_per_kg: _Optional[float] = ..., min_unit_cd34_1e6_per_kg: _Optional[float] = ...) -> None: ...

class UnitPair(_message.Message):
    __slots__ = ("rank", "units", "mismatches_between", "tnc_1e7_per_kg", "cd34_1e6_per_kg", "ranked_below_previous_for", "crossmatch_answer")
    RANK_FIELD_NUMBER: _ClassVar[int]
    UNITS_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_BETWEEN_FIELD_NUMBER: _ClassVar[int]
    TNC_1E7_PER_KG_FIELD_NUMBER: _ClassVar[int]
    CD34_1E6_PER_KG_FIELD_NUMBER: _ClassVar[int]
    RANKED_BELOW_PREVIOUS_FOR_FIELD_NUMBER: _ClassVar[int]
    CROSSMATCH_ANSWER_FIELD_NUMBER: _ClassVar[int]
    rank: int
    units: _containers.RepeatedCompositeFieldContainer[PairedUnit]
    mismatches_between: int
    tnc_1e7_per_kg: float
    cd34_1e6_per_kg: float
    ranked_below_previous_for: str
    crossmatch_answer: _antibodies_pb2.CrossmatchAnswer
    def __init__(self, rank: _Optional[int] = ..., units: _Optional[_Iterable[_Union[PairedUnit, _Mapping]]] = ..., mismatches_between: _Optional[int] = ..., tnc_1e7_per_kg: _Optional[float] = ..., cd34_1e6_per_kg: _Optional[float] = ..., ranked_below_previous_for: _Optional[str] = ..., crossmatch_answer: _Optional[_Union[_antibodies_pb2.CrossmatchAnswer, str]] = ...) -> None: ...

class PairedUnit(_message.Message):
    __slots__ = ("donor", "mismatches", "unit", "crossmatch", "kept_for")
    DONOR_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    CROSSMATCH_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    donor: str
    mismatches: int
    unit: CordUnit
    crossmatch: _antibodies_pb2.Crossmatch
    kept_for: str
    def __init__(self, donor: _Optional[str] = ..., mismatches: _Optional[int] = ..., unit: _Optional[_Union[CordUnit, _Mapping]] = ..., crossmatch: _Optional[_Union[_antibodies_pb2.Crossmatch, _Mapping]] = ..., kept_for: _Optional[str] = ...) -> None: ...
