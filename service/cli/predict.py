"""graftmatch impute and graftmatch predict."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from data.donor_files import Person
from data.files import replacing
from data.frequency_store import FrequencyFolder
from matching.haplotypes import (
    MOST_LISTED,
    HaplotypePairs,
    Imputer,
    NullImputation,
    Resolution,
)
from service.ancestry import Ancestries, ancestries
from service.cli.common import (
    ReleaseOption,
    end_with_rejects,
    open_nomenclature,
    progress_of,
    read_people,
    settings,
)
from service.imputation import Explanations, ImputedPeople, impute_by_ancestry, notes_on
from service.imputed_tables import genotype_table, pair_table, write_table
from service.prediction import (
    Columns,
    SharedHaplotypes,
    predictions,
    write_predictions,
    write_study,
)

SourceOption = Annotated[
    str,
    typer.Option(
        "--frequencies",
        help="Frequency files with commas between them, demo for the embedded set, or imported.",
    ),
]
PopulationOption = Annotated[
    str | None,
    typer.Option(
        "--population", help="Which one, where there are several, or shares: CAU=0.7,AFA=0.3."
    ),
]
ByAncestryOption = Annotated[
    bool,
    typer.Option(
        "--by-ancestry",
        help="Each person under the population of their ancestry, CAU+AFA half each; "
        "--population for all others.",
    ),
]
NullOption = Annotated[NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")]
ResolutionOption = Annotated[
    Resolution, typer.Option(help="Compare P groups, or two-field names as they stand.")
]
LociOption = Annotated[
    str | None,
    typer.Option(help="Loci, separated by commas; by default those of P(10/10) that are carried."),
]
PrecisionOption = Annotated[
    float,
    typer.Option(min=0, max=0.5, help="Share of a person's mass that may be cut; see `dropped`."),
]
RecombineOption = Annotated[
    bool,
    typer.Option(
        "--recombine",
        help="Put haplotypes together from parts for typings that none of the set explains.",
    ),
]


class OutputForm(Enum):
    """How pairs are written."""

    PARQUET = "parquet"
    WMDA = "wmda"


def impute(
    file: Annotated[Path, typer.Argument(help="People, any format of registry import.")],
    source: SourceOption,
    out: Annotated[Path, typer.Option(help="Parquet or CSV file for the genotypes.")],
    haplotypes: Annotated[
        bool, typer.Option("--haplotypes", help="Haplotype pairs instead of genotypes.")
    ] = False,
    populations: Annotated[
        bool,
        typer.Option("--populations", help="Which population each haplotype of a pair is from."),
    ] = False,
    null_imputation: NullOption = NullImputation.TYPED,
    resolution: ResolutionOption = Resolution.P_GROUP,
    population: PopulationOption = None,
    by_ancestry: ByAncestryOption = False,
    loci: LociOption = None,
    precision: PrecisionOption = 0.0,
    recombine: RecombineOption = False,
    release: ReleaseOption = None,
) -> None:
    """Every genotype, or haplotype pair, that explains a person's typing, with its probability."""
    if haplotypes and recombine:
        raise typer.BadParameter("a recombined haplotype is none of the set; choose one of both")
    if populations and not haplotypes:
        raise typer.BadParameter("--populations needs --haplotypes")
    nomenclature = open_nomenclature(release)
    folder = FrequencyFolder(settings().frequencies)
    under = ancestries(source, population, by_ancestry, loci, folder)
    imputer = Imputer(under.populations.shared, nomenclature, null_imputation, resolution)
    _note_unmapped(imputer)
    people, _, rejects = read_people(file, nomenclature, out.with_name(f"{out.name}.rejects.csv"))
    with progress_of("imputing"):
        found = impute_by_ancestry(imputer, people, under, precision, recombine)
        if haplotypes:
            listed = _pairs(imputer, people, under, found, precision)
            pairs = dict(zip(found.names, listed, strict=True))
            table = pair_table(imputer, pairs, under, found.priors, populations)
        else:
            table = genotype_table(imputer, found)
    write_table(out, table)
    what = "haplotype pairs" if haplotypes else "genotypes"
    typer.echo(f"{len(table):,} {what} of {len(found.names):,} people written to {out}")
    _end(out, under, [("person", found)], rejects)


def predict(
    patients: Annotated[Path, typer.Option(help="Patients, any format of registry import.")],
    donors: Annotated[Path, typer.Option(help="Donors, any format of registry import.")],
    source: SourceOption,
    out: Annotated[Path, typer.Option(help="Parquet file for the pairs.")],
    null_imputation: NullOption = NullImputation.TYPED,
    resolution: ResolutionOption = Resolution.P_GROUP,
    min_probability: Annotated[
        float, typer.Option(min=0, max=1, help="Keep pairs with p10 + p9 + p8 above this.")
    ] = 0.0005,
    population: PopulationOption = None,
    by_ancestry: ByAncestryOption = False,
    loci: LociOption = None,
    full: Annotated[
        bool,
        typer.Option("--full", help="Every number of mismatches, in both directions and by locus."),
    ] = False,
    haplotypes: Annotated[
        bool, typer.Option("--haplotypes", help="Whole haplotypes that both have in common.")
    ] = False,
    form: Annotated[
        OutputForm, typer.Option("--format", help="Parquet, or the lines of the WMDA study.")
    ] = OutputForm.PARQUET,
    precision: PrecisionOption = 0.0,
    recombine: RecombineOption = False,
    release: ReleaseOption = None,
) -> None:
    """Probabilities of 10/10, 9/10 and 8/10 for every patient against every donor."""
    if form is OutputForm.WMDA and (full or haplotypes):
        raise typer.BadParameter("--format wmda has no room for --full or --haplotypes")
    nomenclature = open_nomenclature(release)
    folder = FrequencyFolder(settings().frequencies)
    under = ancestries(source, population, by_ancestry, loci, folder)
    imputer = Imputer(under.populations.shared, nomenclature, null_imputation, resolution)
    _note_unmapped(imputer)
    wanted, _, patient_rejects = read_people(
        patients, nomenclature, out.with_name(f"{out.name}.patients.rejects.csv")
    )
    offered, _, donor_rejects = read_people(
        donors, nomenclature, out.with_name(f"{out.name}.donors.rejects.csv")
    )
    with progress_of("imputing"):
        # Whoever is to be cut is listed.
        most = None if precision else MOST_LISTED
        mine = impute_by_ancestry(imputer, wanted, under, precision, recombine, most)
        theirs = impute_by_ancestry(imputer, offered, under, precision, recombine, most)
    typings = [{person.id: person.written for person in people} for people in (wanted, offered)]
    ours, others = (
        Explanations(imputer, under, written, found)
        for written, found in zip(typings, (mine, theirs), strict=True)
    )
    shared = SharedHaplotypes(ours, others) if haplotypes else None
    with progress_of("patients predicted") as progress:
        results = predictions(ours, others, min_probability, full)
        counted = (progress(found.end) or found for found in results)
        if form is OutputForm.WMDA:
            exact = len(under.populations.labels) == 1 and not recombine
            names = mine.names, theirs.names
            n = write_study(out, counted, names, imputer, (typings[0], typings[1]), exact)
        else:
            cut = [people.imputed.dropped[people.is_listed].any() for people in (mine, theirs)]
            # Of two people whose genotypes are not listed, one may still have to be cut.
            is_cut = any(cut) or not (mine.is_listed.all() or theirs.is_listed.all())
            columns = Columns(imputer.frequencies.loci, full, haplotypes, is_cut, recombine)
            n = write_predictions(out, counted, mine, theirs, columns, shared)
    typer.echo(
        f"{n:,} pairs of {len(mine.names):,} patients and {len(theirs.names):,} donors above "
        f"{min_probability} written to {out}"
    )
    _end(out, under, [("patient", mine), ("donor", theirs)], patient_rejects or donor_rejects)


def _note_unmapped(imputer: Imputer) -> None:
    for name in imputer.unmapped:
        release = imputer.nomenclature.release
        typer.echo(f"note: release {release} cannot read {name} of the set", err=True)


def _pairs(
    imputer: Imputer,
    people: Sequence[Person],
    under: Ancestries,
    found: ImputedPeople,
    precision: float,
) -> list[HaplotypePairs]:
    """The haplotype pairs of those who were imputed, in their order."""
    written = {person.id: person.written for person in people}
    mixtures = {
        prior: under.populations.mixture(dict(prior)) for prior in set(found.priors.values())
    }
    return [
        imputer.pairs(written[name], mixtures[found.priors[name]], precision)
        for name in found.names
    ]


def _end(
    out: Path,
    under: Ancestries,
    groups: Iterable[tuple[str, ImputedPeople]],
    rejects: Path | None,
) -> None:
    """Say who is unknown and what was cut, and end with the exit code of rejects."""
    people = list(groups)
    for line in notes_on(under, (found for _, found in people)):
        typer.echo(f"note: {line}", err=True)
    dropped = [f.imputed.dropped[f.is_listed] for _, f in people]
    worst = max((float(np.max(of_group, initial=0.0)) for of_group in dropped), default=0.0)
    if worst > 0:
        n = sum(int((of_group > 0).sum()) for of_group in dropped)
        typer.echo(
            f"note: of {n:,} people up to {worst:.2g} of the mass was cut; a probability p of "
            "theirs lies in [p, p + dropped]",
            err=True,
        )
    recombined = sum(len(found.recombined) for _, found in people)
    if recombined:
        typer.echo(f"note: {recombined:,} people are explained by recombination only", err=True)
    problems = [(role, *p) for role, found in people for p in found.problems.items()]
    if problems:
        path = out.with_name(out.name + ".unknown.csv")
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as f:
            csv.writer(f).writerows([("role", "id", "reason"), *problems])
        typer.echo(
            f"{len(problems):,} people have no prediction (unknown, not 0): {path}", err=True
        )
    end_with_rejects(rejects)
