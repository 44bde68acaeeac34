"""The outcomes: what is predicted, by when, what counts as the event and what competes with it."""

from __future__ import annotations

from dataclasses import dataclass

from matching.errors import ModelError


@dataclass(frozen=True)
class Outcome:
    """One outcome.

    `name` in files, `text` for readers, `horizon_days`, the `event`, the `competing` event ("" if
    there is none) and the `cohorts` (names of shipped mappings) that carry it. A patient who left
    before either is censored at the last day of contact. `allogeneic`: it needs cells of another
    person. `wanted`: the event is good, so that a higher probability is better.
    """

    name: str
    text: str
    horizon_days: float
    event: str
    competing: str
    cohorts: tuple[str, ...]
    allogeneic: bool = False
    wanted: bool = False


_DEATH = "death without it"
OUTCOMES = (
    Outcome(
        "agvhd_2_4",
        "acute GVHD grade II-IV",
        100.0,
        "first day of acute GVHD of grade II or higher",
        _DEATH,
        ("ds1302", "kmsurv_bmt", "uci_bone_marrow_children"),
        allogeneic=True,
    ),
    Outcome(
        "agvhd_3_4",
        "acute GVHD grade III-IV",
        100.0,
        "first day of acute GVHD of grade III or IV",
        _DEATH,
        ("ds1302", "uci_bone_marrow_children"),
        allogeneic=True,
    ),
    Outcome(
        "cgvhd",
        "chronic GVHD",
        365.0,
        "first day of chronic GVHD",
        _DEATH,
        ("ds1302", "kmsurv_bmt"),
        allogeneic=True,
    ),
    Outcome(
        "nrm",
        "non-relapse mortality",
        365.0,
        "death without relapse before it",
        "relapse",
        ("kmsurv_bmt", "uci_bone_marrow_children"),
    ),
    Outcome("relapse", "relapse", 365.0, "relapse", _DEATH, ("kmsurv_bmt",)),
    Outcome(
        "survival",
        "death from any cause (survival is one minus it)",
        365.0,
        "death",
        "",
        ("kmsurv_bmt", "uci_bone_marrow_children"),
    ),
    Outcome(
        "neutrophils",
        "recovery of neutrophils",
        28.0,
        "first of three days above 0.5 x 10^9/L",
        _DEATH,
        ("uci_bone_marrow_children",),
        wanted=True,
    ),
    Outcome(
        "platelets",
        "recovery of platelets",
        100.0,
        "lasting platelets above 20 x 10^9/L without transfusion",
        _DEATH,
        ("kmsurv_bmt", "uci_bone_marrow_children"),
        wanted=True,
    ),
)
_BY_NAME = {outcome.name: outcome for outcome in OUTCOMES}


def outcome_named(name: str) -> Outcome:
    """The outcome of a name. Raises `ModelError` that lists the names."""
    if name not in _BY_NAME:
        raise ModelError(f"no outcome {name!r}; known are {', '.join(_BY_NAME)}")
    return _BY_NAME[name]
