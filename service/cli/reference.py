"""graftmatch reference: nomenclature releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from data.mac import install_codes
from data.nomenclature import InstalledRelease, ReferenceFolder
from data.release_source import public_source
from matching.explain import release_differences
from service.cli.common import console, open_nomenclature, progress_of, settings

_SHOWN_NAMES = 6
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


@reference.command("diff")
def reference_diff(
    before: Annotated[str, typer.Argument(help="An installed release.")],
    after: Annotated[str, typer.Argument(help="Another one.")],
    typing: Annotated[str, typer.Argument(help="GL string or a single name; quote it.")],
) -> None:
    """Show what two releases read differently in a typing."""
    differences = release_differences(typing, open_nomenclature(before), open_nomenclature(after))
    if not differences:
        typer.echo(f"{before} and {after} read the typing the same way")
        return
    table = Table()
    for name in ("written", "what", before, after):
        table.add_column(name)
    for difference in differences:
        old, new = _both(difference.before, difference.after)
        table.add_row(difference.position, difference.what, old, new)
    console().print(table)


def _both(before: str, after: str) -> tuple[str, str]:
    """Two lists joined by `/`; long ones by their size and what the other lacks."""
    old, new = (text.split("/") if text else [] for text in (before, after))
    if max(len(old), len(new)) <= _SHOWN_NAMES:
        return before or "none", after or "none"
    return _with_extra(old, set(new)), _with_extra(new, set(old))


def _with_extra(names: list[str], others: set[str]) -> str:
    extra = [name for name in names if name not in others]
    shown = "/".join(extra[:_SHOWN_NAMES]) + ("/..." if len(extra) > _SHOWN_NAMES else "")
    return (
        f"{len(names):,}, of these {len(extra):,} only here: {shown}"
        if extra
        else f"{len(names):,}"
    )


def _print_release(installed: InstalledRelease) -> None:
    typer.echo(
        f"{installed.release}: {installed.n_alleles:,} alleles, {installed.n_proteins:,} protein "
        f"sequences, from {installed.source}"
    )
    for note in installed.notes:
        typer.echo(f"  note: {note}")
