"""Messages <-> values. Formats and limits of requests are checked here, and nowhere else."""

from service.convert.allocation import (
    allocation_objectives,
    allocation_problem,
    allocation_response,
    first_edges,
)
from service.convert.requests import (
    LIMITS,
    checking,
    factor_columns,
    pair_request,
    read_day,
    read_loci,
    read_typing,
    typing_request,
)
from service.convert.responses import (
    as_range,
    comparisons,
    donor_facts,
    outcome_risk,
    typing_response,
)

__all__ = [
    "LIMITS",
    "allocation_objectives",
    "allocation_problem",
    "allocation_response",
    "as_range",
    "checking",
    "comparisons",
    "donor_facts",
    "factor_columns",
    "first_edges",
    "outcome_risk",
    "pair_request",
    "read_day",
    "read_loci",
    "read_typing",
    "typing_request",
    "typing_response",
]
