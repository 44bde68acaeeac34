"""graftmatch report: results as one page for a search coordinator."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.files import replacing
from service.report import read_results, report_content, report_page


def report(
    results: Annotated[Path, typer.Argument(help="Folder of batch, or its candidates or match's.")],
    out: Annotated[Path, typer.Option(help="HTML file for the report.")],
    plan: Annotated[Path | None, typer.Option(help="CSV of typing-plan.")] = None,
    allocation: Annotated[
        Path | None, typer.Option(help="Parquet of allocate; by default that of the folder.")
    ] = None,
    donors: Annotated[
        int, typer.Option(min=1, help="Donors of a patient, from the best one; named ones besides.")
    ] = 100,
    plain: Annotated[
        bool, typer.Option("--plain", help="Uncompressed, for browsers from before 2023.")
    ] = False,
) -> None:
    """Write one self-contained HTML file: ranked donors, match grids, plots, allocation, plan."""
    found = read_results(results, allocation, plan)
    content = report_content(found, donors)
    text = report_page(content, plain)
    with replacing(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    patients = content["patients"]
    typer.echo(
        f"{len(patients['id']):,} patients, {patients['starts'][-1]:,} of "
        f"{len(found.candidates):,} donors, {len(text) / 1e6:.1f} MB; written to {out}"
    )
    if content["absent"]:
        typer.echo(f"not in it: {', '.join(what for what, _ in content['absent'])}", err=True)
