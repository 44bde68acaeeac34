"""The factors of a cohort and what is known of their effects before it is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from matching.risk import VARIABLES, Columns, Factor, Floats, OutcomeModel, Variable

# A level of fewer patients has no coefficient of its own: its patients count as unseen.
MIN_LEVEL = 5
# Ages that stand for the bands of donor age of the literature, whose outer bands are open.
_OUTER_AGES = (18.0, 60.0)


@dataclass(frozen=True)
class Prior:
    """Independent normal priors of p coefficients: `mean` and `sd` (p,) float64, sd > 0.

    `informed`: (p,) bool, whether they are from the literature.
    """

    mean: Floats
    sd: Floats
    informed: npt.NDArray[np.bool_]


def factors_of(
    columns: Columns, used: npt.NDArray[np.bool_], literature: OutcomeModel | None
) -> tuple[Factor, ...]:
    """The factors of the used patients of a cohort, in the order of `VARIABLES`.

    A number that does not vary is none. Levels that do not vary are one without a column.
    """
    known = {} if literature is None else {factor.name: factor for factor in literature.factors}
    found = (_factor(variable, columns, used, known.get(variable.name)) for variable in VARIABLES)
    return tuple(factor for factor in found if factor is not None)


def _factor(
    variable: Variable,
    columns: Columns,
    used: npt.NDArray[np.bool_],
    published: Factor | None,
) -> Factor | None:
    """The reference is the commonest level, among those of the literature's if it has any."""
    if variable.name not in columns:
        return None
    values = columns[variable.name][used]
    if not variable.levels:
        known = values[~np.isnan(values)]
        if len(known) < MIN_LEVEL or known.min() == known.max():
            return None
        low, high = float(known.min()), float(known.max())
        return Factor(variable.name, unit=variable.unit, low=low, high=high)
    names, counts = np.unique(values[values != ""].astype(str), return_counts=True)
    held = {str(n): int(c) for n, c in zip(names, counts, strict=True) if c >= MIN_LEVEL}
    if not held:
        return None
    reference = published.levels[0] if published is not None else ()
    order = [level for level in variable.levels if level in held]
    order += sorted(set(held) - set(order))
    order.sort(key=lambda level: (level not in reference, -held[level]))
    return Factor(variable.name, tuple((level,) for level in order))


def prior_of(factors: tuple[Factor, ...], spread: Floats, literature: OutcomeModel | None) -> Prior:
    """Centred on the literature's coefficients with their standard errors.

    What the literature has no effect of has mean 0 and sd 1 per standard deviation of the column
    (`spread`, (p,)). A level's effect against a reference that is not the literature's is the
    difference of the two, its variance their sum.
    """
    mean = np.zeros(len(spread))
    sd = 1.0 / np.where(spread > 0, spread, 1.0)
    informed = np.zeros(len(spread), dtype=bool)
    position = 0
    for factor in factors:
        effects = {} if literature is None else _effects(literature, factor.name)
        if factor.levels and effects:
            b0, se0 = effects.get(factor.levels[0][0], (0.0, 0.0))
            for i, (level,) in enumerate(factor.levels[1:], start=position):
                b, se = effects.get(level, (0.0, 0.0))
                if se > 0 or se0 > 0:
                    mean[i], sd[i], informed[i] = b - b0, np.hypot(se, se0), True
        elif not factor.levels and literature is not None:
            slope = _slope(literature, factor)
            if slope is not None:
                mean[position], sd[position], informed[position] = *slope, True
        position += len(factor.labels)
    return Prior(mean, sd, informed)


def _published(literature: OutcomeModel, name: str) -> tuple[Factor, Floats, Floats] | None:
    """A factor of the literature model, its coefficients and their standard errors."""
    for factor, start, end in zip(
        literature.factors, literature.ends[:-1], literature.ends[1:], strict=True
    ):
        if factor.name == name:
            rows = slice(1 + start, 1 + end)
            errors = np.sqrt(np.diag(literature.covariance)[rows])
            return factor, literature.coefficients[rows], errors
    return None


def _effects(literature: OutcomeModel, name: str) -> dict[str, tuple[float, float]]:
    """Coefficient and standard error by level; without the reference's."""
    found = _published(literature, name)
    if found is None or found[0].bands or not found[0].levels:
        return {}
    factor, beta, errors = found
    return {
        level: (float(b), float(se))
        for group, b, se in zip(factor.levels[1:], beta, errors, strict=True)
        for level in group
    }


def _slope(literature: OutcomeModel, factor: Factor) -> tuple[float, float] | None:
    """Effects of bands -> one slope per unit: least squares through the middle of the first."""
    found = _published(literature, factor.name)
    if found is None or not found[0].bands:
        return None
    published, beta, errors = found
    edges = np.array([_OUTER_AGES[0], *published.bands, _OUTER_AGES[1]])
    middle = (edges[:-1] + edges[1:]) / 2
    x = (middle[1:] - middle[0]) / factor.unit
    slope = float(x @ beta / (x @ x))
    return slope, float(np.sqrt(((x * errors) ** 2).sum()) / (x @ x))
