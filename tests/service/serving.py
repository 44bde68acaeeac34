"""A server in this process, over a real channel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from service.config import serve_settings
from service.pb.graftmatch.v1 import graftmatch_pb2_grpc
from service.server import run
from service.snapshot import Snapshot

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)


@contextmanager
def running(snapshot: Snapshot | Callable[[], Snapshot], **settings: Any) -> Iterator[str]:
    """The address of a server of this process that answers from a snapshot."""
    started: list[Any] = []
    ready = threading.Event()

    def load() -> Snapshot:
        return snapshot if isinstance(snapshot, Snapshot) else snapshot()

    async def main() -> None:
        stopping = asyncio.Event()

        def note(port: int, _: Snapshot) -> None:
            started.extend((port, asyncio.get_running_loop(), stopping))
            ready.set()

        await run(serve_settings(**({"port": 0} | settings)), load, note, stopping)

    thread = threading.Thread(target=asyncio.run, args=(main(),))
    thread.start()
    assert ready.wait(20)
    port, loop, stopping = started
    try:
        yield f"127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(20)
        assert not thread.is_alive()


def stub_of(channel: grpc.Channel) -> Any:
    """The calls of the service."""
    make: Any = graftmatch_pb2_grpc.GraftMatchServiceStub
    return make(channel)
