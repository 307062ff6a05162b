"""Gathering what a report needs from the lake: runs, names, step counts and model cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from compassign_core.contracts.settings.rt import MODEL_DESCRIPTIONS
from compassign_core.contracts.tables import is_covariate
from compassign_core.report.inputs import ModelCard, StepCount
from compassign_core.rt.summaries import CoefficientSummaries
from compassign_core.store.lake import Lake, Partition
from compassign_core.store.steps import STEP_FILE

STEPS = (
    "run_covariates",
    "lib_training",
    "species_mapping",
    "fold_assignment",
    "ranked_training",
    "capped_training",
    "chemclass_training",
    "rt_table",
    "realtest_table",
)
"""Preparation steps shown in a report, in the order of the data."""


def step_counts(lake: Lake, partition: Partition) -> list[StepCount]:
    """Rows in, out and refused of every preparation step behind a library and cap."""
    counts = []
    for name in STEPS:
        for place in (partition, Partition(partition.lib)):
            path = lake.file(name, place, STEP_FILE)
            if path.is_file():
                facts = json.loads(path.read_text(encoding="utf-8"))
                counts.append(
                    StepCount(
                        name,
                        facts["rows_in"],
                        facts["rows_out"],
                        facts["rejects"],
                        facts["set_aside"],
                    )
                )
                break
    return counts


def model_card(model: CoefficientSummaries) -> ModelCard:
    """What a reader should know about a trained model."""
    has_slopes = model.feature_names.size > 0
    return ModelCard(
        description=MODEL_DESCRIPTIONS[model.model],
        lambda_slopes=model.lambda_slopes if has_slopes else None,
        noise_df0=model.noise_df0,
        noise_scale0=model.noise_scale0,
        n_groups=model.n_groups,
        n_rows=int(model.n_train.sum()),
        features=[str(name) for name in model.feature_names],
        imputed={
            str(name): int(count)
            for name, count in zip(model.covariates, model.imputed, strict=True)
            if count
        },
        calibrated=model.calibration == "calibrated",
    )


def runs(lake: Lake, lib_training: str) -> pa.Table:
    """One row per run that has a curated peak, with its place in the sequence and standards."""
    header = lake.connection.execute(f"DESCRIBE SELECT * FROM {lib_training}").fetchall()
    covariates = sorted(row[0] for row in header if is_covariate(row[0]))
    columns = ["sampleset_id", "worksheet_id", "task_id", "run_order", "species_matrix_type"]
    listed = ", ".join(f'"{name}"' for name in [*columns, *covariates])
    return lake.connection.sql(
        f"SELECT DISTINCT {listed} FROM {lib_training} ORDER BY ALL"
    ).to_arrow_table()


def headline(evaluation: pa.Table) -> Sequence[Mapping[str, object]]:
    """The overall row of each model, as mappings."""
    return [row for row in evaluation.to_pylist() if row["slice"] == "overall"]
