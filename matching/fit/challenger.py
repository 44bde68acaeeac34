"""Gradient boosting under the same protocol: does anything beat the logistic model?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

from matching.fit.cohort import Cohort, Rows
from matching.fit.folds import group_folds
from matching.fit.training import INNER_FOLDS, Material, log_losses, material
from matching.risk import Floats, Outcome, design

ROUNDS = (25, 50, 100)
"""Numbers of trees among which nested cross-validation chooses."""


def _booster(rounds: int, seed: int) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        learning_rate=0.05,
        max_iter=rounds,
        max_leaf_nodes=6,
        min_samples_leaf=40,
        l2_regularization=10.0,
        early_stopping=False,
        random_state=seed,
    )


def boosting(cohort: Cohort, outcome: Outcome, rows: Rows, seed: int) -> Callable[[Rows], Floats]:
    """A `Learner`: small trees, their number by nested cross-validation over whole centres."""
    found = material(cohort, outcome, rows, None)
    model = _booster(_choose_rounds(found, seed), seed)
    used = found.weight > 0
    model.fit(found.matrix[used], found.y[used], found.weight[used])

    def probability(asked: Rows) -> Floats:
        columns = {key: values[asked] for key, values in cohort.columns.items()}
        matrix, _ = design(found.factors, columns, len(asked))
        return np.asarray(model.predict_proba(matrix)[:, 1])

    return probability


def _choose_rounds(found: Material, seed: int) -> int:
    fold = group_folds(found.group, INNER_FOLDS, seed)
    loss = np.zeros(len(ROUNDS))
    for k in range(fold.max() + 1):
        train, test = (fold != k) & (found.weight > 0), fold == k
        if len(np.unique(found.y[train])) < 2:
            continue
        model = _booster(ROUNDS[-1], seed)
        model.fit(found.matrix[train], found.y[train], found.weight[train])
        for rounds, p in enumerate(model.staged_predict_proba(found.matrix[test]), start=1):
            if rounds in ROUNDS:
                lost = log_losses(p[:, 1], found.y[test])
                loss[ROUNDS.index(rounds)] += found.weight[test] @ lost
    return ROUNDS[int(loss.argmin())]
