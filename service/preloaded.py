"""Imported by the process that processes apart are forked from: what they work on.

It is imported below everything that answers calls, on a thread: what is forked is not.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading

# What the console script imports, what is worked on, and what an allocation would import.
_MODULES = (
    "service.cli",
    "service.importing",
    "service.planning",
    "service.jobs.writing",
    "networkx",
    "ortools.graph.python.min_cost_flow",
    "ortools.sat.python.cp_model",
    "scipy.optimize",
)
_NICE = 10
_LOOK_SECONDS = 0.1


def _load() -> None:
    if sys.platform == "linux":
        # Elsewhere it would be that of the whole process, which nobody may raise again.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
    for name in _MODULES:
        importlib.import_module(name)


_parent = os.getppid()
# As whatever imports this does afterwards: an interrupt is for the server.
_before = signal.signal(signal.SIGINT, signal.SIG_IGN)
_loading = threading.Thread(target=_load, daemon=True)
_loading.start()
while _loading.is_alive():
    _loading.join(_LOOK_SECONDS)
    if os.getppid() != _parent:
        # The server has ended meanwhile, and whoever reads its output waits for all who may write.
        os._exit(0)
signal.signal(signal.SIGINT, _before)
