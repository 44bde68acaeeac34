"""The command line."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from data.frequencies import read_frequencies
from data.nomenclature import InstalledRelease, ReferenceFolder
from data.registry import RecordReader, Registry
from data.release_source import public_source
from data.synthetic import simulate
from matching.errors import GraftmatchError
from matching.loci import Locus, parse_loci
from matching.nomenclature import Nomenclature
from matching.pipeline import match as match_donors
from matching.typings import Typing, parse_typing, typing_of
from service.config import Settings
from service.results import (
    FORMATS,
    SearchResults,
    print_donors,
    print_patients,
    result_table,
    write_results,
)

EXIT_REFUSED = 1
EXIT_WITH_REJECTS = 3
# Wide enough for a row of results where the output is no terminal.
_PIPE_WIDTH = 160
_SHOWN_NOTES = 10


def main() -> None:
    """Run the command line; our own errors become one line and `EXIT_REFUSED`."""
    try:
        app()
    except GraftmatchError as error:
        typer.echo(f"error: {_one_line(str(error))}", err=True)
        sys.exit(EXIT_REFUSED)


def _one_line(text: str) -> str:
    """`text` on one line and without control characters, which a file may have supplied."""
    return "".join(c if c.isprintable() else " " for c in text)


app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds and ranks stem-cell donors by HLA. Decision support, not a medical device.",
    epilog="Exit codes: 0 done, 1 refused (one line says why), 2 wrong usage, "
    "3 done, but records were rejected.",
)
reference = typer.Typer(no_args_is_help=True, help="Nomenclature releases of IPD-IMGT/HLA.")
registry = typer.Typer(no_args_is_help=True, help="The donor registry.")
app.add_typer(reference, name="reference")
app.add_typer(registry, name="registry")

ReleaseOption = Annotated[
    str | None,
    typer.Option(
        "--release", help="Nomenclature release; by default the newest installed one, or demo."
    ),
]
RegistryOption = Annotated[
    Path | None,
    typer.Option("--registry", help="Registry folder; by default GRAFTMATCH_HOME/registry."),
]


def _settings() -> Settings:
    return Settings()


def _nomenclature(release: str | None) -> Nomenclature:
    folder = ReferenceFolder(_settings().reference)
    return folder.open(release or folder.latest())


def _registry(folder: Path | None) -> Registry:
    return Registry(folder or _settings().registry)


def _console() -> Console:
    return Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)


@contextmanager
def _progress(what: str) -> Iterator[Callable[[object], None]]:
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


@reference.command("install")
def reference_install(
    release: Annotated[str, typer.Argument(help="Release number, e.g. 3.58.0.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Folder or http(s) address that holds wmda/; by default the public repository.",
        ),
    ] = None,
    skip_checksums: Annotated[
        bool, typer.Option("--skip-checksums", help="Do not check published checksums.")
    ] = False,
) -> None:
    """Read, verify and compile a release; all or nothing."""
    with _progress(f"release {release}") as progress:
        installed = ReferenceFolder(_settings().reference).install(
            release, source or public_source(release), skip_checksums, progress
        )
    _print_release(installed)


@reference.command("list")
def reference_list() -> None:
    """Show the installed releases."""
    installed = ReferenceFolder(_settings().reference).list()
    for release in installed:
        _print_release(release)
    if not installed:
        typer.echo("no release is installed; run: graftmatch reference install 3.58.0")


@reference.command("remove")
def reference_remove(release: Annotated[str, typer.Argument(help="Release number.")]) -> None:
    """Delete an installed release."""
    ReferenceFolder(_settings().reference).remove(release)
    typer.echo(f"{release} removed")


def _print_release(installed: InstalledRelease) -> None:
    typer.echo(
        f"{installed.release}: {installed.n_alleles:,} alleles, {installed.n_proteins:,} protein "
        f"sequences, from {installed.source}"
    )
    for note in installed.notes:
        typer.echo(f"  note: {note}")


@registry.command("import")
def registry_import(
    file: Annotated[Path, typer.Argument(help="CSV, Parquet or ID%GL text, gzip or not.")],
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where rejected records go; by default FILE.rejects.csv."),
    ] = None,
) -> None:
    """Add donors, or update those already stored. All or nothing but for rejected records."""
    nomenclature = _nomenclature(release)
    rejects_path = rejects or file.with_name(file.name + ".rejects.csv")
    with _progress("records") as progress:
        summary = _registry(folder).import_file(file, nomenclature, rejects_path, progress)
    typer.echo(
        f"read {summary.read:,} = new {summary.new:,} + updated {summary.updated:,} + unchanged "
        f"{summary.unchanged:,} + rejected {summary.rejected:,} (release {nomenclature.release})"
    )
    for note in summary.notes[:_SHOWN_NOTES]:
        typer.echo(f"note: {note}", err=True)
    if len(summary.notes) > _SHOWN_NOTES:
        typer.echo(f"note: {len(summary.notes) - _SHOWN_NOTES} more names were followed", err=True)
    _end_with_rejects(summary.rejects_file)


def _end_with_rejects(path: Path | None) -> None:
    if path is not None:
        typer.echo(f"rejected records and reasons: {path}", err=True)
        raise typer.Exit(EXIT_WITH_REJECTS)


@registry.command("show")
def registry_show(release: ReleaseOption = None, folder: RegistryOption = None) -> None:
    """Show how many donors are stored and searchable."""
    store, nomenclature = _registry(folder), _nomenclature(release)
    index = store.index(nomenclature)
    typer.echo(
        f"{store.count():,} donors stored in {store.root}, {len(index.donors):,} searchable under "
        f"release {nomenclature.release} (index {index.version})"
    )
    if index.n_unreadable:
        typer.echo(f"{index.n_unreadable:,} cannot be read under this release: {index.unreadable}")


@registry.command("simulate")
def registry_simulate(
    donors: Annotated[int, typer.Option(min=1, help="Number of donors.")],
    frequencies: Annotated[
        str, typer.Option(help="Frequency files, separated by commas; demo for the embedded set.")
    ],
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same registry.")],
    out: Annotated[
        Path, typer.Option(help="Folder to write; it must not exist or be a former one.")
    ],
    patients: Annotated[int, typer.Option(min=0, help="Number of patients.")] = 0,
    release: ReleaseOption = None,
) -> None:
    """Write donors and patients with known truth, in a stated mix of typing resolutions."""
    nomenclature = _nomenclature(release)
    if out.exists() and not (out / "manifest.json").exists():
        raise typer.BadParameter(f"{out} exists and is no simulated registry", param_hint="--out")
    sets = [s for source in frequencies.split(",") for s in read_frequencies(source.strip())]
    with _progress("people") as progress:
        manifest = simulate(out, sets, nomenclature, donors, patients, seed, progress)
    typer.echo(
        f"{donors:,} donors and {patients:,} patients simulated in {out} (seed {seed}, release "
        f"{nomenclature.release}); manifest.json states the mix"
    )
    for population in _dicts(manifest["populations"]):
        if population["haplotypes_left_out"]:
            typer.echo(
                f"population {population['population']}: {population['haplotypes_left_out']} "
                f"haplotypes left out, release {nomenclature.release} cannot read them",
                err=True,
            )


def _dicts(value: object) -> list[dict[str, Any]]:
    return list(value) if isinstance(value, list) else []


@app.command("match")
def match(
    patient: Annotated[
        str | None, typer.Option(help="The patient's typing as a GL string.")
    ] = None,
    patients: Annotated[
        Path | None, typer.Option(help="Patients in a file, in any format of registry import.")
    ] = None,
    loci: Annotated[str, typer.Option(help="Loci to match, separated by commas.")] = (
        "A,B,C,DRB1,DQB1"
    ),
    max_mismatches: Annotated[
        int, typer.Option(min=0, max=12, help="Most mismatches in the best case.")
    ] = 1,
    form: Annotated[
        str | None,
        typer.Option("--format", help="table, json, csv or parquet; by default as --out ends."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows of the table on screen.")] = 20,
    as_of: Annotated[
        str | None, typer.Option(help="Day for donors' ages, YYYY-MM-DD; by default today.")
    ] = None,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
) -> None:
    """Find, compare and rank donors for one patient or a file of patients."""
    if (patient is None) == (patients is None):
        raise typer.BadParameter("give either --patient 'GL' or --patients FILE")
    searched = _searched_loci(loci)
    chosen = _format(form, out)
    day = _day(as_of)
    nomenclature = _nomenclature(release)
    store = _registry(folder)
    index = store.index(nomenclature)
    if index.n_unreadable:
        typer.echo(
            f"{index.n_unreadable:,} donors cannot be read under release {nomenclature.release} "
            f"and are not searched: {index.unreadable}",
            err=True,
        )
    typings, rejects_file = _patients(patient, patients, nomenclature, out)
    ages = index.ages(day)
    matches = {}
    with _progress("patients searched") as progress:
        for name, typing in typings.items():
            matches[name] = match_donors(
                typing, nomenclature, index.donors, ages, searched, max_mismatches
            )
            progress(len(matches))
    for name, found in matches.items():
        for note in found.notes:
            typer.echo(f"patient {name}: {note}", err=True)
    results = SearchResults(matches, index, nomenclature.release, searched, max_mismatches, day)
    if chosen == "table":
        show = print_donors if patient is not None else print_patients
        show(_console(), results, limit)
    else:
        donors = {i for m in matches.values() for i in index.ids[m.candidates.rows]}
        table = result_table(results, store.typings(sorted(donors)))
        write_results(results, table, chosen, out or sys.stdout)
        if out is not None:
            typer.echo(f"{len(table):,} donors for {len(matches):,} patients written to {out}")
    _end_with_rejects(rejects_file)


def _patients(
    patient: str | None, file: Path | None, nomenclature: Nomenclature, out: Path | None
) -> tuple[dict[str, Typing], Path | None]:
    """Typings by patient, and the file of rejected records where there are any."""
    if file is None:
        return {"patient": parse_typing(patient or "")}, None
    reader = RecordReader(nomenclature)
    typings = {person.id: typing_of(person.loci, person.carried) for person in reader.people(file)}
    if not reader.rejects:
        return typings, None
    beside = out or file
    path = beside.with_name(beside.name + ".rejects.csv")
    reader.write_rejects(path)
    return typings, path


def _searched_loci(text: str) -> tuple[Locus, ...]:
    try:
        return parse_loci(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--loci") from error


def _format(form: str | None, out: Path | None) -> str:
    chosen = form or (out.suffix.removeprefix(".").lower() if out else "table")
    if chosen not in FORMATS:
        raise typer.BadParameter(
            f"{chosen!r} is none of {', '.join(FORMATS)}; give --format", param_hint="--format"
        )
    if chosen == "table" and out is not None:
        raise typer.BadParameter("a table goes to the screen; leave out --out or give --format csv")
    if chosen == "parquet" and out is None:
        raise typer.BadParameter("parquet needs --out FILE", param_hint="--format")
    return chosen


def _day(text: str | None) -> datetime.date:
    if text is None:
        return datetime.date.today()
    try:
        return datetime.date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no YYYY-MM-DD day", param_hint="--as-of") from error
