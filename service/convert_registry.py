"""Requests about donors of the registry as values, and donors as messages."""

from __future__ import annotations

import csv
import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from data.donor_files import age_on
from data.registry import BlankSecond, ImportRequest, ImportSummary, Mode, ReadingOptions
from matching.errors import ReleaseNotInstalledError
from matching.nomenclature import Nomenclature
from service.convert import LIMITS, checking, donor_facts
from service.convert.names import donor_name
from service.pb.graftmatch.v1 import common_pb2, registry_pb2
from service.requests import check_request_id
from service.snapshot import Releases
from service.status import Violation

_MODES = {
    registry_pb2.IMPORT_MODE_UNSPECIFIED: Mode.DIFF,
    registry_pb2.IMPORT_MODE_DIFF: Mode.DIFF,
    registry_pb2.IMPORT_MODE_FULL: Mode.FULL,
    registry_pb2.IMPORT_MODE_CHECK: Mode.CHECK,
}
_COUNTS = (
    *("read", "new", "updated", "unchanged", "deleted", "rejected", "older", "absent"),
    "disagreeing",
)


@dataclass(frozen=True)
class ImportOrder:
    """A checked import: the release to read under, and how."""

    nomenclature: Nomenclature
    options: ReadingOptions
    request: ImportRequest
    request_id: str


def import_order(options: registry_pb2.ImportOptions, releases: Releases) -> ImportOrder:
    """Raises `RequestError` with every violation, and `NomenclatureError`."""
    with checking() as found:
        if options.mode not in _MODES:
            found.append(Violation("options.mode", "is none that this server knows"))
        check_request_id(options.request_id, found, "options.request_id")
        try:
            nomenclature = releases.of(options.release)
        except ReleaseNotInstalledError as error:
            found.append(Violation("options.release", str(error)))
    blank = BlankSecond.HOMOZYGOUS if options.blank_second_homozygous else BlankSecond.REFUSE
    return ImportOrder(
        nomenclature,
        ReadingOptions(options.strict, blank),
        ImportRequest(_MODES[options.mode], options.validate_only, options.allow_deletions),
        options.request_id,
    )


def import_response(
    summary: ImportSummary,
    differences: Path | None,
    provenance: common_pb2.Provenance,
    revision: int,
) -> registry_pb2.ImportDonorsResponse:
    """What an import did; its files of rejects and differences are read."""
    return registry_pb2.ImportDonorsResponse(
        provenance=provenance,
        revision=revision,
        rejects=[
            registry_pb2.RejectedRecord(record=int(record), donor=donor, reason=reason)
            for record, donor, reason in _first_rows(summary.rejects_file)
        ],
        differences=[
            registry_pb2.DonorDifference(donor=donor, difference=what, fields=fields.split())
            for donor, what, fields in _first_rows(differences)
        ],
        notes=summary.notes[: LIMITS.listed],
        ignored=dict(islice(summary.ignored.items(), LIMITS.listed)),
        **{name: getattr(summary, name) for name in _COUNTS},
    )


def _first_rows(path: Path | None) -> Iterator[list[str]]:
    """The first records of a file of ours, without its header."""
    if path is None:
        return
    with path.open(encoding="utf-8", newline="") as file:
        yield from islice(csv.reader(file), 1, 1 + LIMITS.listed)


def donor_message(
    identifier: str, donor: Mapping[str, Any], as_of: datetime.date
) -> registry_pb2.Donor:
    """A donor as `StoredDonors` shows it."""
    facts = {name: donor.get(name) for name in _FACTS}
    message = registry_pb2.Donor(
        name=donor_name(identifier),
        identifier=identifier,
        facts=donor_facts(facts, _age(donor, as_of)),
        mother_typing=donor.get("mother_gl", ""),
        reported_time=_time(donor.get("reported_at")),
        added_revision=donor["added"],
        revision=donor["revision"],
        **{name: donor.get(name, "") for name in _TEXTS},
    )
    for name in _NUMBERS:
        if name in donor:
            setattr(message, name, donor[name])
    return message


_FACTS = ("type", "sex", "cmv", "abo", "rh", "ancestry", "registry", "weight_kg")
_TEXTS = ("grid", "status", "typing_date", "typing", "typing_release")
_NUMBERS = ("tnc_1e7", "cd34_1e6", "volume_ml")


def _age(donor: Mapping[str, Any], as_of: datetime.date) -> float:
    """In whole years, -1 where unknown."""
    if "birth_date" not in donor:
        return float(donor.get("age_years", -1))
    return float(age_on(donor["birth_date"], as_of))


def history_messages(
    identifier: str, history: Iterable[Mapping[str, Any]], as_of: datetime.date
) -> list[registry_pb2.DonorChange]:
    """The history of a donor as `StoredDonors` tells it."""
    return [
        registry_pb2.DonorChange(
            kind=step["kind"],
            revision=step["revision"],
            reported_time=_time(step.get("reported_at")),
            import_time=_time(step["imported_at"]),
            file=step["file"] or "",
            former=donor_message(identifier, step["former"], as_of) if "former" in step else None,
        )
        for step in history
    ]


def _time(text: str | None) -> Timestamp | None:
    if text is None:
        return None
    time = Timestamp()
    time.FromJsonString(text)
    return time
