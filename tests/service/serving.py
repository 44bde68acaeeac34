"""A server in this process, over a real channel."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc

from service.pb.graftmatch.v1 import graftmatch_pb2_grpc
from service.server.listening import reserved
from service.server.running import run
from service.server_settings import serve_settings
from service.snapshot import Snapshot

PATIENT = (
    "A*01:01+A*02:01^B*08:01+B*44:02^C*07:01+C*05:01^DRB1*03:01+DRB1*04:01^DQB1*02:01+DQB1*03:01"
)


@dataclass
class Server:
    """A server of this process, on a thread. `stop` may be called from anywhere, and again."""

    address: str
    stop: Callable[[], object]
    ready: threading.Event


@contextmanager
def started(load: Callable[[], Snapshot], **settings: Any) -> Iterator[Server]:
    """A server that may still be reading its data; stopped at the end."""
    ready, entered = threading.Event(), threading.Event()
    stopping: list[Callable[[], object]] = []
    with reserved("127.0.0.1", 0) as port:
        chosen = serve_settings(**({"port": port} | settings))

        async def main() -> None:
            event, loop = asyncio.Event(), asyncio.get_running_loop()
            stopping.append(lambda: loop.call_soon_threadsafe(event.set))
            entered.set()
            await run(chosen, load, lambda *_: ready.set(), event, shared=True)

        thread = threading.Thread(target=asyncio.run, args=(main(),))
        thread.start()
        assert entered.wait(20)
        try:
            yield Server(f"127.0.0.1:{port}", stopping[0], ready)
        finally:
            if thread.is_alive():
                stopping[0]()
            thread.join(20)
            assert not thread.is_alive()


@contextmanager
def running(snapshot: Snapshot, **settings: Any) -> Iterator[str]:
    """The address of a server of this process that answers from a snapshot."""
    with started(lambda: snapshot, **settings) as server:
        assert server.ready.wait(20)
        yield server.address


def stub_of(channel: grpc.Channel) -> Any:
    """The calls of the service."""
    make: Any = graftmatch_pb2_grpc.GraftMatchServiceStub
    return make(channel)
