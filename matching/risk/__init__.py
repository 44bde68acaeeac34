"""A frozen risk model -> cumulative incidence, its interval and what each factor adds."""

from matching.risk.checks import require
from matching.risk.comparison import Comparison, compare_donors
from matching.risk.effects import (
    MIN_SE_WITHOUT_INTERVAL,
    Z95,
    hazard_ratio,
    log_odds,
    log_odds_error,
    shrunk,
    spread_of_effects,
)
from matching.risk.model import (
    MODEL_SCHEMA,
    Coded,
    CodedColumns,
    Columns,
    Factor,
    Floats,
    Known,
    OutcomeModel,
    RiskModel,
    centred,
    design,
    taken_rows,
)
from matching.risk.outcomes import OUTCOMES, Outcome, outcome_named
from matching.risk.prediction import Prediction, applicable, averaged, predict, what_if
from matching.risk.variables import (
    AUTOLOGOUS,
    GROUPS,
    TYPINGS,
    VARIABLES,
    Variable,
    recorded_after,
)

__all__ = [
    "AUTOLOGOUS",
    "GROUPS",
    "MIN_SE_WITHOUT_INTERVAL",
    "MODEL_SCHEMA",
    "OUTCOMES",
    "TYPINGS",
    "VARIABLES",
    "Z95",
    "Coded",
    "CodedColumns",
    "Columns",
    "Comparison",
    "Factor",
    "Floats",
    "Known",
    "Outcome",
    "OutcomeModel",
    "Prediction",
    "RiskModel",
    "Variable",
    "applicable",
    "averaged",
    "centred",
    "compare_donors",
    "design",
    "hazard_ratio",
    "log_odds",
    "log_odds_error",
    "outcome_named",
    "predict",
    "recorded_after",
    "require",
    "shrunk",
    "spread_of_effects",
    "taken_rows",
    "what_if",
]
