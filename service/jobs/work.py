"""One job: the batch of `graftmatch batch`, under the data that the server answers from."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from google.protobuf.json_format import ParseDict

from data.donor_files import Person, Rejects
from data.files import remove_folder
from data.jobs import AskedJob, JobFiles, JobProgress
from data.registry import ReadingOptions
from matching.antibodies import CutOffs
from matching.errors import InputFileError
from service.antibodies import AntibodyReports, ReportReader, own_types
from service.apart import apart
from service.batch.checkpoints import DAY, checkpoints, stored_state
from service.batch.engine import in_threads
from service.batch.output import TableFormat
from service.batch.people import people_of
from service.batch.results import BatchResults
from service.batch.search import BatchSearch, chunks_of
from service.calls import checkpoint
from service.convert import LIMITS, checking
from service.convert.strata import read_strata
from service.convert_search import settings_request
from service.jobs.writing import write_apart
from service.pb.graftmatch.v1 import graftmatch_pb2, jobs_pb2
from service.search import AntibodyUse
from service.snapshot import Snapshot
from service.status import EmptyRegistryError, RequestError, Violation

REJECTS, ANTIBODY_REJECTS = "rejects.csv", "antibodies.rejects.csv"
# A job that was taken up so often, and got no further, is given up.
MOST_ATTEMPTS = 3
DEFAULT_BEST = 100
_TELL_SECONDS = 0.5


class Telling:
    """Keeps the file of the progress of a job up to date, but not at every patient."""

    def __init__(self, files: JobFiles, progress: JobProgress) -> None:
        self._files, self._now, self._told = files, progress, float("-inf")

    @property
    def now(self) -> JobProgress:
        return self._now

    def tell(self, **changes: object) -> None:
        """Raises `OutputError`."""
        self._now = replace(self._now, **changes)  # type: ignore[arg-type]
        self._files.tell(self._now)
        self._told = time.monotonic()

    def more(self, done: int) -> None:
        """So many patients are done further. Raises `OutputError`, and `CallEndedError` where the
        job is to stop."""
        self._now = replace(self._now, done=self._now.done + done)
        if time.monotonic() - self._told > _TELL_SECONDS:
            self.tell()
        checkpoint()


def do_job(files: JobFiles, snapshot: Snapshot, telling: Telling) -> None:
    """Do what is left of a job whose lock this process holds.

    The answers are all of one state of the data: a job that was begun under another begins anew.
    Raises `RequestError` for what the caller can correct, `CallEndedError` where the job is to
    stop, `EmptyRegistryError`, and what a batch raises.
    """
    asked = files.asked()
    search = _search(asked, snapshot)
    settings = search.settings
    state = {**search.state, DAY: settings.as_of.isoformat()}
    results = files.results
    if stored_state(results) not in (None, state):
        remove_folder(results)
    telling.tell(
        provenance={
            "release": snapshot.nomenclature.release,
            "frequency_set": snapshot.frequency_set,
            "model": snapshot.model_label,
            "index": snapshot.index_version,
        }
    )
    with checkpoints(results, state, resume=True) as done:
        if done.is_complete:
            return
        with _told("file", files.patients):
            people, rejects = people_of(
                files.patients, snapshot.nomenclature, ReadingOptions(), settings
            )
        if len(people) > LIMITS.patients:
            raise RequestError([Violation("file", f"more than {LIMITS.patients:,} patients")])
        if len(rejects):
            rejects.write(results / REJECTS)
        rejected_lines = 0
        if asked.antibodies is not None:
            with _told("antibodies.file", files.antibodies):
                search, rejected_lines = _with_reports(
                    search, files, snapshot.reports, people, rejects
                )
        chunks = chunks_of(people)
        kept = [number for number in range(len(chunks)) if done.has(number)]
        before = sum(len(chunks[number]) for number in kept)
        got_further = before > telling.now.before
        telling.tell(
            attempts=1 if got_further else telling.now.attempts,
            patients=len(people),
            rejected=len(rejects),
            rejected_lines=rejected_lines,
            done=before,
            before=before,
        )
        left = sorted({*range(len(chunks))} - {*kept})
        for number, table in in_threads(
            left, lambda n, told: search.run(chunks[n], told), 1, telling.more
        ):
            done.write(number, table)
        patients = [person.id for person in people]
        form = TableFormat(asked.form)
        found = BatchResults(done, len(chunks), patients, search.schema, search.provenance, form)
        apart(write_apart, found, len(rejects))


def _search(asked: AskedJob, snapshot: Snapshot) -> BatchSearch:
    """The search that was asked for, without the reports of its patients.

    Raises `EmptyRegistryError` and `RequestError`.
    """
    if snapshot.search is None:
        raise EmptyRegistryError("the registry holds no donors; import some")
    request = ParseDict(dict(asked.search), graftmatch_pb2.SearchDonorsRequest())
    judged = asked.antibodies
    wanted = settings_request(request, judged is not None)
    settings = wanted.settings(wanted.limit or DEFAULT_BEST)
    strata = None
    if asked.strata is not None:
        listed = ParseDict(dict(asked.strata), jobs_pb2.SubmitJobRequest())
        with checking() as found:
            strata = read_strata(listed, settings, judged is not None, found)
    return BatchSearch(
        *(snapshot.search, snapshot.model, settings, LIMITS.genotypes, strata), judged=judged
    )


@contextmanager
def _told(field: str, file: Path) -> Iterator[None]:
    """What is wrong with a file is wrong with a field of the request. Where the file lies is none
    of the caller's business."""
    try:
        yield
    except InputFileError as error:
        raise RequestError([Violation(field, str(error).replace(str(file), "it"))]) from None


def _with_reports(
    search: BatchSearch,
    files: JobFiles,
    reader: ReportReader,
    people: Sequence[Person],
    rejects: Rejects,
) -> tuple[BatchSearch, int]:
    """A search with the reports of its patients, and how many of their lines are rejected.
    `rejects`: records of patients who are not searched for.

    Raises `InputFileError`, `OutputError`, and `CallEndedError` where the job is to stop.
    """
    judged = search.judged
    assert judged is not None
    cut_offs = CutOffs(judged["mfi_cut_off"], judged["cumulative_mfi_cut_off"])
    reports = AntibodyReports.read(files.antibodies, reader, cut_offs)
    if len(reports.rejects):
        reports.rejects.write(files.results / ANTIBODY_REJECTS)
    profiles = reports.of([person.id for person in people], rejects)
    use = {
        patient: AntibodyUse(profile, judged["exclude"], judged["overrides"])
        for patient, profile in profiles.items()
    }
    found = replace(search, reports=use, own_type=own_types(people, profiles))
    return found, len(reports.rejects)
