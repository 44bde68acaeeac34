"""Facts of a patient and of donors -> the factors of a risk model, and predicted risks."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from data.index import StoredIndex
from matching.pipeline import tce_categories
from matching.risk import Coded, CodedColumns, RiskModel, compare_donors
from matching.search import Candidates
from matching.typed_pairs import hla_match, known_tce

_SIGN = {"positive": "+", "negative": "-"}
_ANTIGENS = {"A": {"A"}, "B": {"B"}, "AB": {"A", "B"}, "O": set[str]()}

Facts = Mapping[str, str | float | None]


def pair_factors(
    patient: Facts, index: StoredIndex, as_of: datetime.date, found: Candidates
) -> CodedColumns:
    """Columns of the risk model's variables for one patient and its candidates, in their order.

    What is unknown on either side is left empty (NaN for numbers).
    """
    n = len(found)

    def coded(fact: str, text: Callable[[Any], str]) -> Coded:
        values, number = index.distinct(fact, found.rows)
        return _coded([text(value) for value in values], number)

    recipient = _letter(patient["sex"])
    serostatus = _SIGN.get(str(patient["cmv"]), "")
    categories, number = tce_categories(found)
    return {
        "age_years": np.full(n, np.nan if patient["age_years"] is None else patient["age_years"]),
        "donor_age_years": index.ages(as_of, found.rows),
        "donor_type": coded("type", lambda kind: "cord" if kind == "cord" else "unrelated"),
        "graft_source": coded("type", lambda kind: "CB" if kind == "cord" else ""),
        "hla_match": hla_match(found),
        "dpb1_tce": _coded([known_tce(category) for category in categories], number),
        "sex_match": coded("sex", lambda sex: _both(_letter(sex), recipient, "{}-{}")),
        "cmv_match": coded("cmv", lambda cmv: _both(_SIGN.get(cmv, ""), serostatus, "D{}R{}")),
        "abo_match": coded("abo", lambda abo: abo_match(abo, patient["abo"])),
    }


def _coded(texts: list[str], number: npt.NDArray[np.int64]) -> Coded:
    """A column from its distinct texts, "" for unknown, and which each row has."""
    levels = tuple(dict.fromkeys(filter(None, texts)))
    codes = np.array([levels.index(text) if text else -1 for text in texts], dtype=np.int8)
    return Coded(codes[number], levels)


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


def risk_columns(outcome: str) -> tuple[str, ...]:
    """Columns of a predicted risk with its 95 % interval, and of the difference to that of the
    patient's best donor of the results (`matching.risk.Comparison`) with its own."""
    ends = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high")
    return tuple(f"risk_{outcome}{end}" for end in ends)


def predicted_risks(model: RiskModel, factors: CodedColumns, n: int) -> dict[str, npt.NDArray[Any]]:
    """The `risk_columns` of all outcomes of one patient's n donors, each (n,), NaN where an outcome
    is not applicable."""
    columns: dict[str, npt.NDArray[np.float64]] = {}
    for outcome in model.outcomes:
        found = compare_donors(outcome, factors, np.array([0, n]))
        intervals = (found.difference, found.difference_low, found.difference_high)
        values = (found.probability, found.low, found.high, *intervals)
        columns |= zip(risk_columns(outcome.name), values, strict=True)
    return columns
