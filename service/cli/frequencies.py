"""graftmatch frequencies and graftmatch predict."""

from __future__ import annotations

import csv
import datetime
from pathlib import Path
from typing import Annotated

import typer

from data.files import replacing
from data.frequencies import read_frequencies
from data.frequency_store import FrequencyCard, FrequencyFolder, choose_population
from matching.errors import ReleaseNotInstalledError
from matching.haplotypes import NullImputation, Resolution
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
    with progress_of("imputing"):
        wanted = {person.id: person.written for person in patient_people}
        patient_names, patients_imputed, patient_problems = impute_people(imputer, wanted)
        offered = {person.id: person.written for person in donor_people}
        donor_names, imputed, donor_problems = impute_people(imputer, offered)
    with progress_of("patients predicted") as progress:
        results = predictions(imputer, (patient_names, patients_imputed), imputed, min_probability)
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
