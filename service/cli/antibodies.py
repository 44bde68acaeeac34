"""Options of the commands that read antibody reports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from data.nomenclature import ReferenceFolder
from matching.antibodies import CutOffs
from matching.nomenclature import Nomenclature
from service.antibodies import AntibodyReports
from service.cli.common import settings

MfiOption = Annotated[
    float, typer.Option("--mfi-cut-off", help="MFI from which a bead is positive.")
]
CumulativeOption = Annotated[
    float | None,
    typer.Option(
        "--cumulative-mfi",
        help="A donor is positive where the MFI of the beads of its molecules add up to this.",
    ),
]


def cut_offs_of(mfi: float, cumulative: float | None) -> CutOffs:
    try:
        return CutOffs(mfi, cumulative)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--mfi-cut-off") from error


def read_reports(
    path: Path, nomenclature: Nomenclature, cut_offs: CutOffs
) -> tuple[AntibodyReports, Path | None]:
    """The reports of a file, and the file of its rejects where that was needed."""
    proteins = ReferenceFolder(settings().reference).proteins(nomenclature.release)
    reports = AntibodyReports.read(path, nomenclature, proteins, cut_offs)
    if not len(reports.rejects):
        return reports, None
    rejects = path.with_name(f"{path.name}.rejects.csv")
    reports.rejects.write(rejects)
    typer.echo(
        f"{len(reports.rejects):,} lines of the antibody report cannot be read; what they name "
        "counts as not tested",
        err=True,
    )
    return reports, rejects
