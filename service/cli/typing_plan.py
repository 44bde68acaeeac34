"""graftmatch typing-plan: which donors to ask for confirmatory typing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
import typer

from data.files import replacing
from matching.errors import InputFileError
from service.cli.common import parse_day
from service.recipients import read_recipients
from service.typing_plan import plan_requests, read_rates


def typing_plan(
    candidates: Annotated[Path, typer.Argument(help="Parquet of match or of batch.")],
    out: Annotated[Path, typer.Option(help="CSV file for the requests.")],
    budget: Annotated[int, typer.Option(min=0, help="Most requests in all.")],
    patient: Annotated[str | None, typer.Option(help="Plan for this patient only.")] = None,
    per_patient: Annotated[
        int | None, typer.Option(min=0, help="Most requests for a patient.")
    ] = None,
    nine: Annotated[
        float, typer.Option(help="What an available 9/10 donor counts without a 10/10 one, 0 to 1.")
    ] = 0.0,
    availability: Annotated[
        Path | None,
        typer.Option(help="CSV of a registry: registry, sex, age_from, age_to, availability."),
    ] = None,
    recipients: Annotated[
        Path | None, typer.Option(help="CSV of patients with their urgency, as for allocate.")
    ] = None,
) -> None:
    """Choose requests for confirmatory typing that most raise the chance of an available match."""
    try:
        table = pd.read_parquet(candidates)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputFileError(f"cannot read candidates from {candidates}: {error}") from error
    if patient is not None:
        table = table[table["patient"] == patient] if "patient" in table else table
        if table.empty:
            raise InputFileError(f"{candidates} has no candidate of patient {patient!r}")
    urgency = None
    if recipients is not None:
        names = list(dict.fromkeys(map(str, table["patient"])))
        known = read_recipients(recipients, names, parse_day(None))
        urgency = dict(zip(names, known.urgency.tolist(), strict=True))
    rates = None if availability is None else read_rates(availability)
    found = plan_requests(table, budget, per_patient, nine, urgency, rates)
    with replacing(out) as temporary:
        found.table.to_csv(temporary, index=False, lineterminator="\n")
    plan = found.plan
    quality = "best possible" if plan.exact else f"none is above {plan.bound:.3f}"
    typer.echo(
        f"{len(plan.pairs):,} requests for {found.n_patients:,} patients: {plan.value:.3f} "
        f"patients expected to find an available donor ({quality}); written to {out}"
    )
    if found.n_unknown:
        typer.echo(f"{found.n_unknown:,} pairs without P(10/10) are left out", err=True)
