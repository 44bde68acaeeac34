"""The command line."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup
from typer.main import get_group

from matching.errors import GraftmatchError

EXIT_REFUSED = 1

# Each command and the module that holds it, under the name of the command.
_MODULES = {
    "reference": "reference",
    "typing": "typing",
    "registry": "registry",
    "frequencies": "frequencies",
    "risk": "risk",
    "match": "match",
    "crossmatch": "crossmatch",
    "score": "score",
    "family": "family",
    "batch": "batch",
    "allocate": "allocate",
    "impute": "predict",
    "report": "report",
    "typing-plan": "typing_plan",
    "predict": "predict",
    "serve": "serve",
    "token": "token",
    "audit": "audit",
}


class _OnDemand(TyperGroup):
    """Imports the module of a command when it is asked for: a start costs what it needs."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        # All where there is no such command, so that the nearest one is suggested.
        for name in [cmd_name] if cmd_name in _MODULES else _MODULES:
            if name not in self.commands:
                self.commands[name] = _command(name)
        return self.commands.get(cmd_name)


def _command(name: str) -> Any:
    # Modules stay: looking for garbage among them takes a fifth of the time, meanwhile and after.
    gc.disable()
    try:
        module = import_module(f"service.cli.{_MODULES[name]}")
    finally:
        gc.freeze()
        gc.enable()
    found = getattr(module, name.replace("-", "_"))
    holder = typer.Typer()
    if isinstance(found, typer.Typer):
        holder.add_typer(found, name=name)
    else:
        holder.command(name)(found)
    return get_group(holder).commands[name]


app = typer.Typer(
    cls=_OnDemand,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 refused (one line says why), 2 wrong usage, "
    "3 done, but records were rejected.",
)


@app.callback()
def graftmatch() -> None:
    """Finds and ranks stem-cell donors by HLA. Decision support, not a medical device."""


def main() -> None:
    """Run the command line; what cannot be done becomes one line and `EXIT_REFUSED`."""
    try:
        app()
    except GraftmatchError as error:
        _refuse(str(error))
    except OSError as error:
        named = "" if error.filename is None else f"{error.filename}: "
        _refuse(f"{named}{error.strerror or error}")
    except UnicodeEncodeError as error:
        _refuse(
            f"text cannot be written as {error.encoding}: {error.reason}; arguments, variables of "
            "the environment and the terminal must be of UTF-8"
        )


def _refuse(reason: str) -> NoReturn:
    typer.echo(f"error: {_one_line(reason)}", err=True)
    sys.exit(EXIT_REFUSED)


def _one_line(text: str) -> str:
    """`text` on one line and without control characters, which a file may have supplied."""
    return "".join(c if c.isprintable() else " " for c in text)
