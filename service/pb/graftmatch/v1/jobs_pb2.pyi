import datetime

from google.protobuf import timestamp_pb2 as _timestamp_pb2
from service.pb.graftmatch.v1 import antibodies_pb2 as _antibodies_pb2
from service.pb.graftmatch.v1 import common_pb2 as _common_pb2
from service.pb.graftmatch.v1 import cord_pb2 as _cord_pb2
from service.pb.graftmatch.v1 import graftmatch_pb2 as _graftmatch_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class JobState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_STATE_UNSPECIFIED: _ClassVar[JobState]
    JOB_STATE_WAITING: _ClassVar[JobState]
    JOB_STATE_RUNNING: _ClassVar[JobState]
    JOB_STATE_SUCCEEDED: _ClassVar[JobState]
    JOB_STATE_FAILED: _ClassVar[JobState]
    JOB_STATE_CANCELLED: _ClassVar[JobState]

class JobFormat(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_FORMAT_UNSPECIFIED: _ClassVar[JobFormat]
    JOB_FORMAT_PARQUET: _ClassVar[JobFormat]
    JOB_FORMAT_CSV: _ClassVar[JobFormat]
    JOB_FORMAT_JSONL: _ClassVar[JobFormat]

class JobFile(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    JOB_FILE_UNSPECIFIED: _ClassVar[JobFile]
    JOB_FILE_CANDIDATES: _ClassVar[JobFile]
    JOB_FILE_ALLOCATION: _ClassVar[JobFile]
    JOB_FILE_SUMMARY: _ClassVar[JobFile]
    JOB_FILE_REJECTS: _ClassVar[JobFile]
    JOB_FILE_NOTES: _ClassVar[JobFile]
    JOB_FILE_EXCLUDED: _ClassVar[JobFile]
    JOB_FILE_ANTIBODIES: _ClassVar[JobFile]
    JOB_FILE_ANTIBODY_REJECTS: _ClassVar[JobFile]
JOB_STATE_UNSPECIFIED: JobState
JOB_STATE_WAITING: JobState
JOB_STATE_RUNNING: JobState
JOB_STATE_SUCCEEDED: JobState
JOB_STATE_FAILED: JobState
JOB_STATE_CANCELLED: JobState
JOB_FORMAT_UNSPECIFIED: JobFormat
JOB_FORMAT_PARQUET: JobFormat
JOB_FORMAT_CSV: JobFormat
JOB_FORMAT_JSONL: JobFormat
JOB_FILE_UNSPECIFIED: JobFile
JOB_FILE_CANDIDATES: JobFile
JOB_FILE_ALLOCATION: JobFile
JOB_FILE_SUMMARY: JobFile
JOB_FILE_REJECTS: JobFile
JOB_FILE_NOTES: JobFile
JOB_FILE_EXCLUDED: JobFile
JOB_FILE_ANTIBODIES: JobFile
JOB_FILE_ANTIBODY_REJECTS: JobFile

class Job(_message.Message):
    __slots__ = ("name", "state", "create_time", "start_time", "end_time", "expire_time", "patients", "done", "rejected", "patients_per_second", "seconds_left", "error", "provenance", "format", "rejected_antibody_lines")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXPIRE_TIME_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    REJECTED_FIELD_NUMBER: _ClassVar[int]
    PATIENTS_PER_SECOND_FIELD_NUMBER: _ClassVar[int]
    SECONDS_LEFT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    REJECTED_ANTIBODY_LINES_FIELD_NUMBER: _ClassVar[int]
    name: str
    state: JobState
    create_time: _timestamp_pb2.Timestamp
    start_time: _timestamp_pb2.Timestamp
    end_time: _timestamp_pb2.Timestamp
    expire_time: _timestamp_pb2.Timestamp
    patients: int
    done: int
    rejected: int
    patients_per_second: float
    seconds_left: float
    error: str
    provenance: _common_pb2.Provenance
    format: JobFormat
    rejected_antibody_lines: int
    def __init__(self, name: _Optional[str] = ..., state: _Optional[_Union[JobState, str]] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., expire_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., patients: _Optional[int] = ..., done: _Optional[int] = ..., rejected: _Optional[int] = ..., patients_per_second: _Optional[float] = ..., seconds_left: _Optional[float] = ..., error: _Optional[str] = ..., provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., format: _Optional[_Union[JobFormat, str]] = ..., rejected_antibody_lines: _Optional[int] = ...) -> None: ...

class SubmitJobRequest(_message.Message):
    __slots__ = ("search", "list", "file", "format", "request_id", "antibodies", "strata", "cord_rule")
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    LIST_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ANTIBODIES_FIELD_NUMBER: _ClassVar[int]
    STRATA_FIELD_NUMBER: _ClassVar[int]
    CORD_RULE_FIELD_NUMBER: _ClassVar[int]
    search: _graftmatch_pb2.SearchDonorsRequest
    list: PatientList
    file: bytes
    format: JobFormat
    request_id: str
    antibodies: JobAntibodies
    strata: _containers.RepeatedCompositeFieldContainer[_graftmatch_pb2.StratumOrder]
    cord_rule: _cord_pb2.CordRule
    def __init__(self, search: _Optional[_Union[_graftmatch_pb2.SearchDonorsRequest, _Mapping]] = ..., list: _Optional[_Union[PatientList, _Mapping]] = ..., file: _Optional[bytes] = ..., format: _Optional[_Union[JobFormat, str]] = ..., request_id: _Optional[str] = ..., antibodies: _Optional[_Union[JobAntibodies, _Mapping]] = ..., strata: _Optional[_Iterable[_Union[_graftmatch_pb2.StratumOrder, _Mapping]]] = ..., cord_rule: _Optional[_Union[_cord_pb2.CordRule, str]] = ...) -> None: ...

class JobAntibodies(_message.Message):
    __slots__ = ("file", "mfi_cut_off", "cumulative_mfi_cut_off", "exclude_positive", "kept")
    FILE_FIELD_NUMBER: _ClassVar[int]
    MFI_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    CUMULATIVE_MFI_CUT_OFF_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_POSITIVE_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    file: bytes
    mfi_cut_off: float
    cumulative_mfi_cut_off: float
    exclude_positive: bool
    kept: _containers.RepeatedCompositeFieldContainer[_antibodies_pb2.KeptDonor]
    def __init__(self, file: _Optional[bytes] = ..., mfi_cut_off: _Optional[float] = ..., cumulative_mfi_cut_off: _Optional[float] = ..., exclude_positive: _Optional[bool] = ..., kept: _Optional[_Iterable[_Union[_antibodies_pb2.KeptDonor, _Mapping]]] = ...) -> None: ...

class PatientList(_message.Message):
    __slots__ = ("patients",)
    PATIENTS_FIELD_NUMBER: _ClassVar[int]
    patients: _containers.RepeatedCompositeFieldContainer[Patient]
    def __init__(self, patients: _Optional[_Iterable[_Union[Patient, _Mapping]]] = ...) -> None: ...

class Patient(_message.Message):
    __slots__ = ("id", "typing", "facts")
    ID_FIELD_NUMBER: _ClassVar[int]
    TYPING_FIELD_NUMBER: _ClassVar[int]
    FACTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    typing: str
    facts: _graftmatch_pb2.PatientFacts
    def __init__(self, id: _Optional[str] = ..., typing: _Optional[str] = ..., facts: _Optional[_Union[_graftmatch_pb2.PatientFacts, _Mapping]] = ...) -> None: ...

class SubmitJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class GetJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class GetJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class ListJobsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListJobsResponse(_message.Message):
    __slots__ = ("jobs", "next_page_token")
    JOBS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    jobs: _containers.RepeatedCompositeFieldContainer[Job]
    next_page_token: str
    def __init__(self, jobs: _Optional[_Iterable[_Union[Job, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WaitJobRequest(_message.Message):
    __slots__ = ("name", "timeout_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    timeout_seconds: float
    def __init__(self, name: _Optional[str] = ..., timeout_seconds: _Optional[float] = ...) -> None: ...

class WaitJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class CancelJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CancelJobResponse(_message.Message):
    __slots__ = ("job",)
    JOB_FIELD_NUMBER: _ClassVar[int]
    job: Job
    def __init__(self, job: _Optional[_Union[Job, _Mapping]] = ...) -> None: ...

class DeleteJobRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class DeleteJobResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadJobResultsRequest(_message.Message):
    __slots__ = ("name", "file", "offset")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    name: str
    file: JobFile
    offset: int
    def __init__(self, name: _Optional[str] = ..., file: _Optional[_Union[JobFile, str]] = ..., offset: _Optional[int] = ...) -> None: ...

class ReadJobResultsResponse(_message.Message):
    __slots__ = ("provenance", "data", "size")
    PROVENANCE_FIELD_NUMBER: _ClassVar[int]
    DATA_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    provenance: _common_pb2.Provenance
    data: bytes
    size: int
    def __init__(self, provenance: _Optional[_Union[_common_pb2.Provenance, _Mapping]] = ..., data: _Optional[bytes] = ..., size: _Optional[int] = ...) -> None: ...
