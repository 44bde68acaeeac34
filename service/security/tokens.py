"""Tokens of callers: a file of hashes, each with a site, roles and an end.

A token is `gm_<id>_<secret>`: 32 random bytes behind an identifier that logs may show. The file
holds SHA-256 of the whole. A slow salted hash is for secrets that people choose: 256 random bits
cannot be guessed however fast a hash is, and every call has to compute it.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac
import logging
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.security.caller import Caller, Role
from service.security.watched import Signature, signature_of
from service.status import ServerError, UnauthenticatedError

_LOG = logging.getLogger("graftmatch.tokens")
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOKEN = re.compile(r"gm_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")
_NAMES = frozenset(("id", "site", "roles", "sha256", "expires"))


@dataclass(frozen=True)
class _Entry:
    caller: Caller
    sha256: bytes
    expires: datetime.datetime


@dataclass
class Tokens:
    """The tokens of a file; read again when it changes, so that they can be rotated.

    A changed file that cannot be read leaves the tokens before in use. Raises `ServerError`.
    """

    path: Path
    _seen: Signature = field(init=False, repr=False)
    _entries: Mapping[str, _Entry] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._seen = signature_of(self.path)
        self._entries = _read(self.path)

    def caller(self, authorization: str) -> Caller:
        """Whom the metadata `authorization` stands for. Raises `UnauthenticatedError`."""
        self._refresh()
        scheme, _, token = authorization.partition(" ")
        if not authorization:
            raise UnauthenticatedError("send a token: metadata `authorization: Bearer TOKEN`")
        parsed = _TOKEN.fullmatch(token)
        entry = self._entries.get(parsed[1]) if parsed else None
        known = b"" if entry is None else entry.sha256
        # Compared in a time that does not tell how much of it was right.
        right = hmac.compare_digest(hashlib.sha256(token.encode()).digest(), known)
        if scheme.lower() != "bearer" or entry is None or not right:
            raise UnauthenticatedError("the token is not known here")
        if entry.expires <= datetime.datetime.now(datetime.UTC):
            raise UnauthenticatedError("the token has expired; ask for a new one")
        return entry.caller

    def _refresh(self) -> None:
        signature = signature_of(self.path)
        if signature == self._seen:
            return
        self._seen = signature
        try:
            self._entries = _read(self.path)
        except ServerError as error:
            _LOG.error("the changed tokens are not used: %s", error)
            return
        _LOG.warning("the changed tokens are used: %d", len(self._entries))


def new_token(site: str, roles: frozenset[Role], expires: datetime.datetime) -> tuple[str, str]:
    """A token, and its lines for the file. Raises `ServerError` for a site that cannot be."""
    token_id = secrets.token_hex(6)
    token = f"gm_{token_id}_{secrets.token_urlsafe(32)}"
    named = ", ".join(f'"{role.value}"' for role in Role if role in roles)
    lines = (
        "[[token]]",
        f'id = "{token_id}"',
        f'site = "{site}"',
        f"roles = [{named}]",
        f"expires = {expires.astimezone(datetime.UTC).isoformat(timespec='seconds')}",
        f'sha256 = "{hashlib.sha256(token.encode()).hexdigest()}"',
    )
    text = "\n".join(lines) + "\n"
    _parse(text, "the new token")
    return token, text


def _read(path: Path) -> dict[str, _Entry]:
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise ServerError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ServerError(f"{path} is not TOML: it is no UTF-8") from error


def _parse(text: str, where: str) -> dict[str, _Entry]:
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ServerError(f"{where} is not TOML: {error}") from error
    tokens = document.pop("token", [])
    if document or not isinstance(tokens, list):
        raise ServerError(f"{where} may hold [[token]] tables and nothing else")
    found: dict[str, _Entry] = {}
    for number, table in enumerate(tokens, 1):
        try:
            entry = _entry(table)
        except ValueError as error:
            raise ServerError(f"{where}, token {number}: {error}") from error
        if entry.caller.token in found:
            raise ServerError(f"{where}, token {number}: its id is there twice")
        found[entry.caller.token] = entry
    return found


def _entry(table: Any) -> _Entry:
    if not isinstance(table, dict) or set(table) != _NAMES:
        raise ValueError(f"it must have {', '.join(sorted(_NAMES))} and nothing else")
    if not re.fullmatch("[0-9a-f]{12}", str(table["id"])):
        raise ValueError("id is not 12 hexadecimal digits")
    if not _SITE.fullmatch(str(table["site"])):
        raise ValueError(
            f"site is not 1 to 64 letters, digits, dots, dashes or underscores: {table['site']!r}"
        )
    if not re.fullmatch("[0-9a-f]{64}", str(table["sha256"])):
        raise ValueError("sha256 is not 64 hexadecimal digits")
    expires = table["expires"]
    if not isinstance(expires, datetime.datetime) or expires.tzinfo is None:
        raise ValueError("expires is not a time with its zone, such as 2027-01-31T00:00:00Z")
    names = [role.value for role in Role]
    roles = table["roles"]
    if not isinstance(roles, list) or not roles or any(role not in names for role in roles):
        raise ValueError(f"roles is not a list of some of {', '.join(names)}: {roles!r}")
    caller = Caller(table["site"], table["id"], frozenset(map(Role, roles)))
    return _Entry(caller, bytes.fromhex(table["sha256"]), expires)
