"""What each key orders by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from matching.immunogenetics import LeaderOutcome, leader_preference
from matching.rank.ordering import Floats, Int64s
from matching.rank.rule import DOSE_STEPS, RankRule


def antibody_values(low: npt.NDArray[np.uint8], high: npt.NDArray[np.uint8]) -> Floats:
    """0 where a virtual crossmatch is negative, 2 where it is positive, 1 where it cannot be told.

    low, high: best and worst answer, values of `matching.antibodies.Answer`.
    """
    return np.where(low == high, low, 1).astype(np.float64)


def probability_bands(p: Floats, certain: Floats, bands: Sequence[float]) -> Floats:
    """(n,) position of the band of each probability, 0 the highest.

    `p`: probabilities in [0, 1], NaN where unknown; then `certain` stands in, which is 0 or 1 where
    the typings alone leave no doubt (R16) and NaN elsewhere. What stays unknown comes before the
    last band: the donor may match, which those of the last band almost certainly do not.

    >>> probability_bands(np.array([0.99, 0.5, np.nan, 0.0]), np.full(4, np.nan), (99, 1)).tolist()
    [0.0, 1.0, 1.5, 2.0]
    """
    found = np.where(np.isnan(p), certain, p)
    bounds = np.array(bands[::-1]) / 100
    # Sums of weights are exact to about 1e-13.
    place = len(bounds) - np.searchsorted(bounds, found + 1e-9, side="right")
    return np.where(np.isnan(found), len(bounds) - 0.5, place)


def certain_probabilities(best: Int64s, worst: Int64s, n_mismatches: int) -> Floats:
    """P of exactly `n_mismatches` over the five loci where the typings tell: 0, 1, else NaN.

    `best`, `worst`: (n,) mismatches at A, B, C, DRB1 and DQB1.

    >>> certain_probabilities(np.array([0, 0, 1]), np.array([0, 2, 1]), 0).tolist()
    [1.0, nan, 0.0]
    """
    possible = (best <= n_mismatches) & (n_mismatches <= worst)
    return np.where(~possible, 0.0, np.where(best == worst, 1.0, np.nan))


def leader_values(outcomes: Sequence[LeaderOutcome | None], rule: RankRule) -> Floats:
    """(n,) preference by HLA-B leader (rule R18, Petersdorf 2020, Lancet Haematol 7:e50).

    None is a pair that may match at HLA-B: nothing is mismatched, so it is as good as the best. Of
    a single mismatch the place in `rule.leader_order`; what is undetermined, or two mismatches,
    comes between the leader-matched and the leader-mismatched.
    """
    unknown = sum(matched for matched, _ in rule.leader_order) - 0.5
    places = (0 if o is None else leader_preference(o, rule.leader_order) for o in outcomes)
    return np.array([unknown if place is None else place for place in places], dtype=np.float64)


def age_values(age_years: Floats) -> Floats:
    """Younger first, since survival falls with donor age (Kollman 2016, Blood 127:260).

    An unknown age (NaN) comes after every known one: no age is known to be unfavourable by itself.
    """
    return np.where(np.isnan(age_years), np.inf, age_years)


def cmv_values(patient: str | None, donors: Sequence[str | None]) -> Floats:
    """(n,) 0 the patient's serostatus, 1 unknown on either side, 2 the other.

    A negative donor spares a negative patient the infection, a positive one brings immunity to a
    positive patient (Ljungman 2014, Clin Infect Dis 59:473).
    """
    known = ("positive", "negative")
    return np.array(
        [
            float(2 * (donor != patient)) if donor in known and patient in known else 1.0
            for donor in donors
        ]
    )


def sex_values(patient: str | None, donors: Sequence[str | None]) -> Floats:
    """2 for a female donor of a male patient (chronic GVHD: Flowers 2011, Blood 117:3214).

    1 where that is possible and not known, else 0.
    """
    if patient == "female":
        return np.zeros(len(donors))
    female = 2.0 if patient == "male" else 1.0
    return np.array([{"male": 0.0, "female": female}.get(str(donor), 1.0) for donor in donors])


def dose_values(key: str, dose: Floats, cord: npt.NDArray[np.bool_]) -> Floats:
    """Whole steps of `DOSE_STEPS` by which cord units are ordered, more cells first: both doses go
    with engraftment and survival (Politikos 2020, Biol Blood Marrow Transplant 26:2190).

    `dose`: (n,) a kg of the patient, NaN where unknown, which comes after every known one. A donor
    that is no `cord` unit gives as much as is needed, so it comes first.

    >>> dose_values("tnc", np.array([2.6, 2.4, np.nan]), np.ones(3, dtype=bool)).tolist()
    [-5.0, -4.0, inf]
    """
    steps = -np.floor(dose / DOSE_STEPS[key] + 1e-9)
    return np.where(cord, np.where(np.isnan(dose), np.inf, steps + 0.0), -np.inf)


# Plasma or red cells are removed for a minor or a major mismatch; a major one delays red cells
# (Worel 2016, Transfus Med Hemother 43:3).
ABO = {"match": 0.0, "minor": 1.0, "": 2.0, "major": 3.0, "bidirectional": 4.0}


def abo_values(matches: Sequence[str]) -> Floats:
    """From "match", "minor", "major" and "bidirectional", unknown ("") before the last two."""
    return np.array([ABO[match] for match in matches])
