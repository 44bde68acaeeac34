"""Cord blood units as messages."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.cord import CordRule, DoubleRule
from service.convert.requests import LIMITS
from service.pb.graftmatch.v1 import antibodies_pb2, cord_pb2
from service.status import Violation

CORD_RULES = {cord_pb2.CORD_RULE_SIX: CordRule.SIX, cord_pb2.CORD_RULE_EIGHT: CordRule.EIGHT}


def cord_unit(cells: Mapping[str, npt.NDArray[np.float64]], i: int, nima: str) -> cord_pb2.CordUnit:
    """One of some units. `cells`: as `service.cord.cells_of` gives them."""
    known = {name: column[i] for name, column in cells.items() if not np.isnan(column[i])}
    return cord_pb2.CordUnit(**known, nima=nima)


def cord_columns(
    cells: Mapping[str, npt.NDArray[np.float64]], nima: Sequence[str]
) -> cord_pb2.CordColumns:
    """Some donors. `nima`: a text each, or none at all."""
    columns = {name: column.tolist() for name, column in cells.items()}
    return cord_pb2.CordColumns(**columns, nima=nima)


_RULE_FIELDS = {
    "min_tnc_1e7_per_kg": "min_tnc",
    "min_unit_tnc_1e7_per_kg": "min_unit_tnc",
    "min_cd34_1e6_per_kg": "min_cd34",
    "min_unit_cd34_1e6_per_kg": "min_unit_cd34",
}


def pair_rule(
    message: cord_pb2.UnitPairRule, max_mismatches: int, found: list[Violation]
) -> DoubleRule | None:
    """What two units must meet. `max_mismatches`: with the patient."""
    before, given = len(found), {}
    between = max_mismatches
    if message.HasField("max_mismatches_between"):
        between = message.max_mismatches_between
        if between > LIMITS.mismatches:
            reason = f"must be 0 to {LIMITS.mismatches}"
            found.append(Violation("rule.max_mismatches_between", reason))
    for field, name in _RULE_FIELDS.items():
        if message.HasField(field):
            given[name] = getattr(message, field)
            if not 0 <= given[name] <= LIMITS.dose:
                found.append(Violation(f"rule.{field}", f"must be 0 to {LIMITS.dose:,}"))
    return DoubleRule(between, **given) if len(found) == before else None


def unit_pair(
    row: Mapping[Hashable, Any],
    crossmatches: Mapping[str, antibodies_pb2.Crossmatch],
    kept_for: Mapping[str, str],
) -> cord_pb2.UnitPair:
    """A row of the table of `service.double`. `crossmatches`: by unit, none without a report;
    `kept_for`: likewise, reasons to keep it."""
    names = [row[f"unit_{n}"] for n in (1, 2)]
    answers = [crossmatches[name].answer for name in names if name in crossmatches]
    return cord_pb2.UnitPair(
        rank=row["rank"],
        units=[
            cord_pb2.PairedUnit(
                donor=name,
                mismatches=row[f"mismatches_{n}"],
                unit=cord_pb2.CordUnit(
                    tnc_1e7_per_kg=_known(row[f"tnc_1e7_per_kg_{n}"]),
                    cd34_1e6_per_kg=_known(row[f"cd34_1e6_per_kg_{n}"]),
                    nima=row[f"nima_{n}"],
                ),
                crossmatch=crossmatches.get(name),
                kept_for=kept_for.get(name, ""),
            )
            for n, name in enumerate(names, 1)
        ],
        # Their numbers rise from the best answer to the worst.
        crossmatch_answer=max(answers, default=None),
        mismatches_between=row["mismatches_between"],
        tnc_1e7_per_kg=row["tnc_1e7_per_kg"],
        cd34_1e6_per_kg=_known(row["cd34_1e6_per_kg"]),
        ranked_below_previous_for=row["ranked_below_previous_for"],
    )


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
