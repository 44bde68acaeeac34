"""graftmatch allocate: one plan for all patients, and its options."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated

import typer

from matching.allocate import Effort, Objectives, Points
from matching.errors import InputFileError
from service.allocation import (
    AllocationSettings,
    allocate_candidates,
    allocation_line,
    read_candidates,
    write_allocation,
)
from service.cli.common import parse_day
from service.recipients import NO_CAPACITIES, read_capacities, read_recipients

RecipientsOption = Annotated[
    Path | None,
    typer.Option(
        "--recipients",
        help="CSV: patient, urgency, centre, laboratory, deadline, ancestry, previous, "
        "previous_second.",
    ),
]
CapacitiesOption = Annotated[
    Path | None,
    typer.Option("--capacities", help="CSV: kind (centre, laboratory, registry), name, most."),
]
WeeksOption = Annotated[int, typer.Option("--weeks", min=1, help="Length of the plan in weeks.")]
GiveUpOption = Annotated[
    str,
    typer.Option("--give-up", help="Shares of recipients and of utility left to what comes after."),
]
FairnessOption = Annotated[
    float | None,
    typer.Option("--fairness", help="Serve ancestry groups alike, and give up this share of that."),
]
PointsOption = Annotated[
    str, typer.Option("--points", help="Weights of the utility, such as p10=1000,risk=2000.")
]
WorkOption = Annotated[
    float, typer.Option("--work", min=0, help="Most work of a search of a plan, about seconds.")
]


def allocate(
    candidates: Annotated[Path, typer.Argument(help="Parquet of match --patients or of batch.")],
    out: Annotated[Path, typer.Option(help="Parquet file for the allocation.")],
    recipients: RecipientsOption = None,
    capacities: CapacitiesOption = None,
    weeks: WeeksOption = 4,
    give_up: GiveUpOption = "0.01,0.01",
    fairness: FairnessOption = None,
    points: PointsOption = "",
    one_more: Annotated[
        list[str] | None, typer.Option(help="What a second donor like this one would be worth.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day from which deadlines count; by default today.")
    ] = None,
    work: WorkOption = 10,
    threads: Annotated[int, typer.Option(min=1, help="Components searched at a time.")] = 2,
) -> None:
    """One plan for all patients: most served, then most utility, then least change."""
    table = read_candidates(candidates)
    patients = list(dict.fromkeys(table["patient"]))
    wanted = allocation_settings(capacities, weeks, give_up, fairness, points, work, threads)
    known = None if recipients is None else read_recipients(recipients, patients, parse_day(as_of))
    if unknown := sorted({*(one_more or [])} - {*table.get("donor", ())}):
        raise InputFileError(
            f"donor {unknown[0]!r} is no candidate of any patient; name one that is"
        )
    allocation = allocate_candidates(table, patients, known, wanted)
    write_allocation(allocation, out)
    typer.echo(f"{allocation_line(allocation)}; written to {out}")
    for level in allocation.solution.levels:
        typer.echo(
            f"{level.objective.value}: {level.reached:,}; best {level.best:,}, bound "
            f"{level.bound:,}, gap {100 * level.gap:.2f} %, floor {level.least:,}"
        )
    for donor in one_more or []:
        more = allocation.one_more_like(donor)
        gains = [
            f"{after.objective.value} {after.best - before.best:+,}"
            for before, after in zip(allocation.solution.levels, more.levels, strict=True)
        ]
        typer.echo(f"one more donor like {donor}: {', '.join(gains)}")


def allocation_settings(
    capacities: Path | None,
    weeks: int,
    give_up: str,
    fairness: float | None,
    points: str,
    work: float,
    threads: int,
) -> AllocationSettings:
    """What the options ask for. Raises `InputFileError` and `AllocationError`."""
    return AllocationSettings(
        Objectives(*_shares(give_up), fairness),
        _points(points),
        Effort(work=work, threads=threads),
        NO_CAPACITIES if capacities is None else read_capacities(capacities),
        weeks,
    )


def _shares(text: str) -> tuple[float, float]:
    try:
        recipients, utility = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not two numbers such as 0.01,0.01", param_hint="--give-up"
        ) from error
    return recipients, utility


def _points(text: str) -> Points:
    given = {}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        if name not in {field.name for field in fields(Points)} or not value.isdecimal():
            names = ", ".join(field.name for field in fields(Points))
            raise typer.BadParameter(
                f"{part!r} is not name=points with a name of {names}", param_hint="--points"
            )
        given[name] = int(value)
    return Points(**given)
