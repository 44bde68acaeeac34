"""graftmatch risk: models of GVHD."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.table import Table

from data.cohort import read_cohort
from data.evaluations import evaluation_document
from data.models import (
    active_model,
    add_model,
    card,
    find_model,
    literature_model,
    model_label,
    promote,
)
from data.synthetic_cohort import write_synthetic_cohort
from matching.errors import ModelError
from matching.fit import MEASURES, Evaluation, cross_validate, evaluate, train, with_prior
from matching.risk import VARIABLES, Known, Prediction, RiskModel, predict
from service.cli.common import console, progress_of, settings

risk = typer.Typer(no_args_is_help=True, help="Models of acute and chronic GVHD.")
CohortArgument = Annotated[Path, typer.Argument(help="CSV or Parquet, one row a transplant.")]
MappingOption = Annotated[
    str | None,
    typer.Option("--mapping", help="TOML file that adapts a foreign file; or ds1302."),
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help="literature, or the hash of a model; by default the active one."),
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of folds and resampling.")]
FormatOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_UNKNOWN = {
    Known.YES: "",
    Known.NO: "unknown, averaged over",
    Known.CLIPPED: "taken at the limit",
    Known.UNSEEN: "never seen by the model, averaged over",
}


def _model(which: str | None) -> RiskModel:
    folder = settings().models
    return active_model(folder) if which is None else find_model(folder, which)


@risk.command("train")
def risk_train(
    cohort: CohortArgument,
    name: Annotated[str, typer.Option(help="Name of the model.")],
    mapping: MappingOption = None,
) -> None:
    """Fit a model on a cohort and keep it; it is not in use until it is promoted."""
    patients = read_cohort(cohort, mapping)
    with progress_of("training"):
        model = train(patients, name, literature_model(), 1)
    digest = add_model(settings().models, model)
    for outcome in model.outcomes:
        typer.echo(
            f"{outcome.name}, day {outcome.horizon_days:.0f}: {len(outcome.factors)} factors, "
            f"{len(outcome.coefficients)} coefficients"
        )
    typer.echo(
        f"model {model_label(model)} kept; put it in use: graftmatch risk promote {digest[:12]}"
    )


@risk.command("evaluate")
def risk_evaluate(
    cohort: CohortArgument,
    mapping: MappingOption = None,
    model: Annotated[
        str | None,
        typer.Option(help="Score this model as it is; by default fit anew in 5 folds of centres."),
    ] = None,
    seed: SeedOption = 1,
    as_json: FormatOption = False,
) -> None:
    """AUC, Brier score, calibration and O/E with 95 % intervals."""
    patients = read_cohort(cohort, mapping)
    with progress_of("evaluating"):
        if model is None:
            found = cross_validate(patients, seed, with_prior(literature_model()))
        else:
            found = evaluate(patients, _model(model), seed)
    if as_json:
        outcomes = {one.outcome: evaluation_document(one) for one in found}
        typer.echo(json.dumps({"outcomes": outcomes}, indent=1))
        return
    for one in found:
        _print_evaluation(one)


def _print_evaluation(found: Evaluation) -> None:
    table = Table(
        title=f"{found.outcome}, day {found.horizon_days:.0f}: {found.n:,} patients, "
        f"{found.n_events:,} events, {found.n_competing:,} competing, {found.n_censored:,} censored"
        f" ({found.how})"
    )
    table.add_column("measure")
    for name in ("estimate", "95 % low", "95 % high"):
        table.add_column(name, justify="right")
    for measure in MEASURES:
        values = (found[measure], *found.interval(measure))
        table.add_row(measure, *("" if np.isnan(v) else f"{v:.3f}" for v in values))
    console().print(table)
    for level, count in found.unseen.items():
        typer.echo(
            f"{count:,} patients with {level}, which the model has never seen: averaged over"
        )
    low, high = found.interval("auc")
    if low <= 0.5 <= high:
        typer.echo("the interval of the AUC holds 0.5: nothing is shown by this file")


@risk.command("promote")
def risk_promote(
    which: Annotated[str, typer.Argument(help="Hash of a kept model, or literature.")],
) -> None:
    """Put a model in use."""
    promote(settings().models, which)
    typer.echo(f"model {model_label(active_model(settings().models))} is in use")


@risk.command("card")
def risk_card(model: ModelOption = None) -> None:
    """Show what a model is made of."""
    typer.echo(card(_model(model)))


@risk.command("predict")
def risk_predict(
    factors: Annotated[
        list[str] | None,
        typer.Option("--set", help="A factor, e.g. --set donor_age_years=45; repeat it."),
    ] = None,
    model: ModelOption = None,
    as_json: FormatOption = False,
) -> None:
    """Probability, interval and what each factor contributes, for one pair."""
    columns = _columns(factors or [])
    chosen = _model(model)
    found = [predict(outcome, columns, 1) for outcome in chosen.outcomes]
    if as_json:
        answers = {prediction.outcome: _answer(prediction) for prediction in found}
        typer.echo(json.dumps({"model": model_label(chosen), "outcomes": answers}, indent=1))
        return
    for prediction in found:
        answer = _answer(prediction)
        table = Table(
            title=f"{prediction.outcome} by day {prediction.horizon_days:.0f}: "
            f"{100 * answer['probability']:.0f} % "
            f"(95 % {100 * answer['low']:.0f} to {100 * answer['high']:.0f} %)"
        )
        for name in ("factor", "log-odds", "note"):
            table.add_column(name)
        for row in answer["factors"]:
            table.add_row(row["factor"], f"{row['log_odds']:+.2f}", row["note"])
        console().print(table)
    typer.echo(f"model {model_label(chosen)}; decision support, not a medical device")


def _answer(prediction: Prediction) -> dict[str, Any]:
    return {
        "probability": float(prediction.probability[0]),
        "low": float(prediction.low[0]),
        "high": float(prediction.high[0]),
        "horizon_days": prediction.horizon_days,
        "intercept": prediction.intercept,
        "factors": [
            {
                "factor": factor,
                "log_odds": float(prediction.contributions[0, i]),
                "note": _UNKNOWN[Known(prediction.known[0, i])],
            }
            for i, factor in enumerate(prediction.factors)
        ],
    }


def _columns(settings_: list[str]) -> dict[str, Any]:
    """Columns of one row from NAME=VALUE. Raises `ModelError` naming what is not known."""
    known = {variable.name: variable for variable in VARIABLES}
    columns: dict[str, Any] = {}
    for text in settings_:
        name, equals, value = text.partition("=")
        variable = known.get(name)
        if not equals or variable is None:
            raise ModelError(
                f"{text!r} is no factor; write NAME=VALUE with one of: {', '.join(known)}"
            )
        if variable.levels:
            if value not in variable.levels:
                raise ModelError(f"{name}: {value!r} is none of {', '.join(variable.levels)}")
            columns[name] = np.array([value], dtype=object)
            continue
        try:
            number = float(value)
        except ValueError:
            number = float("nan")
        if not variable.low <= number <= variable.high:
            raise ModelError(f"{name}: {value!r} is not from {variable.low:g} to {variable.high:g}")
        columns[name] = np.array([number])
    return columns


@risk.command("simulate")
def risk_simulate(
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    transplants: Annotated[int, typer.Option(min=1, help="Number of transplants.")] = 2000,
    seed: SeedOption = 1,
) -> None:
    """Write a synthetic cohort with known truth: no one's outcome."""
    write_synthetic_cohort(out, transplants, seed)
    typer.echo(f"{transplants:,} simulated transplants in {out}: synthetic, no one's outcome")
