"""What the commands share: errors as one line, options, progress."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.donor_files import Person
from data.frequency_store import FrequencyFolder
from data.index import StoredIndex
from data.models import active_model
from data.nomenclature import ReferenceFolder
from data.registry import AS_WRITTEN, BlankSecond, ReadingOptions, RecordReader, Registry
from matching.haplotypes import NullImputation
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.rank import DEFAULT_KEYS, RankRule, parse_rule
from service.config import Settings
from service.frequency_sets import SearchSets
from service.results import SearchResults
from service.search import SearchSettings, notes_of, search_people

EXIT_REFUSED = 1
EXIT_WITH_REJECTS = 3
# Wide enough for a row of results where the output is no terminal.
_PIPE_WIDTH = 180

ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release", help="Nomenclature release; by default the newest installed one, or demo."
    ),
]
RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        help="Registry: a folder or postgresql://HOST/DATABASE; by default GRAFTMATCH_REGISTRY or "
        "GRAFTMATCH_HOME/registry.",
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

RankOption = Annotated[
    str | None,
    typer.Option(
        "--rank",
        help="Keys that donors are ordered by, separated by commas, or a .toml file of a rule; "
        f"by default {','.join(DEFAULT_KEYS)}.",
    ),
]
BandsOption = Annotated[
    str | None,
    typer.Option("--bands", help="Lower bounds of the bands of P in percent, such as 99,95,75."),
]


def settings() -> Settings:
    return Settings()


def open_nomenclature(release: str | None, strict: bool = False) -> Nomenclature:
    folder = ReferenceFolder(settings().reference)
    return replace(folder.open(release or folder.latest()), strict=strict)


def open_registry(location: str | None) -> Registry:
    return settings().open_registry(location)


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


def search_sets(nomenclature: Nomenclature, nulls: NullImputation) -> SearchSets | None:
    """The frequency sets of searches, None where none is in use."""
    return SearchSets.load(FrequencyFolder(settings().frequencies), nomenclature, nulls)


def run_search(
    people: Sequence[Person],
    nomenclature: Nomenclature,
    store: Registry,
    index: StoredIndex,
    wanted: SearchSettings,
) -> SearchResults:
    """Search with the frequency sets and the model in use; notes of typings go to stderr."""
    with progress_of(f"of {len(people):,} patients searched") as progress:
        results = search_people(
            people,
            nomenclature,
            ReferenceFolder(settings().reference).proteins(nomenclature.release),
            store,
            index,
            search_sets(nomenclature, wanted.nulls),
            active_model(settings().models),
            wanted,
            progress,
        )
    for note in notes_of(results.matches):
        typer.echo(note, err=True)
    return results


def end_with_rejects(path: Path | None) -> None:
    if path is not None:
        typer.echo(f"rejected records and reasons: {path}", err=True)
        raise typer.Exit(EXIT_WITH_REJECTS)


def open_index(store: Registry, nomenclature: Nomenclature) -> StoredIndex:
    """The index of a registry; says on stderr who is not in it."""
    index = store.index(nomenclature)
    if index.n_unreadable:
        typer.echo(
            f"{index.n_unreadable:,} donors cannot be read under release {nomenclature.release} "
            f"and are not searched: {index.unreadable}",
            err=True,
        )
    return index


def read_people(
    file: Path,
    nomenclature: Nomenclature,
    rejects: Path,
    options: ReadingOptions = AS_WRITTEN,
) -> tuple[list[Person], Path | None]:
    """The people of a file, and `rejects` where that was needed. Raises `InputFileError`."""
    reader = RecordReader(nomenclature, options)
    people = list(reader.people(file))
    if not reader.rejects:
        return people, None
    reader.write_rejects(rejects)
    return people, rejects


def searched_loci(text: str) -> tuple[Locus, ...]:
    try:
        return parse_loci(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--loci") from error


def rank_rule(keys: str | None, bands: str | None) -> RankRule:
    """The rule of `--rank` (keys, or a TOML file) and `--bands`."""
    try:
        rule = RankRule()
        if keys is not None and keys.endswith(".toml"):
            rule = parse_rule(Path(keys).read_text(encoding="utf-8"))
        elif keys is not None:
            rule = RankRule(tuple(key.strip() for key in keys.split(",")))
        if bands is not None:
            rule = replace(rule, bands=tuple(float(band) for band in bands.split(",")))
        return rule
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--rank or --bands") from error


def parse_day(text: str | None) -> datetime.date:
    if text is None:
        return datetime.date.today()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no YYYY-MM-DD day", param_hint="--as-of") from error
