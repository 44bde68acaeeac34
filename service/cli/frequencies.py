"""graftmatch frequencies."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Annotated

import typer

from data.files import replacing
from data.frequency_store import FrequencyCard, FrequencyFolder
from matching.errors import InputFileError, ReleaseNotInstalledError
from matching.estimation import estimate
from matching.typings import typing_of
from service.ancestry import FIVE
from service.cli.common import (
    ReleaseOption,
    end_with_rejects,
    open_nomenclature,
    progress_of,
    read_people,
    searched_loci,
    settings,
)
from service.imputed_tables import haplotype_texts

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
        card, reason = folder.choice().best_for(population, registry)
        typer.echo(f"chosen by: {reason}")
        _print_card(card, folder)
        return
    cards = folder.cards()
    for card in cards:
        _print_card(card, folder)
    if not cards:
        typer.echo("no frequency set is imported; run: graftmatch frequencies import FILE")


@frequencies.command("estimate")
def frequencies_estimate(
    file: Annotated[Path, typer.Argument(help="People, any format of registry import.")],
    out: Annotated[Path, typer.Option(help="CSV for the haplotypes; import it to use it.")],
    loci: Annotated[str, typer.Option(help="Loci, separated by commas.")] = "A,B,C,DRB1,DQB1",
    population: Annotated[str, typer.Option(help="Name of the population.")] = "estimated",
    tolerance: Annotated[
        float, typer.Option(min=0, help="Stop at a smaller gain of log likelihood a person.")
    ] = 1e-7,
    max_iterations: Annotated[int, typer.Option(min=1, help="Stop after so many.")] = 1000,
    release: ReleaseOption = None,
) -> None:
    """Estimate a frequency set from typings by expectation-maximisation."""
    nomenclature = open_nomenclature(release)
    people, _, rejects = read_people(file, nomenclature, out.with_name(f"{out.name}.rejects.csv"))
    with progress_of("iterations") as progress:
        try:
            found = estimate(
                (typing_of(person.written) for person in people), searched_loci(loci),
                nomenclature, population, tolerance, max_iterations, progress,
            )  # fmt: skip
        except ValueError as error:
            raise InputFileError(f"{file}: {error}") from error
    texts = haplotype_texts(found.frequencies)
    values = map(repr, found.frequencies.frequencies.tolist())
    rows = [(text, population, value) for text, value in zip(texts, values, strict=True)]
    _write_csv(out, [("haplotype", "population", "frequency"), *rows])
    iterations = out.with_name(f"{out.name}.iterations.csv")
    steps = [(i, repr(value)) for i, value in enumerate(found.log_likelihood, 1)]
    _write_csv(iterations, [("iteration", "log_likelihood"), *steps])
    typer.echo(
        f"{len(rows):,} haplotypes from {found.used:,} people after {len(steps)} iterations, log "
        f"likelihood {found.log_likelihood[-1]:.3f}, "
        f"{'converged' if found.converged else 'NOT converged'}, written to {out}"
    )
    for reason, n in sorted(found.left_out.items()):
        typer.echo(f"note: {n:,} people were left out: {reason}", err=True)
    end_with_rejects(rejects)


def _write_csv(path: Path, rows: list[tuple[object, ...]]) -> None:
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
        csv.writer(f).writerows(rows)


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
