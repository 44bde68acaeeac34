"""Whether a file was changed or replaced."""

from __future__ import annotations

from pathlib import Path

Signature = tuple[int, int, int] | None


def signature_of(path: Path) -> Signature:
    """What changes with a file; None where it cannot be seen. Cheap enough for every call."""
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino, state.st_size
