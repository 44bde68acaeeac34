"""Weights for patients who left before the horizon.

The outcome at the horizon is known for a patient whose first event (the event, or the competing
one) came by then, or who was followed that far. These are weighted by the inverse probability of
not having been censored (Graf 1999, Stat Med 18:2529), the others have weight 0. The weighted
mean of the outcome is then the Aalen-Johansen incidence, to rounding. Censoring is taken to be
independent of the factors.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from matching.errors import CohortError
from matching.fit.cohort import CENSORED
from matching.risk import Floats


def ipcw_weights(days: Floats, status: npt.NDArray[np.int8], horizon: float) -> Floats:
    """(n,) float64 weights >= 0 that sum to n; 0 where the outcome at the horizon is not known.

    The weight is 1 / G, G the Kaplan-Meier probability of being uncensored just before the event
    or the horizon. At a tied time events come before censorings. Raises `CohortError` if nobody
    was followed to the horizon and the last ones are censored: the incidence is then not known.
    """
    known = (days >= horizon) | (status != CENSORED)
    at = np.minimum(days, horizon)
    times, position = np.unique(days, return_inverse=True)
    leaving = np.bincount(position, minlength=len(times))
    at_risk = leaving[::-1].cumsum()[::-1]
    censored = np.bincount(position, weights=status == CENSORED, minlength=len(times))
    events = leaving - censored
    exposed = np.maximum(at_risk - events, 1)
    survival = np.concatenate([[1.0], np.cumprod(1 - censored / exposed)])
    g = survival[np.searchsorted(times, at, side="left")]
    latest = days.max(initial=0.0)
    if (latest < horizon and ((status == CENSORED) & (days == latest)).any()) or len(days) == 0:
        raise CohortError(f"nobody was followed for {horizon:g} days")
    return np.where(known, 1 / np.where(known, g, 1.0), 0.0)
