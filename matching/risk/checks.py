"""The one check of a model's parts."""

from __future__ import annotations

from matching.errors import ModelError


def require(condition: bool, message: str) -> None:
    """Raise `ModelError` unless the condition holds."""
    if not condition:
        raise ModelError(message)
