"""The threads that compute."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from service.observability.metrics import WAITING


class ComputePool(ThreadPoolExecutor):
    """Threads that tell how much waits for them."""

    def __init__(self, threads: int) -> None:
        super().__init__(threads, thread_name_prefix="compute")

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """See `Executor.submit`."""
        WAITING.inc()

        def begun() -> Any:
            WAITING.dec()
            return function(*args, **kwargs)

        def dropped(done: Future[Any]) -> None:
            if done.cancelled():
                WAITING.dec()

        future = super().submit(begun)
        future.add_done_callback(dropped)
        return future
