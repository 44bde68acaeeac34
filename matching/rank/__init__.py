"""An explainable total order of donors: every key is part of the result.

Keys come one after the other; a later one only orders donors that all earlier ones leave equal, and
the identifier ends every tie. Of each key the lower value is the better one. What is unknown is
never the worst: it stands before the values that are known to be unfavourable.
"""

from matching.rank.ordering import Floats, Int64s, Ranking, RankKey, by_values, rank
from matching.rank.risk import risk_values
from matching.rank.rule import BY_IDENTIFIER, CORD_KEYS, DEFAULT_KEYS, REASONS, RankRule, parse_rule
from matching.rank.texts import value_text, value_texts
from matching.rank.values import (
    abo_values,
    age_values,
    antibody_values,
    certain_probabilities,
    cmv_values,
    dose_values,
    leader_values,
    probability_bands,
    sex_values,
)

__all__ = [
    "BY_IDENTIFIER",
    "CORD_KEYS",
    "DEFAULT_KEYS",
    "REASONS",
    "Floats",
    "Int64s",
    "RankKey",
    "RankRule",
    "Ranking",
    "abo_values",
    "age_values",
    "antibody_values",
    "by_values",
    "certain_probabilities",
    "cmv_values",
    "dose_values",
    "leader_values",
    "parse_rule",
    "probability_bands",
    "rank",
    "risk_values",
    "sex_values",
    "value_text",
    "value_texts",
]
