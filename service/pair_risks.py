"""Risks of pairs that are scored one by one: for equal factors they are worked out once."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from matching.memory import Memory
from matching.pipeline import PairCounts
from matching.risk import RiskModel, compare_donors
from service import convert
from service.pairs import Facts, factors_of_values, one_pair_values
from service.pb.graftmatch.v1 import graftmatch_pb2

# Factors of pairs that are remembered.
_MOST = 5_000
_ONE_PAIR = np.array([0, 1])
Risks = tuple[graftmatch_pb2.OutcomeRisk, ...]


@dataclass(frozen=True, eq=False)
class PairRisks:
    """Of one model; serves any number of threads."""

    model: RiskModel
    _known: Memory[tuple[str | float | None, ...], Risks] = field(
        init=False, repr=False, default_factory=lambda: Memory(_MOST)
    )

    def of(self, patient: Facts, donor: Facts, counts: PairCounts) -> Risks:
        """Every outcome of the model, without what each factor adds; not to be changed."""
        values = one_pair_values(patient, donor, counts)

        def worked_out() -> Risks:
            factors = factors_of_values(values)
            return tuple(
                convert.compared_risk(outcome, compare_donors(outcome, factors, _ONE_PAIR))
                for outcome in self.model.outcomes
            )

        return self._known.of(tuple(values.values()), worked_out)
