"""Model cards: coefficients, and the 27 items of TRIPOD+AI filled from what was computed.

Collins 2024, BMJ 385:e078378: the items of TRIPOD+AI.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data.models import model_hash
from matching.risk import Z95, OutcomeModel, RiskModel, outcome_named


def coefficients_card(model: RiskModel) -> str:
    """What a reader needs to judge a model, as Markdown."""
    lines = [
        f"# Risk model {model.name}",
        "",
        f"Kind {model.kind}, schema {model.schema}, sha256 {model_hash(model)}."
        + (f" Fitted on the file with sha256 {model.trained_on}." if model.trained_on else ""),
        "",
        "It predicts the cumulative incidence at a horizon, the competing event being one. "
        "For research and donor comparison; not a medical device.",
    ]
    for outcome in model.outcomes:
        errors = np.sqrt(np.diag(outcome.covariance))
        title = outcome.outcome.text
        lines += [
            "",
            f"## {title}, day {outcome.horizon_days:g}",
            "",
            f"Baseline: {outcome.baseline}. Log-odds {outcome.coefficients[0]:.3f}, standard "
            f"error {errors[0]:.3f}.",
            "",
            "| column | log-odds | standard error | odds ratio (95 %) | from |",
            "|---|---|---|---|---|",
        ]
        for i, label in enumerate(outcome.labels):
            beta, error = outcome.coefficients[1 + i], errors[1 + i]
            low, high = np.exp(beta - Z95 * error), np.exp(beta + Z95 * error)
            lines.append(
                f"| {label} | {beta:.3f} | {error:.3f} | {np.exp(beta):.2f} "
                f"({low:.2f}-{high:.2f}) | {outcome.references[i]} |"
            )
        lines += ["", "Reference levels: " + _reference_levels(outcome) + "."]
    lines += ["", "## Notes", "", *(f"- {note}" for note in model.notes)]
    return "\n".join(lines) + "\n"


def _reference_levels(outcome: OutcomeModel) -> str:
    parts = []
    for factor in outcome.factors:
        if factor.bands:
            parts.append(f"{factor.name} below {factor.bands[0]:g}")
        elif factor.levels:
            parts.append(f"{factor.name} {' or '.join(factor.levels[0])}")
    return ", ".join(parts) or "none"


def card(
    model: RiskModel,
    training: Mapping[str, Any] | None = None,
    evaluations: Sequence[Mapping[str, Any]] = (),
) -> str:
    """What a reader needs to judge a model, as Markdown.

    `training` and `evaluations`: the documents of a model folder; without training (the
    literature model) the card has coefficients and notes only.
    """
    text = coefficients_card(model)
    if training is None:
        return text
    lines = [text, "## TRIPOD+AI", ""]
    for number, (title, content) in enumerate(_items(model, training, evaluations), start=1):
        lines.append(f"{number}. **{title}.** {content}")
    return "\n".join(lines) + "\n"


def _items(
    model: RiskModel, training: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    outcomes = [outcome_named(one.name) for one in model.outcomes]
    names = "; ".join(f"{o.text} by day {o.horizon_days:g}" for o in outcomes)
    found = training["cross_validation"]
    counts = "; ".join(
        f"{name}: {e['n']} patients, {e['n_events']} events, {e['n_competing']} competing, "
        f"{e['n_censored']} censored, {e['n_unknown']} without outcome"
        for name, e in found.items()
    )
    unseen = [e for e in evaluations if e.get("cohort") != model.trained_on]
    factors = sorted({factor.name for one in model.outcomes for factor in one.factors})
    open_ = "not recorded by the program; to be stated by who trained the model"
    missing = ", ".join(f"{k} {100 * v:.0f} %" for k, v in training["missing"].items() if v)
    return [
        ("Title", f"Prediction model {model.name}: development, with internal validation: {names}"),
        ("Abstract", f"Logistic regression on {training['n']} patients of {training['n_centres']} "
         f"centres. {_performance(found)}"),
        ("Background", "The choice of a donor weighs the risk of GVHD and death; published "
         "pre-transplant models reach an AUC of 0.60 to 0.64. Intended users are transplant "
         f"centres that compare donors of one patient. Known inequalities: {open_}"),
        ("Objectives", f"To predict the cumulative incidence of {names}"),
        ("Data", f"File {training['cohort_name']}, sha256 {model.trained_on or 'none'}; years of "
         f"transplant {training['years']}"),
        ("Participants", f"{training['n']} patients of {training['n_centres']} centres, aged "
         f"{training['ages']}; eligibility and treatments: those of the file"),
        ("Data preparation", f"Mapping {training['mapping']}; values outside their ranges are "
         "refused, not changed"),
        ("Outcome", "; ".join(
            f"{o.text}: {o.event}, competing: {o.competing or 'none'}, by day {o.horizon_days:g}"
            for o in outcomes) + ". Assessment: that of the file"),
        ("Predictors", ", ".join(factors) + "; all known before the transplant"),
        ("Sample size", f"Every patient of the file was used. {counts}"),
        ("Missing data", "A missing factor counts as its mean when fitting and is averaged over "
         f"when predicting. Missing: {missing or 'nothing'}"),
        ("Analytical methods", "Logistic regression at the horizon, competing events as no event, "
         "inverse-probability-of-censoring weights; normal prior centred on the literature model, "
         f"its strength chosen by {training['inner_folds']}-fold validation within each of "
         f"{training['folds']} outer folds of whole centres; seed {training['seed']}. Covariance: "
         "sandwich over centres. Code "
         f"{training['code']}, lock {training['lock']}, {training['libraries']}"),
        ("Class imbalance", "No resampling; predictions are calibrated as they are"),
        ("Fairness", _by_group(found)),
        ("Model output", "A probability with its 95 % interval and each factor's contribution; no "
         "threshold is set"),
        ("Training versus evaluation", "; ".join(_evaluated(e) for e in unseen) or
         "Evaluated by cross-validation only: no file that the model has not seen"),
        ("Ethical approval", open_),
        ("Open science", f"Funding, conflicts, protocol, registration, data sharing: {open_}. The "
         "code is open"),
        ("Patient and public involvement", open_),
        ("Participants (results)", counts),
        ("Model development", "Strength of the prior: " + "; ".join(
            f"{name} {s[0]:g} (with literature), {s[1]:g} (without)"
            for name, s in training["strengths"].items())),
        ("Model specification", "All coefficients stand above; model.json holds them with their "
         "covariance"),
        ("Model performance", f"{training['folds']}-fold cross-validation by centre. "
         + _performance(found) + _challenged(training)
         + "".join(f" {_evaluated(e)}." for e in unseen)),
        ("Model updating", "Intercept recalibrated: " + ("; ".join(
            f"{e['cohort_name']}" for e in unseen if e.get("recalibrate")) or "nowhere")),
        ("Interpretation", _plainly(found)),
        ("Limitations", "Factors known before the transplant discriminate weakly; weights take "
         "censoring as independent of the factors; without interactions; an effect is an "
         "association, no cause"),
        ("Usability", "Missing and unseen values are averaged over and flagged, numbers beyond the "
         "range taken at its limit and flagged. Not a medical device; a physician decides"),
    ]  # fmt: skip


def _performance(found: Mapping[str, Any]) -> str:
    return " ".join(
        f"{name}: AUC {_with_ci(e, 'auc')}, Brier {_number(e['brier'])} (marginal rate "
        f"{_number(e['brier_null'])}), slope {_with_ci(e, 'calibration_slope')}, O/E "
        f"{_with_ci(e, 'observed_expected')}."
        for name, e in found.items()
    )


def _number(value: float | None) -> str:
    return "not computable" if value is None else f"{value:.3f}"


def _with_ci(found: Mapping[str, Any], measure: str) -> str:
    low, high = found[f"{measure}_ci"]
    return f"{_number(found[measure])} ({_number(low)} to {_number(high)})"


def _challenged(training: Mapping[str, Any]) -> str:
    rival = training.get("challenger") or {}
    if not rival:
        return ""
    return " Gradient boosting on the same folds: " + ", ".join(
        f"{name} AUC {_with_ci(e, 'auc')}" for name, e in rival.items()
    )


def _by_group(found: Mapping[str, Any]) -> str:
    parts = [
        f"{name}, {group}: AUC {_with_ci(e, 'auc')}, O/E {_with_ci(e, 'observed_expected')}, "
        f"n {e['n']}"
        for name, whole in found.items()
        for groups in whole["by"].values()
        for group, e in groups.items()
    ]
    return "; ".join(parts) or "No sex, age or ancestry in the file"


def _evaluated(evaluation: Mapping[str, Any]) -> str:
    how = "intercept recalibrated on one half" if evaluation.get("recalibrate") else "as it is"
    return f"On {evaluation['cohort_name']} ({how}): {_performance(evaluation['outcomes'])}"


def _plainly(found: Mapping[str, Any]) -> str:
    nothing = [name for name, e in found.items() if not e["shows_discrimination"]]
    shown = [name for name, e in found.items() if e["shows_discrimination"]]
    parts = []
    if shown:
        parts.append(f"Better than chance: {', '.join(shown)}")
    if nothing:
        parts.append(f"Nothing is shown (the interval of the AUC holds 0.5): {', '.join(nothing)}")
    return ". ".join(parts)
