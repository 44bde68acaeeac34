"""graftmatch crossmatch: donors against a patient's antibodies."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from data.donor_files import Person
from matching.antibodies import Profile, registry_answers
from matching.haplotypes import NullImputation
from matching.typings import split_gl
from service.antibodies import best_rows, crossmatched, own_types
from service.antibody_tables import (
    FORMATS,
    PatientCrossmatch,
    print_crossmatches,
    write_crossmatches,
)
from service.cli.antibodies import (
    DEFAULT_MFI,
    CumulativeOption,
    MfiOption,
    cut_offs_of,
    read_reports,
)
from service.cli.common import (
    ReleaseOption,
    console,
    end_with_rejects,
    open_nomenclature,
    read_people,
)
from service.cli.searching import open_index, search_sets
from service.cli.store import RegistryOption, open_registry


def crossmatch(
    antibodies: Annotated[
        Path,
        typer.Option(help="CSV of an antibody report, or a list of unacceptable antigens."),
    ],
    patients: Annotated[
        Path | None, typer.Argument(help="The patients' typings, for antibodies against these.")
    ] = None,
    donors: Annotated[
        Path | None, typer.Option(help="Donors in a file; by default those of the registry.")
    ] = None,
    mfi_cut_off: MfiOption = DEFAULT_MFI,
    cumulative_mfi: CumulativeOption = None,
    form: Annotated[
        str | None, typer.Option("--format", help="table, csv or json; by default as --out ends.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the results.")] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Most donors on screen, and most of a registry.")
    ] = 20,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
) -> None:
    """Virtual crossmatch: positive, tested negative or not assessable, with the evidence."""
    chosen = form or (out.suffix.removeprefix(".").lower() if out else "table")
    if chosen not in FORMATS or (chosen == "table" and out is not None):
        raise typer.BadParameter("give table (without --out), csv or json", param_hint="--format")
    cut_offs = cut_offs_of(mfi_cut_off, cumulative_mfi)
    nomenclature = open_nomenclature(release)
    reports, rejects = read_reports(antibodies, nomenclature, cut_offs)
    sets = search_sets(nomenclature, NullImputation.TYPED)
    people: list[Person] = []
    if patients is not None:
        beside = patients.with_name(f"{patients.name}.rejects.csv")
        people, rejected, patient_rejects = read_people(patients, nomenclature, beside)
        rejects = rejects or patient_rejects
        profiles = reports.of([person.id for person in people], rejected)
    else:
        profiles = dict(reports.profiles)
    own = own_types(people, profiles)
    if donors is not None:
        beside = donors.with_name(f"{donors.name}.rejects.csv")
        donor_people, _, donor_rejects = read_people(donors, nomenclature, beside)
        rejects = rejects or donor_rejects
    else:
        store = open_registry(folder)
        index = open_index(store, nomenclature)

    def of_registry(patient: str, profile: Profile) -> PatientCrossmatch:
        answers = registry_answers(index.donors, profile)
        rows = best_rows(index, answers, limit)
        names = index.ids(rows)
        typings = store.typings(names)
        facts = index.facts(rows).to_dict(orient="records")
        shown = [
            Person(name, {str(k): v for k, v in fact.items()}, split_gl(typings.get(name, "")))
            for name, fact in zip(names, facts, strict=True)
        ]
        found = crossmatched(shown, profile, sets)
        return PatientCrossmatch(patient, found, own.get(patient, ()), profile.notes, answers)

    found = []
    for patient, profile in profiles.items():
        if donors is None:
            found.append(of_registry(patient, profile))
        else:
            listed = crossmatched(donor_people, profile, sets)
            found.append(PatientCrossmatch(patient, listed, own.get(patient, ()), profile.notes))
    for one in found:
        for line in (*one.own_type, *one.notes):
            typer.echo(f"{one.patient or 'report'}: {line}", err=True)
    if chosen == "table":
        print_crossmatches(console(), found, cut_offs, nomenclature.release, limit)
    else:
        n_rejected = len(reports.rejects)
        target = out or sys.stdout
        write_crossmatches(found, cut_offs, nomenclature.release, n_rejected, chosen, target)
        if out is not None:
            n = sum(len(one.donors) for one in found)
            typer.echo(f"{n:,} crossmatches of {len(found):,} patients written to {out}")
    end_with_rejects(rejects)
