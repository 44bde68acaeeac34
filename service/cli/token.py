"""graftmatch token: who may call the service."""

from __future__ import annotations

import datetime
from typing import Annotated

import typer

from service.security.caller import Role
from service.security.tokens import new_token

token = typer.Typer(no_args_is_help=True, help="Tokens of callers of the service.")


@token.command("new")
def new(
    site: Annotated[str, typer.Option("--site", help="Whom the token is for.")],
    roles: Annotated[list[Role], typer.Option("--role", help="What it is for; may be repeated.")],
    days: Annotated[int, typer.Option(min=1, max=3650, help="For how many days.")] = 365,
) -> None:
    """Make a token. It goes to stderr, this once; its lines for the file of tokens to stdout."""
    expires = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    made, lines = new_token(site, frozenset(roles), expires)
    typer.echo(lines, nl=False)
    typer.echo(f"the token, which is stored nowhere: {made}", err=True)
