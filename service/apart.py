"""Work in a process of its own, which is killed when nobody waits for it any more.

For what neither stops in between nor lets other threads go on. The processes are forked from a
small one that has imported what they need and holds nothing of this one, see
`service.preloaded`.
"""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from service.calls import checkpoint
from service.cores import ALLOWED, keep_to

T = TypeVar("T")

_LOOK_SECONDS = 0.02
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["service.preloaded"])
# In place of an answer: from now on the process ends by itself.
_GOES_ON = "goes on"
_channel: Connection | None = None


@cache
def prepare() -> threading.Event:
    """Have what processes are forked from started, in the background; set once it is there."""
    is_there = threading.Event()

    def start() -> None:
        try:
            process = _CONTEXT.Process(target=_nothing, daemon=True)
            process.start()
            process.join()
        finally:
            is_there.set()

    threading.Thread(target=start, daemon=True).start()
    return is_there


def _nothing() -> None:
    """Ends at once."""


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """What `function` returns, or raises, in another process.

    Function, arguments and answer are such that they can be sent there. Raises `CallEndedError`
    where the caller does not wait any more, unless the process has called `goes_on`, and
    `ChildProcessError` where it was killed.
    """
    is_there = prepare()
    while not is_there.wait(_LOOK_SECONDS):
        checkpoint()
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    with mine:
        process = _CONTEXT.Process(
            target=_answer, args=(theirs, function, arguments, ALLOWED), daemon=True
        )
        with theirs:
            process.start()
        try:
            looks: Callable[[], None] = checkpoint
            while (told := _heard(mine, looks)) == _GOES_ON:
                looks = _let_go_on
            error, answer = told
        except EOFError:
            process.join()
            raise ChildProcessError(f"a process has ended with {process.exitcode}") from None
        finally:
            process.kill()
            process.join()
    if error is not None:
        raise error
    found: T = answer
    return found


def goes_on() -> None:
    """Called in another process: it goes on though nobody waits any more."""
    if _channel is not None:
        _channel.send(_GOES_ON)


def _heard(channel: Connection, looks: Callable[[], None]) -> Any:
    """The next message. Raises what `looks` raises, and `EOFError`."""
    while not channel.poll(_LOOK_SECONDS):
        looks()
    return channel.recv()


def _let_go_on() -> None:
    """Nothing ends it."""


def _answer(
    channel: Connection, function: Callable[..., Any], arguments: Any, cores: list[int]
) -> None:
    global _channel
    keep_to(cores)
    _channel = channel
    channel.send(_tried(function, arguments))


def _tried(function: Callable[..., T], arguments: Any) -> tuple[Exception | None, T | None]:
    """The answer, or the error, of which nothing is printed: it may quote a record."""
    try:
        return None, function(*arguments)
    except Exception as error:
        return error, None
