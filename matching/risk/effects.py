"""Published effects -> differences of log-odds at the horizon."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from matching.errors import ModelError
from matching.risk.checks import require

Z95 = 1.959963984540054
MIN_SE_WITHOUT_INTERVAL = 0.5


def log_odds(effect_type: str, estimate: float, p0: float) -> float:
    """A published effect as a difference of log-odds at the horizon, where the baseline is p0.

    ======== ================================== ==========================================
    sHR, HR  p1 = 1 - (1 - p0) ** estimate      proportional subdistribution hazards
                                                (Fine and Gray 1999, JASA 94:496)
    RR       p1 = p0 * estimate                 needs p0 * estimate < 1
    OR       logit p1 = logit p0 + ln estimate  any p0
    ======== ================================== ==========================================

    A hazard ratio that is not said to be of the subdistribution (HR) is converted as one. That is
    exact without competing events. With them p1 is further from p0 than it should be: with constant
    hazards, p0 = 0.45, another 0.20 dead before the event and a cause-specific HR of 0.5 to 2, by
    at most 0.02 (tested).
    Raises `ModelError` outside 0 < p0 < 1, for an estimate that is not positive, and for an RR
    that leaves no p1 below 1.

    >>> round(log_odds("OR", 2.0, 0.3), 4), round(log_odds("sHR", 2.0, 0.3), 4)
    (0.6931, 0.8873)
    """
    require(0 < p0 < 1, f"baseline incidence {p0} is not between 0 and 1")
    require(0 < estimate < np.inf, f"effect {estimate} is not a positive number")
    if effect_type == "OR":
        return float(np.log(estimate))
    if effect_type in ("HR", "sHR"):
        p1 = -np.expm1(estimate * np.log1p(-p0))
    elif effect_type == "RR":
        p1 = p0 * estimate
        require(p1 < 1, f"a relative risk of {estimate} takes a baseline of {p0} to {p1:.2f}")
    else:
        raise ModelError(f"effects of type {effect_type!r} cannot be converted to log-odds")
    return float(logit(p1) - logit(p0))


def log_odds_error(
    effect_type: str, low: float | None, high: float | None, p0: float, minimum: float = 0.0
) -> float:
    """Standard error of `log_odds`: its 95 % limits converted as the estimate, width / 3.92.

    Without both limits it is `MIN_SE_WITHOUT_INTERVAL`, and never below `minimum`.
    """
    if low is None or high is None:
        return max(minimum, MIN_SE_WITHOUT_INTERVAL)
    require(low <= high, f"limits {low} and {high} are not in order")
    width = log_odds(effect_type, high, p0) - log_odds(effect_type, low, p0)
    return max(minimum, width / (2 * Z95))


def hazard_ratio(p_reference: float, p: float) -> float:
    """The subdistribution hazard ratio that takes incidence p_reference to p at any horizon.

    It carries a contrast of two incidences over to another baseline and, if the hazards are
    proportional, to another horizon: ln(1 - p) / ln(1 - p_reference).
    """
    require(0 < p_reference < 1 and 0 < p < 1, "an incidence is not between 0 and 1")
    return float(np.log1p(-p) / np.log1p(-p_reference))


def spread_of_effects(betas: npt.NDArray[np.float64], errors: npt.NDArray[np.float64]) -> float:
    """Standard deviation t of true effects about 0, of which these (k,) log-odds were published.

    Maximum likelihood of betas ~ N(0, t^2 + errors^2), parametric empirical Bayes (Morris 1983,
    JASA 78:47); errors > 0. 0.001 to 10.

    >>> round(spread_of_effects(np.array([1.0, -1.0, 2.0, -2.0]), np.full(4, 0.1)), 2)
    1.58
    """

    # Slow to import, and only models are made with it.
    from scipy.optimize import minimize_scalar

    def lost(log_spread: float) -> float:
        variance = np.exp(2 * log_spread) + errors**2
        return float((np.log(variance) + betas**2 / variance).sum())

    found = minimize_scalar(lost, bounds=np.log((0.001, 10.0)), method="bounded")
    return float(np.exp(found.x))


def shrunk(beta: float, error: float, spread: float) -> float:
    """The mean of a true effect, published as beta with a standard error, from N(0, spread^2).

    What is published is on average too large, the more so the less precise it is (Ioannidis 2008,
    Epidemiology 19:640).

    >>> shrunk(1.0, 0.5, 0.5), round(shrunk(1.0, 0.01, 0.5), 3)
    (0.5, 1.0)
    """
    return beta * spread**2 / (spread**2 + error**2)
