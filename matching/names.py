"""HLA names as text: order, spelling of before 2010, and the lists behind multiple allele codes.

Nothing here knows a release; what a name stands for is `matching.nomenclature`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping

_WITHOUT_COLONS = re.compile(r"([A-Z0-9]+\*)((?:[0-9]{2}){2,4})([NLSQCA]?)")
_CODE_WITHOUT_COLON = re.compile(r"([A-Z0-9]+\*[0-9]{2})([A-Z]{2,8})")
# These families ran out of two-digit numbers and went on under a number of their own until 2010.
_CONTINUED = {"A*92": "A*02:1", "B*95": "B*15:1"}
_PART = re.compile(r"[0-9]+|[^0-9:]+")


def modern_name(name: str) -> str | None:
    """The spelling with colons of a name of before 2010 (Marsh 2010, Tissue Antigens 75:291).

    Each field had two digits; A*92 and B*95 went on counting A*02 and B*15 from 100. None where
    `name` is not of that form.

    >>> [modern_name(name) for name in ("A*0105N", "A*02010101", "B*9530", "A*01AB", "A*01:01")]
    ['A*01:05N', 'A*02:01:01:01', 'B*15:130', 'A*01:AB', None]
    """
    if code := _CODE_WITHOUT_COLON.fullmatch(name):
        return f"{code.group(1)}:{code.group(2)}"
    found = _WITHOUT_COLONS.fullmatch(name)
    if found is None:
        return None
    gene, digits, suffix = found.groups()
    first, *fields = re.findall("..", digits)
    leading = _CONTINUED.get(gene + first, f"{gene}{first}:")
    return leading + ":".join(fields) + suffix


def sort_key(name: str) -> tuple[str, tuple[tuple[bool, int, str], ...]]:
    """Orders names by gene, fields as numbers, and suffix; words such as UUUU after numbers.

    >>> sorted(["HLA-A*02:101", "A*02:11N", "A2", "A19", "A*02:11", "A*UUUU"], key=sort_key)
    ['A2', 'A19', 'A*02:11', 'A*02:11N', 'HLA-A*02:101', 'A*UUUU']
    """
    bare = name.removeprefix("HLA-")
    gene, star, rest = bare.partition("*")
    if not star:
        gene = bare.rstrip("0123456789")
        rest = bare[len(gene) :]
    parts = (
        (not part.isdigit(), int(part) if part.isdigit() else -1, part)
        for part in _PART.findall(rest)
    )
    return gene, (*([(False, -1, "")] if not star else []), *parts)


def code_members(gene: str, first_field: str, members: Iterable[str]) -> tuple[str, list[str]]:
    """The first field that fits a multiple allele code, and the names that it lists (rule R4).

    Second fields fit any first field; names only the one that most of them have, or the lowest.

    >>> code_members("A", "26", ["25:01", "26:01"])
    ('25', ['A*25:01', 'A*26:01'])
    """
    listed = list(members)
    if ":" not in listed[0]:
        return first_field, [f"{gene}*{first_field}:{member}" for member in listed]
    return _fitting(listed), [f"{gene}*{member}" for member in listed]


def _fitting(members: Iterable[str]) -> str:
    counts = Counter(member.partition(":")[0] for member in members)
    return min(counts, key=lambda first: (-counts[first], first))


def codes_by_members(codes: Mapping[str, tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    """The code of every list of members, in any order; of two the shorter, then the earlier."""
    longest_first = sorted(codes, key=lambda code: (len(code), code), reverse=True)
    return {tuple(sorted(codes[code])): code for code in longest_first}


def encode(names: Iterable[str], by_members: Mapping[tuple[str, ...], str]) -> str | None:
    """The multiple allele code of names of two fields; None if the table has none (rule R4).

    Names of one first field take a list of second fields where there is one.

    >>> by_members = codes_by_members({"AB": ("01", "02"), "BYHR": ("25:01", "26:01")})
    >>> encode(["A*01:02", "A*01:01"], by_members), encode(["A*25:01", "A*26:01"], by_members)
    ('A*01:AB', 'A*25:BYHR')
    """
    parted = [name.partition("*") for name in sorted(set(names))]
    members = [rest for _, _, rest in parted]
    if len({gene for gene, _, _ in parted}) != 1:
        return None
    first_fields = {member.partition(":")[0] for member in members}
    code = None
    if len(first_fields) == 1:
        code = by_members.get(tuple(sorted(member.partition(":")[2] for member in members)))
    code = code or by_members.get(tuple(members))
    return None if code is None else f"{parted[0][0]}*{_fitting(members)}:{code}"
