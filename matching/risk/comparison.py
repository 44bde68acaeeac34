"""Donors of a patient beside each other: risks, and differences to the best with their intervals.

A batch of many patients and donors is the same: pairs in rows, patient by patient.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.risk import kernels
from matching.risk.checks import require
from matching.risk.effects import Z95
from matching.risk.model import Coded, CodedColumns, Floats, OutcomeModel
from matching.risk.prediction import NODES, SHARES, applicable


@dataclass(frozen=True)
class Comparison:
    """The pairs of one outcome, n rows and m patients.

    `probability`, `low`, `high`: (n,) as in `Prediction`. `difference`, `difference_low`,
    `difference_high`: (n,) of the probability to that of the patient's best pair, with the 95 %
    interval by the delta method (what both have in common cancels); 0 for the best itself. `best`:
    (m,) int64 row of the lowest risk (of the highest probability of a recovery), of equals that of
    the lowest factors; -1 if the outcome is applicable to none. Not applicable is NaN.
    """

    probability: Floats
    low: Floats
    high: Floats
    difference: Floats
    difference_low: Floats
    difference_high: Floats
    best: npt.NDArray[np.int64]


def compare_donors(
    model: OutcomeModel,
    columns: CodedColumns,
    starts: npt.NDArray[np.int64],
) -> Comparison:
    """Compare the donors of each patient.

    `columns`: by name of variable, as `predict` takes them. `starts`: (m + 1,) int64
    ascending from 0: patient i has the rows starts[i] to starts[i + 1] - 1. Raises `ModelError`
    where columns are not of that length.
    """
    n = int(starts[-1])
    given = model.given(columns)
    codes = np.empty((len(given.factors), n), dtype=np.int8)
    number_of = np.full(len(given.factors), -1, dtype=np.int64)
    numbers: list[Floats] = []
    for f, factor in enumerate(given.factors):
        values = columns[factor.name]
        require(len(values) == n, f"column {factor.name} has {len(values)} values for {n} pairs")
        if isinstance(values, Coded):
            codes[f] = factor.positions_of(values.levels)[values.codes]
        elif factor.levels:
            codes[f] = factor.positions(values)
        else:
            number_of[f] = len(numbers)
            moved = factor.scaled(values) - given.centre[f]
            unknown = np.isnan(moved)
            moved[unknown] = 0.0
            numbers.append(moved)
            codes[f] = unknown
            codes[f] *= kernels.MISSING
    best = np.empty(len(starts) - 1, dtype=np.int64)
    out = np.empty((n, kernels.N_COMPARED))
    outcome, table = model.outcome, model.table
    kernels.compare_pairs(
        np.ascontiguousarray(starts, dtype=np.int64),
        codes,
        np.stack(numbers) if numbers else np.empty((0, n)),
        applicable(model.name, columns, n).astype(np.uint8),
        given.rows,
        given.sizes,
        number_of,
        table.scores,
        table.gram,
        table.unknown,
        given.never_known,
        NODES,
        SHARES,
        Z95,
        outcome.wanted,
        best,
        out,
    )
    return Comparison(
        out[:, kernels.PROBABILITY],
        out[:, kernels.LOW],
        out[:, kernels.HIGH],
        out[:, kernels.DIFFERENCE],
        out[:, kernels.DIFFERENCE_LOW],
        out[:, kernels.DIFFERENCE_HIGH],
        best,
    )
