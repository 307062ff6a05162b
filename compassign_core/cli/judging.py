"""What the commands that judge models share: which models, on which rows, and printing it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.compute as pc
import typer

from compassign_core.cli.output import rounded, save, show
from compassign_core.cli.trial_request import TrialRequest
from compassign_core.cli.work import bring, check_kinds
from compassign_core.contracts.catalogue import SUPPORT_BINS
from compassign_core.contracts.errors import SettingsError
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.contracts.tables import TableContract
from compassign_core.pipeline.evaluation import COMPARISON, EVALUATION
from compassign_core.pipeline.lineage import is_current
from compassign_core.pipeline.models import COEFFICIENTS_FILE, coefficients_name
from compassign_core.pipeline.trials import quick
from compassign_core.pipeline.trials.definition import Trial
from compassign_core.pipeline.trials.judging import Judged, judged
from compassign_core.pipeline.trials.shelf import Stored, need
from compassign_core.store.lake import Partition
from compassign_core.store.project import current_project

Trials = Annotated[
    list[str] | None, typer.Option("--trial", help="Trial by name; repeat for several.")
]
Out = Annotated[Path | None, typer.Option(help="Write the rows to this .parquet or .csv file.")]

ACCURACY = (
    "model", "level", "n_rows", "n_unscored", "rmse", "mae", "crps", "cov50", "cov95",
    "cov95_low", "cov95_high", "width95", "width95_median",
)  # fmt: skip
"""Columns of an evaluation that are printed."""

_BIN_PLACES = {name: i for i, name in enumerate(SUPPORT_BINS)}


@dataclass(frozen=True)
class Lineup:
    """The models that are judged together.

    Attributes
    ----------
    trials : trials by name and place.
    kinds : stored kinds.
    evaluation : which held-out rows they are judged on.
    """

    trials: Mapping[tuple[str, Partition], Stored]
    kinds: tuple[str, ...]
    evaluation: EvaluationSettings

    def at(self, place: Partition) -> dict[str, Path]:
        """Model files of a library and cap by name, trials first."""
        lake = current_project().lake
        mine = {name: one.model for (name, where), one in self.trials.items() if where == place}
        return mine | {
            kind: lake.need(coefficients_name(kind), place, COEFFICIENTS_FILE)
            for kind in self.kinds
        }

    @property
    def tried(self) -> list[Trial]:
        """The trials, each once."""
        return list({one.trial.name: one.trial for one in self.trials.values()}.values())

    @property
    def names(self) -> list[str]:
        """Names of all models."""
        return [*(trial.name for trial in self.tried), *self.kinds]


def is_own_look(request: TrialRequest, trials: Sequence[str] | None) -> bool:
    """Whether something is asked for that the artifacts do not hold."""
    return bool(request.wanted or request.kinds or request.evaluation or trials)


def line_up(
    request: TrialRequest,
    named: Sequence[str],
    places: Sequence[Partition],
    *,
    force: bool = False,
    extra_kinds: Sequence[str] = (),
    extra_targets: Sequence[str] = (),
) -> Lineup:
    """Train what has to be trained, and gather the models to judge.

    Parameters
    ----------
    request : trials to train first; its kinds limit the stored kinds, too.
    named : trials that were trained before.
    places : libraries and caps.
    force : train trials although they are current.
    extra_kinds : kinds to be there in any case, to compare with.
    extra_targets : artifacts that are needed beside the models.
    """
    project = current_project()
    check_kinds(request.kinds)
    evaluation = evaluation_settings(request)
    request.say_what_was_cut(evaluation)
    for place in places:
        for name in named:
            need(project, name, place)  # what is not there is said before anything is made
    trials = request.trials(beside=(DEFAULT_MODEL, *extra_kinds))
    kinds: tuple[str, ...] = ()
    if not request.quick:
        wanted = request.kinds or _stored_kinds(places)
        kinds = tuple(kind for kind in MODELS if kind in {*wanted, *extra_kinds})
    targets = [*(coefficients_name(kind) for kind in kinds), "realtest_table", "rt_table"]
    if trials:
        targets += request.targets()
    found = bring([*targets, *extra_targets], places, force and bool(trials), trials)
    found |= {(name, place): need(project, name, place) for name in named for place in places}
    return Lineup(found, kinds, evaluation)


def evaluation_settings(request: TrialRequest) -> EvaluationSettings:
    """Which held-out rows are judged."""
    given = request.evaluation
    values = quick.quick_evaluation(given) if request.quick else EVALUATION.model_dump() | given
    return EvaluationSettings.parse(values, "settings of evaluation")


def summarised(
    models: Mapping[Partition, Mapping[str, Path]],
    evaluation: EvaluationSettings,
    summary: Callable[[Judged], pa.Table],
) -> dict[Partition, pa.Table]:
    """A table about each library and cap, made from the predictions of its models."""
    project = current_project()
    found = {}
    for place, paths in models.items():
        with judged(project, place, paths, evaluation) as rows:
            found[place] = summary(rows)
            if rows.n_judged < rows.n_rows:
                typer.echo(f"{place}: {rows.n_judged:,} of {rows.n_rows:,} held-out rows judged.")
    return found


def show_accuracy(
    models: Mapping[Partition, Mapping[str, Path]], evaluation: EvaluationSettings
) -> None:
    """Print how accurate models are over all held-out rows; says which kinds are not current."""
    from compassign_core.rt.evaluation import evaluate

    project = current_project()
    tables = summarised(
        models, evaluation, lambda rows: evaluate(rows.predictions, project.lake.connection)
    )
    show_rows(tables, {"slice": "overall"}, ACCURACY)
    for place, paths in models.items():
        for kind in MODELS:
            if kind in paths and not is_current(project, coefficients_name(kind), place):
                typer.echo(f"{place}: {kind} is not current; it may know other rows.", err=True)


def show_rows(
    tables: Mapping[Partition, pa.Table],
    wanted: Mapping[str, str],
    columns: Sequence[str],
    out: Path | None = None,
    models: Collection[str] = (),
) -> None:
    """Print the rows that have the wanted values, library and cap first; write them if asked.

    The file has all columns, with ``lib_id`` and ``row_cap`` before them, and the rows of all
    models, also where only those of some `models` are printed.
    """
    kept = {place: _filtered(table, wanted) for place, table in tables.items()}
    show(
        ("lib", "cap", *columns),
        [
            [place.lib, place.cap, *(rounded(row[name]) for name in columns)]
            for place, table in kept.items()
            for row in sorted(table.to_pylist(), key=_in_order)
            if not models or row["model"] in models
        ],
    )
    if out is not None:
        rows = pa.concat_tables(_placed(table, place) for place, table in kept.items())
        save(rows, out)
        typer.echo(f"wrote {rows.num_rows:,} rows to {out}")


def check_value(option: str, value: str, table: TableContract, column: str) -> None:
    """Refuse a value that the column of a table cannot have."""
    allowed = next(item.values for item in table.columns if item.name == column)
    if value not in allowed:
        raise SettingsError(
            f"{option} {value!r} is not known.", f"choose one of {', '.join(allowed)}."
        )


def _stored_kinds(places: Sequence[Partition]) -> set[str]:
    """Kinds that have been trained for some of the places; the usual ones when there is none."""
    lake = current_project().lake
    found = {
        kind
        for kind in MODELS
        for place in places
        if lake.exists(coefficients_name(kind), place, COEFFICIENTS_FILE)
    }
    return found or {DEFAULT_MODEL, *COMPARISON.baselines}


def _in_order(row: Mapping[str, Any]) -> tuple[str, str, int, str]:
    """By model, then levels as they are stored, but support from few rows to many."""
    place = _BIN_PLACES.get(row["level"], 0) if "support" in row["slice"] else 0
    return row["model"], row.get("baseline", ""), place, row["level"]


def _filtered(table: pa.Table, wanted: Mapping[str, str]) -> pa.Table:
    for name, value in wanted.items():
        table = table.filter(pc.equal(table[name], value))
    return table


def _placed(table: pa.Table, place: Partition) -> pa.Table:
    n = table.num_rows
    for name, value in (("row_cap", place.cap), ("lib_id", place.lib)):
        table = table.add_column(0, name, pa.array([value] * n, pa.int32()))
    return table
