"""graftmatch reference: nomenclature releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.mac import install_codes
from data.nomenclature import InstalledRelease, ReferenceFolder
from data.release_source import public_source
from service.cli.common import progress_of, settings

reference = typer.Typer(no_args_is_help=True, help="Nomenclature releases of IPD-IMGT/HLA.")


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
    with progress_of(f"release {release}") as progress:
        installed = ReferenceFolder(settings().reference).install(
            release, source or public_source(release), skip_checksums, progress
        )
    _print_release(installed)


@reference.command("install-mac")
def reference_install_mac(
    file: Annotated[Path, typer.Argument(help="CSV code,alleles or the text alpha.v3.")],
) -> None:
    """Install the table of multiple allele codes, for every release."""
    count = install_codes(file, settings().reference)
    typer.echo(f"{count:,} multiple allele codes installed")


@reference.command("list")
def reference_list() -> None:
    """Show the installed releases."""
    installed = ReferenceFolder(settings().reference).list()
    for release in installed:
        _print_release(release)
    if not installed:
        typer.echo("no release is installed; run: graftmatch reference install 3.58.0")


@reference.command("remove")
def reference_remove(release: Annotated[str, typer.Argument(help="Release number.")]) -> None:
    """Delete an installed release."""
    ReferenceFolder(settings().reference).remove(release)
    typer.echo(f"{release} removed")


def _print_release(installed: InstalledRelease) -> None:
    typer.echo(
        f"{installed.release}: {installed.n_alleles:,} alleles, {installed.n_proteins:,} protein "
        f"sequences, from {installed.source}"
    )
    for note in installed.notes:
        typer.echo(f"  note: {note}")
