"""Cumulative incidence by Aalen and Johansen, written to be read: loops and fractions.

Aalen and Johansen 1978, Scand J Stat 5:141. At a tied time events come before censorings.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction


def aalen_johansen(times: Sequence[float], statuses: Sequence[int], horizon: float) -> Fraction:
    """Probability of status 1 at or before the horizon; 0 is censored, 2 the competing event."""
    alive = Fraction(1)  # free of both events just before the time that is looked at
    incidence = Fraction(0)
    for time in sorted(set(times)):
        if time > horizon:
            break
        at_risk = sum(1 for other in times if other >= time)
        pairs = list(zip(times, statuses, strict=True))
        events = sum(1 for other, status in pairs if other == time and status == 1)
        competing = sum(1 for other, status in pairs if other == time and status == 2)
        incidence += alive * Fraction(events, at_risk)
        alive *= 1 - Fraction(events + competing, at_risk)
    return incidence
