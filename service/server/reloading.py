"""A running server takes up new donors and frequencies."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from matching.errors import GraftmatchError
from service.answering import Answering
from service.observability.metrics import RELOAD_FAILURES, SERVING
from service.snapshot import Snapshot, changed_data

_LOG = logging.getLogger("graftmatch.reload")


class ServingMetric:
    """Says in the metrics what is answered from."""

    def __init__(self) -> None:
        self._labels: tuple[str, ...] | None = None

    def show(self, snapshot: Snapshot) -> None:
        """`snapshot` is answered from, and what was before is not."""
        labels = (
            snapshot.nomenclature.release,
            snapshot.index_version,
            snapshot.frequency_set,
            snapshot.model_label,
        )
        if labels == self._labels:
            return
        if self._labels is not None:
            SERVING.labels(*self._labels).set(0)
        SERVING.labels(*labels).set(1)
        self._labels = labels


async def keep_current(answering: Answering, seconds: float) -> None:
    """Look every so often whether there are other data, and put them in use, all at once.

    Reading them takes a thread of its own. Data that cannot be read leave those before in use.
    """
    shown, failed = ServingMetric(), ""
    while True:
        shown.show(answering.snapshot)
        await asyncio.sleep(seconds)
        try:
            changes = await asyncio.to_thread(changed_data, answering.snapshot)
        except GraftmatchError as error:
            RELOAD_FAILURES.inc()
            if str(error) != failed:
                failed = str(error)
                _LOG.error("new data cannot be read, those before stay in use: %s", failed)
            continue
        failed = ""
        if changes:
            # The model may have changed meanwhile, so only what was read anew is replaced.
            answering.snapshot = replace(answering.snapshot, **changes)
            now = answering.snapshot
            _LOG.info("now index %s, frequencies %s", now.index_version, now.frequency_set)
