"""Families of requests as values, and their analyses as messages."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from data.family import read_member
from matching.errors import FamilyError, RecordError, TypingError
from matching.family import (
    SOURCES,
    DonorFacts,
    FamilyAnalysis,
    HaploidenticalRule,
    Inconsistency,
    Member,
    Pedigree,
    Recombination,
    RefinedLocus,
    RelativeClass,
    Weighting,
)
from matching.immunogenetics import TceCategory
from matching.loci import Locus
from matching.nomenclature import Nomenclature
from service.convert.requests import LIMITS, checking, read_day, read_loci
from service.convert.responses import TCE
from service.family import FamilyResult, warnings_of
from service.pb.graftmatch.v1 import common_pb2, family_pb2
from service.status import RequestError, Violation

_CATEGORIES = {number: category for category, number in TCE.items()}
_CLASSES: Mapping[RelativeClass, Any] = {
    kind: family_pb2.RelativeClass.Value(f"RELATIVE_CLASS_{kind.name}") for kind in RelativeClass
}
_WEIGHTINGS: Mapping[Weighting, Any] = {
    one: family_pb2.FamilyWeighting.Value(f"FAMILY_WEIGHTING_{one.name}") for one in Weighting
}
# Fields of a member by the columns of a file.
_COLUMNS = {
    "id": "id",
    "father": "father",
    "mother": "mother",
    "sex": "sex",
    "birth_date": "birth_date",
    "gl": "typing",
}


@dataclass(frozen=True)
class FamilyRequest:
    """A checked family. `frequencies_of`: ancestry and registry, None for equal weights. `notes`:
    how names of the typings were followed."""

    pedigree: Pedigree
    patient: str
    loci: tuple[Locus, ...]
    as_of: datetime.date
    rule: HaploidenticalRule
    frequencies_of: tuple[str, str] | None
    notes: tuple[str, ...]


def family_request(
    request: family_pb2.AnalyseFamilyRequest, nomenclature: Nomenclature
) -> FamilyRequest:
    """Raises `RequestError` with every violation."""
    with checking() as found:
        loci = read_loci(request.loci, found)
        as_of = read_day("as_of", request.as_of, found)
        rule = haploidentical_rule("rule", request.rule, found)
        for name in ("ancestry", "registry"):
            text = getattr(request, name)
            if len(text) > LIMITS.identifier_characters or not text.isprintable():
                reason = f"must be text of at most {LIMITS.identifier_characters}"
                found.append(Violation(name, reason))
        pedigree, notes = read_members("members", request.members, nomenclature, found)
        if pedigree is not None and request.patient not in pedigree.members:
            found.append(Violation("patient", "is none of the members"))
    assert rule is not None and pedigree is not None
    of = (request.ancestry.strip(), request.registry.strip())
    return FamilyRequest(
        pedigree,
        request.patient,
        loci,
        as_of or datetime.date.today(),
        rule,
        of if request.with_frequencies else None,
        notes,
    )


def read_members(
    field: str,
    messages: Sequence[family_pb2.FamilyMember],
    nomenclature: Nomenclature,
    found: list[Violation],
) -> tuple[Pedigree | None, tuple[str, ...]]:
    """A family and notes of its typings; None, and violations, where it cannot be one.

    One member that cannot be used refuses all, since a family without it may segregate otherwise.
    """
    before = len(found)
    if not 1 <= len(messages) <= LIMITS.family_members:
        found.append(Violation(field, f"must be 1 to {LIMITS.family_members} members"))
        return None, ()
    members: list[Member] = []
    notes: dict[str, None] = {}
    for i, message in enumerate(messages):
        place = f"{field}[{i}]"
        row = {column: getattr(message, name).strip() for column, name in _COLUMNS.items()}
        if len(row["gl"]) > LIMITS.typing_characters:
            reason = f"longer than {LIMITS.typing_characters:,} characters"
            found.append(Violation(f"{place}.typing", reason))
            continue
        try:
            member, of_typing = read_member(row, nomenclature)
        except RecordError as error:
            name = _COLUMNS.get(error.field, "typing")
            found.append(Violation(f"{place}.{name}", str(error)))
        except TypingError as error:
            found.append(Violation(f"{place}.typing", str(error)))
        else:
            members.append(member)
            notes.update(dict.fromkeys(f"{member.id}: {note}" for note in of_typing))
    if len(found) > before:
        return None, ()
    try:
        return Pedigree.of(members), tuple(notes)
    except FamilyError as error:
        found.append(Violation(field, str(error)))
        return None, ()


def haploidentical_rule(
    field: str, message: family_pb2.HaploidenticalRule, found: list[Violation]
) -> HaploidenticalRule | None:
    """What relatives are ordered by; None, and a violation, where that cannot be followed."""
    usual = HaploidenticalRule()
    unknown = [number for number in message.dpb1_order if number not in _CATEGORIES]
    if unknown:
        found.append(Violation(f"{field}.dpb1_order", "names a category that is none"))
        return None
    order: tuple[TceCategory, ...] = tuple(_CATEGORIES[number] for number in message.dpb1_order)
    step = message.age_step_years if message.HasField("age_step_years") else usual.age_step_years
    try:
        return HaploidenticalRule(
            tuple(message.keys) or usual.keys, step, order or usual.dpb1_order
        )
    except ValueError as error:
        found.append(Violation(field, str(error)))
        return None


def family_response(
    result: FamilyResult, notes: Sequence[str], provenance: common_pb2.Provenance
) -> family_pb2.AnalyseFamilyResponse:
    """All that `service.family.family_json` tells."""
    analysis = result.analysis
    return family_pb2.AnalyseFamilyResponse(
        provenance=provenance,
        as_of=result.provenance["as_of"],
        weighting=_WEIGHTINGS[analysis.weighting],
        weighted_by=result.frequency_set,
        loci=[locus.value for locus in analysis.loci],
        compared=[locus.value for locus in analysis.compared],
        warnings=warnings_of(analysis),
        notes=notes,
        recombinations=map(_recombination, analysis.recombinations),
        inconsistencies=map(_inconsistency, analysis.set_aside),
        haplotypes=[
            family_pb2.FounderHaplotype(
                letter=letter, founder=owner, alleles=analysis.alleles[letter]
            )
            for letter, owner in analysis.labels.items()
        ],
        likeliest_share=analysis.likeliest_share,
        members=[_member(analysis, name) for name in analysis.pedigree.members],
        relatives=[
            relative_donor(rank, facts, why) for rank, (facts, why) in enumerate(result.ranked, 1)
        ],
        ordered_by=rank_sources(result.rule),
    )


def rank_sources(rule: HaploidenticalRule) -> list[family_pb2.RankSource]:
    """The keys of a rule with their sources, in their order."""
    return [family_pb2.RankSource(key=key, source=SOURCES[key]) for key in rule.keys]


def _recombination(one: Recombination) -> family_pb2.FamilyRecombination:
    return family_pb2.FamilyRecombination(
        child=one.child,
        parent=one.parent,
        role=one.role,
        after=one.after.value,
        before=one.before.value,
        probability=one.probability,
    )


def _inconsistency(fault: Inconsistency) -> family_pb2.FamilyInconsistency:
    return family_pb2.FamilyInconsistency(
        locus=fault.locus.value,
        conflicts=[
            family_pb2.FamilyConflict(child=child, role=role, parent=parent)
            for child, role, parent in fault.conflicts
        ],
        suspects=fault.suspects,
    )


def _member(analysis: FamilyAnalysis, name: str) -> family_pb2.AnalysedMember:
    paternal, maternal = analysis.chromosomes[name]
    return family_pb2.AnalysedMember(
        id=name,
        paternal=paternal,
        maternal=maternal,
        refined=map(_refined, analysis.refined.get(name, ())),
    )


def _refined(one: RefinedLocus) -> family_pb2.RefinedLocus:
    return family_pb2.RefinedLocus(
        locus=one.locus.value,
        written=one.written,
        refined=one.text,
        genotypes=[family_pb2.FamilyGenotype(text=text, p=p) for text, p in one.genotypes],
    )


def relative_donor(rank: int, facts: DonorFacts, why: str) -> family_pb2.RelativeDonor:
    """A relative as a donor. `why`: it stands below the one before."""
    one = facts.relative
    return family_pb2.RelativeDonor(
        rank=rank,
        id=one.id,
        relationship=one.relationship,
        likeliest_class=_CLASSES[one.likeliest],
        classes=[
            family_pb2.ClassProbability(relative_class=_CLASSES[kind], p=one.classes[kind])
            for kind in RelativeClass
        ],
        shares_a=one.shares_a,
        shares_c=one.shares_c,
        mismatches=[
            family_pb2.MismatchProbability(mismatches=n, p=p) for n, p in one.mismatches.items()
        ],
        nima=one.nima,
        by_descent=[locus.value for locus in one.by_descent],
        age_years=facts.age_years,
        drb1_favourable=facts.drb1_favourable,
        leader_matched=facts.leader_matched,
        dpb1_tce=TCE[facts.dpb1],
        ranked_below_previous_for=why,
    )


def refused_family(error: Exception) -> RequestError:
    """A family that cannot have segregated so, or in too many ways."""
    return RequestError([Violation("members", str(error))])
