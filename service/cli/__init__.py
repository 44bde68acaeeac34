"""The command line."""

from __future__ import annotations

import sys

import typer

from matching.errors import GraftmatchError
from service.cli.audit import audit
from service.cli.batch import allocate, batch
from service.cli.common import EXIT_REFUSED
from service.cli.frequencies import frequencies
from service.cli.match import match
from service.cli.predict import impute, predict
from service.cli.reference import reference
from service.cli.registry import registry
from service.cli.risk import risk
from service.cli.score import score
from service.cli.serve import serve
from service.cli.token import token
from service.cli.typing import typing
from service.cli.typing_plan import typing_plan

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Finds and ranks stem-cell donors by HLA. Decision support, not a medical device.",
    epilog="Exit codes: 0 done, 1 refused (one line says why), 2 wrong usage, "
    "3 done, but records were rejected.",
)
app.add_typer(reference, name="reference")
app.add_typer(typing, name="typing")
app.add_typer(registry, name="registry")
app.add_typer(frequencies, name="frequencies")
app.add_typer(risk, name="risk")
app.add_typer(token, name="token")
app.command("match")(match)
app.command("score")(score)
app.command("batch")(batch)
app.command("allocate")(allocate)
app.command("impute")(impute)
app.command("typing-plan")(typing_plan)
app.command("predict")(predict)
app.command("serve")(serve)
app.command("audit")(audit)


def main() -> None:
    """Run the command line; our own errors become one line and `EXIT_REFUSED`."""
    try:
        app()
    except GraftmatchError as error:
        typer.echo(f"error: {_one_line(str(error))}", err=True)
        sys.exit(EXIT_REFUSED)


def _one_line(text: str) -> str:
    """`text` on one line and without control characters, which a file may have supplied."""
    return "".join(c if c.isprintable() else " " for c in text)
