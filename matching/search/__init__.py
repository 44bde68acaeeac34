"""Index + patient -> every donor within the allowed mismatches, with best and worst case."""

from matching.search.candidates import POSITION_LETTERS, Candidates
from matching.search.criteria import MAX_MISMATCHES, Criteria, Direction
from matching.search.finding import MismatchCounts, find_donors
from matching.search.tables import UNKNOWN_POSITION, compare_locus, compare_pair

__all__ = [
    "MAX_MISMATCHES",
    "POSITION_LETTERS",
    "UNKNOWN_POSITION",
    "Candidates",
    "Criteria",
    "Direction",
    "MismatchCounts",
    "compare_locus",
    "compare_pair",
    "find_donors",
]
