"""Slow, obvious definitions of a typing plan: every outcome, and every set of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product


@dataclass(frozen=True)
class Request:
    """A pair with its probabilities: exactly 10, exactly 9, the donor is available."""

    patient: int
    donor: int
    p10: float
    p9: float
    available: float


def value(requests: Sequence[Request], weights: Sequence[float], nine: float) -> float:
    """The mean over all outcomes of all requests of what the patients find, by weight."""
    mean = 0.0
    for outcome in product(("none", "nine", "ten"), repeat=len(requests)):
        odds, found = 1.0, [0.0] * len(weights)
        for request, result in zip(requests, outcome, strict=True):
            ten, nine_of_ten = request.available * request.p10, request.available * request.p9
            odds *= {"ten": ten, "nine": nine_of_ten, "none": 1 - ten - nine_of_ten}[result]
            credit = {"ten": 1.0, "nine": nine, "none": 0.0}[result]
            found[request.patient] = max(found[request.patient], credit)
        mean += odds * sum(w * f for w, f in zip(weights, found, strict=True))
    return mean


def plans(requests: Sequence[Request], budget: int, per_patient: int) -> Iterator[list[Request]]:
    """Every set of requests within the budget, each donor once."""
    for size in range(budget + 1):
        for chosen in combinations(requests, size):
            patients = [request.patient for request in chosen]
            if len({request.donor for request in chosen}) == size and all(
                patients.count(patient) <= per_patient for patient in patients
            ):
                yield list(chosen)
