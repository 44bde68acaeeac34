"""graftmatch frequencies."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

import typer

from data.frequency_store import FrequencyCard, FrequencyFolder
from matching.errors import ReleaseNotInstalledError
from service.cli.common import ReleaseOption, open_nomenclature, settings
from service.imputation import FIVE

frequencies = typer.Typer(no_args_is_help=True, help="Haplotype frequency sets.")
PopulationOption = Annotated[
    str | None, typer.Option("--population", help="Which one, where a file holds several.")
]


@frequencies.command("import")
def frequencies_import(
    file: Annotated[
        Path, typer.Argument(help="CSV, Parquet, GRIM text or JSON of haplotypes and frequencies.")
    ],
    population: PopulationOption = None,
    name: Annotated[str | None, typer.Option(help="Name; by default the population.")] = None,
    release: ReleaseOption = None,
) -> None:
    """Store a frequency set, and put it in use if it carries the loci of P(10/10)."""
    folder = FrequencyFolder(settings().frequencies)
    try:
        nomenclature = open_nomenclature(release)
    except ReleaseNotInstalledError:
        if release is not None:
            raise
        nomenclature = None
    card = folder.import_file(file, population, name, nomenclature, datetime.date.today(), FIVE)
    _print_card(card, folder)
    missing = [locus.value for locus in FIVE if locus.value not in card.loci]
    if missing:
        typer.echo(
            f"note: the set does not carry {', '.join(missing)}, so searches do not use it; "
            "predict does, over the loci that it carries",
            err=True,
        )


@frequencies.command("show")
def frequencies_show(
    population: Annotated[
        str | None, typer.Option(help="Show which set is used for people of this population.")
    ] = None,
    registry: Annotated[str, typer.Option(help="The registry of these people.")] = "",
) -> None:
    """Show the imported sets, the one in use, or the one for a population and registry."""
    folder = FrequencyFolder(settings().frequencies)
    if population is not None:
        card, reason = folder.best_for(population, registry)
        typer.echo(f"chosen by: {reason}")
        _print_card(card, folder)
        return
    cards = folder.cards()
    for card in cards:
        _print_card(card, folder)
    if not cards:
        typer.echo("no frequency set is imported; run: graftmatch frequencies import FILE")


def _print_card(card: FrequencyCard, folder: FrequencyFolder) -> None:
    registry = f" of registry {card.registry}" if card.registry else ""
    coverage = "coverage unknown: no release was installed"
    if card.release:
        coverage = f"coverage {card.coverage:.6f} under release {card.release}"
    typer.echo(
        f"{'* ' if card.active else '  '}{card.name}: population {card.population}{registry}, "
        f"{card.n_haplotypes:,} haplotypes over {'~'.join(card.loci)}, sum {card.total:.6f}, "
        f"{coverage}, "
        f"from {card.source} (sha256 {card.sha256}, imported {card.imported})"
    )
    if card.n_unmapped:
        typer.echo(
            f"    {card.n_unmapped:,} haplotypes of mass {card.total - card.coverage:.6f} are "
            f"unmapped: {folder.unmapped_file(card.name)}"
        )
