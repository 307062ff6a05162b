"""`compassign rt …`: scoring with trained coefficient summaries."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import typer

from compassign_core.cli.output import save, show
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.identifiers import parse_cap, parse_lib
from compassign_core.contracts.settings.rt import MODEL_KINDS
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

app = typer.Typer(help="Retention-time models.", no_args_is_help=True)
_SHOWN = (
    "sampleset_id", "worksheet_id", "task_id", "species", "comp_id", "n_train", "novelty",
    "scored", "rt_predicted", "rt_low", "rt_high",
)  # fmt: skip


def find_model(model: str) -> Path:
    """The file of a model given as a path or as ``kind:lib:cap``.

    Raises
    ------
    SettingsError
        when it is neither.
    MissingArtifactError
        when that model has not been trained.
    """
    if Path(model).suffix == ".npz":
        return Path(model)
    kind, *rest = model.split(":")
    if kind not in MODEL_KINDS or len(rest) != 2:
        raise SettingsError(
            f"--model {model!r} is neither a .npz file nor kind:lib:cap.",
            f"for example {next(iter(MODEL_KINDS))}:100:5; kinds are {', '.join(MODEL_KINDS)}.",
        )
    partition = Partition(parse_lib(rest[0]), parse_cap(rest[1]))
    return current_project().lake.need(f"{kind}_coefficients", partition, "coefficients.npz")


@app.command()
def score(
    model: Annotated[str, typer.Option(help="A .npz file, or kind:lib:cap.")],
    table: Annotated[Path, typer.Option(help="RT table, or Parquet/CSV of runs and compounds.")],
    out: Annotated[Path | None, typer.Option(help="Write .parquet or .csv here.")] = None,
    level: Annotated[float, typer.Option(help="Nominal coverage of the windows.")] = 0.95,
    limit: Annotated[int, typer.Option(min=1, help="Most rows printed without --out.")] = 20,
) -> None:
    """Predict retention times (minutes) and windows for runs and compounds.

    The table needs comp_id, the model's group column (species_cluster) and its covariates (IS…,
    RS…, minutes); rt is optional, and then coverage is reported. Rows that the model cannot
    predict are kept with scored = false and counted.
    """
    # Imported here so that `compassign --help` does not load the numerical libraries.
    from compassign_core.rt.scoring import score_file

    scored = score_file(find_model(model), table, current_project().lake.connection, level=level)
    n_scored = int(pc.sum(scored["scored"]).as_py() or 0)
    if out is not None:
        save(scored, out)
        typer.echo(f"wrote {scored.num_rows:,} rows to {out}")
    else:
        head = scored.slice(0, limit)
        show(_SHOWN, list(zip(*(head[name].to_pylist() for name in _SHOWN), strict=True)))
    typer.echo(
        f"{n_scored:,} of {scored.num_rows:,} rows scored, "
        f"{scored.num_rows - n_scored:,} not (group never trained); level {level:g}."
    )
    if "covered" in scored.column_names and n_scored:
        share = pc.mean(scored["covered"].cast("int8")).as_py()
        typer.echo(f"{share:.1%} of their retention times lie in the window.")
