"""Messages <-> values. Formats and limits of requests are checked here, and nowhere else."""

from service.convert.allocation import (
    allocation_objectives,
    allocation_problem,
    allocation_response,
    first_edges,
)
from service.convert.requests import (
    LIMITS,
    ReadTyping,
    checking,
    factor_columns,
    pair_request,
    read_day,
    read_facts,
    read_gl,
    read_loci,
    read_typing,
    read_with,
    typing_request,
)
from service.convert.responses import (
    as_range,
    compared_risk,
    comparisons,
    donor_facts,
    outcome_risk,
    pair_comparison,
    typing_response,
)

__all__ = [
    "LIMITS",
    "ReadTyping",
    "allocation_objectives",
    "allocation_problem",
    "allocation_response",
    "as_range",
    "checking",
    "compared_risk",
    "comparisons",
    "donor_facts",
    "factor_columns",
    "first_edges",
    "outcome_risk",
    "pair_comparison",
    "pair_request",
    "read_day",
    "read_facts",
    "read_gl",
    "read_loci",
    "read_typing",
    "read_with",
    "typing_request",
    "typing_response",
]
