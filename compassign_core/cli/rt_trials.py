"""`compassign rt trials`: what was tried, and removing it."""

from __future__ import annotations

from typing import Annotated

import typer

from compassign_core.cli.output import show
from compassign_core.pipeline.trials.shelf import inputs_now, remove, stored_trials, unreadable
from compassign_core.store.project import current_project


def trials(
    remove_name: Annotated[
        str | None,
        typer.Option("--remove", help="Delete this trial, for all libraries and caps."),
    ] = None,
) -> None:
    """List the trials of the lake, or remove one."""
    project = current_project()
    if remove_name is not None:
        places = remove(project.lake, remove_name)
        typer.echo(f"removed {remove_name} ({', '.join(map(str, places)) or 'it was empty'}).")
        return
    for name, problem in unreadable(project.lake).items():
        typer.echo(f"{problem} Remove it with --remove {name}.", err=True)
    found = stored_trials(project.lake)
    if not found:
        typer.echo("no trial yet; `compassign rt train` with a changed setting makes one.")
        return
    columns = ("trial", "lib", "cap", "kind", "changed", "rows", "groups", "seconds", "table")
    rows = [
        (
            one.trial.name,
            one.place.lib,
            one.place.cap,
            one.trial.kind,
            ", ".join(f"{name}={value}" for name, value in one.trial.changed().items()),
            f"{one.facts['rows']:,}",
            f"{one.facts['groups']:,}",
            f"{one.facts['seconds']:.1f}",
            "as it is now"
            if one.facts["inputs"] == inputs_now(project, one.trial, one.place)
            else "has changed since",
        )
        for one in found
    ]
    show(columns, rows)
