"""Which donors to ask for confirmatory typing, so that most patients find a match who is available.

A request tells whether a donor is available and how many of 10 it matches. The value of a set of
requests is the expected number of patients, by weight, for whom an available 10/10 donor is found;
a patient who only finds an available 9/10 donor may count a stated part. Donors are taken to be
independent of each other given their probabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.allocate import (
    MOST_URGENT,
    UNALLOCATED,
    AllocationProblem,
    Objectives,
    allocate,
)
from matching.errors import TypingPlanError

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

# Plans are enumerated where there are no more than this.
EXACT_CHOICES = 20_000
# Gains as integers, for the allocation of donors whom several patients want.
GAIN_UNITS = 10**8
# What sums of many products may be above 1 by rounding.
ROUNDING = 1e-9

# Lown 2014, Bone Marrow Transplant 49:525: of 7,541 requests for confirmatory typing 38.2 % were
# cancelled for reasons of the donor, odds 1.32 times as high for women. Odds by age: Lown 2013,
# BMT Tandem Meetings, abstract 25, against 18 to 30 years.
UNAVAILABLE = 0.382
ODDS_WOMEN = 1.32
ODDS_BY_AGE = ((18, 1.0), (31, 1.20), (46, 1.43))
# A stored cord unit does not change its mind; that a twentieth is not usable is our convention.
CORD_AVAILABLE = 0.95


def availability_prior(women: Float64s, age_years: Float64s, cord: Bools) -> Float64s:
    """Probability that a donor is available when asked, (n,) float64 in (0, 1); inputs (n,).

    `women`: 1, 0, or NaN where unknown. `age_years`: NaN where unknown. `cord`: cord units. Effects
    are centred, so that a donor of whom nothing is known has 1 - `UNAVAILABLE`.

    >>> unknown = np.array([np.nan])
    >>> availability_prior(unknown, unknown, np.array([False])).round(3).tolist()
    [0.618]
    """
    starts = np.array([start for start, _ in ODDS_BY_AGE])
    by_age = np.log([odds for _, odds in ODDS_BY_AGE])
    band = np.clip(np.searchsorted(starts, np.nan_to_num(age_years), side="right") - 1, 0, None)
    log_odds = np.full(len(age_years), np.log(UNAVAILABLE / (1 - UNAVAILABLE)))
    log_odds += np.where(np.isnan(age_years), 0, by_age[band] - by_age.mean())
    log_odds += np.where(np.isnan(women), 0, (np.nan_to_num(women) - 0.5) * np.log(ODDS_WOMEN))
    return np.asarray(np.where(cord, CORD_AVAILABLE, 1 / (1 + np.exp(log_odds))))


@dataclass(frozen=True)
class TypingProblem:
    """Patients, donors, and the pairs of which typing may be requested.

    `patient`, `donor`: (n_pairs,) int64, from 0; distinct pairs. `p10`, `p9`: (n_pairs,) float64,
    probability of exactly 10 and exactly 9 matches of 10, together at most 1. `availability`:
    (n_donors,) float64 in [0, 1]. `weight`: (n_patients,) float64 above 0, at most `MOST_URGENT`.
    `nine`: what a patient with an available 9/10 donor and no 10/10 donor counts, in [0, 1].
    Raises `TypingPlanError` for arrays of different lengths, values out of range, repeated pairs.
    """

    patient: Int64s
    donor: Int64s
    p10: Float64s
    p9: Float64s
    availability: Float64s
    weight: Float64s
    nine: float = 0.0

    def __post_init__(self) -> None:
        n_patients, n_donors = len(self.weight), len(self.availability)
        columns = (self.patient, self.donor, self.p10, self.p9)
        if any(a.shape != (len(self.patient),) for a in columns):
            raise TypingPlanError("pairs need four one-dimensional arrays of a length")
        for name, values, low, high in (
            ("patient of pair", self.patient, 0, n_patients - 1),
            ("donor of pair", self.donor, 0, n_donors - 1),
            ("P(10/10) of pair", self.p10, 0, 1 + ROUNDING),
            ("P(9/10) of pair", self.p9, 0, 1 + ROUNDING),
            ("P(10/10) + P(9/10) of pair", self.p10 + self.p9, 0, 1 + ROUNDING),
            ("availability of donor", self.availability, 0, 1),
            ("weight of patient", self.weight, 1 / MOST_URGENT, MOST_URGENT),
            ("worth of 9/10, number", np.array([self.nine]), 0, 1),
        ):
            wrong = ~((values >= low) & (values <= high))
            if wrong.any():
                at = int(wrong.argmax())
                raise TypingPlanError(f"{name} {at}: {values[at]} is not in {low:g} to {high:g}")
        pairs = self.patient * max(n_donors, 1) + self.donor
        if len(np.unique(pairs)) < len(pairs):
            raise TypingPlanError("a pair of patient and donor is given more than once")

    @property
    def success(self) -> Float64s:
        """(2, n_pairs) probability of an available 10/10 donor, and of 9/10 or better."""
        ten = np.minimum(self.p10, 1)
        either = np.minimum(self.p10 + self.p9, 1)
        return np.asarray(np.stack((ten, either)) * self.availability[self.donor])

    @property
    def credit(self) -> Float64s:
        """(2,) what a patient gains by the one and by the other."""
        return np.array([1 - self.nine, self.nine])

    def value(self, pairs: Iterable[int]) -> float:
        """Expected number of patients, by weight, who find a donor by these requests."""
        failed = np.ones((2, len(self.weight)))
        success = self.success
        for pair in pairs:
            failed[:, self.patient[pair]] *= 1 - success[:, pair]
        return float(self.credit @ ((1 - failed) @ self.weight))


@dataclass(frozen=True)
class TypingPlan:
    """Requests in the order of their gain.

    `pairs`: (n,) int64 positions of pairs, each donor at most once. `gain`: (n,) float64, what the
    request adds to the value of those before it. `value`: their sum. `bound`: no plan within the
    budget has a higher value. `exact`: the plan is known to be best.
    """

    pairs: Int64s
    gain: Float64s
    value: float
    bound: float
    exact: bool


def plan_typing(problem: TypingProblem, budget: int, per_patient: int | None = None) -> TypingPlan:
    """At most `budget` requests, at most `per_patient` for a patient, that are worth most.

    Every plan is looked at where there are few. Otherwise request after request is taken by its
    gain; donors whom several patients want go where the sum of gains is highest (`allocate`), or to
    the highest gain, whichever plan is worth more.

    The value is monotone and submodular. So where nothing but the budget limits, that is without
    shared donors and `per_patient`, the plan has at least 1 - 1/e of the highest value (Nemhauser,
    Wolsey and Fisher 1978, Math Program 14:265), and 1/2 otherwise where no `per_patient` is given
    (Fisher, Nemhauser and Wolsey 1978, Math Program Study 8:73). Without shared donors, and with
    `nine` 0 or 1, it is best. `bound` holds always. Raises `TypingPlanError` for a negative number.
    """
    for name, number in (("budget", budget), ("requests for a patient", per_patient or 0)):
        if number < 0:
            raise TypingPlanError(f"{name}: {number} is below 0")
    search = _Search(problem, budget, budget if per_patient is None else per_patient)
    shared = bool((np.bincount(search.donor[search.pays]) > 1).any())
    found = search.every() if search.few else None
    exact = found is not None or (not shared and problem.nine in (0, 1))
    if found is None:
        found = search.greedy(settle=shared)
        if shared:
            found = max(found, search.greedy(settle=False), key=problem.value)
    pairs, gains = search.in_order(found)
    value = float(gains.sum())
    bound = value if exact else search.bound(pairs, value)
    return TypingPlan(pairs, gains, value, bound, exact)


class _Search:
    """The search of one plan. `pays`: positions of pairs that can gain anything."""

    def __init__(self, problem: TypingProblem, budget: int, per_patient: int) -> None:
        self.problem, self.budget, self.per_patient = problem, budget, per_patient
        self.patient, self.donor, self.success = problem.patient, problem.donor, problem.success
        self.pays = np.flatnonzero(self.gains(np.ones((2, len(problem.weight)))) > 0)

    def gains(self, failed: Float64s) -> Float64s:
        """(n_pairs,) gain of each pair where `failed`, (2, n_patients), is what is left."""
        left = failed * self.problem.credit[:, None] * self.problem.weight
        return np.asarray((left[:, self.patient] * self.success).sum(axis=0))

    @property
    def few(self) -> bool:
        wanted = np.bincount(self.donor[self.pays]) + 1.0
        return bool(np.log(wanted).sum() <= np.log(EXACT_CHOICES))

    def every(self) -> list[int]:
        """The best of all plans; of several, the first in the order of donors and pairs."""
        by_donor = [self.pays[self.donor[self.pays] == d] for d in np.unique(self.donor[self.pays])]
        best_value, best = -1.0, list[int]()

        def extend(place: int, chosen: list[int], counts: dict[int, int]) -> None:
            nonlocal best_value, best
            if place == len(by_donor):
                value = self.problem.value(chosen)
                if value > best_value + ROUNDING:
                    best_value, best = value, chosen
                return
            if len(chosen) < self.budget:
                for pair in by_donor[place].tolist():
                    patient = int(self.patient[pair])
                    if counts.get(patient, 0) < self.per_patient:
                        more = counts | {patient: counts.get(patient, 0) + 1}
                        extend(place + 1, [*chosen, pair], more)
            extend(place + 1, chosen, counts)

        extend(0, [], {})
        return best

    def greedy(self, settle: bool) -> list[int]:
        """By falling gain; with `settle`, in rounds in which the allocation settles conflicts."""
        failed = np.ones((2, len(self.problem.weight)))
        room = np.full(len(self.problem.weight), self.per_patient)
        free = np.zeros(len(self.patient), dtype=bool)
        free[self.pays] = True
        chosen: list[int] = []
        while len(chosen) < self.budget:
            gains = self.gains(failed)
            open_ = np.flatnonzero(free & (room[self.patient] > 0) & (gains > 0))
            if not len(open_):
                break
            if settle:
                picked = self._round(open_, gains, failed, room)
            else:
                picked = [int(open_[gains[open_].argmax()])]
            for pair in picked[: self.budget - len(chosen)]:
                chosen.append(pair)
                patient = self.patient[pair]
                failed[:, patient] *= 1 - self.success[:, pair]
                room[patient] -= 1
                free &= self.donor != self.donor[pair]
        return chosen

    def _round(self, open_: Int64s, gains: Float64s, failed: Float64s, room: Int64s) -> list[int]:
        """One request a patient at most, by falling gain, as far as no second one gains more."""
        wanted = self._wanted(open_, gains)
        patients, patient = np.unique(self.patient[wanted], return_inverse=True)
        donors, donor = np.unique(self.donor[wanted], return_inverse=True)
        problem = AllocationProblem(
            patients=tuple(map(str, patients)),
            donors=tuple(map(str, donors)),
            patient=patient.astype(np.int64),
            donor=donor.astype(np.int64),
            utility=np.maximum(1, np.rint(gains[wanted] * GAIN_UNITS)).astype(np.int64),
        )
        edges = np.lexsort((donor, patient))
        given = allocate(problem, Objectives(recipients=1)).edge_of
        picked = wanted[edges[given[given != UNALLOCATED]]]
        picked = picked[np.lexsort((picked, -gains[picked]))]
        after, left = failed.copy(), room.copy()
        after[:, self.patient[picked]] *= 1 - self.success[:, picked]
        left[self.patient[picked]] -= 1
        rest = open_[~np.isin(self.donor[open_], self.donor[picked])]
        rest = rest[left[self.patient[rest]] > 0]
        second = self.gains(after)[rest].max(initial=0.0)
        taken = picked[gains[picked] >= second]
        return [int(pair) for pair in (taken if len(taken) else picked[:1])]

    def _wanted(self, open_: Int64s, gains: Float64s) -> Int64s:
        """Of each patient its best pairs: no more than there are patients can be out of reach."""
        order = open_[np.lexsort((open_, -gains[open_], self.patient[open_]))]
        ordered = self.patient[order]
        place = np.arange(len(order)) - np.searchsorted(ordered, ordered)
        return order[place < len(np.unique(ordered))]

    def in_order(self, found: list[int]) -> tuple[Int64s, Float64s]:
        """The requests by falling gain after those before them, and these gains."""
        failed = np.ones((2, len(self.problem.weight)))
        left, pairs, gained = sorted(found), list[int](), list[float]()
        while left:
            gains = self.gains(failed)[left]
            best = int(gains.argmax())
            if not gains[best] > 0:
                # A certain match is asked for already.
                break
            pairs.append(left.pop(best))
            gained.append(float(gains[best]))
            failed[:, self.patient[pairs[-1]]] *= 1 - self.success[:, pairs[-1]]
        return np.array(pairs, dtype=np.int64), np.array(gained)

    def bound(self, pairs: Int64s, value: float) -> float:
        """No plan has a higher value; the lower of two bounds.

        The value and the highest gains that are left, one a donor, as many as the budget, which
        holds for every monotone submodular value. And the best plans for 10/10 alone and for 9/10
        or better alone where donors may be asked for several patients, which greed finds.
        """
        failed = np.ones((2, len(self.problem.weight)))
        for pair in pairs.tolist():
            failed[:, self.patient[pair]] *= 1 - self.success[:, pair]
        left = self.gains(failed)
        left[pairs] = 0
        best = np.zeros(len(self.problem.availability))
        np.maximum.at(best, self.donor, left)
        apart = self.problem.credit @ [self._shared_best(success) for success in self.success]
        return min(value + float(np.sort(best)[::-1][: self.budget].sum()), float(apart))

    def _shared_best(self, success: Float64s) -> float:
        """Highest value of requests with these probabilities, each donor for any number."""
        gains = []
        for patient, weight in enumerate(self.problem.weight.tolist()):
            falling = np.sort(success[self.patient == patient])[::-1][: self.per_patient]
            gains.append(weight * falling * np.cumprod(np.append(1, 1 - falling))[:-1])
        every = np.sort(np.concatenate([*gains, np.zeros(0)]))[::-1]
        return float(every[: self.budget].sum())
