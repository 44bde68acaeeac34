"""The calls about jobs. Every call sees the jobs of the caller's site alone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from data.jobs import AskedJob, Job, JobFiles, JobFolder, JobState
from matching.errors import OutputError
from service.answering import Answering
from service.calls import current
from service.convert import checking
from service.convert.names import JOBS, identifier_of
from service.convert_jobs import (
    job_message,
    provenance_of,
    records_of,
    results_file,
    submitted_job,
)
from service.pages import ListPage
from service.pb.graftmatch.v1 import jobs_pb2, jobs_pb2_grpc
from service.server_settings import ServeSettings
from service.snapshot import Snapshot
from service.status import (
    EmptyRegistryError,
    NotFoundError,
    OverloadedError,
    StateError,
    Violation,
)

_PART = 1024 * 1024
_WAIT_SECONDS, _MOST_WAIT_SECONDS = 30.0, 300.0
_POLL_SECONDS = 0.1
_FULL_RETRY_SECONDS = 30.0


def _folder(snapshot: Snapshot) -> JobFolder:
    return JobFolder(snapshot.home.jobs)


def _files(snapshot: Snapshot, name: str) -> JobFiles:
    """A job of the caller's site. Raises `RequestError` and `NotFoundError`."""
    files = _folder(snapshot).files(current().caller.site, identifier_of(name, JOBS))
    if files is None:
        raise NotFoundError("there is no such job")
    return files


def _job(files: JobFiles) -> Job:
    try:
        return files.job()
    except FileNotFoundError:
        raise NotFoundError("there is no such job") from None


class JobServicer(jobs_pb2_grpc.JobServiceServicer):
    """Keeps jobs for those who work on them, and reads their results."""

    def __init__(self, answering: Answering, settings: ServeSettings) -> None:
        self._answering = answering
        self._kept_seconds, self._most_waiting = settings.job_seconds, settings.waiting_jobs

    async def SubmitJob(  # noqa: N802
        self, request: jobs_pb2.SubmitJobRequest, context: Any
    ) -> jobs_pb2.SubmitJobResponse:
        """See the proto."""
        return await self._answering.answer(context, self._submit, request)

    async def GetJob(  # noqa: N802
        self, request: jobs_pb2.GetJobRequest, context: Any
    ) -> jobs_pb2.GetJobResponse:
        """See the proto."""
        files = await self._answering.answer(context, _files, request.name)
        return jobs_pb2.GetJobResponse(job=await self._told(context, files))

    async def ListJobs(  # noqa: N802
        self, request: jobs_pb2.ListJobsRequest, context: Any
    ) -> jobs_pb2.ListJobsResponse:
        """See the proto."""
        return await self._answering.answer(context, self._list, request)

    async def WaitJob(  # noqa: N802
        self, request: jobs_pb2.WaitJobRequest, context: Any
    ) -> jobs_pb2.WaitJobResponse:
        """See the proto. It takes no thread while it waits."""
        seconds = await self._answering.run(context, _wait_seconds, request)
        files = await self._answering.answer(context, _files, request.name)
        until = time.monotonic() + seconds
        while not files.has_ended and time.monotonic() < until:
            await asyncio.sleep(_POLL_SECONDS)
        return jobs_pb2.WaitJobResponse(job=await self._told(context, files))

    async def CancelJob(  # noqa: N802
        self, request: jobs_pb2.CancelJobRequest, context: Any
    ) -> jobs_pb2.CancelJobResponse:
        """See the proto."""
        files = await self._answering.answer(context, _files, request.name)
        if not files.has_ended:
            await self._answering.run(context, files.cancel)
        return jobs_pb2.CancelJobResponse(job=await self._told(context, files))

    async def DeleteJob(  # noqa: N802
        self, request: jobs_pb2.DeleteJobRequest, context: Any
    ) -> jobs_pb2.DeleteJobResponse:
        """See the proto."""
        await self._answering.answer(context, _delete, request.name)
        return jobs_pb2.DeleteJobResponse()

    async def ReadJobResults(  # noqa: N802
        self, request: jobs_pb2.ReadJobResultsRequest, context: Any
    ) -> AsyncIterator[jobs_pb2.ReadJobResultsResponse]:
        """See the proto."""
        results = await self._answering.answer(context, _Results.of, request)
        current().records = results.records
        at = request.offset
        while at < results.size or at == request.offset:
            answer = await self._answering.run(context, results.part, at)
            yield answer
            at += len(answer.data) or 1

    def _submit(
        self, snapshot: Snapshot, request: jobs_pb2.SubmitJobRequest
    ) -> jobs_pb2.SubmitJobResponse:
        job = submitted_job(request)
        if snapshot.search is None:
            raise EmptyRegistryError("the registry holds no donors; import some")
        caller = current().caller
        asked = AskedJob(
            *(time.time(), caller.token, job.search, job.form, job.antibodies, job.strata)
        )

        def submitted() -> jobs_pb2.SubmitJobResponse:
            files = _folder(snapshot).submit(
                *(caller.site, request.request_id.lower(), asked, job.files, self._most_waiting)
            )
            if files is None:
                what = f"{self._most_waiting} jobs of this site have not ended yet"
                raise OverloadedError(_FULL_RETRY_SECONDS, what)
            return jobs_pb2.SubmitJobResponse(job=job_message(files.job(), self._kept_seconds))

        answer: jobs_pb2.SubmitJobResponse = snapshot.requests.once(
            current(),
            request.request_id,
            request.SerializeToString(deterministic=True),
            jobs_pb2.SubmitJobResponse.FromString,
            submitted,
        )
        return answer

    def _list(
        self, snapshot: Snapshot, request: jobs_pb2.ListJobsRequest
    ) -> jobs_pb2.ListJobsResponse:
        site = current().caller.site
        page: ListPage[str] = ListPage.of(request, {"the site": site}, "")
        jobs = _folder(snapshot).jobs(site)
        rest = [job for job in jobs if not page.start or _place(job) < page.start]
        shown = rest[: page.size]
        return jobs_pb2.ListJobsResponse(
            jobs=[job_message(job, self._kept_seconds) for job in shown],
            next_page_token=page.token(_place(shown[-1])) if len(rest) > page.size else "",
        )

    async def _told(self, context: Any, files: JobFiles) -> jobs_pb2.Job:
        return job_message(await self._answering.run(context, _job, files), self._kept_seconds)


class _Results:
    """A file of results. `records`: whom it tells of."""

    def __init__(self, job: Job, files: JobFiles, file: int) -> None:
        self._provenance = provenance_of(job)
        self._path = files.results / results_file(job.asked.form, file)
        self.size = self._path.stat().st_size if self._path.exists() else 0
        self.records = records_of(files, job.asked.form, file)

    @classmethod
    def of(cls, snapshot: Snapshot, request: jobs_pb2.ReadJobResultsRequest) -> _Results:
        """Raises `RequestError`, `NotFoundError` and `StateError`."""
        files = _files(snapshot, request.name)
        job = _job(files)
        results_file(job.asked.form, request.file)
        if job.state is not JobState.SUCCEEDED:
            raise StateError(f"the job is {job.state.value}; results are there once it succeeded")
        found = cls(job, files, request.file)
        with checking() as wrong:
            if request.offset > found.size:
                wrong.append(Violation("offset", f"beyond the {found.size:,} bytes of the file"))
        return found

    def part(self, at: int) -> jobs_pb2.ReadJobResultsResponse:
        """The bytes from a place on. Raises `OutputError`."""
        data = b""
        if self.size:
            try:
                with self._path.open("rb") as file:
                    file.seek(at)
                    data = file.read(_PART)
            except OSError as error:
                raise OutputError(f"cannot read {self._path}: {error.strerror}") from error
        return jobs_pb2.ReadJobResultsResponse(
            provenance=self._provenance, data=data, size=self.size
        )


def _wait_seconds(request: jobs_pb2.WaitJobRequest) -> float:
    with checking() as found:
        if not 0 <= request.timeout_seconds <= _MOST_WAIT_SECONDS:
            reason = f"must be 0 to {_MOST_WAIT_SECONDS:g}"
            found.append(Violation("timeout_seconds", reason))
    return request.timeout_seconds or _WAIT_SECONDS


def _delete(snapshot: Snapshot, name: str) -> None:
    files = _files(snapshot, name)
    if not files.has_ended:
        raise StateError("the job has not ended; cancel it first")
    files.remove()


def _place(job: Job) -> str:
    """Where a job is in a list, as text that sorts likewise."""
    return f"{job.asked.created:020.6f} {job.id}"
