"""Antibody reports of requests as values, and virtual crossmatches as messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from data.antibodies import RESULTS, TARGET, read_bead, report_lines
from matching.antibodies import (
    SYSTEMS,
    Answer,
    Bead,
    CutOffs,
    Finding,
    Profile,
    RegistryAnswers,
    System,
)
from matching.errors import InputFileError, RecordError, TypingError
from service.antibodies import Crossmatched, ReportReader
from service.batch.search import judged_by
from service.convert.requests import LIMITS
from service.pb.graftmatch.v1 import antibodies_pb2, jobs_pb2
from service.search import AntibodyUse
from service.status import Violation

ANSWERS: Mapping[Answer, Any] = {
    answer: antibodies_pb2.CrossmatchAnswer.Value(f"CROSSMATCH_ANSWER_{answer.name}")
    for answer in Answer
}
# Words of results in files, by the number on the wire.
_RESULTS: Mapping[int, str] = {
    antibodies_pb2.CROSSMATCH_ANSWER_UNSPECIFIED: "",
    **{ANSWERS[answer]: text for text, answer in RESULTS.items() if answer is not None},
}
_BEAD_TEXTS = (TARGET, "partner_chain", "date", "kit")


def read_report(
    field: str,
    message: antibodies_pb2.AntibodyReport,
    reader: ReportReader,
    found: list[Violation],
) -> Profile | None:
    """A report in a field of a request; None, and violations, where it cannot be used."""
    before = len(found)
    cut_offs = _cut_offs(field, message, found)
    lists = [name for name in ("beads", "unacceptable") if len(getattr(message, name))]
    if len(lists) != 1:
        reason = "give beads, the negative ones included, or unacceptable, and not both"
        found.append(Violation(f"{field}.beads", reason))
        return None
    (name,) = lists
    listed = getattr(message, name)
    if len(listed) > LIMITS.beads:
        found.append(Violation(f"{field}.{name}", f"more than {LIMITS.beads:,}"))
        return None
    beads = []
    for i, one in enumerate(listed):
        fields = _positive(one) if name == "unacceptable" else _fields(one)
        place = f"{field}.{name}[{i}]"
        if fields is None:
            found.append(Violation(f"{place}.result", "is none that this server knows"))
            continue
        try:
            beads.append(read_bead(reader.names, i + 1, fields))
        except (RecordError, TypingError) as error:
            column = error.field if isinstance(error, RecordError) else TARGET
            at = place if name == "unacceptable" else f"{place}.{column}"
            found.append(Violation(at, str(error)))
    if len(found) > before or cut_offs is None:
        return None
    return reader.profile(beads, cut_offs)


def _cut_offs(
    field: str,
    message: antibodies_pb2.AntibodyReport | jobs_pb2.JobAntibodies,
    found: list[Violation],
) -> CutOffs | None:
    before, usual = len(found), CutOffs()
    values = {}
    for name, of_usual in (
        ("mfi_cut_off", usual.mfi),
        ("cumulative_mfi_cut_off", usual.cumulative),
    ):
        values[name] = getattr(message, name) if message.HasField(name) else of_usual
        try:
            CutOffs(usual.mfi, values[name])
        except ValueError as error:
            found.append(Violation(f"{field}.{name}", str(error)))
    if len(found) > before:
        return None
    mfi, cumulative = values.values()
    assert mfi is not None
    return CutOffs(mfi, cumulative)


def _fields(bead: antibodies_pb2.AntibodyBead) -> dict[str, str] | None:
    """A bead as the fields of a line; None for a result of a newer contract."""
    if bead.result not in _RESULTS:
        return None
    return {
        **{name: getattr(bead, name).strip() for name in _BEAD_TEXTS},
        "mfi": repr(bead.mfi) if bead.HasField("mfi") else "",
        "result": _RESULTS[bead.result],
    }


def _positive(name: str) -> dict[str, str]:
    return {TARGET: name.strip(), "result": Answer.POSITIVE.text}


def antibody_use(
    field: str,
    message: antibodies_pb2.SearchAntibodies,
    reader: ReportReader,
    found: list[Violation],
) -> AntibodyUse | None:
    """The report of the patient of a search; None, and violations, where it cannot be used."""
    profile = read_report(f"{field}.report", message.report, reader, found)
    overrides = _overrides(field, message, found)
    if overrides is None or profile is None:
        return None
    return AntibodyUse(profile, message.exclude_positive, overrides)


def judged_request(
    field: str, message: jobs_pb2.JobAntibodies, found: list[Violation]
) -> dict[str, Any] | None:
    """By what rules the reports of many patients are judged, as values of JSON; None, and
    violations, where they cannot be used. Of the file no more is read here than its header."""
    before = len(found)
    cut_offs = _cut_offs(field, message, found)
    overrides = _overrides(field, message, found)
    if not message.file:
        found.append(Violation(f"{field}.file", "give the reports of the patients"))
    elif len(message.file) > LIMITS.report_bytes:
        found.append(Violation(f"{field}.file", f"more than {LIMITS.report_bytes:,} bytes"))
    else:
        try:
            report_lines("it", message.file)
        except InputFileError as error:
            found.append(Violation(f"{field}.file", str(error)))
    if len(found) > before or cut_offs is None or overrides is None:
        return None
    return judged_by(cut_offs, message.exclude_positive, overrides)


def _overrides(
    field: str,
    message: antibodies_pb2.SearchAntibodies | jobs_pb2.JobAntibodies,
    found: list[Violation],
) -> dict[str, str] | None:
    """Why donors are to be kept though positive; None, and violations, for what cannot be used."""
    before = len(found)
    overrides: dict[str, str] = {}
    if message.kept and not message.exclude_positive:
        reason = "nobody is left out without exclude_positive; set it"
        found.append(Violation(f"{field}.kept", reason))
    if len(message.kept) > LIMITS.listed:
        found.append(Violation(f"{field}.kept", f"more than {LIMITS.listed:,}"))
        return None
    for i, one in enumerate(message.kept):
        for name, text, most in (
            ("donor", one.donor, LIMITS.identifier_characters),
            ("reason", one.reason.strip(), LIMITS.reason_characters),
        ):
            if not 1 <= len(text) <= most or not text.isprintable():
                reason = f"must be printable text of 1 to {most} characters"
                found.append(Violation(f"{field}.kept[{i}].{name}", reason))
        if one.donor in overrides:
            found.append(Violation(f"{field}.kept[{i}].donor", "is named twice"))
        overrides[one.donor] = one.reason.strip()
    return None if len(found) > before else overrides


def crossmatch_messages(found: Sequence[Crossmatched]) -> list[antibodies_pb2.Crossmatch]:
    """The crossmatch of each with all of its evidence."""
    known: dict[int, list[antibodies_pb2.CrossmatchFinding]] = {}
    messages = []
    for one in found:
        findings: list[antibodies_pb2.CrossmatchFinding] = []
        if one.result is not None:
            # People of one typing share a result.
            key = id(one.result)
            if key not in known:
                known[key] = [_finding(*pair) for pair in one.result.findings]
            findings = known[key]
        message = antibodies_pb2.Crossmatch(
            answer=ANSWERS[one.answer],
            worst=ANSWERS[one.worst],
            p_positive=one.p_positive,
            p_positive_worst=_worst(one),
            systems=_systems(one),
            findings=findings,
            imputed=[system.value for system in one.imputed],
            problem=one.problem,
        )
        if one.result is not None:
            message.cumulative_mfi_low = one.result.mfi.low
            message.cumulative_mfi_high = one.result.mfi.high
        messages.append(message)
    return messages


def _worst(one: Crossmatched) -> float | None:
    return None if one.p_negative is None else 1.0 - one.p_negative


def _systems(one: Crossmatched) -> list[antibodies_pb2.SystemCrossmatch]:
    told = {} if one.result is None else {found.system: found for found in one.result.systems}
    return [
        antibodies_pb2.SystemCrossmatch(
            system=system.value,
            answer=ANSWERS[told[system].answer] if system in told else None,
            untyped=system in told and not told[system].is_typed,
        )
        for system in SYSTEMS
    ]


def _finding(system: System, finding: Finding) -> antibodies_pb2.CrossmatchFinding:
    call = finding.call
    return antibodies_pb2.CrossmatchFinding(
        system=system.value,
        molecules=finding.molecules,
        is_certain=finding.is_certain,
        answer=ANSWERS[call.answer],
        worst=ANSWERS[call.high],
        basis=call.basis.value,
        beads=[
            antibodies_pb2.EvidenceBead(bead=bead_message(bead), position=bead.row - 1)
            for bead in call.beads
        ],
    )


def bead_message(bead: Bead) -> antibodies_pb2.AntibodyBead:
    """A bead as it was sent."""
    return antibodies_pb2.AntibodyBead(
        antigen_or_allele=bead.target,
        partner_chain=bead.partner,
        mfi=bead.mfi,
        date=bead.date,
        kit=bead.kit,
        result=None if bead.result is None else ANSWERS[bead.result],
    )


def crossmatch_columns(
    found: Sequence[Crossmatched], kept_for: Sequence[str]
) -> antibodies_pb2.CrossmatchColumns:
    """Crossmatches column by column, and why each donor was to be kept."""
    systems = [_systems(one) for one in found]
    totals = [None if one.result is None else one.result.mfi for one in found]
    mfi = [(math.nan, math.nan) if one is None else (one.low, one.high) for one in totals]
    return antibodies_pb2.CrossmatchColumns(
        answer=bytes(ANSWERS[one.answer] for one in found),
        worst=bytes(ANSWERS[one.worst] for one in found),
        p_positive=[_number(one.p_positive) for one in found],
        p_positive_worst=[_number(_worst(one)) for one in found],
        cumulative_mfi_low=[low for low, _ in mfi],
        cumulative_mfi_high=[high for _, high in mfi],
        systems=[
            antibodies_pb2.SystemColumn(
                system=system.value,
                answer=bytes(of[i].answer for of in systems),
                untyped=bytes(of[i].untyped for of in systems),
            )
            for i, system in enumerate(SYSTEMS)
        ],
        evidence=[one.evidence for one in found],
        problem=[one.problem for one in found],
        kept_for=kept_for,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def antibody_summary(
    profile: Profile,
    own_type: Sequence[str],
    registry: RegistryAnswers | None = None,
    excluded: int = 0,
) -> antibodies_pb2.AntibodySummary:
    """What a report says besides of single donors. `registry`: of all donors, None if not asked."""
    return antibodies_pb2.AntibodySummary(
        mfi_cut_off=profile.cut_offs.mfi,
        cumulative_mfi_cut_off=profile.cut_offs.cumulative,
        own_type=own_type,
        notes=profile.notes,
        registry=None if registry is None else _registry(registry),
        excluded=excluded,
    )


def _registry(answers: RegistryAnswers) -> antibodies_pb2.RegistryCrossmatch:
    counts = answers.count()
    low, high = answers.pra
    return antibodies_pb2.RegistryCrossmatch(**counts, pra_low=low, pra_high=high)
