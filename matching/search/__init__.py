"""Index + patient -> every donor within the allowed mismatches, with best and worst case."""

from matching.search.candidates import POSITION_LETTERS, Candidates, LocusComparison
from matching.search.criteria import Criteria, Direction
from matching.search.finding import counted_mismatches, find_donors
from matching.search.tables import UNKNOWN_POSITION, compare_locus

__all__ = [
    "POSITION_LETTERS",
    "UNKNOWN_POSITION",
    "Candidates",
    "Criteria",
    "Direction",
    "LocusComparison",
    "compare_locus",
    "counted_mismatches",
    "find_donors",
]
