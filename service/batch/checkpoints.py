"""What a batch has done so far, so that a run that was cut off goes on where it was.

A folder of results holds `state.json`, which says what the results depend on, and until these are
written `checkpoints`, with one Parquet file for each chunk of patients that is done. Each file is
there whole or not at all, so whatever ends a run, the next one finds only finished chunks.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from data.files import remove_folder, replacing
from matching.errors import OutputError

STATE = "state.json"
SUMMARY = "summary.json"
FOLDER = "checkpoints"
# Beginnings of the names of the files that a batch leaves.
RESULTS = (
    *("candidates.", "allocation.", "notes.csv", "excluded.csv", "antibodies.", "families.json"),
    *("rejects.csv", SUMMARY),
)
# The part of a state that a run which goes on takes over, so that it may do so on another day.
DAY = "the day"


@dataclass(frozen=True)
class Checkpoints:
    """The chunks of a batch in the folder `root`, by number from 0."""

    root: Path

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    @property
    def is_complete(self) -> bool:
        """Whether the results are written."""
        return (self.root / SUMMARY).exists() and not self.folder.exists()

    def path(self, chunk: int) -> Path:
        return self.folder / f"{chunk:06}.parquet"

    def has(self, chunk: int) -> bool:
        return self.path(chunk).exists()

    def write(self, chunk: int, table: pa.Table) -> None:
        """Raises `OutputError`."""
        with replacing(self.path(chunk)) as temporary:
            pq.write_table(table, temporary)

    def read(self, chunk: int) -> pa.Table:
        """Raises `OutputError` where the disk damaged it."""
        try:
            return pq.ParquetFile(self.path(chunk)).read()
        except (OSError, pa.ArrowException) as error:
            raise OutputError(
                f"the checkpoint {self.path(chunk)} cannot be read: {error}; delete it and go on "
                "with --resume"
            ) from error

    def remove(self) -> None:
        """After the results are written."""
        remove_folder(self.folder)


def stored_day(root: Path) -> str | None:
    """The day of the batch in a folder, None where none was begun. Raises `OutputError`."""
    state = stored_state(root)
    return None if state is None else state.get(DAY)


@contextmanager
def checkpoints(root: Path, state: Mapping[str, str], resume: bool) -> Iterator[Checkpoints]:
    """The checkpoints of a batch, for one process at a time.

    `state`: what the results depend on, one text a part; parts are named as in a refusal. Raises
    `OutputError` where the folder holds a batch and `resume` is False, where that batch was begun
    in another state, and where another process is at it.
    """
    here = Checkpoints(root)
    try:
        here.folder.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(root, os.O_RDONLY)
    except OSError as error:
        raise OutputError(
            f"cannot write {root}: {error.strerror}; choose another folder with --out"
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OutputError(
                f"another batch is writing to {root}; wait for it, or choose another folder"
            ) from None
        before = stored_state(root)
        if before is None and not all(_is_half(path) for path in root.iterdir()):
            raise OutputError(f"{root} holds other files; choose another folder with --out")
        if before is not None and not resume:
            raise OutputError(
                f"{root} holds a batch already; go on with it by --resume, or choose another folder"
            )
        if before is None:
            with replacing(root / STATE) as temporary:
                temporary.write_text(json.dumps(dict(state), indent=1) + "\n", encoding="utf-8")
        elif changed := sorted(
            name for name in {*before, *state} if before.get(name) != state.get(name)
        ):
            raise OutputError(
                f"the batch in {root} was begun with something else: {', '.join(changed)} changed "
                "since; take back the change, or choose another folder"
            )
        _remove_halves(here)
        if not here.is_complete:
            here.folder.mkdir(exist_ok=True)
        try:
            yield here
        except BaseException:
            # A process of this one's may have been killed.
            _remove_halves(here)
            raise
    finally:
        os.close(handle)


def _is_half(path: Path) -> bool:
    """Whether a killed process may have left it, see `data.files`."""
    return any(path.name.startswith(f".{name}") for name in (STATE, *RESULTS, FOLDER))


def _remove_halves(here: Checkpoints) -> None:
    halves = filter(_is_half, here.root.iterdir())
    for path in [*halves, *here.folder.glob(".*")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def stored_state(root: Path) -> dict[str, str] | None:
    """What the batch in a folder was begun with, None where none was. Raises `OutputError`."""
    path = root / STATE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise OutputError(f"{path} cannot be read: {error}; choose another folder") from error
