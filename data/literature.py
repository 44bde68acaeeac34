"""The literature model: published effects, carried over by hand, as a risk model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from matching.risk import (
    MIN_SE_WITHOUT_INTERVAL,
    OUTCOMES,
    Z95,
    Factor,
    OutcomeModel,
    RiskModel,
    hazard_ratio,
    log_odds,
    log_odds_error,
    shrunk,
    spread_of_effects,
)

LITERATURE_FIGURES = Path(__file__).parent / "models_shipped" / "literature.json"


def literature_model() -> RiskModel:
    """The shipped model, computed from the figures of `models_shipped/literature.json`.

    The reference case has the published incidence; each level moves it by its published effect,
    converted by `matching.risk.log_odds` at that incidence. Coefficients are independent. Without
    a published interval an effect, and the baseline, has a standard error of 0.5. Figures from
    memory and those of conflicting sources have theirs doubled; several figures of one contrast
    are pooled by inverse variance. Then each effect is shrunk to what it is worth beside all
    others (`matching.risk.shrunk`); its standard error stays the published one.
    """
    document = json.loads(LITERATURE_FIGURES.read_text(encoding="utf-8"))
    published = [_contrasts(document, row) for row in document["baselines"]]
    all_of_them = [contrast for contrasts in published for contrast in contrasts]
    # Rounded, so that the hash does not depend on a machine's last bit.
    spread = round(
        spread_of_effects(
            np.array([contrast.beta for contrast in all_of_them]),
            np.array([contrast.error for contrast in all_of_them]),
        ),
        2,
    )
    outcomes = tuple(
        _literature_outcome(document, row, contrasts, spread)
        for row, contrasts in zip(document["baselines"], published, strict=True)
    )
    notes = tuple(
        f"Left out: {'; '.join(', '.join(filter(None, row)) for row in entry['rows'])}. "
        f"Reason: {entry['reason']}."
        for entry in document["left_out"]
    )
    return RiskModel(
        document["name"],
        "literature",
        outcomes,
        "",
        (_SHRINKAGE.format(n=len(all_of_them), spread=spread), *_LITERATURE_NOTES, *notes),
    )


_SHRINKAGE = (
    "What is published is on average too large, the more so the less precise it is. The {n} "
    "effects of all outcomes scatter about 0 with a standard deviation of {spread} beyond their "
    "standard errors (maximum likelihood); each is multiplied by {spread}^2 / ({spread}^2 + "
    "standard error^2). The published log-odds stands beside the figure. No patient's outcome "
    "enters this."
)
_LITERATURE_NOTES = (
    "The incidence of the reference case is that of a whole published population, not of its "
    "patients in the reference level of every factor; so it is taken as an average case.",
    "Effects are of single studies of different populations, mutually adjusted only where a "
    "study did so, and are taken as independent and without interactions.",
    "A hazard ratio is converted as one of the subdistribution; a contrast of two incidences "
    "becomes the hazard ratio ln(1 - p) / ln(1 - p reference), so that it may stem from another "
    "horizon.",
    "Without a published interval the standard error is "
    f"{MIN_SE_WITHOUT_INTERVAL}; this holds for the baselines too. It is doubled where sources "
    "conflict and where a figure is from memory.",
    "No figure is computed from the public CIBMTR studies or published on them. Karnofsky score, "
    "conditioning, recipient age, CMV, ABO, disease and its stage have no other figure for these "
    "outcomes.",
)


@dataclass(frozen=True)
class _Contrast:
    """Levels of a factor against its reference: log-odds and standard error as published."""

    factor: str
    levels: tuple[str, ...]
    beta: float
    error: float
    sources: str


def _contrasts(document: Any, baseline: Any) -> list[_Contrast]:
    """Of one outcome, in the order of its factors."""
    found = []
    for factor in document["factors"]:
        effects = [
            effect
            for effect in document["effects"]
            if effect["outcome"] == baseline["outcome"] and effect["factor"] == factor
        ]
        for levels in dict.fromkeys(tuple(effect["levels"]) for effect in effects):
            sources = [effect for effect in effects if tuple(effect["levels"]) == levels]
            beta, error = _pooled(sources, baseline["percent"] / 100)
            text = " | ".join(_cite(source) for source in sources)
            found.append(_Contrast(factor, levels, beta, error, text))
    return found


def _literature_outcome(
    document: Any, baseline: Any, contrasts: list[_Contrast], spread: float
) -> OutcomeModel:
    name = baseline["outcome"]
    horizon = next(o.horizon_days for o in OUTCOMES if o.name == name)
    factors = []
    for factor, reference in document["factors"].items():
        levels = [contrast.levels for contrast in contrasts if contrast.factor == factor]
        if levels:
            groups = (tuple(reference["reference"]), *levels)
            factors.append(Factor(factor, groups, tuple(reference.get("bands", ()))))
    time_point = baseline["time_point"]
    text = (
        f"{baseline['percent']} % in {baseline['case']} (n = {baseline['n']}), time point "
        f"{time_point}, taken as of day {horizon:g}; {baseline['citation']}"
    )
    betas = [shrunk(contrast.beta, contrast.error, spread) for contrast in contrasts]
    errors = [MIN_SE_WITHOUT_INTERVAL, *(contrast.error for contrast in contrasts)]
    return OutcomeModel(
        name,
        horizon,
        tuple(factors),
        np.zeros(len(contrasts)),
        np.zeros(len(contrasts)),
        np.round([logit(baseline["percent"] / 100), *betas], 6),
        np.diag(np.round(np.square(errors), 6)),
        text,
        tuple(f"published {c.beta:.3f}: {c.sources}" for c in contrasts),
    )


def _pooled(effects: list[Any], p0: float) -> tuple[float, float]:
    """Log-odds at the horizon and standard error of one contrast, by inverse variance."""
    converted = [_convert(effect, p0) for effect in effects]
    weights = np.array([error**-2 for _, error in converted])
    betas = np.array([beta for beta, _ in converted])
    return float(weights @ betas / weights.sum()), float(weights.sum() ** -0.5)


def _convert(effect: Any, p0: float) -> tuple[float, float]:
    """Log-odds at the horizon and its standard error."""
    widen = effect.get("widen", 1)
    if effect["type"] == "incidences":
        ratio = hazard_ratio(effect["from"] / 100, effect["to"] / 100)
        beta, error = log_odds("sHR", ratio, p0), MIN_SE_WITHOUT_INTERVAL
        if "from_low" in effect:
            error = float(np.hypot(_width(effect, "from"), _width(effect, "to")))
        return beta, widen * error
    kind, low, high = effect["type"], effect["low"], effect["high"]
    beta = log_odds(kind, effect["estimate"], p0)
    return (
        -beta if effect.get("inverse") else beta,
        widen * log_odds_error(kind, low, high, p0),
    )


def _width(effect: Any, side: str) -> float:
    """Standard error of the log-odds of a published incidence."""
    low, high = (logit(effect[f"{side}_{end}"] / 100) for end in ("low", "high"))
    return float((high - low) / (2 * Z95))


def _cite(effect: Any) -> str:
    if effect["type"] == "incidences":
        sides = []
        for side in ("from", "to"):
            figure = f"{effect[side]:g} %"
            if f"{side}_low" in effect:
                figure += f" ({effect[f'{side}_low']:g}-{effect[f'{side}_high']:g})"
            sides.append(figure)
        figure = " to ".join(sides)
    else:
        figure = f"{effect['type']} {effect['estimate']:g}"
        if effect["low"] is not None:
            figure += f" ({effect['low']:g}-{effect['high']:g})"
        else:
            figure += " (no interval)"
    n = f", n = {effect['n']}" if effect["n"] else ""
    note = f"; {effect['note']}" if "note" in effect else ""
    if effect.get("inverse"):
        note += "; taken the other way round"
    if effect.get("memory"):
        note += "; from memory"
    if "conflict" in effect:
        note += f"; {effect['conflict']}"
    if "widen" in effect:
        note += f"; standard error times {effect['widen']:g}"
    return f"{figure}{n}; {effect['citation']}{note}"
