"""Requests -> checked values; a wrong one ends in `RequestError` with every violation."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data.antibodies import MAX_BYTES
from data.donor_files import FACTS
from matching.errors import TypingError
from matching.genotypes import Genotype, encode
from matching.loci import LOCI, Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.risk import VARIABLES, Variable
from matching.typings import Typing, parse_typing
from service.masses import GenotypeLimits
from service.pairs import Facts
from service.pb.graftmatch.v1 import graftmatch_pb2
from service.status import RequestError, Violation


@dataclass(frozen=True)
class Limits:
    """What a request may ask for at most."""

    message_bytes: int = 32 * 1024 * 1024
    typing_characters: int = 100_000
    mismatches: int = 18
    batch_size: int = 1000
    page_size: int = 10_000
    identifier_characters: int = 200
    patients: int = 100_000
    donors: int = 1_000_000
    edges: int = 1_000_000
    pairs: int = 1000
    # Of a list: items in a page, rejects and notes of an import.
    listed: int = 1000
    import_bytes: int = 4 * 1024**3
    allocation_limits: int = 10_000
    # Of an antibody report, unacceptable antigens likewise.
    beads: int = 10_000
    # Of a file of reports of many patients.
    report_bytes: int = MAX_BYTES
    reason_characters: int = 500
    # A least dose, in 10^7 or 10^6 cells a kg.
    dose: int = 1000
    # Of two cord units that are ranked, over all pages.
    unit_pairs: int = 100_000
    family_members: int = 100
    # Of donors against one report.
    crossmatches: int = 10_000
    # Of a site, and donors of each.
    saved_searches: int = 10_000
    saved_donors: int = 100_000
    # Beyond these a comparison has no probabilities (PROBABILITY_STATUS_TOO_AMBIGUOUS).
    genotypes: GenotypeLimits = GenotypeLimits(patient=30_000, pairs=2_000_000)  # noqa: RUF009


LIMITS = Limits()
DEFAULT_LOCI = parse_loci("A,B,C,DRB1,DQB1")
EARLIEST_DAY = datetime.date(1900, 1, 1)
_LEVELS = {
    "type": ("adult", "cord"),
    "sex": ("male", "female"),
    "cmv": ("positive", "negative"),
    "abo": ("A", "B", "AB", "O"),
    "rh": ("positive", "negative"),
}
_TEXTS = ("ancestry", "registry")
_VARIABLES = {variable.name: variable for variable in VARIABLES}


@contextmanager
def checking() -> Iterator[list[Violation]]:
    """A list for violations; raises `RequestError` at the end where it holds any."""
    found: list[Violation] = []
    yield found
    if found:
        raise RequestError(found)


class ReadTyping(NamedTuple):
    """A GL string as it was sent, as a typing, and what that means under a release."""

    text: str
    typing: Typing
    genotype: Genotype


@dataclass(frozen=True)
class PairRequest:
    """A checked pair, and the notes of reading both typings.

    `facts`: of patient and donor, None where nothing was said of either.
    """

    patient: ReadTyping
    donor: ReadTyping
    loci: tuple[Locus, ...]
    facts: tuple[Facts, Facts] | None
    notes: tuple[str, ...]
    with_haplotypes: bool


def typing_request(
    request: graftmatch_pb2.ParseTypingRequest, nomenclature: Nomenclature
) -> ReadTyping:
    """The typing, and what it means under the release. Raises `RequestError`."""
    with checking() as found:
        read = read_typing("typing", request.typing, nomenclature, found)
    assert read is not None
    return read


def pair_request(
    request: graftmatch_pb2.ScorePairRequest, read: Callable[[str], ReadTyping]
) -> PairRequest:
    """`read`: reads a GL string. Raises `RequestError` with every violation."""
    with checking() as found:
        patient = read_with("patient", request.patient, read, found)
        donor = read_with("donor", request.donor, read, found)
        loci = read_loci(request.loci, found)
        facts = None
        if request.HasField("patient_facts") or request.HasField("donor_facts"):
            facts = (
                read_facts("patient_facts", request.patient_facts, found),
                read_facts("donor_facts", request.donor_facts, found),
            )
    assert patient is not None and donor is not None
    notes = tuple(dict.fromkeys((*patient.genotype.notes, *donor.genotype.notes)))
    return PairRequest(patient, donor, loci, facts, notes, request.with_haplotypes)


def read_gl(text: str, nomenclature: Nomenclature) -> ReadTyping:
    """A typing, and what it means under a release. Raises `TypingError`."""
    typing = parse_typing(text)
    return ReadTyping(text, typing, encode(typing, nomenclature))


def read_typing(
    field: str, text: str, nomenclature: Nomenclature, found: list[Violation]
) -> ReadTyping | None:
    return read_with(field, text, lambda text: read_gl(text, nomenclature), found)


def read_with(
    field: str, text: str, read: Callable[[str], ReadTyping], found: list[Violation]
) -> ReadTyping | None:
    """The typing of a field, by `read`; None, and a violation, where it cannot be read."""
    if len(text) > LIMITS.typing_characters:
        reason = f"longer than {LIMITS.typing_characters:,} characters"
        found.append(Violation(field, reason))
        return None
    try:
        return read(text)
    except TypingError as error:
        found.append(Violation(field, str(error)))
        return None


def read_facts(
    field: str,
    message: graftmatch_pb2.PatientFacts | graftmatch_pb2.DonorFacts,
    found: list[Violation],
) -> Facts:
    """The facts of a person; None is unknown."""
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    names = message.DESCRIPTOR.fields_by_name
    for name, known in _LEVELS.items():
        value = getattr(message, name) if name in names else ""
        if value and value not in known:
            reason = f"must be one of {', '.join(known)}, or empty"
            found.append(Violation(f"{field}.{name}", reason))
        facts[name] = value or None
    for name in _TEXTS:
        value = getattr(message, name).strip()
        if len(value) > LIMITS.identifier_characters or not value.isprintable():
            most = LIMITS.identifier_characters
            found.append(Violation(f"{field}.{name}", f"must be text of at most {most}"))
        facts[name] = value or None
    for name, low, high in (("age_years", 0, 120), ("weight_kg", 1, 500)):
        if message.HasField(name):
            facts[name] = getattr(message, name)
            if not low <= facts[name] <= high:
                found.append(Violation(f"{field}.{name}", f"must be {low} to {high}"))
    return facts


def read_loci(
    names: Sequence[str], found: list[Violation], field: str = "loci"
) -> tuple[Locus, ...]:
    if len(names) > len(LOCI):
        found.append(Violation(field, f"more than the {len(LOCI)} loci that are matched"))
        return ()
    loci: list[Locus] = []
    for i, name in enumerate(names):
        try:
            # A comma would be read as two names.
            (locus,) = parse_loci(name.replace(",", ";"))
        except ValueError as error:
            found.append(Violation(f"{field}[{i}]", str(error)))
            continue
        if locus in loci:
            found.append(Violation(f"{field}[{i}]", f"locus {locus.value} is given twice"))
        loci.append(locus)
    return tuple(sorted(loci, key=lambda locus: locus.position)) or DEFAULT_LOCI


def read_day(field: str, text: str, found: list[Violation]) -> datetime.date | None:
    if not text:
        return None
    try:
        day = datetime.date.fromisoformat(text)
    except ValueError:
        found.append(Violation(field, "not a day; write YYYY-MM-DD"))
        return None
    if day < EARLIEST_DAY:
        found.append(Violation(field, f"before {EARLIEST_DAY}"))
    return day


def factor_columns(
    request: graftmatch_pb2.PredictRiskRequest,
) -> dict[str, npt.NDArray[Any]]:
    """One array of one value a factor, as `matching.risk.predict` takes. Raises `RequestError`."""
    columns: dict[str, npt.NDArray[Any]] = {}
    with checking() as found:
        for name in sorted(request.factors):
            field = f"factors[{name[:60]!r}]"
            variable = _VARIABLES.get(name)
            if variable is None:
                near = ", ".join(difflib.get_close_matches(name[:60], _VARIABLES, n=3))
                hint = f"; near names: {near}" if near else "; docs/risk.md lists them"
                found.append(Violation(field, f"not the name of a factor{hint}"))
                continue
            value = request.factors[name]
            reason = _factor_problem(variable, value)
            if reason:
                found.append(Violation(field, reason))
            else:
                columns[name] = np.array([value.level if variable.levels else value.number])
    return columns


def _factor_problem(variable: Variable, value: graftmatch_pb2.FactorValue) -> str:
    kind = value.WhichOneof("value")
    if variable.levels:
        known = value.level in variable.levels or (variable.open and value.level)
        if kind != "level" or not known:
            return f"must be a level, one of: {', '.join(variable.levels)}"
    elif kind != "number" or not variable.low <= value.number <= variable.high:
        return f"must be a number from {variable.low:g} to {variable.high:g}"
    return ""
