"""Model files, the active model, and the literature model against the table it is taken from."""

from __future__ import annotations

import csv
import json
import os
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from data.cohort import read_cohort
from data.evaluations import evaluation_document
from data.literature import LITERATURE_FIGURES, literature_model
from data.model_card import card
from data.models import (
    CURRENT,
    active_model,
    add_file,
    find_model,
    load_model,
    model_hash,
    model_text,
    parse_model,
    promote,
    rollback,
    write_model,
)
from data.plots import plot
from data.synthetic_cohort import write_synthetic_cohort
from data.training import train_into
from matching.errors import GraftmatchError, ModelError
from matching.fit import curves, evaluate
from matching.risk import OUTCOMES, VARIABLES, RiskModel, predict, spread_of_effects

PUBLIC_STUDY = re.compile(r"\b(DS|CK|IB|IN|LY|GV|GS)\d{4}\b")
GVHD = re.compile(r"GVHD|all endpoints")
Row = dict[str, str]
# What the effects scatter beyond their standard errors, as the model says.
SPREAD = 0.43
SIDES = tuple(f"{side}{end}" for side in ("from", "to") for end in ("", "_low", "_high"))


@pytest.fixture(scope="module")
def figures() -> Any:
    return json.loads(LITERATURE_FIGURES.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def effects(shared: Path) -> list[Row]:
    """The rows of effects.csv: the file `GRAFTMATCH_EFFECTS` names, or the shared one."""
    path = Path(os.environ.get("GRAFTMATCH_EFFECTS", shared / "cohorts" / "effects.csv"))
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def find(effects: list[Row], key: list[str]) -> Row:
    found = [
        row for row in effects if [row["predictor"], row["contrast"], row["endpoint"]] == list(key)
    ]
    assert len(found) == 1, (key, len(found))
    return found[0]


def may_be_carried(row: Row) -> bool:
    return not PUBLIC_STUDY.search(row["citation"]) and "computed" not in row["verified"]


def verified(row: Row) -> bool:
    return row["verified"].startswith("verified in source")


def test_every_carried_figure_stands_in_a_verified_row_with_its_citation(
    figures: Any, effects: list[Row]
) -> None:
    n_figures = 0
    for entry in [*figures["baselines"], *figures["effects"]]:
        rows = [find(effects, key) for key in entry["rows"]]
        numbers: list[float] = []
        for row in rows:
            assert may_be_carried(row), row
            assert row["citation"] == entry["citation"]
            # What nobody could look up has at least twice its standard error.
            assert verified(row) or (entry["memory"] and entry["widen"] >= 2), row
            texts = (row["estimate"], row["lo"], row["hi"], row["contrast"])
            numbers += [float(x) for x in re.findall(r"\d+(?:\.\d+)?", " ".join(texts))]
        for key in ("percent", "estimate", "low", "high", *SIDES):
            if entry.get(key) is not None:
                assert entry[key] in numbers, (entry, key)
                n_figures += 1
        if entry.get("type") not in (None, "incidences"):
            (row,) = rows
            assert entry["type"] == row["effect_type"]
            assert float(row["estimate"]) == entry["estimate"]
            for key, column in (("low", "lo"), ("high", "hi")):
                assert (float(row[column]) if row[column] else None) == entry[key]
            assert row["n"] == entry["n"]
    assert n_figures > 50


def test_every_verified_figure_on_gvhd_is_carried_or_left_out_with_a_reason(
    figures: Any, effects: list[Row]
) -> None:
    carried = {tuple(key) for e in figures["baselines"] + figures["effects"] for key in e["rows"]}
    left_out = {tuple(key) for entry in figures["left_out"] for key in entry["rows"]}
    assert not carried & left_out
    assert all(len(entry["reason"]) > 10 for entry in figures["left_out"])
    for row in effects:
        figure = row["estimate"] or row["effect_type"] == "percent"
        wanted = GVHD.search(row["endpoint"]) and "mortality" not in row["endpoint"]
        if not (may_be_carried(row) and verified(row) and figure and wanted):
            continue
        assert (row["predictor"], row["contrast"], row["endpoint"]) in carried | left_out, row
    for key in left_out:
        assert may_be_carried(find(effects, list(key)))


def test_the_literature_model_knows_the_variables_and_no_forbidden_source(figures: Any) -> None:
    levels = {variable.name: variable.levels for variable in VARIABLES}
    model = literature_model()
    assert [outcome.name for outcome in model.outcomes] == [o.name for o in OUTCOMES[:3]]
    for outcome in model.outcomes:
        for factor in outcome.factors:
            named = {name for group in factor.levels for name in group}
            assert factor.bands or named <= set(levels[factor.name])
    text = LITERATURE_FIGURES.read_text(encoding="utf-8")
    assert "computed" not in text
    assert not PUBLIC_STUDY.search(text)


def test_standard_errors_are_published_or_wide_and_doubled_where_they_must_be(
    figures: Any,
) -> None:
    model = literature_model()
    for outcome in model.outcomes:
        errors = np.sqrt(np.diag(outcome.covariance))
        assert errors[0] >= 0.5
        for label, reference, error in zip(
            outcome.labels, outcome.references, errors[1:], strict=True
        ):
            sources = reference.split(" | ")
            published = any(re.search(r"\([\d.]+-[\d.]+\)", source) for source in sources)
            assert published or error >= 0.5 / np.sqrt(len(sources)), label
    for effect in figures["effects"]:
        assert ("widen" in effect) == ("memory" in effect or "conflict" in effect or (
            effect["outcome"] == "agvhd_3_4" and "stands in" in effect.get("note", "")
        ))  # fmt: skip
        assert effect.get("widen", 2) in (2, 4)


def test_figures_of_one_contrast_are_pooled_by_inverse_variance() -> None:
    # By hand, for ATG and chronic GVHD at a baseline of 42 %: two figures without an interval
    # (0.5, doubled) and one with.
    def logit(p: float) -> float:
        return float(np.log(p / (1 - p)))

    betas = [
        logit(1 - 0.58 ** (np.log(0.678) / np.log(0.313))),
        logit(1 - 0.58 ** (np.log(0.60) / np.log(0.48))),
        logit(1 - 0.58**0.41),
    ]
    kroger = np.hypot(logit(0.467) - logit(0.221), logit(0.807) - logit(0.584)) / 3.919928
    weights = np.array([(2 * kroger) ** -2, 1, 1])
    outcome = literature_model().outcome("cgvhd")
    i = outcome.labels.index("atg: yes")
    published = weights @ (np.array(betas) - logit(0.42)) / weights.sum()
    assert outcome.references[i].startswith(f"published {published:.3f}: ")
    expected = published * SPREAD**2 / (SPREAD**2 + 1 / weights.sum())
    assert outcome.coefficients[1 + i] == pytest.approx(expected, abs=1e-4)
    assert outcome.covariance[1 + i, 1 + i] == pytest.approx(1 / weights.sum(), rel=1e-4)


def test_the_spread_of_effects_is_that_of_the_published_log_odds() -> None:
    model = literature_model()
    errors = np.sqrt(np.concatenate([np.diag(one.covariance)[1:] for one in model.outcomes]))
    texts = [text for one in model.outcomes for text in one.references]
    betas = np.array([float(re.match(r"published (-?[\d.]+): ", t)[1]) for t in texts])  # type: ignore[index]
    assert spread_of_effects(betas, errors) == pytest.approx(SPREAD, abs=0.005)
    coefficients = np.concatenate([one.coefficients[1:] for one in model.outcomes])
    assert coefficients == pytest.approx(betas * SPREAD**2 / (SPREAD**2 + errors**2), abs=0.001)
    assert f"standard deviation of {SPREAD} " in model.notes[0]


def test_the_literature_model_gives_back_the_incidences_it_is_made_of() -> None:
    model = literature_model()
    reference = predict(model.outcome("agvhd_2_4"), {}, 1)
    assert reference.probability[0] == pytest.approx(0.45)
    columns = {"hla_match": np.array(["10/10", "9/10 class I", "9/10 class I, PBM-GVH mismatched"])}
    found = predict(model.outcome("agvhd_3_4"), columns, 3).probability
    # 25 % has no interval (0.5); the hazard ratio has one, 1.54 to 2.04.
    limits = [np.log(p / (1 - p)) for p in (1 - 0.84**1.54, 1 - 0.84**2.04)]
    for p, published, error in (
        (found[1], 0.25, 0.5),
        (found[2], 1 - 0.84**1.77, (limits[1] - limits[0]) / 3.919928),
    ):
        beta = np.log(published / (1 - published)) - np.log(0.16 / 0.84)
        beta *= SPREAD**2 / (SPREAD**2 + error**2)
        assert np.log(p / (1 - p)) - np.log(0.16 / 0.84) == pytest.approx(beta, abs=1e-5)
    older = predict(model.outcome("cgvhd"), {"donor_age_years": np.array([50.0])}, 1)
    # 49 % against 44 % at two years, carried to a baseline of 42 % as a hazard ratio.
    published = 1 - 0.58 ** (np.log(0.51) / np.log(0.56))
    assert 0.42 < older.probability[0] < published


def test_the_card_names_baselines_errors_and_what_was_left_out(figures: Any) -> None:
    text = card(literature_model())
    assert text.count("time point not stated") >= 3
    for entry in figures["left_out"]:
        assert entry["reason"] in text
    for effect in figures["effects"]:
        assert effect["citation"] in text


def test_the_shipped_card_is_that_of_the_model() -> None:
    shipped = LITERATURE_FIGURES.with_name("literature_card.md").read_text(encoding="utf-8")
    assert shipped == card(literature_model()), "write card(literature_model()) to the file"


def test_a_model_comes_back_as_it_was(tmp_path: Path) -> None:
    model = literature_model()
    sha256 = write_model(tmp_path / "m", model, {"note.txt": "x"})
    assert (tmp_path / "m" / "note.txt").read_text() == "x"
    back = load_model(tmp_path / "m" / "model.json")
    assert model_hash(back) == sha256 == model_hash(model)
    for first, second in zip(model.outcomes, back.outcomes, strict=True):
        assert first.factors == second.factors
        assert np.array_equal(first.coefficients, second.coefficients)
        assert np.array_equal(first.covariance, second.covariance)


def test_a_folder_of_other_things_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(ModelError, match="holds other files"):
        write_model(tmp_path, literature_model(), {})
    assert (tmp_path / "thesis.txt").exists()


def rehashed(change: Callable[[Any], None]) -> Any:
    """A model file whose content is changed and whose hash agrees."""
    from data.models import _hash, model_document

    body = model_document(literature_model())
    change(body)
    return {"schema": 2, "sha256": _hash(body), "model": body}


def test_a_changed_or_foreign_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    good = model_text(literature_model())
    for text, message in (
        (good.replace("-0.2", "-0.3", 1), "changed or damaged"),
        (good.replace('"schema": 2', '"schema": 1', 1), "has schema 1"),
        (good.replace('"schema": 2', '"schema": true', 1), "has schema True"),
        (good[:-50], "cannot read the model"),
        ("[]", "is not a risk model"),
        ("[" * 100_000, "cannot read the model"),
        ('{"schema": 2, "sha256": "", "model": {"a": NaN}}', "not finite"),
        ('{"schema": 2}', "changed or damaged"),
    ):
        path.write_text(text)
        with pytest.raises(ModelError, match=message):
            load_model(path)
    path.write_bytes(pickle.dumps({"schema": 2}))
    with pytest.raises(ModelError, match="pickles are never read"):
        load_model(path)
    path.unlink()
    with pytest.raises(ModelError, match="cannot read the model") as caught:
        load_model(path)
    assert isinstance(caught.value, GraftmatchError)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("outcomes"),
        lambda body: body.update(outcomes=[]),
        lambda body: body.update(kind="other"),
        lambda body: body.update(name=3),
        lambda body: body["outcomes"].append(3),
        lambda body: body["outcomes"][0]["centre"].pop(),
        lambda body: body["outcomes"][0]["coefficients"].pop(),
        lambda body: body["outcomes"][0]["coefficients"].__setitem__(0, "x"),
        lambda body: body["outcomes"][0]["covariance"].pop(),
        lambda body: body["outcomes"][0]["covariance"][0].pop(),
        lambda body: body["outcomes"][0]["covariance"][0].__setitem__(1, 9.0),
        lambda body: body["outcomes"][0]["factors"].pop(),
        lambda body: body["outcomes"][0]["factors"][0].update(levels="abc"),
        lambda body: body["outcomes"][0].update(horizon_days=-1),
    ],
)
def test_a_file_whose_hash_agrees_is_still_validated(change: Callable[[Any], None]) -> None:
    with pytest.raises(ModelError):
        parse_model(rehashed(change), "m.json")


def ready(folder: Path, store: Path, name: str) -> tuple[RiskModel, str]:
    """A model folder with an evaluation on other data and a comparison with the current model."""
    model = RiskModel(name, "fitted", literature_model().outcomes[:1], "ab" * 32)
    digest = write_model(folder, model, {"card.md": "card"})
    current = model_hash(active_model(store))
    add_file(folder, "evaluation-1.json", {"model": digest, "cohort": "cd" * 32})
    add_file(folder, "comparison-1.json", {"first": digest, "second": current})
    return model, digest


def test_promoting_keeps_the_model_and_rolling_back_returns_to_the_one_before(
    tmp_path: Path,
) -> None:
    store = tmp_path / "store"
    with pytest.raises(ModelError, match="no model to go back to"):
        rollback(store)
    _, first = ready(tmp_path / "a", store, "first")
    assert promote(store, str(tmp_path / "a")) == first
    assert active_model(store).name == "first"
    assert (store / first / "card.md").read_text() == "card"
    _, second = ready(tmp_path / "b", store, "second")
    assert promote(store, str(tmp_path / "b")) == second
    assert rollback(store) == first and active_model(store).name == "first"
    assert rollback(store) == second
    # A promoted model is found by its hash, and stays promotable.
    assert find_model(store, second[:12])[0].name == "second"
    assert promote(store, "literature") == model_hash(literature_model())
    assert active_model(store).kind == "literature"
    assert rollback(store) == second


def test_promotion_needs_an_evaluation_on_unseen_data_and_a_comparison(tmp_path: Path) -> None:
    store, folder = tmp_path / "store", tmp_path / "m"
    model, digest = ready(folder, store, "mine")
    (folder / "evaluation-1.json").unlink()
    for document in (
        {"model": digest, "cohort": model.trained_on},
        {"model": "ef" * 32, "cohort": "cd" * 32},
        {"model": digest, "cohort": ""},
    ):
        add_file(folder, "evaluation-1.json", document)
        with pytest.raises(ModelError, match="no evaluation on data that it has not seen"):
            promote(store, str(folder))
    add_file(folder, "evaluation-1.json", {"model": digest, "cohort": "cd" * 32})
    add_file(folder, "comparison-1.json", {"first": digest, "second": "ef" * 32})
    with pytest.raises(ModelError, match="was not compared with the model in use"):
        promote(store, str(folder))
    (folder / "comparison-1.json").write_text("[]")
    with pytest.raises(ModelError, match="is not an object"):
        promote(store, str(folder))
    assert active_model(store).kind == "literature"


def test_what_cannot_be_promoted_leaves_the_active_model(tmp_path: Path) -> None:
    store = tmp_path / "store"
    _, digest = ready(tmp_path / "a", store, "first")
    promote(store, str(tmp_path / "a"))
    for which in ("0" * 64, "", "*", "../x", digest[:4]):
        with pytest.raises(ModelError, match="no model"):
            promote(store, which)
    ready(tmp_path / "b", store, "second")
    text = (tmp_path / "b" / "model.json").read_text()
    (store / digest / "model.json").write_text(text)
    with pytest.raises(ModelError, match="another model"):
        promote(store, digest)
    with pytest.raises(ModelError, match="another model"):
        find_model(store, CURRENT)
    (store / "active.json").write_text("{}")
    with pytest.raises(ModelError, match="does not name a model"):
        active_model(store)


def test_the_interval_of_a_prediction_holds_its_standard_errors() -> None:
    outcome = literature_model().outcome("cgvhd")
    i = 1 + outcome.labels.index("atg: yes")
    found = predict(outcome, {"atg": np.array(["yes", "no"])}, 2)
    width = np.log(found.high / (1 - found.high)) - np.log(found.low / (1 - found.low))
    variance = [0.25 + outcome.covariance[i, i], 0.25]
    assert width == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=1e-4)
    assert found.probability[1] == pytest.approx(float(expit(np.log(0.42 / 0.58))))


def test_an_evaluation_as_json_has_the_agreed_keys(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    write_synthetic_cohort(path, 600, 1)
    (found, *_) = evaluate(read_cohort(path), literature_model(), 1, 20)
    document = json.loads(json.dumps(evaluation_document(found), allow_nan=False))
    keys = {
        *("auc", "auc_ci", "brier", "brier_null", "calibration_slope", "calibration_slope_ci"),
        *("calibration_intercept", "observed_expected", "observed_expected_ci", "n", "n_events"),
        "n_competing",
    }
    assert keys <= set(document)
    for group in document["by"]["age_group"].values():
        assert keys <= set(group)


def test_training_repeats_exactly_and_fills_the_card(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    write_synthetic_cohort(path, 500, 1)
    for name in ("a", "b"):
        cohort = read_cohort(path)
        made = train_into(
            tmp_path / name, cohort, "m", 1, ("cgvhd",), folds=3, resamples=20, challenge=False
        )
    for file in ("model.json", "training.json", "card.md"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    text = (tmp_path / "a" / "card.md").read_text()
    for number in range(1, 28):
        assert f"\n{number}. **" in text
    training = json.loads((tmp_path / "a" / "training.json").read_text())
    assert training["cohort"] == cohort.sha256 and training["seed"] == 1
    assert f"{training['cross_validation']['cgvhd']['auc']:.3f}" in text
    assert made.sha256 == model_hash(load_model(tmp_path / "a" / "model.json"))


def test_plots_are_the_curves_of_the_predictions(tmp_path: Path) -> None:
    path = tmp_path / "c.csv"
    write_synthetic_cohort(path, 2000, 1)
    cohort = read_cohort(path)
    (found,) = evaluate(cohort, literature_model(), 1, 2, outcomes=("cgvhd",))
    shown = curves(cohort, OUTCOMES[2], found.p)
    # The area under the plotted curve is the AUC, and the thirds end at their incidences.
    area = float(np.trapezoid(shown.roc[:, 1], shown.roc[:, 0]))
    assert area == pytest.approx(found["auc"], abs=0.01)
    assert shown.incidence[:, -1, 1].mean() == pytest.approx(found["observed"], abs=0.01)
    assert shown.calibration[:, 1].mean() == pytest.approx(found["observed"], abs=0.01)
    # At a threshold below every prediction the model treats all.
    assert shown.decision[0, 1] == pytest.approx(shown.decision[0, 2])
    drawn = plot(OUTCOMES[2], shown, "test")
    assert drawn.startswith(b"<?xml") and drawn == plot(OUTCOMES[2], shown, "test")
