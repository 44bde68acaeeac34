"""Lists of several types of donors: requests as values, and what is beside a donor as messages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.cord import CordRule
from matching.family import HaploidenticalRule
from matching.rank import RankRule
from matching.risk import RiskModel
from service.convert.cord import CORD_RULES
from service.convert.family import haploidentical_rule
from service.pairs import risk_columns
from service.pb.graftmatch.v1 import cord_pb2, graftmatch_pb2, jobs_pb2
from service.relatives import RELATED
from service.search import SearchSettings
from service.status import Violation
from service.strata import STRATA, Asked, strata_settings

STRATUM: Mapping[str, Any] = {
    name: graftmatch_pb2.Stratum.Value(f"STRATUM_{name.upper().replace('-', '_')}")
    for name in STRATA
}
_NAMES = {number: name for name, number in STRATUM.items()}
_RISK_FIELDS = ("probability", "low", "high", "difference", "difference_low", "difference_high")


def read_strata(
    message: graftmatch_pb2.SearchStrataRequest | jobs_pb2.SubmitJobRequest,
    settings: SearchSettings,
    antibodies: bool,
    found: list[Violation],
) -> dict[str, Asked]:
    """What each stratum asks, in their order; {}, and violations, where that cannot be used."""
    before = len(found)
    names, orders = _orders(message.strata, settings.rule.bands, found)
    rule = CORD_RULES.get(message.cord_rule)
    if rule is None and message.cord_rule != cord_pb2.CORD_RULE_UNSPECIFIED:
        found.append(Violation("cord_rule", "is none that this server knows"))
    if len(found) > before:
        return {}
    try:
        return strata_settings(names, settings, rule or CordRule.SIX, orders, antibodies)
    except ValueError as error:
        found.append(Violation("strata", str(error)))
        return {}


def _orders(
    messages: Sequence[graftmatch_pb2.StratumOrder],
    bands: tuple[float, ...],
    found: list[Violation],
) -> tuple[list[str], dict[str, RankRule | HaploidenticalRule]]:
    """Names of strata in their order, and the orders of those that have one of their own."""
    names: list[str] = []
    orders: dict[str, RankRule | HaploidenticalRule] = {}
    if not 1 <= len(messages) <= len(STRATA):
        found.append(Violation("strata", f"must be 1 to {len(STRATA)}"))
        return names, orders
    for i, message in enumerate(messages):
        name = _NAMES.get(message.stratum)
        if name is None:
            found.append(Violation(f"strata[{i}].stratum", "is none that this server knows"))
            continue
        names.append(name)
        of_relatives = name in RELATED
        if of_relatives and message.rank_keys:
            found.append(Violation(f"strata[{i}].rank_keys", "relatives have a rule"))
        elif not of_relatives and message.HasField("rule"):
            found.append(Violation(f"strata[{i}].rule", "is for relatives"))
        elif of_relatives and message.HasField("rule"):
            rule = haploidentical_rule(f"strata[{i}].rule", message.rule, found)
            if rule is not None:
                orders[name] = rule
        elif message.rank_keys:
            try:
                orders[name] = RankRule(tuple(message.rank_keys), bands)
            except ValueError as error:
                found.append(Violation(f"strata[{i}].rank_keys", str(error)))
    return names, orders


def compared_risks(
    model: RiskModel, columns: Mapping[str, npt.NDArray[np.float64]], i: int
) -> list[graftmatch_pb2.ComparedRisk]:
    """The risks of one of some donors that are told. `columns`: those of `risk_columns`."""
    risks = []
    for outcome in model.outcomes:
        values = [float(columns[name][i]) for name in risk_columns(outcome.name)]
        if not math.isnan(values[0]):
            risks.append(
                graftmatch_pb2.ComparedRisk(
                    outcome=outcome.name,
                    horizon_days=outcome.horizon_days,
                    **dict(zip(_RISK_FIELDS, values, strict=True)),
                )
            )
    return risks
