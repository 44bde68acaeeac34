"""A frozen risk model and its design matrix.

A model is logistic at the horizon: logit p = intercept + sum of contributions, one a factor.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from matching.errors import ModelError
from matching.parts import taken
from matching.risk.checks import require
from matching.risk.outcomes import Outcome, outcome_named

Floats = npt.NDArray[np.float64]

MODEL_SCHEMA = 2


class Known(IntEnum):
    """How a value entered a prediction."""

    YES = 0
    # Missing: the factor is averaged over what the model's cohort held.
    NO = 1
    # A number beyond what the model has seen, taken at the limit.
    CLIPPED = 2
    # A level for which the model holds no effect: averaged over like a missing one.
    UNSEEN = 3


@dataclass(frozen=True)
class Coded:
    """A column of texts as (n,) int8 positions in `levels`, -1 for not known."""

    codes: npt.NDArray[np.int8]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def texts(self) -> list[str]:
        """The texts, "" for not known."""
        known = [*self.levels, ""]
        return [known[code] for code in self.codes.tolist()]


Columns = Mapping[str, npt.NDArray[Any]]
CodedColumns = Mapping[str, npt.NDArray[Any] | Coded]


@dataclass(frozen=True)
class Factor:
    """A factor of a model, as columns of a design matrix.

    `levels`: groups of level names; the first group is the reference, each other one a column. With
    one group only there is no column, but the model knows what it has seen.
    `bands`: with it the value is a number, and band i holds bands[i-1] <= value < bands[i].
    Without levels the value is a number, clipped to [low, high], and the column is value / unit.
    """

    name: str
    levels: tuple[tuple[str, ...], ...] = ()
    bands: tuple[float, ...] = ()
    unit: float = 1.0
    low: float = float("-inf")
    high: float = float("inf")

    def __post_init__(self) -> None:
        names = [name for group in self.levels for name in group]
        require(bool(self.name), "a factor has no name")
        require(len(set(names)) == len(names), f"factor {self.name}: a level is named twice")
        require(
            not self.bands or len(self.bands) == len(self.levels) - 1,
            f"factor {self.name}: n levels need n - 1 bounds of bands",
        )
        require(list(self.bands) == sorted(self.bands), f"factor {self.name}: bands fall")
        require(self.unit > 0 and self.low <= self.high, f"factor {self.name}: unit or range")

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a column."""
        if not self.levels:
            return (f"{self.name}, per {self.unit:g}",)
        return tuple(f"{self.name}: {' or '.join(group)}" for group in self.levels[1:])

    def encode(self, values: npt.NDArray[Any] | Coded) -> tuple[Floats, npt.NDArray[np.int8]]:
        """(n,) values -> (n, n_columns) float64, NaN where not known, and (n,) int8 `Known`.

        Numbers are not known when NaN, levels when "" (`Known.NO`) or when the model does not
        hold them (`Known.UNSEEN`).

        >>> Factor("tbi", (("no",), ("yes",))).encode(np.array(["yes", "no", ""]))[0].ravel()
        array([ 1.,  0., nan])
        """
        if isinstance(values, Coded):
            # The last one is what code -1 finds.
            levels = (*values.levels, "")
            of_level = np.full((len(levels), len(self.levels)), np.nan)
            known = np.full(len(levels), Known.YES, dtype=np.int8)
            for i, level in enumerate(levels):
                if level in self.position_of:
                    of_level[i] = np.arange(len(self.levels)) == self.position_of[level]
                else:
                    known[i] = Known.UNSEEN if level else Known.NO
            return of_level[:, 1:][values.codes], known[values.codes]
        known = np.zeros(len(values), dtype=np.int8)
        if self.levels:
            position = self.positions(values)
            known[position < 0] = Known.NO
            if not self.bands:
                known[(position < 0) & (np.asarray(values) != "")] = Known.UNSEEN
            columns = np.zeros((len(values), len(self.levels)))
            columns[np.arange(len(values)), position] = 1.0
            columns[position < 0] = np.nan
            return columns[:, 1:], known
        numbers = np.asarray(values, dtype=np.float64)
        known[(numbers < self.low) | (numbers > self.high)] = Known.CLIPPED
        known[np.isnan(numbers)] = Known.NO
        return self.scaled(numbers)[:, None], known

    def positions(self, values: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
        """(n,) values of a factor with levels -> (n,) int8 group of each, -1 where not held.

        >>> Factor("age", (("young",), ("old",)), bands=(40.0,)).positions(np.array([40, np.nan]))
        array([ 1, -1], dtype=int8)
        """
        found = np.full(len(values), -1, dtype=np.int8)
        if self.bands:
            numbers = np.asarray(values, dtype=np.float64)
            found[~np.isnan(numbers)] = 0
            for bound in self.bands:
                found += numbers >= bound
            return found
        for i, group in enumerate(self.levels):
            found[np.isin(values, group)] = i
        return found

    @cached_property
    def position_of(self) -> dict[str, int]:
        """Group of each level by name."""
        return {name: i for i, group in enumerate(self.levels) for name in group}

    def positions_of(self, levels: tuple[str, ...]) -> npt.NDArray[np.int8]:
        """(n + 1,) group of each of some levels, -1 where not held; the last one, which code -1 of
        a `Coded` finds, is -1."""
        found = self._positions_of.get(levels)
        if found is None:
            positions = [self.position_of.get(level, -1) for level in (*levels, "")]
            found = self._positions_of[levels] = np.array(positions, dtype=np.int8)
        return found

    @cached_property
    def _positions_of(self) -> dict[tuple[str, ...], npt.NDArray[np.int8]]:
        return {}

    def scaled(self, values: npt.NDArray[Any]) -> Floats:
        """(n,) numbers -> (n,) float64 in units, within the range, NaN where not known."""
        return np.clip(np.asarray(values, dtype=np.float64), self.low, self.high) / self.unit


@dataclass(frozen=True)
class LevelTable:
    """A model by levels instead of columns: what the hot loop over pairs looks up.

    The first of r rows is the intercept. Each factor has a row of zeros for what is not known, then
    one a level (the reference first), or one for its number: `rows`, (f,) int64, is where these
    begin, `sizes`, (f,) int64, how many they are. `scores`: (r,) log-odds; `gram`: (r, r) their
    covariances; `unknown`: (r,) variance that a row of zeros stands for, else 0.
    """

    rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    scores: Floats
    gram: Floats
    unknown: Floats


class GivenFactors(NamedTuple):
    """The factors of a model that columns are given for.

    `centre`: (f,) that of the first column of each. `rows`, `sizes`: as in `LevelTable`.
    `never_known`: variance of the others.
    """

    factors: tuple[Factor, ...]
    centre: Floats
    rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    never_known: float


@dataclass(frozen=True)
class OutcomeModel:
    """The model of one outcome, with p columns in the order of its factors.

    `centre`: (p,) float64, the value at which a column contributes 0: the mean of the cohort, or
    0 (the reference case) in the literature model. `spread`: (p,) float64, the standard deviation
    of a column in the cohort, over which a factor that is not known is averaged; 0 in the
    literature model. `coefficients`: (1 + p,) float64 log-odds, the intercept first.
    `covariance`: (1 + p, 1 + p) float64 of them. `baseline`: what the intercept stands for.
    `references`: one text a column, where its coefficient is from.
    """

    name: str
    horizon_days: float
    factors: tuple[Factor, ...]
    centre: Floats
    spread: Floats
    coefficients: Floats
    covariance: Floats
    baseline: str
    references: tuple[str, ...]

    def __post_init__(self) -> None:
        names = [factor.name for factor in self.factors]
        p = len(self.labels)
        where = f"outcome {self.name}"
        require(len(set(names)) == len(names), f"{where}: a factor is named twice")
        require(self.centre.shape == (p,), f"{where}: centre must have {p} values")
        require(
            self.spread.shape == (p,) and bool((self.spread >= 0).all()),
            f"{where}: spread must have {p} values of at least 0",
        )
        require(
            self.coefficients.shape == (1 + p,), f"{where}: coefficients must have {1 + p} values"
        )
        require(
            self.covariance.shape == (1 + p, 1 + p), f"{where}: covariance is not {1 + p} square"
        )
        require(len(self.references) == p, f"{where}: references must have {p} texts")
        for array in (self.centre, self.spread, self.coefficients, self.covariance):
            require(bool(np.isfinite(array).all()), f"{where}: a value is not finite")
        require(0 < self.horizon_days < np.inf, f"{where}: horizon {self.horizon_days} days")
        outcome_named(self.name)
        symmetric = np.allclose(self.covariance, self.covariance.T, rtol=1e-8, atol=1e-12)
        require(bool(symmetric), f"{where}: covariance is not symmetric")
        least = float(np.linalg.eigvalsh(self.covariance).min())
        require(least > -1e-9, f"{where}: covariance is not positive semidefinite")

    @property
    def labels(self) -> tuple[str, ...]:
        """One text a column."""
        return tuple(label for factor in self.factors for label in factor.labels)

    @property
    def outcome(self) -> Outcome:
        """What is predicted."""
        return outcome_named(self.name)

    @cached_property
    def ends(self) -> npt.NDArray[np.int64]:
        """(1 + f,) int64: the columns of factor i are ends[i] to ends[i + 1] - 1."""
        return np.cumsum([0] + [len(factor.labels) for factor in self.factors])

    @cached_property
    def unknown_variance(self) -> Floats:
        """(f,) float64: variance of a factor's contribution over the cohort, factor by factor.

        The columns of a factor with levels exclude each other: their covariance is minus the
        product of their shares.
        """
        found = np.zeros(len(self.factors))
        for i, (start, end) in enumerate(itertools.pairwise(self.ends)):
            beta = self.coefficients[1 + start : 1 + end]
            spread, share = self.spread[start:end], self.centre[start:end]
            between = (beta @ share) ** 2 - ((beta * share) ** 2).sum()
            found[i] = max(((beta * spread) ** 2).sum() - between * bool(spread.any()), 0.0)
        return found

    def given(self, names: Iterable[str]) -> GivenFactors:
        """The factors that are among some names."""
        names = tuple(names)
        if names not in self._given:
            held = [i for i, factor in enumerate(self.factors) if factor.name in names]
            others = [i for i in range(len(self.factors)) if i not in held]
            self._given[names] = GivenFactors(
                tuple(self.factors[i] for i in held),
                np.append(self.centre, 0.0)[self.ends[held]],
                self.table.rows[held],
                self.table.sizes[held],
                float(self.unknown_variance[others].sum()),
            )
        return self._given[names]

    @cached_property
    def _given(self) -> dict[tuple[str, ...], GivenFactors]:
        return {}

    @cached_property
    def table(self) -> LevelTable:
        """The model by levels."""
        identity = np.eye(1 + len(self.centre))
        parts = [identity[:1]]
        for factor, (start, end) in zip(self.factors, itertools.pairwise(self.ends), strict=True):
            part = identity[1 + start : 1 + end]
            if factor.levels:
                # Of level i the column i - 1 is 1; all are centred.
                part = np.concatenate([0 * identity[:1], part])
                part[:, 1 + start : 1 + end] -= self.centre[start:end]
            parts += [0 * identity[:1], part]
        x = np.concatenate(parts)
        sizes = np.array([len(part) for part in parts], dtype=np.int64)
        rows = np.cumsum(sizes)[1::2]
        unknown = np.zeros(len(x))
        unknown[rows - 1] = self.unknown_variance
        gram = x @ self.covariance @ x.T
        return LevelTable(rows, sizes[2::2], x @ self.coefficients, gram, unknown)


@dataclass(frozen=True)
class RiskModel:
    """Outcome models under one name.

    `kind`: "literature" or "fitted". `trained_on`: sha256 of the cohort file, "" if none.
    `notes`: what a reader must know (for the literature model: what was left out, and why).
    Raises `ModelError` where the parts do not fit together.
    """

    name: str
    kind: str
    outcomes: tuple[OutcomeModel, ...]
    trained_on: str = ""
    notes: tuple[str, ...] = ()
    schema: int = MODEL_SCHEMA

    def __post_init__(self) -> None:
        require(
            self.schema == MODEL_SCHEMA,
            f"model {self.name!r} has schema {self.schema}, this program reads {MODEL_SCHEMA}; "
            "train or export it again with this version",
        )
        names = [outcome.name for outcome in self.outcomes]
        require(bool(names), f"model {self.name!r} holds no outcome")
        require(len(set(names)) == len(names), f"model {self.name!r} names an outcome twice")
        require(self.kind in ("literature", "fitted"), f"model {self.name!r}: kind {self.kind!r}")

    def outcome(self, name: str) -> OutcomeModel:
        """The model of one outcome. Raises `ModelError` if it has none."""
        for outcome in self.outcomes:
            if outcome.name == name:
                return outcome
        held = ", ".join(outcome.name for outcome in self.outcomes)
        raise ModelError(f"model {self.name!r} has no outcome {name!r}; it has {held}")


def taken_rows(
    columns: CodedColumns,
    rows: npt.NDArray[np.int64],
    between: Callable[[], object] = lambda: None,
) -> CodedColumns:
    """Some rows of columns. `between`: see `in_parts`."""
    return {
        name: Coded(taken(column.codes, rows, between), column.levels)
        if isinstance(column, Coded)
        else taken(column, rows, between)
        for name, column in columns.items()
    }


def design(
    factors: tuple[Factor, ...], columns: CodedColumns, n_rows: int
) -> tuple[Floats, npt.NDArray[np.int8]]:
    """(n, p) float64 design matrix, NaN where a value is not known, and (n, f) int8 `Known`.

    `columns`: (n,) arrays or `Coded` by factor name; a factor without one is not known in any row.
    """
    parts: list[Floats] = [np.empty((n_rows, 0))]
    known: list[npt.NDArray[np.int8]] = []
    for factor in factors:
        if factor.name in columns:
            part, state = factor.encode(columns[factor.name])
        else:
            part = np.full((n_rows, len(factor.labels)), np.nan)
            state = np.full(n_rows, Known.NO, dtype=np.int8)
        parts.append(part)
        known.append(state)
    states = np.stack(known, axis=1) if known else np.empty((n_rows, 0), dtype=np.int8)
    return np.concatenate(parts, axis=1), states


def centred(matrix: Floats, centre: Floats) -> Floats:
    """(n, 1 + p): a column of ones, then matrix - centre with 0 where a value is not known."""
    moved = np.where(np.isnan(matrix), 0.0, matrix - centre)
    return np.concatenate([np.ones((len(matrix), 1)), moved], axis=1)
