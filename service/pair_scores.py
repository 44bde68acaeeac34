"""Pairs that are scored one by one, by their typings: nothing is worked out twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from matching.errors import TooAmbiguousError
from matching.haplotypes import ImputedGenotypes
from matching.memory import Memory
from matching.nomenclature import Nomenclature
from matching.pair import PairDetails
from matching.pipeline import PairCounter
from matching.probability import DonorTable
from matching.typings import Typing
from service.ancestry import Prior
from service.convert import ReadTyping, read_gl
from service.frequency_sets import SearchSets
from service.masses import CandidateProbabilities, GenotypeLimits, Outcome
from service.pairs import Facts

# Characters of the typings, and genotypes of the imputed people, that are remembered. An entry of a
# locus and a genotype take about as much memory as so many.
_MOST_CHARACTERS = 20_000_000
_MOST_GENOTYPES = 2_000_000
# People with more would drive out many others.
_LARGEST = 20_000
_OF_TYPING = 2_000
_OF_PERSON = 100


@dataclass(frozen=True)
class _Imputed:
    """A person under a prior. `table`: the same, to be compared as a donor."""

    genotypes: ImputedGenotypes
    table: DonorTable


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
    _imputed: Memory[tuple[str, Prior], _Imputed | None] = field(
        init=False,
        repr=False,
        default_factory=lambda: Memory(_MOST_GENOTYPES, _size_of_person, _LARGEST),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "details", PairDetails(self.nomenclature, self.proteins))

    def read(self, text: str) -> ReadTyping:
        """A GL string. Raises `TypingError`."""
        return self._typings.of(text, lambda: read_gl(text, self.nomenclature))

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
        priors = [self.sets.prior_of(of_person) for of_person in facts or ({}, {})]
        ours = self._known(patient, priors[0])
        if ours is None:
            return CandidateProbabilities.without(1, Outcome.TOO_AMBIGUOUS)
        if not ours.genotypes.mass[0]:
            return CandidateProbabilities.without(1, Outcome.PATIENT_UNREPRESENTED)
        n = len(ours.genotypes.weights)
        if n > limits.patient:
            return CandidateProbabilities.without(1, Outcome.TOO_AMBIGUOUS)
        theirs = self._known(donor, priors[1])
        if theirs is None or n * len(theirs.genotypes.weights) > limits.pairs:
            return CandidateProbabilities.without(1, Outcome.TOO_AMBIGUOUS)
        if not theirs.genotypes.mass[0]:
            return CandidateProbabilities.without(1, Outcome.DONOR_UNREPRESENTED)
        p, dropped = theirs.table.few_mismatches(ours.genotypes)
        return CandidateProbabilities(
            p, np.zeros(1, dtype=np.int8), float(dropped.max()), np.zeros(1, dtype=bool)
        )

    def _known(self, read: ReadTyping, prior: Prior) -> _Imputed | None:
        return self._imputed.of((read.text, prior), lambda: self._impute(read.typing, prior))

    def _impute(self, typing: Typing, prior: Prior) -> _Imputed | None:
        """None where the genotype lists are beyond measure."""
        assert self.sets is not None
        imputer = self.sets.imputer()
        frequencies = self.sets.under.populations.mixture(dict(prior))
        try:
            genotypes = imputer.impute([typing], frequencies)
        except TooAmbiguousError:
            return None
        return _Imputed(genotypes, DonorTable(self.sets.shared_imputer, genotypes))


def _size_of_typing(read: ReadTyping) -> float:
    return _OF_TYPING + len(read.text)


def _size_of_person(imputed: _Imputed | None) -> float:
    return _OF_PERSON + (0 if imputed is None else len(imputed.genotypes.weights))
