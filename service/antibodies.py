"""Antibody reports against people: calls with their evidence, and probabilities where a typing
leaves the answer open."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data.antibodies import AntibodyFile
from data.donor_files import Person, Rejects
from data.index import StoredIndex
from matching.antibodies import (
    SYSTEMS,
    Answer,
    Bead,
    CrossmatchResult,
    CutOffs,
    Finding,
    ImputedAnswers,
    Names,
    Profile,
    PublicEpitopes,
    RegistryAnswers,
    System,
    crossmatch,
)
from matching.errors import InputFileError, TypingError
from matching.nomenclature import Nomenclature
from matching.parts import in_parts
from matching.sequences import Domains
from matching.typings import Typing, typing_of
from service.calls import checkpoint, watched
from service.frequency_sets import SearchSets
from service.imputation import explain_by_ancestry

# Molecules that are named in one line of evidence.
_MOST_NAMED = 3


@dataclass(frozen=True)
class ReportReader:
    """Reads reports under a release; made once for any number of reports and threads."""

    names: Names
    epitopes: PublicEpitopes

    @classmethod
    def of(cls, nomenclature: Nomenclature, proteins: Mapping[str, str]) -> ReportReader:
        """`proteins`: sequences by allele name, for Bw4 and Bw6."""
        return cls(Names(nomenclature), PublicEpitopes(Domains(nomenclature, proteins)))

    def profile(self, beads: Iterable[Bead], cut_offs: CutOffs) -> Profile:
        """What a report says, for one thread at a time. Raises `TypingError`."""
        return Profile(self.names, self.epitopes, beads, cut_offs)


@dataclass(frozen=True)
class AntibodyReports:
    """The reports of a file under cut-offs, by patient, "" where it names none."""

    profiles: Mapping[str, Profile]
    rejects: Rejects

    @classmethod
    def read(cls, path: Path, reader: ReportReader, cut_offs: CutOffs) -> AntibodyReports:
        """Raises `InputFileError`, and `CallEndedError` where nobody waits any more."""
        file = AntibodyFile(reader.names)
        file.read(path, checkpoint)
        profiles = {
            patient: reader.profile(beads, cut_offs)
            for patient, beads in watched(file.beads.items())
        }
        return cls(profiles, file.rejects)

    def of(self, patients: Sequence[str], rejected: Rejects) -> dict[str, Profile]:
        """The report of each of some patients that has one.

        A file that names no patient is the report of a single one. `rejected`: who would be among
        the patients too, but for a record that cannot be used; these spoil nothing for the others.
        Raises `InputFileError`.
        """
        n_asked = len(patients) + len(rejected)
        if set(self.profiles) == {""} and n_asked == 1:
            return dict.fromkeys(patients, self.profiles[""])
        if "" in self.profiles:
            raise InputFileError(
                f"{n_asked:,} patients, and some lines of the antibody report do not say "
                "whose they are; add a column patient"
            )
        known = {*patients, *rejected.identifiers()}
        if unknown := sorted(set(self.profiles) - known):
            raise InputFileError(
                f"the antibody report is of patient {unknown[0]!r}, who is not among the patients; "
                "give that patient, or leave the lines out"
            )
        return {name: self.profiles[name] for name in patients if name in self.profiles}


@dataclass(frozen=True)
class Crossmatched:
    """A person's virtual crossmatch; `result` is None where the typing cannot be read.

    `p_positive`, `p_negative`: the probability that the answer is positive, or negative, for
    certain; the rest is open. None where the answer is open or not assessable and nothing can be
    imputed. `imputed`: the systems whose
    frequencies were used.
    """

    id: str
    result: CrossmatchResult | None
    p_positive: float | None = None
    p_negative: float | None = None
    imputed: tuple[System, ...] = ()
    problem: str = ""

    @property
    def answer(self) -> Answer:
        """Not assessable where the typing cannot be read."""
        return Answer.NOT_ASSESSABLE if self.result is None else self.result.answer

    @property
    def worst(self) -> Answer:
        """The worst answer that the typing leaves possible."""
        return Answer.POSITIVE if self.result is None else self.result.high

    def system_texts(self) -> dict[str, str]:
        """The answer at each system, `untyped` and `not tested` included."""
        texts = dict.fromkeys((system.value for system in SYSTEMS), "not tested")
        for one in () if self.result is None else self.result.systems:
            texts[one.system.value] = one.answer.text if one.is_typed else "untyped"
        return texts

    @property
    def worst_finding(self) -> str:
        """The call of the worst answer, "" where all are negative."""
        findings = [] if self.result is None else list(self.result.findings)
        worst = max(findings, key=lambda one: (one[1].call.high, one[1].call.low), default=None)
        if worst is None or worst[1].call.high is Answer.NEGATIVE:
            return self.problem
        return f"{worst[0].value} {finding_text(worst[1])}"

    @property
    def evidence(self) -> str:
        """What is or may be positive, and why, on one line; or why the typing cannot be read."""
        if self.result is None:
            return self.problem
        lines = [
            f"{system.value} {finding_text(finding)}"
            for system, finding in self.result.findings
            if finding.call.high is Answer.POSITIVE
        ]
        return "; ".join(lines)


def finding_text(finding: Finding) -> str:
    """A call with its molecules, its reason and its strongest bead."""
    named = ", ".join(finding.molecules[:_MOST_NAMED])
    more = len(finding.molecules) - _MOST_NAMED
    if more > 0:
        named += f" and {more} more"
    call = finding.call
    worst = "" if call.high is call.low else ", positive at worst"
    possible = "" if finding.is_certain else "if it is "
    beads = f": {bead_text(call.beads[0])}" if call.beads else ""
    others = f" and {len(call.beads) - 1} more" if len(call.beads) > 1 else ""
    return f"{possible}{named} {call.answer.text}{worst} ({call.basis.value}{beads}{others})"


def bead_text(bead: Bead) -> str:
    """A bead with its MFI, result, date and kit."""
    parts = [bead.name]
    if bead.mfi is not None:
        parts.append(f"MFI {bead.mfi:,.0f}")
    if bead.result is not None:
        parts.append(f"reported {bead.result.text}")
    parts += [part for part in (bead.date, bead.kit) if part]
    return " ".join(parts)


def own_warnings(patient: Typing, profile: Profile) -> list[str]:
    """Antibodies against the patient's own type, one line each. Raises `TypingError`."""
    return [
        f"antibody against the patient's own type: {system.value} {finding_text(finding)}; "
        "check the typing, the sample and the report"
        for system, finding in crossmatch(patient, profile).findings
        if finding.call.answer is Answer.POSITIVE and finding.is_certain
    ]


def own_types(people: Iterable[Person], profiles: Mapping[str, Profile]) -> dict[str, list[str]]:
    """`own_warnings` of each of some people who has a report, by identifier."""
    return {
        person.id: own_warnings(typing_of(person.written), profiles[person.id])
        for person in watched(people)
        if person.id in profiles
    }


# P(positive) and P(negative) of answers that leave nothing open.
_CERTAIN = {Answer.POSITIVE: (1.0, 0.0), Answer.NEGATIVE: (0.0, 1.0)}


def crossmatched(
    people: Sequence[Person], profile: Profile, sets: SearchSets | None
) -> list[Crossmatched]:
    """People in their order; probabilities only of those whose typing leaves the answer open."""
    found: list[Crossmatched] = []
    left_open: dict[int, Typing] = {}
    for i, person in enumerate(watched(people)):
        try:
            typing = typing_of(person.written)
            result = crossmatch(typing, profile)
        except TypingError as error:
            found.append(Crossmatched(person.id, None, problem=str(error)))
            continue
        certain = _CERTAIN.get(result.answer, (None, None))
        found.append(Crossmatched(person.id, result, *certain))
        if result.low is not result.high:
            left_open[i] = typing
    if sets is not None and left_open:
        some = [(people[i], typing, found[i]) for i, typing in left_open.items()]
        for i, one in zip(left_open, _imputed(some, profile, sets), strict=True):
            found[i] = one
    return found


def _imputed(
    people: Sequence[tuple[Person, Typing, Crossmatched]], profile: Profile, sets: SearchSets
) -> Iterator[Crossmatched]:
    """The same people with probabilities where their set represents them."""
    imputer = sets.imputer()
    answers = ImputedAnswers(imputer, profile)
    most = profile.cut_offs.cumulative
    explained = explain_by_ancestry(imputer, [person for person, _, _ in people], sets.under)
    for (person, typing, one), classes in zip(watched(people), explained, strict=True):
        assert one.result is not None
        if isinstance(classes, str):
            yield Crossmatched(person.id, one.result, problem=classes)
            continue
        systems = answers.systems(one.result)
        if not systems:
            # The set carries nothing of what is open: that is unknown, not 0.
            yield one
            continue
        p_positive, p_negative = answers.probabilities(typing, one.result, classes)
        if most is not None and one.result.mfi.high >= most:
            # The sum may reach the cut-off whatever each molecule is.
            p_negative = 0.0
        yield Crossmatched(person.id, one.result, p_positive, p_negative, systems)


def best_rows(index: StoredIndex, answers: RegistryAnswers, most: int) -> npt.NDArray[np.int64]:
    """Rows of the donors of an index by their answers, the most favourable first, then in its
    order. `answers`: as `registry_answers` gives them."""
    rows = index.donors.valid_rows(checkpoint)
    by_answers: dict[int, list[npt.NDArray[np.int64]]] = defaultdict(list)
    for part in in_parts(len(rows), checkpoint):
        some = RegistryAnswers(answers.bits[part])
        keys = 3 * some.low.astype(np.int64) + some.high
        for key in np.unique(keys).tolist():
            by_answers[key].append(rows[part][keys == key][:most])
    found = [of_part for _, parts in sorted(by_answers.items()) for of_part in parts]
    return np.concatenate([rows[:0], *found])[:most]


def crossmatch_columns(one: Crossmatched) -> dict[str, Any]:
    """One row of a table; columns are described in docs/antibodies.md."""
    mfi = None if one.result is None else one.result.mfi
    return {
        "answer": one.answer.text,
        "worst": one.worst.text,
        "p_positive": one.p_positive,
        "p_positive_worst": None if one.p_negative is None else 1.0 - one.p_negative,
        "cumulative_mfi_low": None if mfi is None else mfi.low,
        "cumulative_mfi_high": None if mfi is None else mfi.high,
        **{f"{name.lower()}_answer": text for name, text in one.system_texts().items()},
        "evidence": one.evidence,
    }
