"""Pairs that are scored one by one, by their typings: nothing is worked out twice."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from matching.genotypes import Genotype
from matching.loci import LOCI, Locus
from matching.masses import Entries, MassTables, PatientGenotypes
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.pair import PairDetails
from matching.pipeline import PairCounter, PairCounts
from service.ancestry import Prior
from service.calls import checkpoint
from service.convert import LIMITS, ReadTyping, pair_comparison, pair_detail
from service.frequency_sets import SearchSets
from service.masses import (
    CandidateProbabilities,
    ExplainedPatient,
    GenotypeLimits,
    Outcome,
    explain_patient,
    predict_in_pairs,
)
from service.pairs import Facts
from service.pb.graftmatch.v1 import common_pb2, graftmatch_pb2
from service.sharing import shared_haplotypes

# Characters of typings, genotypes of imputed people, and names that typings of donors admit, that
# are remembered. What comes with each takes about as much memory as so many.
_MOST_CHARACTERS = 10_000_000
_MOST_GENOTYPES = 2_000_000
_MOST_NAMES = 5_000_000
# Characters of the typings of pairs that are remembered, and bytes of their messages.
_MOST_OF_PAIRS = 20_000_000
# People with more would drive out many others.
_LARGEST = 20_000
_OF_TYPING = 2_000
_OF_PERSON = 1_000
_OF_PAIR = 3_000
# Haplotype pairs and P groups of a patient with whom a pair takes a millisecond or two, and
# characters of donors' positions that are remembered, with about as much around each.
_FEW = 1_000
_FEW_GROUPS = 100
_MOST_OF_POSITIONS = 5_000_000
_OF_POSITION = 100
# In phase, of a genotype list, or of any allele: a donor who takes longer.
_LONG = re.compile(r"[~|]|UUUU")
# A person by themselves has entry 0 of every locus.
_ONE_ROW = np.zeros((1, len(LOCI)), dtype=np.int32)


@dataclass(frozen=True, eq=False)
class _Patient:
    """A patient, and the same to be compared with masses of donors."""

    own: ExplainedPatient
    tables: MassTables

    @cached_property
    def genotypes(self) -> PatientGenotypes:
        """Every genotype."""
        codes, weights, _ = self.own.genotypes
        return self.tables.patient(self.own.imputer, codes, weights)


@dataclass(frozen=True, eq=False)
class _Mass:
    """A donor by what the typing admits, `total` (1,) its mass under the set of `tables`."""

    tables: MassTables
    entries: Entries
    total: npt.NDArray[np.float64]


class ScoredPair(NamedTuple):
    """A pair as messages, not to be changed, the counts that they were made from, and what all of
    it weighs in the memory."""

    counts: PairCounts
    comparison: common_pb2.Comparison
    detail: graftmatch_pb2.PairDetail
    weight: int


@dataclass(frozen=True, eq=False)
class PairScorer:
    """One release and its frequency sets; serves any number of calls and threads.

    `proteins`: protein sequences by allele name. `sets`: None where no frequency set is in use.
    What was read, compared and imputed is remembered within bounds, so that a typing that comes
    again, with whomever, costs little. Answers do not depend on what is remembered.
    """

    nomenclature: Nomenclature
    proteins: Mapping[str, str]
    sets: SearchSets | None
    details: PairDetails = field(init=False, repr=False)
    counter: PairCounter = field(init=False, repr=False, default_factory=PairCounter)
    _typings: Memory[str, ReadTyping] = field(
        init=False, repr=False, default_factory=lambda: Memory(_MOST_CHARACTERS, _size_of_typing)
    )
    _patients: Memory[tuple[str, Prior], _Patient | Outcome] = field(
        init=False,
        repr=False,
        default_factory=lambda: Memory(_MOST_GENOTYPES, _size_of_patient, _LARGEST),
    )

    _masses: Memory[tuple[str, Prior], _Mass | None] = field(
        init=False, repr=False, default_factory=lambda: Memory(_MOST_NAMES, _size_of_mass)
    )
    _scored: Memory[tuple[object, ...], ScoredPair] = field(
        init=False,
        repr=False,
        default_factory=lambda: Memory(_MOST_OF_PAIRS, lambda pair: pair.weight),
    )
    # Positions of donors by their texts.
    _met: Memory[str, str] = field(
        init=False,
        repr=False,
        default_factory=lambda: Memory(_MOST_OF_POSITIONS, lambda text: _OF_POSITION + len(text)),
    )

    def __post_init__(self) -> None:
        details = PairDetails(self.nomenclature, self.proteins, checkpoint)
        object.__setattr__(self, "details", details)

    def read(self, text: str) -> ReadTyping:
        """A GL string. Raises `TypingError`."""
        return self._typings.of(text, lambda: ReadTyping(text, *self.details.reader.read(text)))

    def knows(self, patient: str, donor: str, facts: Sequence[Facts] | None) -> bool:
        """Whether what is left to work out of two typings with such facts takes no longer than
        changing threads: the patient was read and imputed before and is few genotypes, and the
        donor was, too, or all positions of the donor were met."""
        if self.sets is None or (read := self._typings.get(patient)) is None:
            return False
        ours, theirs = _priors(self.sets, facts)
        known = self._patients.get((patient, ours))
        if not isinstance(known, _Patient) or known.own.explained.n_pairs > _FEW:
            return False
        if self._typings.get(donor) is not None:
            return self._masses.get((donor, theirs)) is not None
        return (
            len(theirs) == 1
            and _n_groups(read.genotype) <= _FEW_GROUPS
            and not _LONG.search(donor)
            and all(self._met.get(text) for locus in donor.split("^") for text in locus.split("+"))
        )

    def scored(
        self,
        patient: ReadTyping,
        donor: ReadTyping,
        loci: tuple[Locus, ...],
        facts: Sequence[Facts] | None,
    ) -> ScoredPair:
        """All but risks and shared haplotypes of people with such facts; totals are over `loci`."""
        priors = () if self.sets is None else _priors(self.sets, facts)

        def worked_out() -> ScoredPair:
            counts = self.counter.of(patient.genotype, donor.genotype)
            detail = self.details.of(patient.typing, donor.typing, counts.tce, loci)
            probabilities = self.probabilities(patient, donor, facts, LIMITS.genotypes)
            self._meet(patient, donor)
            told = pair_comparison(counts, loci, probabilities), pair_detail(detail)
            weight = _OF_PAIR + len(patient.text) + len(donor.text)
            return ScoredPair(counts, *told, weight + sum(one.ByteSize() for one in told))

        return self._scored.of((patient.text, donor.text, loci, *priors), worked_out)

    def _meet(self, patient: ReadTyping, donor: ReadTyping) -> None:
        """Remember the positions of a donor that were compared with those of a patient."""
        for ours, theirs in zip(patient.typing.loci, donor.typing.loci, strict=True):
            if ours is not None and theirs is not None:
                for text in (theirs.first.text, theirs.second.text):
                    self._met.of(text, partial(str, text))

    def probabilities(
        self,
        patient: ReadTyping,
        donor: ReadTyping,
        facts: Sequence[Facts] | None,
        limits: GenotypeLimits,
    ) -> CandidateProbabilities:
        """Probabilities of 0, 1 and 2 mismatches of a patient and a donor with such facts, None
        where nothing is known of them."""
        if self.sets is None:
            return CandidateProbabilities.without(1, Outcome.NO_FREQUENCY_SET)
        priors = _priors(self.sets, facts)
        ours = self._patients.of(
            (patient.text, priors[0]), lambda: self._explain(patient, priors[0])
        )
        if isinstance(ours, Outcome):
            return CandidateProbabilities.without(1, ours)
        mass = None
        if ours.own.explained.n_pairs <= limits.patient:
            mass = self._masses.of((donor.text, priors[1]), lambda: self._mass(donor, priors[1]))
        if mass is not None:
            genotypes, total = ours.genotypes, mass.total
            codes = _ONE_ROW[:, : len(mass.tables.loci)]
            found = mass.tables.search(genotypes, mass.entries, codes, total, 2, between=checkpoint)
            if not found.exact[0]:
                if total[0] == 0:
                    return CandidateProbabilities.without(1, Outcome.DONOR_UNREPRESENTED)
                none, dropped = np.zeros(1, dtype=bool), ours.own.genotypes[2]
                return CandidateProbabilities(found.p, np.zeros(1, np.int8), dropped, none)
        # An imputer remembers donors and stays in its thread, so it must not be the patient's.
        own = ExplainedPatient(self.sets.imputer(), ours.own.explained)
        return predict_in_pairs(self.sets, own, [donor.typing], priors[1], limits.pairs)

    def shared(
        self, patient: ReadTyping, donor: ReadTyping, facts: Sequence[Facts] | None
    ) -> npt.NDArray[np.float64] | None:
        """(1, 3): as `shared_haplotypes`; None where no frequency set is in use."""
        if self.sets is None:
            return None
        ours, theirs = zip((patient.typing, donor.typing), _priors(self.sets, facts), strict=True)
        return shared_haplotypes(self.sets, ours, [theirs])

    def _explain(self, read: ReadTyping, prior: Prior) -> _Patient | Outcome:
        assert self.sets is not None
        own = explain_patient(self.sets, self.sets.shared_imputer.fresh(), read.typing, prior)
        return own if isinstance(own, Outcome) else _Patient(own, self.sets.masses.tables[0])

    def _mass(self, read: ReadTyping, prior: Prior) -> _Mass | None:
        """None where the donor must be imputed: loci in phase, mixtures of sets, typed nulls and
        lists of too many classes."""
        assert self.sets is not None
        typing = read.typing
        if typing.phase or len(prior) > 1:
            return None
        masses, imputer = self.sets.masses, self.sets.imputer()
        tables = masses.tables[masses.labels.index(prior[0][0])]
        entries = Entries.of_one(imputer, [typing.loci[locus] for locus in tables.loci])
        if entries.exact.any():
            return None
        return _Mass(tables, entries, tables.total_masses(entries, _ONE_ROW[:, : len(tables.loci)]))


def _priors(sets: SearchSets, facts: Sequence[Facts] | None) -> list[Prior]:
    return [sets.prior_of(of_person) for of_person in facts or ({}, {})]


def _n_groups(genotype: Genotype) -> int:
    found = filter(None, genotype.loci)
    return sum(len(a.first) + len(a.second) for one in found for a in one.alternatives)


def _size_of_typing(read: ReadTyping) -> float:
    return _OF_TYPING + len(read.text)


def _size_of_patient(found: _Patient | Outcome) -> float:
    return _OF_PERSON + (0 if isinstance(found, Outcome) else found.own.explained.n_pairs)


def _size_of_mass(mass: _Mass | None) -> float:
    return _OF_PERSON + (0 if mass is None else len(mass.entries.arrays.names))
