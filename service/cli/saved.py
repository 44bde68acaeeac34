"""Saved searches of graftmatch match: --save, --repeat, --saved and --forget."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from data.donor_files import Person
from data.files import replacing
from data.nomenclature import ReferenceFolder
from data.saved_searches import SavedFolder, SavedSearch
from matching.errors import InputFileError
from matching.typings import split_gl, typing_of
from service.antibodies import ReportReader
from service.cli.common import console, open_nomenclature, settings
from service.cli.searching import open_index, run_search
from service.cli.store import open_registry
from service.repeat import (
    KINDS,
    NO_HISTORY,
    Difference,
    antibodies_of,
    antibody_notes,
    differences,
    history_since,
    provenance_notes,
    run_of,
    settings_of,
    stored_settings,
)
from service.results import SearchResults
from service.search import AntibodyUse, SearchSettings


def searches() -> SavedFolder:
    return SavedFolder(settings().searches)


def list_searches() -> None:
    for name in searches().names():
        typer.echo(name)


def forget_search(name: str) -> None:
    searches().remove(name)
    typer.echo(f"{name} removed")


def save_search(
    name: str,
    person: Person,
    wanted: SearchSettings,
    release: str | None,
    registry: str | None,
    results: SearchResults,
    antibodies: AntibodyUse | None,
) -> None:
    """Keep a search and what it found."""
    run = run_of(results, person.id, antibodies)
    stored = stored_settings(wanted, release, kept_location(registry), antibodies)
    text = typing_of(person.written).text
    searches().write(name, SavedSearch(text, dict(person.facts), stored, run))
    typer.echo(f"saved as {name}: {len(run.donors):,} donors", err=True)


def kept_location(registry: str | None) -> str | None:
    """A folder for good; "" for an address, which may hold a password, and None for the default."""
    if registry is None:
        return None
    return "" if "://" in registry else str(Path(registry).resolve())


def repeat_search(
    name: str,
    form: str,
    out: Path | None,
    as_of: datetime.date,
    limit: int,
    registry: str | None = None,
) -> None:
    """Run a saved search again, say what differs from its last run, and keep this one."""
    if form not in ("table", "json"):
        raise typer.BadParameter("--repeat answers as table or json", param_hint="--format")
    saved = searches().read(name)
    wanted = settings_of(name, saved, as_of)
    release = saved.settings.get("release")
    registry = saved.settings.get("registry") if registry is None else registry
    if registry == "":
        raise InputFileError(
            f"the registry of {name} was given by its address, which is not kept; give --registry"
        )
    nomenclature = open_nomenclature(release)
    store = open_registry(registry)
    index = open_index(store, nomenclature)
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    use = antibodies_of(name, saved, ReportReader.of(nomenclature, proteins))
    person = Person("patient", saved.facts, split_gl(saved.patient))
    reports = None if use is None else {person.id: use}
    results = run_search([person], nomenclature, store, index, wanted, reports)
    run = run_of(results, person.id, use)
    history = history_since(store, saved.last)
    found = differences(saved.last, run, history or {})
    counts = {kind: sum(one.kind == kind for one in found) for kind in KINDS}
    notes = provenance_notes(saved.last, run)
    if use is not None:
        notes += antibody_notes(typing_of(person.written), use, len(results.excluded[person.id]))
    if history is None:
        notes.append(NO_HISTORY)
    if form == "json":
        answer = {
            "search": name,
            "since": saved.last.as_of,
            "as_of": run.as_of,
            "found": len(run.donors),
            **counts,
            "notes": notes,
            "donors": [one._asdict() for one in found],
        }
        _write(json.dumps(answer, indent=1), out)
    else:
        _print(console(), name, found[:limit], counts, saved.last.as_of)
        if len(found) > limit:
            typer.echo(
                f"{limit} of {len(found):,} shown: --limit N for more, --format json for all"
            )
        for note in notes:
            typer.echo(f"note: {note}")
    searches().write(name, SavedSearch(saved.patient, saved.facts, saved.settings, run))


def _print(
    screen: Console, name: str, found: list[Difference], counts: dict[str, int], since: str
) -> None:
    summary = ", ".join(f"{counts[kind]:,} {kind}" for kind in KINDS)
    typer.echo(f"{name} since {since}: {summary}")
    if not found:
        return
    table = Table()
    for column in ("", "#", "donor", "why"):
        table.add_column(column)
    for one in found:
        rank = "" if one.rank is None else str(one.rank)
        table.add_row(one.kind, rank, one.donor, "; ".join(one.reasons))
    screen.print(table)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text)
        return
    with replacing(out) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
