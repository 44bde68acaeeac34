"""Evaluations and comparisons as JSON documents."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from data.models import model_hash, read_documents
from matching.errors import ModelError
from matching.fit import MEASURES, Cohort, Evaluation, compare
from matching.risk import RiskModel, predict


def evaluation_document(found: Evaluation) -> dict[str, Any]:
    """Every measure with its interval as `<measure>_ci`, the counts, and the same by group.

    JSON has no NaN: what could not be computed is null.
    """
    document: dict[str, Any] = {
        "horizon_days": found.horizon_days,
        "how": found.how,
        "n": found.n,
        "n_unknown": found.n_unknown,
        "n_events": found.n_events,
        "n_competing": found.n_competing,
        "n_censored": found.n_censored,
        "recalibration_shift": found.shift,
        "unseen": dict(found.unseen),
    }
    for measure in MEASURES:
        document[measure] = _finite(found[measure])
        document[f"{measure}_ci"] = [_finite(limit) for limit in found.interval(measure)]
    # Said plainly: an interval that holds one half shows no discrimination.
    document["shows_discrimination"] = bool(found.interval("auc")[0] > 0.5)
    document["by"] = {
        kind: {name: evaluation_document(one) for name, one in groups.items()}
        for kind, groups in found.by.items()
    }
    return document


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def differences(
    patients: Cohort, first: RiskModel, second: RiskModel, seed: int
) -> list[dict[str, Any]]:
    """Measures of two models on one cohort, with paired intervals. Raises `ModelError`."""
    risks = [
        {
            one.name: predict(one, patients.columns, len(patients)).probability
            for one in model.outcomes
        }
        for model in (first, second)
    ]
    found = compare(patients, risks[0], risks[1], seed)
    if not found:
        raise ModelError(f"models {first.name} and {second.name} share no outcome of the cohort")
    return [vars(one) for one in found]


def differences_of_evaluations(sides: list[tuple[RiskModel, Path | None]]) -> dict[str, Any]:
    """Measures side by side of the evaluations that both folders hold of one file.

    Raises `ModelError` where there is none.
    """
    held = []
    for model, folder in sides:
        documents = [] if folder is None else read_documents(folder, "evaluation-")
        mine = [one for one in documents if one.get("model") == model_hash(model)]
        held.append({(one["cohort"], one["recalibrate"]): one["outcomes"] for one in mine})
    shared = sorted(set(held[0]) & set(held[1]), key=str)
    rows = []
    for key in shared:
        for name in (n for n in held[0][key] if n in held[1][key]):
            for measure in ("auc", "brier", "log_loss"):
                a, b = (one[key][name][measure] for one in held)
                both = a is not None and b is not None
                rows.append(
                    {
                        "outcome": name,
                        "measure": measure,
                        "first": a,
                        "second": b,
                        "difference": a - b if both else None,
                        "low": None,
                        "high": None,
                    }
                )
    if not rows:
        raise ModelError("the two models were not evaluated on one file; give --cohort FILE")
    return {"cohort": [key[0] for key in shared], "differences": rows}
