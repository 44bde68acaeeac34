"""Requests of searches as values."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from data.donor_files import FACTS
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from matching.rank import RankRule
from matching.typings import Typing
from service.convert import LIMITS, checking, read_day, read_loci, read_typing
from service.pairs import Facts
from service.pb.graftmatch.v1 import graftmatch_pb2
from service.status import Violation

DEFAULT_BATCH_SIZE = 500
_PATIENT_FACTS = {
    "sex": ("male", "female"),
    "cmv": ("positive", "negative"),
    "abo": ("A", "B", "AB", "O"),
}


@dataclass(frozen=True)
class SearchRequest:
    """A checked search. `as_of`: None for the present day. `limit`: None for every donor.

    `page_size`: None without pages; `page_token`: "" for the first page.
    """

    patient: Typing
    facts: Facts
    loci: tuple[Locus, ...]
    max_mismatches: int
    batch_size: int
    limit: int | None
    as_of: datetime.date | None
    with_probabilities: bool
    rule: RankRule
    page_size: int | None
    page_token: str


def search_request(
    request: graftmatch_pb2.SearchDonorsRequest, nomenclature: Nomenclature
) -> SearchRequest:
    """Raises `RequestError` with every violation."""
    with checking() as found:
        read = read_typing("patient", request.patient, nomenclature, found)
        loci = read_loci(request.loci, found)
        if request.max_mismatches > LIMITS.mismatches:
            found.append(Violation("max_mismatches", f"must be 0 to {LIMITS.mismatches}"))
        if request.batch_size > LIMITS.batch_size:
            found.append(Violation("batch_size", f"must be 1 to {LIMITS.batch_size}, or 0"))
        if request.page_size > LIMITS.page_size:
            found.append(Violation("page_size", f"must be 1 to {LIMITS.page_size:,}, or 0"))
        if request.page_size and request.limit:
            found.append(Violation("limit", "not together with page_size"))
        if request.page_token and not request.page_size:
            found.append(Violation("page_size", "must be given with page_token"))
        as_of = read_day("as_of", request.as_of, found)
        rule = _rule(request.rank_keys, request.rank_bands, found)
        facts = _facts(request.patient_facts, found)
    assert read is not None and rule is not None
    return SearchRequest(
        read[0],
        facts,
        loci,
        request.max_mismatches,
        request.batch_size or DEFAULT_BATCH_SIZE,
        request.limit or None,
        as_of,
        not request.without_probabilities,
        rule,
        request.page_size or None,
        request.page_token,
    )


def _rule(keys: Sequence[str], bands: Sequence[float], found: list[Violation]) -> RankRule | None:
    usual = RankRule()
    try:
        return RankRule(tuple(keys) or usual.keys, tuple(bands) or usual.bands)
    except ValueError as error:
        field = "rank_bands" if str(error).startswith("bands") else "rank_keys"
        found.append(Violation(field, str(error)))
        return None


def _facts(message: graftmatch_pb2.PatientFacts, found: list[Violation]) -> Facts:
    facts: dict[str, Any] = dict.fromkeys(FACTS)
    for name, known in _PATIENT_FACTS.items():
        value = getattr(message, name)
        if value and value not in known:
            field = f"patient_facts.{name}"
            found.append(Violation(field, f"must be one of {', '.join(known)}, or empty"))
        facts[name] = value or None
    if message.HasField("age_years"):
        facts["age_years"] = message.age_years
        if not 0 <= message.age_years <= 120:
            found.append(Violation("patient_facts.age_years", "must be 0 to 120"))
    return facts
