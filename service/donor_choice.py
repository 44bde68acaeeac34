"""Predicted risks of donors as JSON documents: what a coordinator compares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from matching.errors import CohortError, ModelError
from matching.risk import (
    VARIABLES,
    Known,
    Prediction,
    RiskModel,
    compare_donors,
    predict,
    what_if,
)

# The literature model has no cohort to average over.
_TAKEN = "averaged over the model's cohort, or at its reference where there is none"
NOTES = {
    Known.YES: "",
    Known.NO: f"unknown, {_TAKEN}",
    Known.CLIPPED: "outside the range of the model, taken at its limit",
    Known.UNSEEN: f"never seen by the model, {_TAKEN}",
}
DPB1 = "dpb1_tce"


def pair_columns(settings: Sequence[str]) -> dict[str, Any]:
    """Columns of one row from NAME=VALUE. Raises `ModelError` naming what is not known."""
    known = {variable.name: variable for variable in VARIABLES}
    columns: dict[str, Any] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        variable = known.get(name)
        if not equals or variable is None:
            raise ModelError(
                f"{text!r} is no factor; write NAME=VALUE with one of: {', '.join(known)}"
            )
        if variable.levels:
            if value not in variable.levels and not variable.open:
                raise ModelError(f"{name}: {value!r} is none of {', '.join(variable.levels)}")
            columns[name] = np.array([value], dtype=object)
            continue
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not variable.low <= number <= variable.high:
            raise ModelError(f"{name}: {value!r} is not from {variable.low:g} to {variable.high:g}")
        columns[name] = np.array([number])
    return columns


def single_document(model: RiskModel, columns: dict[str, Any], label: str) -> dict[str, Any]:
    """The risks of one pair, with contributions."""
    return {
        "model": label,
        "outcomes": {one.name: _answer(predict(one, columns, 1), 0) for one in model.outcomes},
    }


def choice_document(
    model: RiskModel,
    columns: dict[str, Any],
    patients: Sequence[str] | None,
    donors: Sequence[str] | None,
    label: str,
) -> dict[str, Any]:
    """Each patient's donors in the order of the file, with differences to the best.

    Without a column of patients all rows are donors of one. Where DPB1 is not known a donor also
    has its risks as if it were each category in turn. Raises `CohortError` where the rows of a
    patient are not together.
    """
    n = len(next(iter(columns.values())))
    names = list(patients) if patients is not None else ["1"] * n
    starts = np.array([0, *(i for i in range(1, n) if names[i] != names[i - 1]), n])
    firsts = [names[i] for i in starts[:-1]]
    twice = sorted({name for name in firsts if firsts.count(name) > 1})
    if twice:
        raise CohortError(
            f"the donors of patient {twice[0]!r} do not stand together; sort the file"
        )
    answers: list[dict[str, Any]] = [{} for _ in range(n)]
    unseen: dict[str, int] = {}
    for one in model.outcomes:
        found = compare_donors(one, columns, starts)
        prediction = predict(one, columns, n)
        best = np.repeat(found.best, np.diff(starts))
        alternatives = what_if(one, columns, n, DPB1)
        for i in range(n):
            answer = _answer(prediction, i)
            answer |= {
                "difference": _finite(found.difference[i]),
                "difference_low": _finite(found.difference_low[i]),
                "difference_high": _finite(found.difference_high[i]),
                "best": bool(best[i] == i),
            }
            if alternatives and _unknown(prediction, i):
                answer["if_dpb1_were"] = {
                    level: {
                        "probability": _finite(other.probability[i]),
                        "low": _finite(other.low[i]),
                        "high": _finite(other.high[i]),
                        "change": _finite(other.probability[i] - prediction.probability[i]),
                    }
                    for level, other in alternatives.items()
                }
            answers[i][one.name] = answer
        for f, factor in enumerate(prediction.factors):
            for i in np.flatnonzero(prediction.known[:, f] == Known.UNSEEN).tolist():
                key = f"{one.name}, {factor}: {columns[factor][i]}"
                unseen[key] = unseen.get(key, 0) + 1
    rows = [
        {"donor": donors[i] if donors is not None else str(i + 1), "outcomes": answers[i]}
        for i in range(n)
    ]
    return {
        "model": label,
        "patients": [
            {"patient": names[start], "donors": rows[start:end]}
            for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)
        ],
        "unseen": [
            f"{key}: never seen by the model, {count} rows" for key, count in unseen.items()
        ],
    }


def _unknown(prediction: Prediction, row: int) -> bool:
    position = prediction.factors.index(DPB1)
    return bool(prediction.known[row, position] == Known.NO)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _answer(prediction: Prediction, row: int) -> dict[str, Any]:
    return {
        "applicable": bool(prediction.applicable[row]),
        "probability": _finite(prediction.probability[row]),
        "low": _finite(prediction.low[row]),
        "high": _finite(prediction.high[row]),
        "horizon_days": prediction.horizon_days,
        "intercept": prediction.intercept,
        "factors": [
            {
                "factor": factor,
                "log_odds": float(prediction.contributions[row, i]),
                "note": NOTES[Known(prediction.known[row, i])],
            }
            for i, factor in enumerate(prediction.factors)
        ],
    }
