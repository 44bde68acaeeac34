"""The wire contract: lint, generated code, and enums that follow ours."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from google.protobuf.internal.enum_type_wrapper import EnumTypeWrapper

from matching.allocate import Objective, Reason, Status
from matching.antibodies import Answer
from matching.cord import CordRule
from matching.immunogenetics import TceCategory
from matching.risk import Known
from service.generate import GENERATED, drift, with_our_prefix
from service.pb.graftmatch.v1 import antibodies_pb2, common_pb2, cord_pb2, graftmatch_pb2
from tests.conftest import PROJECT


def test_the_committed_code_is_what_is_generated() -> None:
    assert drift() == []


def test_drift_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "pb"
    shutil.copytree(GENERATED, copy, ignore=shutil.ignore_patterns("__pycache__"))
    changed, removed, added = (
        copy / "graftmatch" / "v1" / name
        for name in ("common_pb2.py", "graftmatch_pb2.pyi", "old_pb2.py")
    )
    changed.write_text(changed.read_text() + "#")
    removed.unlink()
    added.touch()
    assert [Path(name).name for name in drift(copy)] == [
        "common_pb2.py",
        "graftmatch_pb2.pyi",
        "old_pb2.py",
    ]


def test_imports_get_our_prefix_and_nothing_else_changes() -> None:
    source = "from graftmatch.v1 import a_pb2 as x\n# source: graftmatch/v1/a.proto\nimport grpc\n"
    assert with_our_prefix(source) == source.replace(
        "from graftmatch", "from service.pb.graftmatch"
    )


def test_buf_lints_the_protos() -> None:
    buf = Path(sys.executable).parent / "buf"
    linted = subprocess.run([buf, "lint"], cwd=PROJECT, capture_output=True, text=True, check=False)
    assert linted.returncode == 0, linted.stdout


def test_every_value_of_ours_is_on_the_wire() -> None:
    for ours, prefix, wire in (
        (TceCategory, "DPB1_TCE", common_pb2.Dpb1Tce),
        (Known, "KNOWN", graftmatch_pb2.Known),
        (Status, "ALLOCATION_STATUS", graftmatch_pb2.AllocationStatus),
        (Objective, "ALLOCATION_OBJECTIVE", graftmatch_pb2.AllocationObjective),
        (Reason, "ALLOCATION_REASON", graftmatch_pb2.AllocationReason),
        (Answer, "CROSSMATCH_ANSWER", antibodies_pb2.CrossmatchAnswer),
        (CordRule, "CORD_RULE", cord_pb2.CordRule),
    ):
        assert isinstance(wire, EnumTypeWrapper)
        names = {f"{prefix}_{value.name}" for value in ours}
        assert names | {f"{prefix}_UNSPECIFIED"} == set(wire.keys())
