"""Risk models as files, the shipped literature model, and which model is active.

A model file is JSON: `schema`, `sha256` of the model's canonical text, and `model`. It is
validated on load (schema, hash, shapes); nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import logit

from data.files import replacing
from matching.errors import ModelError
from matching.risk import (
    MIN_SE_WITHOUT_INTERVAL,
    MODEL_SCHEMA,
    OUTCOMES,
    Z95,
    Factor,
    OutcomeModel,
    RiskModel,
    hazard_ratio,
    log_odds,
    log_odds_error,
)

LITERATURE = "literature"
LITERATURE_FIGURES = Path(__file__).parent / "models_shipped" / "literature.json"
MAX_BYTES = 20_000_000
_ACTIVE = "active.json"


def literature_model() -> RiskModel:
    """The shipped model, computed from the figures of `models_shipped/literature.json`.

    The reference case has the published incidence; each level moves it by its published effect,
    converted by `matching.risk.log_odds` at that incidence. Coefficients are independent. Without
    a published interval of its own (a contrast of two incidences never has one) an effect, and
    the baseline, has a standard error of 0.5.
    """
    document = json.loads(LITERATURE_FIGURES.read_text(encoding="utf-8"))
    outcomes = tuple(_literature_outcome(document, row) for row in document["baselines"])
    notes = tuple(
        f"Left out: {'; '.join(', '.join(filter(None, row)) for row in entry['rows'])}. "
        f"Reason: {entry['reason']}."
        for entry in document["left_out"]
    )
    return RiskModel(document["name"], "literature", outcomes, "", (*_LITERATURE_NOTES, *notes))


_LITERATURE_NOTES = (
    "The incidence of the reference case is that of a whole published population, not of its "
    "patients in the reference level of every factor; so it is taken as an average case.",
    "Effects are of single studies of different populations, mutually adjusted only where a "
    "study did so, and are taken as independent and without interactions.",
    "A hazard ratio is converted as one of the subdistribution; a contrast of two incidences "
    "becomes the hazard ratio ln(1 - p) / ln(1 - p reference), so that it may stem from another "
    "horizon.",
    "Without a published interval of the effect itself the standard error is "
    f"{MIN_SE_WITHOUT_INTERVAL}; this holds for the baselines too.",
    "Only figures verified in their source are carried: none from memory, none computed from the "
    "public CIBMTR studies, none published on them. Karnofsky score, conditioning, recipient age, "
    "CMV, ABO, disease and its stage have no such figure for these outcomes.",
)


def _literature_outcome(document: Any, baseline: Any) -> OutcomeModel:
    p0 = baseline["percent"] / 100
    name = baseline["outcome"]
    horizon = next(o.horizon_days for o in OUTCOMES if o.name == name)
    coefficients, variances = [round(float(logit(p0)), 6)], [MIN_SE_WITHOUT_INTERVAL**2]
    factors, references = [], []
    for factor, reference in document["factors"].items():
        effects = [
            effect
            for effect in document["effects"]
            if effect["outcome"] == name and effect["factor"] == factor
        ]
        if not effects:
            continue
        groups = (tuple(reference["reference"]), *(tuple(e["levels"]) for e in effects))
        factors.append(Factor(factor, groups, tuple(reference.get("bands", ()))))
        for effect in effects:
            beta, error = _convert(effect, p0)
            # Rounded, so that the hash does not depend on a machine's last bit.
            coefficients.append(round(beta, 6))
            variances.append(round(error**2, 6))
            references.append(_cite(effect))
    time_point = baseline["time_point"]
    text = (
        f"{baseline['percent']} % in {baseline['case']} (n = {baseline['n']}), time point "
        f"{time_point}, taken as of day {horizon:g}; {baseline['citation']}"
    )
    return OutcomeModel(
        name,
        horizon,
        tuple(factors),
        np.zeros(len(references)),
        np.zeros(len(references)),
        np.array(coefficients),
        np.diag(variances),
        text,
        tuple(references),
    )


def _convert(effect: Any, p0: float) -> tuple[float, float]:
    """Log-odds at the horizon and its standard error."""
    if effect["type"] == "incidences":
        ratio = hazard_ratio(effect["from"] / 100, effect["to"] / 100)
        return log_odds("sHR", ratio, p0), MIN_SE_WITHOUT_INTERVAL
    kind, low, high = effect["type"], effect["low"], effect["high"]
    return log_odds(kind, effect["estimate"], p0), log_odds_error(kind, low, high, p0)


def _cite(effect: Any) -> str:
    if effect["type"] == "incidences":
        figure = f"{effect['from']:g} % to {effect['to']:g} %"
    else:
        figure = f"{effect['type']} {effect['estimate']:g}"
        if effect["low"] is not None:
            figure += f" ({effect['low']:g}-{effect['high']:g})"
        else:
            figure += " (no interval)"
    n = f", n = {effect['n']}" if effect["n"] else ""
    note = f"; {effect['note']}" if "note" in effect else ""
    return f"{figure}{n}; {effect['citation']}{note}"


def card(model: RiskModel) -> str:
    """What a reader needs to judge a model, as Markdown."""
    lines = [
        f"# Risk model {model.name}",
        "",
        f"Kind {model.kind}, schema {model.schema}, sha256 {model_hash(model)}."
        + (f" Fitted on the file with sha256 {model.trained_on}." if model.trained_on else ""),
        "",
        "It predicts the cumulative incidence at a horizon, death first being a competing event. "
        "For research and donor comparison; not a medical device.",
    ]
    texts = {one.name: one.text for one in OUTCOMES}
    for outcome in model.outcomes:
        errors = np.sqrt(np.diag(outcome.covariance))
        title = texts.get(outcome.name, outcome.name)
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


def model_document(model: RiskModel) -> dict[str, Any]:
    """The model as plain values; floats round-trip exactly through JSON."""
    return {
        "name": model.name,
        "kind": model.kind,
        "trained_on": model.trained_on,
        "notes": list(model.notes),
        "outcomes": [
            {
                "name": outcome.name,
                "horizon_days": float(outcome.horizon_days),
                "baseline": outcome.baseline,
                "references": list(outcome.references),
                "centre": outcome.centre.tolist(),
                "spread": outcome.spread.tolist(),
                "coefficients": outcome.coefficients.tolist(),
                "covariance": outcome.covariance.tolist(),
                "factors": [_factor_document(factor) for factor in outcome.factors],
            }
            for outcome in model.outcomes
        ],
    }


def _factor_document(factor: Factor) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": factor.name,
        "levels": [list(group) for group in factor.levels],
        "bands": [float(bound) for bound in factor.bands],
        "unit": float(factor.unit),
    }
    # JSON has no infinity: a limit that is not there is left out.
    if np.isfinite(factor.low):
        document["low"] = float(factor.low)
    if np.isfinite(factor.high):
        document["high"] = float(factor.high)
    return document


def model_hash(model: RiskModel) -> str:
    """sha256 of the canonical text of a model (its sorted, compact JSON)."""
    return _hash(model_document(model))


def model_label(model: RiskModel) -> str:
    """Name and start of the hash, as every answer carries it."""
    return f"{model.name}@{model_hash(model)[:8]}"


def _hash(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def save_model(model: RiskModel, path: Path) -> str:
    """Write a model file atomically and return its hash. Raises `OutputError`."""
    document = {
        "schema": model.schema,
        "sha256": model_hash(model),
        "model": model_document(model),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")
    return str(document["sha256"])


def load_model(path: Path) -> RiskModel:
    """Read a model file. Raises `ModelError` for another schema, a hash or shapes that differ."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than any model file")
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read the model {path}: {error}") from error
    return parse_model(document, str(path))


def parse_model(document: Any, where: str) -> RiskModel:
    """A decoded model file -> `RiskModel`, validated."""
    if not isinstance(document, Mapping) or "schema" not in document:
        raise ModelError(f"{where} is not a risk model")
    if type(document["schema"]) is not int or document["schema"] != MODEL_SCHEMA:
        raise ModelError(
            f"{where} has schema {document['schema']!r}, this program reads {MODEL_SCHEMA}; "
            "train or export the model again with this version"
        )
    body: Any = document.get("model")
    try:
        found = _hash(body)
    except ValueError as error:
        raise ModelError(f"{where}: a value is not finite") from error
    if found != document.get("sha256"):
        raise ModelError(f"{where} does not agree with its sha256: it was changed or damaged")
    try:
        outcomes = tuple(_parse_outcome(outcome) for outcome in _list(body["outcomes"]))
        return RiskModel(
            _str(body["name"]),
            _str(body["kind"]),
            outcomes,
            _str(body["trained_on"]),
            _strings(body["notes"]),
        )
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where} is not a complete risk model: {error!r}") from error


def _parse_outcome(body: Any) -> OutcomeModel:
    return OutcomeModel(
        _str(body["name"]),
        float(body["horizon_days"]),
        tuple(_parse_factor(factor) for factor in _list(body["factors"])),
        _floats(body["centre"]),
        _floats(body["spread"]),
        _floats(body["coefficients"]),
        _floats(body["covariance"]),
        _str(body["baseline"]),
        _strings(body["references"]),
    )


def _parse_factor(body: Any) -> Factor:
    return Factor(
        _str(body["name"]),
        tuple(_strings(group) for group in _list(body["levels"])),
        tuple(float(bound) for bound in _list(body["bands"])),
        float(body["unit"]),
        float(body.get("low", float("-inf"))),
        float(body.get("high", float("inf"))),
    )


def _floats(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(_list(value), dtype=np.float64)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(_str(item) for item in _list(value))


def model_path(folder: Path, sha256: str) -> Path:
    """Where a models folder keeps the model of a hash."""
    return folder / f"{sha256}.json"


def add_model(folder: Path, model: RiskModel) -> str:
    """Put a model into a models folder and return its hash. It is not active by that."""
    sha256 = model_hash(model)
    save_model(model, model_path(folder, sha256))
    return sha256


def find_model(folder: Path, which: str) -> RiskModel:
    """The model named `literature`, or the one of a hash (or the start of one, 8 or more digits).

    Raises `ModelError` if the folder holds none or several such models.
    """
    if which == LITERATURE:
        return literature_model()
    digits = len(which) >= 8 and all(c in "0123456789abcdef" for c in which)
    files = sorted(folder.glob(f"{which}*.json")) if digits else []
    if len(files) != 1:
        held = ", ".join(sorted(f.stem[:12] for f in folder.glob("*.json") if f.name != _ACTIVE))
        count = "no model" if not files else "several models"
        raise ModelError(f"{count} {which!r} in {folder}; it holds {LITERATURE}, {held or 'none'}")
    model = load_model(files[0])
    if model_hash(model) != files[0].stem:
        raise ModelError(f"{files[0]} holds another model than its name says")
    return model


def promote(folder: Path, which: str) -> str:
    """Make a model of the folder (or `literature`) the active one, atomically; returns its hash.

    The model is loaded and validated first. Raises `ModelError` and `OutputError`.
    """
    sha256 = model_hash(find_model(folder, which))
    active = {"schema": MODEL_SCHEMA, "sha256": LITERATURE if which == LITERATURE else sha256}
    with replacing(folder / _ACTIVE) as temporary:
        temporary.write_text(json.dumps(active) + "\n", "utf-8")
    return sha256


def active_model(folder: Path) -> RiskModel:
    """The promoted model, or the literature's where none was. Raises `ModelError`."""
    path = folder / _ACTIVE
    if not path.exists():
        return literature_model()
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        which = _str(document["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not name a model; promote one again") from error
    return find_model(folder, which)
