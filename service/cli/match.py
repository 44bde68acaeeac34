"""graftmatch match: donors for patients."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from data.donor_files import FACTS, Person
from data.frequency_store import FrequencyFolder
from data.models import active_model
from data.nomenclature import ReferenceFolder
from data.registry import BlankSecond, ReadingOptions
from matching.genotypes import encode
from matching.haplotypes import NullImputation
from matching.pair import PairDetails
from matching.typings import homozygous_where_blank, split_gl, typing_of
from service.allocation import allocate_candidates, with_allocation
from service.cli.common import (
    BandsOption,
    BlankSecondOption,
    RankOption,
    RegistryOption,
    ReleaseOption,
    StrictOption,
    console,
    end_with_rejects,
    open_index,
    open_nomenclature,
    open_registry,
    parse_day,
    progress_of,
    rank_rule,
    read_people,
    searched_loci,
    settings,
)
from service.details import detail_columns
from service.results import (
    FORMATS,
    print_donors,
    print_patients,
    result_table,
    write_results,
)
from service.search import SearchSettings, notes_of, search_people


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
        int, typer.Option(min=0, max=18, help="Most mismatches in the best case.")
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
    ranked_by: RankOption = None,
    bands: BandsOption = None,
    null_imputation: Annotated[
        NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")
    ] = NullImputation.TYPED,
    details: Annotated[
        bool,
        typer.Option("--details", help="Add grades, residues, leaders and expression to a file."),
    ] = False,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    strict: StrictOption = False,
    blank_second: BlankSecondOption = BlankSecond.REFUSE,
) -> None:
    """Find, compare and rank donors for one patient or a file of patients."""
    if (patient is None) == (patients is None):
        raise typer.BadParameter("give either --patient 'GL' or --patients FILE")
    searched = searched_loci(loci)
    chosen = _format(form, out)
    day = parse_day(as_of)
    rule = rank_rule(ranked_by, bands)
    nomenclature = open_nomenclature(release)
    store = open_registry(folder)
    index = open_index(store, nomenclature)
    if patient is not None:
        written = split_gl(patient)
        if blank_second is BlankSecond.HOMOZYGOUS:
            written = homozygous_where_blank(written)
        encode(typing_of(written), replace(nomenclature, strict=strict))
        people, rejects_file = [Person("patient", dict.fromkeys(FACTS), written)], None
    else:
        assert patients is not None
        beside = out or patients
        rejects = beside.with_name(f"{beside.name}.rejects.csv")
        options = ReadingOptions(strict, blank_second)
        people, rejects_file = read_people(patients, nomenclature, rejects, options)
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    with progress_of("patients searched") as progress:
        results = search_people(
            people,
            nomenclature,
            proteins,
            store,
            index,
            FrequencyFolder(settings().frequencies).active_for(nomenclature.release),
            active_model(settings().models),
            SearchSettings(searched, max_mismatches, day, null_imputation, rule),
            progress,
        )
    for note in notes_of(results.matches):
        typer.echo(note, err=True)
    if chosen == "table" and patient is not None:
        print_donors(console(), results, limit)
    elif chosen == "table":
        allocation = allocate_candidates(result_table(results, {}), list(results.matches))
        print_patients(console(), results, allocation.table, limit)
    else:
        donors = {i for m in results.matches.values() for i in index.ids(m.candidates.rows)}
        donor_typings = store.typings(sorted(donors))
        table = result_table(results, donor_typings)
        if details:
            columns = detail_columns(
                results,
                {person.id: typing_of(person.written) for person in people},
                donor_typings,
                PairDetails(nomenclature, proteins),
            )
            table = pd.concat([table, columns], axis="columns")
        if patients is not None:
            allocation = allocate_candidates(table, list(results.matches))
            table = with_allocation(table, allocation)
        write_results(results, table, chosen, out or sys.stdout)
        if out is not None:
            typer.echo(f"{len(table):,} donors for {len(people):,} patients written to {out}")
    end_with_rejects(rejects_file)


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
