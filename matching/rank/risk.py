"""The key of the predicted risk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.rank.ordering import Floats, Int64s, is_shared
from matching.risk import (
    Z95,
    Coded,
    CodedColumns,
    OutcomeModel,
    centred,
    compare_donors,
    design,
    taken_rows,
)


def risk_values(
    model: OutcomeModel,
    columns: CodedColumns,
    ties: Int64s,
    step: float,
    between: Callable[[], object] = lambda: None,
) -> Floats:
    """Whole steps of `step` percent by which the risk of each lies above that of its reference.

    The reference is the candidate of lowest risk in the same tie, of several the one of the lowest
    columns, so that the order of candidates is irrelevant. 0 where the 95 % interval of the
    difference includes zero: on the scale of log-odds, on which the model is linear, so that what
    two candidates share cancels out. `columns`: as in `matching.risk.predict`, in the order of
    `ties`, (m,), in which members of a tie stand together. `between`: called between parts of the
    work; what it raises ends it.
    """
    shared = is_shared(ties)
    found = np.zeros(len(ties))
    # Whoever is in no tie with another is the reference of it.
    if shared.any():
        among = taken_rows(columns, np.flatnonzero(shared))
        found[shared] = _risk_values(model, among, ties[shared], step, between)
    return found


# So that what is worked on stays in the cache of a processor.
_ROWS_AT_ONCE = 2_000
# Numbers that are sorted before `between` is called again.
_SORTED_AT_ONCE = 100_000


def _risk_values(
    model: OutcomeModel,
    columns: CodedColumns,
    ties: Int64s,
    step: float,
    between: Callable[[], object],
) -> Floats:
    """Worked out for each distinct row of the columns, and each pair of such a row and another."""
    n = len(ties)
    firsts, number = _distinct_rows(columns, n, between)
    columns, n_distinct = taken_rows(columns, firsts), len(firsts)
    risks = compare_donors(model, columns, np.array([0, n_distinct])).probability
    x = centred(design(model.factors, columns, n_distinct)[0], model.centre)
    between()
    order = np.lexsort((*x.T, np.round(np.where(np.isnan(risks), np.inf, risks), 12)))
    place = np.empty(n_distinct, dtype=np.int64)
    place[order] = np.arange(n_distinct)
    begins = np.flatnonzero(np.diff(ties, prepend=ties[0] - 1))
    lowest = order[np.minimum.reduceat(place[number], begins)]
    of_each = np.repeat(lowest, np.diff(begins, append=n))
    pairs, pair = _numbered(number * n_distinct + of_each, between)
    one, reference = np.divmod(pairs, n_distinct)
    distinct = np.empty(len(pairs), dtype=bool)
    for begin in range(0, len(pairs), _ROWS_AT_ONCE):
        between()
        part = slice(begin, begin + _ROWS_AT_ONCE)
        apart = x[one[part]] - x[reference[part]]
        error = np.sqrt(np.maximum(((apart @ model.covariance) * apart).sum(axis=1), 0.0))
        distinct[part] = apart @ model.coefficients > Z95 * error
    steps = np.floor(100 * (risks[one] - risks[reference]) / step + 1e-9)
    values: Floats = np.where(distinct, steps, 0.0)[pair]
    return values


def _distinct_rows(
    columns: CodedColumns, n: int, between: Callable[[], object]
) -> tuple[Int64s, Int64s]:
    """A row with each distinct combination of n rows of columns, and which each row has, (n,)."""
    number, size = np.zeros(n, dtype=np.int64), 1
    for column in columns.values():
        between()
        if isinstance(column, Coded):
            codes, n_codes = column.codes.astype(np.int64) + 1, len(column.levels) + 1
        else:
            values, codes = _numbered(column, between)
            n_codes = len(values)
        number = number * n_codes + codes
        is_there = np.zeros(size * n_codes, dtype=bool)
        is_there[number] = True
        number = (np.cumsum(is_there) - 1)[number]
        size = int(is_there.sum())
    firsts = np.zeros(size, dtype=np.int64)
    firsts[number] = np.arange(n)
    return firsts, number


def _numbered(
    values: npt.NDArray[Any], between: Callable[[], object]
) -> tuple[npt.NDArray[Any], Int64s]:
    """Distinct values, ascending, and which of them each is, (n,); NaN is a value."""
    parts = []
    for begin in range(0, len(values), _SORTED_AT_ONCE):
        between()
        parts.append(np.unique(values[begin : begin + _SORTED_AT_ONCE], return_inverse=True))
    distinct = np.unique(np.concatenate([part for part, _ in parts]))
    numbers = [np.searchsorted(distinct, part)[inverse] for part, inverse in parts]
    return distinct, np.concatenate(numbers)
