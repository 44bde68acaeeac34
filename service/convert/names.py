"""Names of resources, in the style of Google's API Improvement Proposal 122."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote_to_bytes

from service.status import RequestError, Violation

DONORS = "donors/"
RISK_MODELS = "riskModels/"
RELEASES = "releases/"
JOBS = "jobs/"
SAVED_SEARCHES = "savedSearches/"
_SEGMENT = re.compile("([A-Za-z0-9._~-]|%[0-9A-Fa-f]{2})+")


def donor_name(identifier: str) -> str:
    """The name of a donor.

    >>> donor_name("DE/17 ä")
    'donors/DE%2F17%20%C3%A4'
    """
    return DONORS + quote(identifier, safe="")


def identifier_of(name: str, collection: str) -> str:
    """What a name of a collection such as `DONORS` stands for. Raises `RequestError`.

    >>> identifier_of("donors/DE%2F17", DONORS)
    'DE/17'
    """
    segment = name.removeprefix(collection)
    if name.startswith(collection) and _SEGMENT.fullmatch(segment):
        try:
            identifier = unquote_to_bytes(segment).decode()
        except UnicodeDecodeError:
            identifier = "\0"
        # Which no store holds, and not every one can be asked for.
        if "\0" not in identifier:
            return identifier
    reason = (
        f"must be {collection} and an identifier in which every byte but letters, digits and "
        "- . _ ~ is written as % and two hexadecimal digits"
    )
    raise RequestError([Violation("name", reason)])
