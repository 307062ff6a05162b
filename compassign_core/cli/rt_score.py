"""`compassign rt score`: retention times and windows for a table that a user brings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from compassign_core.cli.output import rounded, save, show
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.identifiers import parse_cap, parse_lib
from compassign_core.contracts.settings.models import MODELS
from compassign_core.contracts.settings.rt import WindowRequest
from compassign_core.pipeline.models import COEFFICIENTS_FILE, coefficients_name
from compassign_core.pipeline.trials.shelf import need, stored_trials
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

_SHOWN = (
    "sampleset_id", "worksheet_id", "task_id", "species", "comp_id", "n_train", "novelty",
    "scored", "rt_predicted", "rt_low", "rt_high",
)  # fmt: skip


def score(
    model: Annotated[str, typer.Option(help="A .npz file, or kind:lib:cap, or trial:lib:cap.")],
    table: Annotated[Path, typer.Option(help="RT table, or Parquet/CSV of runs and compounds.")],
    out: Annotated[Path | None, typer.Option(help="Write .parquet or .csv here.")] = None,
    level: Annotated[
        float | None, typer.Option(help="Nominal coverage of the windows; 0.95 when not given.")
    ] = None,
    rule: Annotated[
        str, typer.Option(help="predictive, or production: multiplier x max(6 sd, minimum).")
    ] = "predictive",
    window_multiplier: Annotated[
        float | None, typer.Option(help="Of the production rule; 4 when not given.")
    ] = None,
    window_minimum: Annotated[
        float | None, typer.Option(help="Of the production rule, minutes; 0.001 when not given.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most rows printed without --out.")] = 20,
) -> None:
    """Predict retention times (minutes) and windows for runs and compounds.

    The table needs comp_id, the model's group column (species or species_cluster) and its
    covariates (IS…, RS…, minutes); rt is optional, and then coverage is reported. Rows that the
    model cannot predict are kept with scored = false and counted. Windows of the production rule
    state no coverage.
    """
    # Imported here so that `compassign --help` does not load the numerical libraries.
    from compassign_core.rt.model import load_model
    from compassign_core.rt.scoring import Tally, score_batches

    given = {
        "level": level,
        "rule": rule,
        "window_multiplier": window_multiplier,
        "window_minimum": window_minimum,
    }
    window = WindowRequest.parse({k: v for k, v in given.items() if v is not None}, "rt score")
    tally = Tally(load_model(find_model(model)), window)
    connection = current_project().lake.connection
    batches = tally.counted(score_batches(tally.model, table, connection, window=window))
    if out is not None:
        save(batches, out)
        typer.echo(f"wrote {tally.rows:,} rows to {out}")
    else:
        _show_first(batches, limit)
    typer.echo(
        f"{tally.scored:,} of {tally.rows:,} rows scored, "
        f"{tally.rows - tally.scored:,} not (group never trained); "
        + (f"level {window.coverage:g}." if window.coverage else "production rule.")
    )
    if tally.unmeasured:
        typer.echo(
            f"for {tally.unmeasured:,} of them training left out too few rows to measure this "
            "level; their windows are corrected as at the highest level measured, or not at all."
        )
    if tally.judged:
        share = tally.covered / tally.judged
        typer.echo(f"{share:.1%} of their retention times lie in the window.")


def _show_first(batches: Any, limit: int) -> None:
    """Print the first rows, and read all."""
    shown: list[list[Any]] = []
    for batch in batches:
        head = batch.slice(0, limit - len(shown)).select(list(_SHOWN)).to_pylist()
        shown += [[rounded(row[name]) for name in _SHOWN] for row in head]
    show(_SHOWN, shown)


def find_model(model: str) -> Path:
    """The file of a model given as a path, as ``kind:lib:cap`` or as ``trial:lib:cap``.

    Raises
    ------
    SettingsError
        when it is none of these.
    MissingArtifactError
        when that model has not been trained.
    """
    if Path(model).suffix == ".npz":
        return Path(model)
    name, *rest = model.split(":")
    lake = current_project().lake
    if len(rest) == 2 and name in MODELS:
        return lake.need(coefficients_name(name), _place(rest), COEFFICIENTS_FILE)
    if len(rest) == 2 and name in {one.trial.name for one in stored_trials(lake)}:
        return need(current_project(), name, _place(rest)).model
    raise SettingsError(
        f"--model {model!r} is neither a .npz file nor kind:lib:cap nor trial:lib:cap.",
        f"for example {next(iter(MODELS))}:100:5; kinds are {', '.join(MODELS)}, and "
        "`compassign rt trials` lists trials.",
    )


def _place(words: Sequence[str]) -> Partition:
    return Partition(parse_lib(words[0]), parse_cap(words[1]))
