"""graftmatch batch and graftmatch allocate: many patients at once."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
import typer

from data.files import replacing
from data.registry import BlankSecond, ReadingOptions
from matching.allocate import AllocationSolution, Effort, Objectives, Points
from matching.errors import InputFileError
from matching.haplotypes import NullImputation
from matching.search import Criteria
from service.allocation import (
    Allocation,
    AllocationSettings,
    allocate_candidates,
    read_candidates,
    with_allocation,
)
from service.cli.common import (
    BlankSecondOption,
    ReleaseOption,
    StrictOption,
    end_with_rejects,
    open_nomenclature,
    parse_day,
    read_people,
    searched_loci,
)
from service.cli.searching import (
    BandsOption,
    RankOption,
    RegistryOption,
    open_index,
    open_registry,
    rank_rule,
    run_search,
)
from service.recipients import NO_CAPACITIES, read_capacities, read_recipients
from service.results import result_table, write_results
from service.search import SearchSettings


def batch(
    patients: Annotated[Path, typer.Argument(help="Patients, any format of registry import.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    loci: Annotated[str, typer.Option(help="Loci to match, separated by commas.")] = (
        "A,B,C,DRB1,DQB1"
    ),
    max_mismatches: Annotated[
        int, typer.Option(min=0, max=18, help="Most mismatches in the best case.")
    ] = 1,
    null_imputation: Annotated[
        NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")
    ] = NullImputation.TYPED,
    ranked_by: RankOption = None,
    bands: BandsOption = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day for donors' ages, YYYY-MM-DD; by default today.")
    ] = None,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    strict: StrictOption = False,
    blank_second: BlankSecondOption = BlankSecond.REFUSE,
) -> None:
    """Search, probabilities, risks and ranks for every patient, then one allocation over all.

    Writes candidates.parquet, allocation.parquet, summary.json, and rejects where there are any.
    """
    wanted = SearchSettings(
        Criteria(searched_loci(loci), max_mismatches),
        parse_day(as_of),
        null_imputation,
        rank_rule(ranked_by, bands),
    )
    nomenclature = open_nomenclature(release)
    store = open_registry(folder)
    index = open_index(store, nomenclature)
    people, rejects_file = read_people(
        patients, nomenclature, out / "rejects.csv", ReadingOptions(strict, blank_second)
    )
    results = run_search(people, nomenclature, store, index, wanted)
    table = result_table(results, {})
    allocation = allocate_candidates(table, list(results.matches))
    shown = with_allocation(table.drop(columns="typing"), allocation)
    write_results(results, shown, "parquet", out / "candidates.parquet")
    _write_allocation(allocation, out / "allocation.parquet")
    summary = {
        **results.provenance,
        "patients": len(people),
        "rejected_patients": rejects_file is not None,
        "patients_with_candidates": int(table["patient"].nunique()),
        "candidates": len(table),
        **_figures(allocation),
    }
    with replacing(out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    typer.echo(
        f"{len(people):,} patients, {len(table):,} candidates, {summary['allocated']:,} allocated: "
        f"{summary['status']}, utility {summary['objective']:,}, bound {summary['bound']:,}; "
        f"written to {out}"
    )
    end_with_rejects(rejects_file)


def allocate(
    candidates: Annotated[Path, typer.Argument(help="Parquet of match --patients or of batch.")],
    out: Annotated[Path, typer.Option(help="Parquet file for the allocation.")],
    recipients: Annotated[
        Path | None,
        typer.Option(
            help="CSV: patient, urgency, centre, laboratory, deadline, ancestry, previous."
        ),
    ] = None,
    capacities: Annotated[
        Path | None, typer.Option(help="CSV: kind (centre, laboratory, registry), name, most.")
    ] = None,
    weeks: Annotated[int, typer.Option(min=1, help="Length of the plan in weeks.")] = 4,
    give_up: Annotated[
        str, typer.Option(help="Shares of recipients and of utility left to what comes after.")
    ] = "0.01,0.01",
    fairness: Annotated[
        float | None,
        typer.Option(help="Serve ancestry groups alike, and give up this share of that."),
    ] = None,
    points: Annotated[
        str, typer.Option(help="Weights of the utility, such as p10=1000,risk=2000.")
    ] = "",
    one_more: Annotated[
        list[str] | None, typer.Option(help="What a second donor like this one would be worth.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option(help="Day from which deadlines count; by default today.")
    ] = None,
    work: Annotated[float, typer.Option(min=0, help="Most work of a search, about seconds.")] = 10,
    threads: Annotated[int, typer.Option(min=1, help="Components searched at a time.")] = 2,
) -> None:
    """One plan for all patients: most served, then most utility, then least change."""
    table = read_candidates(candidates)
    patients = list(dict.fromkeys(table["patient"]))
    day = parse_day(as_of)
    wanted = AllocationSettings(
        Objectives(*_numbers(give_up, "--give-up"), fairness=fairness),
        _points(points),
        Effort(work=work, threads=threads),
        NO_CAPACITIES if capacities is None else read_capacities(capacities),
        weeks,
    )
    known = None if recipients is None else read_recipients(recipients, patients, day)
    if unknown := sorted({*(one_more or [])} - {*table.get("donor", ())}):
        raise InputFileError(
            f"donor {unknown[0]!r} is no candidate of any patient; name one that is"
        )
    allocation = allocate_candidates(table, patients, known, wanted)
    _write_allocation(allocation, out)
    figures = _figures(allocation)
    typer.echo(
        f"{len(allocation.table):,} patients, {figures['allocated']:,} allocated: "
        f"{figures['status']}, utility {figures['objective']:,}, bound {figures['bound']:,}, "
        f"{figures['components']:,} components; written to {out}"
    )
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


def _numbers(text: str, option: str) -> tuple[float, float]:
    try:
        recipients, utility = (float(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is not two numbers such as 0.01,0.01", param_hint=option
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


def _figures(allocation: Allocation) -> dict[str, Any]:
    solution = allocation.solution
    return {
        "allocated": int((allocation.table["allocated"] != "").sum()),
        "status": solution.status.value,
        "objective": solution.objective,
        "bound": solution.bound,
        "components": solution.n_components,
        "levels": _levels(solution),
    }


def _levels(solution: AllocationSolution) -> list[dict[str, Any]]:
    return [
        {
            "objective": level.objective.value,
            "best": level.best,
            "bound": level.bound,
            "least": level.least,
            "reached": level.reached,
        }
        for level in solution.levels
    ]


def _write_allocation(allocation: Allocation, path: Path) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(allocation.table, preserve_index=False), temporary)
