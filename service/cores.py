"""On which cores the threads of a process work."""

from __future__ import annotations

import os

# Of all that is started from here: read before any of it is kept to fewer.
ALLOWED = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def keep_to_share(number: int, processes: int) -> None:
    """Keep this thread, and those that it starts, to the cores of one of several processes.

    The threads of a process hand the interpreter to each other many times in a call, which takes
    several times as long from one core to another. Nothing is done where it cannot be.
    """
    if ALLOWED:
        own = ALLOWED[number % len(ALLOWED) :: processes]
        os.sched_setaffinity(0, own)


def keep_to(cores: list[int]) -> None:
    """Let this thread, and those that it starts, work on some cores, such as all `ALLOWED`."""
    if cores:
        os.sched_setaffinity(0, cores)
