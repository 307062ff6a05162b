"""Evaluation: predictions on held-out peaks, metrics, windows, and the report.

Here belongs what is said about models on data they have not seen; the words and figures themselves
are made in `compassign_core.report`.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from compassign_core.contracts.catalogue import RT_EVALUATION, RT_PREDICTIONS
from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.evaluation import EvaluationSettings
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.contracts.settings.rt import ComparisonSettings
from compassign_core.pipeline.artifacts import (
    FileResult,
    Link,
    Markdown,
    file_artifact,
    table_artifact,
)
from compassign_core.pipeline.models import WINDOWS, coefficients_name
from compassign_core.pipeline.reporting import APART, TOGETHER
from compassign_core.report.address import report_url
from compassign_core.store.lake import Partition, TableSource
from compassign_core.store.project import Project
from compassign_core.store.sql import count_rows

COMPARISON = ComparisonSettings()
THREE_WAYS = ComparisonSettings(
    baselines=tuple(dict.fromkeys((*COMPARISON.baselines, TOGETHER, APART)))
)
"""The same with what the three ways to group need to be held against each other in pairs."""

EVALUATION = EvaluationSettings()
_MODELS = {"models": [coefficients_name(kind) for kind in MODELS]}


def _comparison(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {"comparison": THREE_WAYS.fingerprint()}


def _level(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {"windows": WINDOWS.fingerprint()}


def _predicted(project: Project, partition: Partition) -> Mapping[str, str]:
    return {**_level(project, partition), "evaluation": EVALUATION.fingerprint()}


@table_artifact(
    group="evaluation",
    packages=("rt",),
    inputs=_predicted,
    gathers=_MODELS,
    checks=("every_row_judged", "coverage_is_as_stated"),
)
def rt_predictions(
    project: Project,
    partition: Partition,
    realtest_table: TableSource,
    rt_table: TableSource,
    models: Mapping[str, Path],
) -> StepResult:
    from compassign_core.rt.arrow import arrow_schema
    from compassign_core.rt.checks import coverage_is_as_stated, every_row_judged
    from compassign_core.rt.predictions import HeldOut

    connection = project.lake.connection
    held_out = HeldOut.open(realtest_table, rt_table, connection, EVALUATION)
    n_rows, n_judged = held_out.n_rows, held_out.n_judged
    left_out = (n_rows - n_judged) * len(models)
    return StepResult(
        pa.RecordBatchReader.from_batches(
            arrow_schema(RT_PREDICTIONS), held_out.predicted(models.values(), WINDOWS.level)
        ),
        rows_in=n_rows * len(models),
        set_aside={"beyond_max_test_rows": left_out} if left_out else {},
        notes={"held-out rows": n_rows, "judged rows": n_judged},
    ).with_checks(
        lambda source: every_row_judged(connection, source, n_judged, len(models)),
        lambda source: coverage_is_as_stated(connection, source, DEFAULT_MODEL, WINDOWS.level),
    )


@table_artifact(group="evaluation", packages=("rt",), inputs=_level, checks=("cells_cover",))
def rt_evaluation(
    project: Project, partition: Partition, rt_predictions: TableSource
) -> StepResult:
    from compassign_core.rt.checks import cells_cover
    from compassign_core.rt.evaluation import evaluate

    connection = project.lake.connection
    table = evaluate(rt_predictions, connection)
    cells = cells_cover(connection, rt_predictions, DEFAULT_MODEL, WINDOWS.level)
    result = _summary(project, rt_predictions, table).with_checks(lambda _source: cells)
    return replace(result, notes=dict(cells.metrics))


@table_artifact(group="evaluation", packages=("rt",))
def rt_pit(project: Project, partition: Partition, rt_predictions: TableSource) -> StepResult:
    from compassign_core.rt.pit import pit_histogram

    table = pit_histogram(rt_predictions, project.lake.connection)
    return replace(_summary(project, rt_predictions, table), notes=_evenness(table))


@table_artifact(group="evaluation", packages=("rt",), inputs=_comparison)
def rt_comparison(
    project: Project, partition: Partition, rt_predictions: TableSource
) -> StepResult:
    from compassign_core.rt.comparison import compare

    table = compare(rt_predictions, THREE_WAYS, project.lake.connection)
    return _summary(project, rt_predictions, table)


def _evenness(pit: pa.Table) -> dict[str, float]:
    """How even the default model's transforms are, overall: numbers to plot over time."""
    own = pit.filter(
        (pa.compute.field("model") == DEFAULT_MODEL) & (pa.compute.field("slice") == "overall")
    )
    share = own.sort_by("bin")["share"].to_pylist()
    if not share:
        return {}
    return {
        "fullest bin (1 is even)": max(share) * len(share),
        "emptiest bin (1 is even)": min(share) * len(share),
        "outermost bins (1 is even)": (share[0] + share[-1]) / 2 * len(share),
    }


def _summary(project: Project, read: TableSource, table: pa.Table) -> StepResult:
    """A table that sums up what was read."""
    rows_in = count_rows(project.lake.connection, read)
    return StepResult(table, rows_in=rows_in, expands=True)


@table_artifact(
    group="evaluation",
    packages=("rt",),
    inputs=_level,
    gathers=_MODELS,
    checks=("default_model_does_not_lose", "default_fit_converged"),
)
def rt_windows(
    project: Project,
    partition: Partition,
    rt_table: TableSource,
    species_mapping: TableSource,
    rt_comparison: TableSource,
    rt_diagnostics: TableSource,
    models: Mapping[str, Path],
) -> StepResult:
    from compassign_core.rt.checks import default_fit_converged, default_model_does_not_lose
    from compassign_core.rt.model import load_model
    from compassign_core.rt.windows import library_windows

    table = pa.concat_tables(
        [
            library_windows(
                load_model(path),
                rt_table,
                species_mapping,
                project.lake.connection,
                window=WINDOWS.request,
            )
            for path in models.values()
        ]
    )
    return StepResult(table, rows_in=table.num_rows).with_checks(
        lambda _source: default_model_does_not_lose(
            project.lake.connection, rt_comparison, DEFAULT_MODEL, COMPARISON.loss_margin
        ),
        lambda _source: default_fit_converged(
            project.lake.connection, rt_diagnostics, DEFAULT_MODEL
        ),
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
    rt_predictions: TableSource,
    rt_evaluation: pa.Table,
    rt_pit: pa.Table,
    rt_comparison: pa.Table,
    rt_diagnostics: pa.Table,
    rt_windows: pa.Table,
    rt_table: TableSource,
    lib_training: TableSource,
    run_covariates: TableSource,
    library_compounds: pa.Table,
    models: Mapping[str, Path],
) -> FileResult:
    """One self-contained HTML page: what came in, how good the windows are, and the windows."""
    from compassign_core.pipeline.reporting import report_inputs
    from compassign_core.report.page import write_report
    from compassign_core.report.tables import evaluation_markdown, steps_markdown
    from compassign_core.report.thumbnails import key_figures
    from compassign_core.rt.model import load_model

    inputs = report_inputs(
        project,
        partition,
        models={kind: load_model(models[coefficients_name(kind)]) for kind in MODELS},
        descriptions={kind: model.description for kind, model in MODELS.items()},
        shown=DEFAULT_MODEL,
        baselines=COMPARISON.baselines,
        predictions=rt_predictions,
        evaluation=rt_evaluation,
        pit=rt_pit,
        comparison=rt_comparison,
        diagnostics=rt_diagnostics,
        windows=rt_windows,
        trained_on=dict.fromkeys(MODELS, rt_table),
        lib_training=lib_training,
        run_covariates=run_covariates,
        library_compounds=library_compounds,
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
            "preparation": Markdown(steps_markdown(inputs.steps)),
            **images,
            **numbers,
        },
        "report",
    )
