"""Probabilities of the candidates of a search, by the masses of the index where these are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from data.index import IndexMasses
from matching.errors import TooAmbiguousError
from matching.haplotypes import ExplainingClasses, ImputedGenotypes, Imputer
from matching.parts import in_parts, joined, taken
from matching.probability import MOST_IN_PAIRS, HaplotypeSums, predict, predict_by_class
from matching.typings import Typing
from service.ancestry import Prior
from service.calls import checkpoint, watched
from service.frequency_sets import SearchSets

THREADS = 2
# Donors that are predicted before it is asked whether anybody still waits: by masses, which looks
# for itself where that takes long, and one by one.
_BY_MASSES, _IN_PAIRS = 1_000_000, 5
# Of a patient with more genotypes the lightest are left out, together this share of all at most.
MANY_GENOTYPES = 1_000
LEFT_OUT = 0.001


class Outcome(IntEnum):
    """Whether a candidate has probabilities, and if not, why."""

    COMPUTED = 0
    PATIENT_UNREPRESENTED = 1
    DONOR_UNREPRESENTED = 2
    TOO_AMBIGUOUS = 3
    DONOR_CHANGED = 4
    NO_FREQUENCY_SET = 5
    NOT_REQUESTED = 6


@dataclass(frozen=True)
class GenotypeLimits:
    """How many haplotype pairs a patient may have whose donors are searched, and the less ambiguous
    of two people who are compared."""

    patient: float
    pairs: float


UNLIMITED = GenotypeLimits(np.inf, np.inf)


@dataclass(frozen=True)
class ExplainedPatient:
    """A patient under their own sets."""

    imputer: Imputer
    explained: ExplainingClasses

    @cached_property
    def sums(self) -> HaplotypeSums:
        """The haplotypes, to be summed by class."""
        return HaplotypeSums(self.imputer, self.explained)

    @cached_property
    def genotypes(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], float]:
        """Codes, weights and the dropped share of the genotypes."""
        codes, weights, _, dropped = self.imputer.list_genotypes(self.explained)
        return codes, weights, dropped


@dataclass(frozen=True)
class CandidateProbabilities:
    """P of 0, 1 (and 2) mismatches of each candidate, (n, 2 or 3); NaN where unknown.

    `outcomes`: (n,) int8 of `Outcome`. `dropped`: by how much each may be too low. `missing`: (n,)
    bool, candidates whose masses were not computed yet; those were predicted in pairs.
    """

    p: npt.NDArray[np.float64]
    outcomes: npt.NDArray[np.int8]
    dropped: float
    missing: npt.NDArray[np.bool_]

    @classmethod
    def without(cls, n: int, why: Outcome, up_to: int = 2) -> CandidateProbabilities:
        """None of n candidates has any; arrays that cannot be written to."""
        p = np.broadcast_to(np.nan, (n, up_to + 1))
        outcomes = np.broadcast_to(np.int8(why), n)
        return cls(p, outcomes, 0.0, np.broadcast_to(np.False_, n))

    def take(self, order: npt.NDArray[np.int64]) -> CandidateProbabilities:
        """Those of the candidates at the given positions, in that order."""
        return CandidateProbabilities(
            taken(self.p, order, checkpoint),
            taken(self.outcomes, order, checkpoint),
            self.dropped,
            taken(self.missing, order, checkpoint),
        )


def candidate_probabilities(
    sets: SearchSets,
    masses: IndexMasses,
    patient: Typing,
    prior: Prior,
    rows: npt.NDArray[np.int64],
    typings_of: Callable[[npt.NDArray[np.int64]], Sequence[Typing | None]],
    up_to: int = 1,
    limits: GenotypeLimits = UNLIMITED,
) -> CandidateProbabilities:
    """Probabilities of the donors in some rows of an index, each under the sets of their own.

    `masses`: under `sets`. `prior`: the patient's. `typings_of`: typings of rows, None where not
    known any more; asked for those that masses cannot tell of: typed nulls, loci in phase, mixtures
    of sets, masses not computed yet. Of a patient with more than `MANY_GENOTYPES` the lightest,
    together `LEFT_OUT` of all at most, are compared with nobody, and `dropped` says so.
    """
    imputer = sets.imputer()
    own = explain_patient(sets, imputer, patient, prior)
    if isinstance(own, Outcome):
        return CandidateProbabilities.without(len(rows), own, up_to)
    if own.explained.n_pairs > limits.patient:
        return CandidateProbabilities.without(len(rows), Outcome.TOO_AMBIGUOUS, up_to)
    codes, weights, cut = own.genotypes
    p = np.empty((len(rows), up_to + 1))
    outcomes = np.zeros(len(rows), dtype=np.int8)
    missing = np.empty(len(rows), dtype=bool)
    genotypes = masses.sets.tables[0].patient(imputer, codes, weights)
    precision = LEFT_OUT if len(weights) > MANY_GENOTYPES else 0.0
    dropped = 0.0
    without_mass = [np.empty(0, dtype=np.int64)]
    for part in in_parts(len(rows), checkpoint, _BY_MASSES):
        of_rows = masses.of(rows[part], checkpoint)
        missing[part] = of_rows.missing
        is_left = np.isnan(of_rows.total)
        of_part = p[part]
        for piece in in_parts(len(of_part), checkpoint):
            of_part[piece] = np.nan
        for number in watched(np.flatnonzero(np.bincount(of_rows.sets[~is_left])).tolist()):
            at = np.flatnonzero(~is_left & (of_rows.sets == number))
            found = masses.sets.tables[number].search(
                *(genotypes, masses.entries, of_rows.codes[at], of_rows.total[at]),
                *(up_to, precision, THREADS, checkpoint),
            )
            of_part[at], is_left[at] = found.p, found.exact
            dropped = max(dropped, found.dropped)
        outcomes[part][~is_left & (of_rows.total == 0)] = Outcome.DONOR_UNREPRESENTED
        outcomes[part][is_left] = Outcome.DONOR_CHANGED
        without_mass.append(part.start + np.flatnonzero(is_left))
    dropped += cut
    left = joined(without_mass, checkpoint)
    by_prior: dict[Prior, list[tuple[int, Typing]]] = defaultdict(list)
    typings, priors = typings_of(rows[left]), masses.priors(rows[left], checkpoint)
    for i, typing, theirs in zip(watched(left.tolist()), typings, priors, strict=True):
        if typing is not None:
            by_prior[theirs].append((i, typing))
    for theirs, donors in by_prior.items():
        for part in in_parts(len(donors), checkpoint, _IN_PAIRS):
            places, some = zip(*donors[part], strict=True)
            pairs = predict_in_pairs(sets, own, some, theirs, limits.pairs)
            at = np.array(places)
            p[at], outcomes[at] = pairs.p[:, : up_to + 1], pairs.outcomes
            dropped = max(dropped, pairs.dropped)
    return CandidateProbabilities(p, outcomes, dropped, missing)


def explain_patient(
    sets: SearchSets, imputer: Imputer, patient: Typing, prior: Prior
) -> ExplainedPatient | Outcome:
    """A patient under their own sets, or why nothing explains them."""
    try:
        found = imputer.explain(patient, sets.under.populations.mixture(dict(prior)))
    except TooAmbiguousError:
        return Outcome.TOO_AMBIGUOUS
    return ExplainedPatient(imputer, found) if found.mass else Outcome.PATIENT_UNREPRESENTED


def predict_in_pairs(
    sets: SearchSets,
    patient: ExplainedPatient,
    donors: Sequence[Typing],
    prior: Prior,
    most_pairs: float,
) -> CandidateProbabilities:
    """Probabilities of 0, 1 and 2 mismatches of donors that are imputed one by one.

    `prior`: of all of them. `most_pairs`: as `GenotypeLimits.pairs`. No masses are `missing`.
    """
    p = np.full((len(donors), 3), np.nan)
    outcomes = np.full(len(donors), Outcome.TOO_AMBIGUOUS, dtype=np.int8)
    frequencies = sets.under.populations.mixture(dict(prior))
    imputer, own = patient.imputer, patient.explained
    listed = {}
    dropped = 0.0
    for i, donor in enumerate(donors):
        try:
            explained = imputer.explain(donor, frequencies)
        except TooAmbiguousError:
            continue
        if not explained.mass:
            outcomes[i] = Outcome.DONOR_UNREPRESENTED
        elif own.n_pairs * explained.n_pairs <= MOST_IN_PAIRS:
            listed[i] = imputer.list_genotypes(explained)
        elif min(own.n_pairs, explained.n_pairs) <= most_pairs:
            theirs = HaplotypeSums(imputer, explained)
            predicted = predict_by_class(patient.sums, theirs, between=checkpoint)
            p[i], outcomes[i] = predicted.p_mismatches[0], Outcome.COMPUTED
            dropped = max(dropped, float(predicted.dropped[0]))
    if listed:
        at = list(listed)
        people = ImputedGenotypes.of(list(listed.values()), len(imputer.frequencies.loci))
        p[at] = predict(imputer, patient.genotypes[:2], people).p_mismatches
        outcomes[at] = Outcome.COMPUTED
    return CandidateProbabilities(p, outcomes, dropped, np.zeros(len(donors), dtype=bool))
