"""Evaluation: predictions on held-out peaks, metrics, windows, and the report.

Here belongs what is said about models on data they have not seen; the words and figures themselves
are made in `compassign_core.report`.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from compassign_core.contracts.catalogue import RT_EVALUATION
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.models import BASELINE_MODEL, DEFAULT_MODEL, MODELS
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.pipeline.artifacts import (
    FileResult,
    Link,
    Markdown,
    file_artifact,
    table_artifact,
)
from compassign_core.pipeline.models import WINDOWS, coefficients_name
from compassign_core.report.address import report_url
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project

COMPARISON = ComparisonSettings(baseline=BASELINE_MODEL)
_MODELS = {"models": [coefficients_name(kind) for kind in MODELS]}


def _comparison(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {"comparison": COMPARISON.fingerprint()}


def _level(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {"windows": WINDOWS.fingerprint()}


@table_artifact(
    group="evaluation",
    packages=("rt",),
    inputs=_level,
    gathers=_MODELS,
    checks=("every_row_judged", "coverage_is_as_stated"),
)
def rt_predictions(
    project: Project,
    partition: Partition,
    realtest_table: TableSource,
    models: Mapping[str, Path],
) -> StepResult:
    from compassign_core.rt.checks import coverage_is_as_stated, every_row_judged
    from compassign_core.rt.model import load_model
    from compassign_core.rt.predictions import predict_table

    tables = [
        predict_table(
            realtest_table,
            load_model(path),
            project.lake.connection,
            level=WINDOWS.level,
        )
        for path in models.values()
    ]
    table = pa.concat_tables(tables)
    return StepResult(table, rows_in=table.num_rows).with_checks(
        lambda source: every_row_judged(
            project.lake.connection, source, realtest_table, len(tables)
        ),
        lambda source: coverage_is_as_stated(
            project.lake.connection, source, DEFAULT_MODEL, WINDOWS.level
        ),
    )


@table_artifact(group="evaluation", packages=("rt",))
def rt_evaluation(project: Project, partition: Partition, rt_predictions: pa.Table) -> StepResult:
    from compassign_core.rt.evaluation import evaluate

    table = evaluate(rt_predictions)
    return StepResult(table, rows_in=rt_predictions.num_rows, expands=True)


@table_artifact(group="evaluation", packages=("rt",), inputs=_comparison)
def rt_comparison(project: Project, partition: Partition, rt_predictions: pa.Table) -> StepResult:
    from compassign_core.rt.comparison import compare

    table = compare(rt_predictions, COMPARISON)
    return StepResult(table, rows_in=rt_predictions.num_rows, expands=True)


@table_artifact(
    group="evaluation",
    packages=("rt",),
    inputs=_level,
    gathers=_MODELS,
    checks=("default_model_does_not_lose",),
)
def rt_windows(
    project: Project,
    partition: Partition,
    rt_table: TableSource,
    species_mapping: TableSource,
    rt_comparison: TableSource,
    models: Mapping[str, Path],
) -> StepResult:
    from compassign_core.rt.checks import default_model_does_not_lose
    from compassign_core.rt.model import load_model
    from compassign_core.rt.windows import library_windows

    table = pa.concat_tables(
        [
            library_windows(
                load_model(path),
                rt_table,
                species_mapping,
                project.lake.connection,
                level=WINDOWS.level,
            )
            for path in models.values()
        ]
    )
    return StepResult(table, rows_in=table.num_rows).with_checks(
        lambda _source: default_model_does_not_lose(
            project.lake.connection, rt_comparison, DEFAULT_MODEL, COMPARISON.loss_margin
        )
    )


def _steps(project: Project, partition: Partition) -> Mapping[str, str]:
    from compassign_core.report.gather import step_counts

    title = project.library(partition.lib or 0).title
    counts = repr(step_counts(project.lake, partition))
    return {"title": title, "steps": hashlib.sha256(counts.encode()).hexdigest()}


@file_artifact(
    file="report.html",
    dimensions=("lib_id", "row_cap"),
    group="evaluation",
    packages=("report", "rt"),
    kinds={"plotly", "html"},
    inputs=_steps,
    gathers=_MODELS,
)
def rt_report(
    project: Project,
    partition: Partition,
    rt_predictions: pa.Table,
    rt_evaluation: pa.Table,
    rt_comparison: pa.Table,
    rt_windows: pa.Table,
    rt_table: TableSource,
    lib_training: TableSource,
    library_compounds: pa.Table,
    models: Mapping[str, Path],
) -> FileResult:
    """One self-contained HTML page: what came in, how good the windows are, and the windows."""
    from compassign_core.report.gather import model_card, runs, step_counts
    from compassign_core.report.hierarchy import species_effects
    from compassign_core.report.inputs import ReportInputs
    from compassign_core.report.page import write_report
    from compassign_core.report.tables import evaluation_markdown, steps_markdown
    from compassign_core.report.thumbnails import key_figures
    from compassign_core.rt.model import load_model

    loaded = [load_model(path) for path in models.values()]
    by_kind = {model.model: model for model in loaded}
    steps = step_counts(project.lake, partition)
    inputs = ReportInputs(
        lib=partition.lib or 0,
        cap=partition.cap or 0,
        title=project.library(partition.lib or 0).title,
        predictions=rt_predictions,
        evaluation=rt_evaluation,
        comparison=rt_comparison,
        windows=rt_windows,
        runs=runs(project.lake, lib_training),
        compounds=library_compounds.select(["comp_id", "name"]),
        steps=steps,
        models={kind: model_card(model) for kind, model in by_kind.items()},
        species_effects=species_effects(by_kind[DEFAULT_MODEL], rt_table, project.lake.connection),
        default_model=DEFAULT_MODEL,
        fingerprint=by_kind[DEFAULT_MODEL].fingerprint,
    )
    images = {
        name: Markdown(f"![{name}](data:image/png;base64,{base64.b64encode(image).decode()})")
        for name, image in key_figures(inputs).items()
    }
    overall = rt_evaluation.filter(
        pa.compute.and_(
            pa.compute.equal(rt_evaluation["slice"], "overall"),
            pa.compute.equal(rt_evaluation["model"], DEFAULT_MODEL),
        )
    ).to_pylist()
    metrics = [c.name for c in RT_EVALUATION.columns if c.type == "DOUBLE"]
    numbers = {
        name: float(row[name]) for row in overall for name in metrics if row[name] is not None
    }
    return FileResult(
        lambda path: write_report(inputs, path),
        {
            "open the report": Link(report_url(partition)),
            "metrics": Markdown(evaluation_markdown(rt_evaluation)),
            "preparation": Markdown(steps_markdown(steps)),
            **images,
            **numbers,
        },
        "report",
    )
