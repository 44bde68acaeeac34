"""What the commands share: options, progress, people of a file."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from data.donor_files import (
    AS_WRITTEN,
    BlankSecond,
    Person,
    ReadingOptions,
    RecordReader,
    Rejects,
)
from data.nomenclature import ReferenceFolder
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from service.config import Settings

EXIT_WITH_REJECTS = 3
# Wide enough for a row of results where the output is no terminal.
_PIPE_WIDTH = 180

ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release", help="Nomenclature release; by default the newest installed one, or demo."
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option(
        "--strict", help="Refuse names that are not current in the release; do not follow them."
    ),
]
BlankSecondOption = Annotated[
    BlankSecond, typer.Option("--blank-second", help="What a blank second position means.")
]


def settings() -> Settings:
    return Settings()


def open_nomenclature(release: str | None, strict: bool = False) -> Nomenclature:
    folder = ReferenceFolder(settings().reference)
    return replace(folder.open(release or folder.latest()), strict=strict)


def console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


@contextmanager
def progress_of(what: str) -> Iterator[Callable[[object], None]]:
    """A line on a terminal that says how far `what` is; silent in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what)
        yield lambda done: progress.update(
            task, description=f"{what}: {done:,}" if isinstance(done, int) else f"{what}: {done}"
        )


@contextmanager
def counted_progress(what: str, total: int, before: int) -> Iterator[Callable[[int], None]]:
    """A line on a terminal that says how many of `total` are done, at what rate and how long the
    rest takes; silent in a pipe. It is told how many more are done, from `before` on."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    columns = (
        *(TextColumn(what), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), TextColumn("left")),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(what, total=total, completed=before, rate="")

        def told(more: int) -> None:
            progress.update(task, advance=more)
            speed = progress.tasks[0].speed
            progress.update(task, rate="" if speed is None else f"{speed:,.1f}/s")

        yield told


def end_with_rejects(path: Path | None) -> None:
    if path is not None:
        typer.echo(f"rejected records and reasons: {path}", err=True)
        raise typer.Exit(EXIT_WITH_REJECTS)


def read_people(
    file: Path,
    nomenclature: Nomenclature,
    rejects: Path,
    options: ReadingOptions = AS_WRITTEN,
) -> tuple[list[Person], Rejects, Path | None]:
    """The people of a file, the others, and `rejects` where that was needed.

    Raises `InputFileError`.
    """
    reader = RecordReader(nomenclature, options)
    people = list(reader.people(file))
    if not reader.rejects:
        return people, reader.rejects, None
    reader.write_rejects(rejects)
    return people, reader.rejects, rejects


def searched_loci(text: str) -> tuple[Locus, ...]:
    try:
        return parse_loci(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--loci") from error


def parse_day(text: str | None) -> datetime.date:
    if text is None:
        return datetime.date.today()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no YYYY-MM-DD day", param_hint="--as-of") from error
