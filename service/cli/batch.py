"""graftmatch batch: many patients at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import pyarrow as pa
import typer

from data.donor_files import Person
from data.files import file_digest
from data.registry import BlankSecond, ReadingOptions
from matching.haplotypes import NullImputation
from service.allocation import allocation_line
from service.batch.checkpoints import Checkpoints, checkpoints, stored_day
from service.batch.engine import in_threads
from service.batch.output import TableFormat
from service.batch.people import people_of
from service.batch.results import BatchResults
from service.batch.run_log import RUN_LOG, RunLog
from service.batch.search import BatchSearch, chunks_of, judged_by, load_search, sources_of
from service.cli.allocate import (
    CapacitiesOption,
    FairnessOption,
    GiveUpOption,
    PointsOption,
    RecipientsOption,
    WeeksOption,
    WorkOption,
    allocation_settings,
)
from service.cli.antibodies import (
    DEFAULT_MFI,
    AntibodiesOption,
    CumulativeOption,
    ExcludeOption,
    KeepOption,
    MfiOption,
    ReportedAntibodies,
    check_antibody_options,
    cut_offs_of,
    overrides_of,
)
from service.cli.common import (
    BlankSecondOption,
    ReleaseOption,
    StrictOption,
    counted_progress,
    end_with_rejects,
    open_nomenclature,
    parse_day,
    progress_of,
    settings,
)
from service.cli.cord import (
    CordOptions,
    CordRuleOption,
    LociOption,
    MaxMismatchesOption,
)
from service.cli.criteria import (
    AboOption,
    AgeOption,
    Cd34Option,
    CmvOption,
    DirectionOption,
    KnownOption,
    LevelOption,
    LimitsOption,
    MismatchDirection,
    PotentialOption,
    RegistriesOption,
    SexOption,
    StatusOption,
    TncOption,
    TypeOption,
    donor_criteria,
)
from service.cli.engine import Engine, EngineOption, SchedulerOption, on_dask
from service.cli.searching import (
    BandsOption,
    RankOption,
    rank_rule,
    tell_unreadable,
)
from service.cli.store import RegistryOption
from service.cli.strata import FamilyOption, StrataOption, families_of, strata_of
from service.recipients import read_recipients
from service.search import SearchSettings

EXIT_INTERRUPTED = 130
# What the log tells of the summary.
_COUNTS = ("patients_with_candidates", "found", "candidates", "allocated", "status")


def batch(
    patients: Annotated[Path, typer.Argument(help="Patients, any format of registry import.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the batch that was begun in the folder.")
    ] = False,
    engine: EngineOption = Engine.LOCAL,
    scheduler: SchedulerOption = None,
    shards: Annotated[
        int | None,
        typer.Option(min=1, help="Parts of the index under Dask, by default one for each worker."),
    ] = None,
    threads: Annotated[
        int,
        typer.Option(
            min=1, help="Chunks of patients at a time, or local workers; parts of the plan."
        ),
    ] = 2,
    best: Annotated[int, typer.Option(min=1, help="Donors of each patient in the results.")] = 100,
    form: Annotated[
        TableFormat, typer.Option("--format", help="Of candidates and allocation.")
    ] = TableFormat.PARQUET,
    loci: LociOption = None,
    max_mismatches: MaxMismatchesOption = None,
    max_mismatches_at: LimitsOption = None,
    direction: DirectionOption = MismatchDirection.BOTH,
    level: LevelOption = None,
    potential: PotentialOption = True,
    donor_type: TypeOption = None,
    age: AgeOption = None,
    sex: SexOption = None,
    cmv: CmvOption = None,
    abo: AboOption = None,
    donor_registry: RegistriesOption = None,
    status: StatusOption = None,
    min_tnc: TncOption = None,
    min_cd34: Cd34Option = None,
    require_known: KnownOption = False,
    cord_rule: CordRuleOption = None,
    strata: StrataOption = None,
    family: FamilyOption = None,
    antibodies: AntibodiesOption = None,
    exclude_positive: ExcludeOption = False,
    keep_donor: KeepOption = None,
    mfi_cut_off: MfiOption = DEFAULT_MFI,
    cumulative_mfi: CumulativeOption = None,
    null_imputation: Annotated[
        NullImputation, typer.Option(help="What nulls mean in imputed genotypes.")
    ] = NullImputation.TYPED,
    ranked_by: RankOption = None,
    bands: BandsOption = None,
    recipients: RecipientsOption = None,
    capacities: CapacitiesOption = None,
    weeks: WeeksOption = 4,
    give_up: GiveUpOption = "0.01,0.01",
    fairness: FairnessOption = None,
    points: PointsOption = "",
    work: WorkOption = 10,
    as_of: Annotated[
        str | None,
        typer.Option(
            help="Day for donors' ages and deadlines, YYYY-MM-DD; by default today, or the day "
            "of the batch with --resume."
        ),
    ] = None,
    release: ReleaseOption = None,
    folder: RegistryOption = None,
    strict: StrictOption = False,
    blank_second: BlankSecondOption = BlankSecond.REFUSE,
) -> None:
    """Search, probabilities, risks and ranks for every patient, then one allocation over all.

    Writes candidates, allocation, summary.json, and rejects and notes where there are any.
    """
    day = parse_day(as_of or (stored_day(out) if resume else None))
    plan = allocation_settings(capacities, weeks, give_up, fairness, points, work, threads)
    cord = CordOptions(cord_rule, strata=strata)
    overrides = overrides_of(keep_donor)
    check_antibody_options(antibodies, exclude_positive, overrides)
    if antibodies is not None and ranked_by is None and strata is None:
        ranked_by = ",".join(("antibody", *cord.usual_keys))
    asked = SearchSettings(
        cord.criteria(loci, max_mismatches, max_mismatches_at, direction, level, potential),
        day,
        null_imputation,
        cord.rank(rank_rule(None if strata else ranked_by, bands), ranked_by),
        donor_criteria(
            *(
                cord.types(donor_type),
                age,
                sex,
                cmv,
                abo,
                donor_registry,
                status,
                min_tnc,
                min_cd34,
            ),
            require_known,
        ),
        size=best,
        maternal=cord.of_search is not None,
    )
    listed = None
    if strata is not None:
        options_of = (cord_rule, ranked_by, bands, antibodies is not None)
        listed = strata_of(strata, family, asked, *options_of)
    elif family is not None:
        raise typer.BadParameter("relatives are a stratum: give --strata", param_hint="--family")
    cut_offs = cut_offs_of(mfi_cut_off, cumulative_mfi)
    judged = None if antibodies is None else judged_by(cut_offs, exclude_positive, overrides)
    nomenclature = open_nomenclature(release)
    home = settings()
    with progress_of("donors made ready") as told:
        opened = load_search(home, folder, nomenclature, null_imputation, told)
    search = BatchSearch(*opened, asked, strata=listed, judged=judged)
    tell_unreadable(search.search.index)
    options = ReadingOptions(strict, blank_second)
    state = {
        **search.state,
        "the day": day.isoformat(),
        "the patients": file_digest(patients),
        "how patients are read": repr(options),
        "the recipients": "" if recipients is None else file_digest(recipients),
        "the allocation": repr(replace(plan, effort=replace(plan.effort, threads=1))),
        "the format": form.value,
        **({} if antibodies is None else {"the report of antibodies": file_digest(antibodies)}),
        **({} if family is None else {"the families": file_digest(family)}),
    }
    with checkpoints(out, state, resume) as done:
        if done.is_complete:
            typer.echo(f"the batch in {out} is complete")
            return
        people, rejects = people_of(patients, nomenclature, options, asked)
        if len(rejects):
            rejects.write(out / "rejects.csv")
        names = [person.id for person in people]
        if family is not None:
            search = replace(search, families=families_of(family, people, nomenclature, asked))
        lines_left_out = None
        if antibodies is not None:
            reported = ReportedAntibodies.read(
                *(antibodies, nomenclature, cut_offs, people, rejects),
                *(exclude_positive, overrides),
            )
            lines_left_out = reported.rejects
            search = replace(search, reports=reported.use, own_type=reported.own_type)
        known = None if recipients is None else read_recipients(recipients, names, day)
        chunks = chunks_of(people)
        results = BatchResults(done, len(chunks), names, search.schema, search.provenance, form)
        if engine is Engine.LOCAL:
            run = partial(_threads, search, chunks, threads)
        else:
            place = home.home.resolve(), _everywhere(home.registry_place(folder))
            run = partial(_cluster, search, chunks, place, scheduler, threads, shards)
        log = RunLog(out / RUN_LOG)
        asked_of = {"patients": len(people), "rejected_records": len(rejects)}
        try:
            with log.run(engine=engine.value, threads=threads, **asked_of) as came_out:
                _search(chunks, done, run, log)
                allocation, summary = results.write(known, plan, len(rejects))
                came_out |= {name: summary[name] for name in _COUNTS}
        except KeyboardInterrupt:
            kept = sum(len(part) for number, part in enumerate(chunks) if done.has(number))
            typer.echo(
                f"stopped: {kept:,} of {len(people):,} patients are done and kept in {out}; give "
                "the same command with --resume to go on",
                err=True,
            )
            raise typer.Exit(EXIT_INTERRUPTED) from None
    typer.echo(
        f"{summary['candidates']:,} candidates; {allocation_line(allocation)}; written to {out}"
    )
    end_with_rejects(out / "rejects.csv" if len(rejects) else lines_left_out)


def _everywhere(registry: str | Path) -> str:
    """A place as it is called from any folder."""
    return str(registry) if "://" in str(registry) else str(Path(registry).resolve())


Chunks = Sequence[Sequence[Person]]
Progress = Callable[[int], object]
Run = Callable[[Sequence[int], Progress], Iterator[tuple[int, pa.Table]]]


def _threads(
    search: BatchSearch, chunks: Chunks, threads: int, left: Sequence[int], progress: Progress
) -> Iterator[tuple[int, pa.Table]]:
    return in_threads(left, lambda n, told: search.run(chunks[n], told), threads, progress)


def _cluster(
    search: BatchSearch,
    chunks: Chunks,
    place: tuple[Path, str],
    scheduler: str | None,
    workers: int,
    shards: int | None,
    left: Sequence[int],
    progress: Progress,
) -> Iterator[tuple[int, pa.Table]]:
    dask = on_dask()
    release = search.search.nomenclature.release
    here = dask.Place(*place, release, tuple(sources_of(search.search, search.model).items()))
    with dask.cluster(scheduler, workers) as client:
        asked = dask.Asked.of(search)
        yield from dask.on_cluster(client, here, asked, chunks, left, shards, progress)


def _search(chunks: Chunks, done: Checkpoints, run: Run, log: RunLog) -> None:
    """Search the chunks that are not done yet, and keep each."""
    left = [number for number in range(len(chunks)) if not done.has(number)]
    total = sum(map(len, chunks))
    kept = before = total - sum(len(chunks[number]) for number in left)
    log.write("progress", done=kept, of=total)
    if before:
        typer.echo(f"{before:,} of {total:,} patients were done before", err=True)
    with counted_progress("patients", total, before) as progress:
        for number, table in run(left, progress) if left else ():
            done.write(number, table)
            kept += len(chunks[number])
            log.write("progress", done=kept, of=total)
