"""One list of several types of donors, as options of the commands that search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from data.donor_files import Person
from data.family import read_family
from data.models import active_model
from data.nomenclature import ReferenceFolder
from matching.cord import CordRule
from matching.errors import InputFileError
from matching.family import HaploidenticalRule, parse_haploidentical_rule
from matching.nomenclature import Nomenclature
from matching.rank import RankRule
from service.cli.antibodies import ReportedAntibodies
from service.cli.common import progress_of, settings
from service.cli.cord import Listed
from service.cli.searching import rank_rule
from service.criteria import criteria_json
from service.details import Detailed
from service.relatives import RELATED, Families
from service.search import DonorSearch, SearchSettings
from service.strata import STRATA, Asked, search_strata, strata_settings
from service.strata_tables import print_strata, strata_document, strata_table

StrataOption = Annotated[
    str | None,
    typer.Option(
        "--strata",
        help=f"One list of several types of donors in this order, of {', '.join(STRATA)}.",
    ),
]
FamilyOption = Annotated[
    Path | None,
    typer.Option(
        "--family", help="With relatives in --strata: file of graftmatch family, with the patients."
    ),
]


def family_rule(path: Path) -> HaploidenticalRule:
    """The rule of a TOML file. Raises `InputFileError`."""
    try:
        return parse_haploidentical_rule(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputFileError(f"{path}: {error}") from error


def strata_of(
    text: str,
    family: Path | None,
    wanted: SearchSettings,
    rule: CordRule | None,
    ranked_by: str | None,
    bands: str | None,
    antibodies: bool,
) -> dict[str, Asked]:
    """What each stratum of `--strata` asks, in their order; `--rank` is of adults, or names strata:
    `adult=p10,risk;cord=tnc;related=class,age`."""
    names = [name.strip() for name in text.split(",")]
    if (family is not None) is not bool(RELATED.keys() & set(names)):
        raise typer.BadParameter(
            "relatives in --strata need --family FILE, and this needs relatives in --strata",
            param_hint="--family",
        )
    try:
        orders = {name: _order(name, keys, bands) for name, keys in _by_stratum(ranked_by).items()}
        return strata_settings(names, wanted, rule or CordRule.SIX, orders, antibodies)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--strata or --rank") from error


def _by_stratum(ranked_by: str | None) -> dict[str, str]:
    if ranked_by is None:
        return {}
    if "=" not in ranked_by:
        return {"adult": ranked_by}
    found: dict[str, str] = {}
    for part in ranked_by.split(";"):
        name, separator, keys = (piece.strip() for piece in part.partition("="))
        if not separator or name not in STRATA or name in found:
            raise ValueError(f"{part!r} is no STRATUM=KEYS of {', '.join(STRATA)}, each once")
        found[name] = keys
    return found


def _order(name: str, keys: str, bands: str | None) -> RankRule | HaploidenticalRule:
    if name not in RELATED:
        return rank_rule(keys, bands)
    if keys.endswith(".toml"):
        return family_rule(Path(keys))
    return HaploidenticalRule(tuple(key.strip() for key in keys.split(",")))


def families_of(
    path: Path,
    people: Sequence[Person],
    nomenclature: Nomenclature,
    wanted: SearchSettings,
) -> Families:
    """The families of the patients of a search. Raises `InputFileError`."""
    read = read_family(path, nomenclature)
    for note in read.notes:
        typer.echo(note, err=True)
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    loci = tuple(wanted.criteria.loci)
    found = Families.of(people, read.pedigree, nomenclature, proteins, loci, wanted.as_of)
    for name in found.unrelated:
        typer.echo(f"{name} is related to no patient and left out", err=True)
    return found


def listed(
    people: Sequence[Person],
    search: DonorSearch,
    wanted: SearchSettings,
    asked: Mapping[str, Asked],
    reported: ReportedAntibodies | None,
    families: Families | None,
    detailed: Detailed | None,
    limit: int,
) -> Listed:
    """Donors of several types, stratum by stratum."""
    reports = {} if reported is None else reported.use
    model = active_model(settings().models)
    with progress_of(f"of {len(people):,} patients searched") as progress:
        found = search_strata(
            *(people, search, model, asked, progress), antibodies=reports, families=families
        )
    for patient, lines in found.notes.items():
        for line in lines:
            typer.echo(f"patient {patient}: {line}", err=True)
    stated = None
    if reported is not None:
        left_out = {
            patient: [name for stratum in asked for name in found.excluded(stratum, patient)]
            for patient in found.patients
        }
        stated = reported.stated(search.index.donors, left_out)
    sets = None if reported is None else reported.sets

    def typings(most: int | None) -> dict[str, str]:
        rows = [
            matches.candidates.rows[:most]
            for results in found.registry.values()
            for matches in results.matches.values()
        ]
        return search.registry.typings(sorted({i for r in rows for i in search.index.ids(r)}))

    @cache
    def table() -> pd.DataFrame:
        return strata_table(found, typings(None), sets, detailed)

    provenance = {
        "release": search.nomenclature.release,
        "index": search.index.version,
        **criteria_json(wanted.criteria, wanted.donors),
        "as_of": wanted.as_of.isoformat(),
        "strata": {
            name: {"rank_keys": list(one.keys)}
            if isinstance(one, HaploidenticalRule)
            else found.registry[name].provenance
            for name, one in asked.items()
        },
        "compared_risk": found.outcome,
        **({} if stated is None else {"antibodies": stated}),
    }
    return Listed(
        table,
        provenance,
        lambda: strata_document(found, table(), stated),
        lambda screen: print_strata(screen, found, limit, typings(limit), sets),
    )
