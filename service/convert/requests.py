"""Requests -> checked values; a wrong one ends in `RequestError` with every violation."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.errors import TypingError
from matching.genotypes import Genotype, encode
from matching.loci import LOCI, Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.risk import VARIABLES, Variable
from matching.typings import Typing, parse_typing
from service.masses import GenotypeLimits
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
    # Of a site, and donors of each.
    saved_searches: int = 10_000
    saved_donors: int = 100_000
    # Beyond these a comparison has no probabilities (PROBABILITY_STATUS_TOO_AMBIGUOUS).
    genotypes: GenotypeLimits = GenotypeLimits(patient=30_000, pairs=2_000_000)  # noqa: RUF009


LIMITS = Limits()
DEFAULT_LOCI = parse_loci("A,B,C,DRB1,DQB1")
EARLIEST_DAY = datetime.date(1900, 1, 1)
_VARIABLES = {variable.name: variable for variable in VARIABLES}


@contextmanager
def checking() -> Iterator[list[Violation]]:
    """A list for violations; raises `RequestError` at the end where it holds any."""
    found: list[Violation] = []
    yield found
    if found:
        raise RequestError(found)


@dataclass(frozen=True)
class PairRequest:
    """A checked pair, and the notes of reading both typings."""

    patient: Typing
    donor: Typing
    loci: tuple[Locus, ...]
    notes: tuple[str, ...]
    with_haplotypes: bool


def typing_request(
    request: graftmatch_pb2.ParseTypingRequest, nomenclature: Nomenclature
) -> tuple[Typing, Genotype]:
    """The typing, and what it means under the release. Raises `RequestError`."""
    with checking() as found:
        read = read_typing("typing", request.typing, nomenclature, found)
    assert read is not None
    return read


def pair_request(
    request: graftmatch_pb2.ScorePairRequest, nomenclature: Nomenclature
) -> PairRequest:
    """Raises `RequestError` with every violation."""
    with checking() as found:
        patient = read_typing("patient", request.patient, nomenclature, found)
        donor = read_typing("donor", request.donor, nomenclature, found)
        loci = read_loci(request.loci, found)
    assert patient is not None and donor is not None
    notes = tuple(dict.fromkeys((*patient[1].notes, *donor[1].notes)))
    return PairRequest(patient[0], donor[0], loci, notes, request.with_haplotypes)


def read_typing(
    field: str, text: str, nomenclature: Nomenclature, found: list[Violation]
) -> tuple[Typing, Genotype] | None:
    if len(text) > LIMITS.typing_characters:
        reason = f"longer than {LIMITS.typing_characters:,} characters"
        found.append(Violation(field, reason))
        return None
    try:
        typing = parse_typing(text)
        return typing, encode(typing, nomenclature)
    except TypingError as error:
        found.append(Violation(field, str(error)))
        return None


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
