"""Facts of a patient and of donors -> the factors of a risk model, and predicted risks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from matching.pipeline import Matches
from matching.risk import RiskModel, predict
from matching.typed_pairs import hla_match, known_tce

_SIGN = {"positive": "+", "negative": "-"}
_ANTIGENS = {"A": {"A"}, "B": {"B"}, "AB": {"A", "B"}, "O": set[str]()}

Facts = Mapping[str, str | float | None]


def pair_factors(
    patient: Facts, donors: pd.DataFrame, ages: npt.NDArray[np.float64], matches: Matches
) -> dict[str, Any]:
    """Columns of the risk model's variables for one patient and its donors, in rank order.

    `donors`: the facts of the donors, in the order of `matches`; `ages`: (n,) years. What is
    unknown on either side is left empty (NaN for numbers).
    """
    n = len(matches.candidates)
    sex = [_letter(value) for value in donors["sex"]]
    cord = donors["type"].to_numpy() == "cord"
    return {
        "age_years": np.full(n, np.nan if patient["age_years"] is None else patient["age_years"]),
        "donor_age_years": ages,
        "donor_type": np.where(cord, "cord", "unrelated").astype(object),
        "graft_source": np.where(cord, "CB", "").astype(object),
        "hla_match": hla_match(matches),
        "dpb1_tce": _texts(known_tce(category) for category in matches.tce),
        "sex_match": _texts(_both(d, _letter(patient["sex"]), "{}-{}") for d in sex),
        "cmv_match": _texts(
            _both(_SIGN.get(d, ""), _SIGN.get(str(patient["cmv"]), ""), "D{}R{}")
            for d in donors["cmv"]
        ),
        "abo_match": _texts(abo_match(d, patient["abo"]) for d in donors["abo"]),
    }


def _texts(values: Any) -> npt.NDArray[np.object_]:
    return np.array(list(values), dtype=object)


def _letter(sex: object) -> str:
    return {"male": "M", "female": "F"}.get(str(sex), "")


def _both(donor: str, recipient: str, form: str) -> str:
    return form.format(donor, recipient) if donor and recipient else ""


def abo_match(donor: object, recipient: object) -> str:
    """Major if the donor brings an antigen the recipient lacks, minor the other way round.

    >>> [abo_match(*pair) for pair in (("A", "O"), ("O", "A"), ("A", "B"), ("A", "A"), ("A", None))]
    ['major', 'minor', 'bidirectional', 'match', '']
    """
    if donor not in _ANTIGENS or recipient not in _ANTIGENS:
        return ""
    given, own = _ANTIGENS[str(donor)], _ANTIGENS[str(recipient)]
    major, minor = bool(given - own), bool(own - given)
    if major and minor:
        return "bidirectional"
    return "major" if major else "minor" if minor else "match"


def predicted_risks(
    model: RiskModel, factors: Mapping[str, Any], n: int
) -> dict[str, npt.NDArray[np.float64]]:
    """Columns risk_<outcome>, risk_<outcome>_low and _high, each (n,) in [0, 1]."""
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for outcome in model.outcomes:
        found = predict(outcome, factors, n)
        columns[f"risk_{outcome.name}"] = found.probability
        columns[f"risk_{outcome.name}_low"] = found.low
        columns[f"risk_{outcome.name}_high"] = found.high
    return columns
