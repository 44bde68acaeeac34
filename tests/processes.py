"""Processes that tests start: forked from a small one, so that threads of this one hold nothing."""

from __future__ import annotations

import multiprocessing

CONTEXT = multiprocessing.get_context("forkserver")
# As `service.apart` does, since there is one for both: kernels are loaded before there are forks.
CONTEXT.set_forkserver_preload(["service.preloaded"])
