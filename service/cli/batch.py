"""graftmatch batch and graftmatch allocate: many patients at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import typer

from data.files import replacing
from data.registry import BlankSecond, ReadingOptions
from matching.errors import InputFileError
from matching.haplotypes import NullImputation
from matching.search import Criteria
from service.allocation import Allocation, allocate_candidates, with_allocation
from service.cli.common import (
    BandsOption,
    BlankSecondOption,
    RankOption,
    RegistryOption,
    ReleaseOption,
    StrictOption,
    end_with_rejects,
    open_index,
    open_nomenclature,
    open_registry,
    parse_day,
    rank_rule,
    read_people,
    run_search,
    searched_loci,
)
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
) -> None:
    """Give each donor to at most one patient, so that the total utility is maximal."""
    try:
        table = pd.read_parquet(candidates)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputFileError(f"cannot read candidates from {candidates}: {error}") from error
    if "patient" not in table:
        raise InputFileError(f"{candidates} has no column 'patient'; give a file of match or batch")
    allocation = allocate_candidates(table, list(dict.fromkeys(table["patient"])))
    _write_allocation(allocation, out)
    figures = _figures(allocation)
    typer.echo(
        f"{len(allocation.table):,} patients, {figures['allocated']:,} allocated: "
        f"{figures['status']}, utility {figures['objective']:,}, bound {figures['bound']:,}, "
        f"{figures['components']:,} components; written to {out}"
    )


def _figures(allocation: Allocation) -> dict[str, int | str]:
    solution = allocation.solution
    return {
        "allocated": int((allocation.table["allocated"] != "").sum()),
        "status": solution.status.value,
        "objective": solution.objective,
        "bound": solution.bound,
        "components": solution.n_components,
    }


def _write_allocation(allocation: Allocation, path: Path) -> None:
    with replacing(path) as temporary:
        pq.write_table(pa.Table.from_pandas(allocation.table, preserve_index=False), temporary)
