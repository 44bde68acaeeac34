"""Evaluations as JSON documents."""

from __future__ import annotations

import math
from typing import Any

from matching.fit import MEASURES, Evaluation


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
