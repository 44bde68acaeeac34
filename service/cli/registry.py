"""graftmatch registry: donors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from data.index import MassSets
from data.registry import (
    MAX_DELETED_SHARE,
    BlankSecond,
    ImportRequest,
    ImportSummary,
    Mode,
    ReadingOptions,
)
from matching.errors import InputFileError, StoreError
from matching.haplotypes import NullImputation
from service.cli.common import (
    BlankSecondOption,
    ReleaseOption,
    StrictOption,
    end_with_rejects,
    open_nomenclature,
    progress_of,
)
from service.cli.store import RegistryOption, open_registry

registry = typer.Typer(no_args_is_help=True, help="The donor registry.")
_SHOWN_NOTES = 10


@registry.command("import")
def registry_import(
    file: Annotated[
        Path,
        typer.Argument(
            help="CSV, Parquet, ID%GL text, donor file of Atlas (JSON) or inventory of WMDA (XML)."
        ),
    ],
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    mode: Annotated[
        Mode,
        typer.Option(
            help="diff: what the file says of its donors; full: and delete whom its registries no "
            "longer hold; check: report what differs and change nothing."
        ),
    ] = Mode.DIFF,
    validate_only: Annotated[
        bool, typer.Option("--validate-only", help="Read and compare, but change nothing.")
    ] = False,
    allow_deletions: Annotated[
        bool,
        typer.Option(
            "--allow-deletions",
            help=f"With --mode full: also delete more than {MAX_DELETED_SHARE:.0%}.",
        ),
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where rejected records go; by default FILE.rejects.csv."),
    ] = None,
    differences: Annotated[
        Path | None,
        typer.Option(help="With --mode check: by default FILE.differences.csv."),
    ] = None,
    strict: StrictOption = False,
    blank_second: BlankSecondOption = BlankSecond.REFUSE,
    masses: Annotated[
        bool,
        typer.Option(
            "--masses/--no-masses",
            help="Then compute what fast match probabilities need of every donor.",
        ),
    ] = True,
) -> None:
    """Add, update and delete donors. All or nothing but for rejected records."""
    nomenclature = open_nomenclature(release)
    rejects_path = rejects or file.with_name(file.name + ".rejects.csv")
    compared = differences or file.with_name(file.name + ".differences.csv")
    request = ImportRequest(mode, validate_only, allow_deletions, compared)
    changes = not validate_only and mode is not Mode.CHECK

    def searchable(summary: ImportSummary) -> MassSets | None:
        _show(summary, nomenclature.release, request)
        if not masses or not changes:
            return None
        # Here, so that counts can be searched before what this needs is imported.
        from service.cli.searching import search_sets

        sets = search_sets(nomenclature, NullImputation.TYPED)
        if sets is None:
            typer.echo("note: no frequency set is in use, so no masses are computed", err=True)
        return None if sets is None else sets.masses

    with progress_of("records") as progress:
        store = open_registry(folder)
        summary = store.import_file(
            *(file, nomenclature, rejects_path, progress),
            *(ReadingOptions(strict, blank_second), request, searchable),
        )
    end_with_rejects(summary.rejects_file)


def _show(summary: ImportSummary, release: str, request: ImportRequest) -> None:
    typer.echo(
        f"read {summary.read:,} = new {summary.new:,} + updated {summary.updated:,} + unchanged "
        f"{summary.unchanged:,} + deleted {summary.deleted:,} + rejected {summary.rejected:,} "
        f"(release {release})"
    )
    if request.mode is Mode.CHECK:
        typer.echo(
            f"{summary.absent:,} stored donors are not in the file; differences: "
            f"{request.differences}"
        )
    elif request.mode is Mode.FULL:
        typer.echo(f"{summary.absent:,} donors that the file does not hold were deleted")
    if request.validate_only or request.mode is Mode.CHECK:
        typer.echo("nothing was changed")
    _show_notes(summary)


def _show_notes(summary: ImportSummary) -> None:
    if summary.older:
        typer.echo(f"note: {summary.older:,} records are older than what is stored", err=True)
    for name, count in summary.ignored.items():
        typer.echo(f"note: {name} is not used ({count:,} times)", err=True)
    for note in summary.notes[:_SHOWN_NOTES]:
        typer.echo(f"note: {note}", err=True)
    if len(summary.notes) > _SHOWN_NOTES:
        typer.echo(f"note: {len(summary.notes) - _SHOWN_NOTES} more names were followed", err=True)
    if summary.disagreeing:
        typer.echo(
            f"note: DRB3/4/5 of {summary.disagreeing:,} records do not go with their DRB1; they "
            "are used as reported",
            err=True,
        )


@registry.command("show")
def registry_show(release: ReleaseOption = None, folder: RegistryOption = None) -> None:
    """Show how many donors are stored and searchable."""
    store, nomenclature = open_registry(folder), open_nomenclature(release)
    index = store.index(nomenclature)
    with store.opened() as source:
        count, revision = source.count(), source.revision
        parts = [source.counts(fact) for fact in ("type", "status")]
    typer.echo(
        f"{count:,} donors stored in {store.name}, {len(index.donors):,} searchable under "
        f"release {nomenclature.release} (index {index.version})"
    )
    for part in parts:
        typer.echo(", ".join(f"{n:,} {name}" for name, n in part.items()))
    if index.revision < revision:
        typer.echo(
            f"the store is at revision {revision}, the index at {index.revision}: "
            "graftmatch registry index brings it up to date"
        )
    if index.n_unreadable:
        typer.echo(f"{index.n_unreadable:,} cannot be read under this release: {index.unreadable}")


@registry.command("masses")
def registry_masses(
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    null_imputation: Annotated[
        NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")
    ] = NullImputation.TYPED,
) -> None:
    """Compute what fast match probabilities need of every donor, under the sets of searches."""
    from service.cli.searching import search_sets

    store, nomenclature = open_registry(folder), open_nomenclature(release)
    sets = search_sets(nomenclature, null_imputation)
    if sets is None:
        raise InputFileError(
            "no frequency set is in use; import one: graftmatch frequencies import FILE"
        )
    with progress_of("donors") as progress:
        masses = store.fill_masses(nomenclature, sets.masses, progress)
    typer.echo(
        f"masses of {len(masses.index):,} donors under {sets.label} (release "
        f"{nomenclature.release}, index {masses.index.version})"
    )


@registry.command("index")
def registry_index(release: ReleaseOption = None, folder: RegistryOption = None) -> None:
    """Bring the index of a release up to date with the store."""
    store, nomenclature = open_registry(folder), open_nomenclature(release)
    with progress_of("donors") as progress:
        index = store.update_index(nomenclature, progress)
    typer.echo(
        f"{len(index.donors):,} donors searchable under release {nomenclature.release} (index "
        f"{index.version})"
    )


@registry.command("get")
def registry_get(
    identifier: Annotated[str, typer.Argument(metavar="ID")], folder: RegistryOption = None
) -> None:
    """Print a donor with its history as JSON."""
    store = open_registry(folder)
    with store.opened() as source:
        record = source.record(identifier)
    if record is None:
        raise StoreError(f"no donor {identifier!r} was ever stored in {store.name}")
    typer.echo(json.dumps(record, indent=1, ensure_ascii=False))


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
    from data.frequencies import read_frequencies
    from data.synthetic import simulate

    nomenclature = open_nomenclature(release)
    if out.exists() and not (out / "manifest.json").exists():
        raise typer.BadParameter(f"{out} exists and is no simulated registry", param_hint="--out")
    sets = [s for source in frequencies.split(",") for s in read_frequencies(source.strip())]
    with progress_of("people") as progress:
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
