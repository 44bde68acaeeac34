"""Generate `service/pb` from `proto/`, or check that it is what would be generated.

    python -m service.generate [--check]

For development only: needs grpcio-tools.
"""

from __future__ import annotations

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
PROTO = PROJECT / "proto"
GENERATED = PROJECT / "service" / "pb"
_SUFFIXES = (".py", ".pyi")


def with_our_prefix(source: str) -> str:
    """Generated imports start at the proto root; ours start at `service.pb`.

    >>> with_our_prefix("from graftmatch.v1 import common_pb2")
    'from service.pb.graftmatch.v1 import common_pb2'
    """
    return source.replace("from graftmatch.", "from service.pb.graftmatch.")


def generate(target: Path) -> None:
    """Generate modules and stubs below `target`, a package."""
    files = [str(path) for path in sorted(PROTO.rglob("*.proto"))]
    outputs = [f"--{kind}_out={target}" for kind in ("python", "pyi", "grpc_python")]
    target.mkdir(parents=True, exist_ok=True)
    # A process of its own: protoc beside OR-Tools in one crashes.
    protoc = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={PROTO}"]
    if subprocess.run([*protoc, *outputs, *files], check=False).returncode:
        raise SystemExit("protoc refused the files in proto/; its message is above")
    for folder in (target, *(path for path in target.rglob("*") if path.is_dir())):
        if folder.name != "__pycache__":
            (folder / "__init__.py").touch()
    for path in _generated(target):
        path.write_text(with_our_prefix(path.read_text("utf-8")), "utf-8")


def drift(committed: Path = GENERATED) -> list[str]:
    """Names below `committed` that differ from what is generated now, sorted."""
    with tempfile.TemporaryDirectory() as name:
        fresh = Path(name) / "pb"
        generate(fresh)
        names = {p.relative_to(root) for root in (fresh, committed) for p in _generated(root)}
        return sorted(
            str(path)
            for path in names
            if not (fresh / path).exists()
            or not (committed / path).exists()
            or not filecmp.cmp(fresh / path, committed / path, shallow=False)
        )


def _generated(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.suffix in _SUFFIXES]


def main() -> None:
    """Generate, or with `--check` exit 1 where the committed code differs."""
    if sys.argv[1:] == ["--check"]:
        if changed := drift():
            raise SystemExit(f"service/pb differs from proto/: {', '.join(changed)}: make proto")
    elif sys.argv[1:]:
        raise SystemExit(__doc__)
    else:
        with tempfile.TemporaryDirectory() as name:
            generate(Path(name) / "pb")
            shutil.rmtree(GENERATED, ignore_errors=True)
            shutil.copytree(Path(name) / "pb", GENERATED)


if __name__ == "__main__":
    main()
