"""What the services share: the snapshot that they answer from, and the threads that compute."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar

from matching.errors import ModelError
from service.pb.graftmatch.v1 import common_pb2
from service.snapshot import Snapshot, with_model_in_use
from service.status import NotReadyError, abort

_LOG = logging.getLogger("graftmatch.service")
R = TypeVar("R")
T = TypeVar("T")


def provenance(snapshot: Snapshot) -> common_pb2.Provenance:
    """What every answer carries."""
    return common_pb2.Provenance(
        release=snapshot.nomenclature.release,
        frequency_set=snapshot.frequency_set,
        model=snapshot.model_label,
        index=snapshot.index_version,
    )


class Answering:
    """One snapshot for all services of a process; computes on the threads of `pool`.

    A model that is promoted while the server runs is used from the next call on; one that cannot
    be read leaves the one before in use.
    """

    def __init__(self, pool: Executor) -> None:
        self._pool = pool
        self._loaded: Snapshot | None = None
        self._changing = threading.Lock()

    @property
    def snapshot(self) -> Snapshot:
        """What is answered from. Raises `NotReadyError` before anything was read."""
        with self._changing:
            if self._loaded is None:
                raise NotReadyError("the server is still reading its data")
            try:
                self._loaded = with_model_in_use(self._loaded)
            except ModelError:
                _LOG.error("the promoted risk model cannot be read; the one before stays in use")
            return self._loaded

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot) -> None:
        with self._changing:
            self._loaded = snapshot

    async def answer(
        self,
        context: Any,
        answer: Callable[[Snapshot, R], T],
        request: R,
        pool: Executor | None = None,
        at_once: Callable[[Snapshot, R], bool] | None = None,
    ) -> T:
        """An answer from the present snapshot; see `run`.

        `at_once`: whether it is so little work that changing threads would cost more.
        """
        if at_once is not None and self._loaded is not None and at_once(self._loaded, request):
            try:
                return answer(self.snapshot, request)
            except Exception as error:
                await abort(context, error)

        # The thread asks for the snapshot: the loop must not wait for files.
        return await self.run(context, lambda: answer(self.snapshot, request), pool=pool)

    async def run(
        self,
        context: Any,
        function: Callable[..., T],
        *arguments: Any,
        pool: Executor | None = None,
    ) -> T:
        """`function` in a thread, of another `pool` if given; an error ends the call with its
        status."""
        loop = asyncio.get_running_loop()
        # With the context, so that the thread sees whether the call has ended.
        inside = contextvars.copy_context().run
        try:
            return await loop.run_in_executor(pool or self._pool, inside, function, *arguments)
        except Exception as error:
            await abort(context, error)
