"""`compassign rt update`: new labelled rows into a trained hierarchical model, without training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from compassign_core.cli.rt_score import find_model
from compassign_core.contracts.errors import SettingsError
from compassign_core.store.project import current_project


def update(
    model: Annotated[str, typer.Option(help="A .npz file, or kind:lib:cap, or trial:lib:cap.")],
    table: Annotated[Path, typer.Option(help="Labelled peaks, as an RT table in Parquet or CSV.")],
    out: Annotated[Path, typer.Option(help="Write the updated model here (.npz).")],
    hierarchy: Annotated[
        bool,
        typer.Option("--hierarchy", help="Refresh species, compounds and all other groups too."),
    ] = False,
) -> None:
    """Add labelled rows to a hierarchical model; scales, noise and window factors are held.

    Without --hierarchy only the groups that get rows change, in milliseconds, each by its own
    rows. With it the result is exactly the posterior of all rows, and new species, supercategories
    and compounds are taken in. The lake keeps the trained model.
    """
    # Imported here so that `compassign --help` does not load the numerical libraries.
    from threadpoolctl import threadpool_limits

    from compassign_core.rt.hierarchy.update_file import update_model
    from compassign_core.rt.scoring import table_source

    project = current_project()
    _check_target(out, project.root / "lake")
    with threadpool_limits(1):
        done = update_model(
            find_model(model),
            table_source(table),
            project.lake.connection,
            out=out,
            hierarchy=hierarchy,
        )
    typer.echo(
        f"{done.rows:,} rows added to {done.groups:,} groups ({done.new_groups:,} of them new); "
        f"{done.added:,} since training."
    )
    if not hierarchy:
        typer.echo("Other groups have not learned from them; add --hierarchy for that.")
    typer.echo(f"wrote {out}; score with it: compassign rt score --model {out} --table …")


def _check_target(out: Path, lake: Path) -> None:
    if out.suffix != ".npz":
        raise SettingsError(f"--out {out.name} does not end in .npz.", "name the file model.npz.")
    if out.resolve().is_relative_to(lake.resolve()):
        raise SettingsError(
            f"--out {out} lies in the lake, whose models are made by training only.",
            "choose a path outside it.",
        )
