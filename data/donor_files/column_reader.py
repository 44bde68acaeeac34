"""Texts of a column -> values, each distinct text read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from matching.errors import RecordError, TypingError

# Distinct values of a column that are remembered, so that one of identifiers takes no memory.
_REMEMBERED = 100_000
_REMEMBERED_ERRORS = 20_000


@dataclass
class ColumnReader:
    """Values of a column by text; `errors` holds the texts that are refused."""

    read: Callable[[str], Any]
    values: dict[str, Any] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)

    def all(self, texts: Sequence[str]) -> tuple[list[Any], dict[int, Exception]]:
        """Value of each text, and the errors by position."""
        values, errors = self.values, self.errors
        try:
            found = list(map(values.__getitem__, texts))
        except KeyError:
            for text in set(texts).difference(values):
                self._remember(text)
            found = list(map(values.__getitem__, texts))
        bad = {}
        if errors and not errors.keys().isdisjoint(texts):
            bad = {i: errors[text] for i, text in enumerate(texts) if text in errors}
        return found, bad

    def _remember(self, text: str) -> None:
        try:
            self.values[text] = self.read(text)
        except (RecordError, TypingError) as error:
            self.values[text] = None
            error.__cause__ = error.__context__ = None
            self.errors[text] = error.with_traceback(None)

    def forget(self) -> None:
        """Keep memory bounded."""
        if len(self.values) > _REMEMBERED:
            self.values.clear()
            self.errors.clear()
        self.forget_errors()

    def forget_errors(self) -> None:
        """Keep memory bounded where any number of values is remembered, but not of errors."""
        if len(self.errors) > _REMEMBERED_ERRORS:
            for text in self.errors:
                del self.values[text]
            self.errors.clear()
