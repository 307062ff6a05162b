"""`compassign rt …`: train, evaluate, compare and report models, and score with them.

What is made here is made by the same declarations as the orchestrator's assets and lands in the
same lake; what is current is skipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow.compute as pc
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from compassign_core.cli.output import save, show
from compassign_core.contracts.catalogue import RT_COMPARISON, RT_EVALUATION
from compassign_core.contracts.errors import CompassignError, SettingsError
from compassign_core.contracts.identifiers import parse_cap, parse_lib
from compassign_core.contracts.settings.models import MODELS
from compassign_core.contracts.tables import TableContract
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

app = typer.Typer(help="Retention-time models.", no_args_is_help=True)

Libs = Annotated[str, typer.Option(help="Libraries, comma separated, for example 100,109.")]
Caps = Annotated[str, typer.Option("--cap", help="Caps, comma separated: 5, 10, 20, 50, 100.")]
Force = Annotated[bool, typer.Option("--force", help="Make it again although it is current.")]

_SHOWN = (
    "sampleset_id", "worksheet_id", "task_id", "species", "comp_id", "n_train", "novelty",
    "scored", "rt_predicted", "rt_low", "rt_high",
)  # fmt: skip


def _places(libs: str, caps: str) -> tuple[list[int], list[int]]:
    return (
        [parse_lib(text.strip()) for text in libs.split(",")],
        [parse_cap(text.strip()) for text in caps.split(",")],
    )


def _bring(targets: Sequence[str], libs: str, caps: str, force: bool) -> list[Partition]:
    """Make the targets with progress and remaining time; returns the partitions asked for.

    Raises
    ------
    CompassignError
        when a step failed; names each.
    """
    from compassign_core.pipeline.plan import carry_out, steps_for

    lib_ids, cap_ids = _places(libs, caps)
    steps = steps_for(targets, lib_ids, cap_ids)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        transient=True, console=Console(stderr=True),
    ) as bar:  # fmt: skip
        task = bar.add_task("", total=len(steps))
        done = -1

        def before(step: object) -> None:
            nonlocal done
            done += 1
            bar.update(task, completed=done, description=str(step))

        outcome = carry_out(current_project(), steps, force=targets if force else (), before=before)
    typer.echo(
        f"{len(outcome.made)} artifacts made, {len(outcome.current)} were current"
        + (f", {len(outcome.skipped)} not tried" if outcome.skipped else "")
        + "."
    )
    if outcome.failed:
        raise CompassignError("\n".join(f"{s}: {m}" for s, m in outcome.failed.items()))
    return [Partition(lib, cap) for lib in lib_ids for cap in cap_ids]


def _rounded(value: Any) -> Any:
    return f"{value:.4f}" if isinstance(value, float) else value


def _check_kinds(models: Sequence[str]) -> None:
    unknown = [kind for kind in models if kind not in MODELS]
    if unknown:
        raise SettingsError(
            f"--model {unknown[0]!r} is no model kind.", f"choose from {', '.join(MODELS)}."
        )


def _check_value(option: str, value: str, table: TableContract, column: str) -> None:
    allowed = next(item.values for item in table.columns if item.name == column)
    if value not in allowed:
        raise SettingsError(
            f"{option} {value!r} is not known.", f"choose one of {', '.join(allowed)}."
        )


def _show_stored(
    table: str, places: Sequence[Partition], wanted: dict[str, str], columns: Sequence[str]
) -> None:
    """Print the rows of a stored table that have the wanted values, library and cap first."""
    lake = current_project().lake
    rows = [
        [place.lib, place.cap, *(_rounded(row[name]) for name in columns)]
        for place in places
        for row in lake.arrow(table, place).to_pylist()
        if all(row[name] == value for name, value in wanted.items())
    ]
    show(("lib", "cap", *columns), rows)


@app.command()
def train(
    libs: Libs,
    cap: Caps = "100",
    model: Annotated[list[str] | None, typer.Option(help="Model kind; repeat for several.")] = None,
    force: Force = False,
) -> None:
    """Train models and everything before them that is not current."""
    kinds = model or list(MODELS)
    _check_kinds(kinds)
    places = _bring([f"{kind}_coefficients" for kind in kinds], libs, cap, force)
    lake = current_project().lake
    for place in places:
        for kind in kinds:
            path = lake.need(f"{kind}_coefficients", place, "coefficients.npz")
            typer.echo(f"{place} · {kind} · {path}")


@app.command()
def evaluate(
    libs: Libs,
    cap: Caps = "100",
    by: Annotated[
        str, typer.Option(help="overall, support_bin, supercategory, species or novelty.")
    ] = "overall",
    force: Force = False,
) -> None:
    """Evaluate all models on the held-out sample sets (times in minutes)."""
    _check_value("--by", by, RT_EVALUATION, "slice")
    columns = (
        "model", "level", "n_rows", "n_unscored", "rmse", "mae", "crps", "cov50", "cov95",
        "cov95_low", "cov95_high", "width95", "width95_median",
    )  # fmt: skip
    places = _bring(["rt_evaluation"], libs, cap, force)
    _show_stored("rt_evaluation", places, {"slice": by}, columns)


@app.command()
def compare(
    libs: Libs,
    cap: Caps = "100",
    by: Annotated[
        str, typer.Option(help="overall, support_bin, supercategory or novelty.")
    ] = "overall",
    metric: Annotated[str, typer.Option(help="rmse, mae, crps, width95 or cov95.")] = "rmse",
    force: Force = False,
) -> None:
    """Compare models with the baseline on the same peaks, with 95 % intervals by sample set."""
    _check_value("--by", by, RT_COMPARISON, "slice")
    _check_value("--metric", metric, RT_COMPARISON, "metric")
    columns = (
        "model", "baseline", "level", "n_rows", "n_units", "baseline_value", "model_value",
        "difference", "low", "high",
    )  # fmt: skip
    places = _bring(["rt_comparison"], libs, cap, force)
    _show_stored("rt_comparison", places, {"slice": by, "metric": metric}, columns)


@app.command()
def plot(libs: Libs, cap: Caps = "100", force: Force = False) -> None:
    """Make the HTML reports with all figures and print where they are."""
    for place in _bring(["rt_report"], libs, cap, force):
        typer.echo(str(current_project().lake.need("rt_report", place, "report.html")))


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
    if kind not in MODELS or len(rest) != 2:
        raise SettingsError(
            f"--model {model!r} is neither a .npz file nor kind:lib:cap.",
            f"for example {next(iter(MODELS))}:100:5; kinds are {', '.join(MODELS)}.",
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

    The table needs comp_id, the model's group column (species or species_cluster) and its
    covariates (IS…, RS…, minutes); rt is optional, and then coverage is reported. Rows that the
    model cannot predict are kept with scored = false and counted.
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
        columns = [[_rounded(value) for value in head[name].to_pylist()] for name in _SHOWN]
        show(_SHOWN, list(zip(*columns, strict=True)))
    typer.echo(
        f"{n_scored:,} of {scored.num_rows:,} rows scored, "
        f"{scored.num_rows - n_scored:,} not (group never trained); level {level:g}."
    )
    if "covered" in scored.column_names and n_scored:
        share = pc.mean(scored["covered"].cast("int8")).as_py()
        typer.echo(f"{share:.1%} of their retention times lie in the window.")
