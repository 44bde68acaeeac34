"""Who may receive from whom, what that is worth, what limits the whole, and what counts first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import Enum
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from matching.errors import AllocationError

Int64s = npt.NDArray[np.int64]
Float64s = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNALLOCATED = -1
# Times the number of nodes, which the flow solver scales costs by, this stays below 2**63.
UTILITY_LIMIT = 2**40
MOST_URGENT = 1000
NO_DEADLINE = np.iinfo(np.int64).max


class Objective(Enum):
    """What is maximised, in this order."""

    RECIPIENTS = "recipients served"
    FAIRNESS = "served in the worst-off ancestry group, per million"
    UTILITY = "urgency-weighted utility"
    STABILITY = "recipients who keep yesterday's donor"


@dataclass(frozen=True)
class Objectives:
    """How much of its optimum a level gives up for the good of all levels below it.

    `recipients`, `fairness`, `utility`: shares in [0, 1] of recipients served, of the share served
    in the worst-off ancestry group, and of urgency-weighted utility. With `fairness` None that
    level is left out. Raises `AllocationError` for a share out of range.
    """

    recipients: float = 0.01
    utility: float = 0.01
    fairness: float | None = None

    def __post_init__(self) -> None:
        for name in ("recipients", "utility", "fairness"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise AllocationError(f"share of {name} to give up: {share} is not in 0 to 1")


@dataclass(frozen=True)
class Effort:
    """How long to search where side constraints bind; it never changes an answer that is optimal.

    `work`: of each search, about seconds, but counted in operations, so that the answer does not
    depend on the machine. `threads`: components searched at the same time. `seed`: of the search.
    `between`: called between parts of the work and while CP-SAT searches, on any thread; what it
    raises ends the work.
    """

    work: float = 10.0
    threads: int = 1
    seed: int = 1
    between: Callable[[], object] = field(default=lambda: None, repr=False, compare=False)


DEFAULT_OBJECTIVES, DEFAULT_EFFORT = Objectives(), Effort()


def least(best: int, share: float) -> int:
    """What is left of `best`, 0 or more, when `share` of it may be given up; rounded up.

    >>> least(100, 0.01), least(99, 0.01), least(7, 1)
    (99, 99, 0)
    """
    kept = (1 - Fraction(Decimal(str(share)))) * best
    return -(-kept.numerator // kept.denominator)


def first_highest(key: Int64s, value: Int64s) -> Int64s:
    """Positions of the first of the highest values of each key; keys are 0 or more and ascend.

    >>> first_highest(np.array([0, 0, 0, 4, 4]), np.array([1, 7, 7, 2, 1])).tolist()
    [1, 3]
    """
    starts = np.flatnonzero(np.diff(key, prepend=-1))
    if not len(starts):
        return starts
    highest = np.maximum.reduceat(value, starts)
    high = np.flatnonzero(value == np.repeat(highest, np.diff(starts, append=len(key))))
    first: Int64s = high[np.diff(key[high], prepend=-1) != 0]
    return first


@dataclass(frozen=True)
class Limit:
    """At most `most` allocated edges, 0 or more, of these patients and of these donors.

    `patients`, `donors`: distinct positions; an edge counts once for its patient and once for each
    of its units that is named.
    """

    name: str
    most: int
    patients: tuple[int, ...] = ()
    donors: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AllocationProblem:
    """Patients, donors, edges and side constraints.

    `patients` and `donors`: distinct identifiers; their order breaks ties.
    `patient`, `donor`: (n_edges,) int64 positions in these, one edge a candidate.
    `utility`: (n_edges,) int64, 1 or more; times the urgency at most `UTILITY_LIMIT` - 1.
    `second`: (n_edges,) int64, the position of a second unit that goes together with `donor`
    (double cord), `UNALLOCATED` for none, which is the default.
    `urgency`: (n_patients,) int64, weight from 1, the default, to `MOST_URGENT`.
    `previous`, `previous_second`: (n_patients,) int64, both units of yesterday's plan,
    `UNALLOCATED` for none; a graft is kept if it is of the same units.
    `ancestry`: (n_patients,) int64, number of the group, 0 or more; by default all are one group.
    `deadline_week`: (n_patients,) int64, last week in which the transplant may be, 1 this week;
    a patient with 0 or less cannot be served.
    `available`: (n_donors,) bool; a donor that is not gets nobody.
    `limits`: side constraints.

    The edges may come in any order and are kept sorted by patient, donor and second unit. There may
    be none. Raises `AllocationError` for arrays of different lengths or not of integers, values
    out of range, a repeated identifier and a repeated edge.
    """

    patients: tuple[str, ...]
    donors: tuple[str, ...]
    patient: Int64s
    donor: Int64s
    utility: Int64s
    second: Int64s = None  # type: ignore[assignment]
    urgency: Int64s = None  # type: ignore[assignment]
    previous: Int64s = None  # type: ignore[assignment]
    previous_second: Int64s = None  # type: ignore[assignment]
    ancestry: Int64s = None  # type: ignore[assignment]
    deadline_week: Int64s = None  # type: ignore[assignment]
    available: Bools = None  # type: ignore[assignment]
    limits: tuple[Limit, ...] = ()

    def __post_init__(self) -> None:
        n_patients, n_donors, n_edges = len(self.patients), len(self.donors), len(self.patient)
        _check_distinct("patient", self.patients)
        _check_distinct("donor", self.donors)
        for name, length, value in (
            ("second", n_edges, UNALLOCATED),
            ("urgency", n_patients, 1),
            ("previous", n_patients, UNALLOCATED),
            ("previous_second", n_patients, UNALLOCATED),
            ("ancestry", n_patients, 0),
            ("deadline_week", n_patients, NO_DEADLINE),
            ("available", n_donors, True),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, np.full(length, value))
        edges = {name: getattr(self, name) for name in ("patient", "donor", "utility", "second")}
        if any(a.ndim != 1 or len(a) != n_edges for a in edges.values()):
            shapes = ", ".join(f"{name} {a.shape}" for name, a in edges.items())
            raise AllocationError(f"edges need one-dimensional arrays of a length: {shapes}")
        for name, length in (
            ("urgency", n_patients),
            ("previous", n_patients),
            ("previous_second", n_patients),
            ("ancestry", n_patients),
            ("deadline_week", n_patients),
            ("available", n_donors),
        ):
            if getattr(self, name).shape != (length,):
                raise AllocationError(f"{name} needs {length} values, one for each")
        _check_range("patient of edge", self.patient, 0, n_patients - 1)
        _check_range("donor of edge", self.donor, 0, n_donors - 1)
        _check_range("second unit of edge", self.second, UNALLOCATED, n_donors - 1)
        _check_range("utility of edge", self.utility, 1, UTILITY_LIMIT - 1)
        _check_range("urgency of patient", self.urgency, 1, MOST_URGENT)
        for yesterday in (self.previous, self.previous_second):
            _check_range("yesterday's donor of patient", yesterday, UNALLOCATED, n_donors - 1)
        _check_range("ancestry of patient", self.ancestry, 0, max(n_patients - 1, 0))
        order = np.lexsort((self.second, self.donor, self.patient))
        for name, values in edges.items():
            object.__setattr__(self, name, values[order].astype(np.int64))
        worth = self.utility * self.urgency[self.patient]
        _check_range("utility times urgency of edge", worth, 1, UTILITY_LIMIT - 1)
        self._check_units()
        for limit in self.limits:
            _check_limit(limit, n_patients, n_donors)

    def _check_units(self) -> None:
        double = self.second != UNALLOCATED
        if (self.donor[double] == self.second[double]).any():
            raise AllocationError("the second unit of an edge is its first one")
        units = np.stack((np.minimum(self.donor, self.second), np.maximum(self.donor, self.second)))
        order = np.lexsort((*units, self.patient))
        repeated = (np.diff(self.patient[order]) == 0) & (
            np.diff(units[:, order], axis=1) == 0
        ).all(axis=0)
        if repeated.any():
            first = order[int(repeated.argmax())]
            raise AllocationError(
                f"patient {self.patients[self.patient[first]]!r} and donor "
                f"{self.donors[self.donor[first]]!r} form more than one edge; give each pair once"
            )

    def with_edges(self, keep: Bools, limits: tuple[Limit, ...]) -> AllocationProblem:
        """The same people with fewer edges, `keep` is (n_edges,), and other limits."""
        edges = (self.patient, self.donor, self.utility, self.second)
        patient, donor, utility, second = (values[keep] for values in edges)
        return replace(
            self, patient=patient, donor=donor, utility=utility, second=second, limits=limits
        )

    def edges_of(self, patient: Int64s, donor: Int64s) -> Int64s:
        """(n,) position of the first edge of each of n pairs, `UNALLOCATED` where there is none."""
        n_donors = len(self.donors)
        pairs, wanted = self.patient * n_donors + self.donor, patient * n_donors + donor
        at = np.searchsorted(pairs, wanted)
        return np.where(np.append(pairs, UNALLOCATED)[at] == wanted, at, UNALLOCATED)

    @property
    def weight(self) -> Int64s:
        """(n_edges,) utility times the urgency of the patient."""
        return self.utility * self.urgency[self.patient]

    @property
    def kept(self) -> Bools:
        """(n_edges,) whether the units are those of yesterday's plan."""
        one, other = self.previous[self.patient], self.previous_second[self.patient]
        same = (one == self.donor) & (other == self.second)
        swapped = (one == self.second) & (other == self.donor)
        return np.asarray(same | swapped)

    @property
    def usable(self) -> Bools:
        """(n_edges,) whether every unit is available and the deadline is not past."""
        there = np.append(self.available, True)
        in_time = self.deadline_week[self.patient] >= 1
        return np.asarray(there[self.donor] & there[self.second] & in_time)


def _check_distinct(role: str, identifiers: tuple[str, ...]) -> None:
    if len(set(identifiers)) < len(identifiers):
        repeated = Counter(identifiers).most_common(1)[0][0]
        raise AllocationError(f"{role} {repeated!r} is listed more than once")


def _check_range(name: str, values: Int64s, low: int, high: int) -> None:
    if values.dtype.kind not in "iu":
        raise AllocationError(f"{name}: integers are needed, not {values.dtype}")
    wrong = (values < low) | (values > high)
    if wrong.any():
        at = int(wrong.argmax())
        raise AllocationError(f"{name} {at}: {values[at]} is not in {low} to {high}")


def _check_limit(limit: Limit, n_patients: int, n_donors: int) -> None:
    if limit.most < 0:
        raise AllocationError(f"limit {limit.name!r}: {limit.most} is below 0")
    for role, members, n in (
        ("patient", limit.patients, n_patients),
        ("donor", limit.donors, n_donors),
    ):
        if len(set(members)) < len(members):
            raise AllocationError(f"limit {limit.name!r} names a {role} more than once")
        if members and not (min(members) >= 0 and max(members) < n):
            raise AllocationError(f"limit {limit.name!r}: {role} positions are 0 to {n - 1}")


def weekly_limits(
    place: Sequence[str], deadline_week: Int64s, per_week: Mapping[str, int], weeks: int
) -> tuple[Limit, ...]:
    """The limits that a weekly capacity of centres or laboratories sets to a plan of `weeks` weeks.

    `place`, `deadline_week`: (n_patients,) name of the centre, "" for none, and the last week that
    is in time. `per_week`: transplants a week, 0 or more, of the places that have a limit.

    Patients of a place can be put into weeks in time if and only if for every week no more of them
    than the capacity up to then have a deadline up to then (jobs of one unit, earliest deadline
    first: Jackson 1955). So there is one limit for each place and each deadline that occurs.
    """
    due = np.minimum(deadline_week, weeks)
    limits = []
    for name in sorted(per_week):
        here = np.flatnonzero(np.array([p == name for p in place], dtype=bool))
        for week in np.unique(due[here]):
            members = tuple(here[due[here] <= week].tolist())
            limits.append(
                Limit(f"{name}, by week {week}", max(int(week), 0) * per_week[name], members)
            )
    return tuple(limits)
