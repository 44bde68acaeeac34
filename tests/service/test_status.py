"""Every error has a status, and a caller is told what it can correct and nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import grpc
import pytest
from google.rpc import error_details_pb2

import data
import matching
import service
from matching.errors import GraftmatchError, StoreError, UnknownNameError
from service.calls import CallEndedError
from service.status import (
    MAX_REASON_CHARACTERS,
    MAX_VIOLATIONS,
    STATUS,
    EmptyRegistryError,
    NotReadyError,
    RequestError,
    Violation,
    code_of,
    status_of,
)


def _all_errors() -> list[type[GraftmatchError]]:
    for package in (matching, data, service):
        _import_all(package)
    found: list[type[GraftmatchError]] = []
    todo = [GraftmatchError]
    while todo:
        subclasses = todo.pop().__subclasses__()
        found += subclasses
        todo += subclasses
    return sorted(found, key=lambda kind: kind.__name__)


def _import_all(package: ModuleType) -> None:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)


@pytest.mark.parametrize("kind", _all_errors())
def test_every_error_is_in_the_table(kind: type[GraftmatchError]) -> None:
    assert any(base in STATUS for base in kind.__mro__), kind


def test_the_nearest_class_decides() -> None:
    assert code_of(StoreError("x")) is grpc.StatusCode.UNAVAILABLE
    assert code_of(EmptyRegistryError("x")) is grpc.StatusCode.FAILED_PRECONDITION
    assert code_of(UnknownNameError("A", "x", "y")) is grpc.StatusCode.INVALID_ARGUMENT
    assert code_of(ZeroDivisionError()) is grpc.StatusCode.INTERNAL


def test_the_servers_own_trouble_is_not_told() -> None:
    status = status_of(StoreError("/srv/secret/donors.sqlite: damaged"))
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert "secret" not in status.message and not status.details
    # Nothing of it is in these, and a caller can wait, or see to it.
    for error in (NotReadyError("still reading"), CallEndedError("the answer is not read")):
        assert status_of(error).message == str(error)
    assert status_of(RequestError([Violation("", "no message")])).message == "no message"


def test_violations_are_in_the_details_and_bounded() -> None:
    error = RequestError([Violation(f"f{i}", "x" * 9000) for i in range(1000)])
    status = status_of(error)
    bad = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(bad)
    assert len(bad.field_violations) == MAX_VIOLATIONS
    assert len(bad.field_violations[0].description) == MAX_REASON_CHARACTERS
    assert status.ByteSize() < 8192 and "999 more" in str(error)
