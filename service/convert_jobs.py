"""Jobs as messages, and messages as jobs."""

from __future__ import annotations

import csv
import datetime
import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.json as pa_json
import pyarrow.parquet as pq
from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from data.jobs import ANTIBODIES as REPORTS
from data.jobs import PATIENTS, Job, JobFiles, JobState
from service.batch.checkpoints import SUMMARY
from service.batch.output import TableFormat
from service.batch.results import ANTIBODIES, EXCLUDED, NOTES
from service.convert import LIMITS, checking
from service.convert.antibodies import judged_request
from service.convert.names import JOBS
from service.convert.strata import STRATUM, read_strata
from service.convert_search import Asked, check_of_strata, inside, settings_request
from service.jobs.work import ANTIBODY_REJECTS, REJECTS
from service.pb.graftmatch.v1 import common_pb2, jobs_pb2
from service.relatives import RELATED
from service.requests import check_request_id
from service.status import Violation

_FORMATS = {
    jobs_pb2.JOB_FORMAT_UNSPECIFIED: TableFormat.PARQUET,
    jobs_pb2.JOB_FORMAT_PARQUET: TableFormat.PARQUET,
    jobs_pb2.JOB_FORMAT_CSV: TableFormat.CSV,
    jobs_pb2.JOB_FORMAT_JSONL: TableFormat.JSONL,
}
_FACTS = ("age_years", "sex", "cmv", "abo", "weight_kg", "ancestry", "registry")
_NUMBERS = ("age_years", "weight_kg")
# Name, format and columns of files.
_Sources = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class SubmittedJob:
    """What a job is to do. `search`: settings as values of JSON, with their day; `form`: of the
    results; `antibodies`, `strata`: as in `AskedJob`; `files`: as `JobFolder.submit` takes them."""

    search: dict[str, Any]
    form: str
    antibodies: dict[str, Any] | None
    strata: dict[str, Any] | None
    files: dict[str, bytes]


def submitted_job(request: jobs_pb2.SubmitJobRequest) -> SubmittedJob:
    """Raises `RequestError` with every violation."""
    with_antibodies = request.HasField("antibodies")
    antibodies = None
    with checking() as found:
        check_request_id(request.request_id, found)
        if request.format not in _FORMATS:
            found.append(Violation("format", "is none that this server knows"))
        if request.search.limit > LIMITS.page_size:
            found.append(Violation("search.limit", f"must be 1 to {LIMITS.page_size:,}, or 0"))
        given = request.WhichOneof("patients")
        if given is None or not (request.file or request.list.patients):
            found.append(Violation("patients", "give patients, as `list` or as `file`"))
        if len(request.list.patients) > LIMITS.patients:
            found.append(Violation("list.patients", f"more than {LIMITS.patients:,}"))
        _check_patients(request.list.patients, found)
        if with_antibodies:
            antibodies = judged_request("antibodies", request.antibodies, found)
        if request.cord_rule and not request.strata:
            found.append(Violation("cord_rule", "is of the stratum of units; give strata"))
    with inside("search"):
        if request.strata:
            with checking() as found:
                check_of_strata(request.search, found)
        asked = settings_request(request.search, with_antibodies)
    strata = _strata(request, asked) if request.strata else None
    search = MessageToDict(request.search, preserving_proto_field_name=True)
    search["as_of"] = (asked.as_of or datetime.date.today()).isoformat()
    patients = request.file if given == "file" else _patients_file(request.list.patients)
    files = {PATIENTS: patients}
    if with_antibodies:
        files[REPORTS] = request.antibodies.file
    return SubmittedJob(search, _FORMATS[request.format].value, antibodies, strata, files)


def _strata(request: jobs_pb2.SubmitJobRequest, asked: Asked) -> dict[str, Any]:
    """What is asked of each stratum, as values of JSON."""
    with checking() as found:
        for i, one in enumerate(request.strata):
            if any(STRATUM[name] == one.stratum for name in RELATED):
                reason = "a job knows no relatives; ask SearchStrata about them"
                found.append(Violation(f"strata[{i}].stratum", reason))
        read_strata(request, asked.settings(None), request.HasField("antibodies"), found)
    kept = jobs_pb2.SubmitJobRequest(strata=request.strata, cord_rule=request.cord_rule)
    return dict(MessageToDict(kept, preserving_proto_field_name=True))


def _check_patients(patients: Iterable[jobs_pb2.Patient], found: list[Violation]) -> None:
    """What could not be written as one record; what else is wrong with a patient rejects it."""
    for i, patient in enumerate(patients):
        for name, text, most in (
            ("id", patient.id, LIMITS.identifier_characters),
            ("typing", patient.typing, LIMITS.typing_characters),
            *(
                (f"facts.{n}", str(getattr(patient.facts, n)), LIMITS.identifier_characters)
                for n in _FACTS
            ),
        ):
            if len(text) > most or not text.isprintable():
                reason = f"must be printable text of at most {most:,} characters"
                found.append(Violation(f"list.patients[{i}].{name}", reason))


def _patients_file(patients: Iterable[jobs_pb2.Patient]) -> bytes:
    """The patients as a CSV file."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("id", "gl", *_FACTS))
    for patient in patients:
        facts = patient.facts
        values = (
            getattr(facts, name) if name not in _NUMBERS or facts.HasField(name) else ""
            for name in _FACTS
        )
        writer.writerow((patient.id, patient.typing, *values))
    return file.getvalue().encode()


def job_message(job: Job, kept_seconds: float) -> jobs_pb2.Job:
    """`kept_seconds`: when a job that has ended is removed."""
    message = jobs_pb2.Job(
        name=JOBS + job.id,
        state=jobs_pb2.JobState.Value(f"JOB_STATE_{job.state.name}"),
        create_time=_timestamp(job.asked.created),
        format=jobs_pb2.JobFormat.Value(f"JOB_FORMAT_{TableFormat(job.asked.form).name}"),
    )
    progress, ending = job.progress, job.ending
    if progress is not None:
        message.start_time.CopyFrom(_timestamp(progress.began))
        message.patients, message.done = progress.patients, progress.done
        message.rejected = progress.rejected
        message.rejected_antibody_lines = progress.rejected_lines
        message.provenance.CopyFrom(provenance_of(job))
        rate = progress.per_second
        if job.state is JobState.RUNNING and rate > 0:
            message.patients_per_second = rate
            message.seconds_left = (progress.patients - progress.done) / rate
    if ending is not None:
        message.end_time.CopyFrom(_timestamp(ending.time))
        message.expire_time.CopyFrom(_timestamp(ending.time + kept_seconds))
        message.error = ending.error
    return message


def provenance_of(job: Job) -> common_pb2.Provenance:
    """What the results of a job depend on; empty where it was not begun."""
    told = None if job.progress is None else job.progress.provenance
    return common_pb2.Provenance(**(told or {}))


def _timestamp(seconds: float) -> Timestamp:
    found = Timestamp()
    found.FromMicroseconds(round(seconds * 1e6))
    return found


def results_file(form: str, file: int) -> str:
    """The name of a file of results. Raises `RequestError`."""
    names: dict[int, str] = {
        jobs_pb2.JOB_FILE_CANDIDATES: f"candidates.{form}",
        jobs_pb2.JOB_FILE_ALLOCATION: f"allocation.{form}",
        jobs_pb2.JOB_FILE_SUMMARY: SUMMARY,
        jobs_pb2.JOB_FILE_REJECTS: REJECTS,
        jobs_pb2.JOB_FILE_NOTES: NOTES,
        jobs_pb2.JOB_FILE_EXCLUDED: EXCLUDED,
        jobs_pb2.JOB_FILE_ANTIBODIES: ANTIBODIES,
        jobs_pb2.JOB_FILE_ANTIBODY_REJECTS: ANTIBODY_REJECTS,
    }
    with checking() as found:
        if file not in names:
            found.append(Violation("file", "name one of the files of results"))
    return names[file]


def records_of(files: JobFiles, form: str, file: int) -> list[str]:
    """Identifiers of the patients and donors whom a file of results tells of."""
    besides: dict[int, _Sources] = {
        jobs_pb2.JOB_FILE_SUMMARY: (),
        jobs_pb2.JOB_FILE_REJECTS: ((REJECTS, "csv", ("id",)),),
        jobs_pb2.JOB_FILE_NOTES: ((NOTES, "csv", ("patient",)),),
        jobs_pb2.JOB_FILE_EXCLUDED: ((EXCLUDED, "csv", ("patient", "donor")),),
        jobs_pb2.JOB_FILE_ANTIBODIES: ((ANTIBODIES, "csv", ("patient",)),),
        # Lines of it name antigens.
        jobs_pb2.JOB_FILE_ANTIBODY_REJECTS: (),
    }
    tables = (
        (f"allocation.{form}", form, ("patient",)),
        (f"candidates.{form}", form, ("patient", "donor")),
    )
    found: dict[str, None] = {}
    for name, written, columns in besides.get(file, tables):
        path = files.results / name
        if path.exists():
            for column in _table(path, TableFormat(written), columns).columns:
                found |= dict.fromkeys(column.unique().to_pylist())
    return [name for name in found if name]


def _table(path: Any, form: TableFormat, columns: tuple[str, ...]) -> pa.Table:
    """Some columns of text of a file."""
    texts = pa.schema([(name, pa.string()) for name in columns])
    if form is TableFormat.PARQUET:
        return pq.read_table(path, columns=list(columns))
    if form is TableFormat.CSV:
        options = pa_csv.ConvertOptions(include_columns=columns, column_types=texts)
        parsing = pa_csv.ParseOptions(newlines_in_values=True)
        return pa_csv.read_csv(path, convert_options=options, parse_options=parsing)
    # Not inferred: an identifier may look like a number or a time.
    return pa_json.read_json(
        path,
        parse_options=pa_json.ParseOptions(
            explicit_schema=texts, unexpected_field_behavior="ignore"
        ),
    )
