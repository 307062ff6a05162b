"""The report page with trials on it; the first of them is the model shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.models import MODELS
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.pipeline.diagnostics import CONVERGENCE
from compassign_core.pipeline.models import WINDOWS
from compassign_core.pipeline.reporting import report_inputs
from compassign_core.pipeline.trials.definition import Trial
from compassign_core.pipeline.trials.judging import judged
from compassign_core.pipeline.trials.shelf import Stored
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project


def write_trial_report(
    project: Project,
    place: Partition,
    trials: Sequence[Stored],
    kinds: Mapping[str, Path],
    evaluation: EvaluationSettings,
    comparison: ComparisonSettings,
    target: Path,
) -> None:
    """Judge trials together with kinds and write their page.

    Parameters
    ----------
    project, place : of which lake, library and cap.
    trials : trials on the page, at least one.
    kinds : files of the stored kinds on the page, by kind.
    evaluation : which held-out rows are judged.
    comparison : with which of the models all are compared, and how.
    target : the HTML file.

    Raises
    ------
    CompassignError
        when something that the page needs has not been made, or does not fit together.
    """
    from compassign_core.report.page import write_report
    from compassign_core.rt.comparison import compare
    from compassign_core.rt.diagnostics import diagnostics_table
    from compassign_core.rt.evaluation import evaluate
    from compassign_core.rt.model import load_model
    from compassign_core.rt.pit import pit_histogram
    from compassign_core.rt.windows import library_windows

    lake = project.lake
    rows_of = {
        **dict.fromkeys(kinds, lake.source("rt_table", place)),
        **{one.trial.name: trained_on(project, one.trial, place) for one in trials},
    }
    paths = {**{one.trial.name: one.model for one in trials}, **kinds}
    models = {name: load_model(path) for name, path in paths.items()}
    mapping = lake.source("species_mapping", Partition(place.lib))
    windows = [
        library_windows(model, rows_of[name], mapping, lake.connection, window=WINDOWS.request)
        for name, model in models.items()
    ]
    shown = trials[0].trial
    with judged(project, place, paths, evaluation) as found:
        table = found.predictions
        inputs = report_inputs(
            project,
            place,
            models=models,
            descriptions={
                **{kind: MODELS[kind].description for kind in kinds},
                **{one.trial.name: f"Trial of {one.trial.describe()}." for one in trials},
            },
            shown=shown.name,
            baselines=comparison.baselines,
            predictions=table,
            evaluation=evaluate(table, lake.connection),
            pit=pit_histogram(table, lake.connection),
            comparison=compare(table, comparison, lake.connection),
            diagnostics=diagnostics_table(paths, CONVERGENCE),
            windows=pa.concat_tables(windows),
            trained_on=rows_of,
            lib_training=lake.source("lib_training", Partition(place.lib)),
            run_covariates=lake.source("run_covariates", Partition(place.lib)),
            library_compounds=lake.arrow("library_compounds", Partition(place.lib)),
        )
    write_report(replace(inputs, title=f"{inputs.title}: trial {shown.name}"), target)


def trained_on(project: Project, trial: Trial, place: Partition) -> TableSource:
    """The rows of the RT table that a trial was trained on."""
    from compassign_core.rt.limits import limited
    from compassign_core.rt.source import Source

    lake = project.lake
    table = Source.open(lake.connection, lake.source("rt_table", place))
    return TableSource(limited(table, trial.settings.group_col, trial.limits)[0].sql)


PAGE_READS = ("lib_training", "run_covariates", "library_compounds", "species_mapping")
"""Artifacts that the page needs beside models and the tables they are judged on."""
