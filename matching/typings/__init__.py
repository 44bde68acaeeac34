"""Text -> Typing: what was written, position by position, before any release interprets it.

Untyped (no entry), null (an N name) and ambiguous (several names) are three states and stay so.
"""

from matching.typings.gl_strings import (
    Written,
    homozygous_where_blank,
    merge_drb345,
    parse_locus,
    parse_typing,
    split_gl,
    split_release,
    typing_of,
)
from matching.typings.positions import (
    is_lone_position,
    locus_of,
    parse_lone_position,
    parse_position,
)
from matching.typings.values import ABSENT_GENE, Form, LocusTyping, Pair, Position, Typing

__all__ = [
    "ABSENT_GENE",
    "Form",
    "LocusTyping",
    "Pair",
    "Position",
    "Typing",
    "Written",
    "homozygous_where_blank",
    "is_lone_position",
    "locus_of",
    "merge_drb345",
    "parse_locus",
    "parse_lone_position",
    "parse_position",
    "parse_typing",
    "split_gl",
    "split_release",
    "typing_of",
]
