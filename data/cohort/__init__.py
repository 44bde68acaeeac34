"""Files of transplants with their outcomes -> `Cohort`, by way of a mapping file."""

from data.cohort.mapping import CohortMapping, parse_mapping, read_mapping
from data.cohort.reading import Reference, parse_cohort, parse_factors, read_cohort, read_table

__all__ = [
    "CohortMapping",
    "Reference",
    "parse_cohort",
    "parse_factors",
    "parse_mapping",
    "read_cohort",
    "read_mapping",
    "read_table",
]
