"""Virtual crossmatches of donors who are named, given, or all of the registry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from data.donor_files import Person
from matching.antibodies import Profile, registry_answers
from service.answering import provenance
from service.antibodies import (
    Crossmatched,
    best_rows,
    crossmatched,
    own_warnings,
)
from service.antibody_columns import crossmatched_rows
from service.calls import checkpoint, watched
from service.convert import LIMITS, checking, read_typing
from service.convert.antibodies import antibody_summary, crossmatch_messages, read_report
from service.convert_pairs import person_of
from service.pb.graftmatch.v1 import antibodies_pb2
from service.snapshot import Snapshot
from service.status import EmptyRegistryError, Violation

_BATCH = 500
_NOT_THERE = "there is no donor of this identifier"


@dataclass(frozen=True)
class Crossmatches:
    """A checked request. `rows`: the best donors of the registry, None where donors are named.

    Its batches are answered one by one, by one thread at a time.
    """

    snapshot: Snapshot
    request: antibodies_pb2.CrossmatchDonorsRequest
    profile: Profile
    summary: antibodies_pb2.AntibodySummary
    rows: npt.NDArray[np.int64] | None

    @classmethod
    def of(
        cls, snapshot: Snapshot, request: antibodies_pb2.CrossmatchDonorsRequest
    ) -> Crossmatches:
        """Raises `RequestError` and `EmptyRegistryError`."""
        with checking() as found:
            profile = read_report("report", request.report, snapshot.reports, found)
            patient = None
            if request.patient:
                patient = read_typing("patient", request.patient, snapshot.nomenclature, found)
            if request.batch_size > LIMITS.batch_size:
                found.append(Violation("batch_size", f"must be 1 to {LIMITS.batch_size:,}, or 0"))
            _check_donors(request, found)
        assert profile is not None
        own = [] if patient is None else own_warnings(patient.typing, profile)
        of_registry = not request.donors or any(one.identifier for one in request.donors)
        if of_registry and snapshot.search is None:
            raise EmptyRegistryError("the registry holds no donors; import some")
        answers, rows = None, None
        if snapshot.search is not None and not request.donors:
            checkpoint()
            index = snapshot.search.index
            answers = registry_answers(index.donors, profile, checkpoint)
            rows = best_rows(index, answers, request.best)
            checkpoint()
        summary = antibody_summary(profile, own, answers)
        return cls(snapshot, request, profile, summary, rows)

    def begins(self) -> range:
        """Where the batches begin; one is empty where no donor is told."""
        n = len(self.request.donors) if self.rows is None else len(self.rows)
        return range(0, max(n, 1), self._size)

    @property
    def _size(self) -> int:
        return self.request.batch_size or _BATCH

    def batch(self, begin: int) -> antibodies_pb2.CrossmatchDonorsResponse:
        """The donors from a position on."""
        end, search = begin + self._size, self.snapshot.search
        if self.rows is not None:
            assert search is not None
            found = crossmatched_rows(search, self.rows[begin:end], self.profile)
            names = [one.id for one in found]
        else:
            donors = self.request.donors[begin:end]
            found = self._named(donors)
            names = [one.identifier for one in donors]
        return antibodies_pb2.CrossmatchDonorsResponse(
            provenance=provenance(self.snapshot),
            antibodies=self.summary,
            donors=[
                antibodies_pb2.DonorCrossmatch(donor=name, crossmatch=message)
                for name, message in zip(names, crossmatch_messages(found), strict=True)
            ],
        )

    def _named(self, donors: Sequence[antibodies_pb2.DonorToCrossmatch]) -> list[Crossmatched]:
        """Donors as they were asked for; their identifiers are their positions here."""
        asked = sorted({one.identifier for one in donors if one.identifier})
        stored: dict[str, Person] = {}
        if asked:
            with self.snapshot.registry.opened() as store:
                stored = store.people(asked)
        people, problems = [], {}
        for i, one in enumerate(watched(donors)):
            person, problem = stored.get(one.identifier), _NOT_THERE
            if not one.identifier:
                wrong: list[Violation] = []
                person = person_of("", str(i), one.person, self.snapshot.nomenclature, wrong)
                problem = "; ".join(f"{v.field}: {v.reason}".lstrip(".") for v in wrong)
            if person is None:
                problems[i] = problem
            else:
                people.append(replace(person, id=str(i)))
        sets = self.snapshot.sets
        found = {one.id: one for one in crossmatched(people, self.profile, sets)}
        return [
            Crossmatched(str(i), None, problem=problems[i]) if i in problems else found[str(i)]
            for i in range(len(donors))
        ]


def _check_donors(request: antibodies_pb2.CrossmatchDonorsRequest, found: list[Violation]) -> None:
    if len(request.donors) > LIMITS.crossmatches:
        found.append(Violation("donors", f"more than {LIMITS.crossmatches:,}"))
        return
    for i, one in enumerate(request.donors):
        if not one.HasField("person") and not (
            1 <= len(one.identifier) <= LIMITS.identifier_characters
            and one.identifier.isprintable()
        ):
            reason = (
                f"give an identifier of 1 to {LIMITS.identifier_characters} printable characters, "
                "or a person"
            )
            found.append(Violation(f"donors[{i}]", reason))
    if request.best > LIMITS.crossmatches:
        found.append(Violation("best", f"must be 0 to {LIMITS.crossmatches:,}"))
    if request.best and request.donors:
        found.append(Violation("best", "is for the whole registry; give no donors"))
