"""Training as a whole: fit, nested cross-validation, challenger, card and plots in one folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from data.evaluations import evaluation_document
from data.files import replacing
from data.literature import literature_model
from data.model_card import card
from data.models import MODEL_FILE, TRAINING_FILE, model_hash, read_documents, write_model
from data.plots import can_plot, plot
from matching.errors import CohortError, ModelError
from matching.fit import (
    FOLDS,
    INNER_FOLDS,
    Cohort,
    Evaluation,
    Fitted,
    boosting,
    cross_validate,
    curves,
    fit_outcome,
    literature_for,
    outcomes_of,
    with_prior,
)
from matching.risk import RiskModel, outcome_named

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "pandas")
_LOCK = Path(__file__).parent.parent / "requirements.lock"


@dataclass(frozen=True)
class Trained:
    """A model, its hash, what cross-validation found, and why outcomes were left out, by name."""

    model: RiskModel
    sha256: str
    evaluations: tuple[Evaluation, ...]
    challengers: tuple[Evaluation, ...]
    left_out: Mapping[str, str]
    plotted: bool


def train_into(
    folder: Path,
    cohort: Cohort,
    name: str,
    seed: int,
    outcomes: tuple[str, ...] = (),
    mapping: str = "",
    folds: int = FOLDS,
    resamples: int = 500,
    challenge: bool = True,
    progress: Callable[[object], None] = lambda _: None,
) -> Trained:
    """Train and write a model folder. The same cohort, seed, code and lock give the same files.

    `folds`: outer ones of the nested cross-validation. `challenge`: gradient boosting on the same
    folds. Without `outcomes` those that the cohort holds are trained, and those that cannot be are
    left out with the reason. Raises `CohortError`, `ModelError` and `OutputError`.
    """
    literature = literature_model()
    rows = np.arange(len(cohort))
    fitted: list[Fitted] = []
    found: list[Evaluation] = []
    left_out: dict[str, str] = {}
    for outcome in outcomes_of(cohort, outcomes):
        progress(outcome.name)
        try:
            model_of = fit_outcome(cohort, outcome, rows, literature_for(literature, outcome), seed)
            found += cross_validate(
                cohort, seed, with_prior(literature), folds, resamples, (outcome.name,)
            )
            fitted.append(model_of)
        except CohortError as error:
            if outcomes:
                raise
            left_out[outcome.name] = str(error)
    if not fitted:
        raise CohortError("; ".join(left_out.values()))
    asked = tuple(f.model.name for f in fitted)
    strengths = {f.model.name: list(f.strength) for f in fitted}
    notes = (
        f"Fitted on {len(cohort)} patients of {len(np.unique(cohort.centre))} centres; logistic at "
        "the horizon, inverse-probability-of-censoring weights, normal prior centred on the "
        "literature model with its standard errors.",
        "The intercept is the average patient of the cohort; contributions are relative to it.",
        *(f"Not trained: {reason}." for reason in left_out.values()),
    )
    model = RiskModel(name, "fitted", tuple(f.model for f in fitted), cohort.sha256, notes)
    rivals: tuple[Evaluation, ...] = ()
    if challenge:
        progress("gradient boosting on the same folds")
        rivals = cross_validate(cohort, seed, boosting, folds, resamples, asked)
    training = {
        "seed": seed,
        "folds": folds,
        "inner_folds": INNER_FOLDS,
        "outcomes": list(asked),
        "cohort_name": cohort.name,
        "cohort": cohort.sha256,
        "mapping": mapping or "none",
        "n": len(cohort),
        "n_centres": len(np.unique(cohort.centre)),
        "ages": _range(cohort, "age_years"),
        "years": _range(cohort, "transplant_year"),
        "missing": _missing(cohort),
        "strengths": strengths,
        "literature": model_hash(literature),
        "code": f"graftmatch {metadata.version('graftmatch')}, sources {_sources()[:12]}",
        "lock": _lock(),
        "libraries": ", ".join(f"{lib} {metadata.version(lib)}" for lib in _LIBRARIES),
        "cross_validation": {one.outcome: evaluation_document(one) for one in found},
        "challenger": {one.outcome: evaluation_document(one) for one in rivals},
    }
    files: dict[str, str | bytes] = {
        TRAINING_FILE: json.dumps(training, indent=1, allow_nan=False) + "\n",
        "card.md": card(model, training),
    }
    if can_plot():
        for one in found:
            drawn = curves(cohort, outcome_named(one.outcome), one.p)
            title = f"{model.name}, {one.outcome}: {one.how}"
            files[f"plots-{one.outcome}.svg"] = plot(outcome_named(one.outcome), drawn, title)
    sha256 = write_model(folder, model, files)
    return Trained(model, sha256, tuple(found), rivals, left_out, can_plot())


def refresh_card(folder: Path, model: RiskModel) -> None:
    """Write `card.md` anew from the documents of a model folder. Raises `ModelError`."""
    documents = read_documents(folder, Path(TRAINING_FILE).stem)
    if not documents:
        raise ModelError(f"{folder} has no {TRAINING_FILE} beside its {MODEL_FILE}")
    with replacing(folder / "card.md") as temporary:
        text = card(model, documents[0], read_documents(folder, "evaluation-"))
        temporary.write_text(text, encoding="utf-8")


def _range(cohort: Cohort, name: str) -> str:
    values = cohort.columns.get(name)
    if values is None or np.isnan(values).all():
        return "not known"
    return f"{np.nanmin(values):g} to {np.nanmax(values):g}"


def _missing(cohort: Cohort) -> dict[str, float]:
    """Share of patients without a value, by factor."""
    return {
        name: float(np.mean(values == "" if values.dtype.kind in "UO" else np.isnan(values)))
        for name, values in cohort.columns.items()
    }


def _sources() -> str:
    """sha256 over the sources that a model depends on."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted((*root.glob("matching/fit/*.py"), *root.glob("matching/risk/*.py"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _lock() -> str:
    """sha256 of requirements.lock, where the program runs from its sources."""
    if not _LOCK.is_file():
        return "not at hand"
    return "sha256 " + hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:12]
