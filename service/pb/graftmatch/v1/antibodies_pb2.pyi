from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from service.pb.graftmatch.v1 import prediction_pb2 as _prediction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CrossmatchAnswer(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CROSSMATCH_ANSWER_UNSPECIFIED: _ClassVar[CrossmatchAnswer]
    CROSSMATCH_ANSWER_NEGATIVE: _ClassVar[CrossmatchAnswer]
    CROSSMATCH_ANSWER_NOT_ASSESSABLE: _ClassVar[CrossmatchAnswer]
    CROSSMATCH_ANSWER_POSITIVE: _ClassVar[CrossmatchAnswer]
CROSSMATCH_ANSWER_UNSPECIFIED: CrossmatchAnswer
CROSSMATCH_ANSWER_NEGATIVE: CrossmatchAnswer
CROSSMATCH_ANSWER_NOT_ASSESSABLE: CrossmatchAnswer
CROSSMATCH_ANSWER_POSITIVE: CrossmatchAnswer

class AntibodyReport(_message.Message):
    __slots__ = ("beads", "unacceptable", "mfi_cut_off", "cumulative_mfi_cut_off")
    BEADS_FIELD_NUMBER: _ClassVar[int]
    UNACCEPTABLE_FIELD_NUMBER: _ClassVar[int]
    MFI_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    beads: _containers.RepeatedCompositeFieldContainer[AntibodyBead]
    unacceptable: _containers.RepeatedScalarFieldContainer[str]
    mfi_cut_off: float
    cumulative_mfi_cut_off: float
    def __init__(self, beads: _Optional[_Iterable[_Union[AntibodyBead, _Mapping]]] = ..., unacceptable: _Optional[_Iterable[str]] = ..., mfi_cut_off: _Optional[float] = ..., cumulative_mfi_cut_off: _Optional[float] = ...) -> None: ...

class AntibodyBead(_message.Message):
    __slots__ = ("antigen_or_allele", "partner_chain", "mfi", "date", "kit", "result")
    ANTIGEN_OR_ALLELE_FIELD_NUMBER: _ClassVar[int]
    PARTNER_CHAIN_FIELD_NUMBER: _ClassVar[int]
    MFI_FIELD_NUMBER: _ClassVar[int]
    DATE_FIELD_NUMBER: _ClassVar[int]
    KIT_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    antigen_or_allele: str
    partner_chain: str
    mfi: float
    date: str
    kit: str
    result: CrossmatchAnswer
    def __init__(self, antigen_or_allele: _Optional[str] = ..., partner_chain: _Optional[str] = ..., mfi: _Optional[float] = ..., date: _Optional[str] = ..., kit: _Optional[str] = ..., result: _Optional[_Union[CrossmatchAnswer, str]] = ...) -> None: ...

class Crossmatch(_message.Message):
    __slots__ = ("answer", "worst", "p_positive", "p_positive_worst", "cumulative_mfi_low", "cumulative_mfi_high", "systems", "findings", "imputed", "problem")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    P_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    P_POSITIVE_WORST_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_LOW_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_HIGH_FIELD_NUMBER: _ClassVar[int]
    SYSTEMS_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    IMPUTED_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    answer: CrossmatchAnswer
    worst: CrossmatchAnswer
    p_positive: float
    p_positive_worst: float
    cumulative_mfi_low: float
    cumulative_mfi_high: float
    systems: _containers.RepeatedCompositeFieldContainer[SystemCrossmatch]
    findings: _containers.RepeatedCompositeFieldContainer[CrossmatchFinding]
    imputed: _containers.RepeatedScalarFieldContainer[str]
    problem: str
    def __init__(self, answer: _Optional[_Union[CrossmatchAnswer, str]] = ..., worst: _Optional[_Union[CrossmatchAnswer, str]] = ..., p_positive: _Optional[float] = ..., p_positive_worst: _Optional[float] = ..., cumulative_mfi_low: _Optional[float] = ..., cumulative_mfi_high: _Optional[float] = ..., systems: _Optional[_Iterable[_Union[SystemCrossmatch, _Mapping]]] = ..., findings: _Optional[_Iterable[_Union[CrossmatchFinding, _Mapping]]] = ..., imputed: _Optional[_Iterable[str]] = ..., problem: _Optional[str] = ...) -> None: ...

class SystemCrossmatch(_message.Message):
    __slots__ = ("system", "answer", "untyped")
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    UNTYPED_FIELD_NUMBER: _ClassVar[int]
    system: str
    answer: CrossmatchAnswer
    untyped: bool
    def __init__(self, system: _Optional[str] = ..., answer: _Optional[_Union[CrossmatchAnswer, str]] = ..., untyped: _Optional[bool] = ...) -> None: ...

class CrossmatchFinding(_message.Message):
    __slots__ = ("system", "molecules", "is_certain", "answer", "worst", "basis", "beads")
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    MOLECULES_FIELD_NUMBER: _ClassVar[int]
    IS_CERTAIN_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    BASIS_FIELD_NUMBER: _ClassVar[int]
    BEADS_FIELD_NUMBER: _ClassVar[int]
    system: str
    molecules: _containers.RepeatedScalarFieldContainer[str]
    is_certain: bool
    answer: CrossmatchAnswer
    worst: CrossmatchAnswer
    basis: str
    beads: _containers.RepeatedCompositeFieldContainer[EvidenceBead]
    def __init__(self, system: _Optional[str] = ..., molecules: _Optional[_Iterable[str]] = ..., is_certain: _Optional[bool] = ..., answer: _Optional[_Union[CrossmatchAnswer, str]] = ..., worst: _Optional[_Union[CrossmatchAnswer, str]] = ..., basis: _Optional[str] = ..., beads: _Optional[_Iterable[_Union[EvidenceBead, _Mapping]]] = ...) -> None: ...

class EvidenceBead(_message.Message):
    __slots__ = ("bead", "position")
    BEAD_FIELD_NUMBER: _ClassVar[int]
    POSITION_FIELD_NUMBER: _ClassVar[int]
    bead: AntibodyBead
    position: int
    def __init__(self, bead: _Optional[_Union[AntibodyBead, _Mapping]] = ..., position: _Optional[int] = ...) -> None: ...

class AntibodySummary(_message.Message):
    __slots__ = ("mfi_cut_off", "cumulative_mfi_cut_off", "own_type", "notes", "registry", "excluded")
    MFI_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    OWN_TYPE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    REGISTRY_FIELD_NUMBER: _ClassVar[int]
    EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    mfi_cut_off: float
    cumulative_mfi_cut_off: float
    own_type: _containers.RepeatedScalarFieldContainer[str]
    notes: _containers.RepeatedScalarFieldContainer[str]
    registry: RegistryCrossmatch
    excluded: int
    def __init__(self, mfi_cut_off: _Optional[float] = ..., cumulative_mfi_cut_off: _Optional[float] = ..., own_type: _Optional[_Iterable[str]] = ..., notes: _Optional[_Iterable[str]] = ..., registry: _Optional[_Union[RegistryCrossmatch, _Mapping]] = ..., excluded: _Optional[int] = ...) -> None: ...

class RegistryCrossmatch(_message.Message):
    __slots__ = ("negative", "not_assessable", "positive", "open", "pra_low", "pra_high")
    NEGATIVE_FIELD_NUMBER: _ClassVar[int]
    NOT_ASSESSABLE_FIELD_NUMBER: _ClassVar[int]
    POSITIVE_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    PRA_LOW_FIELD_NUMBER: _ClassVar[int]
    PRA_HIGH_FIELD_NUMBER: _ClassVar[int]
    negative: int
    not_assessable: int
    positive: int
    open: int
    pra_low: float
    pra_high: float
    def __init__(self, negative: _Optional[int] = ..., not_assessable: _Optional[int] = ..., positive: _Optional[int] = ..., open: _Optional[int] = ..., pra_low: _Optional[float] = ..., pra_high: _Optional[float] = ...) -> None: ...

class SearchAntibodies(_message.Message):
    __slots__ = ("report", "exclude_positive", "kept")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    report: AntibodyReport
    exclude_positive: bool
    kept: _containers.RepeatedCompositeFieldContainer[KeptDonor]
    def __init__(self, report: _Optional[_Union[AntibodyReport, _Mapping]] = ..., exclude_positive: _Optional[bool] = ..., kept: _Optional[_Iterable[_Union[KeptDonor, _Mapping]]] = ...) -> None: ...

class KeptDonor(_message.Message):
    __slots__ = ("donor", "reason")
    DONOR_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    donor: str
    reason: str
    def __init__(self, donor: _Optional[str] = ..., reason: _Optional[str] = ...) -> None: ...

class CrossmatchColumns(_message.Message):
    __slots__ = ("answer", "worst", "p_positive", "p_positive_worst", "cumulative_mfi_low", "cumulative_mfi_high", "systems", "evidence", "problem", "kept_for")
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    WORST_FIELD_NUMBER: _ClassVar[int]
    P_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    P_POSITIVE_WORST_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_LOW_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_HIGH_FIELD_NUMBER: _ClassVar[int]
    SYSTEMS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOR_FIELD_NUMBER: _ClassVar[int]
    answer: bytes
    worst: bytes
    p_positive: _containers.RepeatedScalarFieldContainer[float]
    p_positive_worst: _containers.RepeatedScalarFieldContainer[float]
    cumulative_mfi_low: _containers.RepeatedScalarFieldContainer[float]
    cumulative_mfi_high: _containers.RepeatedScalarFieldContainer[float]
    systems: _containers.RepeatedCompositeFieldContainer[SystemColumn]
    evidence: _containers.RepeatedScalarFieldContainer[str]
    problem: _containers.RepeatedScalarFieldContainer[str]
    kept_for: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, answer: _Optional[bytes] = ..., worst: _Optional[bytes] = ..., p_positive: _Optional[_Iterable[float]] = ..., p_positive_worst: _Optional[_Iterable[float]] = ..., cumulative_mfi_low: _Optional[_Iterable[float]] = ..., cumulative_mfi_high: _Optional[_Iterable[float]] = ..., systems: _Optional[_Iterable[_Union[SystemColumn, _Mapping]]] = ..., evidence: _Optional[_Iterable[str]] = ..., problem: _Optional[_Iterable[str]] = ..., kept_for: _Optional[_Iterable[str]] = ...) -> None: ...

class SystemColumn(_message.Message):
    __slots__ = ("system", "answer", "untyped")
    SYSTEM_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    UNTYPED_FIELD_NUMBER: _ClassVar[int]
    system: str
    answer: bytes
    untyped: bytes
    def __init__(self, system: _Optional[str] = ..., answer: _Optional[bytes] = ..., untyped: _Optional[bytes] = ...) -> None: ...

class CrossmatchDonorsRequest(_message.Message):
    __slots__ = ("report", "patient", "donors", "best", "batch_size")
    REPORT_FIELD_NUMBER: _ClassVar[int]
    PATIENT_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    BEST_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    report: AntibodyReport
    patient: str
    donors: _containers.RepeatedCompositeFieldContainer[DonorToCrossmatch]
    best: int
    batch_size: int
    def __init__(self, report: _Optional[_Union[AntibodyReport, _Mapping]] = ..., patient: _Optional[str] = ..., donors: _Optional[_Iterable[_Union[DonorToCrossmatch, _Mapping]]] = ..., best: _Optional[int] = ..., batch_size: _Optional[int] = ...) -> None: ...

class DonorToCrossmatch(_message.Message):
    __slots__ = ("identifier", "person")
    IDENTIFIER_FIELD_NUMBER: _ClassVar[int]
    PERSON_FIELD_NUMBER: _ClassVar[int]
    identifier: str
    person: _prediction_pb2.TypedPerson
    def __init__(self, identifier: _Optional[str] = ..., person: _Optional[_Union[_prediction_pb2.TypedPerson, _Mapping]] = ...) -> None: ...

class CrossmatchDonorsResponse(_message.Message):
    __slots__ = ("provenance", "antibodies", "donors")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    DONORS_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    antibodies: AntibodySummary
    donors: _containers.RepeatedCompositeFieldContainer[DonorCrossmatch]
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., antibodies: _Optional[_Union[AntibodySummary, _Mapping]] = ..., donors: _Optional[_Iterable[_Union[DonorCrossmatch, _Mapping]]] = ...) -> None: ...

class DonorCrossmatch(_message.Message):
    __slots__ = ("donor", "crossmatch")
    DONOR_FIELD_NUMBER: _ClassVar[int]
    CROSSMATCH_FIELD_NUMBER: _ClassVar[int]
    donor: str
    crossmatch: Crossmatch
    def __init__(self, donor: _Optional[str] = ..., crossmatch: _Optional[_Union[Crossmatch, _Mapping]] = ...) -> None: ...
