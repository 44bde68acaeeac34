"""graftmatch family: the relatives of a patient as donors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from data.family import read_family
from data.files import replacing
from data.frequency_store import FrequencyFolder
from data.nomenclature import ReferenceFolder
from matching.family import FounderFrequencies, HaploidenticalRule, analyse
from service.ancestry import ancestries
from service.cli.common import (
    ReleaseOption,
    StrictOption,
    console,
    open_nomenclature,
    parse_day,
    searched_loci,
    settings,
)
from service.cli.strata import family_rule
from service.family import family_json, family_result, print_family, relatives_table
from service.family_page import family_page


def family(
    file: Annotated[Path, typer.Argument(help="CSV: id, father, mother, sex, birth_date, typing.")],
    patient: Annotated[str, typer.Option(help="Identifier of the patient in the file.")],
    loci: Annotated[str, typer.Option(help="Loci that classes and mismatches run over.")] = (
        "A,B,C,DRB1,DQB1"
    ),
    source: Annotated[
        str | None,
        typer.Option(
            "--frequencies",
            help="Frequency files with commas between them, demo, or imported, to weigh what the "
            "family leaves open; by default equal weights.",
        ),
    ] = None,
    population: Annotated[
        str | None,
        typer.Option(help="Which one, where there are several, or shares: CAU=0.7,AFA=0.3."),
    ] = None,
    rule: Annotated[
        Path | None, typer.Option(help="TOML: keys, age_step_years, dpb1_order.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File for the result: .csv or .json.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="File for the pedigree with its haplotypes: .html.")
    ] = None,
    as_of: Annotated[str | None, typer.Option(help="Day for ages; today by default.")] = None,
    release: ReleaseOption = None,
    strict: StrictOption = False,
) -> None:
    """Haplotypes of a family, refined typings, and each relative as a donor for the patient."""
    if out is not None and out.suffix not in (".csv", ".json"):
        raise typer.BadParameter(f"{out} ends neither in .csv nor in .json", param_hint="--out")
    if picture is not None and picture.suffix != ".html":
        raise typer.BadParameter(f"{picture} does not end in .html", param_hint="--picture")
    compared, day = searched_loci(loci), parse_day(as_of)
    nomenclature = open_nomenclature(release, strict)
    read = read_family(file, nomenclature)
    for note in read.notes:
        typer.echo(note, err=True)
    frequencies, label = None, ""
    if source is not None:
        folder = FrequencyFolder(settings().frequencies)
        under = ancestries(source, population, False, None, folder)
        populations = under.populations
        mixture = populations.mixture(dict(under.default))
        frequencies = FounderFrequencies(populations.shared, mixture, nomenclature)
        label = "+".join(f"{name}={share:g}" for name, share in under.default)
    found = analyse(read.pedigree, patient, nomenclature, compared, frequencies)
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    order = HaploidenticalRule() if rule is None else family_rule(rule)
    result = family_result(found, order, nomenclature, proteins, day, label)
    print_family(console(), result)
    if out is not None:
        with replacing(out) as temporary:
            if out.suffix == ".csv":
                relatives_table(result).to_csv(temporary, index=False, lineterminator="\n")
            else:
                text = json.dumps(family_json(result), indent=1, ensure_ascii=False)
                temporary.write_text(f"{text}\n", encoding="utf-8")
        typer.echo(f"written to {out}")
    if picture is not None:
        with replacing(picture) as temporary:
            temporary.write_text(family_page(result), encoding="utf-8")
        typer.echo(f"pedigree drawn in {picture}")
