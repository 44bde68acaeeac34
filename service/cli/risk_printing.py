"""What `graftmatch risk` prints: evaluations, one prediction, the choice between donors."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import typer
from rich.table import Table

from matching.fit import MEASURES, Evaluation
from service.cli.common import console


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=1, allow_nan=False))


def shown(value: Any) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def print_evaluation(found: Evaluation, prefix: str = "") -> None:
    table = Table(
        title=f"{prefix}{found.outcome}, day {found.horizon_days:.0f}: {found.n:,} patients, "
        f"{found.n_events:,} events, {found.n_competing:,} competing, {found.n_censored:,} censored"
        f" ({found.how})"
    )
    table.add_column("measure")
    for name in ("estimate", "95 % low", "95 % high"):
        table.add_column(name, justify="right")
    for measure in MEASURES:
        table.add_row(measure, *map(shown, (found[measure], *found.interval(measure))))
    console().print(table)
    for level, count in found.unseen.items():
        typer.echo(f"{count:,} patients with {level}, which the model never saw: averaged over")
    low, high = found.interval("auc")
    if low <= 0.5 <= high:
        typer.echo("the interval of the AUC holds 0.5: nothing is shown by this file")
    elif high < 0.5:
        typer.echo(
            "the AUC is below 0.5: nothing is shown by this file; so it is where centres are few, "
            "and the mean of the others is all that is predicted"
        )


def print_single(document: dict[str, Any]) -> None:
    for name, answer in document["outcomes"].items():
        if not answer["applicable"]:
            typer.echo(f"{name}: not applicable")
            continue
        table = Table(
            title=f"{name} by day {answer['horizon_days']:.0f}: "
            f"{100 * answer['probability']:.0f} % "
            f"(95 % {100 * answer['low']:.0f} to {100 * answer['high']:.0f} %)"
        )
        for column in ("factor", "log-odds", "note"):
            table.add_column(column)
        for row in answer["factors"]:
            table.add_row(row["factor"], f"{row['log_odds']:+.2f}", row["note"])
        console().print(table)
    typer.echo(f"model {document['model']}; decision support, not a medical device")


def print_choice(document: dict[str, Any]) -> None:
    columns = ("donor", "outcome", "risk", "95 %", "to the best", "95 %", "note")
    for patient in document["patients"]:
        table = Table(title=f"patient {patient['patient']}")
        for column in columns:
            table.add_column(column)
        for donor in patient["donors"]:
            for name, answer in donor["outcomes"].items():
                if not answer["applicable"]:
                    table.add_row(donor["donor"], name, "not applicable")
                    continue
                notes = [f"{r['factor']}: {r['note']}" for r in answer["factors"] if r["note"]]
                table.add_row(
                    donor["donor"],
                    name,
                    _percent(answer["probability"]),
                    _limits(answer["low"], answer["high"]),
                    "best" if answer["best"] else _percent(answer["difference"]),
                    _limits(answer["difference_low"], answer["difference_high"]),
                    "; ".join(notes),
                )
        console().print(table)
    for note in document["unseen"]:
        typer.echo(note)
    typer.echo(f"model {document['model']}; decision support, not a medical device")


def _limits(low: float | None, high: float | None) -> str:
    return f"{_percent(low)} to {_percent(high)}"
