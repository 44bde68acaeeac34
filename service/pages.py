"""Page tokens: where a page begins, bound to everything that the order of donors depends on.

A token holds no patient data but short digests. It is no secret and no permission: it is bound so
that a page never continues the list of another state.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from matching.rank import RankRule
from matching.typings import Typing
from service.pairs import Facts
from service.status import RequestError, Violation

_VERSION = 1
_BYTES = 6


def search_state(
    patient: Typing,
    facts: Facts,
    criteria: Mapping[str, Any],
    as_of: datetime.date,
    rule: RankRule,
    provenance: Mapping[str, str],
) -> dict[str, str]:
    """What a list of donors depends on, one text a part; parts are named as in a refusal.

    `criteria`: values of JSON. `provenance`: release, index, frequency set and
    risk model by these names.
    """
    return {
        "the patient": json.dumps([patient.text, dict(facts)], sort_keys=True),
        "the criteria": json.dumps(dict(criteria), sort_keys=True),
        "the day": as_of.isoformat(),
        "the ranking": repr(rule),
        **{f"the {name}": value for name, value in provenance.items()},
    }


def page_token(start: int, state: Mapping[str, str]) -> str:
    """The token of the page that begins at rank `start`, from 0, of a list."""
    payload = json.dumps(
        [_VERSION, start, [_digest(value) for value in state.values()]], separators=(",", ":")
    )
    sealed = f"{_digest(payload)}{payload}"
    return base64.urlsafe_b64encode(sealed.encode()).decode().rstrip("=")


def page_start(token: str, state: Mapping[str, str]) -> int:
    """The rank at which a page begins, from 0. Raises `RequestError` for a token of another state.

    >>> state = {"the patient": "A*01:01+A*01:01", "the index": "7"}
    >>> page_start(page_token(100, state), state)
    100
    """
    try:
        padded = token + "=" * (-len(token) % 4)
        sealed = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        digest, payload = sealed[: 2 * _BYTES], sealed[2 * _BYTES :]
        if digest != _digest(payload):
            raise ValueError
        version, start, digests = json.loads(payload)
    except (ValueError, binascii.Error):
        raise _refused("no token of a page; ask for the first page without one") from None
    if version != _VERSION or len(digests) != len(state):
        raise _refused("a token of another version of this program; ask for the first page again")
    changed = [
        name
        for (name, value), digest in zip(state.items(), digests, strict=True)
        if digest != _digest(value)
    ]
    if changed:
        raise _refused(
            f"a token of another list: {', '.join(changed)} changed since; "
            "ask for the first page again"
        )
    return int(start)


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=_BYTES).hexdigest()


def _refused(reason: str) -> RequestError:
    return RequestError([Violation("page_token", reason)])
