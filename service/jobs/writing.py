"""The end of a job, in a process of its own: calls are answered beside it."""

from __future__ import annotations

import os

from service.allocation import AllocationSettings
from service.batch.results import BatchResults

# Below everything that answers a call; of 0 to 19.
NICE = 15


def write_apart(results: BatchResults, n_rejected: int) -> None:
    """`BatchResults.write` with the settings of jobs, for `service.apart`."""
    os.nice(NICE)
    results.write(None, AllocationSettings(), n_rejected)
