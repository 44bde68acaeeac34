"""The registry that a command works on."""

from __future__ import annotations

from typing import Annotated

import typer

from data.registry import Registry
from service.cli.common import settings

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        help="Registry: a folder or postgresql://HOST/DATABASE; by default GRAFTMATCH_REGISTRY or "
        "GRAFTMATCH_HOME/registry.",
    ),
]


def open_registry(location: str | None) -> Registry:
    return Registry.at(settings().registry_place(location), settings().home)
