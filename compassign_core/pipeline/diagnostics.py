"""Diagnostics: what the fits of all models say of themselves, judged.

The table is published whatever it says, so that it can be looked at; a failed fit of the default
model stops its windows (`evaluation`).
"""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from compassign_core.contracts.rejects import StepResult
from compassign_core.contracts.settings.convergence import ConvergenceSettings
from compassign_core.contracts.settings.models import DEFAULT_MODEL, MODELS
from compassign_core.pipeline.artifacts import table_artifact
from compassign_core.pipeline.models import coefficients_name
from compassign_core.store.lake import Partition
from compassign_core.store.project import Project

CONVERGENCE = ConvergenceSettings()


def _thresholds(_project: Project, _partition: Partition) -> Mapping[str, str]:
    return {"convergence": CONVERGENCE.fingerprint()}


@table_artifact(
    group="evaluation",
    packages=("rt",),
    inputs=_thresholds,
    gathers={"models": [coefficients_name(kind) for kind in MODELS]},
    checks=("fits_converged",),
    pool="train",
)
def rt_diagnostics(
    project: Project, partition: Partition, models: Mapping[str, Path]
) -> StepResult:
    from threadpoolctl import threadpool_limits

    from compassign_core.rt.checks import fits_converged
    from compassign_core.rt.diagnostics import diagnostics_table

    connection = project.lake.connection
    # as in training: the curvature is many passes of small batched algebra
    with threadpool_limits(1):
        table = diagnostics_table(models, CONVERGENCE)
    return StepResult(table, rows_in=table.num_rows, notes=_counts(table)).with_checks(
        lambda source: fits_converged(connection, source)
    )


def _counts(table: pa.Table) -> dict[str, float]:
    """Judgements by number, and the default model's numbers: what to plot over time."""
    judged = table["judgement"].to_pylist()
    counts = {f"numbers that {word}": float(judged.count(word)) for word in ("warn", "fail")}
    own = {
        f"{row['model']} {row['quantity']}": row["value"]
        for row in table.to_pylist()
        if row["model"] == DEFAULT_MODEL and row["judgement"] != "info"
    }
    return {**counts, **{name: value for name, value in own.items() if value is not None}}
