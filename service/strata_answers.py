"""Relatives, adult donors and cord blood units in one list over the service."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from data.donor_files import Person
from matching.antibodies import RegistryAnswers, registry_answers
from matching.errors import InputFileError
from matching.family import HaploidenticalRule, Pedigree
from matching.typings import split_gl
from service import convert
from service.answering import provenance
from service.antibodies import own_warnings
from service.calls import checkpoint
from service.convert import LIMITS, checking
from service.convert.antibodies import antibody_summary, crossmatch_messages
from service.convert.family import rank_sources, read_members, relative_donor
from service.convert.strata import STRATUM, compared_risks, read_strata
from service.convert_search import (
    SearchRequest,
    check_empty,
    check_of_strata,
    inside,
    search_request,
)
from service.family import warnings_of
from service.masses import CandidateProbabilities, Outcome
from service.pb.graftmatch.v1 import graftmatch_pb2
from service.relatives import RELATED, Families, RelatedDonors
from service.search import Page, SearchSettings, results_of, wanted_of
from service.search_answers import DEFAULT_BATCH, PageDonors
from service.snapshot import Snapshot
from service.status import EmptyRegistryError, RequestError, Violation
from service.strata import DonorList, donor_list, order_of


@dataclass(frozen=True)
class ListedStrata:
    """A list that was made. `donors`: of the strata of the registry. `answers`: of all donors of
    the registry, None without antibodies.

    Its parts are answered one by one, by one thread at a time.
    """

    snapshot: Snapshot
    request: SearchRequest
    person: Person
    notes: tuple[str, ...]
    found: DonorList
    donors: Mapping[str, PageDonors]
    answers: RegistryAnswers | None
    as_of: str

    @classmethod
    def run(cls, snapshot: Snapshot, message: graftmatch_pb2.SearchStrataRequest) -> ListedStrata:
        """Raises `RequestError`, `EmptyRegistryError` and `StoreError`."""
        with inside("search"):
            with checking() as found:
                check_empty(message.search, ("page_size", "page_token"), found)
                check_of_strata(message.search, found)
            request = search_request(message.search, snapshot.nomenclature, snapshot.reports)
        settings = request.asked.settings(None)
        with checking() as found:
            pedigree, notes = _family(message, snapshot, found)
            strata = read_strata(message, settings, request.antibodies is not None, found)
        if snapshot.search is None:
            raise EmptyRegistryError("the registry holds no donors; import some")
        name = message.patient_id or "patient"
        person = Person(name, request.facts, split_gl(request.patient.text))
        families = None
        if pedigree is not None:
            families = _families(snapshot, person, pedigree, settings)
            left_out = (
                f"{one} is related to no patient and left out" for one in families.unrelated
            )
            notes = (*notes, *left_out)
        search, model = snapshot.search, snapshot.model
        donors, registry = {}, {}
        for stratum, asked in strata.items():
            if not isinstance(asked, SearchSettings):
                continue
            of_stratum = _of_stratum(request, asked, person, stratum)
            asked = replace(asked, up_to=2, with_probabilities=request.with_probabilities)
            page = search.page(
                *(request.patient, request.facts, model, asked, of_stratum.filter),
                *(LIMITS.genotypes, request.antibodies),
            )
            donors[stratum] = PageDonors(search, of_stratum, page, 0, asked.as_of)
            registry[stratum] = results_of({name: page}, search, model, asked)
            checkpoint()
        use = request.antibodies
        listed = donor_list(
            *([person], search, model, strata, registry),
            *({} if use is None else {name: use}, families),
        )
        answers = (
            None if use is None else registry_answers(search.index.donors, use.profile, checkpoint)
        )
        as_of = settings.as_of.isoformat()
        return cls(snapshot, request, person, notes, listed, donors, answers, as_of)

    def parts(self) -> Iterator[tuple[str, int]]:
        """Strata and where their batches begin; one is empty where a stratum holds nobody."""
        for stratum in self.found.asked:
            for begin in range(0, max(self._shown(stratum), 1), self._size):
                yield stratum, begin

    @property
    def _size(self) -> int:
        return self.request.batch_size or DEFAULT_BATCH

    def _page(self, stratum: str) -> Page | None:
        return self.donors[stratum].page if stratum in self.donors else None

    def _related(self, stratum: str) -> RelatedDonors:
        return self.found.related[stratum][self.person.id]

    def _found(self, stratum: str) -> int:
        page = self._page(stratum)
        return len(self._related(stratum).typings) if page is None else page.found

    def _shown(self, stratum: str) -> int:
        n, limit = self._found(stratum), self.request.asked.limit
        return n if limit is None else min(n, limit)

    def batch(self, stratum: str, begin: int) -> graftmatch_pb2.SearchStrataResponse:
        """Some donors of a stratum."""
        end = min(begin + self._size, self._shown(stratum))
        page, asked = self._page(stratum), self.found.asked[stratum]
        if page is None:
            listed = self._relatives(stratum, begin, end)
        else:
            listed = [
                graftmatch_pb2.ListedDonor(candidate=one)
                for one in self.donors[stratum].candidates(begin, end)
            ]
        for i, one in enumerate(listed, begin):
            one.risks.extend(self._risks(stratum, i))
            one.risk_not_told = self.found.untold[stratum][self.person.id][i]
        is_first = stratum == next(iter(self.found.asked)) and begin == 0
        answer = graftmatch_pb2.SearchStrataResponse(
            provenance=provenance(self.snapshot),
            stratum=STRATUM[stratum],
            below_another_for=order_of(asked),
            found=self._found(stratum),
            donors=listed,
            compared_risk=self.found.outcome,
            notes=[*self.notes, *self.found.notes[self.person.id]],
            as_of=self.as_of,
        )
        if page is not None:
            answer.missing_masses = page.missing_masses
            answer.dropped = page.probabilities.dropped
        if isinstance(asked, HaploidenticalRule):
            answer.warnings.extend(warnings_of(self._related(stratum).result.analysis))
            answer.ordered_by.extend(rank_sources(asked))
        if (use := self.request.antibodies) is not None:
            own = own_warnings(self.request.patient, use.profile)
            excluded = len(self.found.excluded(stratum, self.person.id))
            everyone = self.answers if is_first else None
            answer.antibodies.CopyFrom(antibody_summary(use.profile, own, everyone, excluded))
        return answer

    def _risks(self, stratum: str, i: int) -> list[graftmatch_pb2.ComparedRisk]:
        if stratum in self.donors:
            scores = self.found.registry[stratum].scores[self.person.id]
        else:
            scores = self.found.scores[stratum][self.person.id]
        return compared_risks(self.snapshot.model, scores, i)

    def _relatives(self, stratum: str, begin: int, end: int) -> list[graftmatch_pb2.ListedDonor]:
        related = self._related(stratum)
        without = CandidateProbabilities.without(len(related.typings), Outcome.NOT_REQUESTED, 2)
        compared = convert.comparisons(related.matches, without)
        crossmatches = crossmatch_messages(related.crossmatches or ())
        members = related.result.analysis.pedigree.members
        use = self.request.antibodies
        listed = []
        for i, (facts, why) in list(enumerate(related.result.ranked))[begin:end]:
            name = facts.relative.id
            relative = graftmatch_pb2.RelatedCandidate(
                relative=relative_donor(i + 1, facts, why),
                comparison=compared[i],
                typing=related.typings[i].text,
                sex=members[name].sex or "",
                crossmatch=crossmatches[i] if crossmatches else None,
                kept_for="" if use is None else use.overrides.get(name, ""),
            )
            listed.append(graftmatch_pb2.ListedDonor(relative=relative))
        return listed


def _family(
    message: graftmatch_pb2.SearchStrataRequest, snapshot: Snapshot, found: list[Violation]
) -> tuple[Pedigree | None, tuple[str, ...]]:
    """The family, and how names of its typings were followed."""
    with_relatives = {STRATUM[name] for name in RELATED} & {one.stratum for one in message.strata}
    if bool(message.family) is not bool(with_relatives):
        reason = "relatives in strata need a family, and this needs relatives in strata"
        found.append(Violation("family", reason))
    if len(message.patient_id) > LIMITS.identifier_characters:
        reason = f"longer than {LIMITS.identifier_characters} characters"
        found.append(Violation("patient_id", reason))
    if not message.family:
        return None, ()
    pedigree, notes = read_members("family", message.family, snapshot.nomenclature, found)
    if pedigree is not None and message.patient_id not in pedigree.members:
        found.append(Violation("patient_id", "is none of the family"))
    return pedigree, notes


def _families(
    snapshot: Snapshot, person: Person, pedigree: Pedigree, settings: SearchSettings
) -> Families:
    """Raises `RequestError` where the family contradicts the search, or itself."""
    try:
        return Families.of(
            *([person], pedigree, snapshot.nomenclature, snapshot.proteins),
            *(settings.criteria.loci, settings.as_of),
        )
    except InputFileError as error:
        raise RequestError([Violation("family", str(error))]) from None


def _of_stratum(
    request: SearchRequest, asked: SearchSettings, person: Person, stratum: str
) -> SearchRequest:
    """The request as it is asked of one stratum of the registry."""
    wanted = wanted_of(person, asked)
    assert wanted is not None, "a stratum asks for a type"
    of_stratum = replace(
        request.asked,
        criteria=asked.criteria,
        donors=asked.donors,
        rule=asked.rule,
        by_rule=stratum == "cord",
    )
    return replace(request, asked=of_stratum, filter=wanted)
