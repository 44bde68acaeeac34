"""Texts of a column -> values, each distinct text read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from data.donor_files.coded import Coded
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

    def all(self, texts: Coded) -> tuple[Coded, dict[int, Exception]]:
        """Value of each text, and the errors by record."""
        values = self.values
        for text in texts.values:
            if text not in values:
                self._remember(text)
        bad = {}
        if self.errors:
            known = enumerate(texts.values)
            bad = {i: self.errors[text] for i, text in known if text in self.errors}
        return texts.to([values[text] for text in texts.values]), texts.errors(bad)

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
