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
from matching.risk.model import Coded, CodedColumns, Floats, Known, OutcomeModel
from matching.risk.outcomes import outcome_named
from matching.risk.prediction import NODES, SHARES, applicable


@dataclass(frozen=True)
class Comparison:
    """The pairs of one outcome, n rows and m patients.

    `probability`, `low`, `high`: (n,) as in `Prediction`. `difference`, `difference_low`,
    `difference_high`: (n,) of the probability to that of the patient's best pair, with the 95 %
    interval by the delta method (what both have in common cancels); 0 for the best itself. `best`:
    (m,) int64 row of the lowest risk (of the highest probability of a recovery), the first of
    equals; -1 if the outcome is applicable to none. Not applicable is NaN.
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
    codes = np.full((n, len(model.factors)), kernels.MISSING, dtype=np.int8)
    number_of = np.full(len(model.factors), -1, dtype=np.int64)
    numbers: list[Floats] = []
    for i, factor in enumerate(model.factors):
        is_number = not factor.levels
        if is_number:
            number_of[i] = len(numbers)
            numbers.append(np.zeros(n))
        if factor.name not in columns:
            continue
        values = columns[factor.name]
        require(len(values) == n, f"column {factor.name} has {len(values)} values for {n} pairs")
        if isinstance(values, Coded):
            table, known = factor.encode(np.array([*values.levels, ""], dtype=object))
            # The last entry is what a negative code finds.
            codes[:, i] = _positions(table, known)[values.codes]
            continue
        table, known = factor.encode(values)
        if is_number:
            numbers[-1][:] = np.where(known == Known.NO, 0.0, table[:, 0])
            codes[:, i] = np.where(known == Known.NO, kernels.MISSING, 0)
        else:
            codes[:, i] = _positions(table, known)
    best = np.empty(len(starts) - 1, dtype=np.int64)
    out = np.empty((n, kernels.N_COMPARED))
    outcome = outcome_named(model.name)
    kernels.compare_pairs(
        np.ascontiguousarray(starts, dtype=np.int64),
        codes,
        np.stack(numbers, axis=1) if numbers else np.empty((n, 0)),
        applicable(model.name, columns, n).astype(np.uint8),
        model.ends,
        number_of,
        np.ascontiguousarray(model.centre),
        np.ascontiguousarray(model.coefficients),
        np.ascontiguousarray(model.covariance),
        model.unknown_variance,
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


def _positions(table: Floats, known: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Rows of a factor's design matrix -> (n,) int8: 0 the reference, i the column i - 1."""
    found = np.where(table == 1.0, np.arange(1, table.shape[1] + 1), 0).max(axis=1)
    unknown = (known == Known.NO) | (known == Known.UNSEEN)
    return np.where(unknown, kernels.MISSING, found).astype(np.int8)
