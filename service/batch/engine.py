"""The chunks of a batch, searched on the threads of this process."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event, Lock
from typing import Protocol

import pyarrow as pa


class StoppedError(Exception):
    """The batch ends before this chunk is done."""


class ChunkSearch(Protocol):
    """The search of a chunk of patients, by its number: `candidate_table`, found and notes."""

    def __call__(self, chunk: int, progress: Callable[[int], object]) -> pa.Table:
        """`progress` is told how many patients of the chunk are done, and may raise."""


def in_threads(
    chunks: Iterable[int],
    search: ChunkSearch,
    threads: int,
    progress: Callable[[int], object],
) -> Iterator[tuple[int, pa.Table]]:
    """Chunks and their candidates as they get done, not in order.

    `progress` is given the number of patients that were done further. Whatever ends the iteration
    stops the threads after the patient that each is at.
    """
    stop, lock = Event(), Lock()

    def run(chunk: int) -> pa.Table:
        before = 0

        def told(done: int) -> None:
            nonlocal before
            if stop.is_set():
                raise StoppedError
            with lock:
                progress(done - before)
            before = done

        return search(chunk, told)

    waiting = iter(chunks)
    pool = ThreadPoolExecutor(threads)
    running: dict[Future[pa.Table], int] = {}
    try:
        while True:
            # One more than the threads, so that none waits for a result to be written.
            for chunk in islice(waiting, threads + 1 - len(running)):
                # With the context, so that the thread sees whether its call has ended.
                inside = contextvars.copy_context().run
                running[pool.submit(inside, run, chunk)] = chunk
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)
