"""Every error graftmatch raises for a user, on one screen.

::

    GraftmatchError
    ├── TypingError                 a written typing cannot be used
    │   ├── TypingSyntaxError           its form is not HLA nomenclature
    │   ├── HalfTypedError              one of the two positions is missing
    │   ├── UnknownNameError            the release does not hold the name
    │   └── IncompleteReferenceError    the demo reference cannot answer
    ├── TooAmbiguousError           a typing has too many explanations to enumerate
    ├── NomenclatureError           nomenclature releases
    │   ├── ReleaseNotInstalledError
    │   ├── ReleaseDamagedError         an installed release fails its checksums
    │   └── ReleaseSourceError          the source of an installation is not usable
    ├── InputFileError              a whole file is refused, nothing of it was used
    ├── RecordError                 one record of a file is refused, the others go on
    ├── FamilyError                 a pedigree, or its typings, cannot be one family
    ├── AllocationError             an allocation is malformed or was not solved
    ├── TypingPlanError             requests for typing cannot be planned
    ├── CohortError                 a cohort of transplants cannot be used
    ├── ModelError                  a risk model cannot be used
    ├── StoreError                  the donor store or its index
    └── OutputError                 a result cannot be written

A message says what is wrong, where, and what to do. The message of a `TypingError` quotes
the typing, so it goes to the person who supplied it and never to a log or another site.
"""

from __future__ import annotations

from typing import Any


class GraftmatchError(Exception):
    """Base of all errors that are shown to a user as one line. They may be sent to another process
    whatever they were made of."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (type(self), self.args, self.__dict__)


def _made_again(
    kind: type[GraftmatchError], arguments: tuple[Any, ...], attributes: dict[str, Any]
) -> GraftmatchError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(attributes)
    return error


class TypingError(GraftmatchError):
    """A written typing cannot be used.

    Attributes: `locus` and `token` (the part of the text at fault), `reason`, and `near`,
    names of the release that resemble the token (possibly empty).
    """

    def __init__(self, locus: str, token: str, reason: str, near: tuple[str, ...] = ()) -> None:
        self.locus, self.token, self.reason, self.near = locus, token, reason, near
        shown = token if len(token) <= 60 else token[:57] + "..."
        hint = f"; near names: {', '.join(near)}" if near else ""
        super().__init__(f"locus {locus}: {shown!r}: {reason}{hint}")


def without_frames(error: TypingError) -> TypingError:
    """The error without what went on where it was raised, which would be kept alive with it."""
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)


class TypingSyntaxError(TypingError):
    """The text is not of a form that HLA nomenclature knows."""


class HalfTypedError(TypingError):
    """One of the two positions of a locus is missing (rule R2: an error, never a guess)."""


class UnknownNameError(TypingError):
    """The release holds no such name and its records lead to none."""


class IncompleteReferenceError(TypingError):
    """The reference is a sample of a release, so it must not expand this name."""


class TooAmbiguousError(GraftmatchError):
    """A typing has more explanations than can be enumerated."""


class NomenclatureError(GraftmatchError):
    """Nomenclature releases."""


class ReleaseNotInstalledError(NomenclatureError):
    """The release that was asked for is not on this machine."""


class ReleaseDamagedError(NomenclatureError):
    """An installed release does not agree with its own checksums."""


class ReleaseSourceError(NomenclatureError):
    """A release cannot be installed from the given folder or address."""


class InputFileError(GraftmatchError):
    """A file is refused as a whole; nothing of it was used."""


class RecordError(GraftmatchError):
    """One record of a file is refused. Attributes: `field` and `value` at fault, `reason`."""

    def __init__(self, field: str, value: str, reason: str) -> None:
        self.field, self.value, self.reason = field, value, reason
        shown = value if len(value) <= 60 else value[:57] + "..."
        super().__init__(f"{field}: {shown!r}: {reason}")


class FamilyError(GraftmatchError):
    """The members of a family, or their typings, cannot be one family."""


class AllocationError(GraftmatchError):
    """An allocation problem is malformed, or the solver gave no proven optimum."""


class TypingPlanError(GraftmatchError):
    """Requests for confirmatory typing cannot be planned from these values."""


class CohortError(GraftmatchError):
    """A cohort cannot be used. `problems`: every reason that was found, one text each."""

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems or (message,)
        super().__init__(message)


class ModelError(GraftmatchError):
    """A risk model cannot be used: another schema, damaged, or not consistent in itself."""


class StoreError(GraftmatchError):
    """The donor store or its index cannot be used."""


class OutputError(GraftmatchError):
    """A result cannot be written."""
