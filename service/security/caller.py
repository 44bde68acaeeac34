"""Who makes a call, and what for."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Role(enum.Enum):
    """What a token is for."""

    SEARCH = "search"
    IMPORT = "import"
    ANALYST = "analyst"
    ADMIN = "admin"


@dataclass(frozen=True)
class Caller:
    """Whom a token stands for. `token`: its identifier, which is no secret."""

    site: str
    token: str
    roles: frozenset[Role]


# Whose calls they are where the server asks for no tokens.
ANYONE = Caller("", "", frozenset(Role))
