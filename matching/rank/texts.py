"""Values of keys in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from matching.rank.ordering import Ranking
from matching.rank.rule import DOSE_STEPS, RankRule
from matching.rank.values import ABO

_TCE_TEXTS = ("match", "potential match", "permissive", "unknown", "non-permissive")
_TEXTS: Mapping[str, Mapping[float, str]] = {
    "antibody": {0: "negative", 1: "not assessable", 2: "positive"},
    "tce": dict(enumerate(_TCE_TEXTS)),
    "cmv": {0: "as the patient", 1: "unknown", 2: "not as the patient"},
    "sex": {0: "no female for a male", 1: "unknown", 2: "female for a male"},
    "abo": {value: name or "unknown" for name, value in ABO.items()},
    "nima": dict(enumerate(("no mismatch, or matched", "unknown or potential", "not matched"))),
}


def value_text(key: str, value: float, rule: RankRule) -> str:
    """A value of a key in words.

    >>> value_text("p10", 1, RankRule()), value_text("risk", 3, RankRule())
    ('at least 95 %', '3 % above the lowest of equals')
    """
    if key in ("p10", "p9"):
        if value == len(rule.bands):
            return f"below {rule.bands[-1]:g} %"
        return f"at least {rule.bands[int(value)]:g} %" if value == int(value) else "unknown"
    if key == "leader":
        if value != int(value):
            return "unknown"
        matched, shared = rule.leader_order[int(value)]
        matched_text = "matched" if matched else "mismatched"
        return "no mismatch, or best" if value == 0 else f"{matched_text}, shared {shared}"
    if key == "risk":
        above = f"{value * rule.risk_step:g} % above the lowest of equals"
        return above if value else "as the lowest of equals"
    if key in DOSE_STEPS:
        if value == -np.inf:
            return "no cord unit"
        return "unknown" if np.isinf(value) else f"at least {abs(value) * DOSE_STEPS[key]:g}"
    if key == "age":
        return "unknown" if np.isinf(value) else f"{value:g}"
    return _TEXTS[key][value] if key in _TEXTS else f"{value:g}"


def value_texts(ranking: Ranking, key: str, rule: RankRule) -> list[str]:
    """The values of a key in words, "" where the ranking has none of it."""
    if key not in ranking.keys:
        return [""] * len(ranking)
    column = ranking.values[:, ranking.keys.index(key)]
    distinct, number = np.unique(column, return_inverse=True)
    texts = [value_text(key, value, rule) for value in distinct.tolist()]
    return [texts[i] for i in number.tolist()]
