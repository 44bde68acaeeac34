"""graftmatch risk: models of GVHD, death, relapse and recovery."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from threadpoolctl import threadpool_limits

from data.cohort import Reference, parse_factors, read_cohort, read_mapping, read_table
from data.evaluations import differences, differences_of_evaluations, evaluation_document
from data.files import replacing
from data.model_card import card
from data.models import (
    CURRENT,
    add_file,
    find_model,
    model_documents,
    model_hash,
    model_label,
    promote,
    rollback,
)
from data.nomenclature import ReferenceFolder
from data.synthetic_cohort import write_synthetic_cohort
from data.training import refresh_card, train_into
from matching.errors import ModelError
from matching.fit import evaluate
from service.cli.common import console, open_nomenclature, progress_of, settings
from service.cli.engine import Engine, EngineOption, SchedulerOption, joblib_on
from service.cli.risk_printing import (
    print_choice,
    print_evaluation,
    print_json,
    print_single,
    shown,
)
from service.donor_choice import choice_document, pair_columns, single_document

risk = typer.Typer(
    no_args_is_help=True, help="Models of GVHD, death, relapse and recovery after a transplant."
)
CohortOption = Annotated[
    Path, typer.Option("--cohort", help="CSV or Parquet, one transplant a row.")
]
MappingOption = Annotated[
    str | None,
    typer.Option("--mapping", help="Mapping file (YAML in its JSON form), or the name of one."),
]
ModelOption = Annotated[
    str,
    typer.Option("--model", help="Model folder, hash of a promoted one, current or literature."),
]
GroupOption = Annotated[
    str | None,
    typer.Option("--group", help="Column of the file that groups patients, such as center."),
]
OutcomeOption = Annotated[
    list[str] | None, typer.Option("--outcome", help="An outcome; repeat it. By default all.")
]
ReleaseOption = Annotated[
    str | None,
    typer.Option("--release", help="Release under which typings of the file are read."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of folds, halves and resampling.")]
FormatOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _reference(release: str | None) -> Reference | None:
    if release is None:
        return None
    proteins = ReferenceFolder(settings().reference).proteins(release)
    return Reference(open_nomenclature(release), proteins)


@risk.command("train")
def risk_train(
    cohort: CohortOption,
    out: Annotated[Path, typer.Option(help="Folder of the model, new or an older model's.")],
    mapping: MappingOption = None,
    outcome: OutcomeOption = None,
    group: GroupOption = None,
    release: ReleaseOption = None,
    name: Annotated[str | None, typer.Option(help="By default that of the folder.")] = None,
    seed: SeedOption = 1,
    folds: Annotated[int, typer.Option(min=2, help="Outer folds of validation.")] = 10,
    challenger: Annotated[
        bool, typer.Option(help="Also try gradient boosting on the same folds.")
    ] = True,
    engine: EngineOption = Engine.LOCAL,
    scheduler: SchedulerOption = None,
    threads: Annotated[int, typer.Option(min=1, help="Local workers under Dask.")] = 2,
    as_json: FormatOption = False,
) -> None:
    """Fit a model, with nested cross-validation; it is not in use until it is promoted."""
    patients = read_cohort(cohort, mapping, group, _reference(release))
    with (
        progress_of("training") as progress,
        threadpool_limits(limits=1),
        joblib_on(engine, scheduler, threads),
    ):
        made = train_into(
            out,
            patients,
            name or out.name,
            seed,
            tuple(outcome or ()),
            mapping or "",
            folds,
            challenge=challenger,
            progress=progress,
        )
    if as_json:
        print_json(
            {
                "model": made.sha256,
                "outcomes": {one.outcome: evaluation_document(one) for one in made.evaluations},
                "challenger": {one.outcome: evaluation_document(one) for one in made.challengers},
                "left_out": dict(made.left_out),
            }
        )
        return
    for one in (*made.evaluations, *made.challengers):
        print_evaluation(one, "boosting: " if one in made.challengers else "")
    for reason in made.left_out.values():
        typer.echo(f"not trained: {reason}")
    if not made.plotted:
        typer.echo("no plots: matplotlib is not installed (the extra `plots`)")
    typer.echo(f"model {model_label(made.model)} in {out}; evaluate it on other patients next")


@risk.command("evaluate")
def risk_evaluate(
    cohort: CohortOption,
    model: ModelOption,
    mapping: MappingOption = None,
    outcome: OutcomeOption = None,
    group: GroupOption = None,
    release: ReleaseOption = None,
    recalibrate: Annotated[
        str | None,
        typer.Option(help="intercept: fit it on a seeded half, score the other half."),
    ] = None,
    seed: SeedOption = 1,
    as_json: FormatOption = False,
) -> None:
    """AUC, Brier score, calibration and O/E with 95 % intervals; kept in the model's folder."""
    if recalibrate not in (None, "intercept"):
        raise ModelError(f"--recalibrate must be intercept, not {recalibrate!r}")
    patients = read_cohort(cohort, mapping, group, _reference(release))
    chosen, folder = find_model(settings().models, model)
    with progress_of("evaluating"):
        found = evaluate(
            patients,
            chosen,
            seed,
            recalibrate=recalibrate is not None,
            outcomes=tuple(outcome or ()),
        )
    document = {
        "model": model_hash(chosen),
        "cohort": patients.sha256,
        "cohort_name": patients.name,
        "recalibrate": recalibrate,
        "seed": seed,
        "outcomes": {one.outcome: evaluation_document(one) for one in found},
    }
    if folder is not None:
        suffix = "-recalibrated" if recalibrate else ""
        add_file(folder, f"evaluation-{patients.sha256[:12]}{suffix}.json", document)
        refresh_card(folder, chosen)
    if as_json:
        print_json(document)
        return
    for one in found:
        print_evaluation(one)


@risk.command("compare")
def risk_compare(
    first: Annotated[str, typer.Argument(help="Model folder, hash, current or literature.")],
    second: Annotated[str, typer.Argument(help="Another one.")],
    cohort: Annotated[
        Path | None,
        typer.Option(help="Patients to compare on; by default what both were evaluated on."),
    ] = None,
    mapping: MappingOption = None,
    group: GroupOption = None,
    release: ReleaseOption = None,
    seed: SeedOption = 1,
    as_json: FormatOption = False,
) -> None:
    """Differences of two models in AUC, Brier score and log loss; kept in their folders."""
    store = settings().models
    sides = [find_model(store, which) for which in (first, second)]
    document: dict[str, Any] = {
        "first": model_hash(sides[0][0]),
        "second": model_hash(sides[1][0]),
    }
    if cohort is None:
        document |= differences_of_evaluations(sides)
    else:
        patients = read_cohort(cohort, mapping, group, _reference(release))
        document |= {
            "cohort": patients.sha256,
            "seen": [m.name for m, _ in sides if m.trained_on == patients.sha256],
            "differences": differences(patients, sides[0][0], sides[1][0], seed),
        }
    for _, folder in sides:
        if folder is not None:
            names = f"{document['first'][:12]}-{document['second'][:12]}"
            add_file(folder, f"comparison-{names}.json", document)
    if as_json:
        print_json(document)
        return
    for name in document.get("seen", []):
        typer.echo(f"model {name} was fitted on this file: the comparison favours it")
    table = Table(title=f"{sides[0][0].name} minus {sides[1][0].name}")
    columns = ("outcome", "measure", "first", "second", "difference", "low", "high")
    for column in columns:
        table.add_column(column)
    for row in document["differences"]:
        table.add_row(*(shown(row[column]) for column in columns))
    console().print(table)


@risk.command("promote")
def risk_promote(
    which: Annotated[str, typer.Argument(help="Model folder, hash or literature.")],
) -> None:
    """Put a model in use; running services take it up by themselves."""
    store = settings().models
    promote(store, which)
    typer.echo(f"model {model_label(find_model(store, CURRENT)[0])} is in use")


@risk.command("rollback")
def risk_rollback() -> None:
    """Put the model back that was in use before."""
    store = settings().models
    rollback(store)
    typer.echo(f"model {model_label(find_model(store, CURRENT)[0])} is in use again")


@risk.command("show")
def risk_show(
    model: Annotated[str, typer.Argument(help="Folder, hash, current, literature.")] = CURRENT,
    as_json: FormatOption = False,
) -> None:
    """The card of a model: coefficients, how it was made, what was found out about it."""
    chosen, folder = find_model(settings().models, model)
    training, evaluations = model_documents(folder)
    if as_json:
        print_json(
            {
                "model": model_hash(chosen),
                "name": chosen.name,
                "kind": chosen.kind,
                "outcomes": [one.name for one in chosen.outcomes],
                "training": training,
                "evaluations": evaluations,
            }
        )
        return
    typer.echo(card(chosen, training, evaluations))


@risk.command("predict")
def risk_predict(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="CSV or Parquet: one donor a row, with factors; columns patient and donor name "
            "them."
        ),
    ] = None,
    factors: Annotated[
        list[str] | None,
        typer.Option("--set", help="Without a file: a factor, e.g. donor_age_years=45; repeat it."),
    ] = None,
    mapping: MappingOption = None,
    release: ReleaseOption = None,
    model: ModelOption = CURRENT,
    out: Annotated[
        Path | None, typer.Option(help="JSON file to write instead of printing.")
    ] = None,
    as_json: FormatOption = False,
) -> None:
    """Each donor's risk, its difference to the best donor, and what each factor contributes."""
    chosen, _ = find_model(settings().models, model)
    label = model_label(chosen)
    if file is None:
        document = single_document(chosen, pair_columns(factors or []), label)
        if as_json:
            print_json(document)
        else:
            print_single(document)
        return
    if factors:
        raise ModelError("give a file or --set, not both")
    table, _ = read_table(file)
    names = [table.pop(key, None) for key in ("patient", "donor")]
    how = None if mapping is None else read_mapping(mapping)
    columns = parse_factors(table, how, file.name, _reference(release))
    document = choice_document(chosen, columns, names[0], names[1], label)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")
        typer.echo(f"{sum(len(p['donors']) for p in document['patients']):,} donors: {out}")
    elif as_json:
        print_json(document)
    else:
        print_choice(document)


@risk.command("simulate")
def risk_simulate(
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    transplants: Annotated[int, typer.Option(min=1, help="Number of transplants.")] = 2000,
    seed: SeedOption = 1,
) -> None:
    """Write a synthetic cohort with known truth: no one's outcome."""
    write_synthetic_cohort(out, transplants, seed)
    typer.echo(f"{transplants:,} simulated transplants in {out}: synthetic, no one's outcome")
