"""graftmatch frequencies and graftmatch predict."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated

import typer

from data.files import replacing
from data.frequencies import read_frequencies
from data.frequency_store import FrequencyCard, FrequencyFolder, choose_population
from matching.haplotypes import NullImputation, Resolution
from matching.typings import typing_of
from service.cli.common import (
    ReleaseOption,
    end_with_rejects,
    open_nomenclature,
    progress_of,
    read_people,
    settings,
)
from service.prediction import FIVE, impute_people, imputer_of, predictions, write_predictions

frequencies = typer.Typer(no_args_is_help=True, help="Haplotype frequency sets.")
PopulationOption = Annotated[
    str | None, typer.Option("--population", help="Which one, where a file holds several.")
]


@frequencies.command("import")
def frequencies_import(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet of haplotypes and frequencies.")],
    population: PopulationOption = None,
    name: Annotated[str | None, typer.Option(help="Name; by default the population.")] = None,
) -> None:
    """Store a frequency set and put it in use."""
    folder = FrequencyFolder(settings().frequencies)
    _print_card(folder.import_file(file, population, name, FIVE))


@frequencies.command("show")
def frequencies_show() -> None:
    """Show the imported sets and the one in use."""
    cards = FrequencyFolder(settings().frequencies).cards()
    for card in cards:
        _print_card(card)
    if not cards:
        typer.echo("no frequency set is imported; run: graftmatch frequencies import FILE")


def _print_card(card: FrequencyCard) -> None:
    typer.echo(
        f"{'* ' if card.active else '  '}{card.name}: population {card.population}, "
        f"{card.n_haplotypes:,} haplotypes over {'~'.join(card.loci)}, sum {card.total:.6f}, "
        f"from {card.source} (sha256 {card.sha256[:8]})"
    )


def predict(
    patients: Annotated[Path, typer.Option(help="Patients, any format of registry import.")],
    donors: Annotated[Path, typer.Option(help="Donors, any format of registry import.")],
    source: Annotated[
        str, typer.Option("--frequencies", help="Frequency file, or demo for the embedded set.")
    ],
    out: Annotated[Path, typer.Option(help="Parquet file for the pairs.")],
    null_imputation: Annotated[
        NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")
    ] = NullImputation.TYPED,
    resolution: Annotated[
        Resolution, typer.Option(help="Compare P groups, or two-field names as they stand.")
    ] = Resolution.P_GROUP,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, help="Keep pairs with p10 + p9 + p8 above this.")
    ] = 0.0005,
    population: PopulationOption = None,
    release: ReleaseOption = None,
) -> None:
    """Probabilities of 10/10, 9/10 and 8/10 for every patient against every donor."""
    nomenclature = open_nomenclature(release)
    chosen = choose_population(source, read_frequencies(source), population)
    imputer = imputer_of(chosen, nomenclature, null_imputation, resolution)
    for name in imputer.unmapped:
        typer.echo(f"note: release {nomenclature.release} cannot read {name} of the set", err=True)
    patient_people, patient_rejects = read_people(
        patients, nomenclature, out.with_name(f"{out.name}.patients.rejects.csv")
    )
    donor_people, donor_rejects = read_people(
        donors, nomenclature, out.with_name(f"{out.name}.donors.rejects.csv")
    )
    patient_typings = {p.id: typing_of(p.written) for p in patient_people}
    donor_typings = {p.id: typing_of(p.written) for p in donor_people}
    with progress_of("imputing"):
        patient_names, _, patient_problems = impute_people(imputer, patient_typings)
        donor_names, imputed, donor_problems = impute_people(imputer, donor_typings)
    kept = {name: patient_typings[name] for name in patient_names}
    with progress_of("patients predicted") as progress:
        results = predictions(imputer, kept, imputed, min_probability)
        counted = ((p, progress(i) or found) for i, (p, found) in enumerate(results, 1))
        pairs = write_predictions(out, counted, donor_names)
    typer.echo(
        f"{pairs:,} pairs of {len(patient_names):,} patients and {len(donor_names):,} donors above "
        f"{min_probability} written to {out}"
    )
    problems = [("patient", *p) for p in patient_problems.items()]
    problems += [("donor", *p) for p in donor_problems.items()]
    if problems:
        path = out.with_name(out.name + ".unknown.csv")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            csv.writer(f).writerows([("role", "id", "reason"), *problems])
        typer.echo(
            f"{len(problems):,} people have no prediction (unknown, not 0): {path}", err=True
        )
    end_with_rejects(patient_rejects or donor_rejects)
