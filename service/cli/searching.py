"""What the commands that search share: the registry, its index, the search, the order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from data.donor_files import Person
from data.frequency_store import FrequencyFolder
from data.index import StoredIndex
from data.models import active_model
from data.nomenclature import ReferenceFolder
from data.registry import Registry
from matching.haplotypes import NullImputation
from matching.nomenclature import Nomenclature
from matching.rank import DEFAULT_KEYS, RankRule, parse_rule
from service.cli.common import progress_of, settings
from service.frequency_sets import SearchSets
from service.results import SearchResults
from service.search import AntibodyUse, DonorSearch, SearchSettings, notes_of, search_people

RankOption = Annotated[
    str | None,
    typer.Option(
        "--rank",
        help="Keys that donors are ordered by, separated by commas, or a .toml file of a rule; "
        f"by default {','.join(DEFAULT_KEYS)}.",
    ),
]
BandsOption = Annotated[
    str | None,
    typer.Option("--bands", help="Lower bounds of the bands of P in percent, such as 99,95,75."),
]


def open_index(store: Registry, nomenclature: Nomenclature) -> StoredIndex:
    """The index of a registry; says on stderr who is not in it."""
    index = store.index(nomenclature)
    tell_unreadable(index)
    return index


def tell_unreadable(index: StoredIndex) -> None:
    if index.n_unreadable:
        typer.echo(
            f"{index.n_unreadable:,} donors cannot be read under release "
            f"{index.nomenclature.release} and are not searched: {index.unreadable}",
            err=True,
        )


def search_sets(nomenclature: Nomenclature, nulls: NullImputation) -> SearchSets | None:
    """The frequency sets of searches, None where none is in use."""
    return SearchSets.load(FrequencyFolder(settings().frequencies), nomenclature, nulls)


def open_search(
    nomenclature: Nomenclature, store: Registry, index: StoredIndex, nulls: NullImputation
) -> DonorSearch:
    """All that searches need, with the frequency sets in use."""
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    return DonorSearch.of(nomenclature, proteins, store, index, search_sets(nomenclature, nulls))


def run_search(
    people: Sequence[Person],
    nomenclature: Nomenclature,
    store: Registry,
    index: StoredIndex,
    wanted: SearchSettings,
    antibodies: Mapping[str, AntibodyUse] | None = None,
) -> SearchResults:
    """Search with the frequency sets and the model in use; notes of typings go to stderr."""
    with progress_of(f"of {len(people):,} patients searched") as progress:
        search = open_search(nomenclature, store, index, wanted.nulls)
        model = active_model(settings().models)
        results = search_people(*(people, search, model, wanted, progress), antibodies=antibodies)
    for note in notes_of(results.matches):
        typer.echo(note, err=True)
    return results


def rank_rule(keys: str | None, bands: str | None) -> RankRule:
    """The rule of `--rank` (keys, or a TOML file) and `--bands`."""
    try:
        rule = RankRule()
        if keys is not None and keys.endswith(".toml"):
            rule = parse_rule(Path(keys).read_text(encoding="utf-8"))
        elif keys is not None:
            rule = RankRule(tuple(key.strip() for key in keys.split(",")))
        if bands is not None:
            rule = replace(rule, bands=tuple(float(band) for band in bands.split(",")))
        return rule
    except (OSError, ValueError) as error:
        raise typer.BadParameter(str(error), param_hint="--rank or --bands") from error
