"""Processes that are killed: at a given moment, or before one of the steps they take."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import FrameType, ModuleType

# What changes a file or a database, by module or type; nothing else can leave something half.
STEPS = frozenset(
    {
        *(f"posix.{name}" for name in ("open", "mkdir", "fsync", "chmod", "replace", "rename")),
        *("posix.unlink", "posix.rmdir", "posix.write", "posix.truncate", "fcntl.flock"),
        *("BufferedWriter.write", "TextIOWrapper.write", "writer.writerows"),
        *("Cursor.execute", "Cursor.executemany", "Connection.commit", "Connection.close"),
        *("psycopg.execute", "psycopg.write_row", "psycopg.commit", "psycopg.close"),
    }
)


@dataclass
class _Watch:
    """A profile function that counts the steps of this process and kills it before one."""

    kill_before: int
    seen: list[str] = field(default_factory=list)

    def __call__(self, frame: FrameType, event: str, called: object) -> None:
        if event == "c_call":
            owner = getattr(called, "__self__", None)
            of_module = f"{owner.__name__}." if isinstance(owner, ModuleType) else ""
            name = of_module + str(getattr(called, "__qualname__", ""))
        elif event == "call" and str(frame.f_globals.get("__name__")).startswith("psycopg."):
            name = f"psycopg.{frame.f_code.co_name}"
        else:
            return
        if name in STEPS:
            self.seen.append(name)
            if len(self.seen) == self.kill_before:
                os.kill(os.getpid(), signal.SIGKILL)


def _watched(action: Callable[[], object], kill_before: int, answer: Connection) -> None:
    watch = _Watch(kill_before)
    threading.setprofile(watch)
    sys.setprofile(watch)
    action()
    sys.setprofile(None)
    answer.send(watch.seen)


def steps_of(action: Callable[[], object]) -> list[str]:
    """The steps that an action takes, done in a process of its own."""
    return _run(action, 0)


def kill_before(action: Callable[[], object], step: int) -> bool:
    """Do an action in a process that kills itself before a step, counted from 1.

    Whether it had ended before that one.
    """
    return bool(_run(action, step))


def _run(action: Callable[[], object], kill_before: int) -> list[str]:
    # A fork starts at once, with every kernel compiled.
    context = multiprocessing.get_context("fork")
    answer, sender = context.Pipe(duplex=False)
    process = context.Process(target=_watched, args=(action, kill_before, sender))
    process.start()
    sender.close()
    try:
        seen: list[str] = answer.recv()
    except EOFError:
        seen = []
    process.join()
    assert process.exitcode == (0 if seen else -signal.SIGKILL)
    return seen


def kill_after(action: Callable[[], object], seconds: float) -> bool:
    """Do an action in a process that is killed after a time; whether it had ended by itself."""
    process = multiprocessing.get_context("fork").Process(target=action)
    process.start()
    time.sleep(seconds)
    process.kill()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode == 0


def duration_of(action: Callable[[], object]) -> float:
    """Seconds that an action takes in a process of its own."""
    started = time.monotonic()
    process = multiprocessing.get_context("fork").Process(target=action)
    process.start()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - started
