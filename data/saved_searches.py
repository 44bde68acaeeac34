"""Saved searches: a patient, criteria and what the last run found, one JSON file a name.

They are a patient's data: files have mode 0600 and nothing of them is logged.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data.files import replacing
from matching.errors import InputFileError, OutputError

SCHEMA = 1
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


def is_name(text: str) -> bool:
    """Whether a search can be saved under a text."""
    return _NAME.fullmatch(text) is not None


@dataclass(frozen=True)
class Run:
    """What one run of a search found.

    `store` and `revision`: the registry and its last change that the index held. `provenance`: what
    the answer depended on. `donors`: by identifier in rank order, values of JSON.
    """

    as_of: str
    store: str
    revision: int
    provenance: Mapping[str, str]
    donors: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class SavedSearch:
    """`patient`: GL string. `facts`: of the patient. `settings`: of the search, values of JSON."""

    patient: str
    facts: Mapping[str, str | float | None]
    settings: Mapping[str, Any]
    last: Run


@dataclass(frozen=True)
class SavedFolder:
    """The saved searches of a home folder, below `root`."""

    root: Path

    def names(self) -> list[str]:
        """In alphabetical order."""
        return sorted(path.stem for path in self.root.glob("*.json") if is_name(path.stem))

    def has(self, name: str) -> bool:
        """Whether a search is saved under a name; False also for a text that is no name."""
        return is_name(name) and self._path(name).exists()

    def check_free(self, name: str) -> None:
        """Raises `InputFileError` for a text that is no name, and for one that is taken."""
        if self._path(name).exists():
            raise InputFileError(
                f"a search is already saved as {name}; run it again with --repeat {name}, remove "
                f"it with --forget {name}, or give another name"
            )

    def read(self, name: str) -> SavedSearch:
        """Raises `InputFileError` where there is none, or a damaged one."""
        path = self._path(name)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if content["schema"] != SCHEMA:
                raise InputFileError(
                    f"{path} has schema {content['schema']}, this program reads {SCHEMA}; "
                    "search and save again"
                )
            last = Run(**content["last"])
            return SavedSearch(content["patient"], content["facts"], content["settings"], last)
        except FileNotFoundError:
            known = ", ".join(self.names()) or "none"
            raise InputFileError(f"no search is saved as {name}; saved: {known}") from None
        except (OSError, ValueError, KeyError, TypeError) as error:
            # The text of the error could quote the file.
            raise InputFileError(
                f"the saved search {path} cannot be read ({type(error).__name__}); remove it with "
                f"--forget {name}, and search and save again"
            ) from None

    def write(self, name: str, search: SavedSearch) -> None:
        """Save or replace a search, all or nothing. Raises `InputFileError` and `OutputError`."""
        path = self._path(name)
        with replacing(path, mode=0o600) as temporary:
            content = json.dumps({"schema": SCHEMA, **asdict(search)}, indent=1)
            temporary.write_text(content + "\n", encoding="utf-8")

    def add(self, name: str, search: SavedSearch) -> bool:
        """Save a search, all or nothing; False where the name is taken.

        Raises `InputFileError` and `OutputError`.
        """
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(path.parent):
            if path.exists():
                return False
            self.write(name, search)
            return True

    def remove(self, name: str) -> None:
        """Remove a search, and what a killed writer of it left.

        Raises `InputFileError` where there is none, and `OutputError`.
        """
        path = self._path(name)
        if not path.exists():
            self.read(name)
        try:
            for one in (*self.root.glob(f".{path.name}.????????"), path):
                one.unlink()
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror}") from error

    def _path(self, name: str) -> Path:
        if not is_name(name):
            raise InputFileError(
                f"{name[:64]!r} is no name for a search; give one of letters, digits, '_', '-', '.'"
            )
        return self.root / f"{name}.json"


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Keep other processes and threads from adding searches to a folder."""
    try:
        handle = os.open(root / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise OutputError(f"cannot write {root}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
