"""Probabilities of the candidates of a search, by the masses of the index where these are there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from data.index import IndexMasses
from matching.errors import TooAmbiguousError
from matching.haplotypes import ImputedGenotypes, Imputer
from matching.probability import predict
from matching.typings import Typing
from service.ancestry import Prior
from service.calls import watched
from service.frequency_sets import SearchSets

THREADS = 2
# Donors that are imputed one by one before it is asked whether anybody still waits.
_IN_PAIRS = 5
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
    """How many genotypes a patient may have, and patient and donor together."""

    patient: float
    pairs: float


UNLIMITED = GenotypeLimits(np.inf, np.inf)


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
        """None of n candidates has any."""
        outcomes = np.full(n, why, dtype=np.int8)
        return cls(np.full((n, up_to + 1), np.nan), outcomes, 0.0, np.zeros(n, dtype=bool))

    def take(self, order: npt.NDArray[np.int64]) -> CandidateProbabilities:
        """Those of the candidates at the given positions, in that order."""
        missing = self.missing[order]
        return CandidateProbabilities(self.p[order], self.outcomes[order], self.dropped, missing)


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
    imputed = impute_patient(sets, imputer, patient, prior, limits)
    if isinstance(imputed, Outcome):
        return CandidateProbabilities.without(len(rows), imputed, up_to)
    p = np.full((len(rows), up_to + 1), np.nan)
    outcomes = np.zeros(len(rows), dtype=np.int8)
    of_rows = masses.of(rows)
    is_left = np.isnan(of_rows.total)
    genotypes = masses.sets.tables[0].patient(imputer, imputed.codes, imputed.weights)
    precision = LEFT_OUT if len(imputed.weights) > MANY_GENOTYPES else 0.0
    dropped = 0.0
    for number in watched(np.unique(of_rows.sets[~is_left]).tolist()):
        at = np.flatnonzero(~is_left & (of_rows.sets == number))
        found = masses.sets.tables[number].search(
            *(genotypes, masses.entries, of_rows.codes[at], of_rows.total[at]),
            *(up_to, precision, THREADS),
        )
        p[at], dropped, is_left[at] = found.p, max(dropped, found.dropped), found.exact
    dropped += float(imputed.dropped[0])
    outcomes[~is_left & (of_rows.total == 0)] = Outcome.DONOR_UNREPRESENTED
    left = np.flatnonzero(is_left)
    outcomes[left] = Outcome.DONOR_CHANGED
    by_prior: dict[Prior, dict[int, Typing]] = defaultdict(dict)
    typings, priors = typings_of(rows[left]), masses.priors(rows[left])
    for i, typing, own in zip(left.tolist(), typings, priors, strict=True):
        if typing is not None:
            by_prior[own][i] = typing
    for own, donors in by_prior.items():
        for first in watched(range(0, len(donors), _IN_PAIRS)):
            some = slice(first, first + _IN_PAIRS)
            at = np.array(list(donors)[some], dtype=np.int64)
            pairs = predict_in_pairs(
                sets, imputer, imputed, list(donors.values())[some], own, limits
            )
            p[at], outcomes[at] = pairs.p[:, : up_to + 1], pairs.outcomes
            dropped = max(dropped, pairs.dropped)
    return CandidateProbabilities(p, outcomes, dropped, of_rows.missing)


def impute_patient(
    sets: SearchSets, imputer: Imputer, patient: Typing, prior: Prior, limits: GenotypeLimits
) -> ImputedGenotypes | Outcome:
    """The genotypes of a patient under their own sets, or why there are none."""
    try:
        imputed = imputer.impute([patient], sets.under.populations.mixture(dict(prior)))
    except TooAmbiguousError:
        return Outcome.TOO_AMBIGUOUS
    if not imputed.mass[0]:
        return Outcome.PATIENT_UNREPRESENTED
    return Outcome.TOO_AMBIGUOUS if len(imputed.weights) > limits.patient else imputed


def predict_in_pairs(
    sets: SearchSets,
    imputer: Imputer,
    patient: ImputedGenotypes,
    donors: Sequence[Typing],
    prior: Prior,
    limits: GenotypeLimits,
) -> CandidateProbabilities:
    """Probabilities of 0, 1 and 2 mismatches of donors that are imputed one by one.

    `prior`: of all of them. No masses are `missing`.
    """
    found = CandidateProbabilities.without(len(donors), Outcome.TOO_AMBIGUOUS)
    frequencies = sets.under.populations.mixture(dict(prior))
    at, imputed = _imputed(imputer, donors, frequencies)
    is_few = len(patient.weights) * np.diff(imputed.offsets) <= limits.pairs
    found.outcomes[at[is_few]] = Outcome.COMPUTED
    found.outcomes[at[imputed.mass == 0]] = Outcome.DONOR_UNREPRESENTED
    known = np.flatnonzero(is_few & (imputed.mass > 0))
    predicted = predict(imputer, (patient.codes, patient.weights), imputed.take(known))
    found.p[at[known]] = predicted.p_mismatches
    return replace(found, dropped=float(predicted.dropped.max(initial=0.0)))


def _imputed(
    imputer: Imputer, donors: Sequence[Typing], frequencies: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], ImputedGenotypes]:
    """Positions and genotypes of the donors whose genotype lists are not beyond measure."""
    try:
        found = imputer.impute(donors, frequencies, threads=THREADS)
        return np.arange(len(donors)), found
    except TooAmbiguousError:
        kept = []
        for i, donor in enumerate(donors):
            with suppress(TooAmbiguousError):
                imputer.mass(donor, frequencies)
                kept.append(i)
        found = imputer.impute((donors[i] for i in kept), frequencies)
        return np.array(kept, dtype=np.int64), found
