"""Requests of searches as values."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from data.index import DonorFilter
from matching.cord import cord_criteria
from matching.errors import InputFileError
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.rank import CORD_KEYS, DEFAULT_KEYS, RankRule
from matching.search import Criteria, Direction
from matching.typings import Typing
from service.antibodies import ReportReader
from service.convert import LIMITS, checking, read_day, read_facts, read_loci, read_typing
from service.convert.antibodies import antibody_use
from service.convert.cord import CORD_RULES
from service.criteria import DONOR_LEVELS, DONOR_LIMITS, donor_filter
from service.pairs import Facts
from service.pb.graftmatch.v1 import graftmatch_pb2
from service.search import AntibodyUse, SearchSettings
from service.status import RequestError, Violation

# Fields of a search that say how one answer is sent.
OF_ONE_ANSWER = (
    "batch_size",
    "page_size",
    "page_token",
    "without_probabilities",
    "with_haplotypes",
)
# Fields of a search that a rule of cord units says.
_OF_RULE = ("loci", "max_mismatches", "max_mismatches_at", "direction", "antigen_loci")


@dataclass(frozen=True)
class Asked:
    """What a search asks for, of whichever patient. `donors`: of facts (`service.criteria`).

    `limit`: None for every donor. `as_of`: None for the present day. `by_rule`: of cord units.
    """

    criteria: Criteria
    donors: Mapping[str, Any]
    rule: RankRule
    limit: int | None
    as_of: datetime.date | None
    by_rule: bool

    def settings(self, size: int | None) -> SearchSettings:
        """Of a search for the first `size` donors."""
        return SearchSettings(
            self.criteria,
            self.as_of or datetime.date.today(),
            rule=self.rule,
            donors=self.donors,
            size=size,
            maternal=self.by_rule,
        )


@dataclass(frozen=True)
class SearchRequest:
    """A checked search. `filter`: what is asked of facts.

    `batch_size`: 0 for the usual one. `page_size`: None without pages; `page_token`: "" for the
    first page.
    """

    patient: Typing
    facts: Facts
    asked: Asked
    filter: DonorFilter
    batch_size: int
    with_probabilities: bool
    page_size: int | None
    page_token: str
    with_haplotypes: bool
    antibodies: AntibodyUse | None


def search_request(
    request: graftmatch_pb2.SearchDonorsRequest, nomenclature: Nomenclature, reader: ReportReader
) -> SearchRequest:
    """`reader`: of antibody reports. Raises `RequestError` with every violation."""
    with checking() as found:
        read = read_typing("patient", request.patient, nomenclature, found)
        asked = _asked(request, request.HasField("antibodies"), found)
        if request.batch_size > LIMITS.batch_size:
            found.append(Violation("batch_size", f"must be 1 to {LIMITS.batch_size}, or 0"))
        if request.page_size > LIMITS.page_size:
            found.append(Violation("page_size", f"must be 1 to {LIMITS.page_size:,}, or 0"))
        if request.page_size and request.limit:
            found.append(Violation("limit", "not together with page_size"))
        if request.page_token and not request.page_size:
            found.append(Violation("page_size", "must be given with page_token"))
        facts = read_facts("patient_facts", request.patient_facts, found)
        antibodies = None
        if request.HasField("antibodies"):
            antibodies = antibody_use("antibodies", request.antibodies, reader, found)
    assert read is not None and asked is not None
    with checking() as found:
        try:
            wanted = donor_filter(asked.donors, "", facts["weight_kg"])
        except InputFileError:
            found.append(Violation("patient_facts.weight_kg", "a dose per kg needs it"))
    return SearchRequest(
        read.typing,
        facts,
        asked,
        wanted,
        request.batch_size,
        not request.without_probabilities,
        request.page_size or None,
        request.page_token,
        request.with_haplotypes,
        antibodies,
    )


def settings_request(request: graftmatch_pb2.SearchDonorsRequest, antibodies: bool) -> Asked:
    """What is asked for of many patients, who are told of elsewhere, and so are their `antibodies`,
    if any. Raises `RequestError`."""
    with checking() as found:
        check_empty(request, ("patient", "patient_facts", "antibodies", *OF_ONE_ANSWER), found)
        asked = _asked(request, antibodies, found)
    assert asked is not None
    return asked


def check_empty(
    request: graftmatch_pb2.SearchDonorsRequest, names: Sequence[str], found: list[Violation]
) -> None:
    """Adds a violation for each of these fields that a search must not have here."""
    given = {field.name for field, _ in request.ListFields()}
    found += [Violation(name, "must be empty here") for name in names if name in given]


def check_of_strata(request: graftmatch_pb2.SearchDonorsRequest, found: list[Violation]) -> None:
    """Adds a violation for each field of a search that strata say."""
    check_empty(request, ("cord", "rank_keys"), found)
    if request.donors.types:
        found.append(Violation("donors.types", "the strata are the types"))


@contextmanager
def inside(field: str) -> Iterator[None]:
    """Violations of the block are those of a message in this field."""
    try:
        yield
    except RequestError as error:
        raise RequestError(
            [Violation(f"{field}.{name}", reason) for name, reason in error.violations]
        ) from None


def _asked(
    request: graftmatch_pb2.SearchDonorsRequest, antibodies: bool, found: list[Violation]
) -> Asked | None:
    by_rule = request.HasField("cord")
    criteria = (_criteria_by_rule if by_rule else _criteria)(request, found)
    if request.max_mismatches > LIMITS.mismatches:
        found.append(Violation("max_mismatches", f"must be 0 to {LIMITS.mismatches}"))
    as_of = read_day("as_of", request.as_of, found)
    rule = _rule(request, antibodies, found)
    donors = _donors(request.donors, found)
    if by_rule:
        if donors.get("types", ["cord"]) != ["cord"]:
            found.append(Violation("donors.types", "a rule is for cord units alone"))
        donors["types"] = ["cord"]
    if rule is None or criteria is None:
        return None
    return Asked(criteria, donors, rule, request.limit or None, as_of, by_rule)


def _rule(
    request: graftmatch_pb2.SearchDonorsRequest, antibodies: bool, found: list[Violation]
) -> RankRule | None:
    keys, bands = tuple(request.rank_keys), tuple(request.rank_bands)
    if not keys:
        keys = CORD_KEYS if request.HasField("cord") else DEFAULT_KEYS
        if antibodies:
            keys = ("antibody", *keys)
    try:
        return RankRule(keys, bands or RankRule().bands)
    except ValueError as error:
        field = "rank_bands" if str(error).startswith("bands") else "rank_keys"
        found.append(Violation(field, str(error)))
        return None


_DIRECTIONS = {
    graftmatch_pb2.MISMATCH_DIRECTION_UNSPECIFIED: Direction.BOTH,
    graftmatch_pb2.MISMATCH_DIRECTION_GVH: Direction.GVH,
    graftmatch_pb2.MISMATCH_DIRECTION_HVG: Direction.HVG,
}


def _criteria_by_rule(
    request: graftmatch_pb2.SearchDonorsRequest, found: list[Violation]
) -> Criteria | None:
    given = {field.name for field, _ in request.ListFields()}
    found += [
        Violation(name, "must be empty with a rule of cord units")
        for name in _OF_RULE
        if name in given
    ]
    cord = request.cord
    if cord.rule not in CORD_RULES:
        found.append(Violation("cord.rule", "name a rule that this server knows"))
        return None
    most = cord.max_mismatches if cord.HasField("max_mismatches") else None
    if most is not None and most > LIMITS.mismatches:
        found.append(Violation("cord.max_mismatches", f"must be 0 to {LIMITS.mismatches}"))
    return cord_criteria(CORD_RULES[cord.rule], most, not request.without_potential)


def _criteria(
    request: graftmatch_pb2.SearchDonorsRequest, found: list[Violation]
) -> Criteria | None:
    before = len(found)
    loci = read_loci(request.loci, found)
    limits: dict[Locus, int] = {}
    for name in sorted(request.max_mismatches_at):
        field = f"max_mismatches_at[{name[:20]!r}]"
        try:
            (locus,) = parse_loci(name.replace(",", ";"))
        except ValueError as error:
            found.append(Violation(field, str(error)))
            continue
        limits[locus] = request.max_mismatches_at[name]
        if limits[locus] > 2:
            found.append(Violation(field, "must be 0 to 2"))
        elif locus not in loci:
            found.append(Violation(field, "the locus is not searched"))
    antigen = read_loci(request.antigen_loci, found, "antigen_loci") if request.antigen_loci else ()
    if not set(antigen) <= set(loci):
        found.append(Violation("antigen_loci", "names a locus that is not searched"))
    if request.direction not in _DIRECTIONS:
        found.append(Violation("direction", "is none that this server knows"))
    if len(found) > before:
        return None
    return Criteria(
        loci,
        request.max_mismatches,
        limits,
        _DIRECTIONS[request.direction],
        frozenset(antigen),
        not request.without_potential,
    )


def _donors(message: graftmatch_pb2.DonorCriteria, found: list[Violation]) -> dict[str, Any]:
    """What is asked of donors' facts."""
    donors: dict[str, Any] = {}
    for name, known in DONOR_LEVELS.items():
        values = sorted(set(getattr(message, name)))
        if values:
            donors[name] = values
        if known and not set(values) <= set(known):
            found.append(Violation(f"donors.{name}", f"must be of {', '.join(known)}"))
    for name in DONOR_LIMITS:
        if message.HasField(name):
            donors[name] = getattr(message, name)
            if not donors[name] >= 0:
                found.append(Violation(f"donors.{name}", "must be at least 0"))
    if message.require_known:
        donors["require_known"] = True
    return donors
