"""Grafts of two cord blood units over the service, page by page."""

from __future__ import annotations

from dataclasses import asdict

from data.donor_files import Person
from matching.antibodies import registry_answers
from matching.typings import split_gl
from service.answering import provenance
from service.antibodies import own_warnings
from service.calls import checkpoint
from service.convert import LIMITS, checking
from service.convert.antibodies import antibody_summary, crossmatch_messages
from service.convert.cord import pair_rule, unit_pair
from service.convert_search import OF_ONE_ANSWER, check_empty, inside, search_request
from service.criteria import criteria_json
from service.double import find_pairs
from service.pages import DEFAULT_SIZE, page_start, page_token, search_state
from service.pb.graftmatch.v1 import cord_pb2, graftmatch_pb2
from service.snapshot import Snapshot
from service.status import EmptyRegistryError, RequestError, Violation

# Fields of a search that mean nothing to pairs, or are asked of both units together.
_NOT_OF_PAIRS = (
    *("limit", "rank_keys", "rank_bands", "without_potential"),
    *OF_ONE_ANSWER,
)
_DOSES = ("min_tnc_1e7_per_kg", "min_cd34_1e6_per_kg")


def unit_pairs_answer(
    snapshot: Snapshot, message: graftmatch_pb2.SearchUnitPairsRequest
) -> graftmatch_pb2.SearchUnitPairsResponse:
    """Raises `RequestError`, `EmptyRegistryError` and `StoreError`."""
    with inside("search"):
        with checking() as found:
            check_empty(message.search, _NOT_OF_PAIRS, found)
            found += [
                Violation(f"donors.{name}", "is asked of both units together, in rule")
                for name in _DOSES
                if message.search.donors.HasField(name)
            ]
            if not message.search.patient_facts.HasField("weight_kg"):
                found.append(Violation("patient_facts.weight_kg", "a dose per kg needs it"))
        asked = graftmatch_pb2.SearchDonorsRequest()
        asked.CopyFrom(message.search)
        if not asked.HasField("cord"):
            asked.cord.rule = cord_pb2.CORD_RULE_SIX
        request = search_request(asked, snapshot.nomenclature, snapshot.reports)
    settings = request.asked.settings(None)
    with checking() as found:
        rule = pair_rule(message.rule, settings.criteria.max_mismatches, found)
        if message.page_size > LIMITS.page_size:
            found.append(Violation("page_size", f"must be 1 to {LIMITS.page_size:,}, or 0"))
    assert rule is not None
    if snapshot.search is None:
        raise EmptyRegistryError("the registry holds no donors; import some")
    state = search_state(
        request.patient,
        request.facts,
        {
            **criteria_json(settings.criteria, settings.donors),
            "pairs": asdict(rule),
            "antibodies": message.search.antibodies.SerializeToString(deterministic=True).hex(),
        },
        settings.as_of,
        settings.rule,
        {
            "release": snapshot.nomenclature.release,
            "index": snapshot.index_version,
            "frequency set": snapshot.frequency_set,
        },
    )
    start = page_start(message.page_token, state) if message.page_token else 0
    if not 0 <= start < LIMITS.unit_pairs:
        raise RequestError([Violation("page_token", "no token of a page; ask for the first page")])
    end = min(start + (message.page_size or DEFAULT_SIZE), LIMITS.unit_pairs)
    person = Person("patient", request.facts, split_gl(request.patient.text))
    use = request.antibodies
    results = find_pairs(person, snapshot.search, settings, rule, start, end - start, use)
    goes_on = results.more and end < LIMITS.unit_pairs
    told, kept_for = None, {} if use is None else use.overrides
    if use is not None:
        donors = snapshot.search.index.donors
        everyone = None if start else registry_answers(donors, use.profile, checkpoint)
        own = own_warnings(request.patient, use.profile)
        told = antibody_summary(use.profile, own, everyone, len(results.excluded))
    messages = crossmatch_messages(list(results.crossmatches.values()))
    crossmatches = dict(zip(results.crossmatches, messages, strict=True))
    return graftmatch_pb2.SearchUnitPairsResponse(
        provenance=provenance(snapshot),
        pairs=[
            unit_pair(row, crossmatches, kept_for)
            for row in results.table.to_dict(orient="records")
        ],
        units=results.n_units,
        units_without_count=results.without_count,
        notes=results.notes,
        as_of=settings.as_of.isoformat(),
        next_page_token=page_token(end, state) if goes_on else "",
        more=results.more,
        antibodies=told,
    )
