"""Messages <-> values. Formats and limits of requests are checked here, and nowhere else."""

from service.convert.allocation import (
    allocation_objectives,
    allocation_problem,
    allocation_response,
    first_edges,
)
from service.convert.details import pair_detail
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
    compared_risk,
    comparisons,
    donor_facts,
    haplotype_sharing,
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
    "checking",
    "compared_risk",
    "comparisons",
    "donor_facts",
    "factor_columns",
    "first_edges",
    "haplotype_sharing",
    "outcome_risk",
    "pair_comparison",
    "pair_detail",
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
