"""Risk models as files, and which model is in use.

A model is a folder: `model.json` (`schema`, `sha256` of the model's canonical text, and `model`),
`training.json` (how it was made, with the nested cross-validation), `evaluation-*.json` and
`comparison-*.json` (what was found out since), `card.md` and plots. The model is a table of
numbers, so it is JSON: validated on load (schema, hash, shapes), and nothing in it is ever
executed. Pickles are refused like anything else that is not such a file.

The folder of models in use holds promoted models by hash; `active.json` names the one in use and
the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data.files import replacing, replacing_folder
from data.literature import literature_model
from matching.errors import ModelError
from matching.risk import MODEL_SCHEMA, Factor, OutcomeModel, RiskModel

LITERATURE = "literature"
CURRENT = "current"
MODEL_FILE = "model.json"
TRAINING_FILE = "training.json"
MAX_BYTES = 20_000_000
_ACTIVE = "active.json"
ModelsVersion = tuple[int, int] | None


def model_document(model: RiskModel) -> dict[str, Any]:
    """The model as plain values; floats round-trip exactly through JSON."""
    return {
        "name": model.name,
        "kind": model.kind,
        "trained_on": model.trained_on,
        "notes": list(model.notes),
        "outcomes": [
            {
                "name": outcome.name,
                "horizon_days": float(outcome.horizon_days),
                "baseline": outcome.baseline,
                "references": list(outcome.references),
                "centre": outcome.centre.tolist(),
                "spread": outcome.spread.tolist(),
                "coefficients": outcome.coefficients.tolist(),
                "covariance": outcome.covariance.tolist(),
                "factors": [_factor_document(factor) for factor in outcome.factors],
            }
            for outcome in model.outcomes
        ],
    }


def _factor_document(factor: Factor) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": factor.name,
        "levels": [list(group) for group in factor.levels],
        "bands": [float(bound) for bound in factor.bands],
        "unit": float(factor.unit),
    }
    # JSON has no infinity: a limit that is not there is left out.
    if np.isfinite(factor.low):
        document["low"] = float(factor.low)
    if np.isfinite(factor.high):
        document["high"] = float(factor.high)
    return document


def model_hash(model: RiskModel) -> str:
    """sha256 of the canonical text of a model (its sorted, compact JSON)."""
    return _hash(model_document(model))


def model_label(model: RiskModel) -> str:
    """Name and start of the hash, as every answer carries it."""
    return f"{model.name}@{model_hash(model)[:8]}"


def _hash(document: Any) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def model_text(model: RiskModel) -> str:
    """The text of a model file."""
    document = {
        "schema": model.schema,
        "sha256": model_hash(model),
        "model": model_document(model),
    }
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def load_model(path: Path) -> RiskModel:
    """Read a model file. Raises `ModelError` for another schema, a hash or shapes that differ."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than any model file")
        document = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{path} is no text, so no model: such a file is JSON, and pickles are never read"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read the model {path}: {error}") from error
    return parse_model(document, str(path))


def parse_model(document: Any, where: str) -> RiskModel:
    """A decoded model file -> `RiskModel`, validated."""
    if not isinstance(document, Mapping) or "schema" not in document:
        raise ModelError(f"{where} is not a risk model")
    if type(document["schema"]) is not int or document["schema"] != MODEL_SCHEMA:
        raise ModelError(
            f"{where} has schema {document['schema']!r}, this program reads {MODEL_SCHEMA}; "
            "train or export the model again with this version"
        )
    body: Any = document.get("model")
    try:
        found = _hash(body)
    except ValueError as error:
        raise ModelError(f"{where}: a value is not finite") from error
    if found != document.get("sha256"):
        raise ModelError(f"{where} does not agree with its sha256: it was changed or damaged")
    try:
        outcomes = tuple(_parse_outcome(outcome) for outcome in _list(body["outcomes"]))
        return RiskModel(
            _str(body["name"]),
            _str(body["kind"]),
            outcomes,
            _str(body["trained_on"]),
            _strings(body["notes"]),
        )
    except ModelError as error:
        raise ModelError(f"{where}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{where} is not a complete risk model: {error!r}") from error


def _parse_outcome(body: Any) -> OutcomeModel:
    return OutcomeModel(
        _str(body["name"]),
        float(body["horizon_days"]),
        tuple(_parse_factor(factor) for factor in _list(body["factors"])),
        _floats(body["centre"]),
        _floats(body["spread"]),
        _floats(body["coefficients"]),
        _floats(body["covariance"]),
        _str(body["baseline"]),
        _strings(body["references"]),
    )


def _parse_factor(body: Any) -> Factor:
    return Factor(
        _str(body["name"]),
        tuple(_strings(group) for group in _list(body["levels"])),
        tuple(float(bound) for bound in _list(body["bands"])),
        float(body["unit"]),
        float(body.get("low", float("-inf"))),
        float(body.get("high", float("inf"))),
    )


def _floats(value: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array(_list(value), dtype=np.float64)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return value


def _str(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _strings(value: Any) -> tuple[str, ...]:
    return tuple(_str(item) for item in _list(value))


def write_model(folder: Path, model: RiskModel, files: Mapping[str, str | bytes]) -> str:
    """Write a model folder with further files by name, as a whole; returns the hash.

    Raises `ModelError` where the folder holds something else, and `OutputError`.
    """
    if folder.exists() and not (folder / MODEL_FILE).is_file() and any(folder.iterdir()):
        raise ModelError(f"{folder} holds other files; name an empty folder or a new one")
    with replacing_folder(folder) as temporary:
        for name, content in {MODEL_FILE: model_text(model), **files}.items():
            data = content.encode() if isinstance(content, str) else content
            (temporary / name).write_bytes(data)
    return model_hash(model)


def add_file(folder: Path, name: str, document: Any) -> Path:
    """Write one more JSON file into a model folder, atomically. Raises `OutputError`."""
    with replacing(folder / name) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", "utf-8")
    return folder / name


def read_documents(folder: Path, prefix: str) -> list[dict[str, Any]]:
    """The JSON files of a folder whose names begin so, by name. Raises `ModelError`."""
    found = []
    for path in sorted(folder.glob(f"{prefix}*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ModelError(f"cannot read {path}: {error}") from error
        if not isinstance(document, dict):
            raise ModelError(f"{path} is not an object")
        found.append(document)
    return found


def promoted_hashes(store: Path) -> list[str]:
    """Every model that was ever promoted, by hash, ascending."""
    return sorted(path.parent.name for path in store.glob(f"*/{MODEL_FILE}"))


def model_documents(
    folder: Path | None,
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """How the model of a folder was made, None where that is not told, and its evaluations.

    Raises `ModelError`.
    """
    if folder is None:
        return None, []
    training = read_documents(folder, Path(TRAINING_FILE).stem)
    return training[0] if training else None, read_documents(folder, "evaluation-")


def find_model(store: Path, which: str) -> tuple[RiskModel, Path | None]:
    """A model and its folder: `literature` (no folder), `current`, a folder, or a hash of a
    promoted one (or the start of it, 8 or more digits).

    Raises `ModelError` if there is none or several such models.
    """
    if which == LITERATURE:
        return literature_model(), None
    if which == CURRENT:
        digest = active_hash(store)
        return (literature_model(), None) if digest == LITERATURE else find_model(store, digest)
    if (Path(which) / MODEL_FILE).is_file():
        return load_model(Path(which) / MODEL_FILE), Path(which)
    digits = len(which) >= 8 and all(c in "0123456789abcdef" for c in which)
    folders = sorted(store.glob(f"{which}*/{MODEL_FILE}")) if digits else []
    if len(folders) != 1:
        held = ", ".join(digest[:12] for digest in promoted_hashes(store))
        count = "no model" if not folders else "several models"
        raise ModelError(
            f"{count} {which!r}: it is neither a model folder nor in {store}, which holds "
            f"{LITERATURE}, {held or 'none'}"
        )
    model = load_model(folders[0])
    if model_hash(model) != folders[0].parent.name:
        raise ModelError(f"{folders[0]} holds another model than its folder says")
    return model, folders[0].parent


def promote(store: Path, which: str) -> str:
    """Put a model in use, atomically; returns its hash. The one in use before is kept.

    It needs an evaluation on a file that it was not fitted on, and a comparison with the model in
    use; the literature model, which is fitted on nothing, needs neither. Raises `ModelError` and
    `OutputError`.
    """
    model, folder = find_model(store, which)
    digest = model_hash(model)
    if folder is not None:
        evaluated = any(
            one.get("model") == digest and one.get("cohort") not in (None, "", model.trained_on)
            for one in read_documents(folder, "evaluation-")
        )
        if not evaluated:
            raise ModelError(
                f"model {model.name} has no evaluation on data that it has not seen; run: "
                f"graftmatch risk evaluate --model {which} --cohort FILE"
            )
        current, _ = find_model(store, CURRENT)
        compared = any(
            {one.get("first"), one.get("second")} == {digest, model_hash(current)}
            for one in read_documents(folder, "comparison-")
        )
        if not compared and digest != model_hash(current):
            raise ModelError(
                f"model {model.name} was not compared with the model in use; run: "
                f"graftmatch risk compare {which} current --cohort FILE"
            )
        if folder.parent != store:
            with replacing_folder(store / digest) as temporary:
                shutil.copytree(folder, temporary, dirs_exist_ok=True)
    _activate(store, LITERATURE if folder is None else digest, active_hash(store))
    return digest


def rollback(store: Path) -> str:
    """Put the model back that was in use before; returns its hash. Raises `ModelError`."""
    previous = _active(store).get("previous")
    if previous is None:
        raise ModelError("there is no model to go back to: none was promoted")
    model, _ = find_model(store, previous)
    _activate(store, previous, active_hash(store))
    return model_hash(model)


def _activate(store: Path, which: str, previous: str) -> None:
    document = {"schema": MODEL_SCHEMA, "sha256": which, "previous": previous}
    with replacing(store / _ACTIVE) as temporary:
        temporary.write_text(json.dumps(document) + "\n", "utf-8")


def _active(store: Path) -> dict[str, Any]:
    path = store / _ACTIVE
    if not path.exists():
        return {"sha256": LITERATURE}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        _str(document["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not name a model; promote one again") from error
    return dict(document)


def active_hash(store: Path) -> str:
    """Hash of the model in use, `literature` where none was promoted. Raises `ModelError`."""
    return str(_active(store)["sha256"])


def active_version(store: Path) -> ModelsVersion:
    """What changes when another model is put in use; cheap to ask for."""
    try:
        # Every call of the service asks, and another path takes longer to make than to look up.
        state = os.stat(f"{store}/{_ACTIVE}")
    except FileNotFoundError:
        return None
    return state.st_mtime_ns, state.st_ino


def active_model(store: Path) -> RiskModel:
    """The promoted model, or the literature's where none was. Raises `ModelError`."""
    return find_model(store, CURRENT)[0]
