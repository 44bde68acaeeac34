"""The risk models that can be used here, and their cards."""

from __future__ import annotations

from contextlib import suppress

from data.model_card import card
from data.models import (
    CURRENT,
    LITERATURE,
    active_hash,
    find_model,
    model_documents,
    model_hash,
    model_label,
    promoted_hashes,
)
from matching.errors import ModelError
from matching.risk import RiskModel
from service.answering import provenance
from service.convert.names import RISK_MODELS, identifier_of
from service.pages import page_of
from service.pb.graftmatch.v1 import risk_models_pb2
from service.snapshot import Snapshot
from service.status import NotFoundError


def list_risk_models_answer(
    snapshot: Snapshot, message: risk_models_pb2.ListRiskModelsRequest
) -> risk_models_pb2.ListRiskModelsResponse:
    """Raises `RequestError` and `ModelError`."""
    hashes = promoted_hashes(snapshot.home.models)
    keys, token = page_of(message, (LITERATURE, *hashes), "the list of models", " ".join(hashes))
    in_use = active_hash(snapshot.home.models)
    models = []
    for key in keys:
        found = risk_models_pb2.RiskModel(
            name=RISK_MODELS + key, sha256=key, in_use=key == in_use, damaged=True
        )
        with suppress(ModelError):
            found = _model(key, find_model(snapshot.home.models, key)[0], in_use)
        models.append(found)
    return risk_models_pb2.ListRiskModelsResponse(
        provenance=provenance(snapshot), models=models, next_page_token=token
    )


def get_risk_model_answer(
    snapshot: Snapshot, message: risk_models_pb2.GetRiskModelRequest
) -> risk_models_pb2.GetRiskModelResponse:
    """Raises `RequestError`, `NotFoundError` and `ModelError`."""
    key = identifier_of(message.name, RISK_MODELS)
    if key == CURRENT:
        key = active_hash(snapshot.home.models)
    if key not in (LITERATURE, *promoted_hashes(snapshot.home.models)):
        raise NotFoundError("no such risk model was ever in use here")
    model, folder = find_model(snapshot.home.models, key)
    answered = provenance(snapshot)
    answered.model = model_label(model)
    return risk_models_pb2.GetRiskModelResponse(
        provenance=answered,
        model=_model(key, model, active_hash(snapshot.home.models)),
        card=card(model, *model_documents(folder)),
    )


def _model(key: str, model: RiskModel, in_use: str) -> risk_models_pb2.RiskModel:
    return risk_models_pb2.RiskModel(
        name=RISK_MODELS + key,
        display_name=model.name,
        sha256=model_hash(model),
        kind=model.kind,
        trained_on=model.trained_on,
        outcomes=[
            risk_models_pb2.ModelOutcome(
                outcome=one.name,
                horizon_days=one.horizon_days,
                factors=[factor.name for factor in one.factors],
            )
            for one in model.outcomes
        ],
        in_use=key == in_use,
    )
