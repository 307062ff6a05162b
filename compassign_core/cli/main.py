"""The root command and what all commands share: errors as one message, no traceback."""

from __future__ import annotations

import sys

import typer

from compassign_core import __version__
from compassign_core.cli import check, imports, rt, sql
from compassign_core.contracts.errors import CompassignError

app = typer.Typer(
    name="compassign",
    help="LC-MS library exports to calibrated retention-time windows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("sql")(sql.sql)
app.command("check")(check.check)
app.add_typer(rt.app, name="rt")
app.add_typer(imports.app, name="import")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"compassign {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and stop."
    ),
) -> None:
    """LC-MS library exports to calibrated retention-time windows."""


def main() -> None:
    """Entry point: an error a user can act on ends with code 1 and its message on stderr."""
    try:
        app()
    except CompassignError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
