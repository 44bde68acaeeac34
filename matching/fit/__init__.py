"""Arrays of a cohort -> `RiskModel`, and how well a model predicts a cohort.

Never imported when serving.
"""

from matching.fit.censoring import ipcw_weights
from matching.fit.challenger import boosting
from matching.fit.classifier import GraftRiskClassifier
from matching.fit.cohort import CENSORED, COMPETING, EVENT, UNKNOWN, Cohort, Rows
from matching.fit.curves import Curves, curves
from matching.fit.evaluation import (
    FOLDS,
    RESAMPLES,
    Difference,
    Evaluation,
    compare,
    cross_validate,
    evaluate,
    score_cohort,
)
from matching.fit.folds import group_folds
from matching.fit.measures import MEASURES, weighted_auc
from matching.fit.training import (
    INNER_FOLDS,
    STRENGTHS,
    Fitted,
    Learner,
    cross_predict,
    fit_outcome,
    literature_for,
    outcomes_of,
    train,
    with_prior,
)

__all__ = [
    "CENSORED",
    "COMPETING",
    "EVENT",
    "FOLDS",
    "INNER_FOLDS",
    "MEASURES",
    "RESAMPLES",
    "STRENGTHS",
    "UNKNOWN",
    "Cohort",
    "Curves",
    "Difference",
    "Evaluation",
    "Fitted",
    "GraftRiskClassifier",
    "Learner",
    "Rows",
    "boosting",
    "compare",
    "cross_predict",
    "cross_validate",
    "curves",
    "evaluate",
    "fit_outcome",
    "group_folds",
    "ipcw_weights",
    "literature_for",
    "outcomes_of",
    "score_cohort",
    "train",
    "weighted_auc",
    "with_prior",
]
