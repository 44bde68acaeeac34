"""Releases, reductions and risk models over a real channel."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from data.literature import literature_model
from data.model_card import card
from data.models import add_file, model_hash, model_label, promote, write_model
from data.nomenclature import DEMO_RELEASE, ReferenceFolder
from matching.nomenclature import Nomenclature
from matching.reduction import Level, reduce_gl
from matching.risk import RiskModel
from service.config import Settings
from service.pb.graftmatch.v1 import graftmatch_pb2, nomenclature_pb2, risk_models_pb2
from service.snapshot import Snapshot, load_snapshot
from tests.service.serving import PATIENT, running, stub_of
from tests.service.test_server_pairs import violations


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """Two models that were promoted, of which the second is in use."""
    store, literature = tmp_path / "home" / "models", literature_model()
    before = model_hash(literature)
    for name, n in (("first", 1), ("second", 2)):
        model = RiskModel(name, "fitted", literature.outcomes[:n], "ab" * 32)
        digest = write_model(tmp_path / name, model, {})
        add_file(tmp_path / name, "evaluation-1.json", {"model": digest, "cohort": "cd" * 32})
        add_file(tmp_path / name, "comparison-1.json", {"first": digest, "second": before})
        before = promote(store, str(tmp_path / name))
    return store


@pytest.fixture
def own_stub(tmp_path: Path) -> Iterator[Any]:
    """Of a server of a home folder without donors."""
    snapshot = load_snapshot(Settings(home=tmp_path / "home"), DEMO_RELEASE)
    with running(snapshot) as address, grpc.insecure_channel(address) as channel:
        yield stub_of(channel)


@pytest.mark.parametrize("level", list(Level))
def test_a_typing_is_reduced(stub: Any, demo: Nomenclature, level: Level) -> None:
    request = nomenclature_pb2.ReduceTypingRequest(typing=PATIENT, level=level.value)
    answer = stub.ReduceTyping(request)
    assert answer.reduced == reduce_gl(PATIENT, level, demo)
    explained = graftmatch_pb2.ExplainTypingRequest(typing=PATIENT, reduce_to=level.value)
    assert stub.ExplainTyping(explained).reduced == answer.reduced
    assert answer.provenance.release == "demo" and answer.provenance.model


@pytest.mark.parametrize(
    ("fields", "field", "reason"),
    [
        ({"typing": PATIENT}, "level", "must be one of G, P"),
        ({"typing": PATIENT, "level": "p"}, "level", "must be one of G, P"),
        ({"typing": "A*01:01+", "level": "P"}, "typing", "only one of two positions"),
        ({"typing": "", "level": "P"}, "typing", "locus"),
        ({"typing": "A" * 100_001, "level": "P"}, "typing", "longer than"),
        ({"typing": PATIENT, "level": "P", "release": "3.1.0"}, "release", "not installed"),
        ({"typing": f"hla#3.1.0#{PATIENT}", "level": "P"}, "typing", "not installed"),
    ],
)
def test_what_cannot_be_reduced(stub: Any, fields: dict[str, Any], field: str, reason: str) -> None:
    request = nomenclature_pb2.ReduceTypingRequest(**fields)
    found = violations(lambda: stub.ReduceTyping(request))
    assert list(found) == [field] and reason in found[field]


def test_the_embedded_release_is_listed(stub: Any, demo: Nomenclature) -> None:
    answer = stub.ListReleases(nomenclature_pb2.ListReleasesRequest())
    (release,) = answer.releases
    assert (release.name, release.release, release.in_use) == ("releases/demo", "demo", True)
    assert release.n_alleles == len(demo.alleles) and not release.damaged
    assert answer.provenance.release == "demo" and not answer.next_page_token
    for fields in ({"page_size": 1001}, {"page_token": "x"}):
        request = nomenclature_pb2.ListReleasesRequest(**fields)
        assert list(violations(partial(stub.ListReleases, request))) == list(fields)


def test_installed_releases_are_listed(reference: ReferenceFolder, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(reference.root, home / "reference")
    snapshot = load_snapshot(Settings(home=home))
    (home / "reference" / "3.9.0").mkdir()
    typing = "A*01:01+A*02:01"
    with running(snapshot) as address, grpc.insecure_channel(address) as channel:
        stub = stub_of(channel)
        answer = stub.ListReleases(nomenclature_pb2.ListReleasesRequest())
        damaged, release = answer.releases
        assert (damaged.release, damaged.damaged, damaged.in_use) == ("3.9.0", True, False)
        assert (release.name, release.in_use) == ("releases/3.58.0", True)
        assert release.n_alleles == len(snapshot.nomenclature.alleles)
        assert release.n_proteins == len(snapshot.proteins) and not release.damaged
        request = nomenclature_pb2.ListReleasesRequest(page_size=1)
        first = stub.ListReleases(request)
        request.page_token = first.next_page_token
        second = stub.ListReleases(request)
        assert [*first.releases, *second.releases] == [damaged, release]
        assert first.next_page_token and not second.next_page_token
        reduction = nomenclature_pb2.ReduceTypingRequest(typing=typing, level="S")
        assert stub.ReduceTyping(reduction).reduced == "A1+A2"
        reduction.release, reduction.level = "demo", "P"
        assert stub.ReduceTyping(reduction).provenance.release == "demo"
        reduction.release = "3.9.0"
        with pytest.raises(grpc.RpcError) as refused:
            stub.ReduceTyping(reduction)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        shutil.rmtree(home / "reference" / "3.9.0")
        found = violations(lambda: stub.ListReleases(request))
        assert "the list of releases changed since" in found["page_token"]


def test_the_literature_model_and_its_card(stub: Any, snapshot: Snapshot) -> None:
    (model,) = stub.ListRiskModels(risk_models_pb2.ListRiskModelsRequest()).models
    literature = literature_model()
    assert (model.name, model.display_name) == ("riskModels/literature", literature.name)
    assert (model.kind, model.sha256) == ("literature", model_hash(literature))
    assert model.in_use and not model.damaged and not model.trained_on
    assert [one.outcome for one in model.outcomes] == [one.name for one in literature.outcomes]
    assert "hla_match" in model.outcomes[0].factors
    for name in ("riskModels/literature", "riskModels/current"):
        answer = stub.GetRiskModel(risk_models_pb2.GetRiskModelRequest(name=name))
        assert answer.model == model and answer.card == card(literature)
        assert answer.provenance.model == snapshot.model_label
    for fields in ({"page_size": 1001}, {"page_token": "x"}):
        request = risk_models_pb2.ListRiskModelsRequest(**fields)
        assert list(violations(partial(stub.ListRiskModels, request))) == list(fields)


def test_promoted_models(models: Path, own_stub: Any, tmp_path: Path) -> None:
    listed = own_stub.ListRiskModels(risk_models_pb2.ListRiskModelsRequest())
    by_name = {model.display_name: model for model in listed.models}
    assert listed.models[0].display_name == literature_model().name
    assert {name: model.in_use for name, model in by_name.items()} == {
        literature_model().name: False,
        "first": False,
        "second": True,
    }
    assert by_name["first"].trained_on == "ab" * 32
    first = by_name["first"]
    assert first.name == f"riskModels/{first.sha256}" and len(first.outcomes) == 1
    answer = own_stub.GetRiskModel(risk_models_pb2.GetRiskModelRequest(name=first.name))
    assert answer.model == first and answer.card.startswith("# Risk model first")
    assert answer.provenance.model == f"first@{first.sha256[:8]}"
    request = risk_models_pb2.GetRiskModelRequest(name="riskModels/current")
    current = own_stub.GetRiskModel(request)
    assert current.model == by_name["second"] and listed.provenance == current.provenance
    pages: list[Any] = []
    token = ""
    while not pages or token:
        page = own_stub.ListRiskModels(
            risk_models_pb2.ListRiskModelsRequest(page_size=1, page_token=token)
        )
        pages += page.models
        token = page.next_page_token
    assert pages == list(listed.models)
    # A damaged one is in the list, and cannot be read.
    (models / first.sha256 / "model.json").write_text("{}")
    again = own_stub.ListRiskModels(risk_models_pb2.ListRiskModelsRequest())
    damaged = [model for model in again.models if model.damaged]
    assert [model.name for model in damaged] == [first.name]
    with pytest.raises(grpc.RpcError) as refused:
        own_stub.GetRiskModel(risk_models_pb2.GetRiskModelRequest(name=first.name))
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert str(models) not in refused.value.details()


def test_models_that_are_not_there(models: Path, own_stub: Any, tmp_path: Path) -> None:
    folder = str(tmp_path / "first").replace("/", "%2F")
    for key in ("0" * 64, "x", ".", "..", folder, model_label(literature_model()), "a" * 8):
        request = risk_models_pb2.GetRiskModelRequest(name=f"riskModels/{key}")
        with pytest.raises(grpc.RpcError) as refused:
            own_stub.GetRiskModel(request)
        if "@" in key:
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        else:
            assert refused.value.code() is grpc.StatusCode.NOT_FOUND, key
    for name in ("", "literature", "riskModels/", "donors/literature", "riskModels/a/b"):
        request = risk_models_pb2.GetRiskModelRequest(name=name)
        assert list(violations(partial(own_stub.GetRiskModel, request))) == ["name"]
