"""Facts of a patient and of donors -> the factors of a risk model, and predicted risks."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from data.index import StoredIndex
from matching.parts import taken
from matching.pipeline import PairCounts, tce_categories
from matching.risk import Coded, CodedColumns, OutcomeModel, RiskModel, compare_donors
from matching.search import Candidates
from matching.typed_pairs import hla_match, hla_match_of_pair, known_tce
from service.calls import checkpoint

_SIGN = {"positive": "+", "negative": "-"}
_ANTIGENS = {"A": {"A"}, "B": {"B"}, "AB": {"A", "B"}, "O": set[str]()}

# Of which donors are ranked and shown.
RISK_OUTCOME = "agvhd_3_4"
Facts = Mapping[str, str | float | None]
_FIRST = np.zeros(1, dtype=np.int64)


def pair_factors(
    patient: Facts, index: StoredIndex, as_of: datetime.date, found: Candidates
) -> CodedColumns:
    """Columns of the risk model's variables for one patient and its candidates, in their order.

    What is unknown on either side is left empty (NaN for numbers).
    """
    categories, number = tce_categories(found)
    columns: dict[str, npt.NDArray[Any] | Coded] = {
        "age_years": np.broadcast_to(_age(patient), len(found)),
        "donor_age_years": index.ages(as_of, found.rows, checkpoint),
        "hla_match": hla_match(found),
        "dpb1_tce": _coded([known_tce(category) for category in categories], number),
    }
    for factor, fact, text in _of_both(patient):
        values, number = index.distinct(fact, found.rows, checkpoint)
        columns[factor] = _coded([text(value) for value in values], number)
    return columns


def related_factors(
    patient: Facts, donors: Sequence[Facts], donor_types: Sequence[str], found: Candidates
) -> CodedColumns:
    """`pair_factors` of relatives of a patient, (n,): their facts and what they are as donors, ""
    where that is not known; which graft they give is open."""
    categories, number = tce_categories(found)
    everyone = np.arange(len(donors))
    columns: dict[str, npt.NDArray[Any] | Coded] = {
        "age_years": np.full(len(found), _age(patient)),
        "donor_age_years": np.array([_age(donor) for donor in donors], dtype=np.float64),
        "hla_match": hla_match(found),
        "dpb1_tce": _coded([known_tce(category) for category in categories], number),
    }
    for factor, fact, text in _of_both(patient):
        columns[factor] = _coded([text(donor[fact]) for donor in donors], everyone)
    columns["donor_type"] = _coded(list(donor_types), everyone)
    return columns


def joined_factors(parts: Sequence[CodedColumns]) -> CodedColumns:
    """The rows of several parts, one after the other, which all have the same columns."""
    return {name: _joined([part[name] for part in parts]) for name in parts[0]}


def _joined(parts: Sequence[npt.NDArray[Any] | Coded]) -> npt.NDArray[Any] | Coded:
    if not isinstance(parts[0], Coded):
        return np.concatenate([part for part in parts if not isinstance(part, Coded)])
    texts = [text for part in parts if isinstance(part, Coded) for text in part.texts]
    return _coded(texts, np.arange(len(texts)))


def one_pair_values(
    patient: Facts, donor: Facts, counts: PairCounts
) -> dict[str, str | float | None]:
    """Factors of one patient and one donor, who need not be in a registry, always in the same
    order: numbers with None for unknown, and levels with "" for unknown."""
    values: dict[str, str | float | None] = {
        "age_years": patient["age_years"],
        "donor_age_years": donor["age_years"],
        "hla_match": hla_match_of_pair(counts),
        "dpb1_tce": known_tce(counts.tce),
    }
    for factor, fact, text in _of_both(patient):
        values[factor] = text(donor[fact])
    return values


def factors_of_values(values: Mapping[str, str | float | None]) -> CodedColumns:
    """Columns of `one_pair_values`, one row."""
    return {
        factor: _coded([value], _FIRST)
        if isinstance(value, str)
        else np.array([np.nan if value is None else float(value)])
        for factor, value in values.items()
    }


def _of_both(patient: Facts) -> Iterator[tuple[str, str, Callable[[Any], str]]]:
    """Factors, the facts of donors that they depend on, and their levels by these."""
    recipient = _letter(patient["sex"])
    serostatus = _SIGN.get(str(patient["cmv"]), "")
    yield "donor_type", "type", lambda kind: "cord" if kind == "cord" else "unrelated"
    yield "graft_source", "type", lambda kind: "CB" if kind == "cord" else ""
    yield "sex_match", "sex", lambda sex: _both(_letter(sex), recipient, "{}-{}")
    yield "cmv_match", "cmv", lambda cmv: _both(_SIGN.get(cmv, ""), serostatus, "D{}R{}")
    yield "abo_match", "abo", lambda abo: abo_match(abo, patient["abo"])


def _age(facts: Facts) -> float:
    return np.nan if facts["age_years"] is None else float(facts["age_years"])


def _coded(texts: list[str], number: npt.NDArray[np.int64]) -> Coded:
    """A column from its distinct texts, "" for unknown, and which each row has."""
    levels = tuple(dict.fromkeys(filter(None, texts)))
    codes = np.array([levels.index(text) if text else -1 for text in texts], dtype=np.int8)
    return Coded(taken(codes, number, checkpoint), levels)


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
        columns |= outcome_risks(outcome, factors, n)
    return columns


def outcome_risks(
    outcome: OutcomeModel, factors: CodedColumns, n: int
) -> dict[str, npt.NDArray[Any]]:
    """The same of one outcome."""
    found = compare_donors(outcome, factors, np.array([0, n]))
    intervals = (found.difference, found.difference_low, found.difference_high)
    values = (found.probability, found.low, found.high, *intervals)
    return dict(zip(risk_columns(outcome.name), values, strict=True))
