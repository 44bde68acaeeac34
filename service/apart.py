"""Work in a process of its own, which is killed when nobody waits for it any more.

For what neither stops in between nor lets other threads go on. The processes are forked from a
small one that has imported what they need, started at the first use.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from service.calls import checkpoint

T = TypeVar("T")

_LOOK_SECONDS = 0.02
_CONTEXT = multiprocessing.get_context("forkserver")
# What the console script imports, and what is worked on.
_CONTEXT.set_forkserver_preload(["service.cli", "service.apart", "service.planning"])


def apart(function: Callable[..., T], *arguments: Any) -> T:
    """What `function` returns, or raises, in another process.

    Function, arguments and answer are such that they can be sent there. Raises `CallEndedError`
    where the caller does not wait any more, and `ChildProcessError` where the process was killed.
    """
    mine, theirs = _CONTEXT.Pipe(duplex=False)
    with mine:
        process = _CONTEXT.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
        with theirs:
            process.start()
        try:
            while not mine.poll(_LOOK_SECONDS):
                checkpoint()
            error, answer = mine.recv()
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


def _answer(channel: Connection, function: Callable[..., Any], arguments: Any) -> None:
    try:
        answer = function(*arguments)
    except Exception as error:
        channel.send((error, None))
    else:
        channel.send((None, answer))
