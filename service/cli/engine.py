"""Where the work of a command is done: in this process, or on the workers of a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from types import ModuleType
from typing import Annotated

import typer
from joblib import parallel_config


class Engine(Enum):
    """What does the work."""

    LOCAL = "local"
    DASK = "dask"


EngineOption = Annotated[
    Engine, typer.Option("--engine", help="This process, or the workers of a Dask cluster.")
]
SchedulerOption = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Address of a Dask scheduler; by default workers on this machine.",
    ),
]


def on_dask() -> ModuleType:
    """`service.batch.cluster`, which needs an extra. Raises `BadParameter` without it."""
    try:
        from service.batch import cluster
    except ImportError as error:
        raise typer.BadParameter(
            "dask is not installed; install the extra graftmatch[cluster]", param_hint="--engine"
        ) from error
    return cluster


@contextmanager
def joblib_on(engine: Engine, scheduler: str | None, workers: int) -> Iterator[None]:
    """Tasks of joblib go to an engine. Raises `GraftmatchError` where Dask cannot do them."""
    if engine is Engine.LOCAL:
        yield
        return
    with on_dask().cluster(scheduler, workers) as client, parallel_config("dask", client=client):
        yield
