"""Page tokens: where a page begins, bound to everything that the order of a list depends on.

A token holds no patient data but short digests. It is no secret and no permission: it is bound so
that a page never continues the list of another state.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from matching.rank import RankRule
from matching.typings import Typing
from service.convert import LIMITS, checking
from service.pairs import Facts
from service.status import RequestError, Violation

_VERSION = 1
_BYTES = 6
_LAST = 2**62
DEFAULT_SIZE = 100
# Where a page begins.
Start = TypeVar("Start", int, str)
T = TypeVar("T")


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


def page_token(start: int | str, state: Mapping[str, str]) -> str:
    """The token of the page that begins at `start` of a list, such as a rank from 0."""
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
    return _start(token, state, int)


def _start(token: str, state: Mapping[str, str], kind: type[Start]) -> Start:
    try:
        padded = token + "=" * (-len(token) % 4)
        sealed = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
        digest, payload = sealed[: 2 * _BYTES], sealed[2 * _BYTES :]
        if digest != _digest(payload):
            raise ValueError
        version, start, digests = json.loads(payload)
        if not _begins(start, kind) or not isinstance(digests, list):
            raise ValueError
    # Anyone can make a token; what nests too deeply ends in the last of these.
    except (ValueError, TypeError, RecursionError, binascii.Error):
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
    begin: Start = start
    return begin


def _begins(start: object, kind: type[int] | type[str]) -> bool:
    """Whether a page of a list by positions, or by identifiers, may begin here."""
    if kind is int:
        return type(start) is int and 0 <= start <= _LAST
    # Raises `UnicodeEncodeError`, a `ValueError`, for half a character.
    return isinstance(start, str) and bool(start.encode()) and "\0" not in start


@dataclass(frozen=True)
class ListPage(Generic[Start]):
    """A page of a list that was asked for: `size` items from `start` on."""

    size: int
    start: Start
    state: Mapping[str, str]

    @classmethod
    def of(cls, request: Any, state: Mapping[str, str], first: Start) -> ListPage[Start]:
        """From `page_size` and `page_token` of a request. Raises `RequestError`."""
        with checking() as found:
            if request.page_size > LIMITS.listed:
                found.append(Violation("page_size", f"must be 1 to {LIMITS.listed:,}, or 0"))
        token = request.page_token
        start = _start(token, state, type(first)) if token else first
        return cls(request.page_size or DEFAULT_SIZE, start, state)

    def token(self, start: Start) -> str:
        """The token of another page of the list."""
        return page_token(start, self.state)


def page_of(request: Any, items: Sequence[T], what: str, state: str) -> tuple[Sequence[T], str]:
    """The items of a page, and the token of the next page, "" on the last one.

    `what`: the items in words; `state`: what they depend on. Raises `RequestError`.
    """
    page: ListPage[int] = ListPage.of(request, {what: state}, 0)
    end = page.start + page.size
    return items[page.start : end], page.token(end) if end < len(items) else ""


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=_BYTES).hexdigest()


def _refused(reason: str) -> RequestError:
    return RequestError([Violation("page_token", reason)])
