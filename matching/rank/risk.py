"""The key of the predicted risk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from matching.parts import in_parts, taken
from matching.rank.ordering import Floats, Int64s, shared_ties
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
    shared = shared_ties(ties, between)
    found = np.zeros(len(ties))
    # Whoever is in no tie with another is the reference of it.
    if len(shared):
        among = taken_rows(columns, shared, between)
        values = _risk_values(model, among, taken(ties, shared, between), step, between)
        for part in in_parts(len(shared), between):
            found[shared[part]] = values[part]
    return found


# So that what is worked on stays in the cache of a processor.
_ROWS_AT_ONCE = 2_000


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
    columns, n_distinct = taken_rows(columns, firsts, between), len(firsts)
    risks = compare_donors(model, columns, np.array([0, n_distinct])).probability
    x = centred(design(model.factors, columns, n_distinct)[0], model.centre)
    between()
    order = np.lexsort((*x.T, np.round(np.where(np.isnan(risks), np.inf, risks), 12)))
    place = np.empty(n_distinct, dtype=np.int64)
    place[order] = np.arange(n_distinct)
    tie = _numbered_ties(ties, between)
    lowest = order[_lowest(taken(place, number, between), tie, between)]
    for part in in_parts(n, between):
        number[part] = number[part] * n_distinct + lowest[tie[part]]
    pairs, pair = _numbered(number, between)
    one, reference = np.divmod(pairs, n_distinct)
    distinct = np.empty(len(pairs), dtype=bool)
    for part in in_parts(len(pairs), between, _ROWS_AT_ONCE):
        apart = x[one[part]] - x[reference[part]]
        error = np.sqrt(np.maximum(((apart @ model.covariance) * apart).sum(axis=1), 0.0))
        distinct[part] = apart @ model.coefficients > Z95 * error
    steps = np.floor(100 * (risks[one] - risks[reference]) / step + 1e-9)
    return taken(np.where(distinct, steps, 0.0), pair, between)


def _numbered_ties(ties: Int64s, between: Callable[[], object]) -> Int64s:
    """Ties numbered from 0 in their order."""
    tie = np.empty(len(ties), dtype=np.int64)
    number, last = -1, ties[0] - 1
    for part in in_parts(len(ties), between):
        tie[part] = number + np.cumsum(np.diff(ties[part], prepend=last) != 0)
        number, last = tie[part.stop - 1], ties[part.stop - 1]
    return tie


def _lowest(places: Int64s, tie: Int64s, between: Callable[[], object]) -> Int64s:
    """The lowest place in every tie, whose members follow each other."""
    lowest = np.full(tie[-1] + 1, np.iinfo(np.int64).max)
    for part in in_parts(len(tie), between):
        begins = np.flatnonzero(np.diff(tie[part], prepend=-1))
        at = tie[part][begins]
        lowest[at] = np.minimum(lowest[at], np.minimum.reduceat(places[part], begins))
    return lowest


def _distinct_rows(
    columns: CodedColumns, n: int, between: Callable[[], object]
) -> tuple[Int64s, Int64s]:
    """A row with each distinct combination of n rows of columns, and which each row has, (n,)."""
    number, size = np.zeros(n, dtype=np.int64), 1
    for column in columns.values():
        between()
        if isinstance(column, Coded):
            # That of what is not known is -1.
            codes: npt.NDArray[Any] = column.codes
            lowest, n_codes = -1, len(column.levels) + 1
        else:
            values, codes = _numbered(column, between)
            lowest, n_codes = 0, len(values)
        is_there = np.zeros(size * n_codes, dtype=bool)
        for part in in_parts(n, between):
            number[part] = number[part] * n_codes + codes[part] - lowest
            is_there[number[part]] = True
        renumbered = np.cumsum(is_there) - 1
        for part in in_parts(n, between):
            number[part] = renumbered[number[part]]
        size = int(is_there.sum())
    firsts = np.zeros(size, dtype=np.int64)
    for part in in_parts(n, between):
        firsts[number[part]] = np.arange(part.start, part.stop)
    return firsts, number


def _numbered(
    values: npt.NDArray[Any], between: Callable[[], object]
) -> tuple[npt.NDArray[Any], Int64s]:
    """Distinct values, ascending, and which of them each is, (n,); NaN is a value."""
    parts = [
        np.unique(values[part], return_inverse=True) for part in in_parts(len(values), between)
    ]
    distinct = np.unique(np.concatenate([part for part, _ in parts]))
    numbers = np.empty(len(values), dtype=np.int64)
    for at, (of_part, inverse) in zip(in_parts(len(values), between), parts, strict=True):
        numbers[at] = np.searchsorted(distinct, of_part)[inverse]
    return distinct, numbers
