"""What a server does before it answers."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from data.registry import Registry
from service import search_answers, servicers
from service.config import Settings
from service.pb.graftmatch.v1 import graftmatch_pb2 as pb
from service.server import warming
from service.snapshot import Snapshot, load_snapshot
from tests.conftest import PROJECT

# Each takes long to import, and only some other command or a rare call needs it.
SLOW = {"dask", "joblib", "matplotlib", "networkx", "ortools", "psycopg", "sklearn"}
STARTS = """
import sys
from pathlib import Path
import service.cli.serve, service.server.workers
from service.config import Settings
from service.server.warming import import_later, warm
from service.snapshot import load_snapshot
warm(load_snapshot(Settings(home=Path(sys.argv[1])), "demo"))
print(*sys.modules)
import_later()
print(*sys.modules)
"""


def test_what_the_first_calls_need_is_worked_out(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored: list[pb.ScorePairResponse] = []
    found: list[pb.SearchDonorsResponse] = []
    score, batch = servicers.score_pair_answer, search_answers.Search.batch

    def noted_score(*arguments: Any) -> pb.ScorePairResponse:
        scored.append(score(*arguments))
        return scored[-1]

    def noted_batch(*arguments: Any) -> pb.SearchDonorsResponse:
        found.append(batch(*arguments))
        return found[-1]

    monkeypatch.setattr(warming, "score_pair_answer", noted_score)
    monkeypatch.setattr(search_answers.Search, "batch", noted_batch)
    warming.warm(snapshot)
    (pair,), (page,) = scored, found
    assert pair.comparison.p10 >= 0 and pair.comparison.HasField("p10")
    assert len(pair.comparison.loci) > 0 and len(pair.risks) > 0
    assert page.found >= 0 and page.provenance == pair.provenance


def test_a_server_without_donors_or_frequencies_starts(snapshot: Snapshot, tmp_path: Any) -> None:
    empty = load_snapshot(Settings(home=tmp_path), "demo")
    assert empty.search is None and Registry(tmp_path / "registry").version() == ""
    warming.warm(empty)
    warming.warm(replace(snapshot, sets=None))


def test_frequencies_of_names_that_the_release_lacks_do_not_keep_it_from_starting(
    snapshot: Snapshot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(warming, "_people", lambda _: ("A*01:01+A*99:99", "A*01:01"))
    warming.warm(snapshot)


def test_nothing_slow_is_imported_before_something_needs_it(tmp_path: Any) -> None:
    command = [sys.executable, "-c", STARTS, str(tmp_path)]
    printed = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, check=True
    ).stdout
    imported, later = (set(line.split()) for line in printed.splitlines())
    assert {"grpc", "service.server.workers"} <= imported
    assert not imported & SLOW
    assert later & SLOW == {"networkx", "ortools"}
